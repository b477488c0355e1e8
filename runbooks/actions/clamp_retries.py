"""A11: fewer retries, so that a failing or full provider is not asked several times for each answer."""

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, model_of
from runbooks.actions.documents import VersionedDocument, segment
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class ClampRetriesParams(ActionParams):
    gateway: Name | None = None
    model: str | None = None
    """The service's own; without it, the retries of every model behind the gateway."""
    max_retries: int = Field(default=1, ge=0, le=10)


class ClampRetries(Converging[ClampRetriesParams]):
    """Lowers the gateway's retries for each request, or for each request for one model."""

    spec = ActionSpec(
        id="A11",
        name="clamp_retries",
        title="Clamp retries",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=ClampRetriesParams,
        blast_radius="Every service behind the gateway that asks for this model (without one: every service): what a "
        "further retry would have saved fails, and fails sooner.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ClampRetriesParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        if params.model is None:
            return admin_document(gateway, "retries", "max_retries")
        return admin_document(gateway, f"retries/{segment(model_of(context, params.model))}", "max_retries")

    async def preconditions(self, seen: Seen[ClampRetriesParams]) -> tuple[Precondition, ...]:
        now = seen.document.integer("max_retries")
        what = f"{seen.params.model} " if seen.params.model else ""
        return (
            Precondition(
                text=f"the gateway retries {what}more than {seen.params.max_retries} times now",
                ok=now > seen.params.max_retries,
                detail=f"it retries {now} times",
            ),
        )

    async def draft(self, context: ActionContext, params: ClampRetriesParams) -> Draft:
        params = self.resolved(params, gateway=gateway_of(context, params.gateway).name)
        document = await self.resource(context, params).read(context.http)
        before = document.integer("max_retries")
        what = f"retries for each request{f' for {params.model}' if params.model else ''}"
        change = Change(
            state={"max_retries": params.max_retries},
            diff=(DiffLine(what=what, before=str(before), after=str(params.max_retries)),),
            undo=f"Allows {before} retries again.",
        )
        return await self.drafted(context, params, document, change)
