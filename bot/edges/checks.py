"""What a start needs of this machine: folder, lock, database, search index, model, port. Looks, and changes nothing."""

import fcntl
import os
import shutil
import socket
import sqlite3
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import httpx
from sqlalchemy.exc import DatabaseError

from bot.edges.database import Database, SchemaMismatch
from bot.edges.schema import VERSION
from bot.edges.web_deps import refuse_unsafe_bind
from bot.ports import StorageDown
from knowledge.embedder import PACKAGED_SUMS, EmbedderError, packaged_folder, verify_model
from knowledge.index_check import Manifest, persisted_function

LEAST_FREE_BYTES = 500_000_000
SHOWN = 5
_SOUND_WAL = (3, 51, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """One thing that was looked at: how it is, and what to do if it is not well."""

    name: str
    state: Literal["ok", "problem", "not checked"]
    detail: str
    fix: str = ""


def ok(name: str, detail: str) -> Check:
    """It is as it should be."""
    return Check(name=name, state="ok", detail=detail)


def problem(name: str, detail: str, fix: str) -> Check:
    """A start would fail, or something would not work."""
    return Check(name=name, state="problem", detail=detail, fix=fix)


def not_checked(name: str, detail: str, fix: str = "") -> Check:
    """It is switched off, or something else has to be mended first."""
    return Check(name=name, state="not checked", detail=detail, fix=fix)


def listed(names: Sequence[str]) -> str:
    """The first few names, and how many more there are."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more


def data_folder(folder: Path) -> Check:
    """Whether the data folder is ours, private, and has room."""
    name = "data folder"
    try:
        if not folder.exists():
            return _can_be_made(name, folder)
        if not folder.is_dir():
            return problem(name, f"{folder} is not a folder", "set 'data' to a folder of its own")
        if folder.stat().st_uid != os.geteuid():
            return problem(
                name, f"{folder} belongs to another user", "run as its owner, or set 'data' to another folder"
            )
        readable = sorted(str(path) for path in _everything(folder) if path.lstat().st_mode & 0o077)
        free = shutil.disk_usage(folder).free
    except OSError as error:
        return problem(name, f"{folder} cannot be looked at: {error}", "check it and its mode, and who runs this")
    if readable:
        return problem(name, f"others can read or write {listed(readable)}", f"chmod -R go-rwx {folder}")
    if free < LEAST_FREE_BYTES:
        return problem(name, f"{free // 1_000_000} MB are left on the disk of {folder}", "make room: at least 500 MB")
    return ok(name, f"{folder} is private, {free // 1_000_000_000} GB free")


def _can_be_made(name: str, folder: Path) -> Check:
    parent = next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        return problem(name, f"{folder} cannot be made: {parent} is not writable", "set 'data' to another folder")
    return ok(name, f"{folder} will be made at the first start")


def _everything(folder: Path) -> Iterator[Path]:
    """The folder and all below it, behind no symbolic links; the links themselves have no mode of their own."""
    yield folder
    for here, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(here) / name
            if not stat.S_ISLNK(path.lstat().st_mode):
                yield path


def running(folder: Path) -> Check:
    """Whether another Pagerunner holds the folder; if one does, whether it answers."""
    name = "lock"
    try:
        held = _held(folder / "lock")
    except OSError as error:
        return problem(name, f"{folder / 'lock'} cannot be opened: {error}", "check its owner and mode")
    if not held:
        return ok(name, "no other Pagerunner runs on this folder")
    try:
        address = (folder / "address").read_text("ascii").strip()
        httpx.get(f"{address}/healthz", timeout=5, trust_env=False).raise_for_status()
    except (OSError, UnicodeDecodeError, httpx.HTTPError, httpx.InvalidURL) as error:
        detail = f"a process holds {folder / 'lock'} and does not answer ({type(error).__name__})"
        return problem(name, detail, "it may be starting; otherwise find it with `fuser` on that file, and stop it")
    return ok(name, f"a Pagerunner runs here and answers at {address}")


def _held(path: Path) -> bool:
    """Whether somebody holds the lock. Taken shared, for a moment, and only if the file is there."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


def listening(host: str, port: int, *, trust_network: bool, serving: bool) -> Check:
    """Whether the server may listen there, and whether the port is free."""
    name = "listening"
    try:
        refuse_unsafe_bind(host, has_auth=trust_network)
    except ValueError:
        detail = f"{host} can be reached by others"
        fix = "set 'host' to 127.0.0.1 behind your reverse proxy, or 'trust_network' once TLS stands before it"
        return problem(name, detail, fix)
    if serving or not port:
        return ok(name, f"on {host}, " + ("by the running server" if serving else "on any free port"))
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            return problem(name, f"{host}:{port}: {error.strerror or error}", "stop what listens there, or set 'port'")
    return ok(name, f"{host}:{port} is free")


def database(path: Path) -> Check:
    """Whether the database opens, has our schema version, and is whole."""
    name = "database"
    if not path.exists():
        return ok(name, f"{path} will be made at the first start, schema version {VERSION}")
    opened = Database(path, read_only=True)
    try:
        opened.open()
        found = opened.run_now(lambda c: c.exec_driver_sql("PRAGMA quick_check(3)").scalars().all())
    except (StorageDown, SchemaMismatch) as error:
        return problem(name, str(error), "restore it from a backup, or set 'data' to an empty folder")
    except DatabaseError as error:
        return problem(name, f"{path} is damaged: {error.orig}", "restore it from a backup")
    finally:
        opened.close()
    if list(found) != ["ok"]:
        return problem(name, f"{path} is damaged: {'; '.join(map(str, found))[:200]}", "restore it from a backup")
    return ok(name, f"{path} opens, schema version {VERSION}")


def sqlite(version: tuple[int, ...] = sqlite3.sqlite_version_info) -> Check:
    """Which SQLite this is. An old one is no problem for us, and may be one for tools beside us."""
    told = ".".join(map(str, version))
    if version >= _SOUND_WAL:
        return ok("SQLite", told)
    return ok("SQLite", f"{told}: one connection writes, which the WAL flaw of versions before 3.51.3 cannot meet; "
                        "let no other program write to the database")  # fmt: skip


def search_index(folder: Path) -> Check:
    """Whether the search index may be opened: it must name no code to run."""
    name = "search index"
    if not folder.exists():
        return ok(name, f"{folder} will be built at the first start")
    fault = persisted_function(folder / "chroma" / "chroma.sqlite3")
    if fault:
        return problem(name, f"{folder}: {fault}", "a start moves it aside and builds a new one; ask who wrote to it")
    manifest = Manifest.read(folder / "manifest.json")
    if manifest is None:
        return ok(name, f"{folder} has no finished index; it will be built")
    return ok(name, f"{folder} holds {manifest.count} passages, made with {manifest.model}")


def embedder(folder: Path | None) -> Check:
    """Whether the embedding model's files are the ones that are known."""
    name = "embedding model"
    try:
        where = folder or packaged_folder()
        sums = verify_model(where, PACKAGED_SUMS if folder is None else None)
    except EmbedderError as error:
        return problem(name, str(error), "until then, search is by words alone")
    return ok(name, f"{where.name}: {len(sums)} files have their known SHA-256")
