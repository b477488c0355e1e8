"""Virtual time: it jumps when everybody waits, and stands still while something real is under way."""

import asyncio
import time
from collections.abc import Coroutine
from datetime import UTC, datetime
from typing import Any

import pytest

from bot.edges.virtual import VirtualClock, VirtualLoop

BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def run(work: Coroutine[Any, Any, Any]) -> Any:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(work)
    finally:
        asyncio.set_event_loop(None)
        loop.close()


def clock() -> VirtualClock:
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualLoop)
    return VirtualClock(BEGAN, loop)


def test_a_day_passes_at_once() -> None:
    async def work() -> float:
        ticking = clock()
        await ticking.sleep(86_400)
        return (ticking.now() - BEGAN).total_seconds()

    assert run(work()) == 86_400


def test_work_in_a_thread_takes_no_virtual_time() -> None:
    async def work() -> float:
        ticking = clock()
        beside = asyncio.create_task(ticking.sleep(3600))
        await asyncio.to_thread(time.sleep, 0.05)
        passed = (ticking.now() - BEGAN).total_seconds()
        await beside
        return passed

    assert run(work()) == 0


def test_an_error_in_a_thread_belongs_to_whoever_awaits_it() -> None:
    async def work() -> float:
        with pytest.raises(ZeroDivisionError):
            await asyncio.to_thread(lambda: 1 / 0)
        return await asyncio.to_thread(lambda: 1.0)

    assert run(work()) == 1


def test_deadlines_are_virtual() -> None:
    async def work() -> float:
        ticking = clock()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(5):
                await ticking.sleep(60)
        return (ticking.now() - BEGAN).total_seconds()

    assert run(work()) == 5


def test_a_real_answer_is_waited_for_with_time_standing_still() -> None:
    async def work() -> float:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, VirtualLoop)
        ticking = clock()

        async def answer(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"ok")
            writer.close()

        server = await asyncio.start_server(answer, "127.0.0.1", 0)
        later = asyncio.create_task(ticking.sleep(1000))
        with loop.real():
            reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
            assert await reader.read() == b"ok"
            writer.close()
        passed = (ticking.now() - BEGAN).total_seconds()
        later.cancel()
        server.close()
        return passed

    assert run(work()) == 0
