"""A26: search an index by words while its vectors cannot be searched."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import index_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class DegradeRetrievalParams(ActionParams):
    index: Name | None = None


class DegradeRetrieval(Converging[DegradeRetrievalParams]):
    """Sets the search of an index to keywords."""

    spec = ActionSpec(
        id="A26",
        name="degrade_retrieval",
        title="Search by words instead of vectors",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=DegradeRetrievalParams,
        blast_radius="Questions find documents by their words alone: what is asked in other words is found less often.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: DegradeRetrievalParams) -> VersionedDocument:
        index = index_of(context, params.index)
        return VersionedDocument(
            label=f"{index.name}/retrieval",
            target=index.admin,
            path=f"/{segment(index.name)}/retrieval",
            keys=(("mode",),),
        )

    async def preconditions(self, seen: Seen[DegradeRetrievalParams]) -> tuple[Precondition, ...]:
        mode = seen.document.text("mode")
        return (Precondition(text="the index is searched by vectors", ok=mode == "vector", detail=f"by {mode[:40]}"),)

    async def draft(self, context: ActionContext, params: DegradeRetrievalParams) -> Draft:
        index = index_of(context, params.index)
        params = self.resolved(params, index=index.name)
        document = await self.resource(context, params).read(context.http)
        mode = document.text("mode")
        change = Change(
            state={"mode": "keyword"},
            diff=(DiffLine(what=f"search of {index.name}", before=mode, after="keyword"),),
            undo=f"Sets the search back to {mode}.",
        )
        return await self.drafted(context, params, document, change)
