"""A24: put the gateway's earlier release back: its program, routing rules and proxy settings as they were."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest
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


class RollbackReleaseParams(ActionParams):
    gateway: Name | None = None
    to: str = Field(default="previous", min_length=1, max_length=80)
    """A release in the gateway's history, or ``previous``: the one in use before the present one."""


class RollbackRelease(Converging[RollbackReleaseParams]):
    """Puts an earlier release of the gateway back."""

    spec = ActionSpec(
        id="A24",
        name="rollback_release",
        title="Roll back the gateway's release",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=RollbackReleaseParams,
        blast_radius="Every service behind the gateway: requests in flight are cut once, what the new release fixed is "
        "gone again.",
    )

    def resource(self, context: ActionContext, params: RollbackReleaseParams) -> VersionedDocument:
        return admin_document(gateway_of(context, params.gateway), "release", "release")

    async def preconditions(self, seen: Seen[RollbackReleaseParams]) -> tuple[Precondition, ...]:
        known = [str(entry["release"]) for entry in _history(seen.document)]
        current = str(seen.document.fields.get("release"))
        return (
            Precondition(
                text=f"release {seen.params.to} is in the gateway's history",
                ok=seen.params.to in known,
                detail=f"release {current} is in use",
            ),
        )

    async def draft(self, context: ActionContext, params: RollbackReleaseParams) -> Draft:
        params = self.resolved(params, gateway=gateway_of(context, params.gateway).name)
        document = await self.resource(context, params).read(context.http)
        current = str(document.fields.get("release"))
        wanted = _wanted(document, current, params.to)
        change = Change(
            state={"release": wanted},
            diff=(DiffLine(what="release of the gateway", before=current, after=wanted),),
            undo=f"Rolls forward to release {current}.",
        )
        return await self.drafted(context, self.resolved(params, to=wanted), document, change)


def _history(document: Document) -> tuple[Mapping[str, Any], ...]:
    """Releases that can be gone back to, oldest first; entries without a time keep their place."""
    entries = [entry for entry in document.items("history") if "release" in entry]
    return tuple(sorted(entries, key=lambda entry: str(entry.get("at", ""))))


def _wanted(document: Document, current: str, to: str) -> str:
    releases = [str(entry["release"]) for entry in _history(document)]
    if to != "previous":
        if to not in releases:
            raise ActionError(f"{document.label} has no release {to!r} in its history{nearest(to, releases)}")
        return to
    at = releases.index(current) if current in releases else len(releases)
    if at == 0:
        raise ActionError(
            f"{document.label}: release {current} is the oldest in the history; there is nothing to go back to"
        )
    return releases[at - 1]
