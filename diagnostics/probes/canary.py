"""Canaries: a handful of tiny completions straight to the provider, through our gateway, and to the second provider.

They go out in waves. A wave that fails as a whole, or is surely slow, is enough; otherwise a second follows, a third
while one or two failures or a doubtful slowdown leave the question open, and a few more while several failures may be
what the objective allows or more.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from pydantic import Field

from config.catalogue import Provider
from diagnostics import power, series
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.probes.canary_verdict import (
    MOST_WAVES,
    WAVES,
    Latency,
    Measured,
    allowed_failures,
    failures_ask,
    judge_latency,
    surely_failing,
    undecided,
)
from diagnostics.probes.gateway_route import strays
from diagnostics.subjects import gateway_of, model_of, provider_of

PARALLEL: Final = 10
LAST_WAVE_AFTER_S: Final = 20.0
"""No further wave begins later than this: what is known by then is the answer."""

_FAILURES: Final = dict.fromkeys(
    ("slow", "server_error", "overloaded", "rate_limited", "capacity", "quota_exhausted", "unauthorized",
     "model_missing", "bad_request", "connect_error", "timeout"),
    Verdict.ABNORMAL,
)  # fmt: skip
OUTCOMES: Final[Mapping[str, Verdict]] = {"ok": Verdict.NORMAL, **_FAILURES}
GATEWAY_OUTCOMES: Final[Mapping[str, Verdict]] = {
    **OUTCOMES,
    "no_deployment": Verdict.ABNORMAL,
    "wrong_model": Verdict.ABNORMAL,
}


class ProviderCanaryParams(Params):
    """``n`` calls a wave."""

    provider: str | None = None
    model: str | None = None
    n: int = Field(default=5, ge=5, le=20)


class GatewayCanaryParams(Params):
    """``n`` calls a wave."""

    gateway: str | None = None
    n: int = Field(default=5, ge=5, le=20)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """What one canary probe asks, and the names its history is recorded under."""

    api: ChatApi
    model: str
    label: str
    price: Provider | None
    recorded: str
    """``provider_canary`` or ``gateway_canary``."""
    subject: Mapping[str, str]
    facts: Mapping[str, Any] = field(default_factory=dict)

    def history(self, what: str) -> str:
        (template,) = (t for t in series.SERIES if t.startswith(f"{self.recorded}.{what}:"))
        return series.name(template, **self.subject)


class ProviderCanary:
    """P01, and P07 for the second provider."""

    def __init__(self, *, second: bool = False) -> None:
        self._second = second
        self.spec = ProbeSpec(
            id="P07" if second else "P01",
            name="second_provider_canary" if second else "provider_canary",
            title="Canary to the second provider" if second else "Canary straight to the provider",
            outcomes=OUTCOMES,
            params=ProviderCanaryParams,
            unit="share of calls failed, or ratio when slow",
            tier=Tier.CANARY,
            expected_s=6.0,
            timeout_s=60.0,
            expected_tokens=400,
            applies=("fallback_provider",) if second else (),
        )

    async def run(self, context: ProbeContext, params: ProviderCanaryParams) -> Reading:
        """Ask the provider itself, past our gateway."""
        default = context.service.fallback_provider if self._second else None
        provider = provider_of(context, params.provider or default)
        model = model_of(context, provider, params.model)
        lane = _Lane(
            api=ChatApi(http=context.http, endpoint=Endpoint.of_provider(provider)),
            model=model,
            label=f"{provider.name} {model}",
            price=provider,
            recorded="provider_canary",
            subject={"provider": provider.name, "model": model},
            facts={"provider": provider.name, "model": model},
        )
        answers = await _sample(context, lane, params.n)
        return _reading(context, lane, answers, params.n)


class GatewayCanary:
    """P02."""

    spec = ProbeSpec(
        id="P02",
        name="gateway_canary",
        title="Canary through our gateway",
        outcomes=GATEWAY_OUTCOMES,
        params=GatewayCanaryParams,
        unit="share of calls failed or astray, or ratio when slow",
        tier=Tier.CANARY,
        expected_s=6.0,
        timeout_s=60.0,
        expected_tokens=1000,
        applies=("gateway",),
    )

    async def run(self, context: ProbeContext, params: GatewayCanaryParams) -> Reading:
        """Ask through the gateway, as the application does, and look who answered."""
        gateway = gateway_of(context, params.gateway)
        route = context.service.route
        lane = _Lane(
            api=ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway)),
            model=route,
            label=f"{gateway.name} route {route}",
            price=context.catalogue.provider(context.service.provider),
            recorded="gateway_canary",
            subject={"route": route},
            facts={"gateway": gateway.name, "route": route},
        )
        answers = await _sample(context, lane, params.n)
        reading = _reading(context, lane, answers, params.n)
        if reading.outcome not in ("ok", "slow", INCONCLUSIVE):
            return reading
        return await strays(context, gateway, answers, reading)


async def _sample(context: ProbeContext, lane: _Lane, n: int) -> list[Answer]:
    begun = context.clock.now()
    # Long enough for a gateway to give up on its third attempt and to say why.
    timeout_s = min(20.0, max(15.0, 2 * context.service.latency_slo_s))
    gate = asyncio.Semaphore(PARALLEL)
    stamp = int(begun.timestamp())

    async def ask(number: int) -> Answer:
        # Unlike any earlier question, so that no cache answers it; always of the same length.
        prompt = f"Canary {stamp}-{number:02d}: reply with the one word pong."
        request = ChatRequest(model=lane.model, prompt=prompt, max_tokens=16, stream=True)
        async with gate:
            return await lane.api.complete(request, timeout_s=timeout_s)

    answers: list[Answer] = []
    for wave in range(MOST_WAVES):
        answers += await asyncio.gather(*(ask(wave * n + i) for i in range(n)))
        late = (context.clock.now() - begun).total_seconds() >= LAST_WAVE_AFTER_S
        if late or not _open(context, lane, answers, wave + 1):
            break
    return answers


def _open(context: ProbeContext, lane: _Lane, answers: Sequence[Answer], waves: int) -> bool:
    """Whether another wave could change the answer."""
    failed, allowed = sum(answer.failure is not None for answer in answers), allowed_failures(context)
    if failed:
        return failures_ask(failed, len(answers), waves, allowed)
    latency = judge_latency(context, lane.history("ttft_s"), answers)
    if latency.slow or waves >= WAVES:
        return False
    return failures_ask(failed, len(answers), waves, allowed) or latency.doubtful


def _reading(context: ProbeContext, lane: _Lane, answers: Sequence[Answer], n: int) -> Reading:
    measured = Measured.of(context, answers, wave=n)
    latency = judge_latency(context, lane.history("ttft_s"), answers)
    record: dict[str, list[float]] = {lane.history("failed"): [float(a.failure is not None) for a in answers]}
    if latency.values:
        record[lane.history("ttft_s")] = list(latency.values)
        record[lane.history("elapsed_s")] = [round(a.elapsed_s, 4) for a in answers if a.completion]
    details = {
        **lane.facts,
        **measured.facts(),
        **latency.facts(),
        series.RECORD: record,
    }
    common: dict[str, Any] = {
        "tokens": sum(answer.tokens for answer in answers),
        "usd": cost_usd(lane.price, answers),
        "evidence": _evidence(lane.api.endpoint, answers),
        "details": details,
        "n": len(answers),
    }
    if surely_failing(measured.failed, measured.n, measured.allowed):
        return Reading(
            outcome=measured.word,
            summary=f"{lane.label}: {measured.sentence()}",
            value=measured.share,
            baseline=measured.allowed,
            test=measured.test,
            p_value=measured.p_value,
            interval=measured.interval,
            power=measured.power,
            **common,
        )
    return _answered(lane, measured, latency, common)


def _answered(lane: _Lane, measured: Measured, latency: Latency, common: dict[str, Any]) -> Reading:
    """The reading when the calls were answered: how fast decides."""
    open_question = undecided(measured.failed, measured.n, measured.allowed) or measured.power < power.ENOUGH
    if open_question and not latency.slow:
        return Reading(
            outcome=INCONCLUSIVE,
            summary=f"{lane.label}: {measured.sentence()}, which the allowed {100 * measured.allowed:.3g} % neither "
            "explains nor rules out",
            value=measured.share,
            baseline=measured.allowed,
            test=measured.test,
            p_value=measured.p_value,
            interval=measured.interval,
            power=measured.power,
            **common,
        )
    if latency.slow is not False:
        return Reading(
            outcome="slow" if latency.slow else INCONCLUSIVE,
            summary=f"{lane.label}: {measured.sentence()}; {latency.sentence()}",
            value=latency.ratio,
            baseline=1.0 if latency.ratio is not None else None,
            baseline_n=latency.baseline_n,
            test=latency.test,
            p_value=latency.p_value,
            power=latency.power,
            **common,
        )
    powers = [chance for chance in (measured.power, latency.power) if chance is not None]
    return Reading(
        outcome="ok",
        summary=f"{lane.label}: {measured.sentence()}; {latency.sentence()}",
        value=measured.share,
        baseline=measured.allowed,
        baseline_n=latency.baseline_n,
        test=measured.test,
        p_value=measured.p_value,
        interval=measured.interval,
        power=min(powers),
        **common,
    )


def _evidence(endpoint: Endpoint, answers: Sequence[Answer]) -> tuple[Any, ...]:
    """One reply of each kind of failure, the commonest first; without failures, one good reply."""
    kinds = Counter(a.failure.describe() for a in answers if a.failure)
    chosen = [
        next(a for a in answers if a.failure and a.failure.describe() == kind) for kind, _ in kinds.most_common(3)
    ]
    return tuple(answer.evidence(endpoint) for answer in (chosen or answers[:1]))
