"""A23: set a route's model and parameters back to what they were: an earlier revision, or a pinned model."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, route_of, segment
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

KEYS = ("model", "revision", "params")


class RollbackModelConfigParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None
    to: str = Field(default="previous", min_length=1, max_length=80)
    """A revision in the route's history, or ``previous``: the one in use before the present one."""


class RollbackModelConfig(Converging[RollbackModelConfigParams]):
    """Puts an earlier revision of model and parameters back."""

    spec = ActionSpec(
        id="A23",
        name="rollback_model_config",
        title="Roll back model and parameters",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=RollbackModelConfigParams,
        blast_radius="Every answer of this route comes from the earlier setting: quality, speed and cost change.",
    )

    def resource(self, context: ActionContext, params: RollbackModelConfigParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        return admin_document(gateway, f"params/{segment(route_of(context, params.route))}", *KEYS)

    async def preconditions(self, seen: Seen[RollbackModelConfigParams]) -> tuple[Precondition, ...]:
        known = [str(entry["revision"]) for entry in _history(seen.document)]
        current = str(seen.document.fields.get("revision"))
        return (
            Precondition(
                text=f"revision {seen.params.to} is in the route's history",
                ok=seen.params.to in known,
                detail=f"revision {current} is in use",
            ),
        )

    async def draft(self, context: ActionContext, params: RollbackModelConfigParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        history, current = _history(document), document.fields.get("revision")
        entry = _previous(history, current, document.label) if params.to == "previous" else _entry(
            history, params.to, document.label
        )  # fmt: skip
        before = {key: document.fields.get(key) for key in KEYS}
        after = {key: entry.get(key, before[key]) for key in KEYS}
        change = Change(
            state=after, diff=_diff(before, after), undo=f"Puts revision {current} ({before['model']}) back."
        )
        return await self.drafted(context, self.resolved(params, to=str(entry["revision"])), document, change)


def _history(document: Document) -> tuple[Mapping[str, Any], ...]:
    """Entries that can be gone back to, oldest first; entries without a time keep their place."""
    entries = [entry for entry in document.items("history") if "revision" in entry and "model" in entry]
    return tuple(sorted(entries, key=lambda entry: str(entry.get("at", ""))))


def _previous(history: tuple[Mapping[str, Any], ...], current: Any, label: str) -> Mapping[str, Any]:
    at = next((i for i, entry in enumerate(history) if entry["revision"] == current), len(history))
    if at == 0:
        raise ActionError(f"{label}: revision {current} is the oldest in the history; there is nothing to go back to")
    return history[at - 1]


def _entry(history: tuple[Mapping[str, Any], ...], revision: str, label: str) -> Mapping[str, Any]:
    found = next((entry for entry in history if str(entry["revision"]) == revision), None)
    if found is None:
        known = nearest(revision, (str(entry["revision"]) for entry in history))
        raise ActionError(f"{label} has no revision {revision!r} in its history{known}")
    return found


def _diff(before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[DiffLine, ...]:
    lines = [
        DiffLine(what=key, before=str(before[key]), after=str(after[key]))
        for key in ("revision", "model")
        if before[key] != after[key]
    ]
    old, new = before["params"] or {}, after["params"] or {}
    if not isinstance(old, dict) or not isinstance(new, dict):
        return (*lines, DiffLine(what="params", before=str(old), after=str(new)))
    return (
        *lines,
        *(
            DiffLine(what=key, before=str(old.get(key, "not set")), after=str(new.get(key, "not set")))
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ),
    )
