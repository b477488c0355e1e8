"""Slack for a server. Its libraries are heavy: they are loaded behind the start, and whoever needs it before waits."""

import asyncio
import importlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bot.domain.proposal import Principal
from bot.domain.timeline import Fact
from bot.domain.view import IncidentView, MessageRef
from bot.edges.chain import INSTALLATION
from bot.edges.clock import SystemClock
from bot.edges.slack_http import SlackHandler, SlackReply, SlackRequest
from bot.ports import Chat, People, Rooms
from config.catalogue import Catalogue
from config.settings import Settings

if TYPE_CHECKING:
    from slack_bolt.async_app import AsyncApp

    from bot.edges.slack_home import HomeTab
    from bot.wiring import Assistant


@dataclass(frozen=True, kw_only=True, slots=True)
class Opened:
    """What there is once Slack's libraries are loaded."""

    chat: Chat
    rooms: Rooms
    people: People
    app: "AsyncApp"
    home: "HomeTab | None"
    handle: SlackHandler


class SlackSide:
    """Everything of Slack: the chat, the people, the app and its connection. See :class:`bot.ports.Chat` and
    :class:`bot.ports.People`."""

    def __init__(self, chosen: Settings, declared: Catalogue) -> None:
        self._settings = chosen
        self._catalogue = declared
        self._opened: asyncio.Future[Opened] = asyncio.get_running_loop().create_future()

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        return await (await self._there()).chat.card(view, message)

    async def pointer(self, view: IncidentView, text: str, message: MessageRef | None) -> MessageRef:
        return await (await self._there()).chat.pointer(view, text, message)

    async def rooms(self) -> Rooms:
        """What makes channels for incidents."""
        return (await self._there()).rooms

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = ()) -> None:
        await (await self._there()).chat.say(message, text, blocks=blocks)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        await (await self._there()).chat.file(message, name, content)

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        return await (await self._there()).people.may_approve(who, team)

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
        from bot.edges.slack_rooms import SlackRooms  # noqa: PLC0415

        clock = SystemClock()
        client = new_client(self._settings.slack_bot_token.get_secret_value(), self._settings.slack_api)
        workspace = Workspace(client)
        chat = SlackChat(client, clock)

        async def first_time(key: str) -> bool:
            return await assistant.inbox.first_time(key, clock.now().timestamp())

        async def audit(fact: Fact) -> None:
            await assistant.casebook.record(INSTALLATION, [fact], clock.now(), card=False)

        people = SlackPeople(client, workspace, self._catalogue, clock)
        deps = SlackDeps(
            client=client, workspace=workspace, chat=chat, desk=assistant.desk, records=assistant.records,
            catalogue=self._catalogue, clock=clock, first_time=first_time, audit=audit, app_id=self._settings.slack_app,
            duty=assistant.duty, people=people, timeline_reaction=self._settings.timeline_reaction,
        )  # fmt: skip
        home = home_tab(deps)
        app = build_app(deps, home)
        self._opened.set_result(
            Opened(chat=chat, rooms=SlackRooms(client, workspace), people=people, app=app, home=home,
                   handle=http_handler(app))
        )  # fmt: skip

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
