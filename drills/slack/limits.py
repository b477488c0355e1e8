"""What keeps calls back: Slack's rate limits, and the faults a test has asked for."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from drills.slack.wire import Json

PER_MINUTE = {1: 1, 2: 20, 3: 50, 4: 100}
TIERS = {
    "chat.postMessage": 0,
    "chat.update": 3, "chat.delete": 3, "chat.postEphemeral": 4, "chat.getPermalink": 0,
    "conversations.list": 2, "conversations.info": 3, "conversations.history": 3, "conversations.replies": 3,
    "conversations.members": 4, "conversations.join": 3, "conversations.open": 3, "conversations.create": 2,
    "conversations.setTopic": 2, "conversations.setPurpose": 2, "conversations.invite": 3, "conversations.archive": 2,
    "conversations.unarchive": 2, "users.conversations": 3, "users.lookupByEmail": 3,
    "users.list": 2, "users.info": 4, "usergroups.list": 2, "usergroups.users.list": 2,
    "views.open": 4, "views.push": 4, "views.update": 4, "views.publish": 4,
    "reactions.add": 3, "pins.add": 2, "bookmarks.add": 2, "team.info": 3,
    "files.getUploadURLExternal": 4, "files.completeUploadExternal": 4, "apps.connections.open": 1,
}  # fmt: skip
POST_BURST = 4
"""Messages that a channel takes at once before the pace of one per second holds."""


@dataclass(slots=True)
class _Bucket:
    level: float
    at: float


class RateLimits:
    """Token buckets: one a method, and for messages one a channel."""

    def __init__(self, now: Callable[[], float], *, enabled: bool = True) -> None:
        self._now = now
        self._buckets: dict[tuple[str, str], _Bucket] = {}
        self.enabled = enabled

    def take(self, method: str, channel: str) -> int:
        """0 when the call may pass, or the seconds for ``Retry-After``."""
        tier = TIERS.get(method, 3)
        if not self.enabled or (tier == 0 and method != "chat.postMessage"):
            return 0
        if method == "chat.postMessage":
            return self._take((method, channel), capacity=POST_BURST, per_second=1.0)
        # apps.connections.open is "tier 1" with room for a reconnecting app; every tier allows short bursts
        capacity = max(PER_MINUTE[tier], 10)
        return self._take((method, ""), capacity=capacity, per_second=capacity / 60)

    def _take(self, key: tuple[str, str], *, capacity: int, per_second: float) -> int:
        now = self._now()
        bucket = self._buckets.setdefault(key, _Bucket(level=float(capacity), at=now))
        bucket.level = min(float(capacity), bucket.level + (now - bucket.at) * per_second)
        bucket.at = now
        if bucket.level >= 1:
            bucket.level -= 1
            return 0
        return max(1, math.ceil((1 - bucket.level) / per_second))


@dataclass(slots=True)
class Fault:
    """What goes wrong with calls of a method, so many times (-1: until cleared)."""

    method: str
    status: int | str
    retry_after: str | None = None
    error: str = ""
    count: int = 1
    delay_s: float = 0.0
    channel: str = ""

    @classmethod
    def of(cls, body: Json) -> "Fault":
        """Read what was posted to ``/control/faults``. Raises :class:`ValueError` with what to do."""
        known = {"method", "status", "retry_after", "error", "count", "delay_s", "channel"}
        if unknown := set(body) - known:
            raise ValueError(f"unknown keys {sorted(unknown)}; known are {sorted(known)}")
        status: Any = body.get("status", 200)
        if status not in ("reset", "reset_before") and not (isinstance(status, int) and 200 <= status <= 599):
            raise ValueError(f"status {status!r}: give an HTTP status, 'reset' (done, answer lost) or 'reset_before'")
        after = body.get("retry_after")
        return cls(method=str(body.get("method", "*")), status=status,
                   retry_after=None if after is None else str(after), error=str(body.get("error", "")),
                   count=int(body.get("count", 1)),
                   delay_s=float(body.get("delay_s", 0)), channel=str(body.get("channel", "")))  # fmt: skip


class Faults:
    """The faults waiting to happen, oldest first."""

    def __init__(self) -> None:
        self._waiting: list[Fault] = []

    def add(self, fault: Fault) -> None:
        """Let it happen to the next calls."""
        self._waiting.append(fault)

    def clear(self) -> None:
        """Nothing goes wrong any more."""
        self._waiting.clear()

    def next(self, method: str, channel: str) -> Fault | None:
        """The fault that this call meets, counted down."""
        for fault in self._waiting:
            if fault.method in ("*", method) and fault.channel in ("", channel):
                if fault.count > 0:
                    fault.count -= 1
                if fault.count == 0:
                    self._waiting.remove(fault)
                return fault
        return None
