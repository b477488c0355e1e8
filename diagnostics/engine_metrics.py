"""What an inference engine's replicas export, read once for a probe: now, and in the hour before the incident."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from config.catalogue import Engine
from diagnostics.metrics import Query, Template
from diagnostics.model import Evidence, ProbeContext
from diagnostics.prometheus import Answer, Line, Prometheus
from diagnostics.statistics import ZERO_TRAFFIC_EXPECTED
from diagnostics.windows import GUARD_S

STEP_S = 15
BASELINE_S = 3600
RECENT_S = 60
SERVER_ERROR = "5xx"
"""The class of replies that count as failed; what a caller sent wrongly is not the replica's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One replica over the window."""

    name: str
    requests: float
    failed: float
    corrupted: float
    buckets: Mapping[str, float]
    """Time to the first token: upper bound -> requests up to it."""
    starts: int
    """Different starts that were seen of its process."""
    up: bool | None
    """As last scraped; None: not known."""
    serving: bool
    """Whether requests still came in the last minute."""

    @property
    def failed_share(self) -> float:
        return self.failed / self.requests if self.requests > 0 else 0.0

    @property
    def corrupted_share(self) -> float:
        return self.corrupted / self.requests if self.requests > 0 else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Before:
    """The whole engine in the hour before the incident."""

    requests: float
    corrupted: float
    preempted: float
    buckets: Mapping[str, float]


@dataclass(frozen=True, kw_only=True, slots=True)
class EngineView:
    """All of it. Without replicas the engine exports nothing."""

    replicas: tuple[Replica, ...]
    window_s: int
    waiting: tuple[float, ...]
    """Requests that waited, over all replicas, at each scrape of the window."""
    cache: tuple[float, ...]
    """The fullest replica's KV cache at the same moments, 0 to 1."""
    preempted: float
    before: Before
    evidence: tuple[Evidence, ...]

    @property
    def serving(self) -> tuple[Replica, ...]:
        """The replicas that take part now: one that was drained says nothing about the engine as it is."""
        return tuple(one for one in self.replicas if one.serving or (one.up is False and one.requests > 0))


async def read(context: ProbeContext, engine: Engine, window_s: int) -> EngineView:
    """Ask Prometheus. Raises :class:`diagnostics.prometheus.PrometheusError`."""
    now = context.clock.now()
    prometheus = Prometheus(context.http, engine.metrics)
    by, labels = (engine.replica_label,), {"job": engine.job}

    async def counted(metric: str, at: datetime, seconds: int, template: Template = "increase") -> Answer:
        query = Query(template=template, metric=metric, labels=labels, window_s=seconds, by=by)
        return await prometheus.at(query, at)

    async def levels(metric: str, template: Template) -> Answer:
        query = Query(template=template, metric=metric, labels=labels, by=by, together=True)
        return await prometheus.over(query, now - timedelta(seconds=window_s), now, STEP_S)

    earlier = min(context.started_at, now) - timedelta(seconds=GUARD_S)
    requests, recent, corrupted, buckets, preempted = await asyncio.gather(
        counted("engine_requests", now, window_s),
        counted("engine_requests", now, RECENT_S),
        counted("engine_corrupted", now, window_s),
        counted("engine_first_token", now, window_s, "buckets"),
        counted("engine_preemptions", now, window_s),
    )
    waiting, cache, started, up = await asyncio.gather(
        levels("engine_waiting", "level"), levels("kv_cache", "highest"), levels("engine_started", "highest"),
        levels("up", "highest"),
    )  # fmt: skip
    before = await asyncio.gather(
        counted("engine_requests", earlier, BASELINE_S),
        counted("engine_corrupted", earlier, BASELINE_S),
        counted("engine_preemptions", earlier, BASELINE_S),
        counted("engine_first_token", earlier, BASELINE_S, "buckets"),
    )
    label = engine.replica_label
    return EngineView(
        replicas=_replicas(label, (requests, recent, corrupted, buckets), (started, up), window_s),
        window_s=window_s,
        waiting=_at_each(waiting.lines, sum),
        cache=_at_each(cache.lines, max),
        preempted=sum(line.last for line in preempted.lines),
        before=Before(
            requests=sum(line.last for line in before[0].lines),
            corrupted=sum(line.last for line in before[1].lines),
            preempted=sum(line.last for line in before[2].lines),
            buckets=_pooled(before[3].lines),
        ),
        evidence=tuple(
            answer.evidence for answer in (requests, corrupted, waiting, cache, preempted, up) if answer.has_data
        ),
    )


def _replicas(
    label: str, counts: tuple[Answer, Answer, Answer, Answer], levels: tuple[Answer, Answer], window_s: int
) -> tuple[Replica, ...]:
    requests, recent, corrupted, buckets = counts
    started, up = levels
    seen = [*up.lines, *(line for line in requests.lines if line.last > 0)]
    names = sorted({line.labels.get(label, "") for line in seen} - {""})
    split = requests.alias.split
    found = []
    for name in names:
        own = {line.labels.get(split, ""): line.last for line in _of(requests, label, name)}
        total = sum(own.values())
        lately = sum(line.last for line in _of(recent, label, name))
        due = total * RECENT_S / window_s
        alive = [line.last for line in _of(up, label, name)]
        found.append(
            Replica(
                name=name,
                requests=total,
                failed=own.get(SERVER_ERROR, 0.0),
                corrupted=sum(line.last for line in _of(corrupted, label, name)),
                buckets={line.labels.get("le", ""): line.last for line in _of(buckets, label, name)},
                starts=len({value for line in _of(started, label, name) for _, value in line.points}),
                up=alive[-1] > 0 if alive else None,
                # So few may be due that a minute without any means nothing.
                serving=total > 0 and (lately > 0 or due < ZERO_TRAFFIC_EXPECTED),
            )
        )
    return tuple(found)


def _of(answer: Answer, label: str, name: str) -> list[Line]:
    return [line for line in answer.lines if line.labels.get(label, "") == name]


def _pooled(lines: Sequence[Line]) -> dict[str, float]:
    total: dict[str, float] = {}
    for line in lines:
        bound = line.labels.get("le", "")
        total[bound] = total.get(bound, 0.0) + line.last
    return total


def _at_each(lines: Sequence[Line], combine: Callable[[list[float]], float]) -> tuple[float, ...]:
    by_moment: dict[datetime, list[float]] = {}
    for line in lines:
        for at, value in line.points:
            by_moment.setdefault(at, []).append(value)
    return tuple(combine(by_moment[at]) for at in sorted(by_moment))
