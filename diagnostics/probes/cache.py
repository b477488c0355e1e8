"""P20b: does the answer cache give people their own answers? The same questions served and past the cache, and one
question that only one tenant has asked.

A wrong hit is not a matter of likeness here: the gateway says that it answered from its cache, that answer fails the
question's checks, and the fresh one passes them.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from diagnostics import power, statistics
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.golden import GoldenError, GoldenItem, load
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import gateway_of, provider_of

PARALLEL: Final = 8
ALLOWED: Final = 0.01
"""Share of wrong hits that chance may bring on an ordinary day."""
EFFECT: Final = 0.20
HIT_HEADERS: Final = ("x-litellm-cache-key", "x-cache-hit")
PAST: Final = {"cache": {"no-cache": True}}
TENANTS: Final = ("pagerunner-tenant-a", "pagerunner-tenant-b")


class CacheParams(Params):
    """How many questions of the golden set."""

    n: int = Field(default=40, ge=10, le=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Pair:
    """One question, served and past the cache."""

    item: GoldenItem
    served: Answer
    fresh: Answer

    @property
    def hit(self) -> bool:
        return _from_cache(self.served)

    @property
    def wrong(self) -> bool:
        return self.hit and _passes(self.item, self.fresh) and not _passes(self.item, self.served)

    @property
    def failed(self) -> bool:
        return self.served.failure is not None or self.fresh.failure is not None


class CacheCheck:
    """P20b."""

    spec = ProbeSpec(
        id="P20b",
        name="cache_check",
        title="Cached answers are the right ones",
        outcomes={
            "ok": Verdict.NORMAL,
            "served_differs": Verdict.ABNORMAL,
            "cross_tenant": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
        },
        params=CacheParams,
        unit="share of answers that are another question's",
        tier=Tier.QUALITY,
        expected_s=15.0,
        timeout_s=120.0,
        expected_tokens=9000,
        applies=("response_cache", "gateway", "golden_set"),
    )

    async def run(self, context: ProbeContext, params: CacheParams) -> Reading:
        """Questions of the golden set both ways, and a question of one tenant asked by another."""
        try:
            golden = await asyncio.to_thread(load, Path(context.golden_root) / context.service.golden_set)
        except (GoldenError, OSError) as error:
            return Reading(outcome=INCONCLUSIVE, summary=f"The golden set cannot be used: {error}"[:300])
        api = ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway_of(context, None)))
        step = max(1, len(golden.items) // params.n)
        gate = asyncio.Semaphore(PARALLEL)

        async def once(item: GoldenItem) -> _Pair:
            async with gate:
                served, fresh = await asyncio.gather(
                    _ask(api, context, item.input), _ask(api, context, item.input, **PAST)
                )
            return _Pair(item=item, served=served, fresh=fresh)

        crossed, pairs = await asyncio.gather(
            _crossed(api, context), asyncio.gather(*(once(item) for item in golden.items[::step][: params.n]))
        )
        return _reading(context, api.endpoint, pairs, crossed)


async def _ask(api: ChatApi, context: ProbeContext, text: str, **extra: Any) -> Answer:
    request = ChatRequest(model=context.service.route, prompt=text, max_tokens=200, extra=extra)
    return await api.complete(request, timeout_s=20.0)


async def _crossed(api: ChatApi, context: ProbeContext) -> list[Answer]:
    """A question nobody has asked before, twice by one tenant and then by another."""
    number = round(context.clock.now().timestamp())
    text = f"Please note this number for later and say only that you noted it: {number}"
    first, second = TENANTS
    return [await _ask(api, context, text, user=tenant) for tenant in (first, first, second)]


def _from_cache(answer: Answer) -> bool:
    return any(answer.headers.get(name) for name in HIT_HEADERS)


def _passes(item: GoldenItem, answer: Answer) -> bool:
    return answer.completion is not None and not item.failed_checks(answer.completion.text)


def _reading(context: ProbeContext, endpoint: Endpoint, pairs: Sequence[_Pair], crossed: Sequence[Answer]) -> Reading:
    answers = [answer for pair in pairs for answer in (pair.served, pair.fresh)] + list(crossed)
    wrong, hits = [pair for pair in pairs if pair.wrong], sum(pair.hit for pair in pairs)
    asked = [pair for pair in pairs if not pair.failed]
    shared = len(crossed) == len(TENANTS) + 1 and _from_cache(crossed[-1])
    shown = [wrong[0].served, wrong[0].fresh] if wrong else [crossed[-1]] if shared else [pairs[0].served]
    common: dict[str, Any] = {
        "tokens": sum(answer.tokens for answer in answers),
        "usd": cost_usd(provider_of(context, None), answers),
        "evidence": tuple(answer.evidence(endpoint) for answer in shown),
        "details": {
            "hits": hits, "wrong": [pair.item.id for pair in wrong][:20], "shared_between_tenants": shared,
            "cached_for_one_tenant": len(crossed) > 1 and _from_cache(crossed[1]),
        },
    }  # fmt: skip
    if len(asked) < 0.8 * len(pairs):
        failed = len(pairs) - len(asked)
        return Reading(outcome="error", summary=f"{failed} of {len(pairs)} questions got no answer.", **common)
    if shared:
        also = f"; {len(wrong)} of {len(asked)} answers are another question's" if wrong else ""
        said = f"A question that only one tenant had asked was answered to another from the cache{also}."
        return Reading(outcome="cross_tenant", summary=said, value=len(wrong) / len(asked), n=len(asked),
                       test="any answer shared between tenants", **common)  # fmt: skip
    p_value = statistics.exceedances(len(wrong), len(asked), share=ALLOWED)
    differs = len(wrong) >= 2 and p_value <= statistics.ALPHA
    told = f"{len(wrong)} of {len(asked)} questions are served another question's answer"
    if not differs:
        told = (
            f"{hits} of {len(asked)} questions came from the cache, {len(wrong)} of them wrong; tenants are kept apart"
        )
    return Reading(
        outcome="served_differs" if differs else "ok", summary=f"{told}.", value=len(wrong) / len(asked),
        baseline=ALLOWED, n=len(asked), test=f"binomial against {ALLOWED:.0%}, one-sided", p_value=p_value,
        interval=statistics.wilson(len(wrong), len(asked)),
        power=round(power.exceedances(len(asked), EFFECT, normal=ALLOWED), 3), **common,
    )  # fmt: skip
