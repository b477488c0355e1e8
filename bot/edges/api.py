"""``/api/v1``: what can be read, and what people can do, for the CLI, the console and programs."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from bot.domain import deciding
from bot.domain.proposal import Principal, VoteResult
from bot.edges import api_comms, api_deciding, api_documents, api_followups, api_links
from bot.edges.api_auth import StrictRoute, guard, who_is
from bot.edges.api_documents import Id, found, told
from bot.edges.api_models import SAID, EditIn, ErrorOut, FreezeIn, NoteIn, TextIn, ToldOut, VotedOut, VoteIn
from bot.edges.chain import INSTALLATION
from bot.edges.views_json import EntryOut, FindingOut, IncidentOut, ProposalViewOut, ViewOut
from bot.edges.web_deps import ApiError, WebDeps
from bot.ports import VoteContext

PREFIX = "/api/v1"

_ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorOut} for status in (400, 401, 403, 404, 409, 415, 422, 503)
}


def make_router(deps: WebDeps) -> APIRouter:
    """All routes under ``/api/v1``."""
    router = APIRouter(
        prefix=PREFIX, route_class=StrictRoute, dependencies=[Depends(guard(deps))], responses=_ERRORS,
    )  # fmt: skip
    _add_reads(router, deps)
    api_documents.add(router, deps)
    api_followups.add(router, deps)
    _add_proposal_reads(router, deps)
    _add_proposals(router, deps)
    api_comms.add(router, deps)
    api_deciding.add(router, deps)
    api_links.add(router, deps)
    _add_incidents(router, deps)
    return router


def _add_reads(router: APIRouter, deps: WebDeps) -> None:
    @router.get("/incidents", response_model=list[IncidentOut])
    async def incidents(active: bool = True, limit: Annotated[int, Query(ge=1, le=500)] = 50) -> Any:
        """Incidents, newest first."""
        return list(await deps.records.incidents(active_only=active, limit=limit))

    @router.get("/incidents/{incident_id}", response_model=ViewOut)
    async def incident(incident_id: Id) -> Any:
        """Everything about one incident, by its id, the pager's reference or its number."""
        return await found(deps, incident_id)

    @router.get("/incidents/{incident_id}/findings", response_model=list[FindingOut])
    async def findings(incident_id: Id) -> Any:
        """What was checked, in order."""
        return list((await found(deps, incident_id)).findings)

    @router.get("/incidents/{incident_id}/proposals", response_model=list[ProposalViewOut])
    async def proposals(incident_id: Id) -> Any:
        """What was proposed, oldest first, with votes and effects."""
        return list((await found(deps, incident_id)).proposals)

    @router.get("/incidents/{incident_id}/timeline", response_model=list[EntryOut])
    async def timeline(incident_id: Id, after: Annotated[int, Query(ge=0)] = 0) -> Any:
        """Entries after a sequence number, oldest first."""
        view = await found(deps, incident_id)
        return list(await deps.records.timeline(view.incident.id, after=after))

    @router.get("/audit", response_model=list[EntryOut])
    async def audit(after: Annotated[int, Query(ge=0)] = 0) -> Any:
        """What was done to the whole installation, such as a freeze, oldest first."""
        return list(await deps.records.timeline(INSTALLATION, after=after))


def _add_proposal_reads(router: APIRouter, deps: WebDeps) -> None:
    @router.get("/proposals", response_model=list[ProposalViewOut])
    async def open_proposals() -> Any:
        """Proposals that can be voted on or are being executed, of all active incidents."""
        views = [await deps.records.view(i.id) for i in await deps.records.incidents(active_only=True, limit=200)]
        return [view.open_proposal for view in views if view is not None and view.open_proposal is not None]

    @router.get("/proposals/{proposal_id}", response_model=ProposalViewOut)
    async def proposal(proposal_id: Id) -> Any:
        """One proposal with its votes and effects."""
        one = await deps.records.proposal(proposal_id)
        view = None if one is None else await deps.records.view(one.plan.incident_id)
        for candidate in () if view is None else view.proposals:
            if candidate.proposal.id == proposal_id:
                return candidate
        raise ApiError(404, "no such proposal", "id", "list the incident's proposals")


def _add_proposals(router: APIRouter, deps: WebDeps) -> None:
    who_acts = Depends(who_is(deps))

    @router.post("/proposals/{proposal_id}/votes", response_model=VotedOut)
    async def vote(proposal_id: Id, body: VoteIn, who: Principal = who_acts) -> VotedOut:
        """Approve or reject exactly this plan."""
        alone = {"break_glass": True} if body.break_glass else {}
        result = await deps.desk.vote(
            proposal_id, body.plan_hash, body.decision, who, VoteContext(), body.reason, **alone
        )
        status, text, fix = SAID[result]
        if result in (VoteResult.NOT_APPROVER, VoteResult.NO_BREAK_GLASS):
            text = await _with_reason(deps, text, proposal_id, who)
        if status != 200:
            raise ApiError(status, text, "proposal", fix, extra={"result": result.value})
        return VotedOut(result=result.value, text=text)

    @router.post("/proposals/{proposal_id}/edit", response_model=ToldOut)
    async def edit(proposal_id: Id, body: EditIn, who: Principal = who_acts) -> ToldOut:
        """Propose the same action with other parameters: a new proposal with a new hash."""
        return told(await deps.desk.edit(proposal_id, body.params, who), "proposal")

    @router.post("/proposals/{proposal_id}/another", response_model=ToldOut)
    async def another(proposal_id: Id, who: Principal = who_acts) -> ToldOut:
        """Withdraw it and propose the next option."""
        return told(await deps.desk.another(proposal_id, who), "proposal")

    @router.post("/proposals/{proposal_id}/done", response_model=ToldOut)
    async def done(proposal_id: Id, who: Principal = who_acts) -> ToldOut:
        """A manual action was carried out; verify it."""
        return told(await deps.desk.done(proposal_id, who), "proposal")


async def _with_reason(deps: WebDeps, text: str, proposal_id: str, who: Principal) -> str:
    """With why this person may not, such as that nobody can tell who is on call."""
    one = await deps.records.proposal(proposal_id)
    view = await deps.records.view(one.plan.incident_id) if one else None
    why = deciding.why_denied(view, proposal_id, who.id) if view else ""
    return f"{text.removesuffix('.')}: {why}." if why else text


def _add_incidents(router: APIRouter, deps: WebDeps) -> None:
    who_acts = Depends(who_is(deps))

    # Before the commands, whose path would match these too.
    @router.post("/incidents/{incident_id}/hint", response_model=ToldOut)
    async def hint(incident_id: Id, body: TextIn, who: Principal = who_acts) -> ToldOut:
        """Record what a person knows, and investigate again with it."""
        return told(await deps.desk.hint(incident_id, body.text, who), "incident")

    @router.post("/incidents/{incident_id}/note", response_model=ToldOut)
    async def note(incident_id: Id, body: NoteIn, who: Principal = who_acts) -> ToldOut:
        """Put something a person said or did on the timeline."""
        return told(await deps.desk.note(incident_id, body.kind, body.text, who), "incident")

    @router.post("/incidents/{incident_id}/{command}", response_model=ToldOut)
    async def command(
        incident_id: Id, command: Literal["acknowledge", "escalate", "resolve", "close"], who: Principal = who_acts
    ) -> ToldOut:
        """Acknowledge, escalate or resolve, here and in the pager; close writes the postmortem."""
        return told(await deps.desk.command(incident_id, command, who), "incident")

    @router.post("/freeze", response_model=ToldOut)
    async def freeze(body: FreezeIn, who: Principal = who_acts) -> ToldOut:
        """Stop all execution for a service, or for everything."""
        return told(await deps.desk.freeze(body.service, True, body.reason, who), "service")

    @router.post("/unfreeze", response_model=ToldOut)
    async def unfreeze(body: FreezeIn, who: Principal = who_acts) -> ToldOut:
        """Allow execution again."""
        return told(await deps.desk.freeze(body.service, False, body.reason, who), "service")
