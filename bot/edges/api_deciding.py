"""``/api/v1``: what somebody approved alone, and its review."""

from typing import Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from bot.domain.proposal import Principal
from bot.edges.api_auth import who_is
from bot.edges.api_documents import Id, told
from bot.edges.api_models import Body, ToldOut
from bot.edges.views_json import DebtOut
from bot.edges.web_deps import WebDeps


class ReviewIn(Body):
    """What a review found."""

    note: str = Field(min_length=1, max_length=1_000)


def add(router: APIRouter, deps: WebDeps) -> None:
    """Debts and their reviews; and asking again."""
    who_acts = Depends(who_is(deps))

    @router.get("/debts", response_model=list[DebtOut])
    async def debts(open_only: bool = Query(default=True, alias="open")) -> Any:
        """Break-glass approvals that nobody has reviewed; with ``open=false`` all of them."""
        return list(await deps.records.debts(open_only=open_only))

    @router.post("/proposals/{proposal_id}/review", response_model=ToldOut)
    async def review(proposal_id: Id, body: ReviewIn, who: Principal = who_acts) -> ToldOut:
        """An ordinary approver, and somebody else, has looked at a break-glass approval."""
        return told(await deps.desk.review(proposal_id, body.note, who), "proposal")

    @router.post("/incidents/{incident_id}/again", response_model=ToldOut)
    async def again(incident_id: Id, who: Principal = who_acts) -> ToldOut:
        """Ask once more what nobody decided in time."""
        return told(await deps.desk.again(incident_id, who), "incident")
