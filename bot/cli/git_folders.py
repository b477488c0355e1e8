"""A folder as a Git revision had it, for those who compare. Only reads the repository, and runs nothing of it."""

import os
from pathlib import Path

from bot.edges.git import GitError, local
from bot.edges.git_tree import Place, commit, write_out

__all__ = ["GitError", "Place", "commit", "place", "write_out"]


def place(folder: Path) -> Place | None:
    """Where a folder stands in its repository; None if it stands in none. Raises :class:`GitError`."""
    done = local(folder, "rev-parse", "--show-toplevel")
    if done.code:
        if "not a git repository" in done.told:
            return None
        raise GitError(f"{folder}: {done.told}")
    top = Path(os.fsdecode(done.output.removesuffix(b"\n")))
    inside = folder.resolve().relative_to(top.resolve()).as_posix()
    return Place(top=top, inside="" if inside == "." else inside)
