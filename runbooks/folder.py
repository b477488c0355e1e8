"""A library of runbooks and what stands in it: which of several runbooks with one id is used for whom."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from config.library import GitSource, file_link
from runbooks.model import Origin, Runbook


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A library of runbooks. Files of a folder that ``may_act`` is false for are found and quoted, never executed."""

    path: Path
    may_act: bool = True
    team: str = ""
    """The team whose own folder it is; empty: it is for everybody."""
    name: str = ""
    """What the library is called; empty: as its folder."""
    git: GitSource | None = None
    """The repository; ``path`` is then a link to the newest of its trees, as :func:`runbooks.source.tree_of` has it."""

    def origin(self, name: str, commit: str) -> Origin:
        """Where the file ``name`` of it comes from."""
        library = self.name or self.path.name
        if self.git is None:
            return Origin(library=library, file=name, team=self.team)
        file = f"{self.git.path}/{name}" if self.git.path else name
        return Origin(library=library, file=file, commit=commit, source=self.git.git, team=self.team,
                      link=file_link(self.git, commit, file))  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A runbook and where it stands."""

    book: Runbook
    folder: Folder
    number: int

    def rank(self, team: str) -> tuple[bool, int, int]:
        """Which of several with one id is preferred for a team's services: what people agreed to act on, then the
        team's own, then what is for everybody, and another team's last; of equals the later folder's."""
        own = 2 if self.folder.team == team else 0
        return (self.folder.may_act, own if self.folder.team else 1, self.number)

    @property
    def library(self) -> str:
        """What its library is called."""
        return self.folder.name or self.folder.path.name

    def hides(self, other: "Placed") -> bool:
        """Whether no service is left that the other would be used for."""
        if self.book.id != other.book.id or self.folder.team or self.rank("") <= other.rank(other.folder.team):
            return False
        everywhere = "*" in self.book.services and not self.book.kinds
        return everywhere or (self.book.services, self.book.kinds) == (other.book.services, other.book.kinds)


def shadowed(every: Sequence[Placed]) -> list[tuple[Placed, Placed]]:
    """Pairs of a runbook and another of the same id that takes its place, in order of id. Nothing takes the place of a
    team's own: it is for that team."""
    found = [
        (below, above)
        for below in every
        for above in every
        if above.book.id == below.book.id and above is not below
        and below.folder.team in ("", above.folder.team)
        and above.rank(above.folder.team) > below.rank(above.folder.team)
    ]  # fmt: skip
    return sorted(found, key=lambda pair: (pair[0].book.id, pair[0].number, pair[1].number))
