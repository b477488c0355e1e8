"""P21: does a long stream arrive whole, to its terminal event? And if not, which hop ends it.

Short answers come through a proxy that cuts long ones, and its status is 200 all the same. So the canary asks for a
long answer, reads it to ``[DONE]`` or ``message_stop``, and asks the provider directly when it was cut.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from diagnostics import power, series, statistics
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.model import Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import gateway_of, provider_of

PARALLEL: Final = 6
WAVES: Final = 3
ALLOWED: Final = 0.01
"""Share of streams without an end that is ordinary: people and networks come and go."""
LEAST_BASELINE: Final = 50
EFFECT: Final = 0.30
COUNT_TO: Final = 120
_PROMPT: Final = (
    "Stream check {stamp}-{number:02d}: count from 1 to {last} in digits with single spaces, and write nothing else."
)
MAX_TOKENS: Final = 600
CUT: Final = frozenset({"stream_without_end", "read"})
"""How a stream fails that began and did not end: no terminal event, or a connection that closed before the body did."""
BUFFERED_SHARE, BUFFERED_LEAST_S = 0.9, 0.8
"""Held back on the way: the first byte comes with the last, although writing took so long."""


class StreamParams(Params):
    """``n`` streams a wave."""

    n: int = Field(default=6, ge=5, le=20)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Hop:
    """One place to ask, and what came of it."""

    label: str
    endpoint: Endpoint
    answers: tuple[Answer, ...]

    @property
    def cut(self) -> int:
        return sum(_is_cut(answer) for answer in self.answers)

    @property
    def failed(self) -> int:
        return sum(answer.failure is not None and not _is_cut(answer) for answer in self.answers)

    @property
    def buffered(self) -> int:
        return sum(_is_buffered(answer) for answer in self.answers)

    @property
    def streams(self) -> int:
        """Those that began."""
        return len(self.answers) - self.failed

    def told(self) -> str:
        return f"{self.cut} of {self.streams} long streams through {self.label} ended in the middle"


class StreamCanary:
    """P21."""

    spec = ProbeSpec(
        id="P21",
        name="stream_canary",
        title="Long streams arrive whole",
        outcomes={
            "ok": Verdict.NORMAL,
            "truncated": Verdict.ABNORMAL,
            "buffered": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
        },
        params=StreamParams,
        unit="share of streams cut",
        tier=Tier.QUALITY,
        expected_s=8.0,
        timeout_s=120.0,
        expected_tokens=2400,
    )

    async def run(self, context: ProbeContext, params: StreamParams) -> Reading:
        """Through the gateway first, as users get it; straight to the provider only to name the hop that cuts."""
        service = context.service
        provider = provider_of(context, None)
        direct = Endpoint.of_provider(provider)
        if service.gateway:
            gateway = gateway_of(context, None)
            first = await _ask(context, gateway.name, Endpoint.of_gateway(gateway), service.route, params.n)
        else:
            first = await _ask(context, provider.name, direct, service.model, params.n)
        hops = [first]
        if service.gateway and _surely(first):
            hops.append(await _ask(context, provider.name, direct, service.model, params.n))
        return _reading(context, hops, usd=cost_usd(provider, [a for hop in hops for a in hop.answers]))


async def _ask(context: ProbeContext, label: str, endpoint: Endpoint, model: str, n: int) -> _Hop:
    """Waves of streams, until what was cut is surely chance or surely is not."""
    api, gate = ChatApi(http=context.http, endpoint=endpoint), asyncio.Semaphore(PARALLEL)
    stamp = int(context.clock.now().timestamp())

    async def once(number: int) -> Answer:
        prompt = _PROMPT.format(stamp=stamp, number=number, last=COUNT_TO)
        request = ChatRequest(model=model, prompt=prompt, max_tokens=MAX_TOKENS, stream=True)
        async with gate:
            return await api.complete(request, timeout_s=30.0)

    hop = _Hop(label=label, endpoint=endpoint, answers=())
    for wave in range(WAVES):
        found = await asyncio.gather(*(once(wave * n + number) for number in range(n)))
        hop = _Hop(label=label, endpoint=endpoint, answers=(*hop.answers, *found))
        if hop.cut == 0 or _surely(hop) or _failing(hop):
            break
    return hop


def _is_cut(answer: Answer) -> bool:
    return answer.failure is not None and answer.failure.type in CUT


def _is_buffered(answer: Answer) -> bool:
    slow = answer.elapsed_s >= BUFFERED_LEAST_S
    return answer.completion is not None and slow and answer.first_byte_s >= BUFFERED_SHARE * answer.elapsed_s


def _surely(hop: _Hop) -> bool:
    return hop.cut >= 2 and statistics.exceedances(hop.cut, hop.streams, share=ALLOWED) <= statistics.ALPHA


def _failing(hop: _Hop) -> bool:
    return hop.failed > 0.2 * len(hop.answers)


def _reading(context: ProbeContext, hops: Sequence[_Hop], *, usd: float) -> Reading:
    first = hops[0]
    name = series.name("stream_canary.whole:{route}", route=context.service.route)
    failures = Counter(answer.failure.describe() for answer in first.answers if answer.failure and not _is_cut(answer))
    common: dict[str, Any] = {
        "n": first.streams,
        "tokens": sum(answer.tokens for hop in hops for answer in hop.answers),
        "usd": usd,
        "evidence": tuple(item for hop in hops for item in _evidence(hop)),
        "details": {
            "hops": {hop.label: {"streams": hop.streams, "cut": hop.cut, "failed": hop.failed} for hop in hops},
            "errors": dict(failures.most_common(3)),
            series.RECORD: {name: [float(not _is_cut(a)) for a in first.answers if a.completion or _is_cut(a)]},
        },
    }
    if _failing(first):
        told = ", ".join(f"{count} x {kind}" for kind, count in failures.most_common(3))
        summary = f"{first.failed} of {len(first.answers)} streams through {first.label} never began ({told})"
        return Reading(outcome="error", summary=summary, **common)
    baseline = [s.value for s in context.baselines.samples(context.service.name, name, before=context.started_at)]
    return _judged(hops, baseline, common)


def _judged(hops: Sequence[_Hop], whole_before: Sequence[float], common: dict[str, Any]) -> Reading:
    first = hops[0]
    p_value, test, usual, chance = _compare(first, whole_before)
    numbers: dict[str, Any] = {
        "value": first.cut / first.streams, "baseline": usual, "baseline_n": len(whole_before), "test": test,
        "p_value": p_value, "interval": statistics.wilson(first.cut, first.streams), "power": round(chance, 3),
    }  # fmt: skip
    if first.cut >= 2 and p_value <= statistics.ALPHA:
        return Reading(outcome="truncated", summary=f"{first.told()}; {_whose(hops)}", **numbers, **common)
    if first.buffered > first.streams / 2:
        summary = f"{first.buffered} of {first.streams} streams through {first.label} came all at once, at their end"
        return Reading(outcome="buffered", summary=summary, **{**numbers, "p_value": None, "power": None}, **common)
    whole = first.streams - first.cut
    summary = f"{whole} of {first.streams} long streams through {first.label} reached their end"
    return Reading(outcome="ok", summary=summary, **numbers, **common)


def _whose(hops: Sequence[_Hop]) -> str:
    """Which hop cuts."""
    if len(hops) == 1:
        return "there is no other hop to compare"
    direct = hops[1]
    if _surely(direct):
        return f"straight to {direct.label} too ({direct.cut} of {direct.streams})"
    return f"straight to {direct.label} {direct.streams - direct.cut} of {direct.streams} came whole"


def _evidence(hop: _Hop) -> tuple[Any, ...]:
    cut = [answer for answer in hop.answers if _is_cut(answer)]
    failed = [answer for answer in hop.answers if answer.failure and not _is_cut(answer)]
    good = [answer for answer in hop.answers if answer.completion]
    return tuple(answer.evidence(hop.endpoint) for answer in (*cut[:1], *failed[:1], *good[:1])[:2])


def _compare(hop: _Hop, whole_before: Sequence[float]) -> tuple[float, str, float, float]:
    """P-value, test, usual share, and the test's own power: against the record if there is one, otherwise against an
    ordinary share."""
    n = hop.streams
    if len(whole_before) >= LEAST_BASELINE:
        before = sum(value < 0.5 for value in whole_before)
        usual = before / len(whole_before)
        chance = power.fisher(1 - usual, len(whole_before), 1 - max(EFFECT, usual), n)
        return statistics.fisher_rise(hop.cut, n, before, len(whole_before)), statistics.FISHER, usual, chance
    test = f"binomial against {ALLOWED:.0%}, one-sided"
    return (
        statistics.exceedances(hop.cut, n, share=ALLOWED),
        test,
        ALLOWED,
        power.exceedances(n, EFFECT, normal=ALLOWED),
    )
