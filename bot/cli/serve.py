"""``pagerunner serve``: one process that accepts, investigates, asks, acts and tells."""

import asyncio
import contextlib
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.local import WRONG, catalogue, fail, settings
from bot.domain.faults import FaultPoint, no_fault
from config.catalogue import Catalogue
from config.settings import Settings

if TYPE_CHECKING:
    import uvicorn

    from bot.cli.assembly import Built
    from bot.edges.database import Database

log = logging.getLogger("pagerunner.serve")

RECEIVE_S, SWEEP_S, SHELF_S, DRAFTS_S = 1.0, 2.0, 2.0, 2.0
HOME_S = 20.0
UPDATES_S = 10.0
NAMES_S = 1.0
AUTHORS_S = 15.0
REMEMBER_S = 600.0
PURGE_S = 3_600.0
"""Once a day would do; a server that is started anew every day would never come to it."""


@click.command(name="serve")
@click.option("--config", type=click.Path(path_type=Path), help="Configuration file; default: PAGERUNNER_CONFIG.")
@click.option("--role", type=click.Choice(["all"]), default="all", show_default=True, help="What this process does.")
def command(config: Path | None, role: str) -> None:  # noqa: ARG001 - one role until there is a database to share
    """Run Pagerunner until it is told to stop (SIGTERM or Ctrl-C)."""
    chosen = settings(config)
    start(chosen, catalogue(chosen))


def start(chosen: Settings, declared: Catalogue, fault: FaultPoint = no_fault) -> None:
    """Run the server; ends with a message instead of a traceback for what an operator can mend."""
    # LangGraph reads this at import: checkpoints may hold plain data only.
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    os.umask(0o077)
    from bot.edges.database import SchemaMismatch  # noqa: PLC0415
    from bot.edges.jobs import AlreadyRunning  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    try:
        asyncio.run(Server(chosen, declared, fault).run())
    except (AlreadyRunning, CannotListen, SchemaMismatch, StorageDown) as error:
        fail(str(error))
    except ValueError as error:
        fail(str(error), WRONG)
    except KeyboardInterrupt:
        sys.exit(130)


class Server:
    """The process: what is opened in which order, and closed in the other."""

    def __init__(self, chosen: Settings, declared: Catalogue, fault: FaultPoint) -> None:
        self._settings = chosen
        self._catalogue = declared
        self._fault = fault
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Open, listen, and only then load what takes its time: a webhook is accepted within the first seconds."""
        from bot.edges.database import Database  # noqa: PLC0415
        from bot.edges.jobs import DataLock  # noqa: PLC0415

        data = self._settings.data
        data.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = DataLock(data)
        lock.acquire()
        database = Database(data / "pagerunner.sqlite")
        try:
            database.open()
            await self._serve(database)
        finally:
            (data / "address").unlink(missing_ok=True)
            database.close()
            lock.release()

    async def _serve(self, database: "Database") -> None:
        from bot.cli.assembly import assemble_server  # noqa: PLC0415
        from bot.edges.web import create_app, refuse_unsafe_bind  # noqa: PLC0415

        token = _token(self._settings.data / "token")
        refuse_unsafe_bind(self._settings.host, has_auth=self._settings.trust_network)
        built = assemble_server(self._settings, self._catalogue, database, token, self._fault, self._arrived.set)
        listener = _listen(self._settings.host, self._settings.port)
        address = f"http://{self._settings.host}:{listener.getsockname()[1]}"
        server = _uvicorn(create_app(built.web), self._settings)
        async with contextlib.AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            web = group.create_task(server.serve(sockets=[listener]))
            (self._settings.data / "address").write_text(address, "ascii")
            print(f"Pagerunner listens on {address}", flush=True)
            tasks = [group.create_task(_always(work)) for work in (self._drain(built), built.assistant.courier.run)]
            await built.load(stack)
            built.ticks.every(RECEIVE_S, self._tick_receive, name="receive")
            built.ticks.every(SWEEP_S, built.assistant.flow.sweep, name="sweep")
            built.ticks.every(DRAFTS_S, built.assistant.drafter.look, name="drafts")
            built.ticks.every(SHELF_S, built.refresh_runbooks, name="runbooks")
            built.ticks.every(UPDATES_S, built.assistant.comms.remind, name="updates")
            built.ticks.every(self._settings.runbooks_every_s, built.sync_libraries, name="libraries")
            built.ticks.every(AUTHORS_S, built.tell_authors, name="authors")
            built.ticks.every(REMEMBER_S, built.remember, name="memory")
            if built.slack is not None:
                built.ticks.every(HOME_S, built.slack.refresh_home, name="home")
                built.ticks.every(NAMES_S, built.refresh_names, name="names")
            built.ticks.every(PURGE_S, built.purge, name="purge")
            if self._settings.canary_tokens_per_hour:
                built.ticks.every(self._settings.baseline_every_s, built.record_baselines, name="baselines")
            built.ticks.start()
            print("Pagerunner is ready", flush=True)
            await web
            built.ticks.stop()
            for task in tasks:
                task.cancel()

    async def _tick_receive(self) -> None:
        self._arrived.set()

    def _drain(self, built: "Built") -> Callable[[], Awaitable[None]]:
        async def drain() -> None:
            """Single-flight: batches are understood one after the other, woken by arrivals and by the tick."""
            await self._arrived.wait()
            self._arrived.clear()
            while await built.assistant.flow.receive():
                built.assistant.courier.poke()

        return drain


class CannotListen(Exception):
    """The address is taken, or not ours."""


def _listen(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), reuse_port=False)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error  # resolvers have numbers below 0
        raise CannotListen(
            f"Cannot listen on {host}:{port}: {why}. Stop what uses it, or choose another address "
            "with the settings host and port (PAGERUNNER_HOST, PAGERUNNER_PORT)."
        ) from error


async def _always(work: Callable[[], Awaitable[None]]) -> None:
    """Keep a loop going: what the database cannot do now is tried again, and anything else ends the process."""
    from bot.ports import StorageDown  # noqa: PLC0415

    while True:
        try:
            await work()
        except StorageDown as error:
            log.error("storage is down: %s", error)
            await asyncio.sleep(1)


def _uvicorn(app: object, chosen: Settings) -> "uvicorn.Server":
    import uvicorn  # noqa: PLC0415

    from bot.edges.guard import guarded_config  # noqa: PLC0415

    return uvicorn.Server(guarded_config(app, host=chosen.host, port=chosen.port))  # type: ignore[arg-type]


def _token(path: Path) -> str:
    """The API token of this installation, made at first start, readable by its owner alone."""
    with contextlib.suppress(FileExistsError):
        descriptor = os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(secrets.token_urlsafe(32))
    return path.read_text("ascii").strip()
