"""What users notice, judged from slices of metrics: failing, slow, worse answers, or over again. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from diagnostics import power, series, statistics
from diagnostics.metrics import Alias
from diagnostics.model import ProbeContext
from diagnostics.usual import LEAST_SAMPLES
from diagnostics.windows import Slice, Track, beyond, histogram_quantile, merged, tail_bound, without_incidents

SLICE_ALPHA = 1e-4
"""For each of the dozen slices of the long window: one false alarm in a hundred looks at most."""
SLOW_RATIO = statistics.MIN_RATIO
QUALITY_DROP = 0.02
"""Smallest drop of the mean judge score that matters, in points of 1."""
QUALITY_S = 600
REPORTS_RATIO = 2.0
REPORTS_LAG_S = 900
"""People complain minutes after what they complain about, and many of them later still."""
TRAFFIC_LEFT = 0.2
"""Below this share of the usual requests, those that still come say little about those that do not."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """A rate of before: events among so many."""

    events: float
    n: float
    source: str

    @property
    def share(self) -> float:
        return self.events / self.n if self.n else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Judged:
    """A slice against its baseline."""

    bad: bool
    value: float
    baseline: float
    n: float
    p_value: float
    power: float | None
    """None where it cannot be worked out."""
    end: datetime
    unit: str = "share"


# --- Failing -----------------------------------------------------------------------------------------------------


def failed(one: Slice, alias: Alias) -> float:
    """Requests of a slice that did not succeed."""
    return one.total - sum(one.parts.get(good, 0.0) for good in alias.good)


def error_baseline(context: ProbeContext, track: Track) -> Rate:
    """The usual failures: as recorded, and without enough of that, from the hours before the incident."""
    before = [(failed(one, track.alias), one.total) for one in track.baseline]
    return usual_rate(context, ("user_signal.requests", "user_signal.error_share"), before)


def usual_rate(context: ProbeContext, recorded: tuple[str, str], before: Sequence[tuple[float, float]]) -> Rate:
    """A rate from two recorded series (how many, which share), or else from pairs of (events, n) of before the
    incident. Stretches that stand out are left out as incidents."""
    counts, shares = (
        {s.at: s.value for s in context.baselines.samples(context.service.name, series.name(name),
                                                          before=context.started_at)}
        for name in recorded
    )  # fmt: skip
    events, n = without_incidents([(shares[at] * counts[at], counts[at]) for at in shares.keys() & counts.keys()])
    if n >= series.ENOUGH:
        return Rate(events=events, n=n, source="recorded")
    events, n = without_incidents(before)
    return Rate(events=events, n=n, source="Prometheus, before the incident")


def judge_errors(one: Slice, alias: Alias, usual: Rate, slo: float, *,
                 alpha: float = statistics.ALPHA_COUNTS) -> Judged:  # fmt: skip
    """Failing when surely more than usual, at least twice as much, and more than the service allows itself."""
    share = one.share(*(part for part in one.parts if part not in alias.good))
    p_value = statistics.rate_rise(failed(one, alias), one.total, usual.events, usual.n)
    return Judged(
        bad=p_value <= alpha and share >= failing_from(usual, slo),
        value=share,
        baseline=usual.share,
        n=one.total,
        p_value=p_value,
        power=error_power(one.total, usual, slo, alpha),
        end=one.end,
    )


def failing_from(usual: Rate, slo: float) -> float:
    """The share of failures from which users are not served as promised."""
    return max(2 * usual.share, slo)


def error_power(n: float, usual: Rate, slo: float, alpha: float) -> float:
    """Chance to see a share of failures that would alarm anybody: five times what is allowed."""
    return power.rate(round(usual.events), float(round(usual.n)), float(round(n)), usual.share + 5 * slo, alpha=alpha)


# --- Slow --------------------------------------------------------------------------------------------------------


def judge_latency(one: Slice, usual: Sequence[Slice], *, alpha: float = statistics.ALPHA_COUNTS) -> Judged | None:
    """Slow when surely more requests lie beyond the usual 95th percentile, and the median or that percentile itself is
    half as long again. None without data on either side."""
    before = merged(usual)
    bound = tail_bound(before)
    now_p95, usual_p95 = histogram_quantile(one.parts, 0.95), histogram_quantile(before, 0.95)
    now_p50, usual_p50 = histogram_quantile(one.parts, 0.5), histogram_quantile(before, 0.5)
    if bound is None or not now_p95 or not usual_p95 or not now_p50 or not usual_p50:
        return None
    tail, n = beyond(one.parts, bound)
    usual_tail, usual_n = beyond(before, bound)
    p_value = statistics.rate_rise(tail, n, usual_tail, usual_n)
    slower = max(now_p95 / usual_p95, now_p50 / usual_p50)
    found = power.rate(round(usual_tail), float(round(usual_n)), float(round(n)), 0.3, alpha=alpha)
    return Judged(
        bad=p_value <= alpha and slower >= SLOW_RATIO,
        value=now_p95,
        baseline=usual_p95,
        n=n,
        p_value=p_value,
        power=found,
        end=one.end,
        unit="s",
    )


# --- Worse answers -----------------------------------------------------------------------------------------------


def judge_score(track: Track, recorded: Sequence[float], *, drop: float = QUALITY_DROP) -> Judged | None:
    """Worse when a score fell by at least ``drop``, surely, and below every stretch of before. None without data.

    A score can sink for hours before anybody is paged, so what was recorded counts before what Prometheus still has.
    """
    usual = list(recorded) if len(recorded) >= LEAST_SAMPLES else [one.total for one in track.baseline]
    now = [one.total for one in track.latest(max(1, round(QUALITY_S / track.step_s)))]
    if not usual or not now:
        return None
    current, before = statistics.median(now), statistics.median(usual)
    p_value = statistics.mann_whitney([-value for value in now], [-value for value in usual]).p_value
    # Medians of stretches as long as the current one: what chance and slow waves in the score do by themselves.
    stretches = [usual[i : i + len(now)] for i in range(0, len(usual) - len(now) + 1, len(now))]
    lowest = min((statistics.median(stretch) for stretch in stretches), default=min(usual))
    return Judged(
        bad=p_value <= statistics.ALPHA_COUNTS and before - current >= drop and current < lowest,
        value=current,
        baseline=before,
        n=float(len(now)),
        p_value=p_value,
        # Whether a drop would show depends on the waves in the score itself, which no formula describes.
        power=None,
        end=track.now,
    )


def judge_reports(reports: Track, requests: Track, *, harder: float = 1.0) -> Judged | None:
    """Complaints for each request, over the last two slices; None without a history of them. ``harder``: how many times
    as many are due because other questions are asked."""
    seen = {one.end: one.total for one in requests.slices}
    pairs = [(one.total, seen.get(one.end, 0.0)) for one in reports.baseline]
    events, n = without_incidents(pairs)
    latest = reports.latest(2)
    now, exposure = sum(one.total for one in latest), sum(seen.get(one.end, 0.0) for one in latest)
    if n < series.ENOUGH or exposure <= 0:
        return None
    events *= harder
    p_value = statistics.rate_rise(now, exposure, events, n)
    share, usual = now / exposure, events / n
    return Judged(
        bad=p_value <= statistics.ALPHA_COUNTS and share >= REPORTS_RATIO * usual,
        value=share,
        baseline=usual,
        n=exposure,
        p_value=p_value,
        power=power.rate(round(events), float(round(n)), float(round(exposure)), 3 * usual),
        end=reports.now,
    )


# --- Over time ---------------------------------------------------------------------------------------------------


def expected_requests(track: Track) -> float:
    """Requests a slice usually has."""
    totals = [one.total for one in track.baseline]
    return statistics.median(totals) if totals else 0.0


def onset(track: Track) -> datetime | None:
    """When failures began to be more, to the slice; None if that is not sure."""
    events = [failed(one, track.alias) for one in track.slices]
    at = statistics.change_point(events, [one.total for one in track.slices])
    if at is None:
        return None
    return track.slices[at - 1].end if at > 0 else track.slices[0].end
