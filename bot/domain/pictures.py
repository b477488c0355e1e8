"""What the postmortem draws: the incident as lanes over time, and numbers before and after, only where comparable."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from statistics import fmean, median
from typing import Literal

from bot.domain import wording
from bot.domain.measures import USERS, began
from bot.domain.plan_card import title
from bot.domain.timeline import Entry
from bot.domain.untrusted import line
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict
from diagnostics.series import RECORD, SERIES

Tone = Literal["neutral", "bad", "good", "unsure", "human", "change"]
MAX_SIGNALS = 4
MAX_MARKS = 80
"""In one lane: more could not be told apart; the timeline below has them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A moment, or a span of time, in a lane."""

    at: datetime
    until: datetime | None
    label: str
    tone: Tone
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """Marks of one kind, in order of time."""

    name: str
    marks: tuple[Mark, ...]
    hidden: int = 0
    """Marks that are not shown, because there are too many to tell apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lanes:
    """The whole incident at a glance."""

    lanes: tuple[Lane, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Point:
    """One reading of a number."""

    at: datetime
    value: float
    n: int
    interval: tuple[float, float] | None
    verdict: Verdict
    outcome: str
    round: int
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """The same number, read again and again. All points have the same unit; what is normal, where known."""

    probe: str
    unit: str
    share: bool
    """The number is a share of 0 to 1."""
    baseline: float | None
    points: tuple[Point, ...]
    changes: tuple[Mark, ...]
    """What was changed, and set back, meanwhile."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Measured:
    """Where a probe's number of interest is kept, whatever its outcome turns out to be."""

    stem: str = ""
    """Beginning of the recorded series; empty: the reading's own value, whose unit never changes."""
    unit: str = ""


_CANARY = {"slow": "ttft_s", "": "failed"}
_OF: Mapping[str, Mapping[str, str]] = {
    "user_signal": {"errors": "user_signal.error_share", "slow": "user_signal.p95_s",
                    "quality_drop": "user_signal.quality", "": "user_signal.error_share"},
    "provider_canary": {word: f"provider_canary.{stem}" for word, stem in _CANARY.items()},
    "second_provider_canary": {word: f"provider_canary.{stem}" for word, stem in _CANARY.items()},
    "gateway_canary": {word: f"gateway_canary.{stem}" for word, stem in _CANARY.items()},
    "token_profile": {"finish_length": "token_profile.length_share", "refusal_up": "token_profile.refusal_share",
                      "output_short": "token_profile.output_tokens", "prompt_tokens_up": "token_profile.input_tokens"},
    "demand_profile": {"queue_backlog": "demand_profile.queue_depth", "traffic_up": "demand_profile.tasks",
                       "retries_up": "demand_profile.attempts_per_call",
                       "retry_amplification": "demand_profile.attempts_per_call",
                       "calls_per_task_up": "demand_profile.calls_per_task",
                       "tenant_surge": "demand_profile.top_tenant_share"},
    "gateway_health": {"inflight_up": "gateway_health.in_flight"},
    "structured_output": {"": "structured_output.valid"},
    "model_fingerprint": {"": "model_fingerprint.logprob"},
    "telemetry_check": {"": "telemetry_check.judge_agreement"},
}  # fmt: skip
"""Probe -> outcome before the mitigation -> the recorded series that shows it; ``""`` is for any other outcome."""
OWN_UNIT: Mapping[str, str] = {
    "golden_set": "share passed", "golden_counterfactual": "share passed", "index_freshness": "s behind",
    "rate_limit_headroom": "share left", "egress": "share of attempts failed",
}  # fmt: skip
"""Probes whose reading has one unit in every outcome."""
_SHARES = ("error_share", "failed", "valid", "quality", "length_share", "refusal_share", "top_tenant_share",
           "judge_agreement")  # fmt: skip


def lanes(view: IncidentView) -> Lanes:
    """Six lanes: page, probes, decision, effect, verify, resolve."""
    made = {
        "page": _page(view), "probes": _probes(view), "decision": _decision(view), "effect": _effects(view),
        "verify": _verify(view), "resolve": _resolve(view),
    }  # fmt: skip
    return Lanes(lanes=tuple(_lane(name, tuple(marks)) for name, marks in made.items()))


def signals(view: IncidentView) -> tuple[Signal, ...]:
    """The deciding numbers: of the probes that judged a mitigation, and of what users notice."""
    wanted = [pv.proposal.plan.verify_probe for pv in view.proposals if pv.apply is not None]
    wanted += [USERS, *(finding.probe for finding in view.findings if finding.round > 0)]
    found = (signal(view, probe) for probe in dict.fromkeys(wanted))
    return tuple(each for each in found if each is not None)[:MAX_SIGNALS]


def signal(view: IncidentView, probe: str) -> Signal | None:
    """One probe's number over all its readings; None if fewer than two can be compared and nothing is known as usual."""
    readings = sorted((f for f in view.findings if f.probe == probe), key=lambda f: (f.started_at, f.round, f.id))
    first = next((f for f in readings if f.verdict is Verdict.ABNORMAL), readings[0] if readings else None)
    measured = None if first is None else _measured(probe, first.outcome)
    if measured is None:
        return None
    points = [point for point in (_point(finding, measured) for finding in readings) if point is not None]
    usual = _usual(readings, points)
    if len(points) < 2 and (not points or usual is None):
        return None
    share = measured.unit.startswith("share") or measured.stem.rsplit(".", 1)[-1] in _SHARES
    return Signal(
        probe=probe, unit=measured.unit, share=share, baseline=usual, points=tuple(points),
        changes=tuple(mark for mark in _effects(view) if mark.tone == "change"),
    )  # fmt: skip


def number(signal_: Signal, value: float) -> str:
    """A value of this signal with its unit, short."""
    if signal_.share:
        return wording.percent(value)
    if signal_.unit.startswith("s ") or signal_.unit.startswith("s,"):
        return wording.seconds(value)
    return wording.number(value)


# --- Lanes ----------------------------------------------------------------------------------------------------------


def _page(view: IncidentView) -> Iterator[Mark]:
    start = began(view)
    if start.at < view.incident.opened_at:
        yield _mark(start.at, start.label, "neutral", start.ref)
    words = {"page_received": "page", "page_joined": "page joined", "page_stale": "old page"}
    for entry in view.entries(*words):
        yield _mark(entry.at, words[entry.fact.kind], "bad", f"#{entry.seq}")
    if not view.entries(*words):
        yield _mark(view.incident.opened_at, "page", "bad", view.incident.id)


def _probes(view: IncidentView) -> Iterator[Mark]:
    tones: dict[Verdict, Tone] = {Verdict.NORMAL: "good", Verdict.ABNORMAL: "bad"}
    for finding in sorted(view.findings, key=lambda f: (f.started_at, f.id)):
        if finding.round == 0:
            end = finding.started_at + timedelta(seconds=max(0.0, finding.elapsed_s))
            label = f"{line(finding.probe, 40)}: {line(finding.outcome, 40)}"
            yield Mark(at=finding.started_at, until=end, label=label, tone=tones.get(finding.verdict, "unsure"),
                       ref=finding.id)  # fmt: skip


def _decision(view: IncidentView) -> Iterator[Mark]:
    words: dict[str, tuple[str, Tone]] = {
        "proposal_made": ("proposed", "neutral"), "proposal_withheld": ("shown, no vote", "neutral"),
        "proposal_approved": ("approved", "human"), "proposal_rejected": ("rejected", "human"),
        "proposal_expired": ("expired", "unsure"), "incident_acknowledged": ("acknowledged", "human"),
        "incident_escalated": ("escalated", "human"), "hint_given": ("hint", "human"), "vote_denied": ("denied", "unsure"),
        "frozen": ("frozen", "human"), "unfrozen": ("unfrozen", "human"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        yield _mark(entry.at, label, tone, f"#{entry.seq}")


def _effects(view: IncidentView) -> Iterator[Mark]:
    titles = {pv.proposal.id: title(pv.proposal.plan) for pv in view.proposals}
    words: dict[str, tuple[str, Tone]] = {
        "effect_applied": ("{}", "change"), "manual_done": ("{}", "change"), "effect_reverted": ("{} set back", "change"),
        "effect_failed": ("{} failed", "bad"), "effect_conflict": ("{} not done: target changed", "unsure"),
        "effect_unknown": ("{} unknown", "unsure"), "effect_held": ("{} held", "unsure"),
        "person_did": ("done by a person", "human"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        about = titles.get(str(entry.fact.data.get("proposal", "")), "change")
        yield _mark(entry.at, label.format(about), tone, f"#{entry.seq}")


def _verify(view: IncidentView) -> Iterator[Mark]:
    tones: dict[str, Tone] = {"better": "good", "worse": "bad"}
    started: Entry | None = None
    for entry in view.entries("verification_started", "verification_made"):
        if entry.fact.kind == "verification_started":
            started = entry
            continue
        verdict = str(entry.fact.data.get("verdict", ""))
        label = wording.EFFECT_VERDICTS.get(verdict, "verified")
        since = started.at if started is not None and started.at < entry.at else entry.at
        yield Mark(at=since, until=entry.at, label=label, tone=tones.get(verdict, "unsure"), ref=f"#{entry.seq}")
        started = None
    if started is not None:
        yield _mark(started.at, "being verified", "unsure", f"#{started.seq}")


def _resolve(view: IncidentView) -> Iterator[Mark]:
    words: dict[str, tuple[str, Tone]] = {
        "incident_resolved": ("resolved", "good"), "incident_reopened": ("opened again", "bad"),
        "incident_closed": ("closed", "neutral"), "lease_ended": ("lease ended", "neutral"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        yield _mark(entry.at, label, tone, f"#{entry.seq}")
    if view.incident.resolved_at is not None and not view.entries("incident_resolved"):
        yield _mark(view.incident.resolved_at, "resolved", "good", view.incident.id)


def _mark(at: datetime, label: str, tone: Tone, ref: str) -> Mark:
    return Mark(at=at, until=None, label=label, tone=tone, ref=ref)


def _lane(name: str, marks: tuple[Mark, ...]) -> Lane:
    """A lane of at most so many marks, evenly chosen, first and last included."""
    if len(marks) <= MAX_MARKS:
        return Lane(name=name, marks=marks)
    step = (len(marks) - 1) / (MAX_MARKS - 1)
    chosen = tuple(marks[round(number * step)] for number in range(MAX_MARKS))
    return Lane(name=name, marks=chosen, hidden=len(marks) - MAX_MARKS)


# --- Signals --------------------------------------------------------------------------------------------------------


def _measured(probe: str, outcome: str) -> _Measured | None:
    if probe in OWN_UNIT:
        return _Measured(unit=OWN_UNIT[probe])
    series = _OF.get(probe, {})
    stem = series.get(outcome) or series.get("")
    if stem is None:
        return None
    unit = next((text for name, text in SERIES.items() if name.split(":")[0] == stem), "")
    return _Measured(stem=stem, unit=unit)


def _point(finding: Finding, measured: _Measured) -> Point | None:
    reading = finding.reading
    value, n = reading.value, reading.n
    if measured.stem:
        recorded = _recorded(finding, measured.stem)
        if recorded:
            seconds = measured.stem.endswith("ttft_s")
            value = median(recorded) if seconds else fmean(recorded)
            n = len(recorded) if len(recorded) > 1 else n
        elif RECORD in reading.details or not _same_kind(finding.outcome, measured):
            return None
    if value is None or not math.isfinite(value):
        return None
    own = reading.value is not None and math.isclose(value, reading.value, rel_tol=1e-3, abs_tol=1e-9)
    interval = reading.interval if own and reading.interval and all(map(math.isfinite, reading.interval)) else None
    return Point(
        at=finding.started_at + timedelta(seconds=max(0.0, finding.elapsed_s)), value=value, n=n, interval=interval,
        verdict=finding.verdict, outcome=finding.outcome, round=finding.round, ref=finding.id,
    )  # fmt: skip


def _same_kind(outcome: str, measured: _Measured) -> bool:
    """Whether a reading without a record has its value in this unit: failures are counted unless it says ``slow``."""
    return measured.stem.endswith((".failed", ".error_share")) and outcome not in ("slow", "quality_drop")


def _recorded(finding: Finding, stem: str) -> list[float]:
    record = finding.reading.details.get(RECORD)
    for name, values in sorted(record.items()) if isinstance(record, Mapping) else ():
        if str(name).split(":")[0] == stem and isinstance(values, list | tuple):
            return [float(v) for v in values if isinstance(v, int | float) and math.isfinite(v)]
    return []


def _usual(readings: Sequence[Finding], points: Sequence[Point]) -> float | None:
    """What is normal: the baseline of a reading whose own value is the number that is shown."""
    shown = {point.ref: point.value for point in points}
    for finding in readings:
        value, usual = finding.reading.value, finding.reading.baseline
        if finding.id in shown and value is not None and usual is not None and math.isfinite(usual):
            if math.isclose(value, shown[finding.id], rel_tol=1e-3, abs_tol=1e-9):
                return usual
    return None
