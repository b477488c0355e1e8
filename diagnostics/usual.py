"""What a number usually is, and whether it moved: recorded values first, else the hours before the incident."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from diagnostics import series, statistics
from diagnostics.model import ProbeContext
from diagnostics.windows import LEAST_SLICES

LEAST_SAMPLES = 12
ALPHA = 1e-3
"""Several numbers are looked at over several stretches, so each must be surer than one comparison alone."""
BEYOND_RATIO = 1.3
"""A value beyond everything of before needs no test once it is off by this much."""
SAME_HOUR = timedelta(minutes=90)


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """A number against what it usually is, over the stretch up to now that shows it most clearly."""

    now: float
    usual: float
    p_rise: float
    p_fall: float
    n: int
    above_all: bool
    below_all: bool

    @property
    def ratio(self) -> float:
        """Now over usual; infinite from nothing."""
        if self.usual > 0:
            return self.now / self.usual
        return math.inf if self.now > 0 else 1.0

    def up(self, ratio: float) -> bool:
        """Surely higher, and by at least this ratio."""
        sure = self.p_rise <= ALPHA or (self.above_all and self.ratio >= BEYOND_RATIO)
        return sure and self.ratio >= ratio

    def down(self, ratio: float) -> bool:
        """Surely lower, and at most this part of it."""
        sure = self.p_fall <= ALPHA or (self.below_all and self.ratio <= 1 / BEYOND_RATIO)
        return sure and self.ratio <= ratio


def recorded(context: ProbeContext, template: str, *, same_hour: bool = False) -> list[float]:
    """Recorded values of a series without a subject; ``same_hour``: only those at this time of day."""
    samples = context.baselines.samples(context.service.name, series.name(template), before=context.started_at)
    if not same_hour:
        return [sample.value for sample in samples]
    start = context.started_at
    kept = []
    for sample in samples:
        apart = (start - sample.at) % timedelta(days=1)
        if min(apart, timedelta(days=1) - apart) <= SAME_HOUR:
            kept.append(sample.value)
    return kept


def usual_values(context: ProbeContext, template: str, before: Sequence[float], *, daily: bool = False) -> list[float]:
    """What a number was: as recorded, or else as Prometheus has it; empty if neither is enough.

    ``daily``: it follows the time of day, so that the hours just before are the better comparison.
    """
    kept = recorded(context, template, same_hour=daily)
    sources = [(list(before), LEAST_SLICES), (kept, LEAST_SAMPLES)]
    for values, least in sources if daily else reversed(sources):
        if len(values) >= least:
            return values
    return []


def moved(now: Sequence[float], usual: Sequence[float]) -> Moved | None:
    """Compare current values, oldest first, with usual ones; None if either is missing.

    A shift may have begun within the current values, so only the latest stretch of it counts: back from now, as long as
    each value shows at least half of what the last one does.
    """
    if not now or not usual:
        return None
    before = statistics.median(usual)
    shift = now[-1] - before
    length = 1
    while length < len(now) and (now[-length - 1] - before) * shift >= 0.5 * shift * shift:
        length += 1
    return _compare(now[-length:], usual)


def _compare(now: Sequence[float], usual: Sequence[float]) -> Moved:
    return Moved(
        now=sum(now) / len(now),
        usual=statistics.median(usual),
        p_rise=statistics.mann_whitney(now, usual).p_value,
        p_fall=statistics.mann_whitney([-value for value in now], [-value for value in usual]).p_value,
        n=len(usual),
        above_all=min(now) > max(usual),
        below_all=max(now) < min(usual),
    )
