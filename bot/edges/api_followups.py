"""``/api/v1``: follow-ups of an incident, and the issues that they become."""

import secrets
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from bot.domain.followups import MAX_OWNER, MAX_TEXT, follow_ups
from bot.domain.proposal import Principal
from bot.edges.api_auth import who_is
from bot.edges.api_documents import Id, found, told
from bot.edges.api_models import Body, ToldOut
from bot.edges.views_json import Out
from bot.edges.web_deps import ApiError, WebDeps
from bot.ports import Following, Told


class FollowUpIn(Body):
    """Something to be done."""

    text: str = Field(min_length=1, max_length=MAX_TEXT)
    owner: str = Field(default="", max_length=MAX_OWNER)


class PushIn(Body):
    """The issues that were shown, by their plan's hash."""

    plan_hash: str = Field(pattern=r"^[0-9a-f]{64}$")


class FollowUpOut(Out):
    """A follow-up; ``entry`` is its number on the timeline."""

    entry: int
    text: str
    owner: str
    by: str
    issue: str
    url: str
    asked: bool


class IssueOut(Out):
    """An issue exactly as it would be created."""

    entry: int
    title: str
    body: str


class PlanOut(BaseModel):
    """What would be created, or why nothing can be."""

    repository: str = ""
    redaction: str = ""
    plan_hash: str = ""
    issues: list[IssueOut] = []
    left: int = 0
    refused: str = ""


def add(router: APIRouter, deps: WebDeps) -> None:
    """List, note, look at the plan, and agree to it."""
    who_acts = Depends(who_is(deps))

    @router.get("/incidents/{incident_id}/followups", response_model=list[FollowUpOut])
    async def followups(incident_id: Id) -> Any:
        """What is to follow, oldest first."""
        return list(follow_ups(await found(deps, incident_id)))

    @router.get("/incidents/{incident_id}/followups/plan", response_model=PlanOut)
    async def plan(incident_id: Id) -> PlanOut:
        """The issues that would be created, exactly."""
        view = await found(deps, incident_id)
        made = await _follow(deps).plan(view.incident.id)
        if isinstance(made, Told):
            return PlanOut(refused=made.text)
        issues = [IssueOut.model_validate(one) for one in made.issues]
        return PlanOut(repository=made.repository, redaction=made.redaction, plan_hash=made.hash, issues=issues,
                       left=made.left)  # fmt: skip

    @router.post("/incidents/{incident_id}/followups", response_model=ToldOut)
    async def note(incident_id: Id, body: FollowUpIn, who: Principal = who_acts) -> ToldOut:
        """Note what is to be done, and who owns it."""
        view = await found(deps, incident_id)
        key = f"api:{secrets.token_hex(8)}"
        return told(await _follow(deps).add(view.incident.id, body.text, body.owner, who, key), "followup")

    @router.post("/incidents/{incident_id}/followups/push", response_model=ToldOut)
    async def push(incident_id: Id, body: PushIn, who: Principal = who_acts) -> ToldOut:
        """Have exactly these issues created, each once."""
        view = await found(deps, incident_id)
        return told(await _follow(deps).push(view.incident.id, body.plan_hash, who), "followups")


def _follow(deps: WebDeps) -> Following:
    if deps.follow is None:
        raise ApiError(503, "this server keeps no follow-ups", "followups", "ask the server that records incidents")
    return deps.follow
