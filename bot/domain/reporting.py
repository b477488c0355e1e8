"""Times over many incidents: how long it took to detect, acknowledge and mitigate, by mode, service, team or month.

Medians and ninetieth percentiles of what was measured, always with how many that were. Nothing is estimated: an
incident in which a time is not known does not count for it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from typing import Literal

from bot.domain.edits import edits_of, shown
from bot.domain.measures import measures
from bot.domain.view import IncidentView

By = Literal["mode", "service", "team", "month"]
KEYS = ("detect", "acknowledge", "mitigate")
LABELS = {"detect": "MTTD", "acknowledge": "MTTA", "mitigate": "MTTM"}
MEANINGS = {
    "detect": "from the beginning to the first page", "acknowledge": "from the first page to a person",
    "mitigate": "from the first page to a verified mitigation",
}  # fmt: skip
P90_NEEDS = 10
"""Values below which a ninetieth percentile would be the largest of a few."""
NO_CAUSE = "no cause found"


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """One incident's times in seconds; None where it is not known."""

    incident: str
    mode: str
    service: str
    team: str
    opened_at: datetime
    detect: float | None
    acknowledge: float | None
    mitigate: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Times:
    """One measure over several incidents. ``median`` and ``p90`` in seconds."""

    n: int
    median: float | None
    p90: float | None
    """None below :data:`P90_NEEDS` values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Group:
    """Incidents that belong together."""

    name: str
    incidents: int
    times: dict[str, Times]


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """All incidents since a moment, then by what was asked."""

    since: datetime
    until: datetime
    by: By
    whole: Group
    groups: tuple[Group, ...]


def case(view: IncidentView) -> Case:
    """The times of one incident, its timeline as people edited it."""
    took = {measure.key: measure.seconds for measure in measures(shown(view, edits_of(view.timeline)))}
    diagnosis = view.diagnosis
    sure = diagnosis is not None and diagnosis.conclusion == "cause" and diagnosis.ranked
    return Case(
        incident=view.incident.id, mode=diagnosis.leader.mode if diagnosis and sure else NO_CAUSE,
        service=view.incident.service, team=view.incident.team or "no team", opened_at=view.incident.opened_at,
        detect=took["detect"], acknowledge=took["acknowledge"], mitigate=took["mitigate"],
    )  # fmt: skip


def report(cases: Sequence[Case], by: By, since: datetime, until: datetime) -> Report:
    """Group the cases; months in order of time, everything else by number of incidents."""
    kept = [each for each in cases if since <= each.opened_at <= until]
    named: dict[str, list[Case]] = {}
    for each in kept:
        name = f"{each.opened_at:%Y-%m}" if by == "month" else str(getattr(each, by))
        named.setdefault(name, []).append(each)
    order = sorted(named) if by == "month" else sorted(named, key=lambda name: (-len(named[name]), name))
    groups = tuple(_group(name, named[name]) for name in order)
    return Report(since=since, until=until, by=by, whole=_group("all", kept), groups=groups)


def times(values: Sequence[float]) -> Times:
    """Median, and the nearest-rank ninetieth percentile where there are enough."""
    if not values:
        return Times(n=0, median=None, p90=None)
    ordered = sorted(values)
    p90 = ordered[math.ceil(0.9 * len(ordered)) - 1] if len(ordered) >= P90_NEEDS else None
    return Times(n=len(ordered), median=float(median(ordered)), p90=p90)


def _group(name: str, cases: Sequence[Case]) -> Group:
    found = {key: times([value for each in cases if (value := getattr(each, key)) is not None]) for key in KEYS}
    return Group(name=name, incidents=len(cases), times=found)
