"""A loopback workspace with our real Bolt in it, over Socket Mode or signed HTTP, and people to act in it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from aiohttp import web
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.signature import SigningSecret
from bot.domain.view import MessageRef
from bot.edges import slack_http
from bot.edges.slack_app import build_app, http_handler, start_socket_mode
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Workspace, new_client
from bot.edges.slack_desk import SlackDeps
from bot.edges.slack_http import SlackHandler, SlackRefused
from bot.edges.slack_people import SlackPeople
from drills.slack import seed
from drills.slack.acts import Done
from drills.slack.server import LoopbackSlack, Options
from tests.slack_fakes import Office
from tests.view_samples import CARD, INCIDENT, catalogue

Mode = Literal["socket", "http"]


class WallClock:
    """The machine's clock, as Slack checks the age of requests against it."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


@dataclass(kw_only=True)
class Rig:
    """Everything that is running."""

    slack: LoopbackSlack
    client: AsyncWebClient
    chat: SlackChat
    people: SlackPeople
    office: Office
    card: MessageRef
    deps: SlackDeps

    async def post_card(self) -> MessageRef:
        """Bring the incident's card up to date, as the courier does."""
        view = self.office.views[INCIDENT.id]
        self.card = await self.chat.card(view, view.message)
        self.office.posted(self.card)
        return self.card

    async def press(self, user: str, button: str) -> Done:
        """Press a button of the card."""
        return await self.slack.acts.act(user, self.card.channel, self.card.ts, f"pagerunner_{button}")

    async def type(self, user: str, command: str, channel: str = "C0ASSIST") -> str:
        """Type a slash command; returns what only that person sees of it."""
        before = len(self.told(user, channel))
        done = await self.slack.acts.slash(user, channel, command)
        assert done.ok, done.error
        return "\n".join(self.told(user, channel)[before:])

    def told(self, user: str, channel: str = "C0ASSIST") -> list[str]:
        """What only this person was told in a channel."""
        messages = self.slack.workspace.channels[channel].messages.values()
        return [str(m.payload.get("text") or "") for m in messages if m.only_for == user]

    def thread(self, ts: str | None = None) -> list[str]:
        """What the app said in the thread of the card."""
        root = ts or self.card.ts
        messages = self.slack.workspace.channels[self.card.channel].messages.values()
        app = self.slack.workspace.app.user
        return [str(m.payload["text"]) for m in messages
                if m.payload.get("thread_ts") == root and m.payload.get("user") == app and m.payload["ts"] != root
                and not m.only_for]  # fmt: skip

    def shown(self) -> dict[str, Any]:
        """The card as the workspace has it."""
        return dict(self.slack.workspace.message(self.card.channel, self.card.ts).payload)

    def buttons(self) -> list[str]:
        """The buttons of the card."""
        blocks = [block for block in self.shown().get("blocks", []) if block["type"] == "actions"]
        return [str(element["text"]["text"]) for block in blocks for element in block["elements"]]


async def until(check: Callable[[], Any]) -> Any:
    """Wait for something that another task is about to do; the test's own timeout bounds it."""
    while not (value := check()):  # noqa: ASYNC110 - what is waited for happens in a server, which has no event to give
        await asyncio.sleep(0.01)
    return value


@asynccontextmanager
async def rig(mode: Mode, *, rate_limits: bool = False) -> AsyncIterator[Rig]:
    """The app connected to a fresh workspace, the card not yet posted."""
    receiver = Receiver()
    async with receiver.listening() as address:
        options = Options(port=0, rate_limits=rate_limits, retry_delays=(0, 0.02, 0.02),
                          events_url=address if mode == "http" else "")  # fmt: skip
        async with LoopbackSlack(seed.load(), options) as slack:
            clock = WallClock()
            client = new_client("xoxb-loopback", f"{slack.url}/api/")
            workspace = Workspace(client)
            people = SlackPeople(client, workspace, catalogue(), clock)
            office = Office(clock, people)
            chat = SlackChat(client, clock)
            office.chat = chat
            deps = SlackDeps(
                client=client, workspace=workspace, chat=chat, desk=office, records=office,
                catalogue=catalogue(), clock=clock, first_time=office.first_time, audit=office.audit,
                app_id="A0PAGERUN",
            )  # fmt: skip
            app = build_app(deps)
            running = Rig(slack=slack, client=client, chat=chat, people=people, office=office, card=CARD, deps=deps)
            if mode == "http":
                receiver.handler = http_handler(app)
                receiver.secrets = [SigningSecret(value=options.signing_secret)]
                yield running
                return
            handler = await start_socket_mode(app, "xapp-loopback", f"{slack.url}/api/")
            try:
                await until(slack.socket_mode.connected)
                yield running
            finally:
                await handler.close_async()


class Receiver:
    """Our side of HTTP mode: the raw request is verified, then handed on."""

    def __init__(self) -> None:
        self.handler: SlackHandler | None = None
        self.secrets: list[SigningSecret] = []

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[str]:
        server = web.Application()
        server.add_routes([web.post("/slack/events", self._receive)])
        runner = web.AppRunner(server, access_log=None)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        port = runner.addresses[0][1]
        try:
            yield f"http://127.0.0.1:{port}/slack/events"
        finally:
            await runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        raw = await request.read()
        verified = slack_http.verify(raw, request.raw_headers, self.secrets, datetime.now(UTC))
        if isinstance(verified, SlackRefused) or self.handler is None:
            return web.Response(status=verified.status if isinstance(verified, SlackRefused) else 503)
        reply = await self.handler(verified)
        return web.Response(status=reply.status, headers=dict(reply.headers), body=reply.body)
