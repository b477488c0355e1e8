"""Slack for a server. Its libraries are heavy: they are loaded behind the start, and whoever needs it before waits."""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
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
from bot.ports import Links, People, Rota
from config.catalogue import Approvers, Catalogue
from config.settings import Settings

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

    from bot.edges.slack_chat import SlackChat
    from bot.edges.slack_home import HomeTab
    from bot.edges.slack_roster import Roster
    from bot.wiring import Assistant


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What there is once Slack's libraries are loaded."""

    chat: "SlackChat"
    people: People
    app: "AsyncApp"
    home: "HomeTab | None"
    roster: "Roster"
    handle: SlackHandler


class SlackSide:
    """Everything of Slack: the chat, the people, the app and its connection. See :class:`bot.ports.Chat` and
    :class:`bot.ports.People`."""

    def __init__(self, chosen: Settings, declared: Catalogue, rota: Rota, links: Links) -> None:
        self._settings = chosen
        self._catalogue = declared
        self._rota = rota
        self._links = links
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        return await (await self._there()).chat.card(view, message)

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False) -> None:  # fmt: skip
        await (await self._there()).chat.say(message, text, blocks=blocks, again=again)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        await (await self._there()).chat.file(message, name, content)

    async def permalink(self, message: MessageRef) -> str:
        """The address of a message in chat."""
        return await (await self._there()).chat.permalink(message)

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        return await (await self._there()).people.may_approve(who, team)

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:
        return await (await self._there()).people.may_break_glass(who, team, named)

    def names(self, team: str) -> tuple[Awaited, ...]:
        """Who may approve for a team, by name, as far as that is known now. Answers at once."""
        return self._opened.result().roster.names(team) if self._opened.done() else ()

    async def refresh_names(self, database: Database) -> None:
        """Look up who is awaited, and edit the cards on which that is different now."""
        waiting = await awaiting.teams(database)
        if waiting:
            changed = await (await self._there()).roster.refresh(waiting)
            await awaiting.redraw(database, changed, SystemClock().now())

    async def handle(self, request: SlackRequest) -> SlackReply:
        """A request in HTTP mode, verified."""
        return await (await self._there()).handle(request)

    async def open(self, assistant: "Assistant") -> None:
        """Load the libraries off the event loop, and build the app's listeners on the desk."""
        await asyncio.to_thread(importlib.import_module, "bot.edges.slack_app")
        from bot.edges.slack_app import build_app, home_tab, http_handler  # noqa: PLC0415
        from bot.edges.slack_chat import SlackChat  # noqa: PLC0415
        from bot.edges.slack_client import Workspace, new_client  # noqa: PLC0415
        from bot.edges.slack_desk import SlackDeps  # noqa: PLC0415
        from bot.edges.slack_people import SlackPeople  # noqa: PLC0415
        from bot.edges.slack_roster import Roster  # noqa: PLC0415

        clock = SystemClock()
        client = new_client(self._settings.slack_bot_token.get_secret_value(), self._settings.slack_api)
        workspace = Workspace(client)
        chat = SlackChat(client, clock)

        async def first_time(key: str) -> bool:
            return await assistant.inbox.first_time(key, clock.now().timestamp())

        async def audit(fact: Fact) -> None:
            await assistant.casebook.record(INSTALLATION, [fact], clock.now(), card=False)

        people = SlackPeople(client, workspace, self._catalogue, clock, self._rota)
        roster = Roster(client, workspace, self._catalogue, clock, self._rota)
        deps = SlackDeps(
            client=client, workspace=workspace, chat=chat, desk=assistant.desk, records=assistant.records,
            catalogue=self._catalogue, clock=clock, first_time=first_time, audit=audit, app_id=self._settings.slack_app,
            duty=assistant.duty, follow=assistant.follow, comms=assistant.comms, people=people, links=self._links,
            timeline_reaction=self._settings.timeline_reaction,
        )  # fmt: skip
        home = home_tab(deps)
        app = build_app(deps, home)
        self._opened.set_result(
            Opened(chat=chat, people=people, app=app, home=home, handle=http_handler(app), roster=roster)
        )

    async def refresh_home(self) -> None:
        """Bring the Home tabs that people looked at lately up to date."""
        home = (await self._there()).home
        if home is not None:
            await home.refresh()

    async def connect(self) -> None:
        """Stay connected over Socket Mode until cancelled; HTTP mode needs no connection."""
        from bot.edges.slack_app import keep_socket_mode  # noqa: PLC0415

        if self._settings.slack == "socket":
            app, token = (await self._there()).app, self._settings.slack_app_token.get_secret_value()
            await keep_socket_mode(app, token, self._settings.slack_api, SystemClock())

    async def _there(self) -> Opened:
        return await asyncio.shield(self._opened)
