"""What a comparison may spend. Every call sets aside what it may cost at most before it is made, so that the limit
holds whatever the answers cost; calls that run at the same time wait for each other when little is left.
"""

import asyncio
from dataclasses import dataclass, field
from typing import Final

MARGIN: Final = 1.5
"""A call is taken to cost at most so many times what the dearest so far did."""
KNOWN: Final = 8
"""So many calls say what one costs."""


class BudgetGone(Exception):
    """What is left does not pay for the next call."""


@dataclass(slots=True)
class Purse:
    """A limit in tokens and one in US dollars, and what was spent. None: no limit."""

    tokens: int | None = None
    usd: float | None = None
    spent_tokens: int = 0
    spent_usd: float = 0.0
    _calls: int = 0
    _dearest: tuple[int, float] = (0, 0.0)
    _aside: list[tuple[int, float]] = field(default_factory=list)
    _settled: asyncio.Condition = field(default_factory=asyncio.Condition)

    def affords(self, calls: int) -> bool:
        """Whether so many further calls fit, at the price of the dearest so far; yes, if none is known yet."""
        return self._calls < KNOWN or self._fits(self._dearest[0] * calls, self._dearest[1] * calls)

    async def reserve(self, tokens: int, usd: float) -> tuple[int, float]:
        """Set aside what a call may cost at most; waits for calls that are under way. Raises :class:`BudgetGone`."""
        wanted = (tokens, usd)
        async with self._settled:
            if self._calls >= KNOWN:
                wanted = (min(tokens, round(MARGIN * self._dearest[0])), min(usd, MARGIN * self._dearest[1]))
            while not self._fits(*wanted):
                if not self._aside:
                    raise BudgetGone
                await self._settled.wait()
            self._aside.append(wanted)
        return wanted

    async def settle(self, aside: tuple[int, float], tokens: int, usd: float) -> None:
        """A call has ended, and cost this."""
        async with self._settled:
            self._aside.remove(aside)
            self._calls += 1
            self._dearest = (max(self._dearest[0], tokens), max(self._dearest[1], usd))
            self.spent_tokens += tokens
            self.spent_usd += usd
            self._settled.notify_all()

    def _fits(self, tokens: int, usd: float) -> bool:
        """Beside all that is spent and set aside."""
        all_tokens = self.spent_tokens + tokens + sum(aside[0] for aside in self._aside)
        all_usd = self.spent_usd + usd + sum(aside[1] for aside in self._aside)
        return (self.tokens is None or all_tokens <= self.tokens) and (self.usd is None or all_usd <= self.usd)
