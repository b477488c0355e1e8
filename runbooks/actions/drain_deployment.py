"""A13: take one deployment (a zone, a region) out of its group. Its peers answer with the same model."""

import math

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, segment
from runbooks.actions.deployments import Deployment, deployments_of, serving
from runbooks.actions.documents import VersionedDocument
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionParams,
    ActionSpec,
    DiffLine,
    Draft,
    EffectClass,
    Precondition,
)

SAFETY = 1.3
"""How much more than the drained one carries its peers have to have free."""
CLEARLY_BAD = 0.05
"""A healthy deployment that fails a smaller share than this is not bad, only unlucky."""


class DrainDeploymentParams(ActionParams):
    gateway: Name | None = None
    deployment: Name = "worst"
    """``worst``: the one that fails most now."""


class DrainDeployment(Converging[DrainDeploymentParams]):
    """Stops sending traffic to one deployment."""

    spec = ActionSpec(
        id="A13",
        name="drain_deployment",
        title="Drain one deployment",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=DrainDeploymentParams,
        blast_radius="Its traffic, of every service behind the gateway, moves to the provider's other deployments.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: DrainDeploymentParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        return admin_document(gateway, f"deployments/{segment(params.deployment)}", "drained")

    async def preconditions(self, seen: Seen[DrainDeploymentParams]) -> tuple[Precondition, ...]:
        gateway = gateway_of(seen.context, seen.params.gateway)
        everything = await deployments_of(seen.context, gateway)
        drained = _named(everything, seen.params.deployment)
        peers = [one for one in serving(everything, drained.provider) if one.id != drained.id]
        worst_peer = max((one.error_share for one in peers), default=0.0)
        needed, free = drained.requests_per_min * SAFETY, sum(one.free_requests_per_min for one in peers)
        return (
            Precondition(
                text=f"{drained.id} does clearly worse than its peers",
                ok=not drained.healthy or drained.error_share >= max(CLEARLY_BAD, 2 * worst_peer),
                detail=f"fails {drained.error_share:.1%} of its requests, the worst peer {worst_peer:.1%}",
            ),
            Precondition(
                text=f"its healthy peers have room for {needed:.0f} requests/min",
                ok=bool(peers) and free >= needed,
                detail=", ".join(_room(one) for one in peers) or "it has no healthy peer",
            ),
        )

    async def draft(self, context: ActionContext, params: DrainDeploymentParams) -> Draft:
        gateway = gateway_of(context, params.gateway)
        everything = await deployments_of(context, gateway)
        name = _worst(everything, gateway.name).id if params.deployment == "worst" else params.deployment
        chosen = _named(everything, name)
        params = self.resolved(params, gateway=gateway.name, deployment=chosen.id)
        document = await self.resource(context, params).read(context.http)
        before = document.boolean("drained")
        carried = f"serving {chosen.requests_per_min:.0f} requests/min"
        change = Change(
            state={"drained": True},
            diff=(DiffLine(what=chosen.id, before="drained" if before else carried, after="drained"),),
            undo=f"Sends traffic to {chosen.id} again.",
        )
        return await self.drafted(context, params, document, change)


def _worst(deployments: tuple[Deployment, ...], gateway: str) -> Deployment:
    candidates = [one for one in deployments if not one.drained and (not one.healthy or one.error_share >= CLEARLY_BAD)]
    if not candidates:
        raise ActionError(f"no deployment of {gateway} fails now, so there is no worst one; name one or leave it")
    return max(candidates, key=lambda one: (not one.healthy, one.error_share, one.id))


def _room(one: Deployment) -> str:
    free = "ample" if one.free_requests_per_min == math.inf else f"{one.free_requests_per_min:.0f}"
    return f"{one.id} has {free} free ({one.headroom_percent:.0f} %)"


def _named(deployments: tuple[Deployment, ...], name: str) -> Deployment:
    found = next((one for one in deployments if one.id == name), None)
    if found is None:
        raise ActionError(f"no deployment {name!r} at the gateway{nearest(name, (one.id for one in deployments))}")
    return found
