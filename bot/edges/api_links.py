"""``/api/v1/links``: a command line asks for a code, waits for who types it, and confirms them."""

from datetime import datetime
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Header, Path
from pydantic import Field

from bot.domain.proposal import Principal
from bot.edges.api_auth import who_is
from bot.edges.api_models import Body, ToldOut
from bot.edges.views_json import Out
from bot.edges.web_deps import ApiError, WebDeps
from bot.ports import Link, Links, Told

LinkId = Annotated[str, Path(pattern=r"^ln-[0-9a-f]{8}$")]
Shown = Annotated[str, Header(alias="x-pagerunner-link", pattern=r"^ln-[0-9a-f]{8}\.[A-Za-z0-9_-]{20,128}$")]
"""Id and secret: proof of whose the link is."""


class LinkIn(Body):
    """Who asks for a code. The secret itself stays where it was made."""

    secret_sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    label: str = Field(min_length=1, max_length=120)


class CodeOut(Out):
    """What to type in Slack, and until when."""

    link: str
    code: str
    expires_at: datetime


class LinkOut(Out):
    """A command line, and whom it acts as."""

    id: str
    label: str
    made_at: datetime
    principal: str
    name: str
    active: bool
    used_at: datetime | None


def add(router: APIRouter, deps: WebDeps) -> None:
    """Making, confirming and ending links."""
    who_acts = Depends(who_is(deps))

    @router.post("/links", response_model=CodeOut, responses={429: {"description": "Too many codes."}})
    async def make(body: LinkIn, who: Principal = who_acts) -> Any:
        """A code that whoever holds the secret wants typed in Slack."""
        made = await _links(deps).make(body.secret_sha256, body.label, who.id)
        if isinstance(made, Told):
            raise ApiError(429, made.text, "links", "Wait, then ask again.")
        return made

    @router.get("/links", response_model=list[LinkOut])
    async def links() -> Any:
        """Command lines that act as people in Slack, or wait for their code to be typed."""
        return list(await _links(deps).links())

    @router.get("/links/self", response_model=LinkOut)
    async def own(x_pagerunner_link: Shown) -> Any:
        """The link of the secret that is shown."""
        return await _own(deps, x_pagerunner_link)

    @router.post("/links/self/confirm", response_model=ToldOut)
    async def confirm(x_pagerunner_link: Shown) -> ToldOut:
        """The person who typed the code is the right one."""
        link, secret = await _own(deps, x_pagerunner_link), x_pagerunner_link.partition(".")[2]
        return _told(await _links(deps).confirm(link.id, secret))

    @router.post("/links/{link_id}/end", response_model=ToldOut)
    async def end(link_id: LinkId, who: Principal = who_acts) -> ToldOut:
        """It acts as nobody from now on. Whoever holds the API token may: it takes power away, and gives none."""
        return _told(await _links(deps).end(link_id, who))


def _links(deps: WebDeps) -> Links:
    if deps.links is None:
        raise ApiError(409, "Slack is not connected, so there is nobody to link to.", "slack", "Connect Slack first.")
    return deps.links


async def _own(deps: WebDeps, shown: str) -> Link:
    link_id, _, secret = shown.partition(".")
    link = await _links(deps).of_secret(link_id, secret)
    if link is None:
        raise ApiError(404, "There is no such link, or it was ended.", "x-pagerunner-link", "Link again.")
    return link


def _told(told: Told) -> ToldOut:
    if not told.ok:
        raise ApiError(409, told.text, "links", "Look at what there is: pagerunner link --list.")
    return ToldOut(ok=True, text=told.text)
