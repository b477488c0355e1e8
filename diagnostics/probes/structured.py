"""P26: does a structured answer still fit its schema? Asked the way production asks, and checked strictly."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, Final

from pydantic import Field

from diagnostics import power, series, statistics
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.json_shape import JsonShape
from diagnostics.model import Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import gateway_of, provider_of

PARALLEL: Final = 5
WAVES: Final = 3
ALLOWED: Final = 0.01
"""Share of misshapen answers that is ordinary."""
LEAST_BASELINE: Final = 50
EFFECT: Final = 0.30

SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "country": {"type": "string"},
        "population_millions": {"type": "number"},
        "is_capital": {"type": "boolean"},
    },
    "required": ["city", "country", "population_millions", "is_capital"],
    "additionalProperties": False,
}
_PROMPT: Final = "Give the facts about the city of {city} as JSON with city, country, population_millions, is_capital."
_CITIES: Final = ("Lisbon", "Nairobi", "Osaka", "Lima", "Oslo", "Accra", "Quito", "Hanoi", "Porto", "Lyon")


class StructuredOutputParams(Params):
    """``n`` calls a wave."""

    n: int = Field(default=20, ge=5, le=50)


class StructuredOutput:
    """P26."""

    spec = ProbeSpec(
        id="P26",
        name="structured_output",
        title="Structured output fits its schema",
        outcomes={"valid": Verdict.NORMAL, "invalid": Verdict.ABNORMAL, "error": Verdict.ABNORMAL},
        params=StructuredOutputParams,
        unit="share misshapen",
        tier=Tier.QUALITY,
        expected_s=10.0,
        timeout_s=90.0,
        expected_tokens=5000,
    )

    async def run(self, context: ProbeContext, params: StructuredOutputParams) -> Reading:
        """One wave; two more when a few answers are misshapen, for one is chance and several are not."""
        service = context.service
        provider = provider_of(context, None)
        endpoint = Endpoint.of_gateway(gateway_of(context, None)) if service.gateway else Endpoint.of_provider(provider)
        api = ChatApi(http=context.http, endpoint=endpoint)
        model = service.route if service.gateway else service.model
        shape = JsonShape(SCHEMA)
        answers: list[Answer] = []
        for _ in range(WAVES):
            answers += await _wave(api, model, params.n, first=len(answers))
            problems = _problems(shape, answers)
            if not 0 < len([problem for problem in problems if problem]) <= 2 or _failing(answers):
                break
        return _reading(context, endpoint, answers, _problems(shape, answers), usd=cost_usd(provider, answers))


async def _wave(api: ChatApi, model: str, n: int, *, first: int) -> list[Answer]:
    gate = asyncio.Semaphore(PARALLEL)

    async def once(number: int) -> Answer:
        prompt = _PROMPT.format(city=_CITIES[number % len(_CITIES)])
        request = ChatRequest(model=model, prompt=prompt, max_tokens=120, json_schema=SCHEMA)
        async with gate:
            return await api.complete(request, timeout_s=20.0)

    return list(await asyncio.gather(*(once(first + number) for number in range(n))))


def _problems(shape: JsonShape, answers: Sequence[Answer]) -> list[str]:
    """For each answered call what is wrong with it; empty: nothing."""
    return [shape.problem(answer.completion.text) for answer in answers if answer.completion]


def _failing(answers: Sequence[Answer]) -> bool:
    return sum(answer.failure is not None for answer in answers) > 0.2 * len(answers)


def _reading(
    context: ProbeContext, endpoint: Endpoint, answers: Sequence[Answer], problems: Sequence[str], *, usd: float
) -> Reading:
    name = series.name("structured_output.valid:{route}", route=context.service.route)
    bad = [problem for problem in problems if problem]
    kinds = Counter(bad)
    failures = Counter(answer.failure.describe() for answer in answers if answer.failure)
    good = [answer for answer in answers if answer.completion]
    wrong = [answer for answer, problem in zip(good, problems, strict=True) if problem]
    failed = [answer for answer in answers if answer.failure]
    common: dict[str, Any] = {
        "n": len(problems),
        "tokens": sum(answer.tokens for answer in answers),
        "usd": usd,
        "evidence": tuple(answer.evidence(endpoint) for answer in (*failed[:1], *wrong[:2], *good[:1])[:3]),
        "details": {
            "problems": dict(kinds.most_common(5)),
            "errors": dict(failures.most_common(3)),
            # The same field again and again: the schema has drifted. Different ones: the model rambles.
            "one_place": bool(bad) and kinds.most_common(1)[0][1] > 0.8 * len(bad),
            series.RECORD: {name: [float(not problem) for problem in problems]},
        },
    }
    if _failing(answers):
        told = ", ".join(f"{count} x {kind}" for kind, count in failures.most_common(3))
        return Reading(outcome="error", summary=f"{len(failed)} of {len(answers)} calls failed ({told})", **common)
    baseline = context.baselines.samples(context.service.name, name, before=context.started_at)
    return _judged(kinds, problems, [sample.value for sample in baseline], common)


def _judged(
    kinds: Counter[str], problems: Sequence[str], valid_before: Sequence[float], common: dict[str, Any]
) -> Reading:
    bad, n = sum(kinds.values()), len(problems)
    p_value, test, usual, chance = _compare(bad, n, valid_before)
    places = ", ".join(f"{count} x {kind}" for kind, count in kinds.most_common(3))
    return Reading(
        outcome="invalid" if bad >= 2 and p_value <= statistics.ALPHA else "valid",
        summary=f"{bad} of {n} answers do not fit the schema" + (f" ({places})" if places else ""),
        value=bad / n,
        baseline=usual,
        baseline_n=len(valid_before),
        test=test,
        p_value=p_value,
        interval=statistics.wilson(bad, n),
        power=round(chance, 3),
        **common,
    )


def _compare(bad: int, n: int, valid_before: Sequence[float]) -> tuple[float, str, float, float]:
    """P-value, test, usual share, and the test's own power: against the record if there is one, otherwise against an
    ordinary share."""
    if len(valid_before) >= LEAST_BASELINE:
        bad_before = sum(value < 0.5 for value in valid_before)
        p_value = statistics.fisher_rise(bad, n, bad_before, len(valid_before))
        usual = bad_before / len(valid_before)
        chance = power.fisher(1 - usual, len(valid_before), 1 - max(EFFECT, usual), n)
        return p_value, statistics.FISHER, usual, chance
    p_value, test = statistics.exceedances(bad, n, share=ALLOWED), f"binomial against {ALLOWED:.0%}, one-sided"
    return p_value, test, ALLOWED, power.exceedances(n, EFFECT, normal=ALLOWED)
