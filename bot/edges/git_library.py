"""A runbook library in a Git repository, kept on this disk: resolved, fetched, written out whole, then taken into use.

``current`` leads to the tree in use, and changes in one step. Whatever fails leaves it as it was, and is remembered in
``state.json`` for whoever asks how old it is: another process, too, and a start without a network.
"""

import contextlib
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.edges.git import MAX_PACK, GitError, Remote, remote
from bot.edges.git_tree import Place, commit, has_folder, write_out
from config.library import COMMIT, GitSource, checked_revision, transport

LOOK_S = 30.0
"""For a look at branches and tags."""
TREES_KEPT = 3
"""Beside those that something in use comes from."""
_REPOSITORY_MAX = 2 * MAX_PACK
_PACKS_MAX = 100
_NEW = "refs/pagerunner/new"
_FETCH = ("fetch", "--quiet", "--no-tags", "--no-recurse-submodules", "--no-auto-maintenance", "--no-write-fetch-head",
          "--force")  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class LibraryState:
    """How a library in Git stands. Times are ISO, empty before the first."""

    commit: str = ""
    """Of the tree in use; empty before the first was loaded."""
    followed: str = ""
    """The branch or tag that it was found by, as it was configured then."""
    loaded_at: str = ""
    reached_at: str = ""
    """When the repository last answered."""
    problem: str = ""
    """Why the last try did not end well; what is in use is what was before."""
    problem_since: str = ""
    left_out: tuple[str, ...] = ()
    """Files of the tree that were not written out, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Resolved:
    """What a revision means now."""

    ref: str
    """What to ask the repository for."""
    commit: str


class GitLibrary:
    """One repository below the data folder. Each call is slow and may be made from a thread; one at a time."""

    def __init__(self, source: GitSource, name: str, data: Path, *, token: str = "") -> None:
        # Another repository or folder is another place: nothing of what was trusted before is served as the new one.
        what = hashlib.sha256(f"{source.git}\0{source.path}".encode()).hexdigest()[:10]
        self.source = source
        self.name = name
        self.folder = data / "libraries" / f"{name}-{what}"
        self._remote = Remote(address=source.git, transport=transport(source.git), token=token)

    @property
    def current(self) -> Path:
        """A link to the tree in use; not there before the first was loaded."""
        return self.folder / "current"

    def state(self) -> LibraryState:
        """As it was last left, by this process or another."""
        try:
            in_use = self.current.readlink().name
        except OSError:
            in_use = ""
        try:
            read: dict[str, Any] = json.loads((self.folder / "state.json").read_text("utf-8"))
            known = {key: value for key, value in read.items() if key in LibraryState.__slots__}
            state = LibraryState(**{**known, "left_out": tuple(known.get("left_out", ()))})
        except (OSError, ValueError, TypeError):
            state = LibraryState()
        return replace(state, commit=in_use)  # They differ when a crash came in between.

    def update(self, now: datetime) -> LibraryState:
        """Look, and take what is new into use; never raises for what Git or the repository does."""
        self._make()
        with self._alone() as alone:
            before = self.state()
            if not alone:  # Another process is at it.
                return before
            try:
                after = self._newest(before, now)
            except (GitError, OSError) as error:
                same = before.problem == str(error)
                after = replace(before, problem=str(error), problem_since=before.problem_since if same else _iso(now))
            if after != before:
                self._remember(after)
        return after

    def look(self) -> Resolved:
        """What the revision means now, by the repository itself. Raises :class:`GitError`."""
        return self.resolve(self.source.revision)

    def resolve(self, revision: str) -> Resolved:
        """What a branch, tag or commit id means now. A name that is both a branch and a tag is refused: whoever may
        push one of them could take the other's place."""
        if COMMIT.fullmatch(revision):
            return Resolved(ref=revision, commit=revision)
        patterns = [revision] if revision == "HEAD" or revision.startswith("refs/") else [
            f"refs/heads/{revision}", f"refs/tags/{revision}"]  # fmt: skip
        wanted = [*patterns, *(f"{one}^{{}}" for one in patterns)]
        done = remote(None, self._remote, "ls-remote", "--", self.source.git, *wanted, most=8_000_000, seconds=LOOK_S)
        if done.code:
            raise GitError(f"{self.source.git} cannot be reached: {done.told or 'git gave no reason'}")
        rows = [line.split("\t", 1) for line in done.output.decode("utf-8", "replace").splitlines() if "\t" in line]
        found = {ref: id_ for id_, ref in rows if COMMIT.fullmatch(id_)}
        named = [ref for ref in patterns if ref in found]
        if len(named) > 1:
            raise GitError(f"{revision!r} is a branch and a tag of {self.source.git}; write refs/heads/{revision} or "
                           f"refs/tags/{revision}")  # fmt: skip
        if not named:
            raise GitError(f"{self.source.git} has no branch or tag {revision!r}; correct 'revision'")
        return Resolved(ref=named[0], commit=found.get(f"{named[0]}^{{}}", found[named[0]]))

    def write_at(self, revision: str, below: Path) -> Path:
        """Write the library as it was at another revision into a folder below, called as its commit. What is in use
        stays. Raises :class:`GitError`."""
        self._make()
        with self._alone(wait=True):
            known = self.folder / "trees" / revision
            if COMMIT.fullmatch(revision) and known.is_dir():
                return Path(shutil.copytree(known, below / revision))
            try:
                wanted = checked_revision(revision)
            except ValueError as error:
                raise GitError(f"{self.name}: {revision!r}: {error}") from error
            found = self._fetch(self.resolve(wanted))
            self._write(found, below / found)
            return below / found

    def forget(self, in_use: Collection[str]) -> None:
        """Remove trees of long ago, except the current one and those that something in use comes from."""
        with self._alone() as alone:
            trees = self._trees() if alone else []
            current = self.state().commit
            old = [tree for tree in trees if tree.name != current and tree.name not in in_use]
            for tree in old[TREES_KEPT:]:
                shutil.rmtree(tree, ignore_errors=True)

    # --- private -----------------------------------------------------------------------------------------------------

    def _make(self) -> None:
        for folder in (*reversed(self.folder.parents[:2]), self.folder):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def _newest(self, before: LibraryState, now: datetime) -> LibraryState:
        wanted = self.look()
        well = replace(before, reached_at=before.reached_at if self.source.pinned else _iso(now),
                       followed=self.source.revision, problem="", problem_since="")  # fmt: skip
        if wanted.commit == before.commit:
            return well
        found = self._fetch(wanted)
        if found == before.commit:
            return replace(well, reached_at=_iso(now))
        left_out = self._take(found)
        return replace(well, commit=found, loaded_at=_iso(now), reached_at=_iso(now), left_out=left_out)

    def _fetch(self, wanted: Resolved) -> str:
        """Bring the files of this revision here, without history; the commit that really came, which is newer than what
        was looked up if somebody pushed in between."""
        repository = self._repository()
        to = (*_FETCH, "--depth=1", "--", self.source.git, f"+{wanted.ref}:{_NEW}")
        done = remote(repository, self._remote, *to)
        if done.code and "shallow" in done.told:  # A repository that is shallow itself may refuse; try it whole.
            done = remote(repository, self._remote, *(word for word in to if word != "--depth=1"))
        if done.code:
            raise GitError(f"{self.source.git}: {wanted.ref} cannot be fetched: {self._why(done.told, wanted)}")
        found = commit(Place(top=repository, inside=""), _NEW)
        if COMMIT.fullmatch(wanted.ref) and found != wanted.ref:
            raise GitError(f"{self.source.git} sent commit {found[:12]}, not {wanted.ref[:12]}; nothing was changed")
        return found

    def _why(self, told: str, wanted: Resolved) -> str:
        if "not our ref" in told or "unadvertised object" in told or "no such remote ref" in told:
            return f"it does not give away commit {wanted.commit[:12]}; name a branch or a tag that holds it"
        if "File too large" in told or "Out of memory" in told:
            return f"it is larger than {MAX_PACK:,} bytes; keep runbooks in a repository of their own"
        return told or "git gave no reason"

    def _repository(self) -> Path:
        """The bare repository, made anew when it has grown too large: nothing in it is dear."""
        where = self.folder / "repository.git"
        packs = list((where / "objects" / "pack").glob("*.pack")) if where.is_dir() else []
        if len(packs) > _PACKS_MAX or sum(pack.stat().st_size for pack in packs) > _REPOSITORY_MAX:
            shutil.rmtree(where)
        if not (where / "HEAD").is_file():
            shutil.rmtree(where, ignore_errors=True)
            done = remote(None, self._remote, "init", "--quiet", "--bare", "--template=", "--", str(where))
            if done.code:
                raise GitError(f"{where} cannot be made: {done.told}")
        for lock in (
            *where.glob("*.lock"),
            *where.glob("refs/pagerunner/*.lock"),
        ):  # Ours alone: what a crash left behind.
            lock.unlink(missing_ok=True)
        return where

    def _take(self, found: str) -> tuple[str, ...]:
        """Write the tree beside the one in use, and lead ``current`` to it; what was left out."""
        trees = self.folder / "trees"
        trees.mkdir(mode=0o700, exist_ok=True)
        for stray in trees.glob(".new-*"):
            shutil.rmtree(stray, ignore_errors=True)
        made = Path(tempfile.mkdtemp(prefix=".new-", dir=trees))
        try:
            left_out = self._write(found, made)
            if (trees / found).is_dir():  # Of before: it holds the same.
                os.utime(trees / found)
            else:
                made.replace(trees / found)
        finally:
            shutil.rmtree(made, ignore_errors=True)
        link = self.folder / ".current"
        link.unlink(missing_ok=True)
        link.symlink_to(f"trees/{found}")
        link.replace(self.current)
        return left_out

    def _write(self, found: str, into: Path) -> tuple[str, ...]:
        where = Place(top=self.folder / "repository.git", inside=self.source.path)
        if not has_folder(where, found):
            raise GitError(f"{self.source.git} has no folder {self.source.path!r} at {found[:12]}; correct 'path'")
        written = write_out(where, found, into)
        if not written.files:
            below = f" below {self.source.path!r}" if self.source.path else ""
            raise GitError(
                f"{self.source.git} has no Markdown file{below} at {found[:12]}; correct 'path' or 'revision'"
            )
        return written.left_out

    def _trees(self) -> list[Path]:
        """Newest first."""
        trees = [tree for tree in (self.folder / "trees").glob("*") if COMMIT.fullmatch(tree.name)]
        return sorted(trees, key=lambda tree: tree.stat().st_mtime_ns, reverse=True)

    def _remember(self, state: LibraryState) -> None:
        path = self.folder / ".state.json"
        with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY | os.O_NOFOLLOW, 0o600), "w") as file:
            json.dump(asdict(state), file)
        path.replace(self.folder / "state.json")

    @contextlib.contextmanager
    def _alone(self, *, wait: bool = False) -> Iterator[bool]:
        """Whether no other process works on it; held meanwhile."""
        if not self.folder.is_dir():
            yield False
            return
        handle = os.open(self.folder / "lock", os.O_CREAT | os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
            except BlockingIOError:
                yield False
                return
            yield True
        finally:
            os.close(handle)


def _iso(now: datetime) -> str:
    return now.isoformat(timespec="seconds")
