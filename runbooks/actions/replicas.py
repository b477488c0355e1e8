"""What an engine says about its replicas: the live facts that draining depends on."""

import math
from dataclasses import dataclass

from config.catalogue import Engine
from runbooks.actions.documents import fetch
from runbooks.model import ActionContext, ActionError


@dataclass(frozen=True, kw_only=True, slots=True)
class Replica:
    """One process of the engine."""

    id: str
    drained: bool
    ready: bool
    requests_per_min: float
    error_share: float
    corrupted_share: float
    headroom_percent: float
    """How much of what it can carry is free."""

    @property
    def spoilt_share(self) -> float:
        """Part of its requests of which nothing useful comes back."""
        return min(1.0, self.error_share + self.corrupted_share)

    @property
    def serving(self) -> bool:
        return self.ready and not self.drained

    @property
    def free_requests_per_min(self) -> float:
        """What it could carry beyond what it carries now, as far as its own figures tell."""
        used = 100.0 - self.headroom_percent
        return self.requests_per_min * self.headroom_percent / used if used > 0 else math.inf


async def replicas_of(context: ActionContext, engine: Engine, admin: str) -> tuple[Replica, ...]:
    """All replicas of the engine, as they are now. Raises :class:`ActionError`."""
    label = f"{engine.name}/replicas"
    document = await fetch(context.http, admin, "/replicas", label)
    try:
        return tuple(
            Replica(
                id=str(item["id"]),
                drained=bool(item["drained"]),
                ready=item["state"] == "ready",
                requests_per_min=float(item["requests_per_min"]),
                error_share=float(item["error_share"]),
                corrupted_share=float(item["corrupted_share"]),
                headroom_percent=float(item["headroom_percent"]),
            )
            for item in document.items("replicas")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ActionError(f"{label}: a replica has no usable {error}; check the version of the engine's API") from error
