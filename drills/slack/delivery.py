"""How the workspace talks to the app: once for an interaction, with Slack's retries for an event."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

from drills.slack.wire import Json

Kind = Literal["events_api", "interactive", "slash_commands"]

ACK_SECONDS = 3.0
RETRY_DELAYS = (0.0, 60.0, 300.0)
"""Slack tries an event again nearly at once, after a minute and after five more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ack:
    """What came back from the app within three seconds."""

    ok: bool
    body: Json | None = None
    reason: str = ""
    """Why not, in the words of ``X-Slack-Retry-Reason``: http_timeout, http_error, connection_failed."""
    no_retry: bool = False


class AppLink(Protocol):
    """One way to reach the app: Socket Mode or signed HTTP."""

    async def send(self, kind: Kind, payload: Json, *, attempt: int = 0, reason: str = "") -> Ack:
        """Deliver once and wait for the acknowledgement. Never raises for what the app does."""
        ...

    async def replay(self, times: int) -> list[bool]:
        """Send the last interaction again, byte for byte, and say which copies were acknowledged."""
        ...

    def connected(self) -> bool:
        """Whether anybody is there."""
        ...


@dataclass(slots=True)
class Mischief:
    """What the network does to events on their way, for tests."""

    lose_first: int = 0
    """So many events lose their first attempt: the app sees only the retry."""
    repeat: int = 0
    """Every event arrives so many additional times."""


@dataclass(slots=True)
class Delivery:
    """Wraps events up, sends them, retries them, and keeps a record of all that was sent."""

    link: AppLink
    now: Callable[[], float]
    retry_delays: Sequence[float] = RETRY_DELAYS
    mischief: Mischief = field(default_factory=Mischief)
    sent: list[Json] = field(default_factory=list)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def event(self, body: Json) -> None:
        """Deliver an ``event_callback`` in the background, with retries."""
        task = asyncio.get_running_loop().create_task(self._with_retries(body))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def ask(self, kind: Kind, payload: Json) -> Ack:
        """Deliver an interaction or a command, once, and return the answer."""
        ack = await self.link.send(kind, payload)
        self._record(kind, payload, 0, ack)
        return ack

    async def drained(self) -> None:
        """Until every event that is on its way has been delivered, or given up."""
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def close(self) -> None:
        """Give up what is still to be delivered."""
        tasks = list(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _with_retries(self, body: Json) -> None:
        lost = self.mischief.lose_first > 0
        self.mischief.lose_first -= lost
        reason = ""
        for attempt, delay in enumerate((0.0, *self.retry_delays)):
            await asyncio.sleep(delay)
            if attempt == 0 and lost:
                ack = Ack(ok=False, reason="connection_failed")
            else:
                ack = await self.link.send("events_api", body, attempt=attempt, reason=reason)
            self._record("events_api", body, attempt, ack)
            if ack.ok or ack.no_retry:
                break
            reason = ack.reason
        for _ in range(self.mischief.repeat):
            ack = await self.link.send("events_api", body, attempt=0)
            self._record("events_api", body, 0, ack)

    def _record(self, kind: Kind, payload: Json, attempt: int, ack: Ack) -> None:
        self.sent.append({"n": len(self.sent), "at": self.now(), "kind": kind, "attempt": attempt, "ok": ack.ok,
                          "reason": ack.reason, "payload": payload, "answer": ack.body})  # fmt: skip
