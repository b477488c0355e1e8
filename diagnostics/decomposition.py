"""Demand taken apart: ``tokens = users x tasks of a user x calls of a task x attempts of a call x tokens of a call``,
the tenants behind it, and what waits in front of the model."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from diagnostics import statistics
from diagnostics.model import Evidence, ProbeContext
from diagnostics.usual import Moved, moved, usual_values
from diagnostics.windows import SLICE_S, Track, Watch, merged

TENANT_POINTS, TENANT_RATIO = 0.15, 2.0
"""A tenant surges once its share of calls gained so many points while its own volume at least doubled."""
LOOK_BACK = 2
"""A factor may have moved over up to so many windows; the longer, the smaller a shift that shows."""
QUEUE_PEAK_SLICES = 10
"""Minutes over which a queue's peak is looked for, to see that it is being worked off."""
FACTORS = ("users", "tasks_per_user", "calls_per_task", "attempts_per_call", "tokens_per_call")
Points = Mapping[datetime, float]
"""End of a slice -> value."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Demand:
    """The series that demand is made of."""

    users: Track
    tasks: Track
    calls: Track
    attempts: Track
    tokens: Track
    tenants: Track
    queue: Track

    @classmethod
    async def of(cls, watch: Watch) -> "Demand":
        """Read them all at once."""
        users, tasks, calls, attempts, tokens = await asyncio.gather(
            watch.levels("users"),
            watch.counts("tasks", together=True),
            watch.counts("calls", together=True),
            watch.counts("attempts", together=True),
            watch.counts("total_tokens", together=True),
        )
        tenants, queue = await asyncio.gather(watch.counts("calls_by_tenant"), watch.levels("queue_depth", step_s=60))
        return cls(
            users=users, tasks=tasks, calls=calls, attempts=attempts, tokens=tokens, tenants=tenants, queue=queue
        )

    @property
    def evidence(self) -> tuple[Evidence, ...]:
        """What was read, of the series that exist."""
        tracks = (self.users, self.tasks, self.calls, self.attempts, self.tokens, self.tenants, self.queue)
        return tuple(track.evidence for track in tracks if track.has_data)


@dataclass(frozen=True, kw_only=True, slots=True)
class Surge:
    """The tenant whose share grew most."""

    tenant: str
    share: float
    usual: float
    ratio: float

    @property
    def surged(self) -> bool:
        """Whether that is a surge."""
        return self.share - self.usual >= TENANT_POINTS and self.ratio >= TENANT_RATIO


def factor_values(read: Demand) -> dict[str, Points]:
    """Every factor in every slice in which it can be known; ``tasks`` is the traffic itself, a minute."""
    users, tasks, calls, attempts, tokens = (
        {one.end: one.total for one in track.slices}
        for track in (read.users, read.tasks, read.calls, read.attempts, read.tokens)
    )
    minutes = SLICE_S / 60
    traffic = {end: value / minutes for end, value in (tasks or calls).items()}
    return {
        "users": users,
        "tasks": traffic,
        "tasks_per_user": _over(traffic, users),
        "calls_per_task": _over(calls, tasks),
        "attempts_per_call": _over(attempts, calls),
        "tokens_per_call": _over(tokens, calls),
    }


def _over(above: Points, below: Points) -> Points:
    return {end: value / below[end] for end, value in above.items() if below.get(end, 0.0) >= 1}


def factor(context: ProbeContext, read: Demand, name: str, points: Points, slices: int) -> Moved | None:
    frame = read.calls if read.calls.has_data else read.tasks
    latest, baseline = ({one.end for one in part} for part in (frame.latest(LOOK_BACK * slices), frame.baseline))
    now = [value for end, value in points.items() if end in latest]
    before = [value for end, value in points.items() if end in baseline]
    daily = name in ("users", "tasks")
    kept = f"demand_profile.{name}"
    return moved(now, before if name == "tasks_per_user" else usual_values(context, kept, before, daily=daily))


def surge_of(context: ProbeContext, tenants: Track, slices: int) -> Surge | None:
    """Shares now against shares before, by calls, which failing calls count too."""
    now, baseline = merged(tenants.latest(slices)), tenants.baseline
    before = merged(baseline)
    total = sum(now.values())
    usual_calls = sum(before.values()) * len(tenants.latest(slices)) / len(baseline) if baseline else 0.0
    if not before:
        kept = context.baselines.document(
            context.service.name, "demand_profile.tenant_shares", before=context.started_at
        )
        before, usual_calls = (kept if isinstance(kept, dict) else {}), total
    whole = sum(before.values())
    if total < 1 or whole <= 0 or len(now) < 2:
        return None
    found = []
    for tenant, calls in now.items():
        usual = before.get(tenant, 0.0) / whole
        ratio = calls / max(usual * usual_calls, 1.0)
        found.append(Surge(tenant=tenant, share=calls / total, usual=usual, ratio=ratio))
    return max(found, key=lambda one: (one.share - one.usual, one.tenant))


def queue_of(context: ProbeContext, queue: Track) -> Moved | None:
    now = [one.total for one in queue.latest(2)]
    usual = usual_values(context, "demand_profile.queue_depth", [one.total for one in queue.baseline])
    found = moved(now, usual)
    # The comparison is with how deep it gets on a busy day, not with the median.
    return replace(found, usual=statistics.quantile(usual, 0.95)) if found else None


def draining(queue: Track) -> bool:
    """Whether the queue has fallen to less than half of its peak of the last minutes: a backlog being worked off."""
    levels = [one.total for one in queue.latest(QUEUE_PEAK_SLICES)]
    return bool(levels) and levels[-1] <= max(levels) / 2
