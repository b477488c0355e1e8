"""P18: what answers look like in numbers: why they ended, how long prompts and answers are.

Silent faults show here first: answers cut at a limit, refusals, prompts that grow. All by comparison with the same
service before the incident.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from diagnostics import power, series, statistics, symptoms, wording
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.symptoms import Rate
from diagnostics.usual import Moved, moved, usual_values
from diagnostics.windows import SLICE_S, Track, Watch, merged

LENGTH = ("length", "max_tokens", "max_output_tokens")
REFUSED = ("refusal", "content_filter")
SHARE_FACTOR, SHARE_POINTS = 2.0, 0.01
"""A share has risen once it doubled and gained a point."""
PROMPT_UP, ANSWER_SHORT, ANSWER_LONG = 1.3, 0.7, 1.5
FEWEST = 30
"""Answers below which nothing is said about them."""


class TokenParams(Params):
    """``window_s``: what counts as now; whole slices of five minutes."""

    window_s: int = Field(default=900, ge=SLICE_S, le=7200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Share:
    """A share of answers against the usual one."""

    now: float
    usual: Rate
    n: float
    p_value: float

    @property
    def up(self) -> bool:
        grown = self.now >= max(SHARE_FACTOR * self.usual.share, self.usual.share + SHARE_POINTS)
        return grown and self.p_value <= statistics.ALPHA_COUNTS


@dataclass(frozen=True, kw_only=True, slots=True)
class _Profile:
    answers: float
    length: _Share | None
    refused: _Share | None
    prompt: Moved | None
    answer: Moved | None
    drift: float


class TokenProfile:
    """P18."""

    spec = ProbeSpec(
        id="P18",
        name="token_profile",
        title="Tokens and finish reasons",
        outcomes={
            "ok": Verdict.NORMAL,
            "shift": Verdict.ABNORMAL,
            "finish_length": Verdict.ABNORMAL,
            "output_short": Verdict.ABNORMAL,
            "prompt_tokens_up": Verdict.ABNORMAL,
            "refusal_up": Verdict.ABNORMAL,
        },
        params=TokenParams,
        unit="share, or ratio to usual",
        expected_s=1.0,
        timeout_s=15.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, params: TokenParams) -> Reading:
        """Read finish reasons and token counts, and say what moved most tellingly."""
        watch, slices = Watch.of(context), params.window_s // SLICE_S
        reasons, tokens, calls = await asyncio.gather(
            watch.counts("finish_reasons"), watch.counts("tokens"), watch.counts("token_calls")
        )
        means = _means(tokens, calls)
        if not tokens.has_data:
            means = await _other_means(watch)
        profile = _profile(context, reasons, means, slices)
        details: dict[str, Any] = {series.RECORD: _record(reasons, means), "answers": round(profile.answers)}
        if reasons.latest():
            now = merged(reasons.latest(slices))
            details["finish_reasons"] = {reason: round(value, 1) for reason, value in now.items()}
            shares = {reason: round(value / max(sum(now.values()), 1e-9), 5) for reason, value in now.items()}
            details[series.RECORD_DOCUMENTS] = {"token_profile.finish_reasons": shares}
        evidence = (reasons.evidence, tokens.evidence, calls.evidence)
        return replace(_judge(profile), details=details, evidence=evidence)


Means = dict[str, tuple[list[tuple[Any, float]], Track]]
"""``input`` and ``output`` -> mean tokens in each slice, with the end of the slice."""


def _means(tokens: Track, calls: Track) -> Means:
    found: Means = {}
    answered = {one.end: one.parts for one in calls.slices}
    for kind in ("input", "output"):
        points = [
            (one.end, one.parts.get(kind, 0.0) / answered[one.end][kind])
            for one in tokens.slices
            if answered.get(one.end, {}).get(kind, 0.0) >= 1
        ]
        found[kind] = (points, tokens)
    return found


async def _other_means(watch: Watch) -> Means:
    """From gateway or engine counters, which count tokens and requests apart."""
    requests, inputs, outputs = await asyncio.gather(
        watch.counts("requests"),
        watch.counts("input_tokens", together=True),
        watch.counts("output_tokens", together=True),
    )
    answered = {one.end: one.total - symptoms.failed(one, requests.alias) for one in requests.slices}
    return {
        kind: (
            [(one.end, one.total / answered[one.end]) for one in track.slices if answered.get(one.end, 0.0) >= 1],
            track,
        )
        for kind, track in (("input", inputs), ("output", outputs))
    }


def _profile(context: ProbeContext, reasons: Track, means: Means, slices: int) -> _Profile:
    now = merged(reasons.latest(slices))
    before = merged(reasons.baseline) or context.baselines.document(
        context.service.name, "token_profile.finish_reasons", before=context.started_at
    )
    return _Profile(
        answers=sum(now.values()),
        length=_share(context, reasons, slices, "token_profile.length_share", LENGTH),
        refused=_share(context, reasons, slices, "token_profile.refusal_share", REFUSED),
        prompt=_mean(context, "token_profile.input_tokens", means["input"], slices),
        answer=_mean(context, "token_profile.output_tokens", means["output"], slices),
        drift=statistics.psi(now, before) if now and isinstance(before, dict) else 0.0,
    )


def _share(context: ProbeContext, reasons: Track, slices: int, template: str, parts: Sequence[str]) -> _Share | None:
    latest = reasons.latest(slices)
    events = sum(one.parts.get(part, 0.0) for one in latest for part in parts)
    n = sum(one.total for one in latest)
    before = [(sum(one.parts.get(part, 0.0) for part in parts), one.total) for one in reasons.baseline]
    usual = symptoms.usual_rate(context, ("token_profile.answers", template), before)
    if n < FEWEST or usual.n < series.ENOUGH:
        return None
    p_value = statistics.rate_rise(events, n, usual.events, usual.n)
    return _Share(now=events / n, usual=usual, n=n, p_value=p_value)


def _mean(
    context: ProbeContext, template: str, mean: tuple[list[tuple[Any, float]], Track], slices: int
) -> Moved | None:
    points, track = mean
    latest = {one.end for one in track.latest(slices)}
    baseline = {one.end for one in track.baseline}
    before = [value for end, value in points if end in baseline]
    return moved([value for end, value in points if end in latest], usual_values(context, template, before))


def _judge(profile: _Profile) -> Reading:
    if profile.length is None and profile.prompt is None:
        if profile.answers < FEWEST:
            return Reading(
                outcome=INCONCLUSIVE, summary=f"Only {profile.answers:.0f} answers to look at; too few to tell."
            )
        return Reading(outcome=INCONCLUSIVE, summary=f"Answers: {wording.no_baseline(0, series.ENOUGH)}.")
    if profile.length and profile.length.up:
        return _risen("finish_length", "answers were cut at their length limit", profile.length)
    if profile.refused and profile.refused.up:
        return _risen("refusal_up", "answers were refused or filtered", profile.refused)
    if profile.prompt and profile.prompt.up(PROMPT_UP):
        return _shifted("prompt_tokens_up", "Prompts are", profile.prompt)
    if profile.answer and profile.answer.down(ANSWER_SHORT):
        return _shifted("output_short", "Answers are", profile.answer)
    if profile.answer and profile.answer.up(ANSWER_LONG):
        return _shifted("shift", "Answers are", profile.answer)
    if profile.drift > statistics.PSI_LARGE:
        return Reading(
            outcome="shift",
            summary=f"The mix of finish reasons of {wording.count(profile.answers)} answers drifted "
            f"(PSI {profile.drift:.2f}; above {statistics.PSI_LARGE:g} is large).",
            value=profile.drift,
            baseline=0.0,
            n=round(profile.answers),
            test="population stability index",
        )
    return _fine(profile)


def _risen(outcome: str, what: str, share: _Share) -> Reading:
    return Reading(
        outcome=outcome,
        summary=f"{wording.percent(share.now)} of {wording.count(share.n)} {what}; normally "
        f"{wording.percent(share.usual.share)} ({wording.probability(share.p_value)}).",
        value=share.now,
        baseline=share.usual.share,
        n=round(share.n),
        baseline_n=round(share.usual.n),
        test=statistics.RATES,
        p_value=share.p_value,
        interval=statistics.wilson(round(share.now * share.n), round(share.n)),
        power=_power(share),
    )


def _power(share: _Share) -> float:
    """Chance to see ten points more."""
    before, n = round(share.usual.events), float(round(share.n))
    return power.rate(before, float(round(share.usual.n)), n, share.usual.share + 0.10)


def _shifted(outcome: str, what: str, by: Moved) -> Reading:
    return Reading(
        outcome=outcome,
        summary=f"{what} {wording.count(by.now)} tokens long on average, {wording.ratio(by.ratio)} the usual "
        f"{wording.count(by.usual)} ({wording.probability(min(by.p_rise, by.p_fall))}).",
        value=by.ratio,
        baseline=1.0,
        n=by.n,
        test=statistics.MANN_WHITNEY,
        p_value=min(by.p_rise, by.p_fall),
    )


def _fine(profile: _Profile) -> Reading:
    share, prompt, answer = profile.length, profile.prompt, profile.answer
    told = [
        f"{wording.percent(share.now)} cut at the limit (normally {wording.percent(share.usual.share)})"
        if share
        else "",
        f"prompts of {wording.count(prompt.now)} tokens ({wording.ratio(prompt.ratio)} the usual)" if prompt else "",
        f"answers of {wording.count(answer.now)} ({wording.ratio(answer.ratio)})" if answer else "",
    ]
    return Reading(
        outcome="ok",
        summary=f"{wording.count(profile.answers)} answers as usual: {', '.join(part for part in told if part)}.",
        value=share.now if share else None,
        baseline=share.usual.share if share else None,
        n=round(profile.answers),
        test=statistics.RATES if share else statistics.MANN_WHITNEY,
        p_value=share.p_value if share else None,
        power=_power(share) if share else None,
    )


def _record(reasons: Track, means: Means) -> dict[str, list[float]]:
    record: dict[str, list[float]] = {}
    latest = reasons.latest()
    if latest and latest[0].total > 0:
        record["token_profile.answers"] = [latest[0].total]
        record["token_profile.length_share"] = [latest[0].share(*LENGTH)]
        record["token_profile.refusal_share"] = [latest[0].share(*REFUSED)]
    for kind in ("input", "output"):
        points, track = means[kind]
        ends = {one.end for one in track.latest()}
        values = [value for end, value in points if end in ends]
        if values:
            record[f"token_profile.{kind}_tokens"] = [values[-1]]
    return record
