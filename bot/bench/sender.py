"""Sends pages at planned moments, whatever became of the ones before, and keeps what was answered when."""

import asyncio
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import aiohttp

from bot.bench.pages import Planned, signature

AGAIN_S = 0.5
"""After how long a page without a 202 is sent again, as PagerDuty does (later)."""


@dataclass(slots=True)
class Answer:
    """What became of one page."""

    event_id: str
    accepted_at: float | None = None
    """Seconds since the epoch."""
    seconds: float | None = None
    """From the planned moment of its first try to its 202: waiting for a connection counts, and so does a refusal."""
    tries: int = 0
    refused: list[str] = field(default_factory=list)


class Sender:
    """A pager with one installation to tell."""

    def __init__(self, address: str, secret: str, *, half: int = 0) -> None:
        self._url = f"{address}/webhooks/pagerduty"
        self._secret = secret
        self._half = half
        self.answers: dict[str, Answer] = {}
        self.half_accepted = asyncio.Event()
        """Set when ``half`` pages have been accepted."""

    async def send(self, pages: Sequence[Planned], over_s: float, *, give_up_s: float = 90.0) -> None:
        """Send ``pages`` evenly over so many seconds; each again until it is accepted or time is over."""
        connector = aiohttp.TCPConnector(limit=64, keepalive_timeout=4)
        timeout = aiohttp.ClientTimeout(total=30)
        async with aiohttp.ClientSession(connector=connector, timeout=timeout) as session:
            began = time.perf_counter()
            async with asyncio.TaskGroup() as group:
                for number, page in enumerate(pages):
                    planned = began + number * over_s / len(pages)
                    await asyncio.sleep(planned - time.perf_counter())
                    group.create_task(self._until_accepted(session, page, planned, give_up_s))

    def accepted(self) -> set[str]:
        """Event ids that were answered with 202."""
        return {answer.event_id for answer in self.answers.values() if answer.accepted_at is not None}

    def seconds(self) -> list[float]:
        """How long every page took; infinity for one that was never accepted."""
        return [math.inf if answer.seconds is None else answer.seconds for answer in self.answers.values()]

    def refusals(self) -> int:
        """Tries that were not answered with 202."""
        return sum(len(answer.refused) for answer in self.answers.values())

    async def _until_accepted(
        self, session: aiohttp.ClientSession, page: Planned, planned: float, give_up_s: float
    ) -> None:
        answer = self.answers.setdefault(page.event_id, Answer(event_id=page.event_id))
        raw = page.raw(datetime.now(UTC))
        headers = {"x-pagerduty-signature": signature(self._secret, raw), "content-type": "application/json"}
        while answer.accepted_at is None and time.perf_counter() < planned + give_up_s:
            answer.tries += 1
            try:
                async with session.post(self._url, data=raw, headers=headers) as reply:
                    await reply.read()
                    if reply.status == 202:
                        answer.accepted_at, answer.seconds = time.time(), time.perf_counter() - planned
                        if len(self.accepted()) >= self._half:
                            self.half_accepted.set()
                        return
                    answer.refused.append(f"HTTP {reply.status}")
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                answer.refused.append(type(error).__name__)
            await asyncio.sleep(AGAIN_S)
