"""The clock's hands: APScheduler calls each tick in memory; a missed or doubled one is harmless."""

import logging
from collections.abc import Awaitable, Callable

from bot.ports import StorageDown

log = logging.getLogger(__name__)

Tick = Callable[[], Awaitable[object]]


class Ticks:
    """Calls coroutines at intervals, one call of each at a time."""

    def __init__(self) -> None:
        from apscheduler.schedulers.asyncio import AsyncIOScheduler  # noqa: PLC0415 - only servers tick

        # A memory store on purpose: what is due stands in our own rows, and a stored job would fire twice or get lost.
        defaults = {"coalesce": True, "max_instances": 1, "misfire_grace_time": None}
        self._scheduler = AsyncIOScheduler(timezone="UTC", job_defaults=defaults)

    def every(self, seconds: float, tick: Tick, *, name: str) -> None:
        """Call ``tick`` every so many seconds. While the database is down it is left out, loudly."""

        async def run() -> None:
            try:
                await tick()
            except StorageDown as error:
                log.error("tick %s left out: %s", name, error)

        self._scheduler.add_job(run, "interval", seconds=seconds, id=name)

    def start(self) -> None:
        self._scheduler.start()

    def stop(self) -> None:
        self._scheduler.shutdown(wait=False)
