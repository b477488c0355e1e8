"""The part of P00 that asks whether answers got worse: by the judge's score and by complaints, and then whether other
questions are asked instead. That takes grades by topic; without a ``topic`` label nothing is said of it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from diagnostics import metrics, statistics, symptoms, topics, wording
from diagnostics.model import Evidence, Reading
from diagnostics.symptoms import QUALITY_S, REPORTS_LAG_S, Judged
from diagnostics.windows import SLICE_S, Track, Watch, merged

_LONGEST_NAME = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Grades:
    """Graded answers by topic over time, and those of them that passed."""

    graded: Track
    passed: Track

    @classmethod
    async def read(cls, watch: Watch) -> "Grades":
        graded, passed = await asyncio.gather(watch.counts("graded"), watch.counts("graded_passed"))
        return cls(graded=graded, passed=passed)

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """The queries, where anything is sorted by topic."""
        labelled = any(part for one in self.graded.slices for part in one.parts)
        return (self.graded.evidence, self.passed.evidence) if labelled else ()

    def apart(self) -> topics.Apart | None:
        """The change since before the incident, taken apart; None where there are no topics or no baseline."""
        slices = round(QUALITY_S / SLICE_S)
        now, before = ([merged(track.latest(slices)) for track in (self.passed, self.graded)],
                       [merged(track.baseline) for track in (self.passed, self.graded)])  # fmt: skip
        return topics.apart(topics.paired(*now, *before))


@dataclass(frozen=True, kw_only=True, slots=True)
class Heard:
    """What users say themselves. ``failing``: requests fail too, so that complaints may be about that."""

    reports: Track
    requests: Track
    failing: bool

    def complaints(self, harder: float = 1.0) -> Judged | None:
        """More than are due, if so; ``harder`` as for :func:`diagnostics.symptoms.judge_reports`."""
        judged = symptoms.judge_reports(self.reports, self.requests, harder=harder)
        return judged if judged is not None and judged.bad and not self.failing else None


def judge(quality: Judged | None, heard: Heard, apart: topics.Apart | None) -> tuple[Reading | None, Reading | None]:
    """Whether answers got worse; or else whether they only seem to, because other questions are asked. More complaints
    than harder questions bring are worse answers, whatever the grades say."""
    worse, complaints = quality is not None and quality.bad, heard.complaints()
    lost = max(0.0, quality.baseline - quality.value) if quality else None
    mixed = apart if apart is not None and (worse or complaints) and apart.explains(lost or 0.0) else None
    if mixed is not None:
        complaints = heard.complaints(mixed.harder)
    if quality is not None and worse and mixed is None:
        return _worse(quality, _partly(apart)), None
    if complaints is not None:
        return replace(_complaints(complaints), details={"quality_lost": lost}), None
    return None, _shifted(mixed) if mixed is not None else None


def reading_of(outcome: str, summary: str, judged: Judged, **more: Any) -> Reading:
    """A reading with the numbers that decided it."""
    return Reading(
        outcome=outcome,
        summary=summary,
        value=judged.value,
        baseline=judged.baseline,
        n=round(judged.n),
        p_value=judged.p_value,
        power=judged.power,
        **more,
    )


def _worse(judged: Judged, more: str) -> Reading:
    summary = (
        f"The quality score fell to {judged.value:.2f}; normally {judged.baseline:.2f} "
        f"({wording.probability(judged.p_value)}).{more}"
    )
    return reading_of("quality_drop", summary, judged, test=statistics.MANN_WHITNEY, looks_back_s=QUALITY_S)


def _complaints(judged: Judged) -> Reading:
    summary = (
        f"Users complain about {wording.percent(judged.value)} of {wording.count(judged.n)} requests; normally "
        f"{wording.percent(judged.baseline)} ({wording.probability(judged.p_value)})."
    )
    looks_back_s = 2.0 * SLICE_S + REPORTS_LAG_S
    return reading_of("quality_drop", summary, judged, test=statistics.RATES, looks_back_s=looks_back_s)


def _shifted(apart: topics.Apart) -> Reading:
    """Users ask something else, and it is answered as well as ever."""
    summary = (
        f"The share of good answers moved by {apart.raw:+.3f}, to {wording.percent(apart.now)}, because other questions"
        f" are asked ({_grown(apart)}): at the same mix it moved by {_points(apart)}, so answers on the same topics are"
        f" as good as before ({wording.probability(apart.p_value)})."
    )
    return Reading(
        outcome="mix_shift", summary=summary, value=apart.now, baseline=apart.expected, n=round(apart.n),
        p_value=apart.p_value, test=topics.CMH, interval=statistics.wilson(apart.now * apart.n, apart.n),
    )  # fmt: skip


def _partly(apart: topics.Apart | None) -> str:
    """What the mix has to do with a fall that it does not explain; empty where that is nothing worth telling."""
    if apart is None or apart.raw > -topics.LEAST_DROP:
        return ""
    if apart.new_share > topics.MOST_NEW:
        return f" {wording.percent(apart.new_share)} of the answers are on topics without a usual rate."
    if -apart.mix < topics.LEAST_DROP:
        return ""
    return (
        f" Other questions are asked ({_grown(apart)}), which explains {-apart.mix:.2f} of {-apart.raw:.2f} in the "
        f"share of good answers; at the same mix it moved by {_points(apart)}."
    )


def figures(apart: topics.Apart | None) -> Mapping[str, Any]:
    """The numbers, for the record; none where nothing is sorted by topic."""
    if apart is None:
        return {}
    told = {name: round(getattr(apart, name), 4) for name in ("raw", "mix", "within", "low", "high", "new_share")}
    return {"topics": told}


def _points(apart: topics.Apart) -> str:
    return f"{apart.within:+.3f} (95 % interval {apart.low:+.3f} to {apart.high:+.3f})"


def _grown(apart: topics.Apart) -> str:
    """The topic that grew, by its name if that is a plain word: whoever sends requests may have chosen it."""
    name = apart.grown if metrics.LABEL_VALUE.fullmatch(apart.grown) else "one topic"
    return f"{name[:_LONGEST_NAME]}: {wording.percent(apart.grown_from)} to {wording.percent(apart.grown_to)} of them"
