"""A22: point a prompt's alias at an earlier version. The versions themselves are never touched."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import PositiveInt

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import prompt_of, prompt_store_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.mlflow import UNCONDITIONAL, MlflowPrompt
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


class RollbackPromptParams(ActionParams):
    store: Name | None = None
    prompt: str | None = None
    to: Literal["previous"] | PositiveInt = "previous"
    """A version, or ``previous``: the newest one before what the alias names now."""


class RollbackPrompt(Converging[RollbackPromptParams]):
    """Moves the alias of a prompt back."""

    spec = ActionSpec(
        id="A22",
        name="rollback_prompt",
        title="Roll back the prompt",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=RollbackPromptParams,
        blast_radius="Every answer with this prompt follows the earlier text; what the new one fixed is gone again.",
    )

    def resource(self, context: ActionContext, params: RollbackPromptParams) -> VersionedDocument | MlflowPrompt:
        store, prompt = prompt_store_of(context, params.store), prompt_of(context, params.prompt)
        if store.kind == "mlflow":
            label = f"{store.name}/{prompt}"
            return MlflowPrompt(label=label, target=store.admin, prompt=prompt, alias=store.alias)
        return VersionedDocument(
            label=f"{store.name}/{prompt}",
            target=store.admin,
            path=f"/{segment(prompt)}",
            keys=(("aliases", store.alias),),
        )

    async def preconditions(self, seen: Seen[RollbackPromptParams]) -> tuple[Precondition, ...]:
        current, versions = (
            _current(seen.document, prompt_store_of(seen.context, seen.params.store).alias),
            _versions(seen.document),
        )
        return (
            Precondition(
                text=f"version {seen.params.to} is in the registry",
                ok=seen.params.to in versions,
                detail=f"it has versions {', '.join(str(v) for v in sorted(versions))}",
            ),
            Precondition(
                text=f"version {seen.params.to} is earlier than what is in use",
                ok=seen.params.to != "previous" and seen.params.to < current,
                detail=f"version {current} is in use",
            ),
        )

    async def draft(self, context: ActionContext, params: RollbackPromptParams) -> Draft:
        store, prompt = prompt_store_of(context, params.store), prompt_of(context, params.prompt)
        params = self.resolved(params, store=store.name, prompt=prompt)
        document = await self.resource(context, params).read(context.http)
        current, versions = _current(document, store.alias), _versions(document)
        to = _previous(current, versions, document.label) if params.to == "previous" else params.to
        change = Change(
            state={"aliases": {store.alias: to}},
            diff=(
                DiffLine(
                    what=f"prompt {prompt}, alias {store.alias}",
                    before=_told(current, versions),
                    after=_told(to, versions),
                ),
            ),
            undo=f"Points {store.alias} at version {current} again.{UNCONDITIONAL if store.kind == 'mlflow' else ''}",
        )
        return await self.drafted(context, self.resolved(params, to=to), document, change)


def _current(document: Document, alias: str) -> int:
    version = document.mapping("aliases").get(alias)
    if not isinstance(version, int):
        raise ActionError(
            f"{document.label} has no version under the alias {alias!r}; check prompt_stores in the catalogue"
        )
    return version


def _versions(document: Document) -> Mapping[int, Mapping[str, Any]]:
    return {v["version"]: v for v in document.items("versions") if isinstance(v.get("version"), int)}


def _previous(current: int, versions: Mapping[int, Any], label: str) -> int:
    earlier = [version for version in versions if version < current]
    if not earlier:
        raise ActionError(f"{label}: version {current} is the first one; there is no earlier prompt to go back to")
    return max(earlier)


def _told(version: int, versions: Mapping[int, Mapping[str, Any]]) -> str:
    note = str(versions.get(version, {}).get("note") or "")
    return f"version {version} ({note[:80]})" if note else f"version {version}"
