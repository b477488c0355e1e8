"""Who is on call now, asked of PagerDuty when somebody votes, and at most every 30 seconds."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Protocol

from bot.ports import OnCall, RetryLater, Undeliverable
from config.clock import Clock

KNOWN_FOR = timedelta(seconds=30)
FAILED_FOR = timedelta(seconds=5)
"""What cannot be asked is not asked for each click: Slack waits three seconds for an answer."""


class Pager(Protocol):
    """What is asked."""

    async def on_call(self, policy: str) -> Sequence[OnCall]:
        """See :class:`bot.ports.Rota`; asked each time."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class _Answer:
    until: datetime
    people: tuple[OnCall, ...] = ()
    trouble: RetryLater | Undeliverable | None = None


class CachedRota:
    """See :class:`bot.ports.Rota`. Nobody is on call any more once their shift is over, whatever is remembered."""

    def __init__(self, pager: Pager, clock: Clock) -> None:
        self._pager = pager
        self._clock = clock
        self._answers: dict[str, _Answer] = {}
        self._asking: dict[str, asyncio.Lock] = {}

    async def on_call(self, policy: str) -> Sequence[OnCall]:
        async with self._asking.setdefault(policy, asyncio.Lock()):
            answer = self._answers.get(policy)
            if answer is None or answer.until <= self._clock.now():
                answer = self._answers[policy] = await self._ask(policy)
        if answer.trouble is not None:
            raise answer.trouble
        now = self._clock.now()
        return tuple(one for one in answer.people if one.until is None or one.until > now)

    async def _ask(self, policy: str) -> _Answer:
        try:
            people = tuple(await self._pager.on_call(policy))
        except (RetryLater, Undeliverable) as trouble:
            return _Answer(until=self._clock.now() + FAILED_FOR, trouble=trouble)
        return _Answer(until=self._clock.now() + KNOWN_FOR, people=people)


class NoRota:
    """Stands in where no REST API key is set: nobody can be asked, so nobody counts as on call."""

    async def on_call(self, policy: str) -> Sequence[OnCall]:
        """Raise :class:`Undeliverable`."""
        raise Undeliverable(f"no PagerDuty API key is set, so escalation policy {policy} cannot be asked")
