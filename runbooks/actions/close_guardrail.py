"""A33, for one guardrail: what it cannot check is refused instead of let through."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, guardrail_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class CloseGuardrailParams(ActionParams):
    guardrail: Name | None = None


class CloseGuardrail(Converging[CloseGuardrailParams]):
    """Switches a guardrail on and makes it fail closed."""

    spec = ActionSpec(
        id="A33g",
        name="close_guardrail",
        title="Make the guardrail fail closed",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=CloseGuardrailParams,
        blast_radius="Requests that cannot be checked are refused, in every service behind this guardrail.",
    )

    def resource(self, context: ActionContext, params: CloseGuardrailParams) -> VersionedDocument:
        rail = guardrail_of(context, params.guardrail)
        return admin_document(gateway_of(context, None), f"guardrails/{segment(rail.name)}", "enabled", "on_error")

    async def preconditions(self, seen: Seen[CloseGuardrailParams]) -> tuple[Precondition, ...]:
        on, how = seen.document.boolean("enabled"), seen.document.text("on_error")
        return (
            Precondition(
                text="requests can pass unchecked now",
                ok=not on or how != "closed",
                detail=f"{'on' if on else 'off'}, on error {how[:20]}",
            ),
        )

    async def draft(self, context: ActionContext, params: CloseGuardrailParams) -> Draft:
        params = self.resolved(params, guardrail=guardrail_of(context, params.guardrail).name)
        document = await self.resource(context, params).read(context.http)
        on, how = document.boolean("enabled"), document.text("on_error")
        change = Change(
            state={"enabled": True, "on_error": "closed"},
            diff=tuple(
                line
                for line in (
                    DiffLine(what="guardrail", before="on" if on else "off", after="on"),
                    DiffLine(what="what cannot be checked", before=how, after="closed"),
                )
                if line.before != line.after
            ),
            undo=f"Sets it back to {'on' if on else 'off'}, on error {how}.",
        )
        return await self.drafted(context, params, document, change)
