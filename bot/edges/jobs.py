"""Durable dispatch through DBOS: this is the only file that knows it.

Investigations and mitigations of one incident run one at a time (a partition each); everything else has a queue of its
own. A workflow is one step that may run again, because every verb of the flow may.
"""

import asyncio
import fcntl
import os
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from bot.domain.faults import FaultPoint

Handler = Callable[[str, Mapping[str, str]], Awaitable[None]]
"""Runs a job of a kind with its arguments."""

_VERSION = "1"
_TICKS = "ticks"


def queue_of(kind: str) -> str:
    """The queue of a kind of job. Of one incident, ``incidents`` and ``checks`` each run one job at a time: looking,
    acting and undoing never overlap, and no verification reads its probes while another one does."""
    queues = {"investigate": "incidents", "mitigate": "incidents", "revert": "incidents", "verify": "checks",
              "probe": "checks"}  # fmt: skip
    return queues.get(kind, _TICKS)


_REMEMBERED = 5_000
FORGOTTEN_AT_ONCE = 5_000


class AlreadyRunning(Exception):
    """Another Pagerunner holds this data folder."""


class DataLock:
    """One process a data folder: two would run each other's jobs again."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "lock"
        self._file: int | None = None

    def acquire(self) -> None:
        self._file = os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._file)
            self._file = None
            raise AlreadyRunning(f"{self._path}: another Pagerunner runs on this data folder; stop it first") from None

    def release(self) -> None:
        if self._file is not None:
            os.close(self._file)
            self._file = None


class DurableJobs:
    """See :class:`bot.ports.Jobs`."""

    def __init__(self, path: Path, handle: Handler, fault: FaultPoint, *, poll_s: float = 0.1) -> None:
        self._url = f"sqlite:///{path}"
        self._path = path
        self._handle = handle
        self._fault = fault
        self._poll_s = poll_s
        self._dbos: Any = None
        self._started = asyncio.Event()
        self._queued: dict[str, None] = {}

    async def start(self) -> None:
        """Launch inside the running loop, so that steps run on it; interrupted jobs of this folder start again."""
        from dbos import DBOS, DBOSPortableJSONSerializer  # noqa: PLC0415 - half a second that only a server needs

        os.close(os.open(self._path, os.O_CREAT | os.O_RDWR, 0o600))
        handle = self._handle

        DBOS(
            config={
                "name": "pagerunner", "system_database_url": self._url, "executor_id": "embedded",
                "application_version": _VERSION, "log_level": "ERROR",
                "serializer": DBOSPortableJSONSerializer(),
            }
        )  # fmt: skip

        @DBOS.step(name="perform", retries_allowed=True, max_attempts=5, interval_seconds=1, backoff_rate=2)
        async def perform(kind: str, arguments: dict[str, str]) -> None:
            await handle(kind, arguments)

        @DBOS.workflow(name="job", max_recovery_attempts=20)
        async def job(kind: str, arguments: dict[str, str]) -> None:
            await perform(kind, arguments)

        DBOS.launch()
        self._dbos, self._job = DBOS, job
        # People wait for the first queue; the others are filled by ticks. Every look costs about a millisecond. On
        # PostgreSQL a partitioned queue needs global_concurrency too, to be claimed in a serializable transaction.
        seldom = 3 * self._poll_s
        await DBOS.register_queue_async(
            "incidents", partition_concurrency=1, worker_concurrency=8, polling_interval_sec=self._poll_s
        )
        await DBOS.register_queue_async(
            "checks", partition_concurrency=1, worker_concurrency=8, polling_interval_sec=seldom
        )
        await DBOS.register_queue_async(_TICKS, worker_concurrency=8, polling_interval_sec=seldom)
        self._started.set()

    @property
    def started(self) -> bool:
        """Whether jobs are taken."""
        return self._started.is_set()

    def stop(self) -> None:
        if self._dbos is not None:
            self._dbos.destroy(workflow_completion_timeout_sec=0)
            self._dbos = None

    async def forget(self, before: datetime) -> None:
        """Take out jobs of before then that have ended. A key is permanent no longer than that; rows decide what is
        done."""
        ended = await self._dbos.list_workflows_async(
            status=["SUCCESS", "ERROR", "CANCELLED", "MAX_RECOVERY_ATTEMPTS_EXCEEDED"], end_time=before.isoformat(),
            limit=FORGOTTEN_AT_ONCE, load_input=False, load_output=False,
        )  # fmt: skip
        if ended:
            await self._dbos.delete_workflows_async([one.workflow_id for one in ended])

    async def submit(self, kind: str, key: str, incident_id: str | None, arguments: Mapping[str, str]) -> None:
        """Waits for :meth:`start`. A key that this process has queued already costs nothing: it stands in the file."""
        if key in self._queued:
            return
        await self._started.wait()
        from dbos import SetEnqueueOptions, SetWorkflowID  # noqa: PLC0415

        queue = queue_of(kind)
        with SetWorkflowID(key):
            if queue != _TICKS and incident_id is not None:
                with SetEnqueueOptions(queue_partition_key=incident_id):
                    await self._dbos.enqueue_workflow_async(queue, self._job, kind, dict(arguments))
            else:
                await self._dbos.enqueue_workflow_async(_TICKS, self._job, kind, dict(arguments))
        self._queued[key] = None
        while len(self._queued) > _REMEMBERED:
            del self._queued[next(iter(self._queued))]
