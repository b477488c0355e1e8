"""P11, second part: the last good setup answers well, and several things have changed since. Which of them did it?

Each change is tried alone on the same questions (``diagnostics/bisect.py``), as far as the incident's budget allows.
"""

from dataclasses import dataclass, replace
from typing import Final

from diagnostics.bisect import STOPPED, Bisection, Named
from diagnostics.marking import Marker
from diagnostics.model import ProbeContext, Reading
from diagnostics.purse import Purse
from diagnostics.replay import Replay
from diagnostics.setups import Asker, Setup

ROUNDS: Final = 2
"""Each change is asked about at most twice: alone, and put back."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """What the good setup was asked, and how its answers were marked."""

    replay: Replay
    marker: Marker


async def bisected(context: ProbeContext, reading: Reading, asked: Asked, *, good: Setup, bad: Setup) -> Reading:
    """The reading, with the name of what moved where that could be found out."""
    moved = good.moved(bad)
    allowed = ROUNDS * len(moved) * sum(result.tokens for result in asked.replay.results)
    if context.more_tokens is None or not context.more_tokens(allowed):
        return _with(reading, Named(moved=moved, culprits=(), how="unknown", reason=STOPPED["budget"]))
    purse = Purse(tokens=allowed)
    named = await Bisection(
        good=good,
        bad=bad,
        asker=Asker.of(context, [good, bad]),
        items=tuple(result.item for result in asked.replay.results),
        marker=asked.marker,
        purse=purse,
        known={result.item.id: result for result in asked.replay.results},
    ).run()
    tokens, usd = reading.tokens + purse.spent_tokens, round(reading.usd + purse.spent_usd, 6)
    return replace(_with(reading, named), tokens=tokens, usd=usd)


def _with(reading: Reading, named: Named) -> Reading:
    summary = f"{reading.summary}. {named.sentence()}" if named.culprits else reading.summary
    return replace(reading, summary=summary, details={**reading.details, "bisect": named.plain()})
