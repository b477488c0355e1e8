"""A2d: keep documents out of search without deleting them: named ones, or what came in lately and nobody reviewed."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from pydantic import Field, StringConstraints

from config.catalogue import Index, Name
from runbooks.actions.converge import Change, Converging
from runbooks.actions.declared import index_of, segment
from runbooks.actions.documents import VersionedDocument, fetch
from runbooks.actions.resource import Document
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionParams,
    ActionSpec,
    DiffLine,
    Draft,
    EffectClass,
)

MOST = 50
"""So many documents at once; more than that is a rebuild, with an owner."""
LINE = 110
"""Characters of ids in one line of the plan."""
DocumentId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$")]


class QuarantineDocumentsParams(ActionParams):
    index: Name | None = None
    documents: Literal["unreviewed"] | tuple[DocumentId, ...] = "unreviewed"
    """Ids, or ``unreviewed``: what came in within ``added_within_h`` hours and nobody reviewed. Which those are is read
    when the plan is drafted; the plan names them, and no others are touched."""
    added_within_h: int = Field(default=72, ge=1, le=720)


class QuarantineDocuments(Converging[QuarantineDocumentsParams]):
    """Adds documents to an index's quarantine. The plan names every one of them."""

    spec = ActionSpec(
        id="A2d",
        name="quarantine_documents",
        title="Quarantine documents",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=QuarantineDocumentsParams,
        blast_radius="These documents are no longer found; nothing is deleted, and all others are found as before.",
    )

    def resource(self, context: ActionContext, params: QuarantineDocumentsParams) -> VersionedDocument:
        index = index_of(context, params.index)
        return VersionedDocument(
            label=f"{index.name}/quarantine",
            target=index.admin,
            path=f"/{segment(index.name)}/quarantine",
            keys=(("documents",),),
        )

    async def draft(self, context: ActionContext, params: QuarantineDocumentsParams) -> Draft:
        index = index_of(context, params.index)
        params = self.resolved(params, index=index.name)
        document = await self.resource(context, params).read(context.http)
        listed = await _listed(context, index, params.added_within_h)
        held = _held(document)
        new = [one for one in self._wanted(params, listed) if one not in held]
        if not new:
            raise ActionError(f"{index.name}: all of these documents are in quarantine already")
        if len(new) > MOST:
            raise ActionError(f"{index.name}: {len(new)} documents, and at most {MOST} at once; name the documents")
        about = {one["id"]: _told(one) for one in listed}
        change = Change(
            state={"documents": [*held, *new]},
            diff=tuple(
                DiffLine(what=", ".join(ids), before=before, after="in quarantine")
                for before, ids in _grouped([(about.get(one, "searchable"), one) for one in new])
            ),
            undo="Takes exactly these documents out of quarantine again.",
        )
        return await self.drafted(context, params, document, change)

    def _wanted(self, params: QuarantineDocumentsParams, listed: list[dict[str, Any]]) -> tuple[str, ...]:
        """The ids, checked as if a person had named them: an index's answer is text from outside."""
        if params.documents != "unreviewed":
            return tuple(params.documents)
        found = tuple(one["id"] for one in listed if not one["reviewed"])
        if not found:
            hours = params.added_within_h
            raise ActionError(f"{params.index}: nothing unreviewed came in within {hours} hours; name the documents")
        return tuple(self.resolved(params, documents=found).documents)


def _grouped(told: Sequence[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """What came from one place together, in lines that a card shows whole."""
    lines: list[tuple[str, list[str]]] = []
    for before, one in told:
        last = next((ids for known, ids in reversed(lines) if known == before), None)
        if last is not None and len(", ".join([*last, one])) <= LINE:
            last.append(one)
        else:
            lines.append((before, [one]))
    return lines


def _held(document: Document) -> list[str]:
    value = document.fields.get("documents")
    if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
        raise ActionError(f"{document.label}: documents is no list of ids; check the index's version")
    return list(value)


async def _listed(context: ActionContext, index: Index, hours: int) -> list[dict[str, Any]]:
    """What came in lately: id, where from, whether somebody reviewed it."""
    since = context.clock.now() - timedelta(hours=hours)
    path, query = f"/{segment(index.name)}/documents", {"since": since.isoformat()}
    found = await fetch(context.http, index.admin, path, f"{index.name}/documents", query=query)
    return [
        {
            "id": str(item["id"]),
            "source": str(item.get("source", ""))[:40],
            "author": str(item.get("author", ""))[:40],
            "reviewed": item.get("reviewed") is True,
        }
        for item in found.items("documents")
        if isinstance(item.get("id"), str) and _since(item.get("added_at"), since)
    ]


def _since(value: object, since: datetime) -> bool:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return False
    return moment is not None and moment.tzinfo is not None and moment >= since


def _told(entry: dict[str, Any]) -> str:
    return f"searchable, from {entry['source']} by {entry['author']}"
