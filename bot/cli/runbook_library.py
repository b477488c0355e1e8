"""The runbooks that ``test``, ``diff`` and ``render`` look at: those in use, with some files put on top."""

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import Installed
from bot.cli.local import WRONG, fail

if TYPE_CHECKING:
    from config.catalogue import Service
    from knowledge.model import Document, Embedder
    from knowledge.retrieval import HybridLibrarian
    from runbooks.model import Problem, Runbook


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Implements :class:`runbooks.model.Library`: the runbooks in use, and which of them were asked for."""

    runbooks: "Mapping[str, Runbook]"
    chosen: tuple[str, ...]
    """Ids of those that were asked for, in order."""
    broken: "tuple[Problem, ...]" = ()
    """Errors of files that were asked for and would not be used."""

    def all(self) -> "Sequence[Runbook]":
        return tuple(self.runbooks.values())

    def get(self, runbook_id: str) -> "Runbook | None":
        return self.runbooks.get(runbook_id)

    def for_service(self, service: "Service") -> "Mapping[str, Runbook]":
        from runbooks.resolve import applies  # noqa: PLC0415 - help must not wait for it

        return {name: book for name, book in self.runbooks.items() if applies(book, service)}


def select(where: Installed, paths: Sequence[Path]) -> Selection:
    """The runbooks in use with those in ``paths`` on top, which take the place of others with their id. A path that is
    not there may be the id of a runbook in use."""
    runbooks = {book.id: book for book in where.shelf().all()}
    named = [str(path) for path in paths if str(path) in runbooks and not path.exists()]
    paths = [path for path in paths if str(path) not in named]
    groups = where.read(paths) if paths else []
    errors = [problem for problem in where.lint(groups, whole=False) if problem.severity == "error"]
    wrong = {problem.file for problem in errors}
    found = [file.runbook for group in groups for file in group.files if file.runbook and file.file not in wrong]
    if paths and not found and not errors:
        fail(f"{', '.join(map(str, paths))}: no runbook there; runbooks are files that end in .md", WRONG)
    runbooks.update({book.id: book for book in found})
    chosen = tuple(dict.fromkeys([*named, *(book.id for book in found)])) or (() if paths else tuple(sorted(runbooks)))
    return Selection(runbooks=dict(sorted(runbooks.items())), chosen=chosen, broken=tuple(errors))


def embedder(where: Installed, *, words_only: bool) -> "Embedder | None":
    """One embedder for a whole command: the vector of a text is computed once, and kept for the next command."""
    from knowledge.embedder import SentenceTransformerEmbedder  # noqa: PLC0415 - help must not wait for it
    from knowledge.vector_cache import CachingEmbedder  # noqa: PLC0415

    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    return None if words_only else CachingEmbedder(SentenceTransformerEmbedder(where.settings.embedder), vector_file())


def vector_file() -> Path:
    """Where the vectors of texts are kept from one command to the next: in the user's cache, which may be deleted."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pagerunner" / "vectors.sqlite"


def searcher(documents: "Sequence[Document]", embed: "Embedder | None") -> "HybridLibrarian":
    """The search of the product over these documents, with an exact index in memory. Says when it is by words alone."""
    from knowledge.lexical_index import LexicalIndex  # noqa: PLC0415
    from knowledge.memory_index import MemoryIndex  # noqa: PLC0415
    from knowledge.retrieval import HybridLibrarian  # noqa: PLC0415

    vectors = None if embed is None else MemoryIndex()
    librarian = HybridLibrarian(documents, words=LexicalIndex(), embedder=embed, vectors=vectors)
    notice = librarian.warm()
    if notice:
        click.echo(notice, err=True)
    return librarian
