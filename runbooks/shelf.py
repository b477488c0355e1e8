"""The runbooks in use: every file of some folders, picked up when edited, and the last good version of a broken one."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from runbooks.model import Problem, Runbook
from runbooks.parse import Parsed, parse
from runbooks.source import Entry, RefusedError, Stamp, find, read

Check = Callable[[Parsed], Sequence[Problem]]
"""Further checks of a file, such as ``lint`` with the registries bound: an ``error`` keeps the file out of use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folder:
    """A folder of runbooks. Files of a folder that ``may_act`` is false for are found and quoted, never executed."""

    path: Path
    may_act: bool = True


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
class _State:
    files: Mapping[Path, _Shelved] = field(default_factory=dict)
    runbooks: Mapping[str, Runbook] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


class Shelf:
    """Implements :class:`runbooks.model.Library` over folders; a later folder takes precedence over an earlier one.

    Nothing is read before the first :meth:`refresh`. Safe to read from any thread while another refreshes: readers see
    the state before or after, never one in between.
    """

    def __init__(self, folders: Iterable[Folder | Path], *, check: Check | None = None) -> None:
        self._folders = tuple(f if isinstance(f, Folder) else Folder(path=f) for f in folders)
        self._check = check
        self._state = _State()
        self._refreshing = threading.Lock()

    def all(self) -> Sequence[Runbook]:
        """Every runbook in use, in order of id."""
        return tuple(self._state.runbooks.values())

    def get(self, runbook_id: str) -> Runbook | None:
        return self._state.runbooks.get(runbook_id)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files as they were last seen."""
        return self._state.problems

    def refresh(self) -> ShelfChange:
        """Look at the folders again and read what changed. Never raises for a file or folder: those are problems."""
        with self._refreshing:
            before = self._state
            files: dict[Path, _Shelved] = {}
            chosen: dict[str, Runbook] = {}
            problems: list[Problem] = []
            for folder in self._folders:
                here, trouble = self._read_folder(folder, before)
                files.update(here)
                problems += trouble
                good, clashes = _by_id([file.good for file in here.values() if file.good], before)
                problems += [*clashes, *_shadowed(chosen, good, folder)]
                # What may only inform never takes the place of what people agreed to act on.
                chosen.update(good if folder.may_act else {i: book for i, book in good.items() if i not in chosen})
            problems += [problem for file in files.values() for problem in file.problems]
            runbooks = dict(sorted(chosen.items()))
            self._state = _State(files=files, runbooks=runbooks, problems=tuple(problems))
            return ShelfChange(
                changed=tuple(i for i, book in runbooks.items() if _differs(before.runbooks.get(i), book)),
                removed=tuple(i for i in before.runbooks if i not in runbooks),
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
        in_use = before.runbooks.get(name)
        kept = next((book for book in claimants if in_use and book.path == in_use.path), None)
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


def _shadowed(earlier: Mapping[str, Runbook], later: Mapping[str, Runbook], folder: Folder) -> list[Problem]:
    return [
        Problem(
            file=book.path,
            line=1,
            column=1,
            rule="shadows",
            message=f"takes the place of {earlier[name].path}"
            if folder.may_act
            else f"is not used: {earlier[name].path} has the same id, and this folder may not act",
            severity="hint" if folder.may_act else "warning",
            suggestion="rename it if both are meant",
        )
        for name, book in later.items()
        if name in earlier
    ]


def _differs(before: Runbook | None, now: Runbook) -> bool:
    return before is None or (before.revision, before.path, before.executable) != (
        now.revision,
        now.path,
        now.executable,
    )
