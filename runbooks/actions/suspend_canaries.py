"""A15: stop the gateway's own canaries and evaluations while every request counts."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging
from runbooks.actions.declared import admin_document, gateway_of
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass


class SuspendCanariesParams(ActionParams):
    gateway: Name | None = None


class SuspendCanaries(Converging[SuspendCanariesParams]):
    """Suspends scheduled canaries and evaluations at the gateway."""

    spec = ActionSpec(
        id="A15",
        name="suspend_canaries",
        title="Suspend canaries and evaluations",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=SuspendCanariesParams,
        blast_radius="No user notices; scheduled checks and evaluations see nothing until they are resumed.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: SuspendCanariesParams) -> VersionedDocument:
        return admin_document(gateway_of(context, params.gateway), "canaries", "suspended")

    async def draft(self, context: ActionContext, params: SuspendCanariesParams) -> Draft:
        params = self.resolved(params, gateway=gateway_of(context, params.gateway).name)
        document = await self.resource(context, params).read(context.http)
        before = "suspended" if document.boolean("suspended") else "running"
        change = Change(
            state={"suspended": True},
            diff=(DiffLine(what="canaries and evaluations", before=before, after="suspended"),),
            undo="Lets canaries and evaluations run again.",
        )
        return await self.drafted(context, params, document, change)
