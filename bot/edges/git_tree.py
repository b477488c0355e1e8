"""The Markdown files of a folder at a commit, written out elsewhere: plain files, bounded, nothing that leads out."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bot.edges.git import MAX_OUTPUT, GitError, local, one_line
from runbooks.source import MAX_BYTES

MAX_FILES = 5_000
MAX_TOTAL = 100_000_000
_REGULAR = ("100644", "100755", "100664")
_KINDS = {"120000": "a symbolic link", "160000": "a submodule"}
_HEAD = 100
_LFS = b"version https://git-lfs.github.com/spec/"


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """A folder of a repository."""

    top: Path
    """The working tree, or the bare repository."""
    inside: str
    """Path of the folder below the top, with forward slashes; empty for the top itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """What was written out."""

    files: int
    left_out: tuple[str, ...] = ()
    """What was not, and why, a line each."""


@dataclass(frozen=True, slots=True)
class _File:
    name: str
    blob: str
    size: int


def commit(where: Place, revision: str) -> str:
    """The full id of a revision. Raises :class:`GitError`."""
    done = local(where.top, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if done.code:
        raise GitError(
            f"{where.top}: there is no revision {revision!r}; name a commit, tag or branch, such as HEAD or "
            "origin/main (a shallow clone has only the newest: git fetch --unshallow)"
        )
    return done.output.decode("ascii").strip()


def has_folder(where: Place, commit_id: str) -> bool:
    """Whether the folder was there at that commit."""
    done = local(where.top, "cat-file", "-t", f"{commit_id}:{where.inside}")
    return not done.code and done.output.strip() == b"tree"


def write_out(where: Place, commit_id: str, into: Path) -> Written:
    """Write the Markdown files that the folder had at that commit below ``into``; none for a folder that was not there.
    A file that is too large becomes one of nothing that is too large as well, so that it is refused like any other and
    its last good version stays in use. Raises :class:`GitError`."""
    into.mkdir(mode=0o700, parents=True, exist_ok=True)
    files: list[_File] = []
    left_out: list[str] = []
    for found in _listed(where, commit_id):
        if isinstance(found, str):
            left_out.append(found)
        else:
            files.append(found)
    total = sum(file.size for file in files if file.size <= MAX_BYTES)
    if len(files) > MAX_FILES or total > MAX_TOTAL:
        raise GitError(
            f"{commit_id[:12]} has {len(files):,} Markdown files of {total:,} bytes together, more than {MAX_FILES:,} "
            f"files or {MAX_TOTAL:,} bytes; name the folder with the runbooks as 'path'"
        )
    small = [file for file in files if file.size <= MAX_BYTES]
    contents = _contents(where, small)
    for file in files:
        path = into / file.name
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "wb") as written:
                if file.size > MAX_BYTES:
                    written.truncate(MAX_BYTES + 1)
                else:
                    data = contents[file.blob]
                    written.write(data)
                    if data.startswith(_LFS):
                        left_out.append(f"{file.name}: kept in Git LFS, which is not fetched")
        except OSError as error:
            left_out.append(f"{one_line(file.name, 200)}: {error.strerror or error}")
    return Written(files=len(files), left_out=tuple(left_out))


def _listed(where: Place, commit_id: str) -> Iterator[_File | str]:
    """Every regular Markdown file, by its name below the folder; others as why they are left out."""
    listing = local(where.top, "ls-tree", "-r", "-l", "-z", "--full-tree", f"{commit_id}:{where.inside}")
    for row in listing.output.split(b"\0") if not listing.code else ():
        head, _, raw = row.partition(b"\t")
        if not raw.lower().endswith(b".md"):
            continue
        mode, _, blob, size = head.decode("ascii").split()
        name = raw.decode("utf-8", "surrogateescape")
        why = _why_not(raw, name) or (_KINDS.get(mode, "not a plain file") if mode not in _REGULAR else "")
        if why:
            yield f"{one_line(raw.decode('utf-8', 'replace'), 200)}: {why}"
        else:
            yield _File(name, blob, int(size))


def _why_not(raw: bytes, name: str) -> str:
    """Why a name is not written; a tree that was made by hand can hold any."""
    parts = name.split("/")
    if name.startswith("/") or any(part in ("", ".", "..") or part.lower() == ".git" for part in parts):
        return "its name leads out of the folder"
    if not name.isprintable():
        return "its name has characters that cannot be shown"
    if len(raw) > 1_000 or len(parts) > 32 or any(len(part.encode("utf-8", "replace")) > 255 for part in parts):
        return "its name is too long"
    return ""


def _contents(where: Place, files: Sequence[_File]) -> dict[str, bytes]:
    """The bytes of these blobs: read by one process."""
    wanted = {file.blob: file.size for file in files}
    found: dict[str, bytes] = {}
    for batch in _batches(wanted):
        done = local(where.top, "cat-file", "--batch", given="".join(f"{blob}\n" for blob in batch).encode())
        found.update(_unpacked(where, done.output))
    missing = [blob for blob in wanted if blob not in found]
    if missing:
        raise GitError(f"{where.top}: {missing[0][:12]} cannot be read; is the clone partial?")
    return found


def _batches(sizes: Mapping[str, int]) -> Iterator[list[str]]:
    """Blobs that fit together into one answer."""
    batch: list[str] = []
    held = 0
    for blob, size in sizes.items():
        if batch and held + size + _HEAD > MAX_OUTPUT // 2:
            yield batch
            batch, held = [], 0
        batch.append(blob)
        held += size + _HEAD
    if batch:
        yield batch


def _unpacked(where: Place, output: bytes) -> Iterator[tuple[str, bytes]]:
    at = 0
    while at < len(output):
        end = output.index(b"\n", at)
        head = re.fullmatch(rb"([0-9a-f]+) blob ([0-9]+)", output[at:end])
        if head is None:
            raise GitError(f"{where.top}: {one_line(output[at:end].decode('utf-8', 'replace'), 100)}")
        size = int(head[2])
        yield head[1].decode("ascii"), output[end + 1 : end + 1 + size]
        at = end + 1 + size + 1
