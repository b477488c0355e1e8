"""What a gateway says about its deployments: the live facts that draining and shifting depend on."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

from config.catalogue import Gateway
from runbooks.actions.documents import fetch
from runbooks.model import ActionContext, ActionError


@dataclass(frozen=True, kw_only=True, slots=True)
class Deployment:
    """One way from the gateway to a model."""

    id: str
    provider: str
    drained: bool
    healthy: bool
    requests_per_min: float
    error_share: float
    headroom_percent: float
    """How much of what it can carry is free."""

    @property
    def serving(self) -> bool:
        return self.healthy and not self.drained

    @property
    def free_requests_per_min(self) -> float:
        """What it could carry beyond what it carries now, as far as its own figures tell."""
        used = 100.0 - self.headroom_percent
        return self.requests_per_min * self.headroom_percent / used if used > 0 else math.inf


async def deployments_of(context: ActionContext, gateway: Gateway) -> tuple[Deployment, ...]:
    """All deployments of the gateway, as they are now. Raises :class:`ActionError`."""
    label = f"{gateway.name}/deployments"
    document = await fetch(context.http, gateway.admin, "/deployments", label)
    try:
        return tuple(
            Deployment(
                id=str(item["id"]),
                provider=str(item["provider"]),
                drained=bool(item["drained"]),
                healthy=item["state"] == "healthy",
                requests_per_min=float(item["requests_per_min"]),
                error_share=float(item["error_share"]),
                headroom_percent=float(item["headroom_percent"]),
            )
            for item in document.items("deployments")
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ActionError(f"{label}: a deployment has no usable {error}; check the gateway's version") from error


def serving(deployments: Iterable[Deployment], provider: str) -> tuple[Deployment, ...]:
    """The deployments of a provider that take traffic and answer well."""
    return tuple(one for one in deployments if one.provider == provider and one.serving)
