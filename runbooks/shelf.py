"""The runbooks in use: every file of some folders, picked up when edited, and the last good version of a broken one."""

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from config.catalogue import Service
from runbooks.folder import Folder, Placed, shadowed
from runbooks.model import Problem, Runbook
from runbooks.parse import Parsed, parse
from runbooks.resolve import applies
from runbooks.source import Entry, RefusedError, Stamp, Tree, find, read, tree_of

_GONE = "its runbooks stay as they were; bring it back or take it out of the configuration"
_MISSING = "`pagerunner runbooks sync` says why, and loads it when it can; a running server tries by itself"
__all__ = ["Broken", "Check", "Folder", "Placed", "Shelf", "ShelfChange"]

Check = Callable[[Parsed], Sequence[Problem]]
"""Further checks of a file, such as ``lint`` with the registries bound: an ``error`` keeps the file out of use."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A file that cannot be used as it is now."""

    folder: Folder
    file: str
    problems: tuple[Problem, ...]
    """Its errors."""
    kept: Runbook | None
    """Its last good version, which stays in use; None if none is known."""


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
    broken: tuple[Broken, ...] = ()
    """The files behind those errors, whether new or not."""

    def __bool__(self) -> bool:
        return bool(self.changed or self.removed)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shelved:
    """What is known of one file: how it was last seen, and its last good version."""

    stamp: Stamp | None
    good: Runbook | None
    problems: tuple[Problem, ...] = ()
    broken: bool = False


_Key = tuple[int, str]
"""Number of the folder, and name in it: the same file in every tree of a repository."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _State:
    files: Mapping[_Key, _Shelved] = field(default_factory=dict)
    placed: tuple[Placed, ...] = ()
    """In order of id; of several with one id the one for everybody first."""
    every: tuple[Placed, ...] = ()
    """Also those that another takes the place of."""
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

    def shadowed(self) -> Sequence[tuple[Placed, Placed]]:
        """Each runbook that another takes the place of, for some services or for all, and that other one."""
        return shadowed(self._state.every)

    @property
    def placed(self) -> Sequence[Placed]:
        """Every runbook in use with where it stands, in order of id."""
        return self._state.placed

    @property
    def folders(self) -> Sequence[Folder]:
        """From the most general to the most special."""
        return self._folders

    @property
    def problems(self) -> tuple[Problem, ...]:
        """What is wrong with the files as they were last seen."""
        return self._state.problems

    def refresh(self) -> ShelfChange:
        """Look at the folders again and read what changed. Never raises for a file or folder: those are problems."""
        with self._refreshing:
            before = self._state
            files: dict[_Key, _Shelved] = {}
            found: list[Placed] = []
            problems: list[Problem] = []
            for number, folder in enumerate(self._folders):
                here, trouble = self._read_folder(number, folder, before)
                files.update(here)
                problems += trouble
                good, clashes = _by_id([file.good for file in here.values() if file.good], before)
                problems += [*clashes, *_shadowed(found, good, folder)]
                found += [Placed(book=book, folder=folder, number=number) for book in good.values()]
            problems += [problem for file in files.values() for problem in file.problems]
            used = [one for one in found if not any(other.hides(one) for other in found)]
            used.sort(key=lambda one: (one.book.id, tuple(-part for part in one.rank(""))))
            self._state = now = _State(files=files, placed=tuple(used), every=tuple(found), problems=tuple(problems))
            return self._change(before, now)

    def _change(self, before: _State, now: _State) -> ShelfChange:
        ids, known = ({placed.book.id: None for placed in state.placed} for state in (now, before))
        broken = [
            Broken(folder=self._folders[number], file=name, kept=file.good,
                   problems=tuple(one for one in file.problems if one.severity == "error"))
            for (number, name), file in now.files.items() if file.broken
        ]  # fmt: skip
        return ShelfChange(
            changed=tuple(i for i in ids if now.versions(i) != before.versions(i)),
            removed=tuple(i for i in known if i not in ids),
            kept=tuple(sorted({one.kept.id for one in broken if one.kept})),
            problems=now.problems,
            broken=tuple(broken),
        )

    def _read_folder(
        self, number: int, folder: Folder, before: _State
    ) -> tuple[dict[_Key, _Shelved], list[Problem]]:  # fmt: skip
        try:
            tree = tree_of(folder.path, pinned=folder.git is not None)
            entries = list(find(tree.root))
        except OSError as error:
            # A folder that went away, such as an unmounted volume, must not take its runbooks down with it.
            new = folder.git is not None and not folder.path.exists()
            told = "was not loaded yet" if new else f"cannot be listed: {error.strerror or error}"
            problem = Problem(
                file=str(folder.path),
                line=1,
                column=1,
                rule="unreadable-folder",
                message=told,
                suggestion=_MISSING if folder.git else _GONE,
            )
            return {key: file for key, file in before.files.items() if key[0] == number}, [problem]
        keys = {(number, entry.name): entry for entry in entries}
        return {key: self._read_file(entry, tree, folder, before.files.get(key)) for key, entry in keys.items()}, []

    def _read_file(self, entry: Entry, tree: Tree, folder: Folder, known: _Shelved | None) -> _Shelved:
        try:
            stamp, data = read(entry, tree.root, known=known.stamp if known else None)
        except RefusedError as refused:
            return _broken(known or self._earlier(entry, tree, folder), None, (_shown(refused.problem, entry, folder),))
        if data is None:
            assert known is not None
            return known
        book, problems = self._parsed(data, entry, tree, folder)
        if book is None:
            return _broken(known or self._earlier(entry, tree, folder), stamp, problems)
        return _Shelved(stamp=stamp, good=book, problems=problems)

    def _parsed(
        self, data: bytes, entry: Entry, tree: Tree, folder: Folder
    ) -> tuple[Runbook | None, tuple[Problem, ...]]:
        parsed = parse(data, str(folder.path / entry.name))
        problems = tuple(self._check(parsed)) if self._check else parsed.problems
        if parsed.runbook is None or any(problem.severity == "error" for problem in problems):
            return None, problems
        book = replace(parsed.runbook, origin=folder.origin(entry.name, tree.commit))
        return book if folder.may_act else replace(book, executable=False, probes=(), actions=()), problems

    def _earlier(self, entry: Entry, tree: Tree, folder: Folder) -> _Shelved | None:
        """The last good version of a file of a repository that this process has not seen well: from the trees that
        were in use before."""
        for older in tree.older:
            try:
                _, data = read(Entry(name=entry.name, path=older.root / entry.name), older.root)
            except RefusedError:
                continue
            book, _ = self._parsed(data or b"", entry, older, folder)
            if book is not None:
                return _Shelved(stamp=None, good=book)
        return None


def _broken(known: _Shelved | None, stamp: Stamp | None, problems: tuple[Problem, ...]) -> _Shelved:
    return _Shelved(stamp=stamp, good=known.good if known else None, problems=problems, broken=True)


def _shown(problem: Problem, entry: Entry, folder: Folder) -> Problem:
    """With the name under which people find the file, whichever tree it was read from."""
    return replace(problem, file=str(folder.path / entry.name))


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


def _shadowed(earlier: Sequence[Placed], later: Mapping[str, Runbook], folder: Folder) -> list[Problem]:
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
