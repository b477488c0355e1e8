"""P22: a self-hosted engine by its replicas' own metrics: full, or with one replica that does worse than its peers."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from diagnostics import engine_metrics, power, statistics, wording
from diagnostics.engine_metrics import EngineView, Replica
from diagnostics.model import Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.subjects import engine_of
from diagnostics.windows import beyond, tail_bound

CACHE_FULL = 0.90
SUSTAINED = 0.90
"""Part of the scrapes at which something must have waited: a moment's queue is how an engine works, not a fault."""
WORSE_BY = 0.05
"""A replica that fails, or garbles, so much more of its requests than its peers is bad, if that is no chance."""
SLOWER_BY = 0.25
"""One whose answers begin late this much more often is slow."""
RESTARTS = 2
"""Further starts within the window from which a replica is in a crash loop; one alone may be a release."""
ENOUGH_TO_TELL = 400
"""More requests than these make the power no smaller, and its exact sum long."""
INTEREST, ORDINARY = 0.20, 0.005
"""The power is that of finding a replica that fails the first share of its requests where the second is usual."""


class EngineParams(Params):
    """Which engine, and how far back; None: the service's."""

    engine: str | None = None
    window_s: int = Field(default=300, ge=60, le=3600)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Outlier:
    """The replica that differs most from the others together."""

    replica: Replica
    share: float
    peers: float
    n: int
    peers_n: int
    p_value: float
    """Corrected for having looked at every replica."""


class EngineHealth:
    """P22."""

    spec = ProbeSpec(
        id="P22",
        name="engine_health",
        title="Self-hosted engine by its replicas' metrics",
        outcomes={
            "ok": Verdict.NORMAL,
            "saturated": Verdict.ABNORMAL,
            "bad_replica": Verdict.ABNORMAL,
            "corrupted": Verdict.ABNORMAL,
            "down": Verdict.ABNORMAL,
        },
        params=EngineParams,
        unit="share",
        expected_s=1.5,
        timeout_s=15.0,
        applies=("engine",),
    )

    async def run(self, context: ProbeContext, params: EngineParams) -> Reading:
        """Read every replica's counters and queues, and compare each with its peers and all with the hour before."""
        engine = engine_of(context, params.engine)
        view = await engine_metrics.read(context, engine, params.window_s)
        reading = _down(view) or _corrupted(view) or _crashing(view) or _failing(view) or _slow(view) or _full(view)
        reading = reading or _fine(view)
        return replace(reading, evidence=view.evidence, details={**_details(view), **reading.details})


# --- Judging, the worst first ------------------------------------------------------------------------------------


def _down(view: EngineView) -> Reading | None:
    known = [one for one in view.replicas if one.up is not None]
    if not known or any(one.up for one in known):
        return None
    return Reading(outcome="down", summary=f"None of {len(known)} replicas answers its scrapes.", n=len(known))


def _corrupted(view: EngineView) -> Reading | None:
    """NaN in the logits: one replica's memory or card, or, on all alike, the weights."""
    found = _worst(view.serving, lambda one: (one.corrupted, one.requests))
    if found is not None and found.p_value <= statistics.ALPHA_COUNTS and found.share - found.peers >= WORSE_BY:
        return _about(found, "corrupted", f"garbles {wording.percent(found.share)} of its answers")
    n = sum(one.requests for one in view.serving)
    now = min(sum(one.corrupted for one in view.serving), n)
    p_value = statistics.fisher_rise(round(now), round(n), round(view.before.corrupted), round(view.before.requests))
    if n <= 0 or now / n < WORSE_BY or p_value > statistics.ALPHA_COUNTS:
        return None
    return Reading(
        outcome="corrupted",
        summary=f"{wording.percent(now / n)} of {wording.count(n)} answers are garbled, on all replicas alike.",
        value=now / n,
        baseline=view.before.corrupted / max(view.before.requests, 1.0),
        n=round(n),
        baseline_n=round(view.before.requests),
        test=statistics.FISHER,
        p_value=p_value,
    )


def _crashing(view: EngineView) -> Reading | None:
    looping = [one for one in view.serving if one.starts > RESTARTS]
    if not looping:
        return None
    worst = max(looping, key=lambda one: (one.starts, one.name))
    return Reading(
        outcome="bad_replica",
        summary=f"{worst.name} has started {worst.starts - 1} times anew in {wording.seconds(view.window_s)}; "
        f"{len(view.serving) - len(looping)} of {len(view.serving)} replicas run on.",
        value=float(worst.starts - 1),
        baseline=0.0,
        n=len(view.serving),
        test=f"at least {RESTARTS} starts within the window",
        details={"replica": worst.name},
    )


def _failing(view: EngineView) -> Reading | None:
    found = _worst(view.serving, lambda one: (one.failed, one.requests))
    if found is None or found.p_value > statistics.ALPHA_COUNTS or found.share - found.peers < WORSE_BY:
        return None
    return _about(found, "bad_replica", f"fails {wording.percent(found.share)} of its requests")


def _slow(view: EngineView) -> Reading | None:
    """Late is what hardly any answer of its peers is, over the same minutes."""
    found: list[tuple[_Outlier, str]] = []
    for one in view.serving:
        peers = _together([other for other in view.serving if other is not one])
        bound = tail_bound(peers)
        own = beyond(one.buckets, bound) if bound is not None else (0.0, 0.0)
        if bound is not None and own[1] > 0:
            found.append((_against(one, own, beyond(peers, bound), len(view.serving)), bound))
    worst = min(found, key=lambda pair: (pair[0].p_value, -pair[0].share), default=None)
    if worst is None or worst[0].p_value > statistics.ALPHA_COUNTS or worst[0].share - worst[0].peers < SLOWER_BY:
        return None
    told = f"begins {wording.percent(worst[0].share)} of its answers later than {wording.seconds(float(worst[1]))}"
    return _about(worst[0], "bad_replica", told)


def _together(replicas: Sequence[Replica]) -> dict[str, float]:
    total: dict[str, float] = {}
    for one in replicas:
        for bound, count in one.buckets.items():
            total[bound] = total.get(bound, 0.0) + count
    return total


def _full(view: EngineView) -> Reading | None:
    """A queue that stays, with the reason for it: the cache is full, requests are thrown out of it, or users wait."""
    queued = [value for value in view.waiting if value > 0]
    if not view.waiting or len(queued) < SUSTAINED * len(view.waiting):
        return None
    cache = statistics.median(view.cache) if view.cache else 0.0
    evicted = statistics.rate_rise(view.preempted, view.window_s, view.before.preempted, engine_metrics.BASELINE_S)
    late, p_late = _late(view)
    full, thrown = cache >= CACHE_FULL, evicted <= statistics.ALPHA_COUNTS
    slow = p_late <= statistics.ALPHA_COUNTS and late >= SLOWER_BY
    if not (full or thrown or slow):
        return None
    reasons = [
        f"the KV cache is {wording.percent(cache)} full" if full else "",
        f"{wording.count(view.preempted)} requests were preempted" if thrown else "",
        f"{wording.percent(late)} of answers begin later than usual" if slow else "",
    ]
    tested = min(evicted, p_late)
    return Reading(
        outcome="saturated",
        summary=f"{wording.count(statistics.median(view.waiting))} requests wait all the time; "
        f"{', '.join(reason for reason in reasons if reason)}.",
        value=cache,
        baseline=CACHE_FULL,
        n=len(view.waiting),
        test="a queue at nine of ten scrapes, and a full cache, preemptions or late answers",
        p_value=tested if tested <= statistics.ALPHA_COUNTS else None,
    )


def _late(view: EngineView) -> tuple[float, float]:
    """Share of answers that begin later than nearly all did before, and its p-value."""
    bound = tail_bound(view.before.buckets)
    if bound is None:
        return 0.0, 1.0
    pairs = [beyond(one.buckets, bound) for one in view.serving]
    now, n = sum(pair[0] for pair in pairs), sum(pair[1] for pair in pairs)
    usual, usual_n = beyond(view.before.buckets, bound)
    if n <= 0:
        return 0.0, 1.0
    return now / n, statistics.fisher_rise(round(now), round(n), round(usual), round(usual_n))


def _fine(view: EngineView) -> Reading:
    if not view.replicas:
        return Reading(outcome="inconclusive", summary="Prometheus knows no replica of this engine.")
    known = min((_power(one, view.serving) for one in view.serving), default=0.0)
    total = sum(one.requests for one in view.serving)
    told = f"{len(view.serving)} of {len(view.replicas)} replicas served {wording.count(total)} requests"
    if known < power.ENOUGH:
        summary = f"{told}: too few to tell a bad replica from an unlucky one (power {known:.2f})."
        return Reading(outcome="inconclusive", summary=summary, n=round(total), power=known)
    return Reading(
        outcome="ok",
        summary=f"{told}, none of them worse than its peers; nothing waits for long.",
        value=sum(one.failed for one in view.serving) / total if total > 0 else 0.0,
        n=round(total),
        test=f"{statistics.FISHER}, each replica against its peers",
        power=known,
    )


# --- One against its peers ---------------------------------------------------------------------------------------


def _worst(replicas: Sequence[Replica], pair: Callable[[Replica], tuple[float, float]]) -> _Outlier | None:
    """The replica whose share of hits stands out most from the others' together; None where there are no others."""
    # Extrapolated counts of two metrics need not fit each other to the last request.
    counted = {one.name: (min(pair(one)), pair(one)[1]) for one in replicas}
    hits, total = sum(h for h, _ in counted.values()), sum(n for _, n in counted.values())
    found = [
        _against(one, (own, n), (hits - own, total - n), len(replicas))
        for one in replicas
        for own, n in (counted[one.name],)
        if 0 < n < total
    ]
    return min(found, key=lambda outlier: (outlier.p_value, -outlier.share), default=None)


def _against(replica: Replica, own: tuple[float, float], peers: tuple[float, float], looks: int) -> _Outlier:
    """Hits and requests of a replica against its peers'; ``looks``: how many replicas are looked at."""
    p_value = statistics.fisher_rise(round(own[0]), round(own[1]), round(peers[0]), round(peers[1]))
    return _Outlier(
        replica=replica, share=own[0] / own[1], peers=peers[0] / max(peers[1], 1.0), n=round(own[1]),
        peers_n=round(peers[1]), p_value=min(1.0, p_value * looks),
    )  # fmt: skip


def _about(found: _Outlier, outcome: str, does: str) -> Reading:
    return Reading(
        outcome=outcome,
        summary=f"{found.replica.name} {does}, its peers {wording.percent(found.peers)} "
        f"({wording.probability(found.p_value)}).",
        value=found.share,
        baseline=found.peers,
        n=found.n,
        baseline_n=found.peers_n,
        test=f"{statistics.FISHER}, each replica against its peers",
        p_value=found.p_value,
        details={"replica": found.replica.name},
    )


def _power(one: Replica, replicas: Sequence[Replica]) -> float:
    others = round(sum(other.requests for other in replicas) - one.requests)
    if others <= 0:
        # Alone it has no peers; how it does is then told by the canaries.
        return 1.0 if one.requests > 0 else 0.0
    alpha = statistics.ALPHA_COUNTS / len(replicas)
    own, others = min(round(one.requests), ENOUGH_TO_TELL), min(others, ENOUGH_TO_TELL)
    return power.fisher(1 - ORDINARY, others, 1 - INTEREST, own, alpha=alpha)


def _details(view: EngineView) -> Mapping[str, Any]:
    told = {
        one.name: {
            "requests": round(one.requests), "failed_share": round(one.failed_share, 4),
            "corrupted_share": round(one.corrupted_share, 4), "starts": one.starts, "serving": one.serving,
        }
        for one in view.replicas[:20]
        if one.requests > 0 or one.up is not None
    }  # fmt: skip
    waiting = statistics.median(view.waiting) if view.waiting else 0.0
    return {"replicas": told, "waiting": waiting, "kv_cache": max(view.cache, default=0.0)}
