"""A step that only a person can take: the exact command or link, then Done, then verification as always."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

from pydantic import Field, field_validator

from runbooks.model import (
    ActionContext,
    ActionParams,
    ActionSpec,
    Approval,
    DiffLine,
    Draft,
    EffectClass,
    EffectResult,
    EffectStatus,
)


class ManualParams(ActionParams):
    title: str = Field(min_length=3, max_length=120)
    instructions: str = Field(min_length=10, max_length=2_000)
    """What to do, so exact that a tired person can do it."""
    link: str = Field(default="", max_length=500)
    """Where to do it; http or https."""

    @field_validator("title")
    @classmethod
    def _one_line(cls, title: str) -> str:
        if not title.isprintable():
            raise ValueError("a title is one printable line")
        return title

    @field_validator("link")
    @classmethod
    def _web_address(cls, link: str) -> str:
        parts = urlsplit(link)
        if link and (parts.scheme not in ("http", "https") or not parts.hostname or not link.isprintable()):
            raise ValueError("a link begins with https:// or http:// and names a host")
        return link


class Manual:
    """Hands an instruction to a person. It never sends anything, and cannot undo what a person did."""

    spec = ActionSpec(
        id="manual",
        name="manual",
        title="A person does it",
        risk="R1",
        effect=EffectClass.MANUAL,
        params=ManualParams,
        blast_radius="Whatever the instructions change; read them before approving.",
        reversible=False,
    )

    async def draft(self, context: ActionContext, params: ManualParams) -> Draft:
        """The instructions as they will be shown. Nothing is read: what a person will find there is not known."""
        return Draft(
            action=self.spec.name,
            params=params.model_dump(mode="json"),
            target=f"{context.service.name}/by hand",
            pre_state={"done": False},
            post_state={"done": True},
            diff=(DiffLine(what=params.title, before="not done", after="done by a person, who says so"),),
            undo="Only a person can undo it.",
            instructions=f"{params.instructions}\n{params.link}" if params.link else params.instructions,
        )

    async def apply(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Done means handed over: the verification that follows Done says whether it helped."""
        del context, approval
        told = f"handed to a person: {draft.params['title']}; verification follows when they press Done"
        return EffectResult(status=EffectStatus.DONE, detail=told)

    async def revert(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Nothing was sent, so nothing can be taken back."""
        del context, approval
        told = f"only a person can undo {draft.params['title']!r}; nothing was sent"
        return EffectResult(status=EffectStatus.FAILED, detail=told)

    async def observe(self, context: ActionContext, draft: Draft) -> Mapping[str, Any]:
        """Whether a person did it cannot be seen from here."""
        del context, draft
        return {}
