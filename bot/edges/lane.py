"""How fast messages may go."""

from datetime import datetime


class Lane:
    """A channel's allowance: one message a second, three at once. Edits: fifty a minute in the whole workspace, of
    which what merely ticks leaves some for what people decide."""

    def __init__(self, per_second: float = 1.0, burst: float = 3.0) -> None:
        self.per_second = per_second
        self.burst = burst
        self.tokens = burst
        self.filled: datetime | None = None
        self.paused_until: datetime | None = None

    def wait(self, now: datetime, *, reserve: int = 0) -> float:
        """Seconds until the next message may go and ``reserve`` are left; takes it when that is 0."""
        if self.paused_until is not None and now < self.paused_until:
            return (self.paused_until - now).total_seconds()
        if self.filled is not None:
            self.tokens = min(self.burst, self.tokens + (now - self.filled).total_seconds() * self.per_second)
        self.filled = now
        if self.tokens < 1 + reserve:
            return (1 + reserve - self.tokens) / self.per_second
        self.tokens -= 1
        return 0.0
