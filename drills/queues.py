"""What waits: items for moderation or generation, and what becomes of those that waited too long.

Workers take one item at a time for as long as a model call lasts. What they cannot keep up with waits. An item that
waited longer than its time gets a decision without the model: blocked, passed unchecked, or held for a person.
"""

from dataclasses import dataclass

import numpy as np

from drills.company import APPS, SERVICE_OVERHEAD
from drills.controls import Controls
from drills.draws import Floats
from drills.traffic import Flow

OUTCOMES = ("allowed", "blocked", "timeout_blocked", "timeout_passed", "held")
_FLAGGED = 0.03
"""Share of items that moderation blocks on an ordinary day."""
_DEPTH_MAX = 50_000.0
_QUEUED = [number for number, app in enumerate(APPS) if app.workers]


@dataclass(frozen=True, kw_only=True, slots=True)
class QueueFlow:
    """Levels and rates a second: moments x services (x outcomes)."""

    depth: Floats
    decisions: Floats
    undecided: Floats
    """Share of items that got no decision from the model in time."""
    complaints: Floats


def advance(flow: Flow, controls: Controls, depth: Floats, step_s: float) -> tuple[QueueFlow, Floats]:
    """Let the queues run through these moments; also returns the depths at the end."""
    rows = len(flow.users)
    depths = np.zeros((rows, len(APPS)))
    decisions = np.zeros((rows, len(APPS), len(OUTCOMES)))
    undecided = np.zeros((rows, len(APPS)))
    depth = depth.copy()
    arriving = flow.tasks.sum(axis=(2, 3))
    answered = flow.ok.sum(axis=2) / np.maximum(flow.calls.sum(axis=2), 1e-9)
    service_s = (flow.ok * flow.duration).sum(axis=2) / np.maximum(flow.ok.sum(axis=2), 1e-9) * SERVICE_OVERHEAD
    for number in _QUEUED:
        app = APPS[number]
        late = (
            "held"
            if controls.hold[number]
            else {"hold": "held", "pass": "timeout_passed"}.get(controls.on_timeout[number], "timeout_blocked")
        )
        rates = arriving[:, number].tolist()
        capacities = (app.workers / np.maximum(service_s[:, number] + app.item_s, 1e-3) * answered[:, number]).tolist()
        waiting_now, missed = float(depth[number]), np.zeros(rows)
        for row, (rate, capacity) in enumerate(zip(rates, capacities, strict=True)):
            waiting = waiting_now
            overdue = max(waiting - capacity * app.timeout_s, 0.0)
            if late == "held":
                # Overdue items leave for the people who review them; the workers see fresh ones only.
                waiting -= overdue
            decided = min(capacity, rate + waiting / step_s)
            in_time = decided if late == "held" else decided * (1.0 if overdue <= 0.0 else 0.0)
            in_time = min(in_time, rate)
            waiting_now = min(max(waiting + (rate - decided) * step_s, 0.0), _DEPTH_MAX)
            busy = min(rate / max(capacity, 1e-9), 0.97)
            depths[row, number] = waiting_now + app.workers * busy / (1.0 - busy) * 0.2
            missed[row] = max(rate - in_time, 0.0) if overdue > 0.0 or waiting_now > capacity * app.timeout_s else 0.0
        depth[number] = waiting_now
        handled = arriving[:, number] - missed
        decisions[:, number, OUTCOMES.index("allowed")] = handled * (1.0 - _FLAGGED)
        decisions[:, number, OUTCOMES.index("blocked")] = handled * _FLAGGED
        decisions[:, number, OUTCOMES.index(late)] += missed
        undecided[:, number] = missed / np.maximum(arriving[:, number], 1e-9)
    depths = np.round(depths)
    harm = decisions[:, :, OUTCOMES.index("timeout_blocked")] + decisions[:, :, OUTCOMES.index("timeout_passed")]
    return QueueFlow(depth=depths, decisions=decisions, undecided=undecided, complaints=harm * 0.02), depth
