"""P00: what users notice, from the service's own telemetry: failing, slow, worse answers, over again, or well.

The last five minutes are compared with the hours before the incident. If they are bad, the freshest ninety seconds
(less, where something was changed on purpose and traffic is ample) decide whether it is over; if they are not, the hour
before decides whether it was there at all. Worse answers are only that if they are worse on the same topics. Without
telemetry, or with too little traffic to tell, the answer is ``inconclusive``: absence of data is not health.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from diagnostics import power, series, statistics, symptoms, wording
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.probes import signal_answers
from diagnostics.probes.signal_answers import Grades, reading_of
from diagnostics.symptoms import Judged, Rate
from diagnostics.usual import recorded
from diagnostics.windows import SLICE_S, Slice, Track, Watch, histogram_quantile

FRESH_S = 90
"""Two evaluation intervals: long enough to see a return to normal, short enough to see it soon."""
ENOUGH_FRESH = 30
"""Requests; with fewer in a shorter freshest window, the one of :data:`FRESH_S` is read."""


class SignalParams(Params):
    """``window_s``: what counts as now; whole slices of five minutes. ``fresh_s``: what decides whether it is over."""

    window_s: int = Field(default=SLICE_S, ge=SLICE_S, le=3600)
    fresh_s: int = Field(default=FRESH_S, ge=30, le=FRESH_S)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Seen:
    """All that was read at once."""

    requests: Track
    duration: Track
    first_token: Track
    quality: Track
    reports: Track
    grades: Grades
    fresh_s: int
    fresh: Slice | None
    fresh_duration: Slice | None
    fresh_first_token: Slice | None

    @classmethod
    async def read(cls, watch: Watch, fresh_s: int) -> "_Seen":
        requests, duration, first_token, quality, reports, grades = await asyncio.gather(
            watch.counts("requests"),
            watch.buckets("duration"),
            watch.buckets("first_token"),
            watch.levels("quality", step_s=60),
            watch.counts("reports"),
            Grades.read(watch),
        )
        if fresh_s < FRESH_S:
            soon = await watch.fresh("requests", fresh_s)
            fresh_s = fresh_s if soon is not None and soon.total >= ENOUGH_FRESH else FRESH_S
        fresh, fresh_duration, fresh_first_token = await asyncio.gather(
            watch.fresh("requests", fresh_s),
            watch.fresh_buckets("duration", fresh_s),
            watch.fresh_buckets("first_token", fresh_s),
        )
        return cls(
            requests=requests, duration=duration, first_token=first_token, quality=quality, reports=reports,
            grades=grades, fresh_s=fresh_s, fresh=fresh, fresh_duration=fresh_duration,
            fresh_first_token=fresh_first_token,
        )  # fmt: skip

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        tracks = (self.requests, self.duration, self.first_token, self.quality, self.reports)
        return (*(track.evidence for track in tracks), *self.grades.evidence)


class UserSignal:
    """P00."""

    spec = ProbeSpec(
        id="P00",
        name="user_signal",
        title="What users notice",
        outcomes={
            "ok": Verdict.NORMAL,
            "recovered": Verdict.NORMAL,
            "mix_shift": Verdict.NORMAL,
            "errors": Verdict.ABNORMAL,
            "slow": Verdict.ABNORMAL,
            "quality_drop": Verdict.ABNORMAL,
        },
        params=SignalParams,
        unit="share of requests, or s",
        expected_s=1.0,
        timeout_s=20.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, params: SignalParams) -> Reading:
        """Read telemetry once, then judge; errors before slowness before quality."""
        seen = await _Seen.read(Watch.of(context), params.fresh_s)
        usual = symptoms.error_baseline(context, seen.requests)
        reading = _blind(seen, usual) or _judge(context, seen, usual, params.window_s)
        details = {**_figures(seen), **reading.details}
        return replace(reading, evidence=seen.evidence, details=details)


# --- Whether anything can be said --------------------------------------------------------------------------------


def _blind(seen: _Seen, usual: Rate) -> Reading | None:
    """Why nothing can be said, if so."""
    latest = seen.requests.latest()
    expected = symptoms.expected_requests(seen.requests)
    now = latest[0].total if latest else 0.0
    if not seen.requests.has_data:
        return _unsure("No request metric of this service was found under any known name.")
    if not latest:
        last = wording.clock(seen.requests.slices[-1].end)
        return _unsure(f"Request metrics stopped at {last}: telemetry is missing, which is not health.")
    if now < 0.5:
        p = wording.probability(statistics.zero_events(expected))
        alarming = expected >= statistics.ZERO_TRAFFIC_EXPECTED
        why = f"{p}: users may not get through, or telemetry is missing" if alarming else "too few to tell"
        return _unsure(f"No request in 5 min, where {wording.count(expected)} are usual ({why}).")
    if expected * seen.fresh_s / SLICE_S >= statistics.ZERO_TRAFFIC_EXPECTED and (
        seen.fresh is None or seen.fresh.total < 0.5
    ):
        return _unsure(
            f"No request in the last {seen.fresh_s} s after {wording.count(now)} in 5 min: telemetry or users are gone."
        )
    if usual.n < series.ENOUGH:
        return _unsure(f"Failures: {wording.no_baseline(usual.n, series.ENOUGH)} requests.")
    return None


def _unsure(summary: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary)


# --- Judging -----------------------------------------------------------------------------------------------------


def _judge(context: ProbeContext, seen: _Seen, usual: Rate, window_s: int) -> Reading:
    now = _pooled(seen.requests.latest(window_s // SLICE_S))
    errors = symptoms.judge_errors(now, seen.requests.alias, usual, context.service.error_slo)
    slow = _slowness(seen, window_s)
    lasting = [found for found in slow if found[1].bad and not _slowness_over(seen, *found)]
    quality = symptoms.judge_score(seen.quality, recorded(context, "user_signal.quality"))
    if errors.bad and not _errors_over(context, seen, usual, errors):
        return _errors(errors, usual, window_s)
    if lasting:
        return _slow(*lasting[0], window_s=window_s)
    heard = signal_answers.Heard(reports=seen.reports, requests=seen.requests, failing=errors.bad)
    worse, shifted = signal_answers.judge(quality, heard, seen.grades.apart())
    if worse is not None:
        return worse
    told = _too_few(seen, now, window_s, errors.power or 0.0) or shifted
    if told is not None:
        return told
    past = _worst_before(context, seen, usual)
    if errors.bad or any(judged.bad for _, judged in slow) or past is not None:
        return _recovered(context, seen, usual, past or errors)
    return _ok(errors, slow[0] if slow else None, quality, window_s=window_s, slo=context.service.error_slo)


def _too_few(seen: _Seen, now: Slice, window_s: int, chance: float) -> Reading | None:
    """Why those that still come say too little, in the window or of late, if so. ``chance``: power of the window."""
    usual = symptoms.expected_requests(seen.requests) / SLICE_S
    fresh = seen.fresh or Slice(end=now.end, parts={})
    collapsed = fresh.total < symptoms.TRAFFIC_LEFT * usual * seen.fresh_s
    tellable = usual * seen.fresh_s >= statistics.ZERO_TRAFFIC_EXPECTED
    for one, seconds, bad in (
        (now, window_s, chance < power.ENOUGH or now.total < symptoms.TRAFFIC_LEFT * usual * window_s),
        (fresh, seen.fresh_s, collapsed and tellable),
    ):
        if bad:
            few = f"Only {wording.count(one.total)} requests in {wording.seconds(seconds)}, too few to tell"
            due = wording.count(usual * seconds)
            return replace(_unsure(f"{few}; {due} are usual."), power=chance, n=round(one.total))
    return None


def _pooled(slices: tuple[Slice, ...]) -> Slice:
    parts: dict[str, float] = {}
    for one in slices:
        for part, value in one.parts.items():
            parts[part] = parts.get(part, 0.0) + value
    return Slice(end=slices[-1].end, parts=parts)


def _slowness(seen: _Seen, window_s: int) -> list[tuple[str, Judged]]:
    """Whole duration and time to the first token, what stands out more first; empty without data."""
    found = []
    for what, track in (("requests", seen.duration), ("first tokens", seen.first_token)):
        latest = track.latest(window_s // SLICE_S)
        judged = symptoms.judge_latency(_pooled(latest), track.baseline) if latest else None
        if judged is not None:
            found.append((what, judged))
    return sorted(found, key=lambda pair: (pair[1].bad, pair[1].value / pair[1].baseline), reverse=True)


def _errors_over(context: ProbeContext, seen: _Seen, usual: Rate, bad: Judged) -> bool:
    """Whether the freshest requests are as usual, where the failures of the window would surely show."""
    fresh = seen.fresh
    if fresh is None:
        return False
    now = symptoms.judge_errors(fresh, seen.requests.alias, usual, context.service.error_slo)
    would_show = power.rate(round(usual.events), float(round(usual.n)), float(round(fresh.total)), bad.value)
    return now.value < symptoms.failing_from(usual, context.service.error_slo) and would_show >= 0.95


def _slowness_over(seen: _Seen, what: str, bad: Judged) -> bool:
    requests = what == "requests"
    fresh, track = (seen.fresh_duration, seen.duration) if requests else (seen.fresh_first_token, seen.first_token)
    if fresh is None:
        return False
    now = symptoms.judge_latency(fresh, track.baseline)
    return (
        now is not None
        and not now.bad
        and now.value < statistics.MIN_RATIO * bad.baseline
        and (now.power or 0.0) >= 0.95
    )


def _worst_before(context: ProbeContext, seen: _Seen, usual: Rate) -> Judged | None:
    """The worst failing or slow slice of the last hour and since the incident began; None if all were well."""
    slo, alias, alpha = context.service.error_slo, seen.requests.alias, symptoms.SLICE_ALPHA
    failing = [symptoms.judge_errors(one, alias, usual, slo, alpha=alpha) for one in seen.requests.since]
    bad = [judged for judged in failing if judged.bad]
    if bad:
        return max(bad, key=lambda judged: judged.value)
    slow = [symptoms.judge_latency(one, seen.duration.baseline, alpha=alpha) for one in seen.duration.since]
    return max((j for j in slow if j is not None and j.bad), key=lambda judged: judged.value, default=None)


# --- Saying it ---------------------------------------------------------------------------------------------------


def _errors(judged: Judged, usual: Rate, window_s: int) -> Reading:
    summary = (
        f"{wording.percent(judged.value)} of {wording.count(judged.n)} requests failed in {wording.seconds(window_s)}; "
        f"normally {wording.percent(judged.baseline)} ({wording.probability(judged.p_value)})."
    )
    interval = statistics.wilson(round(judged.value * judged.n), round(judged.n))
    return reading_of("errors", summary, judged, test=statistics.RATES, baseline_n=round(usual.n), interval=interval)


def _slow(what: str, judged: Judged, *, window_s: int) -> Reading:
    summary = (
        f"95 % of {what} took up to {wording.seconds(judged.value)} in the last {wording.seconds(window_s)}; normally "
        f"{wording.seconds(judged.baseline)} (n = {wording.count(judged.n)}, {wording.probability(judged.p_value)})."
    )
    return reading_of("slow", summary, judged, test=f"{statistics.RATES}, beyond the usual 95th percentile")


def _recovered(context: ProbeContext, seen: _Seen, usual: Rate, worst: Judged) -> Reading:
    fresh = seen.fresh or seen.requests.slices[-1]
    now = symptoms.judge_errors(fresh, seen.requests.alias, usual, context.service.error_slo)
    was = f"{wording.percent(worst.value)} failed"
    if worst.unit == "s":
        was = f"{wording.seconds(worst.value)} at the 95th percentile"
    summary = (
        f"Over again: {wording.percent(now.value)} of {wording.count(now.n)} requests failed in the last "
        f"{seen.fresh_s} s, normally {wording.percent(usual.share)}; {was} in the 5 min to {wording.clock(worst.end)}."
    )
    details = {"worst": worst.value, "worst_unit": worst.unit, "worst_until": worst.end.isoformat()}
    return reading_of("recovered", summary, now, test=statistics.RATES, baseline_n=round(usual.n), details=details)


def _ok(
    errors: Judged, slow: tuple[str, Judged] | None, quality: Judged | None, *, window_s: int, slo: float
) -> Reading:
    latency = f", 95 % took up to {wording.seconds(slow[1].value)}" if slow else ""
    score = f", quality {quality.value:.2f}" if quality else ""
    more = errors.p_value <= statistics.ALPHA
    usual = f"normally {wording.percent(errors.baseline)}, {wording.percent(slo)} are allowed" if more else \
        f"as usual ({wording.percent(errors.baseline)})"  # fmt: skip
    summary = (
        f"{wording.percent(errors.value)} of {wording.count(errors.n)} requests failed in {wording.seconds(window_s)}, "
        f"{usual}{latency}{score}."
    )
    return reading_of("ok", summary, errors, test=statistics.RATES)


def _figures(seen: _Seen) -> Mapping[str, Any]:
    """Plain facts of the last slice, and what of it belongs into the baseline."""
    record: dict[str, list[float]] = {}
    latest = seen.requests.latest()
    if latest and latest[0].total > 0:
        record["user_signal.requests"] = [latest[0].total]
        record["user_signal.error_share"] = [symptoms.failed(latest[0], seen.requests.alias) / latest[0].total]
    for name, track, q in (
        ("user_signal.p50_s", seen.duration, 0.5),
        ("user_signal.p95_s", seen.duration, 0.95),
        ("user_signal.ttft_p95_s", seen.first_token, 0.95),
    ):
        value = histogram_quantile(track.latest()[0].parts, q) if track.latest() else None
        if value is not None:
            record[name] = [value]
    for name, track in (("user_signal.quality", seen.quality), ("user_signal.reports", seen.reports)):
        if track.latest():
            record[name] = [track.latest()[-1].total]
    began = symptoms.onset(seen.requests)
    by_error = {part or "ok": round(value, 1) for part, value in (latest[0].parts.items() if latest else ())}
    return {
        series.RECORD: record, "by_error": by_error, "onset": began.isoformat() if began else None,
        **signal_answers.figures(seen.grades.apart()),
    }  # fmt: skip
