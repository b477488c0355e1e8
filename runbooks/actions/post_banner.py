"""A01: tell the users. Fixed texts only: no word from an alert, a log or a person reaches the product."""

from typing import Literal

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging
from runbooks.actions.declared import admin_document, gateway_of, route_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass

TEXTS = {
    "degraded": "Some answers are failing at the moment. We are working on it; please try again in a few minutes.",
    "slow": "Answers are taking longer than usual at the moment. We are working on it.",
    "delayed_review": "Some content is waiting longer for review than usual. Nothing is lost.",
    "wrong_answers": "Some answers may be out of date or wrong at the moment. Please check what matters.",
    "recovered": "Answers are back to normal. Thank you for your patience.",
}


class PostBannerParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None
    text_key: Literal["degraded", "slow", "delayed_review", "wrong_answers", "recovered"]


class PostBanner(Converging[PostBannerParams]):
    """Sets the banner of one route to one of the fixed texts."""

    spec = ActionSpec(
        id="A01",
        name="post_banner",
        title="Post a banner for users",
        risk="R0",
        effect=EffectClass.CONVERGE,
        params=PostBannerParams,
        blast_radius="Every user of this route reads one sentence; nothing else changes.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: PostBannerParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        return admin_document(gateway, f"banners/{segment(route_of(context, params.route))}", "text")

    async def draft(self, context: ActionContext, params: PostBannerParams) -> Draft:
        params = self.resolved(
            params, gateway=gateway_of(context, params.gateway).name, route=route_of(context, params.route)
        )
        document = await self.resource(context, params).read(context.http)
        before, after = document.text("text"), TEXTS[params.text_key]
        change = Change(
            state={"text": after},
            diff=(DiffLine(what=f"banner of {params.route}", before=before or "none", after=after),),
            undo=f"Puts the previous banner back: {before}" if before else "Takes the banner down.",
        )
        return await self.drafted(context, params, document, change)
