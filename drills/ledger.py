"""What the referee looks at: for every step, what the users of each service went through. Never exported."""

from dataclasses import dataclass, field

import numpy as np

from drills.company import APPS
from drills.draws import Floats
from drills.metrics import deployment_errors
from drills.queues import OUTCOMES, QueueFlow
from drills.traffic import Flow

FIELDS = ("errors", "ttft", "quality", "spend", "blocked", "passed", "offered", "served",
          "unguarded", "destroyed", "exposed")  # fmt: skip
"""Per service: failed share, median time to the first token, share of good answers (were the questions as usual: harder
ones are nobody's fault), tokens a minute by their price,
share of items blocked or passed because no decision came in time, tasks a second that arrived, and that were admitted,
share of requests that no guardrail has seen, changes a minute that cannot be taken back and that nobody approved,
whether secrets are in the hands of others."""


@dataclass(slots=True)
class Ledger:
    """Rows of consecutive steps: start times, per-service fields, per-model load, per-deployment errors, tenants,
    replicas of the engine."""

    starts: list[Floats] = field(default_factory=list)
    services: list[Floats] = field(default_factory=list)
    models: list[Floats] = field(default_factory=list)
    """util and rejected: rows x 2 x models."""
    deployments: list[Floats] = field(default_factory=list)
    """error share and attempts a minute: rows x 2 x deployments."""
    tenants: list[Floats] = field(default_factory=list)

    engine: list[Floats] = field(default_factory=list)
    """Requests a second at each replica of the engine."""

    def add(self, starts: Floats, flow: Flow, queue: QueueFlow, zone_load: Floats, engine_load: Floats) -> None:
        self.starts.append(starts)
        self.services.append(_service_rows(flow, queue))
        self.models.append(np.stack([flow.util, flow.rejected], axis=1))
        self.deployments.append(np.stack([deployment_errors(flow), zone_load], axis=1))
        self.tenants.append(flow.tenant_tokens)
        self.engine.append(engine_load)

    def compact(self) -> None:
        """Join the pieces, so that reading stays quick."""
        for name in ("starts", "services", "models", "deployments", "tenants", "engine"):
            parts = getattr(self, name)
            if len(parts) > 1:
                setattr(self, name, [np.concatenate(parts)])

    def series(self, service: int, name: str) -> tuple[Floats, Floats]:
        """Start times and values of one field."""
        self.compact()
        return self.starts[0], self.services[0][:, service, FIELDS.index(name)]

    def before(self, at: float, rows: int = 1) -> slice:
        """The last completed steps at that moment."""
        self.compact()
        end = int(np.searchsorted(self.starts[0], at, side="right")) - 1
        return slice(max(end - rows, 0), max(end, 1))


def _service_rows(flow: Flow, queue: QueueFlow) -> Floats:
    total = np.maximum(flow.ok.sum(axis=2) + flow.failed.sum(axis=(2, 3)), 1e-9)
    weight = flow.ok / np.maximum(flow.ok.sum(axis=2, keepdims=True), 1e-9)
    arrived = np.maximum(queue.decisions.sum(axis=2), 1e-9)
    result = np.zeros((len(total), len(APPS), len(FIELDS)))
    result[:, :, 0] = flow.failed.sum(axis=(2, 3)) / total
    result[:, :, 1] = (weight * flow.ttft).sum(axis=2)
    result[:, :, 2] = flow.good
    result[:, :, 3] = flow.spend
    result[:, :, 4] = queue.decisions[:, :, OUTCOMES.index("timeout_blocked")] / arrived
    result[:, :, 5] = queue.decisions[:, :, OUTCOMES.index("timeout_passed")] / arrived
    result[:, :, 6] = flow.offered
    result[:, :, 7] = flow.tasks.sum(axis=(2, 3))
    result[:, :, 8] = flow.around.unguarded
    result[:, :, 9] = flow.around.destroyed
    result[:, :, 10] = flow.around.exposed
    return result
