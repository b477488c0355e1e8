"""A2e: what moderation could not decide in time waits for a person. It never passes unseen."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, route_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class HoldForReviewParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None


class HoldForReview(Converging[HoldForReviewParams]):
    """Holds undecided content of a moderation route for human review."""

    spec = ActionSpec(
        id="A2e",
        name="hold_for_review",
        title="Hold undecided content for review",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=HoldForReviewParams,
        blast_radius="Content without a verdict waits for a reviewer: authors wait longer, reviewers have more to do.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: HoldForReviewParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        path = f"moderation/{segment(route_of(context, params.route))}"
        return admin_document(gateway, path, "on_timeout", "hold_for_review")

    async def preconditions(self, seen: Seen[HoldForReviewParams]) -> tuple[Precondition, ...]:
        kind = seen.context.service.kind
        return (
            Precondition(
                text="the service moderates content", ok=kind.startswith("moderation-"), detail=f"its kind is {kind}"
            ),
        )

    async def draft(self, context: ActionContext, params: HoldForReviewParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        on_timeout, held = document.text("on_timeout"), document.boolean("hold_for_review")
        change = Change(
            state={"on_timeout": "hold", "hold_for_review": True},
            diff=(
                DiffLine(what=f"{route}: content without a verdict in time", before=on_timeout, after="hold"),
                DiffLine(what=f"{route}: hold for review", before="yes" if held else "no", after="yes"),
            ),
            undo=f"Sets it back to {on_timeout}, hold for review {'on' if held else 'off'}; held content stays held.",
        )
        return await self.drafted(context, params, document, change)
