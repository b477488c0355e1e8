"""P08: how the gateway is by its own account: alive, loaded, cooling down, falling back, or with one zone failing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from config.catalogue import Gateway
from diagnostics import series, statistics, wording
from diagnostics.gateway_state import Deployment, read_deployments, read_health
from diagnostics.model import Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.prometheus import PrometheusError
from diagnostics.subjects import gateway_of
from diagnostics.usual import Moved, moved, usual_values
from diagnostics.windows import SLICE_S, Track, Watch

OVERHEAD_SHARE, OVERHEAD_S = 0.30, 0.25
"""Overloaded once the gateway's own part exceeds this share of its latency and this many seconds a request."""
OVERHEAD_TIMES, OVERHEAD_GROWN = 5.0, 0.10
"""Or once it is so many times its usual share, from the second number on, and as many seconds."""
FALLBACK_SHARE = 0.02
IN_FLIGHT_RATIO = 2.0
ZONE_FAILING, ZONE_FINE = 0.10, 0.05
"""A zone fails above the first share of errors while another of the same provider stays below the second."""


class GatewayParams(Params):
    """Which gateway; None: the service's."""

    gateway: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Metrics:
    """The gateway's own series for this service."""

    cooldowns: Track
    fallbacks: Track
    requests: Track
    in_flight: Track
    whole: Track
    provider: Track
    count: Track

    @classmethod
    async def read(cls, watch: Watch) -> "_Metrics":
        cooldowns, fallbacks, requests, in_flight = await asyncio.gather(
            watch.counts("cooldowns", together=True),
            watch.counts("fallbacks", together=True),
            watch.counts("requests", together=True),
            watch.levels("in_flight", step_s=60),
        )
        whole, provider, count = await asyncio.gather(
            watch.counts("gateway_latency_sum"),
            watch.counts("provider_latency_sum"),
            watch.counts("gateway_latency_count"),
        )
        return cls(cooldowns=cooldowns, fallbacks=fallbacks, requests=requests, in_flight=in_flight, whole=whole,
                   provider=provider, count=count)  # fmt: skip

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        tracks = (self.cooldowns, self.fallbacks, self.in_flight, self.whole, self.provider)
        return tuple(track.evidence for track in tracks if track.has_data)


class GatewayHealth:
    """P08."""

    spec = ProbeSpec(
        id="P08",
        name="gateway_health",
        title="Gateway by its own account",
        outcomes={
            "ok": Verdict.NORMAL,
            "cooldown": Verdict.ABNORMAL,
            "fallback_up": Verdict.ABNORMAL,
            "inflight_up": Verdict.ABNORMAL,
            "overloaded": Verdict.ABNORMAL,
            "down": Verdict.ABNORMAL,
            "zone_failing": Verdict.ABNORMAL,
        },
        params=GatewayParams,
        expected_s=1.0,
        timeout_s=15.0,
        applies=("gateway",),
    )

    async def run(self, context: ProbeContext, params: GatewayParams) -> Reading:
        """Health endpoints, the list of deployments, and the gateway's metrics; the worst of them is reported."""
        gateway = gateway_of(context, params.gateway)
        (alive, health), (deployments, listing) = await asyncio.gather(
            read_health(context, gateway), read_deployments(context, gateway)
        )
        metrics, missing = await _metrics(context, gateway)
        reading = (
            _dead(alive)
            or (metrics and _overloaded(context, metrics))
            or _zone(deployments)
            or (metrics and (_cooldown(metrics, deployments) or _fallback(metrics) or _in_flight(context, metrics)))
            or _cooldown(None, deployments)
            or _fine(gateway, alive, deployments, metrics)
        )
        evidence = (*health, *listing, *missing, *(metrics.evidence if metrics else ()))
        return replace(reading, evidence=evidence, details={**_details(deployments, metrics), **reading.details})


async def _metrics(context: ProbeContext, gateway: Gateway) -> tuple[_Metrics | None, tuple[Evidence, ...]]:
    target = gateway.metrics or context.service.prometheus
    if target is None:
        return None, ()
    try:
        return await _Metrics.read(Watch.of(context, target)), ()
    except PrometheusError as error:
        return None, (Evidence(source=f"metrics of {gateway.name}", excerpt=str(error)),)


# --- Judging, the worst first ------------------------------------------------------------------------------------


def _dead(alive: Mapping[str, int]) -> Reading | None:
    broken = {path: status for path, status in alive.items() if status == 0 or status >= 500}
    if not broken:
        return None
    told = ", ".join(f"{path} {'no answer' if status == 0 else status}" for path, status in broken.items())
    if len(broken) < len(alive):
        return Reading(outcome="overloaded", summary=f"The gateway lives but is not ready: {told}.", n=len(alive))
    return Reading(outcome="down", summary=f"The gateway does not answer its health checks: {told}.", n=len(alive))


def _overhead(metrics: _Metrics) -> tuple[float, float] | None:
    """The gateway's own share of its latency, and its seconds a request, over the last slice."""
    whole, provider, count = (track.latest() for track in (metrics.whole, metrics.provider, metrics.count))
    if not whole or not provider or not count or whole[0].total <= 0 or count[0].total < 1:
        return None
    own = max(0.0, whole[0].total - provider[0].total)
    return own / whole[0].total, own / count[0].total


def _overloaded(context: ProbeContext, metrics: _Metrics) -> Reading | None:
    own = _overhead(metrics)
    if own is None or own[1] <= OVERHEAD_S:
        return None
    usual = usual_values(context, "gateway_health.overhead_share", [])
    grown = max(OVERHEAD_GROWN, OVERHEAD_TIMES * statistics.median(usual)) if usual else OVERHEAD_SHARE
    limit = min(OVERHEAD_SHARE, grown)
    if own[0] <= limit:
        return None
    return Reading(
        outcome="overloaded",
        summary=f"The gateway itself takes {wording.percent(own[0])} of the time, {wording.seconds(own[1])} a request.",
        value=own[0],
        baseline=statistics.median(usual) if usual else OVERHEAD_SHARE,
        test=f"own share of latency above {limit:.0%}",
    )


def _zone(deployments: Sequence[Deployment]) -> Reading | None:
    """One deployment of a provider fails while another of the same provider is fine."""
    for bad in deployments:
        peers = [d for d in deployments if d.provider == bad.provider and d.id != bad.id]
        fine = [d for d in peers if not d.failing and d.error_share <= ZONE_FINE]
        if fine and (bad.failing or bad.error_share >= ZONE_FAILING):
            return Reading(
                outcome="zone_failing",
                summary=f"{bad.id} fails ({wording.percent(bad.error_share)} errors) while {fine[0].id} is well "
                f"({wording.percent(fine[0].error_share)}).",
                value=bad.error_share,
                baseline=fine[0].error_share,
                n=round(bad.requests),
                test="deployments of one provider against each other",
                details={"failing": bad.id, "healthy": [d.id for d in fine]},
            )
    return None


def _cooldown(metrics: _Metrics | None, deployments: Sequence[Deployment]) -> Reading | None:
    latest = metrics.cooldowns.latest(2) if metrics else ()
    now = sum(one.total for one in latest)
    before = metrics.cooldowns.baseline if metrics else ()
    usual = sum(one.total for one in before)
    p_value = statistics.rate_rise(now, len(latest) * SLICE_S, usual, max(len(before), 1) * SLICE_S)
    failing = [d.id for d in deployments if d.failing]
    if not failing and not (now >= 2 and p_value <= statistics.ALPHA_COUNTS):
        return None
    told = f"{wording.count(now)} cooldowns in 10 min ({wording.probability(p_value)})" if now >= 1 else ""
    out = f"failing: {', '.join(failing)}" if failing else ""
    return Reading(
        outcome="cooldown",
        summary=f"The gateway takes deployments out of service: {'; '.join(part for part in (told, out) if part)}.",
        value=now,
        baseline=usual / len(before) * 2 if before else None,
        n=len(latest),
        test=statistics.RATES,
        p_value=p_value,
    )


def _fallback(metrics: _Metrics) -> Reading | None:
    latest, requests = metrics.fallbacks.latest(2), metrics.requests.latest(2)
    now, n = sum(one.total for one in latest), sum(one.total for one in requests)
    usual = sum(one.total for one in metrics.fallbacks.baseline)
    usual_n = sum(one.total for one in metrics.requests.baseline)
    p_value = statistics.rate_rise(now, n, usual, usual_n)
    if n < 1 or now / n <= FALLBACK_SHARE or p_value > statistics.ALPHA_COUNTS:
        return None
    return Reading(
        outcome="fallback_up",
        summary=f"{wording.percent(now / n)} of {wording.count(n)} requests were answered by a fallback; normally "
        f"{wording.percent(usual / usual_n if usual_n else 0.0)} ({wording.probability(p_value)}).",
        value=now / n,
        baseline=usual / usual_n if usual_n else 0.0,
        n=round(n),
        baseline_n=round(usual_n),
        test=statistics.RATES,
        p_value=p_value,
    )


def _load(context: ProbeContext, metrics: _Metrics) -> Moved | None:
    before = [one.total for one in metrics.in_flight.baseline]
    usual = usual_values(context, "gateway_health.in_flight", before, daily=True)
    return moved([one.total for one in metrics.in_flight.latest(3)], usual)


def _in_flight(context: ProbeContext, metrics: _Metrics) -> Reading | None:
    load = _load(context, metrics)
    if load is None or not load.up(IN_FLIGHT_RATIO):
        return None
    return Reading(
        outcome="inflight_up",
        summary=f"{wording.count(load.now)} requests are in flight, {wording.ratio(load.ratio)} the usual "
        f"{wording.count(load.usual)} ({wording.probability(load.p_rise)}).",
        value=load.now,
        baseline=load.usual,
        n=load.n,
        test=statistics.MANN_WHITNEY,
        p_value=load.p_rise,
    )


def _fine(gateway: Gateway, alive: Mapping[str, int], deployments: Sequence[Deployment],
          metrics: _Metrics | None) -> Reading:  # fmt: skip
    answered = [status for status in alive.values() if 200 <= status < 400]
    told = [
        "its health checks pass" if len(answered) == len(alive) else "",
        f"{len(deployments)} deployments in service" if deployments else "",
        "no cooldowns or fallbacks beyond the usual" if metrics else "",
    ]
    seen = [part for part in told if part]
    if not seen:
        return Reading(outcome="inconclusive", summary=f"{gateway.name} offers neither health checks nor metrics.")
    return Reading(outcome="ok", summary=f"{gateway.name}: {', '.join(seen)}.", n=len(alive) + len(deployments))


def _details(deployments: Sequence[Deployment], metrics: _Metrics | None) -> dict[str, Any]:
    record: dict[str, list[float]] = {}
    if metrics is not None and metrics.in_flight.latest():
        record["gateway_health.in_flight"] = [metrics.in_flight.latest()[-1].total]
    own = _overhead(metrics) if metrics is not None else None
    if own is not None:
        record["gateway_health.overhead_share"] = [own[0]]
    told = {d.id: {"failing": d.failing, "error_share": round(d.error_share, 4)} for d in deployments[:20]}
    return {"deployments": told, series.RECORD: record}
