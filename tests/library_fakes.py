"""A real Git repository of runbooks, and libraries that follow it."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bot.edges.git_library import GitLibrary
from config.library import GitSource
from runbooks.shelf import Folder, Shelf
from tests.runbook_cli_fakes import book, git

__all__ = ["Origin", "book", "git", "made", "shelf_of"]


@dataclass(frozen=True)
class Origin:
    """The repository that people push to."""

    path: Path

    def push(self, files: Mapping[str, str | bytes | None], message: str = "change") -> str:
        """Write or remove files, and commit; the commit."""
        for name, text in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if text is None:
                path.unlink()
            else:
                path.write_bytes(text.encode() if isinstance(text, str) else text)
        git(self.path, "add", "-A")
        git(self.path, "commit", "--quiet", "--allow-empty", "-m", message)
        return git(self.path, "rev-parse", "HEAD")

    def library(self, data: Path, name: str = "company", **changes: Any) -> GitLibrary:
        source = {"git": str(self.path), "revision": "main", "path": "books", **changes}
        return GitLibrary(GitSource.model_validate(source), name, data)


def made(folder: Path) -> Origin:
    """A repository with one runbook, committed."""
    folder.mkdir(parents=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    origin = Origin(folder)
    origin.push({"books/zebra.md": book("Zebras"), "other/secret.md": "# Not ours\n"})
    return origin


def shelf_of(library: GitLibrary) -> Shelf:
    """Its runbooks, as a process that has just started sees them."""
    shelf = Shelf([Folder(path=library.current, name=library.name, git=library.source)])
    shelf.refresh()
    return shelf
