"""A2b for a self-hosted engine: more replicas, when requests wait for a place in those that there are."""

import math

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import engine_of
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.resource import Document
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition

MORE = 1.5
"""How many times as many replicas as now, when no number is given."""
MOST = 512


class ScaleEngineParams(ActionParams):
    engine: Name | None = None
    replicas: int | None = Field(default=None, ge=1, le=MOST)
    """How many there are to be; None: half as many again, and at least the engine's usual number if it tells one."""


class ScaleEngine(Converging[ScaleEngineParams]):
    """Raises the number of the engine's replicas."""

    spec = ActionSpec(
        id="A2be",
        name="scale_engine",
        title="Add replicas to the engine",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=ScaleEngineParams,
        blast_radius="Every service on this engine waits less; each replica's GPU costs money until it is taken away.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ScaleEngineParams) -> VersionedDocument:
        engine, admin = engine_of(context, params.engine)
        return VersionedDocument(label=f"{engine.name}/scale", target=admin, path="/scale", keys=(("replicas",),))

    async def preconditions(self, seen: Seen[ScaleEngineParams]) -> tuple[Precondition, ...]:
        now, wanted = seen.document.integer("replicas"), seen.params.replicas or 0
        most = seen.document.fields.get("max_replicas")
        return (
            Precondition(
                text=f"the engine has fewer than {wanted} replicas now", ok=now < wanted, detail=f"it has {now}"
            ),
            Precondition(
                text="its quota allows that many",
                ok=isinstance(most, int) and wanted <= most,
                detail=f"at most {most}" if isinstance(most, int) else "the engine does not tell its max_replicas",
            ),
        )

    async def draft(self, context: ActionContext, params: ScaleEngineParams) -> Draft:
        engine, _ = engine_of(context, params.engine)
        document = await self.resource(context, params).read(context.http)
        before = document.integer("replicas")
        wanted = params.replicas or _more(document, before)
        params = self.resolved(params, engine=engine.name, replicas=wanted)
        change = Change(
            state={"replicas": wanted},
            diff=(DiffLine(what=f"replicas of {engine.name}", before=str(before), after=str(wanted)),),
            undo=f"Goes back to {before} replicas.",
        )
        return await self.drafted(context, params, document, change)


def _more(document: Document, now: int) -> int:
    usual, most = document.fields.get("usual_replicas"), document.fields.get("max_replicas")
    wanted = max(math.ceil(now * MORE), now + 1, usual if isinstance(usual, int) else 0)
    return min(wanted, max(most, now)) if isinstance(most, int) else min(wanted, MOST)
