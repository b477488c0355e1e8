"""Which runbook an incident used, as recorded: its library, the commit or the hash of its text, and its file."""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot.domain.timeline import Fact, computed
from bot.domain.view import IncidentView
from runbooks.model import Runbook

KIND = "runbook_used"


@dataclass(frozen=True, kw_only=True, slots=True)
class UsedText:
    """The text of a runbook that an investigation rested on."""

    runbook: str
    library: str
    file: str
    commit: str
    """Of the repository; empty for a folder."""
    sha256: str
    """Of the file's bytes: which text it was."""
    source: str
    link: str
    entry: int = 0
    """The timeline entry that says so."""

    @property
    def short(self) -> str:
        """Library and revision, as people write them: ``company@1a2b3c4d5e6f``."""
        return f"{self.library}@{self.commit[:12] or f'sha256:{self.sha256[:12]}'}"


def used_fact(book: Runbook) -> Fact:
    """The fact that an investigation rests on this text."""
    origin = book.origin
    data = {"runbook": book.id, "library": origin.library if origin else "", "file": origin.file if origin else "",
            "commit": origin.commit if origin else "", "sha256": book.revision,
            "source": origin.source if origin else "", "link": origin.link if origin else ""}  # fmt: skip
    return computed(KIND, data)


def libraries(books: Iterable[Runbook]) -> list[dict[str, str]]:
    """The libraries in use, each with the commits that its texts are from; ``texts`` is a hash over all of them, so
    that of a folder, too, one can tell whether it was the same."""
    texts: dict[tuple[str, str], list[str]] = {}
    for book in books:
        if book.origin is not None:
            texts.setdefault((book.origin.library, book.origin.commit), []).append(
                f"{book.origin.file} {book.revision}"
            )
    return [
        {"library": name, "commit": commit, "texts": hashlib.sha256("\n".join(sorted(found)).encode()).hexdigest()}
        for (name, commit), found in sorted(texts.items())
    ]


def used_texts(view: IncidentView) -> Sequence[UsedText]:
    """What was used, oldest first; the same text once, with the entry that said so first."""
    found: dict[tuple[str, str, str], UsedText] = {}
    for entry in view.entries(KIND):
        data = {key: str(value) for key, value in entry.fact.data.items()}
        if not data.get("runbook"):
            continue
        one = UsedText(**{key: data.get(key, "") for key in _KEYS}, entry=entry.seq)
        found.setdefault((one.runbook, one.commit, one.sha256), one)
    return tuple(found.values())


_KEYS = ("runbook", "library", "file", "commit", "sha256", "source", "link")
