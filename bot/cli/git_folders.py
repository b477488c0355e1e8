"""A folder as a Git revision had it, written out elsewhere. Only reads the repository, and runs nothing of it."""

import os
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

_REGULAR = ("100644", "100755")


class GitError(Exception):
    """What Git cannot do here: what, where and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder below the top of a working tree."""

    top: Path
    inside: str
    """Path of the folder below ``top``, with forward slashes; empty for the top itself."""


def place(folder: Path) -> Place | None:
    """Where a folder stands in its repository; None if it stands in none. Raises :class:`GitError`."""
    done = _git(folder, "rev-parse", "--show-toplevel")
    if done.returncode:
        told = done.stderr.decode("utf-8", "replace").strip()
        if "not a git repository" in told:
            return None
        raise GitError(f"{folder}: {told}")
    top = Path(os.fsdecode(done.stdout.removesuffix(b"\n")))
    inside = folder.resolve().relative_to(top.resolve()).as_posix()
    return Place(top=top, inside="" if inside == "." else inside)


def commit(where: Place, revision: str) -> str:
    """The full id of a revision. Raises :class:`GitError`."""
    done = _git(where.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.returncode:
        raise GitError(
            f"{where.top}: there is no revision {revision!r}; name a commit, tag or branch, such as HEAD or "
            "origin/main (a shallow clone has only the newest: git fetch --unshallow)"
        )
    return done.stdout.decode("ascii").strip()


def write_out(where: Place, commit_id: str, into: Path) -> int:
    """Write the Markdown files that the folder had at that commit below ``into``; how many: none for a folder that
    was not there. Raises :class:`GitError`."""
    written = 0
    into.mkdir(parents=True, exist_ok=True)
    for name, blob in _files(where, commit_id):
        path = into / name
        path.parent.mkdir(parents=True, exist_ok=True)
        done = _git(where.top, "cat-file", "blob", blob)
        if done.returncode:
            raise GitError(f"{where.top}: {name} at {commit_id[:12]} cannot be read; is the clone partial?")
        path.write_bytes(done.stdout)
        written += 1
    return written


def _files(where: Place, commit_id: str) -> Iterator[tuple[str, str]]:
    """Name below the folder, and blob, of every regular Markdown file; links are left out."""
    listing = _git(where.top, "ls-tree", "-r", "-z", f"{commit_id}:{where.inside}")
    for row in listing.stdout.split(b"\0") if not listing.returncode else ():
        head, _, raw = row.partition(b"\t")
        name = os.fsdecode(raw)
        if not name.lower().endswith(".md") or ".." in PurePosixPath(name).parts:
            continue
        mode, _, blob = head.decode("ascii").split(" ")[:3]
        if mode in _REGULAR:
            yield name, blob


def _git(folder: Path, *words: str) -> "subprocess.CompletedProcess[bytes]":
    command = ["git", "-C", str(folder), "--no-replace-objects", *words]
    environment = {**os.environ, "LC_ALL": "C", "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0"}
    try:
        return subprocess.run(command, capture_output=True, check=False, env=environment, timeout=60)
    except FileNotFoundError as error:
        raise GitError("git is not installed, and comparing with a revision needs it") from error
    except subprocess.TimeoutExpired as error:
        raise GitError(f"{folder}: git {words[0]} did not answer within 60 s") from error
