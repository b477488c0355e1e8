"""The runbooks in use: every file of some folders, picked up when edited, and the last good version of a broken one."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.catalogue import Service
from runbooks.model import Problem, Runbook
from runbooks.parse import Parsed, parse
from runbooks.resolve import applies
from runbooks.source import Entry, RefusedError, Stamp, find, read

Check = Callable[[Parsed], Sequence[Problem]]
"""Further checks of a file, such as ``lint`` with the registries bound: an ``error`` keeps the file out of use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of runbooks. Files of a folder that ``may_act`` is false for are found and quoted, never executed."""

    path: Path
    may_act: bool = True
    team: str = ""
    """The team whose own folder it is; empty: it is for everybody."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShelfChange:
    """What a refresh found, compared with the one before."""

    changed: tuple[str, ...] = ()
    """Ids of runbooks that are new or have another revision."""
    removed: tuple[str, ...] = ()
    kept: tuple[str, ...] = ()
    """Ids whose file is broken now, and whose last good version stays in use."""
    problems: tuple[Problem, ...] = ()
    """Everything wrong with the files as they are now, whether new or not."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shelved:
    """What is known of one file: how it was last seen, and its last good version."""

    stamp: Stamp | None
    good: Runbook | None
    problems: tuple[Problem, ...] = ()
    broken: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class _Placed:
    """A runbook in use, and where it stands."""

    book: Runbook
    folder: Folder
    number: int

    def rank(self, team: str) -> tuple[bool, int, int]:
        """Which of several with one id is preferred for a team's services: what people agreed to act on, then the
        team's own, then what is for everybody, and another team's last; of equals the later folder's."""
        own = 2 if self.folder.team == team else 0
        return (self.folder.may_act, own if self.folder.team else 1, self.number)

    def hides(self, other: "_Placed") -> bool:
        """Whether no service is left that the other would be used for."""
        if self.book.id != other.book.id or self.folder.team or self.rank("") <= other.rank(other.folder.team):
            return False
        everywhere = "*" in self.book.services and not self.book.kinds
        return everywhere or (self.book.services, self.book.kinds) == (other.book.services, other.book.kinds)


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    files: Mapping[Path, _Shelved] = field(default_factory=dict)
    placed: tuple[_Placed, ...] = ()
    """In order of id; of several with one id the one for everybody first."""
    problems: tuple[Problem, ...] = ()

    def versions(self, runbook_id: str) -> list[tuple[str, str, bool]]:
        """What tells whether the runbooks of an id have changed."""
        return [(p.book.revision, p.book.path, p.book.executable) for p in self.placed if p.book.id == runbook_id]


class Shelf:
    """Implements :class:`runbooks.model.Library` over folders. Of several runbooks with one id, each service gets the
    one that is for it: of its team's own folder if there is one, else of the latest folder for everybody.

    Nothing is read before the first :meth:`refresh`. Safe to read from any thread while another refreshes: readers see
    the state before or after, never one in between.
    """

    def __init__(self, folders: Iterable[Folder | Path], *, check: Check | None = None) -> None:
        self._folders = tuple(f if isinstance(f, Folder) else Folder(path=f) for f in folders)
        self._check = check
        self._state = _State()
        self._refreshing = threading.Lock()

    def all(self) -> Sequence[Runbook]:
        """Every runbook in use, in order of id; several may share one, for different services."""
        return tuple(placed.book for placed in self._state.placed)

    def get(self, runbook_id: str) -> Runbook | None:
        """The runbook of this id; of several the one for everybody."""
        return next((book for book in self.all() if book.id == runbook_id), None)

    def for_service(self, service: Service) -> Mapping[str, Runbook]:
        """Id -> runbook, for all that apply to this service."""
        fitting = [placed for placed in self._state.placed if applies(placed.book, service)]
        ranked = sorted(fitting, key=lambda placed: (placed.book.id, placed.rank(service.team)))
        return {placed.book.id: placed.book for placed in ranked}

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files as they were last seen."""
        return self._state.problems

    def refresh(self) -> ShelfChange:
        """Look at the folders again and read what changed. Never raises for a file or folder: those are problems."""
        with self._refreshing:
            before = self._state
            files: dict[Path, _Shelved] = {}
            found: list[_Placed] = []
            problems: list[Problem] = []
            for number, folder in enumerate(self._folders):
                here, trouble = self._read_folder(folder, before)
                files.update(here)
                problems += trouble
                good, clashes = _by_id([file.good for file in here.values() if file.good], before)
                problems += [*clashes, *_shadowed(found, good, folder)]
                found += [_Placed(book=book, folder=folder, number=number) for book in good.values()]
            problems += [problem for file in files.values() for problem in file.problems]
            used = [one for one in found if not any(other.hides(one) for other in found)]
            used.sort(key=lambda one: (one.book.id, tuple(-part for part in one.rank(""))))
            self._state = now = _State(files=files, placed=tuple(used), problems=tuple(problems))
            ids, known = ({placed.book.id: None for placed in state.placed} for state in (now, before))
            return ShelfChange(
                changed=tuple(i for i in ids if now.versions(i) != before.versions(i)),
                removed=tuple(i for i in known if i not in ids),
                kept=tuple(sorted({f.good.id for f in files.values() if f.broken and f.good})),
                problems=tuple(problems),
            )

    def _read_folder(self, folder: Folder, before: _State) -> tuple[dict[Path, _Shelved], list[Problem]]:
        try:
            entries = list(find(folder.path))
        except OSError as error:
            # A folder that went away, such as an unmounted volume, must not take its runbooks down with it.
            problem = Problem(
                file=str(folder.path),
                line=1,
                column=1,
                rule="unreadable-folder",
                message=f"cannot be listed: {error.strerror or error}",
                suggestion="its runbooks stay as they were; bring it back or take it out of the configuration",
            )
            kept = {path: file for path, file in before.files.items() if path.is_relative_to(folder.path)}
            return kept, [problem]
        return {entry.path: self._read_file(entry, folder, before.files.get(entry.path)) for entry in entries}, []

    def _read_file(self, entry: Entry, folder: Folder, known: _Shelved | None) -> _Shelved:
        try:
            stamp, data = read(entry, folder.path, known=known.stamp if known else None)
        except RefusedError as refused:
            return _broken(known, None, (refused.problem,))
        if data is None:
            assert known is not None
            return known
        parsed = parse(data, str(entry.path))
        problems = tuple(self._check(parsed)) if self._check else parsed.problems
        if parsed.runbook is None or any(problem.severity == "error" for problem in problems):
            return _broken(known, stamp, problems)
        runbook = parsed.runbook if folder.may_act else replace(parsed.runbook, executable=False, probes=(), actions=())
        return _Shelved(stamp=stamp, good=runbook, problems=problems)


def _broken(known: _Shelved | None, stamp: Stamp | None, problems: tuple[Problem, ...]) -> _Shelved:
    return _Shelved(stamp=stamp, good=known.good if known else None, problems=problems, broken=True)


def _by_id(runbooks: Sequence[Runbook], before: _State) -> tuple[dict[str, Runbook], list[Problem]]:
    """Runbooks of one folder by id. Of two that claim the same, the one in use stays; if neither is, neither is used:
    which of them is meant, only a person can tell."""
    claims: dict[str, list[Runbook]] = {}
    for runbook in runbooks:
        claims.setdefault(runbook.id, []).append(runbook)
    chosen: dict[str, Runbook] = {}
    problems: list[Problem] = []
    for name, claimants in claims.items():
        if len(claimants) == 1:
            chosen[name] = claimants[0]
            continue
        in_use = {path for _, path, _ in before.versions(name)}
        kept = next((book for book in claimants if book.path in in_use), None)
        if kept:
            chosen[name] = kept
        paths = " and ".join(book.path for book in claimants)
        used = f"{kept.path} stays in use" if kept else "none of them is used"
        for book in claimants:
            if book is not kept:
                message = f"{paths} claim the same id {name!r}; {used}"
                problems.append(
                    Problem(
                        file=book.path, line=1, column=1, rule="duplicate-id", message=message, suggestion="rename one"
                    )
                )
    return chosen, problems


def _shadowed(earlier: Sequence[_Placed], later: Mapping[str, Runbook], folder: Folder) -> list[Problem]:
    known = {placed.book.id: placed.book.path for placed in earlier}
    whose = f", for services of {folder.team}" if folder.team else ""
    return [
        Problem(
            file=book.path,
            line=1,
            column=1,
            rule="shadows",
            message=f"takes the place of {known[name]}{whose}"
            if folder.may_act
            else f"is not used: {known[name]} has the same id, and this folder may not act",
            severity="hint" if folder.may_act else "warning",
            suggestion="rename it if both are meant",
        )
        for name, book in later.items()
        if known.get(name, book.path) != book.path
    ]
