"""P09: what was changed shortly before. A change is a hypothesis and never an abnormality.

Of all changes in the window the one most worth suspecting is reported: close before the page, and of a kind that can
break something. When the fault itself began is not known here, only when somebody was told. How many changes such a
window always holds is said with it.
"""

import math
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from pydantic import Field

from diagnostics import wording
from diagnostics.model import Change, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict

AFTER_S = 300
"""Clocks differ: a change up to so long after the page may still be the cause."""
HALF_LIFE_S = 3600.0
"""How fast suspicion fades with distance from the page."""
SHARED = 0.7
"""Suspicion of a change that was made to everything, against one made to this service."""
KINDS: dict[str, float] = {
    "prompt": 1.0,
    "model": 1.0,
    "config": 1.0,
    "gateway": 1.0,
    "index": 1.0,
    "tool": 1.0,
    "secret": 1.0,
    "guardrail": 1.0,
    "network": 1.0,
    "dependency": 0.8,
    "deploy": 0.8,
    "other": 0.4,
}
"""Kind of change -> how much a fault is usually about it."""
MOST_TOLD = 20


class ChangeParams(Params):
    """``hours``: how far back from the page to look."""

    hours: int = Field(default=24, ge=1, le=168)


class ChangeLog:
    """P09."""

    spec = ProbeSpec(
        id="P09",
        name="change_log",
        title="What was changed",
        outcomes={"none": Verdict.NORMAL, **dict.fromkeys(KINDS, Verdict.NORMAL)},
        params=ChangeParams,
        unit="min before the page",
        expected_s=0.2,
        timeout_s=5.0,
    )

    async def run(self, context: ProbeContext, params: ChangeParams) -> Reading:
        """Read the change log around the page."""
        paged = context.started_at
        start, end = paged - timedelta(hours=params.hours), paged + timedelta(seconds=AFTER_S)
        changes = context.changes.between(context.service.name, start, end)
        usual = _base_rate(context, start, params.hours)
        if not changes:
            return Reading(
                outcome="none",
                summary=f"Nothing was changed in the {params.hours} h before; usually {usual:.1f} changes are.",
                n=0,
                details={"changes": [], "usual_in_window": usual},
            )
        suspect = max(changes, key=lambda change: (suspicion(change, paged), change.at, change.id))
        return Reading(
            outcome=_kind(suspect),
            summary=_summary(suspect, changes, paged, usual),
            value=(paged - suspect.at).total_seconds() / 60,
            n=len(changes),
            test="nearest change before the page, weighted by kind",
            evidence=(Evidence(source=f"change log, {suspect.id}", excerpt=_told(suspect)),),
            details=_details(suspect, changes, paged, usual),
        )


def suspicion(change: Change, paged: datetime) -> float:
    """How much a change is worth suspecting, 0 to 1."""
    distance = abs((paged - change.at).total_seconds())
    own = SHARED if change.service == "*" else 1.0
    return KINDS[_kind(change)] * own * math.pow(0.5, distance / HALF_LIFE_S)


def _base_rate(context: ProbeContext, start: datetime, hours: int) -> float:
    """Changes in a window of this length over the week before it: how likely a mere coincidence is."""
    week = timedelta(days=7)
    before = context.changes.between(context.service.name, start - week, start)
    return len(before) * hours / (7 * 24)


def _kind(change: Change) -> str:
    return change.kind if change.kind in KINDS else "other"


def _summary(suspect: Change, changes: Sequence[Change], paged: datetime, usual: float) -> str:
    distance = (paged - suspect.at).total_seconds()
    when = f"{wording.seconds(abs(distance))} {'before' if distance >= 0 else 'after'} the page"
    others = f"; {len(changes) - 1} other changes in the window" if len(changes) > 1 else ""
    chance = f", where {usual:.1f} are usual" if usual else ""
    return (
        f"{_kind(suspect).capitalize()} change {suspect.id} was made {when}{others}{chance}. It may be a coincidence."
    )


def _told(change: Change) -> str:
    moved = f" ({change.before} -> {change.after})" if change.before or change.after else ""
    by = f" by {change.actor}" if change.actor else ""
    return f"{change.at:%Y-%m-%d %H:%M:%S} UTC {change.kind} {change.service}{by}: {change.summary}{moved}"


def _details(suspect: Change, changes: Sequence[Change], paged: datetime, usual: float) -> dict[str, Any]:
    ranked = sorted(changes, key=lambda change: -suspicion(change, paged))[:MOST_TOLD]
    return {
        "change_id": suspect.id,
        "changes": [
            {
                "id": change.id,
                "kind": _kind(change),
                "at": change.at.isoformat(),
                "minutes_before": round((paged - change.at).total_seconds() / 60, 1),
                "summary": change.summary[:200],
                "before": change.before[:80],
                "after": change.after[:80],
                "suspicion": round(suspicion(change, paged), 3),
            }
            for change in ranked
        ],
        "kinds": dict(Counter(_kind(change) for change in changes)),
        "usual_in_window": round(usual, 2),
    }
