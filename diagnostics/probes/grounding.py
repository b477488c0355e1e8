"""P27: do answers rest on the documents? Questions that the corpus answers must be answered with its document, and
questions that it does not answer must be refused. Both through the production path.

A source that is named but does not say so counts like none. A refusal where an answer stands in the corpus is no
invention: it is counted apart, and is the retrieval canary's to explain.
"""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from diagnostics import power, series, statistics, wording
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.chat_replies import json_object
from diagnostics.grounding_questions import GroundingQuestion, load
from diagnostics.item_file import ItemFileError
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import gateway_of, provider_of

PARALLEL: Final = 8
ALLOWED: Final = 0.05
"""Share of answers that may lack their ground on an ordinary day: models make something up now and then."""
EFFECT: Final = 0.25
LEAST_BASELINE: Final = 40
LEVEL: Final = statistics.ALPHA / 2
"""There are two looks at most, and together they must not cry wolf more often than one."""
REFUSALS: Final = 0.6
"""Share of the questions that have no answer in the corpus: inventions show there first."""
LONGEST: Final = 120
PAST_CACHE: Final = {"cache": {"no-cache": True}}
_ADMITS: Final = re.compile(
    r"(can(no|')?t|can not|could( no|n')t|unable to|not able to|did( no|n')t|do(es)?( no|n')t|was( no|n')t able to)\s+"
    r"(\w+\s+){0,2}?(find|locate|answer|know|have|say|tell|contain|mention|cover|include|provide|see)"
    r"|\bno (such )?(information|documents?|sources?|mention|entry|answer|record|details?)\b"
    r"|\bnot (\w+\s+){0,2}?(covered|mentioned|found|documented|in (our|the|my|your))\b"
    r"|\bnothing (\w+\s+){0,3}?(about|on|in)\b|\bunknown to (me|us)\b",
    re.IGNORECASE,
)


class GroundingParams(Params):
    """``n`` questions, 60 % of them without an answer in the corpus; as many again while a suspicion is open."""

    n: int = Field(default=40, ge=15, le=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asked:
    """One question and its answer."""

    question: GroundingQuestion
    answer: Answer

    @property
    def failed(self) -> bool:
        return self.answer.completion is None or not self.answer.completion.text.strip()

    @property
    def admits(self) -> bool:
        return self.answer.completion is not None and bool(_ADMITS.search(self.answer.completion.text))

    @property
    def cites(self) -> bool:
        """Whether one of the expected documents is named, in the text or among the reply's citations."""
        if self.answer.completion is None:
            return False
        said = [self.answer.completion.text, *_citations(json_object(self.answer.body))]
        return any(_names(text, one) for text in said for one in self.question.documents)

    @property
    def ungrounded(self) -> bool:
        if self.failed:
            return False
        return not self.admits if self.question.expect == "refuse" else not (self.cites or self.admits)

    @property
    def not_found(self) -> bool:
        """Whether it says that it does not know what stands in the corpus."""
        return not self.failed and self.question.expect == "cite" and not self.cites and self.admits


def _names(text: str, document: str) -> bool:
    return re.search(rf"(?<![\w-]){re.escape(document)}(?![\w-])", text) is not None


def _citations(document: Any, *, inside: bool = False, depth: int = 0) -> Iterator[str]:
    """Texts below ``citations``, ``annotations`` or ``sources``, wherever a vendor puts them."""
    if depth > 8:
        return
    if isinstance(document, str):
        if inside:
            yield document
    elif isinstance(document, Mapping):
        for key, value in document.items():
            yield from _citations(value, inside=inside or key in ("citations", "annotations", "sources"),
                                  depth=depth + 1)  # fmt: skip
    elif isinstance(document, list):
        for value in document[:50]:
            yield from _citations(value, inside=inside, depth=depth + 1)


class GroundingCanary:
    """P27."""

    spec = ProbeSpec(
        id="P27",
        name="grounding_canary",
        title="Answers rest on the documents",
        outcomes={"ok": Verdict.NORMAL, "ungrounded": Verdict.ABNORMAL, "error": Verdict.ABNORMAL},
        params=GroundingParams,
        unit="share of answers without ground",
        tier=Tier.QUALITY,
        expected_s=15.0,
        timeout_s=120.0,
        expected_tokens=6000,
        applies=("index", "gateway"),
    )

    async def run(self, context: ProbeContext, params: GroundingParams) -> Reading:
        """A first wave of both kinds; a second one when some answers lack their ground and it might be chance."""
        index = context.catalogue.index(context.service.index or "")
        if index is None or not index.grounding:
            return _unsure("No grounding questions of this service's index are in the catalogue (indexes.grounding).")
        try:
            known = await asyncio.to_thread(load, Path(context.golden_root) / index.grounding)
        except ItemFileError as error:
            return _unsure(f"The grounding questions cannot be used: {error}"[:300])
        first, second = _waves(known, params.n)
        usual = _usual(context, index.name)
        asked = await _ask(context, first)
        if second and _count(asked) > 0 and _test(asked, usual)[0] > LEVEL:
            asked += await _ask(context, second)
        return _reading(context, index.name, asked, usual)


def _unsure(summary: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary)


def _waves(known: Sequence[GroundingQuestion], n: int) -> tuple[list[GroundingQuestion], list[GroundingQuestion]]:
    """The first wave and what is left for a second, each in the set proportion."""
    refuse = [one for one in known if one.expect == "refuse"]
    cite = [one for one in known if one.expect == "cite"]
    r = min(len(refuse), round(n * REFUSALS))
    c = min(len(cite), n - r)
    return [*refuse[:r], *cite[:c]], [*refuse[r : 2 * r], *cite[c : 2 * c]]


async def _ask(context: ProbeContext, questions: Sequence[GroundingQuestion]) -> list[_Asked]:
    api = ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway_of(context, None)))
    gate = asyncio.Semaphore(PARALLEL)

    async def once(question: GroundingQuestion) -> _Asked:
        async with gate:
            request = ChatRequest(
                model=context.service.route, prompt=question.question, max_tokens=LONGEST, extra=PAST_CACHE
            )
            return _Asked(question=question, answer=await api.complete(request, timeout_s=20.0))

    return list(await asyncio.gather(*(once(question) for question in questions)))


def _count(asked: Sequence[_Asked]) -> int:
    return sum(one.ungrounded for one in asked)


def _name(index: str) -> str:
    return series.name("grounding.grounded:{index}", index=index)


def _usual(context: ProbeContext, index: str) -> list[float]:
    samples = context.baselines.samples(context.service.name, _name(index), before=context.started_at)
    return [sample.value for sample in samples]


def _test(asked: Sequence[_Asked], usual: Sequence[float]) -> tuple[float, str, float, float]:
    """p-value, the test's name, the usual share, and the power for :data:`EFFECT`."""
    k, n = _count(asked), sum(not one.failed for one in asked)
    if len(usual) >= LEAST_BASELINE:
        before = sum(value < 0.5 for value in usual)
        share = before / len(usual)
        p_value = statistics.fisher_rise(k, n, before, len(usual))
        chance = power.fisher(1 - share, len(usual), 1 - max(EFFECT, share), n, alpha=LEVEL)
        return p_value, statistics.FISHER, share, chance
    p_value = statistics.exceedances(k, n, share=ALLOWED)
    test = f"binomial against {ALLOWED:.0%}, one-sided"
    return p_value, test, ALLOWED, power.exceedances(n, EFFECT, normal=ALLOWED, alpha=LEVEL)


def _reading(context: ProbeContext, index: str, asked: Sequence[_Asked], usual: Sequence[float]) -> Reading:
    endpoint = Endpoint.of_gateway(gateway_of(context, None))
    failed, loose = [one for one in asked if one.failed], [one for one in asked if one.ungrounded]
    answered = [one for one in asked if not one.failed]
    made_up = sum(one.question.expect == "refuse" for one in loose)
    shown = [*loose[:1], *(one for one in loose if one.question.expect == "cite"), *failed, *answered][:2]
    common: dict[str, Any] = {
        "tokens": sum(one.answer.tokens for one in asked),
        "usd": cost_usd(provider_of(context, None), [one.answer for one in asked]),
        "evidence": tuple(one.answer.evidence(endpoint) for one in shown),
        "details": {
            "index": index, "made_up": made_up, "wrong_source": len(loose) - made_up,
            "not_found": sum(one.not_found for one in asked), "ungrounded": [one.question.id for one in loose][:40],
            series.RECORD: {_name(index): [float(not one.ungrounded) for one in answered]},
        },
    }  # fmt: skip
    if len(failed) > 0.2 * len(asked):
        words = Counter(one.answer.failure.describe() for one in failed if one.answer.failure)
        told = ", ".join(f"{count} x {word}" for word, count in words.most_common(3)) or "empty answers"
        return Reading(outcome="error", summary=f"{len(failed)} of {len(asked)} questions failed ({told}).", **common)
    return _judged(asked, answered, usual, common)


def _judged(
    asked: Sequence[_Asked], answered: Sequence[_Asked], usual: Sequence[float], common: Mapping[str, Any]
) -> Reading:
    k, n = _count(asked), len(answered)
    p_value, test, share, chance = _test(asked, usual)
    details = common["details"]
    over = k >= 2 and p_value <= LEVEL
    refuse = sum(one.question.expect == "refuse" for one in answered)
    told = (
        f"{details['made_up']} of {refuse} questions without an answer in {details['index']} are answered all the "
        f"same, {details['wrong_source']} of {n - refuse} others without the document that says so"
    )
    lost = f" {details['not_found']} say that they found nothing." if details["not_found"] else ""
    return Reading(
        outcome="ungrounded" if over else "ok",
        summary=f"{told}; normally {wording.percent(share)} lack their ground ({wording.probability(p_value)}).{lost}",
        value=k / n if n else None, baseline=share, n=n, baseline_n=len(usual), test=test, p_value=p_value,
        interval=statistics.wilson(k, n), power=round(chance, 3), **common,
    )  # fmt: skip
