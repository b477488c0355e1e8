"""A2b: more workers for the gateway, when calls wait in it and the provider is well."""

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class ScaleGatewayParams(ActionParams):
    gateway: Name | None = None
    workers: int = Field(default=8, ge=1, le=64)


class ScaleGateway(Converging[ScaleGatewayParams]):
    """Raises the number of the gateway's workers."""

    spec = ActionSpec(
        id="A2b",
        name="scale_gateway",
        title="Raise the gateway's workers",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=ScaleGatewayParams,
        blast_radius="Every service behind the gateway waits less; the workers cost money until they are taken away.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ScaleGatewayParams) -> VersionedDocument:
        return admin_document(gateway_of(context, params.gateway), "workers", "count")

    async def preconditions(self, seen: Seen[ScaleGatewayParams]) -> tuple[Precondition, ...]:
        now = seen.document.integer("count")
        return (
            Precondition(
                text=f"the gateway has fewer than {seen.params.workers} workers now",
                ok=now < seen.params.workers,
                detail=f"it has {now}",
            ),
        )

    async def draft(self, context: ActionContext, params: ScaleGatewayParams) -> Draft:
        params = self.resolved(params, gateway=gateway_of(context, params.gateway).name)
        document = await self.resource(context, params).read(context.http)
        before = document.integer("count")
        change = Change(
            state={"count": params.workers},
            diff=(DiffLine(what="workers of the gateway", before=str(before), after=str(params.workers)),),
            undo=f"Goes back to {before} workers.",
        )
        return await self.drafted(context, params, document, change)
