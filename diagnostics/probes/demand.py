"""P19: where the load comes from. Demand is a product, and the factor that moved names the cause:

``tokens = users x tasks of a user x calls of a task x attempts of a call x tokens of a call``

Beside it: whether one tenant is behind it, and whether work piles up in front of the model.
"""

import asyncio
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from pydantic import Field

from diagnostics import series, statistics, wording
from diagnostics.decomposition import (
    FACTORS,
    TENANT_POINTS,
    TENANT_RATIO,
    Demand,
    Points,
    Surge,
    draining,
    factor,
    factor_values,
    queue_of,
    surge_of,
)
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.symptoms import failed
from diagnostics.usual import Moved
from diagnostics.windows import SLICE_S, Watch

TRAFFIC_UP = 1.4
CALLS_UP = 1.15
"""A few runaway tasks move the mean of all only a little; it is otherwise very steady."""
RETRIES_UP = 1.2
AMPLIFIED = 3.5
"""More attempts for a call than three, which one layer's usual two retries explain: layers multiply."""
LEAST_AMPLIFIED, UNEXPLAINED = 2.5, 1.3
"""From so many attempts on it is also amplified when they are so much more than what fails explains."""
QUEUE_RATIO, QUEUE_LEAST = 3.0, 10.0
_NAMED = ("tasks", "calls_per_task", "attempts_per_call")
"""Factors that have an outcome of their own."""


class DemandParams(Params):
    """``window_s``: what counts as now; whole slices of five minutes."""

    window_s: int = Field(default=900, ge=SLICE_S, le=7200)


class DemandProfile:
    """P19."""

    spec = ProbeSpec(
        id="P19",
        name="demand_profile",
        title="Where the load comes from",
        outcomes={
            "ok": Verdict.NORMAL,
            "traffic_up": Verdict.ABNORMAL,
            "retries_up": Verdict.ABNORMAL,
            "retry_amplification": Verdict.ABNORMAL,
            "calls_per_task_up": Verdict.ABNORMAL,
            "tenant_surge": Verdict.ABNORMAL,
            "queue_backlog": Verdict.ABNORMAL,
        },
        params=DemandParams,
        unit="ratio to usual",
        expected_s=1.0,
        timeout_s=15.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, params: DemandParams) -> Reading:
        """Take demand apart into its factors and name the one that moved most."""
        watch = Watch.of(context)
        read, requests = await asyncio.gather(Demand.of(watch), watch.counts("requests"))
        slices = params.window_s // SLICE_S
        values = factor_values(read)
        factors = {name: factor(context, read, name, points, slices) for name, points in values.items()}
        surge = surge_of(context, read.tenants, slices)
        queue = queue_of(context, read.queue)
        failing = max(
            (failed(one, requests.alias) / one.total for one in requests.latest(slices) if one.total), default=1.0
        )
        reading = _judge(factors, surge, None if draining(read.queue) else queue, failing)
        return replace(reading, evidence=read.evidence, details=_details(read, values, factors, surge, queue))


# --- Judging -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class _Candidate:
    outcome: str
    ratio: float
    reading: Callable[[], Reading]


def _judge(factors: Mapping[str, Moved | None], surge: Surge | None, queue: Moved | None, failing: float) -> Reading:
    if queue is not None and queue.now >= max(QUEUE_RATIO * queue.usual, queue.usual + QUEUE_LEAST):
        return _backlog(queue)
    found = _candidates(factors, surge, failing)
    if found:
        return max(found, key=lambda one: math.log(max(one.ratio, 1e-9))).reading()
    known = [name for name in FACTORS if factors.get(name)]
    if not known and factors.get("tasks") is None:
        return Reading(
            outcome=INCONCLUSIVE, summary="Neither tasks nor calls are counted, or there is no baseline yet."
        )
    traffic = factors.get("tasks")
    told = ", ".join(f"{_name(name)} {moved.ratio:.2f}" for name in known if (moved := factors[name]))
    unread = [name for name in _NAMED if factors.get(name) is None]
    if unread:
        # What is not counted may be the very factor that moved: the rest being usual does not clear it.
        missing = " and ".join(_name(name) for name in unread)
        return Reading(
            outcome=INCONCLUSIVE,
            summary=f"Nothing else moved, but {missing} cannot be compared; ratios to normal: {told or 'none'}.",
        )
    return Reading(
        outcome="ok",
        summary=f"Demand is as usual; ratios to normal: {told or f'traffic {traffic.ratio:.2f}' if traffic else told}.",
        value=traffic.ratio if traffic else None,
        baseline=1.0,
        n=traffic.n if traffic else 0,
        test=statistics.MANN_WHITNEY,
        p_value=traffic.p_rise if traffic else None,
    )


def amplified(attempts: float, failing: float) -> bool:
    """Whether one layer with two retries cannot explain so many attempts, given the share of requests that fail in the
    end: such a request has failed three times over."""
    again = failing ** (1 / 3)
    explained = UNEXPLAINED * (again + again * again)
    return attempts >= AMPLIFIED or (attempts >= LEAST_AMPLIFIED and attempts - 1.0 > explained)


def _candidates(factors: Mapping[str, Moved | None], surge: Surge | None, failing: float) -> list[_Candidate]:
    found: list[_Candidate] = []

    def add(outcome: str, name: str, what: str, threshold: float) -> None:
        by = factors.get(name)
        if by is not None and by.up(threshold):
            found.append(_Candidate(outcome=outcome, ratio=by.ratio, reading=lambda: _moved(outcome, what, by)))

    if surge is not None and surge.surged:
        found.append(_Candidate(outcome="tenant_surge", ratio=surge.ratio, reading=lambda: _tenant(surge)))
    else:
        add("traffic_up", "tasks", "Tasks a minute", TRAFFIC_UP)
    add("calls_per_task_up", "calls_per_task", "Model calls for a task", CALLS_UP)
    attempts = factors.get("attempts_per_call")
    if attempts is not None and amplified(attempts.now, failing):
        add("retry_amplification", "attempts_per_call", "Attempts for a call", RETRIES_UP)
    if not found:
        # Ordinary retries follow from whatever fails; they are told only when nothing drives them.
        add("retries_up", "attempts_per_call", "Attempts for a call", RETRIES_UP)
    return found


def _moved(outcome: str, what: str, by: Moved) -> Reading:
    digits = 0 if by.now >= 20 else 2
    return Reading(
        outcome=outcome,
        summary=f"{what}: {by.now:,.{digits}f}, {by.ratio:.2f} times the usual {by.usual:,.{digits}f} "
        f"({wording.probability(by.p_rise)}).",
        value=by.ratio,
        baseline=1.0,
        n=by.n,
        test=statistics.MANN_WHITNEY,
        p_value=by.p_rise,
    )


def _tenant(surge: Surge) -> Reading:
    return Reading(
        outcome="tenant_surge",
        summary=f"Tenant {surge.tenant} makes {wording.percent(surge.share)} of all calls, normally "
        f"{wording.percent(surge.usual)}: {wording.ratio(surge.ratio)} its usual volume.",
        value=surge.ratio,
        baseline=1.0,
        n=1,
        test=f"share up by {TENANT_POINTS:.0%} and volume {TENANT_RATIO:g} times the usual",
    )


def _backlog(queue: Moved) -> Reading:
    return Reading(
        outcome="queue_backlog",
        summary=f"{wording.count(queue.now)} items are waiting; on a busy day {wording.count(queue.usual)} are "
        f"({wording.probability(queue.p_rise)}).",
        value=queue.ratio if math.isfinite(queue.ratio) else queue.now,
        baseline=1.0,
        n=queue.n,
        test=f"{QUEUE_RATIO:g} times the usual 95th percentile",
        p_value=queue.p_rise,
    )


def _name(factor: str) -> str:
    return factor.replace("_", " ")


def _details(read: Demand, values: Mapping[str, Points], factors: Mapping[str, Moved | None], surge: Surge | None,
             queue: Moved | None) -> dict[str, Any]:  # fmt: skip
    record = {}
    newest = read.calls.latest() or read.tasks.latest()
    for name in ("users", "tasks", "calls_per_task", "attempts_per_call", "tokens_per_call"):
        value = values[name].get(newest[-1].end) if newest else None
        if value is not None:
            record[f"demand_profile.{name}"] = [value]
    tenants = read.tenants.latest()
    if tenants and tenants[-1].total >= 1:
        record["demand_profile.top_tenant_share"] = [max(tenants[-1].parts.values()) / tenants[-1].total]
    if read.queue.latest(2):
        record["demand_profile.queue_depth"] = [read.queue.latest(2)[-1].total]
    details: dict[str, Any] = {
        "ratios": {name: round(by.ratio, 3) for name, by in factors.items() if by and math.isfinite(by.ratio)},
        "queue": {"now": queue.now, "usual": queue.usual} if queue else None,
        series.RECORD: record,
    }
    if surge is not None:
        details["top_tenant"] = {"tenant": surge.tenant, "share": round(surge.share, 4), "usual": round(surge.usual, 4)}
    if tenants and tenants[-1].total >= 1:
        shares = {tenant: round(calls / tenants[-1].total, 4) for tenant, calls in tenants[-1].parts.items()}
        details[series.RECORD_DOCUMENTS] = {"demand_profile.tenant_shares": dict(list(shares.items())[:200])}
    return details
