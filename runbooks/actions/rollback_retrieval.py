"""A23 for retrieval: set how an index is searched back to an earlier revision: query embedder, k, filters, search."""

from pydantic import Field

from config.catalogue import Name
from runbooks.actions import revisions
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import index_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, Draft, EffectClass, Precondition

KEYS = ("revision", "mode", "embedding_model", "top_k", "ef_search", "filter")


class RollbackRetrievalParams(ActionParams):
    index: Name | None = None
    to: str = Field(default="previous", min_length=1, max_length=80)
    """A revision in the history, or ``previous``: the one in use before the present one."""


class RollbackRetrieval(Converging[RollbackRetrievalParams]):
    """Puts an earlier revision of the search settings back. Documents and their vectors are not touched."""

    spec = ActionSpec(
        id="A23r",
        name="rollback_retrieval",
        title="Roll back how the index is searched",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=RollbackRetrievalParams,
        blast_radius="Every question to this index is searched the earlier way; no document is changed.",
    )

    def resource(self, context: ActionContext, params: RollbackRetrievalParams) -> VersionedDocument:
        index = index_of(context, params.index)
        return VersionedDocument(
            label=f"{index.name}/retrieval",
            target=index.admin,
            path=f"/{segment(index.name)}/retrieval",
            keys=tuple((key,) for key in KEYS),
        )

    async def preconditions(self, seen: Seen[RollbackRetrievalParams]) -> tuple[Precondition, ...]:
        return (revisions.known_revision(seen.document, seen.params.to),)

    async def draft(self, context: ActionContext, params: RollbackRetrievalParams) -> Draft:
        index = index_of(context, params.index)
        params = self.resolved(params, index=index.name)
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
