"""``/api/v1``: the pager and the stakeholders of an incident: priority, who has it, and updates that people send."""

import secrets
from typing import Any

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from bot.domain.proposal import Principal
from bot.edges.api_auth import who_is
from bot.edges.api_documents import Id, found, told
from bot.edges.api_models import Body, ToldOut
from bot.edges.web_deps import ApiError, WebDeps
from bot.ports import Comms, Told


class PriorityIn(Body):
    """The name of one of PagerDuty's priorities."""

    priority: str = Field(min_length=1, max_length=100)


class AssignIn(Body):
    """A person, an escalation policy, or a team of the catalogue."""

    to: str = Field(min_length=1, max_length=100)


class UpdateIn(Body):
    """Exactly what stakeholders are to read. ``key``: the same one is sent once, however often it is asked for."""

    text: str = Field(min_length=1, max_length=3_000)
    key: str = Field(default="", pattern=r"^[A-Za-z0-9_-]{0,64}$")
    after: str | None = Field(default=None, max_length=40)


class DraftOut(BaseModel):
    """A draft of an update: what it says, what it rests on, and where it would go."""

    text: str
    references: list[str]
    to: list[str]
    lacks: str
    after: str


def add(router: APIRouter, deps: WebDeps) -> None:
    """Before the commands, whose path would match these too."""
    who_acts = Depends(who_is(deps))

    @router.get("/incidents/{incident_id}/update", response_model=DraftOut)
    async def draft(incident_id: Id) -> Any:
        """A draft of an update for stakeholders, from facts alone. Nothing is sent."""
        view = await found(deps, incident_id)
        made = await _comms(deps).draft(view.incident.id)
        if isinstance(made, Told):
            raise ApiError(409, made.text, "incident", "Connect PagerDuty, or name a channel for the team's updates.")
        return made

    @router.post("/incidents/{incident_id}/update", response_model=ToldOut)
    async def update(incident_id: Id, body: UpdateIn, who: Principal = who_acts) -> ToldOut:
        """Send stakeholders exactly this text."""
        view, key = await found(deps, incident_id), f"api:{body.key or secrets.token_hex(16)}"
        return told(await _comms(deps).send(view.incident.id, body.text, who, key, after=body.after), "text")

    @router.post("/incidents/{incident_id}/priority", response_model=ToldOut)
    async def priority(incident_id: Id, body: PriorityIn, who: Principal = who_acts) -> ToldOut:
        """Set the priority in PagerDuty."""
        view, key = await found(deps, incident_id), f"api:{secrets.token_hex(16)}"
        return told(await _comms(deps).set_priority(view.incident.id, body.priority, who, key), "priority")

    @router.post("/incidents/{incident_id}/assign", response_model=ToldOut)
    async def assign(incident_id: Id, body: AssignIn, who: Principal = who_acts) -> ToldOut:
        """Have PagerDuty assign it to somebody."""
        view, key = await found(deps, incident_id), f"api:{secrets.token_hex(16)}"
        return told(await _comms(deps).assign(view.incident.id, body.to, who, key), "to")


def _comms(deps: WebDeps) -> Comms:
    if deps.comms is None:
        raise ApiError(503, "this server tells neither the pager nor stakeholders", "incident", "ask the other server")
    return deps.comms
