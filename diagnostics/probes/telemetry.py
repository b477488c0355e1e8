"""P23: whether what we see can be believed: metrics that still arrive, and a judge that still judges as it did.

A service whose metrics stop looks healthy to a careless eye, and a judge that changed its mind looks like a model that
got worse. Both are faults of the eye, and nothing must be done to the application.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from diagnostics import series, statistics, symptoms, wording
from diagnostics.model import INCONCLUSIVE, NoParams, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.usual import recorded
from diagnostics.windows import Track, Watch

JUDGE_DROP = 0.05
"""Smallest loss of agreement with frozen human labels that matters, in points of 1."""
STEP_S = 60
GONE_STEPS = 2


class TelemetryCheck:
    """P23."""

    spec = ProbeSpec(
        id="P23",
        name="telemetry_check",
        title="Whether telemetry can be believed",
        outcomes={"ok": Verdict.NORMAL, "stale": Verdict.ABNORMAL, "judge_drift": Verdict.ABNORMAL},
        params=NoParams,
        unit="agreement, 0 to 1",
        expected_s=1.0,
        timeout_s=12.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, _: NoParams) -> Reading:
        """Look at the scrape itself, at the request counter, and at the judge's agreement."""
        watch = Watch.of(context)
        up, requests, judge = await asyncio.gather(
            watch.levels("up", step_s=STEP_S),
            watch.counts("requests", together=True),
            watch.levels("judge_agreement", step_s=STEP_S),
        )
        evidence = tuple(track.evidence for track in (up, requests, judge))
        details: dict[str, Any] = {"up": up.latest()[-1].total if up.latest() else None}
        if judge.latest():
            details[series.RECORD] = {"telemetry_check.judge_agreement": [judge.latest()[-1].total]}
        return replace(
            _judge(up, requests, judge, recorded(context, "telemetry_check.judge_agreement")),
            evidence=evidence,
            details=details,
        )


def _judge(up: Track, requests: Track, judge: Track, usual: Sequence[float]) -> Reading:
    gone = _gone(up, requests)
    if gone:
        return Reading(outcome="stale", summary=gone, test="newest sample, and the scrape's own state")
    if not up.has_data and not requests.has_data:
        return Reading(outcome=INCONCLUSIVE, summary="No metric of this service was found, now or earlier.")
    agreement = symptoms.judge_score(judge, usual, drop=JUDGE_DROP)
    if agreement is None:
        told = "its judge's agreement is not measured" if not judge.has_data else "no baseline of its judge yet"
        return Reading(outcome="ok", summary=f"Metrics arrive; {told}.", n=len(up.latest()))
    drifted = agreement.bad
    return Reading(
        outcome="judge_drift" if drifted else "ok",
        summary=f"{'The judge drifted: it agrees' if drifted else 'Metrics arrive; the judge agrees'} with the frozen "
        f"labels in {wording.percent(agreement.value)} of cases; normally {wording.percent(agreement.baseline)}.",
        value=agreement.value,
        baseline=agreement.baseline,
        n=round(agreement.n),
        test=statistics.MANN_WHITNEY,
        p_value=agreement.p_value,
        power=agreement.power,
    )


def _gone(up: Track, requests: Track) -> str:
    """What stopped arriving; empty if everything that used to arrive still does."""
    if up.has_data:
        latest = up.latest(GONE_STEPS)
        if not latest:
            return f"The service's metrics stopped arriving at {wording.clock(up.slices[-1].end)}."
        if latest[-1].total <= 0:
            return "The scrape of the service's metrics fails (up = 0)."
    if requests.has_data and not requests.latest():
        return f"The request counter stopped arriving at {wording.clock(requests.slices[-1].end)}."
    return ""
