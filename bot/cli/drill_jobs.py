"""Drills in several processes. Each worker has a world of its own; they share nothing but the search index, which the
first one prepares. So neither their number nor the order changes a result.
"""

import contextlib
import multiprocessing
import os
import secrets
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

ENDS_WITHIN_S = 10.0
ONE_THREAD = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
"""Each process calculates in one thread: more would get into each other's way, and round in another order."""


class DrillFailed(Exception):
    """A drill that did not come to its end: which one, and why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """One drill that is to be played."""

    scenario: str
    seed: int
    what: Any
    """As :func:`bot.rehearsal.rehearse` takes it."""

    def __str__(self) -> str:
        return f"{self.scenario} seed {self.seed}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Played:
    """A drill with the referee's score."""

    wanted: Wanted
    result: dict[str, Any]
    took_s: float


def every_scenario() -> list[str]:
    """The names of all built-in scenarios: the world knows them."""
    from bot.rehearsal import World  # noqa: PLC0415

    world = World.start(secrets.token_hex(16))
    try:
        return list(world.ask("GET", "/scenarios")["scenarios"])
    finally:
        world.stop()


def played(wanted: Sequence[Wanted], jobs: int, *, words_only: bool = False) -> Iterator[Played]:
    """Each drill as it ends; with one job in this process and in order. Raises :class:`DrillFailed`."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    os.environ.update(dict.fromkeys(ONE_THREAD, "1"))
    jobs = min(jobs, len(wanted))
    with tempfile.TemporaryDirectory() as folder:
        if jobs > 1:
            with contextlib.closing(_Crew(jobs, Path(folder), words_only)) as crew:
                yield from crew.play(wanted)
        else:
            with _stage(Path(folder), words_only=words_only) as stage:
                for one in wanted:
                    yield _played(stage, one)


@contextlib.contextmanager
def _stage(folder: Path, *, words_only: bool) -> Iterator[Any]:
    from bot.cli.evaluate import stage_on  # noqa: PLC0415 - which asks for this module
    from bot.rehearsal import World  # noqa: PLC0415 - help must not wait for it

    world = World.start(secrets.token_hex(16))
    try:
        yield stage_on(world, folder, words_only=words_only)
    finally:
        world.stop()


def _played(stage: Any, one: Wanted) -> Played:
    from bot.cli.evaluate import START  # noqa: PLC0415
    from bot.rehearsal import rehearse  # noqa: PLC0415

    began = time.perf_counter()
    result = rehearse(stage, one.what, one.seed, START)
    return Played(wanted=one, result=result, took_s=time.perf_counter() - began)


# --- a worker --------------------------------------------------------------------------------------------------------


def _work(number: int, folder: Path, words_only: bool, line: Connection) -> None:
    """A worker's life: a stage, then one drill after the other, until the line is closed. The first worker's index is
    given to the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever started us ends us
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    own = folder / str(number)
    own.mkdir()
    if number and (folder / "index").exists():
        shutil.copytree(folder / "index", own / "index")
    try:
        with _stage(own, words_only=words_only) as stage, contextlib.suppress(EOFError):
            if number == 0:
                stage.librarian.close()
                if (own / "index").exists():
                    shutil.copytree(own / "index", folder / "index")
            line.send(stage.world.pid)
            while True:
                line.send(_played(stage, line.recv()))
    except Exception as error:  # noqa: BLE001 - whatever it is, the one who waits for the drill is told
        line.send(DrillFailed("".join(traceback.format_exception(error))))


@dataclass(slots=True)
class _Worker:
    process: Any
    line: Connection
    world: int = 0
    """Its world's process, once it is there."""
    drill: Wanted | None = None

    @property
    def doing(self) -> str:
        return str(self.drill) if self.drill is not None else "preparing"


@dataclass(slots=True)
class _Crew:
    """The workers, as the process that gives them their drills sees them."""

    jobs: int
    folder: Path
    words_only: bool
    workers: list[_Worker] = field(default_factory=list)

    def play(self, wanted: Sequence[Wanted]) -> Iterator[Played]:
        """Each drill as it ends."""
        left, missing = iter(wanted), len(wanted)
        self._hire()
        while missing:
            for worker in self._heard():
                told = self._answer(worker)
                worker.drill = next(left, None)
                if worker.drill is not None:
                    with contextlib.suppress(BrokenPipeError):  # its end is what is heard of it next
                        worker.line.send(worker.drill)
                if isinstance(told, Played):
                    missing -= 1
                    yield told
                else:
                    worker.world = told
                    while len(self.workers) < self.jobs:  # the index is there now
                        self._hire()

    def _hire(self) -> None:
        spawn = multiprocessing.get_context("spawn")
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=_work, args=(len(self.workers), self.folder, self.words_only, theirs))
        process.start()
        theirs.close()
        self.workers.append(_Worker(process=process, line=ours))

    def _heard(self) -> list[_Worker]:
        """The workers that have something to tell, or have ended."""
        ready = wait([worker.line for worker in self.workers])
        return [worker for worker in self.workers if worker.line in ready]

    def _answer(self, worker: _Worker) -> "Played | int":
        try:
            told: Played | int | DrillFailed = worker.line.recv()
        except (EOFError, ConnectionResetError):
            worker.process.join(ENDS_WITHIN_S)
            code = worker.process.exitcode
            raise DrillFailed(
                f"{worker.doing}: its process ended with code {code}; run it alone with --jobs 1"
            ) from None
        if isinstance(told, DrillFailed):
            raise DrillFailed(f"{worker.doing} failed:\n{told}")
        return told

    def close(self) -> None:
        """End all workers and their worlds, whatever they do."""
        for worker in self.workers:
            worker.line.close()
            if worker.drill is not None or not worker.world:
                worker.process.terminate()
        for worker in self.workers:
            worker.process.join(ENDS_WITHIN_S)
            if worker.process.is_alive():
                worker.process.kill()
                worker.process.join()
            if worker.process.exitcode and worker.world:  # it may not have come to ending its world
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.world, signal.SIGTERM)
