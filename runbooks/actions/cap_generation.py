"""A28: cap steps, output tokens or context of a route, so that one task cannot eat what all need."""

from pydantic import Field, model_validator

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, route_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.resource import Document
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

CAPS = {"max_steps": "steps of one task", "max_tokens": "output tokens", "max_context": "context tokens"}


class CapGenerationParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None
    max_steps: int | None = Field(default=None, ge=1, le=10_000)
    max_tokens: int | None = Field(default=None, ge=16, le=1_000_000)
    max_context: int | None = Field(default=None, ge=256, le=10_000_000)

    @model_validator(mode="after")
    def _caps_something(self) -> "CapGenerationParams":
        if not self.caps():
            raise ValueError("give at least one of max_steps, max_tokens, max_context")
        return self

    def caps(self) -> dict[str, int]:
        """The caps that were asked for."""
        asked = {"max_steps": self.max_steps, "max_tokens": self.max_tokens, "max_context": self.max_context}
        return {key: value for key, value in asked.items() if value is not None}


class CapGeneration(Converging[CapGenerationParams]):
    """Lowers one or more caps of a route; a cap that is not named stays as it is."""

    spec = ActionSpec(
        id="A28",
        name="cap_generation",
        title="Cap generation",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=CapGenerationParams,
        blast_radius="Long tasks and long answers of this route end early; short ones are as before.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: CapGenerationParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        return admin_document(gateway, f"caps/{segment(route_of(context, params.route))}", *params.caps())

    async def preconditions(self, seen: Seen[CapGenerationParams]) -> tuple[Precondition, ...]:
        return tuple(
            Precondition(
                text=f"{CAPS[key]} are not capped at {cap} or lower yet",
                ok=(now := _cap(seen.document, key)) is None or now > cap,
                detail=f"capped at {now}" if now is not None else "not capped",
            )
            for key, cap in seen.params.caps().items()
        )

    async def draft(self, context: ActionContext, params: CapGenerationParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        before = {key: _cap(document, key) for key in params.caps()}
        change = Change(
            state=params.caps(),
            diff=tuple(
                DiffLine(what=f"{route}: {CAPS[key]}", before=_told(before[key]), after=_told(cap))
                for key, cap in params.caps().items()
            ),
            undo="Puts back: " + ", ".join(f"{CAPS[key]} {_told(value)}" for key, value in before.items()) + ".",
        )
        return await self.drafted(context, params, document, change)


def _cap(document: Document, key: str) -> int | None:
    value = document.fields.get(key)
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ActionError(f"{document.label}: {key} is {str(value)[:80]!r}, expected a whole number or null")
    return value


def _told(cap: int | None) -> str:
    return "no cap" if cap is None else f"at most {cap}"
