"""Several workspaces behind one address: each request goes to the side of its workspace, and each message out through
the token of the workspace of its incident's team. A workspace sees nothing of another."""

import json
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from bot.domain.proposal import Principal
from bot.domain.timeline import Fact
from bot.domain.view import IncidentView, MessageRef
from bot.edges.installations import Installed, SqlInstallations
from bot.edges.local_people import LocalPeople
from bot.edges.slack_app import NO_RETRY, readable, refused
from bot.edges.slack_client import Refused
from bot.edges.slack_http import SlackReply, SlackRequest
from bot.edges.slack_side import Side
from bot.edges.slack_text import is_person
from bot.ports import Records, Rooms
from config.catalogue import Approvers, Catalogue, Team
from config.clock import Clock

log = logging.getLogger("pagerunner.slack")


@dataclass(frozen=True, kw_only=True, slots=True)
class Workplaces:
    """Which team is where: by the catalogue, and the workspace of those that name none."""

    catalogue: Catalogue
    default: str

    @property
    def all(self) -> frozenset[str]:
        """Every workspace that is served."""
        return frozenset({self.default, *(team.slack_team for team in self.catalogue.teams if team.slack_team)})

    def of(self, team: str) -> str:
        """The workspace of a team; of nobody's incidents, the default."""
        found = self.catalogue.team(team)
        return (found.slack_team if found else "") or self.default

    def of_channel(self, channel: str) -> str:
        """The workspace of a channel that the catalogue names; empty for another."""
        if channel == self.catalogue.fallback_channel:
            return self.default
        return next((self.of(team.name) for team in self.catalogue.teams if channel in _channels(team)), "")

    def teams_of(self, workspace: str) -> Sequence[str]:
        """Its teams, and for the default the empty name: incidents of no team belong there."""
        own = [team.name for team in self.catalogue.teams if self.of(team.name) == workspace]
        return [*own, ""] if workspace == self.default else own

    def seen_by(self, workspace: str) -> Catalogue:
        """The catalogue without other workspaces' teams and services."""
        teams = tuple(team for team in self.catalogue.teams if self.of(team.name) == workspace)
        services = tuple(one for one in self.catalogue.services if self.of(one.team) == workspace)
        return self.catalogue.model_copy(update={"teams": teams, "services": services})


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkspaceParts:
    """What the workspaces are wired to."""

    places: Workplaces
    store: SqlInstallations
    records: Records
    clock: Clock
    audit: Callable[[Fact], Awaitable[None]]
    first_time: Callable[[str], Awaitable[bool]]
    build: Callable[[Installed], Side]
    install_url: str


class Workspaces:
    """See :class:`bot.ports.Chat` and :class:`bot.ports.People`: for all workspaces together."""

    def __init__(self, parts: WorkspaceParts) -> None:
        self._ = parts
        self._sides: dict[str, Side] = {}
        self._sealed: set[str] = set()
        """Workspaces whose token cannot be opened."""

    async def load(self) -> None:
        """Build the sides of all that are installed."""
        for one in await self._.store.all():
            await self.installed(one)

    async def installed(self, one: Installed) -> None:
        """A workspace installed the app, or did so again."""
        self._sealed.discard(one.team_id)
        if one.token:
            self._sides[one.team_id] = self._.build(one)
        else:
            self._sealed.add(one.team_id)

    async def gone(self, team_id: str, why: str) -> None:
        """A workspace took the app away: nothing of it is kept."""
        self._sides.pop(team_id, None)
        if await self._.store.remove(team_id, why, self._.clock.now()):
            log.error("slack_uninstalled", extra={"team": team_id, "reason": why})

    def missing(self) -> Sequence[str]:
        """Workspaces that are served and where the app is not."""
        return sorted(self._.places.all - set(self._sides))

    def sides(self) -> Sequence[Side]:
        """All that are connected."""
        return list(self._sides.values())

    # --- in ----------------------------------------------------------------------------------------------------------

    async def handle(self, request: SlackRequest) -> SlackReply:
        """A verified request, to the side of its workspace."""
        body = _body(request.raw) if readable(request.raw) else None
        if body is None:
            return SlackReply(status=400, headers=NO_RETRY)
        if body.get("type") == "url_verification":
            said = json.dumps({"challenge": str(body.get("challenge") or "")}).encode()
            return SlackReply(headers={"content-type": "application/json"}, body=said)
        team = str(body.get("team_id") or (body.get("team") or {}).get("id") or "")
        side = self._sides.get(team)
        if side is None:
            await refused(self._, team[:20], str(body.get("api_app_id") or "")[:20])
            return SlackReply(status=403, headers=NO_RETRY)
        return await side.handle(request)

    # --- out ---------------------------------------------------------------------------------------------------------

    def of_team(self, team: str) -> Side:
        """The side of a team's workspace. Raises :class:`Refused` when the app is not there."""
        return self._side(self._.places.of(team))

    async def rooms(self, team: str) -> Rooms:
        """What makes channels in a team's workspace."""
        return self.of_team(team).rooms

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        return await self.of_team(view.incident.team).chat.card(view, message)

    async def pointer(self, view: IncidentView, text: str, message: MessageRef | None) -> MessageRef:
        return await self.of_team(view.incident.team).chat.pointer(view, text, message)

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip
        """A person is told in the workspace of the team alone: another one sees nothing of its incidents."""
        side = self.of_team(team) if is_person(message.channel) else await self._of(message)
        await side.chat.say(message, text, blocks=blocks, again=again)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        await (await self._of(message)).chat.file(message, name, content)

    async def permalink(self, message: MessageRef) -> str:
        """The address of a message, for people; empty where Slack cannot tell it."""
        try:
            return await (await self._of(message)).chat.permalink(message)
        except Refused:
            return ""

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        """Approvers belong to the workspace of the team that decides."""
        if who.id.startswith("local:"):
            return await LocalPeople(self._.places.catalogue).may_approve(who, team)
        if self._.places.catalogue.team(team) is None:
            return False, "the policy names no team that may approve this"
        try:
            return await self.of_team(team).people.may_approve(who, team)
        except Refused as refused:
            return False, str(refused)

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:
        """Likewise."""
        if self._.places.catalogue.team(team) is None:
            return False, "the policy lets nobody break the glass for this"
        try:
            return await self.of_team(team).people.may_break_glass(who, team, named)
        except Refused as refused:
            return False, str(refused)

    async def _of(self, message: MessageRef) -> Side:
        """Of a channel of the catalogue, or of the incident whose own channel or card it is."""
        known = self._.places.of_channel(message.channel)
        if not known:
            records = self._.records
            incident = await records.incident_in(message.channel) or await records.incident_of(message)
            view = await records.view(incident) if incident else None
            known = self._.places.of(view.incident.team if view else "")
        return self._side(known)

    def _side(self, workspace: str) -> Side:
        found = self._sides.get(workspace)
        if found is None:
            lost = "its token was sealed with another key" if workspace in self._sealed else "the app is not installed"
            reason = f"workspace {workspace}: {lost}; open {self._.install_url}?team={workspace} there"
            raise Refused("not_installed", reason)
        return found


def _channels(team: Team) -> tuple[str, ...]:
    return (team.slack_channel, team.updates.channel if team.updates else "")


def _body(raw: bytes) -> dict[str, Any] | None:
    """The JSON object of an event, a form's payload, or the form of a command."""
    text = raw.decode("utf-8")
    if text.startswith("{"):
        return dict(json.loads(text))
    form = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))
    return dict(json.loads(form["payload"])) if "payload" in form else dict(form)
