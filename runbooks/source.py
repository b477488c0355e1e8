"""Runbook files as bytes and text: only regular files below their folder, bounded in size, decoded with positions."""

import hashlib
import os
import re
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from runbooks.model import Problem

MAX_BYTES = 1_000_000
MAX_LINES = 20_000
"""Markdown can be made slow to parse by many short lines; no runbook that a person reads at night comes close."""
MAX_LINE_BYTES = 65_536
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_DIRECTION_CONTROLS = frozenset("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True, kw_only=True, slots=True)
class Stamp:
    """What tells an edit without reading: if it is equal, the file is taken as unchanged."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A Markdown file found below a folder. ``name`` is its path relative to the folder, with forward slashes."""

    name: str
    path: Path


@dataclass(frozen=True, kw_only=True, slots=True)
class Tree:
    """A folder as it is at one moment: of a repository, the files of one commit, which never change."""

    root: Path
    commit: str = ""
    older: tuple["Tree", ...] = ()
    """What was in use before, newest first."""


class RefusedError(Exception):
    """A file that may not be read, or cannot be. ``problem`` says why, and what to do."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(str(problem))
        self.problem = problem


def tree_of(path: Path, *, pinned: bool) -> Tree:
    """Where to read. ``pinned``: the path is a link to a folder that is called as its commit, and may be led elsewhere
    at any moment; what is read through it is then read from one commit. Raises :class:`OSError`."""
    if not pinned:
        return Tree(root=path)
    root = path.resolve(strict=True)
    beside = [one for one in root.parent.iterdir() if one != root and _COMMIT.fullmatch(one.name)]
    beside.sort(key=lambda one: one.stat().st_mtime_ns, reverse=True)
    return Tree(root=root, commit=root.name, older=tuple(Tree(root=one, commit=one.name) for one in beside))


def find(folder: Path) -> Iterator[Entry]:
    """Every ``*.md`` below ``folder``, in order of name. Hidden files and folders and README.md are left out, and
    folders behind symbolic links are not entered. Raises :class:`OSError` if the folder cannot be listed."""
    found: list[Entry] = []

    def stop(error: OSError) -> None:
        raise error

    for here, folders, names in os.walk(folder, onerror=stop):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(".md") and not name.startswith(".") and name.lower() != "readme.md":
                path = Path(here) / name
                found.append(Entry(name=path.relative_to(folder).as_posix(), path=path))
    yield from sorted(found, key=lambda entry: entry.name)


def read(entry: Entry, folder: Path, *, known: Stamp | None = None) -> tuple[Stamp, bytes | None]:
    """The bytes of a file, or ``None`` if its stamp equals ``known``. Raises :class:`RefusedError`."""
    try:
        # A link may lead to another file of the same folder (that is how Kubernetes mounts files), never out of it.
        real = entry.path.resolve(strict=True)
        if not real.is_relative_to(folder.resolve(strict=True)):
            raise _refused(
                entry, "outside-folder", "a symbolic link that leads out of the folder", "copy the file here"
            )
        # O_NONBLOCK: opening a FIFO must not wait for somebody to write to it.
        handle = os.open(real, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise _refused(
            entry, "unreadable", f"cannot be opened: {error.strerror or error}", "check it and its mode"
        ) from error
    with os.fdopen(handle, "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise _refused(entry, "not-a-file", "not a regular file", "runbooks are plain files")
        stamp = Stamp(
            inode=status.st_ino,
            size=status.st_size,
            modified_ns=status.st_mtime_ns,
            changed_ns=status.st_ctime_ns,
        )
        if stamp == known:
            return stamp, None
        data = file.read(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise _refused(entry, "too-large", f"larger than {MAX_BYTES:,} bytes", "split it: one file, one failure mode")
    return stamp, data


def revision(data: bytes) -> str:
    """SHA-256 of the bytes: which text an incident was answered with."""
    return hashlib.sha256(data).hexdigest()


def decode(data: bytes, file: str) -> str:
    """Text with ``\\n`` line ends and without a byte order mark. Raises :class:`RefusedError` with the position of what
    is not text."""
    if len(data) > MAX_BYTES:
        raise _at(file, (1, 1), "too-large", f"larger than {MAX_BYTES:,} bytes", "split it: one file, one failure mode")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start].decode("utf-8", "replace")
        line, column = before.count("\n") + 1, len(before) - (before.rfind("\n") + 1) + 1
        what = f"byte 0x{data[error.start]:02x} is not UTF-8"
        raise _at(file, (line, column), "not-utf-8", what, "save the file as UTF-8") from error
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    _check_lines(text, file)
    return text


def _check_lines(text: str, file: str) -> None:
    lines = text.split("\n")
    if len(lines) > MAX_LINES:
        raise _at(file, (MAX_LINES + 1, 1), "too-many-lines", f"more than {MAX_LINES:,} lines", "split it")
    for number, line in enumerate(lines, start=1):
        if len(line.encode()) > MAX_LINE_BYTES:
            raise _at(file, (number, 1), "line-too-long", f"a line of more than {MAX_LINE_BYTES:,} bytes", "break it")
        for column, char in enumerate(line, start=1):
            if char == "\0":
                raise _at(file, (number, column), "control-character", "a NUL character", "remove it")
            if char in _DIRECTION_CONTROLS:
                what = f"an invisible character (U+{ord(char):04X}) that changes how the text reads"
                raise _at(file, (number, column), "control-character", what, "remove it")


def _refused(entry: Entry, rule: str, message: str, suggestion: str) -> RefusedError:
    return _at(str(entry.path), (1, 1), rule, message, suggestion)


def _at(file: str, place: tuple[int, int], rule: str, message: str, suggestion: str) -> RefusedError:
    line, column = place
    problem = Problem(file=file, line=line, column=column, rule=rule, message=message, suggestion=suggestion)
    return RefusedError(problem)
