"""Slack for a server. Its libraries are heavy: they are loaded behind the start, and whoever needs it before waits."""

import asyncio
import importlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.domain.proposal import Principal
from bot.domain.timeline import Fact
from bot.domain.view import Awaited, IncidentView, MessageRef
from bot.edges import awaiting
from bot.edges.chain import INSTALLATION
from bot.edges.clock import SystemClock
from bot.edges.database import Database
from bot.edges.slack_http import SlackHandler, SlackReply, SlackRequest
from bot.ports import Chat, Links, People, Permalink, Rooms, Rota
from config.catalogue import Approvers, Catalogue
from config.settings import Settings

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

    from bot.edges.slack_oauth import Install
    from bot.edges.slack_side import Side, SideParts
    from bot.wiring import Assistant


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What there is once Slack's libraries are loaded: one workspace, or all that installed the app."""

    chat: Chat
    people: People
    permalink: Permalink
    rooms: Callable[[str], Awaitable[Rooms]]
    handle: SlackHandler
    sides: "Callable[[], Sequence[Side]]"
    missing: Callable[[], Sequence[str]]
    app: "AsyncApp | None" = None
    """For Socket Mode."""
    install: "Install | None" = None


class SlackSide:
    """Everything of Slack: the chat, the people, the app and its connection. See :class:`bot.ports.Chat` and
    :class:`bot.ports.People`."""

    def __init__(self, chosen: Settings, declared: Catalogue, database: Database, rota: Rota, links: Links) -> None:
        self._settings = chosen
        self._catalogue = declared
        self._database = database
        self._rota = rota
        self._links = links
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        return await (await self._there()).chat.card(view, message)

    async def pointer(self, view: IncidentView, text: str, message: MessageRef | None) -> MessageRef:
        return await (await self._there()).chat.pointer(view, text, message)

    async def rooms(self, team: str) -> Rooms:
        """What makes channels for the incidents of a team."""
        return await (await self._there()).rooms(team)

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip
        await (await self._there()).chat.say(message, text, blocks=blocks, again=again, team=team)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        await (await self._there()).chat.file(message, name, content)

    async def permalink(self, message: MessageRef) -> str:
        """The address of a message in chat."""
        return await (await self._there()).permalink(message)

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        return await (await self._there()).people.may_approve(who, team)

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:
        return await (await self._there()).people.may_break_glass(who, team, named)

    def names(self, team: str) -> tuple[Awaited, ...]:
        """Who may approve for a team, by name, as far as that is known now. Answers at once."""
        sides = self._opened.result().sides() if self._opened.done() else ()
        return next((names for side in sides if (names := side.roster.names(team))), ())

    async def refresh_names(self) -> None:
        """Look up who is awaited, and edit the cards on which that is different now."""
        waiting = await awaiting.teams(self._database)
        if waiting:
            sides = (await self._there()).sides()
            changed = [team for side in sides for team in await side.roster.refresh(waiting)]
            await awaiting.redraw(self._database, changed, SystemClock().now())

    async def handle(self, request: SlackRequest) -> SlackReply:
        """A request in HTTP mode, verified."""
        return await (await self._there()).handle(request)

    async def install(self, step: str, query: str, headers: Mapping[str, str]) -> SlackReply:
        """A browser at one of the two addresses of an installation: ``begin`` or ``finish``."""
        install = (await self._there()).install
        if install is None:
            return SlackReply(status=404)
        return await (install.begin if step == "begin" else install.finish)(query, headers)

    async def why_not_ready(self) -> str:
        """Which workspaces did not install the app; empty when none is missing."""
        if not self._opened.done():
            return "still starting"
        missing = (await self._there()).missing()
        where = f"{self._settings.public_url}/slack/install"
        return f"the app is not installed in {', '.join(missing)}: open {where}" if missing else ""

    async def open(self, assistant: "Assistant") -> None:
        """Load the libraries off the event loop, and build the app's listeners on the desk."""
        for name in ("bot.edges.slack_side", *(("bot.edges.slack_oauth",) if self._settings.oauth else ())):
            await asyncio.to_thread(importlib.import_module, name)
        parts = self._parts(assistant)
        self._opened.set_result(await self._several(parts) if self._settings.oauth else self._one(parts))

    def _parts(self, assistant: "Assistant") -> "SideParts":
        from bot.edges.slack_side import SideParts  # noqa: PLC0415 - imports Bolt

        clock, chosen = SystemClock(), self._settings

        async def first_time(key: str) -> bool:
            return await assistant.inbox.first_time(key, clock.now().timestamp())

        async def audit(fact: Fact) -> None:
            await assistant.casebook.record(INSTALLATION, [fact], clock.now(), card=False)

        return SideParts(
            desk=assistant.desk, records=assistant.records, duty=assistant.duty, follow=assistant.follow,
            comms=assistant.comms, links=self._links, rota=self._rota, catalogue=self._catalogue, clock=clock,
            first_time=first_time, audit=audit, app_id=chosen.slack_app,
            timeline_reaction=chosen.timeline_reaction, api=chosen.slack_api,
        )  # fmt: skip

    def _one(self, parts: "SideParts") -> Opened:
        """The workspace whose token is in the settings."""
        from bot.edges.slack_side import build_side  # noqa: PLC0415

        side = build_side(self._settings.slack_bot_token.get_secret_value(), parts)

        async def rooms(_team: str) -> Rooms:
            return side.rooms

        return Opened(chat=side.chat, people=side.people, permalink=side.chat.permalink, rooms=rooms,
                      handle=side.handle, sides=lambda: [side], missing=list, app=side.app)  # fmt: skip

    async def _several(self, parts: "SideParts") -> Opened:
        """All workspaces that installed the app."""
        from bot.cli.slack_installs import several  # noqa: PLC0415

        workspaces, install = await several(self._settings, self._database, parts)
        return Opened(chat=workspaces, people=workspaces, permalink=workspaces.permalink, rooms=workspaces.rooms,
                      handle=workspaces.handle, sides=workspaces.sides, missing=workspaces.missing,
                      install=install)  # fmt: skip

    async def refresh_home(self) -> None:
        """Bring the Home tabs that people looked at lately up to date."""
        for side in (await self._there()).sides():
            if side.home is not None:
                await side.home.refresh()

    async def connect(self) -> None:
        """Stay connected over Socket Mode until cancelled; HTTP mode needs no connection."""
        from bot.edges.slack_app import keep_socket_mode  # noqa: PLC0415

        app = (await self._there()).app
        if self._settings.slack == "socket" and app is not None:
            token = self._settings.slack_app_token.get_secret_value()
            await keep_socket_mode(app, token, self._settings.slack_api, SystemClock())

    async def _there(self) -> Opened:
        return await asyncio.shield(self._opened)
