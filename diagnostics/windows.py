"""A metric cut into equal slices of time: now, and the hours before the incident that it is compared with.

The baseline is frozen at the start of the incident and keeps an hour's distance from it, because an alert over a
one-hour window may come that much later than the fault. Slices that were an incident themselves are left out.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from diagnostics import statistics
from diagnostics.metrics import SERVICE_LABEL, Alias, Query
from diagnostics.model import Evidence, ProbeContext
from diagnostics.prometheus import Answer, Line, Prometheus

SLICE_S = 300
BASELINE_S = 4 * 3600
GUARD_S = 3600
SHORT_GUARD_S = 600
LEAST_SLICES = 6
"""Fewer slices are no baseline: half an hour of history."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """One stretch of time: what each part of the metric showed in it."""

    end: datetime
    parts: Mapping[str, float]

    @property
    def total(self) -> float:
        return sum(self.parts.values())

    def share(self, *parts: str) -> float:
        """Share of these parts in the whole; 0 of nothing."""
        return sum(self.parts.get(part, 0.0) for part in parts) / self.total if self.total > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Track:
    """A metric over time, oldest slice first."""

    slices: tuple[Slice, ...]
    alias: Alias
    evidence: Evidence
    started_at: datetime
    now: datetime

    @property
    def has_data(self) -> bool:
        return bool(self.slices)

    def latest(self, slices: int = 1) -> tuple[Slice, ...]:
        """The slices that end now or shortly before; none if the series has stopped."""
        step = self.step_s
        oldest = self.now - timedelta(seconds=step * (slices - 0.5))
        return tuple(s for s in self.slices if s.end >= oldest)

    @property
    def step_s(self) -> float:
        ends = [s.end for s in self.slices[-2:]]
        return (ends[1] - ends[0]).total_seconds() if len(ends) == 2 else float(SLICE_S)

    @property
    def baseline(self) -> tuple[Slice, ...]:
        """Slices of before the incident; none if there are too few."""
        for guard in (GUARD_S, SHORT_GUARD_S):
            before = tuple(s for s in self.slices if s.end <= self.started_at - timedelta(seconds=guard))
            if len(before) >= LEAST_SLICES:
                return before
        return ()

    @property
    def since(self) -> tuple[Slice, ...]:
        """Slices that are not baseline: the guarded hour and everything after."""
        first = self.started_at - timedelta(seconds=GUARD_S)
        return tuple(s for s in self.slices if s.end > first)


@dataclass(frozen=True, kw_only=True, slots=True)
class Watch:
    """Reads one service's metrics, at one moment, with their past."""

    prometheus: Prometheus
    labels: Mapping[str, str]
    started_at: datetime
    now: datetime

    @classmethod
    def of(cls, context: ProbeContext, target: str | None = None) -> "Watch":
        """The service's own Prometheus, or another target. Raises :class:`LookupError` without one."""
        name = target or context.service.prometheus
        if not name:
            raise LookupError(
                f"service {context.service.name!r} names no Prometheus; set 'prometheus' in the catalogue"
            )
        now = context.clock.now()
        return cls(
            prometheus=Prometheus(context.http, name),
            labels={SERVICE_LABEL: context.service.selector or context.service.name},
            started_at=min(context.started_at, now),
            now=now,
        )

    async def counts(self, metric: str, *, together: bool = False) -> Track:
        """Increase of a counter in each slice, by the metric's own parts."""
        return await self._track(Query(template="increase", metric=metric, labels=self.labels, window_s=SLICE_S,
                                       together=together), SLICE_S)  # fmt: skip

    async def buckets(self, metric: str) -> Track:
        """Increase of a histogram's cumulative buckets in each slice; the parts are upper bounds."""
        return await self._track(
            Query(template="buckets", metric=metric, labels=self.labels, window_s=SLICE_S), SLICE_S, part="le"
        )

    async def levels(self, metric: str, *, step_s: int = SLICE_S) -> Track:
        """A gauge at the end of each slice, summed over its series."""
        return await self._track(Query(template="level", metric=metric, labels=self.labels, together=True), step_s)

    async def fresh(self, metric: str, window_s: int) -> Slice | None:
        """Increase of a counter up to now, by parts; None without data."""
        query = Query(template="increase", metric=metric, labels=self.labels, window_s=window_s)
        answer = await self.prometheus.at(query, self.now)
        return _slice_at(answer, self.now, answer.alias.split)

    async def fresh_buckets(self, metric: str, window_s: int) -> Slice | None:
        """Increase of a histogram's buckets up to now; None without data."""
        query = Query(template="buckets", metric=metric, labels=self.labels, window_s=window_s)
        return _slice_at(await self.prometheus.at(query, self.now), self.now, "le")

    async def _track(self, query: Query, step_s: int, part: str = "") -> Track:
        past = (self.now - self.started_at).total_seconds() + BASELINE_S
        steps = min(math.ceil(past / step_s), 599)
        answer = await self.prometheus.over(query, self.now - timedelta(seconds=steps * step_s), self.now, step_s)
        label = part or ("" if query.together else answer.alias.split)
        return Track(
            slices=_slices(answer.lines, label),
            alias=answer.alias,
            evidence=answer.evidence,
            started_at=self.started_at,
            now=self.now,
        )


def _slices(lines: Sequence[Line], label: str) -> tuple[Slice, ...]:
    by_end: dict[datetime, dict[str, float]] = {}
    for line in lines:
        part = line.labels.get(label, "")
        for at, value in line.points:
            parts = by_end.setdefault(at, {})
            parts[part] = parts.get(part, 0.0) + value
    return tuple(Slice(end=end, parts=by_end[end]) for end in sorted(by_end))


def _slice_at(answer: Answer, now: datetime, label: str) -> Slice | None:
    found = _slices([Line(labels=line.labels, points=((now, line.last),)) for line in answer.lines], label)
    return found[0] if found else None


# --- Histograms --------------------------------------------------------------------------------------------------


def merged(slices: Sequence[Slice]) -> Mapping[str, float]:
    """Parts summed over slices."""
    total: dict[str, float] = {}
    for one in slices:
        for part, value in one.parts.items():
            total[part] = total.get(part, 0.0) + value
    return total


def histogram_quantile(buckets: Mapping[str, float], q: float) -> float | None:
    """Quantile of cumulative buckets, linear inside a bucket as Prometheus does; None when they are empty."""
    bounds = sorted((float(le), count) for le, count in buckets.items())
    if not bounds or bounds[-1][1] <= 0:
        return None
    wanted = q * bounds[-1][1]
    low, below = 0.0, 0.0
    for bound, count in bounds:
        if count >= wanted:
            if math.isinf(bound):
                return low
            return low + (bound - low) * ((wanted - below) / (count - below) if count > below else 1.0)
        low, below = bound, count
    return low


def beyond(buckets: Mapping[str, float], bound: str) -> tuple[float, float]:
    """How many lie above an upper bound, and how many there are."""
    total = max(buckets.values(), default=0.0)
    return max(0.0, total - buckets.get(bound, total)), total


def tail_bound(buckets: Mapping[str, float], share: float = 0.05) -> str | None:
    """The lowest bucket bound that at most ``share`` of the values lie beyond."""
    total = max(buckets.values(), default=0.0)
    fitting = [le for le, count in buckets.items() if not math.isinf(float(le)) and total - count <= share * total]
    return min(fitting, key=float, default=None) if total > 0 else None


# --- Baselines without their own incidents -----------------------------------------------------------------------


def without_incidents(pairs: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Pooled events and exposure of slices, leaving out those whose rate stands out from the median one."""
    usual = [(events, exposure) for events, exposure in pairs if exposure > 0]
    if not usual:
        return (0.0, 0.0)
    pool = sum(exposure for _, exposure in usual)
    # Rare events have a median rate of zero; half of the mean keeps their slices.
    mean = sum(events for events, _ in usual) / pool
    middle = max(statistics.median([events / exposure for events, exposure in usual]), mean / 2)
    kept = [
        (events, exposure)
        for events, exposure in usual
        if statistics.rate_rise(events, exposure, middle * pool, pool) > 1e-4
    ]
    return (sum(events for events, _ in kept), sum(exposure for _, exposure in kept))
