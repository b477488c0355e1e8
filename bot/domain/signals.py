"""Numbers before and after: readings of one probe that can be compared, because they have the same unit."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Literal

from bot.domain import wording
from bot.domain.lanes import Mark, effects
from bot.domain.measures import USERS
from bot.domain.view import IncidentView
from diagnostics.model import INCONCLUSIVE, Finding, Verdict
from diagnostics.series import RECORD

MAX_SIGNALS = 4
Kind = Literal["share", "seconds", "number"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One reading of a number."""

    at: datetime
    value: float
    n: int
    interval: tuple[float, float] | None
    verdict: Verdict
    round: int
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """The same number, read again and again; what is normal, where known; what was changed meanwhile."""

    probe: str
    label: str
    kind: Kind
    baseline: float | None
    points: tuple[Point, ...]
    changes: tuple[Mark, ...]


SERIES: Mapping[str, tuple[str, Kind]] = {
    "user_signal.error_share": ("share of users' requests that failed", "share"),
    "user_signal.p95_s": ("95th percentile of the duration", "seconds"),
    "user_signal.quality": ("judged quality, 0 to 1", "number"),
    "provider_canary.failed": ("share of canary calls that failed", "share"),
    "provider_canary.ttft_s": ("time to the first token, median", "seconds"),
    "gateway_canary.failed": ("share of canary calls that failed", "share"),
    "gateway_canary.ttft_s": ("time to the first token, median", "seconds"),
    "token_profile.length_share": ("share of answers cut at the token limit", "share"),
    "token_profile.refusal_share": ("share of answers refused or filtered", "share"),
    "token_profile.output_tokens": ("tokens in an answer, mean", "number"),
    "token_profile.input_tokens": ("tokens in a prompt, mean", "number"),
    "demand_profile.queue_depth": ("items waiting", "number"),
    "demand_profile.tasks": ("tasks a minute", "number"),
    "demand_profile.attempts_per_call": ("attempts for a call", "number"),
    "demand_profile.calls_per_task": ("model calls for a task", "number"),
    "demand_profile.top_tenant_share": ("share of all calls of the largest tenant", "share"),
    "gateway_health.in_flight": ("requests in flight", "number"),
    "stream_canary.whole": ("share of long streams that arrive whole", "share"),
    "prompt_cache.cached_share": ("share of prompt tokens that are cached", "share"),
    "spend.usd": ("USD a minute", "number"),
    "spend.price": ("USD for a million tokens", "number"),
    "structured_output.valid": ("share of answers that are valid", "share"),
    "model_fingerprint.logprob": ("mean log probability of a fixed answer", "number"),
    "telemetry_check.judge_agreement": ("agreement of the judge with human labels", "share"),
}  # fmt: skip
"""Recorded series that can be followed over several readings: what it is for people, and its kind."""

_CANARY = {"slow": "ttft_s", "": "failed"}
FOLLOWED: Mapping[str, Mapping[str, str]] = {
    "user_signal": {"errors": "user_signal.error_share", "slow": "user_signal.p95_s",
                    "quality_drop": "user_signal.quality", "": "user_signal.error_share"},
    "provider_canary": {word: f"provider_canary.{name}" for word, name in _CANARY.items()},
    "second_provider_canary": {word: f"provider_canary.{name}" for word, name in _CANARY.items()},
    "gateway_canary": {word: f"gateway_canary.{name}" for word, name in _CANARY.items()},
    "token_profile": {"finish_length": "token_profile.length_share", "refusal_up": "token_profile.refusal_share",
                      "output_short": "token_profile.output_tokens", "prompt_tokens_up": "token_profile.input_tokens"},
    "demand_profile": {"queue_backlog": "demand_profile.queue_depth", "traffic_up": "demand_profile.tasks",
                       "retries_up": "demand_profile.attempts_per_call",
                       "retry_amplification": "demand_profile.attempts_per_call",
                       "calls_per_task_up": "demand_profile.calls_per_task",
                       "tenant_surge": "demand_profile.top_tenant_share"},
    "gateway_health": {"inflight_up": "gateway_health.in_flight"},
    "structured_output": {"": "structured_output.valid"},
    "stream_canary": {"": "stream_canary.whole"},
    "prompt_cache": {"": "prompt_cache.cached_share"},
    "spend": {"price_up": "spend.price", "": "spend.usd"},
    "model_fingerprint": {"": "model_fingerprint.logprob"},
    "telemetry_check": {"": "telemetry_check.judge_agreement"},
}  # fmt: skip
"""Probe -> the first outcome that was not normal -> the series that shows it; ``""`` stands for any other outcome."""

OWN_UNIT: Mapping[str, tuple[str, Kind]] = {
    "golden_set": ("share of golden items that pass", "share"),
    "golden_counterfactual": ("share of golden items that pass", "share"),
    "retrieval_canary": ("share of known questions whose document is found", "share"),
    "embedding_canary": ("median cosine to the stored vectors", "number"),
    "guardrail_canary": ("share of harmless texts blocked, or of test strings let through", "share"),
    "grounding_canary": ("share of answers that no document bears out", "share"),
    "cache_check": ("share of answers that are another question's", "share"),
    "context_scan": ("documents that the model obeys", "number"),
    "engine_health": ("share of requests that go wrong, or of the KV cache in use", "share"),
    "tool_check": ("share of pings that failed", "share"),
    "dependency_audit": ("packages that should not run", "number"),
    "key_audit": ("share of a key's uses that are not ours", "share"),
    "index_freshness": ("age of the newest document", "seconds"),
    "rate_limit_headroom": ("share of the limit that is left", "share"),
    "egress": ("share of attempts that failed", "share"),
}
"""Probes whose reading has one unit whatever its outcome: its own value is followed."""


def signals(view: IncidentView) -> tuple[Signal, ...]:
    """The deciding numbers: of what users notice, and of the probes that judged a mitigation."""
    wanted = [USERS, *(pv.proposal.plan.verify_probe for pv in view.proposals if pv.apply is not None)]
    wanted += [finding.probe for finding in view.findings if finding.round > 0]
    found = (signal(view, probe) for probe in dict.fromkeys(wanted))
    return tuple(each for each in found if each is not None)[:MAX_SIGNALS]


def signal(view: IncidentView, probe: str) -> Signal | None:
    """One probe's number over all its readings; None if there are not two to compare, nor one and what is usual."""
    readings = sorted((f for f in view.findings if f.probe == probe), key=lambda f: (f.started_at, f.round, f.id))
    first = next((f for f in readings if f.verdict is Verdict.ABNORMAL), readings[0] if readings else None)
    series = "" if first is None else FOLLOWED.get(probe, {}).get(first.outcome) or FOLLOWED.get(probe, {}).get("", "")
    known = SERIES.get(series) or OWN_UNIT.get(probe)
    if known is None:
        return None
    points = tuple(point for point in (_point(finding, series) for finding in readings) if point is not None)
    usual = _usual(readings, points)
    if len(points) < 2 and (not points or usual is None):
        return None
    label, kind = known
    changes = tuple(mark for mark in effects(view) if mark.tone == "change")
    return Signal(probe=probe, label=label, kind=kind, baseline=usual, points=points, changes=changes)


def shown(signal_: Signal, value: float) -> str:
    """A value of this signal, short, with its unit."""
    match signal_.kind:
        case "share":
            return wording.percent(value)
        case "seconds":
            return wording.seconds(value)
        case _:
            return wording.number(value)


def _point(finding: Finding, series: str) -> Point | None:
    reading = finding.reading
    value, n = reading.value, reading.n
    if series and not _is_own(finding.outcome, series):
        values = _recorded(finding, series)
        if not values:
            return None
        value, n = median(values) if series.endswith("ttft_s") else fmean(values), len(values) if len(values) > 1 else n
    if value is None or not math.isfinite(value):
        return None
    own = _same(value, reading.value)
    interval = reading.interval if own and reading.interval and all(map(math.isfinite, reading.interval)) else None
    return Point(
        at=finding.started_at + timedelta(seconds=max(0.0, finding.elapsed_s)), value=value, n=n, interval=interval,
        verdict=finding.verdict, round=finding.round, ref=finding.id,
    )  # fmt: skip


def _is_own(outcome: str, series: str) -> bool:
    """Whether the reading's own value is this number: a share of failures is, unless the outcome is of another kind."""
    return series.endswith((".failed", ".error_share")) and outcome not in ("slow", "quality_drop", INCONCLUSIVE)


def _recorded(finding: Finding, series: str) -> list[float]:
    record = finding.reading.details.get(RECORD)
    for name, values in sorted(record.items()) if isinstance(record, Mapping) else ():
        if str(name).split(":", maxsplit=1)[0] == series and isinstance(values, list | tuple):
            return [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return []


def _usual(readings: Sequence[Finding], points: Sequence[Point]) -> float | None:
    """What is normal: the baseline of a reading whose own value is the number that is shown."""
    values = {point.ref: point.value for point in points}
    for finding in readings:
        usual = finding.reading.baseline
        if usual is None or not math.isfinite(usual) or finding.id not in values:
            continue
        if _same(values[finding.id], finding.reading.value):
            return usual
    return None


def _same(one: float, other: float | None) -> bool:
    return other is not None and math.isclose(one, other, rel_tol=1e-3, abs_tol=1e-9)
