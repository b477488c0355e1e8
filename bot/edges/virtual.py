"""An event loop in which time passes only when everybody waits for it: hours of an incident in seconds of a drill.

What belongs into a thread is done at once, since nothing else could happen meanwhile. Answers from sockets are real;
while any is under way, virtual time stands still.
"""

import asyncio
import selectors
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any


class VirtualLoop(asyncio.SelectorEventLoop):
    """Jumps to the next timer as soon as nothing real is pending."""

    def __init__(self) -> None:
        super().__init__(_Selector(selectors.DefaultSelector(), self))
        self.virtual_s = 0.0
        self.under_way = 0

    def time(self) -> float:
        return self.virtual_s

    def run_in_executor(self, executor: Any, func: Any, *args: Any) -> Any:  # type: ignore[override]  # noqa: ARG002 - as asyncio has it
        future = self.create_future()
        try:
            future.set_result(func(*args))
        except Exception as error:  # noqa: BLE001 - it belongs to whoever awaits this
            future.set_exception(error)
        return future

    @contextmanager
    def real(self) -> Iterator[None]:
        """While inside, something real is awaited: virtual time stands still."""
        self.under_way += 1
        try:
            yield
        finally:
            self.under_way -= 1


class VirtualClock:
    """See :class:`config.clock.Clock`; counts from ``start`` with the loop's virtual time."""

    def __init__(self, start: datetime, loop: VirtualLoop) -> None:
        self._start = start.astimezone(UTC)
        self._loop = loop

    def now(self) -> datetime:
        return self._start + timedelta(seconds=self._loop.virtual_s)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class _Selector(selectors.BaseSelector):
    """Waits on real sockets and pipes for as long as something real is under way; otherwise lets virtual time pass."""

    def __init__(self, inner: selectors.BaseSelector, loop: VirtualLoop) -> None:
        self._inner = inner
        self._loop = loop

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = self._inner.select(0)
        if ready or timeout == 0:
            return ready
        if self._loop.under_way > 0 or timeout is None:
            return self._inner.select(1.0)
        self._loop.virtual_s += timeout
        return []

    def register(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.register(fileobj, events, data)

    def unregister(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.unregister(fileobj)

    def modify(self, fileobj: Any, events: int, data: Any = None) -> selectors.SelectorKey:
        return self._inner.modify(fileobj, events, data)

    def get_key(self, fileobj: Any) -> selectors.SelectorKey:
        return self._inner.get_key(fileobj)

    def get_map(self) -> Any:
        return self._inner.get_map()

    def close(self) -> None:
        self._inner.close()
