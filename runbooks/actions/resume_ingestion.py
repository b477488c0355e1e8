"""A17: start a stalled ingestion again and let it catch up."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import index_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class ResumeIngestionParams(ActionParams):
    index: Name | None = None


class ResumeIngestion(Converging[ResumeIngestionParams]):
    """Sets the ingestion of an index to running, with catch-up."""

    spec = ActionSpec(
        id="A17",
        name="resume_ingestion",
        title="Resume ingestion and catch up",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=ResumeIngestionParams,
        blast_radius="Answers from this index become current; catching up costs embedding calls until it is done.",
    )

    def resource(self, context: ActionContext, params: ResumeIngestionParams) -> VersionedDocument:
        index = index_of(context, params.index)
        return VersionedDocument(
            label=f"{index.name}/ingestion",
            target=index.admin,
            path=f"/{segment(index.name)}",
            keys=(("state",), ("catch_up",)),
        )

    async def preconditions(self, seen: Seen[ResumeIngestionParams]) -> tuple[Precondition, ...]:
        state = seen.document.text("state")
        return (Precondition(text="ingestion is not running", ok=state != "running", detail=f"it is {state[:40]}"),)

    async def draft(self, context: ActionContext, params: ResumeIngestionParams) -> Draft:
        index = index_of(context, params.index)
        params = self.resolved(params, index=index.name)
        document = await self.resource(context, params).read(context.http)
        state, catch_up = document.text("state"), document.boolean("catch_up")
        change = Change(
            state={"state": "running", "catch_up": True},
            diff=(
                DiffLine(what=f"ingestion of {index.name}", before=state, after="running"),
                DiffLine(what="catch up on what was missed", before="yes" if catch_up else "no", after="yes"),
            ),
            undo=f"Sets ingestion back to {state}; documents that were indexed meanwhile stay.",
        )
        return await self.drafted(context, params, document, change)
