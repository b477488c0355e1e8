"""The clock's hands: APScheduler calls each tick in memory; a missed or doubled one is harmless."""

import logging
from collections.abc import Awaitable, Callable
from typing import Any

from bot.ports import StorageDown

log = logging.getLogger(__name__)

Tick = Callable[[], Awaitable[object]]


class Ticks:
    """Calls coroutines at intervals, one call of each at a time."""

    def __init__(self) -> None:
        self._ticks: dict[str, tuple[float, Tick]] = {}
        self._scheduler: Any = None

    def every(self, seconds: float, tick: Tick, *, name: str) -> None:
        """Call ``tick`` every so many seconds. While the database is down it is left out, loudly."""

        async def run() -> None:
            try:
                await tick()
            except StorageDown as error:
                log.error("tick %s left out: %s", name, error)

        self._ticks[name] = (seconds, run)

    def start(self) -> None:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - only a server that runs ticks

        # A memory store on purpose: what is due stands in our own rows, and a stored job would fire twice or get lost.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)
        for name, (seconds, run) in self._ticks.items():
            self._scheduler.add_job(run, "interval", seconds=seconds, id=name)
        self._scheduler.start()

    def stop(self) -> None:
        if self._scheduler is not None:
            self._scheduler.shutdown(wait=False)
