"""A23 for a guardrail: set its configuration back to an earlier revision that checks and fails closed."""

from pydantic import Field

from config.catalogue import Name
from runbooks.actions import revisions
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, guardrail_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, Draft, EffectClass, Precondition

KEYS = ("revision", "enabled", "on_error", "threshold", "timeout_ms")


class RollbackGuardrailParams(ActionParams):
    guardrail: Name | None = None
    to: str = Field(default="previous", min_length=1, max_length=80)
    """A revision in the history, or ``previous``: the one in use before the present one."""


class RollbackGuardrail(Converging[RollbackGuardrailParams]):
    """Puts an earlier revision of the guardrail back. It never ends up switched off or failing open."""

    spec = ActionSpec(
        id="A23g",
        name="rollback_guardrail",
        title="Roll back the guardrail's configuration",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=RollbackGuardrailParams,
        blast_radius="Every service behind this guardrail is checked as the earlier revision checked.",
    )

    def resource(self, context: ActionContext, params: RollbackGuardrailParams) -> VersionedDocument:
        rail = guardrail_of(context, params.guardrail)
        return admin_document(gateway_of(context, None), f"guardrails/{segment(rail.name)}", *KEYS)

    async def preconditions(self, seen: Seen[RollbackGuardrailParams]) -> tuple[Precondition, ...]:
        entry = next((one for one in revisions.history(seen.document) if str(one["revision"]) == seen.params.to), {})
        strict = entry.get("enabled") is True and entry.get("on_error") == "closed"
        how = f"enabled {str(entry.get('enabled'))[:20]}, on error {str(entry.get('on_error'))[:20]}"
        return (
            revisions.known_revision(seen.document, seen.params.to),
            Precondition(text="that revision checks, and fails closed", ok=strict, detail=how),
        )

    async def draft(self, context: ActionContext, params: RollbackGuardrailParams) -> Draft:
        params = self.resolved(params, guardrail=guardrail_of(context, params.guardrail).name)
        document = await self.resource(context, params).read(context.http)
        entry = revisions.chosen(document, params.to)
        before = {key: document.fields.get(key) for key in KEYS}
        after = revisions.state_of(entry, document, KEYS)
        change = Change(
            state=after,
            diff=revisions.diff_of(before, after),
            undo=f"Puts revision {str(before['revision'])[:80]} back.",
        )
        return await self.drafted(context, self.resolved(params, to=str(entry["revision"])), document, change)
