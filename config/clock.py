"""Time is an input: nothing else in the product asks the machine what time it is."""

from datetime import datetime
from typing import Protocol


class Clock(Protocol):
    """Wall clock and sleep. In drills the simulated world owns time, and this follows it."""

    def now(self) -> datetime:
        """The current moment, aware, in UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Let ``seconds`` pass."""
        ...
