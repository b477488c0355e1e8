"""A2a: take one replica of a self-hosted engine out of use. The others serve the same weights."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import engine_of, nearest, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.replicas import Replica, replicas_of
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
"""A replica that spoils a smaller share of its requests than this is not bad, only unlucky."""


class DrainReplicaParams(ActionParams):
    engine: Name | None = None
    replica: Name = "worst"
    """``worst``: the one that spoils most of its requests now."""


class DrainReplica(Converging[DrainReplicaParams]):
    """Stops sending requests to one replica."""

    spec = ActionSpec(
        id="A2a",
        name="drain_replica",
        title="Drain one replica of the engine",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=DrainReplicaParams,
        blast_radius="Its requests, of every service on this engine, go to the other replicas; there is one less.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: DrainReplicaParams) -> VersionedDocument:
        engine, admin = engine_of(context, params.engine)
        path = f"replicas/{segment(params.replica)}"
        return VersionedDocument(label=f"{engine.name}/{path}", target=admin, path=f"/{path}", keys=(("drained",),))

    async def preconditions(self, seen: Seen[DrainReplicaParams]) -> tuple[Precondition, ...]:
        everything = await replicas_of(seen.context, *engine_of(seen.context, seen.params.engine))
        drained = _named(everything, seen.params.replica)
        peers = [one for one in everything if one.serving and one.id != drained.id]
        worst_peer = max((one.spoilt_share for one in peers), default=0.0)
        needed, free = drained.requests_per_min * SAFETY, sum(one.free_requests_per_min for one in peers)
        return (
            Precondition(
                text=f"{drained.id} does clearly worse than its peers",
                ok=not drained.ready or drained.spoilt_share >= max(CLEARLY_BAD, 2 * worst_peer),
                detail=f"spoils {drained.spoilt_share:.1%} of its requests, the worst peer {worst_peer:.1%}",
            ),
            Precondition(
                text=f"the other replicas have room for {needed:.0f} requests/min",
                ok=bool(peers) and free >= needed,
                detail=f"{len(peers)} with {free:.0f} free" if peers else "there is no other one that serves",
            ),
        )

    async def draft(self, context: ActionContext, params: DrainReplicaParams) -> Draft:
        engine, admin = engine_of(context, params.engine)
        everything = await replicas_of(context, engine, admin)
        chosen = _worst(everything, engine.name) if params.replica == "worst" else _named(everything, params.replica)
        params = self.resolved(params, engine=engine.name, replica=chosen.id)
        document = await self.resource(context, params).read(context.http)
        before = document.boolean("drained")
        carried = f"serving {chosen.requests_per_min:.0f} requests/min"
        change = Change(
            state={"drained": True},
            diff=(DiffLine(what=chosen.id, before="drained" if before else carried, after="drained"),),
            undo=f"Sends requests to {chosen.id} again.",
        )
        return await self.drafted(context, params, document, change)


def _worst(replicas: tuple[Replica, ...], engine: str) -> Replica:
    bad = [one for one in replicas if not one.drained and (not one.ready or one.spoilt_share >= CLEARLY_BAD)]
    if not bad:
        raise ActionError(f"no replica of {engine} does badly now, so there is no worst one; name one or leave it")
    return max(bad, key=lambda one: (not one.ready, one.spoilt_share, one.id))


def _named(replicas: tuple[Replica, ...], name: str) -> Replica:
    found = next((one for one in replicas if one.id == name), None)
    if found is None:
        raise ActionError(f"no replica {name!r} in the engine{nearest(name, (one.id for one in replicas))}")
    return found
