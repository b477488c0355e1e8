"""P03: how much of our rate limit is left, and whether the limit itself has shrunk, by the provider's own headers.

A free read is asked first. If it carries no rate-limit headers, one canary of a single token does; if that carries
none either, the gateway's gauge of the provider's headers is read from Prometheus.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.catalogue import Provider
from config.http import HttpError
from diagnostics import series, statistics
from diagnostics.chat_api import ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.model import Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.rate_limits import Limit, number, read_limits, seconds_to_reset
from diagnostics.subjects import model_of, provider_of

EXHAUSTED_BELOW: Final = 0.05
LOOK_AGAIN_BELOW: Final = 0.25
REDUCED_BELOW: Final = 0.90
LEAST_BASELINE: Final = 5
_GAUGE: Final = "litellm_remaining_tokens_metric"
_LIMIT_SERIES: Final = "rate_limit.tokens_limit:{provider}"


class HeadroomParams(Params):
    """Which provider; None: the service's."""

    provider: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Read:
    """Limits as one reply reports them."""

    limits: tuple[Limit, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    source: str = ""
    tokens: int = 0
    usd: float = 0.0
    answered: bool = True


class RateLimitHeadroom:
    """P03."""

    spec = ProbeSpec(
        id="P03",
        name="rate_limit_headroom",
        title="Rate-limit headroom",
        outcomes={
            "ample": Verdict.NORMAL,
            "exhausted": Verdict.ABNORMAL,
            "limit_reduced": Verdict.ABNORMAL,
            "absent": Verdict.INCONCLUSIVE,
        },
        params=HeadroomParams,
        unit="share left",
        tier=Tier.FREE,
        expected_s=1.0,
        timeout_s=20.0,
    )

    async def run(self, context: ProbeContext, params: HeadroomParams) -> Reading:
        """Read the headers; a second and third time when little is left, for the bucket refills between requests."""
        provider = provider_of(context, params.provider)
        read = await _by_listing(context, provider)
        if not read.limits and read.answered:
            read = await _by_canary(context, provider)
        if not read.limits:
            read = await _by_gauge(context, provider, read)
        limits = list(read.limits)
        if read.source == "listing" and EXHAUSTED_BELOW <= (_least(limits) or 1.0) < LOOK_AGAIN_BELOW:
            for _ in range(2):
                await context.clock.sleep(1.0)
                limits += (await _by_listing(context, provider)).limits
        return _reading(context, provider, read, limits)


async def _by_listing(context: ProbeContext, provider: Provider) -> _Read:
    path = f"/v1/models/{model_of(context, provider, None)}"
    headers = Endpoint.of_provider(provider).headers
    try:
        reply = await context.http.request(provider.target, "GET", path, headers=headers)
    except HttpError as error:
        evidence = Evidence(source=f"GET {provider.target} {path}", excerpt=str(error)[:2000])
        return _Read(evidence=(evidence,), answered=False)
    return _Read(
        limits=read_limits(reply.headers),
        evidence=(_headers(f"GET {provider.target} {path}", reply.status, reply.headers),),
        source="listing",
    )


async def _by_canary(context: ProbeContext, provider: Provider) -> _Read:
    endpoint = Endpoint.of_provider(provider)
    request = ChatRequest(model=model_of(context, provider, None), prompt="pong", max_tokens=1)
    answer = await ChatApi(http=context.http, endpoint=endpoint).complete(request, timeout_s=8.0)
    return _Read(
        limits=read_limits(answer.headers),
        evidence=(_headers(f"POST {endpoint.target} {endpoint.path}", answer.status, answer.headers),),
        source="canary",
        tokens=answer.tokens,
        usd=cost_usd(provider, [answer]),
    )


async def _by_gauge(context: ProbeContext, provider: Provider, before: _Read) -> _Read:
    """The gateway's copy of the provider's headers. It knows what is left, not how much was allowed."""
    target = context.service.prometheus
    if target is None or not provider.tokens_per_minute:
        return before
    query = f'{_GAUGE}{{api_provider="{provider.name}"}}'
    try:
        reply = await context.http.request(target, "GET", "/api/v1/query", query={"query": query})
        left = _vector(reply.text) if reply.status == 200 else []
    except HttpError:
        return before
    if not left:
        return before
    limit = Limit(dimension="tokens", limit=float(provider.tokens_per_minute), remaining=min(left))
    evidence = Evidence(source=f"{target} {query}", excerpt=reply.text[:2000])
    return _Read(
        limits=(limit,), evidence=(*before.evidence, evidence), source="gauge", tokens=before.tokens, usd=before.usd
    )


def _vector(text: str) -> list[float]:
    """The sample values of an instant query."""
    try:
        result = json.loads(text)["data"]["result"]
        values = [number(str(sample["value"][1])) for sample in result]
    except (ValueError, KeyError, TypeError, IndexError, RecursionError):
        return []
    return [value for value in values if value is not None]


def _reading(context: ProbeContext, provider: Provider, read: _Read, limits: Sequence[Limit]) -> Reading:
    spent: dict[str, Any] = {"n": len(limits), "tokens": read.tokens, "usd": read.usd, "evidence": read.evidence}
    known = [limit for limit in limits if limit.share is not None]
    tightest = min(known, key=_share, default=None)
    if tightest is None:
        summary = f"{provider.name} reports no rate limit in its headers"
        return Reading(outcome="absent", summary=summary, details={"provider": provider.name}, **spent)
    reset_s = seconds_to_reset(tightest.reset, context.clock.now())
    expected = _expected_limit(context, provider)
    reported = None if read.source == "gauge" else _tokens_limit(limits)
    ratio = round(reported / expected, 3) if reported and expected else None
    details: dict[str, Any] = {
        "provider": provider.name,
        "source": read.source,
        "dimension": tightest.dimension,
        "remaining": tightest.remaining,
        "limit": tightest.limit,
        "reset_s": None if reset_s is None else round(reset_s, 1),
        "limit_over_expected": ratio,
        "shares": {limit.dimension: round(_share(limit), 4) for limit in sorted(known, key=_share, reverse=True)},
    }
    if reported:
        details[series.RECORD] = {series.name(_LIMIT_SERIES, provider=provider.name): [reported]}
    left = f"{_share(tightest):.0%} of the {tightest.dimension} limit left"
    left += "" if reset_s is None else f", resets in {reset_s:.0f} s"
    if ratio is not None and ratio < REDUCED_BELOW:
        return Reading(
            outcome="limit_reduced",
            summary=f"{provider.name} allows {ratio:.0%} of the usual {expected:,.0f} tokens a minute; {left}",
            value=ratio,
            baseline=1.0,
            test=f"reported over expected limit below {REDUCED_BELOW:g}",
            details=details,
            **spent,
        )
    return Reading(
        outcome="exhausted" if _share(tightest) < EXHAUSTED_BELOW else "ample",
        summary=f"{provider.name}: {left}",
        value=round(_share(tightest), 4),
        test=f"remaining over limit below {EXHAUSTED_BELOW:g}",
        details=details,
        **spent,
    )


def _share(limit: Limit) -> float:
    return max(0.0, limit.share or 0.0)


def _least(limits: Sequence[Limit]) -> float | None:
    return min((limit.share for limit in limits if limit.share is not None), default=None)


def _tokens_limit(limits: Sequence[Limit]) -> float | None:
    return next((limit.limit for limit in limits if limit.dimension == "tokens" and limit.limit), None)


def _expected_limit(context: ProbeContext, provider: Provider) -> float | None:
    """What the provider used to allow this service; without a record, what the catalogue says was agreed."""
    name = series.name(_LIMIT_SERIES, provider=provider.name)
    recorded = context.baselines.samples(context.service.name, name, before=context.started_at)
    if len(recorded) >= LEAST_BASELINE:
        return statistics.median([sample.value for sample in recorded])
    return float(provider.tokens_per_minute) or None


def _headers(source: str, status: int, headers: Mapping[str, str]) -> Evidence:
    lines = [
        f"{name}: {value}" for name, value in sorted(headers.items()) if "ratelimit" in name or name == "retry-after"
    ]
    return Evidence(source=source, excerpt="\n".join([f"HTTP {status}", *lines])[:2000])
