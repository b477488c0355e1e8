"""P14: does retrieval find what it must? Known questions through the production search, and whether the right document
is among the hits.

A store that fails and a search that finds the wrong things look the same to a reader. What was missed is asked again,
exactly and without filters: so the reading says whether the approximate search, a filter, or neither lost it.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from config.catalogue import Index
from config.http import HttpError
from diagnostics import power, series, statistics, wording
from diagnostics.known_questions import KnownQuestion, KnownQuestionsError, load
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.retrieval_api import Found, RetrievalApi

PARALLEL: Final = 8
FIRST: Final = 12
"""So many are asked before the rest: a store that is down is known by then."""
ALLOWED: Final = 0.01
"""Share of searches that may fail or find nothing on an ordinary day."""
EFFECT: Final = 0.20
"""Drop of recall whose power is told."""
FLOOR: Final = 0.50
"""Recall below which nobody needs a baseline."""
AGAIN: Final = 12
LEAST_TIMES: Final = 30
LEAST_SLOWER_S: Final = 0.15
"""Further seconds for a search below which nobody waits for it: a busy machine of ours is no outage of theirs."""
LEAST_PAIRS: Final = 20
EMPTY_FROM: Final = 0.10


class RetrievalParams(Params):
    """Which index (None: the service's), and how many of its known questions."""

    index: str | None = None
    n: int = Field(default=50, ge=10, le=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One known question and what came of it."""

    question: KnownQuestion
    found: Found

    @property
    def hit(self) -> bool:
        return bool(set(self.question.expects) & set(self.found.ids))


class RetrievalCanary:
    """P14."""

    spec = ProbeSpec(
        id="P14",
        name="retrieval_canary",
        title="Known questions find their documents",
        outcomes={
            "ok": Verdict.NORMAL,
            "slow": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
            "empty": Verdict.ABNORMAL,
            "low": Verdict.ABNORMAL,
        },
        params=RetrievalParams,
        unit="share found, share failed, or ratio when slow",
        tier=Tier.CANARY,
        expected_s=4.0,
        timeout_s=60.0,
        expected_tokens=800,
        applies=("index",),
    )

    async def run(self, context: ProbeContext, params: RetrievalParams) -> Reading:
        """A first few, then the rest, then once more what was missed. The file is read in a thread."""
        name = params.index or context.service.index or ""
        index = context.catalogue.index(name)
        api = RetrievalApi.of(context.http, index) if index else None
        if index is None or api is None or not index.canaries:
            return _unsure(f"{name}: no retrieval service or no known questions in the catalogue (search, canaries).")
        try:
            known = await asyncio.to_thread(load, Path(context.golden_root) / index.canaries)
        except (KnownQuestionsError, OSError) as error:
            return _unsure(f"The known questions of {name} cannot be used: {error}"[:300])
        chosen = known[:: max(1, len(known) // params.n)][: params.n]
        asked = await _ask(api, chosen[:FIRST])
        if _failures(asked) <= len(asked) // 2:
            asked += await _ask(api, chosen[FIRST:])
        return await _judge(context, index, api, asked)


def _unsure(summary: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary)


async def _ask(api: RetrievalApi, questions: Sequence[KnownQuestion]) -> list[_Asked]:
    gate = asyncio.Semaphore(PARALLEL)

    async def once(question: KnownQuestion) -> _Asked:
        async with gate:
            return _Asked(question=question, found=await api.search(question.question))

    return list(await asyncio.gather(*(once(question) for question in questions)))


def _failures(asked: Sequence[_Asked]) -> int:
    return sum(bool(one.found.error) for one in asked)


async def _judge(context: ProbeContext, index: Index, api: RetrievalApi, asked: Sequence[_Asked]) -> Reading:
    answered = [one for one in asked if not one.found.error]
    missed = [one for one in answered if not one.hit]
    found = len(answered) - len(missed)
    shown = [*(one for one in asked if one.found.error), *missed, *answered][:2]
    items = {one.question.id: one.hit for one in answered}
    common: dict[str, Any] = {
        "tokens": sum(len(one.question.question) // 4 + 1 for one in asked),
        "evidence": tuple(one.found.evidence for one in shown),
    }
    details: dict[str, Any] = {
        "index": index.name,
        "errors": dict(Counter(one.found.error for one in asked if one.found.error).most_common(4)),
        "missed": [one.question.id for one in missed][:40],
        series.RECORD_DOCUMENTS: {series.name("retrieval.items:{index}", index=index.name): items},
        series.RECORD: {_times(index): [round(one.found.elapsed_s, 4) for one in answered]},
    }
    failing = _failing(asked) or _finds_nothing(answered)
    if failing is not None:
        return _with(failing, common, details)
    recalled = _recall(context, index, items, found)
    if recalled.outcome == "low":
        details |= await _why(api, missed)
        told = _told(details)
        return _with(recalled, common, details, f" {told}" if told else "")
    slow = _slowness(context, index, answered)
    return _with(slow if slow is not None else recalled, common, details)


def _with(reading: Reading, common: Mapping[str, Any], details: Mapping[str, Any], more: str = "") -> Reading:
    parts = {name: getattr(reading, name) for name in Reading.__slots__ if name not in (*common, "details", "summary")}
    return Reading(**parts, **common, summary=reading.summary + more, details=details)


def _times(index: Index) -> str:
    return series.name("retrieval.elapsed_s:{index}", index=index.name)


def _failing(asked: Sequence[_Asked]) -> Reading | None:
    failed, n = _failures(asked), len(asked)
    p_value = statistics.exceedances(failed, n, share=ALLOWED)
    if failed < 2 or p_value > statistics.ALPHA:
        return None
    words = ", ".join(f"{count} x {why}" for why, count in
                      Counter(one.found.error for one in asked if one.found.error).most_common(3))  # fmt: skip
    return Reading(
        outcome="error", summary=f"{failed} of {n} searches failed ({words}).", value=failed / n, baseline=ALLOWED, n=n,
        test=f"binomial against {ALLOWED:.0%}, one-sided", p_value=p_value, interval=statistics.wilson(failed, n),
    )  # fmt: skip


def _finds_nothing(answered: Sequence[_Asked]) -> Reading | None:
    empty, n = sum(not one.found.hits for one in answered), len(answered)
    p_value = statistics.exceedances(empty, n, share=ALLOWED)
    if not n or empty < EMPTY_FROM * n or p_value > statistics.ALPHA:
        return None
    return Reading(
        outcome="empty", summary=f"{empty} of {n} known questions find no document at all.", value=empty / n,
        baseline=ALLOWED, n=n, test=f"binomial against {ALLOWED:.0%}, one-sided", p_value=p_value,
        interval=statistics.wilson(empty, n),
    )  # fmt: skip


def _recall(context: ProbeContext, index: Index, items: Mapping[str, bool], found: int) -> Reading:
    """Item by item against the last good run; without one only what is bad by any measure is said."""
    n = len(items)
    told = f"{found} of {n} known questions find their document"
    measured: dict[str, Any] = {"value": found / n if n else None, "n": n, "interval": statistics.wilson(found, n)}
    key = series.name("retrieval.items:{index}", index=index.name)
    kept = context.baselines.document(context.service.name, key, before=context.started_at)
    before = {name: bool(hit) for name, hit in kept.items()} if isinstance(kept, dict) else {}
    pairs = [(before[name], now) for name, now in items.items() if name in before]
    if len(pairs) < LEAST_PAIRS:
        if n >= LEAST_PAIRS and statistics.wilson(found, n)[1] < FLOOR:
            return Reading(outcome="low", summary=f"{told}.", test=f"Wilson interval below {FLOOR:.0%}", **measured)
        why = f"{told}; {wording.no_baseline(len(pairs), LEAST_PAIRS)} questions."
        return Reading(outcome=INCONCLUSIVE, summary=why, **measured)
    lost = sum(then and not now for then, now in pairs)
    won = sum(now and not then for then, now in pairs)
    usual = sum(then for then, _ in pairs) / len(pairs)
    p_value = statistics.mcnemar_drop(lost, won)
    drop = (lost - won) / len(pairs)
    low = p_value <= statistics.ALPHA and drop >= statistics.MIN_DROP
    chance = power.mcnemar(len(pairs), EFFECT)
    why = "" if low else f"; a drop of {EFFECT:.0%} would have shown with {chance:.0%}"
    return Reading(
        outcome="low" if low else "ok",
        summary=f"{told}, against {usual:.0%} when all was well ({wording.probability(p_value)}){why}.",
        baseline=usual, baseline_n=len(pairs), test=statistics.MCNEMAR, p_value=p_value, power=round(chance, 3),
        **measured,
    )  # fmt: skip


async def _why(api: RetrievalApi, missed: Sequence[_Asked]) -> dict[str, Any]:
    """What was missed, asked again exactly and without filters."""
    again = missed[:AGAIN]
    try:
        exact = await asyncio.gather(*(api.search(one.question.question, exact=True) for one in again))
        open_ = await asyncio.gather(*(api.search(one.question.question, filters=False) for one in again))
    except HttpError:
        return {}
    return {
        "asked_again": len(again),
        "found_exactly": _back(again, exact),
        "found_without_filters": _back(again, open_),
    }


def _back(again: Sequence[_Asked], found: Sequence[Found]) -> int:
    return sum(bool(set(one.question.expects) & set(other.ids)) for one, other in zip(again, found, strict=True))


def _told(details: Mapping[str, Any]) -> str:
    n = int(details.get("asked_again") or 0)
    if not n:
        return ""
    exact, open_ = int(details["found_exactly"]), int(details["found_without_filters"])
    if exact >= n / 2:
        return f"An exact search finds {exact} of {n} missed ones: the approximate search loses them."
    if open_ >= n / 2:
        return f"Without filters {open_} of {n} missed ones are found: a filter hides them."
    return f"Neither an exact search ({exact} of {n}) nor one without filters ({open_}) brings them back."


def _slowness(context: ProbeContext, index: Index, answered: Sequence[_Asked]) -> Reading | None:
    usual = [s.value for s in context.baselines.samples(context.service.name, _times(index), before=context.started_at)]
    now = [one.found.elapsed_s for one in answered]
    if len(usual) < LEAST_TIMES or not now:
        return None
    shift = statistics.mann_whitney(now, usual)
    middle, before = statistics.median(now), statistics.median(usual)
    if not shift.slower or middle - before < LEAST_SLOWER_S:
        return None
    return Reading(
        outcome="slow",
        summary=f"A search takes {wording.seconds(middle)}, {wording.ratio(shift.ratio)} the usual "
        f"{wording.seconds(before)} ({wording.probability(shift.p_value)}).",
        value=shift.ratio, baseline=1.0, n=len(now), baseline_n=len(usual), test=statistics.MANN_WHITNEY,
        p_value=shift.p_value,
    )  # fmt: skip
