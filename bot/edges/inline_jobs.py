"""Dispatch inside this process, for drills: the same order and the same once-for-a-key, without surviving it."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping

from bot.edges.jobs import queue_of


class InlineJobs:
    """See :class:`bot.ports.Jobs`."""

    def __init__(self, handle: Callable[[str, Mapping[str, str]], Awaitable[None]]) -> None:
        self._handle = handle
        self._known: set[str] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._turns: dict[str, asyncio.Lock] = {}

    async def submit(self, kind: str, key: str, incident_id: str | None, arguments: Mapping[str, str]) -> None:
        if key in self._known:
            return
        self._known.add(key)
        task = asyncio.create_task(self._run(kind, incident_id, arguments))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def idle(self) -> None:
        """Until everything submitted has ended. Raises what a job raised."""
        while self._tasks:
            await asyncio.gather(*self._tasks)

    async def drop(self) -> None:
        """Give up whatever still runs."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    @property
    def busy(self) -> bool:
        return bool(self._tasks)

    async def _run(self, kind: str, incident_id: str | None, arguments: Mapping[str, str]) -> None:
        async with self._turns.setdefault(f"{queue_of(kind)}:{incident_id or kind}", asyncio.Lock()):
            await self._handle(kind, arguments)
