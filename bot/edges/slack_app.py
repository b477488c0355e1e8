"""Slack's side of the conversation: Bolt with our listeners, over Socket Mode or over HTTP behind our verification."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Protocol
from urllib.parse import parse_qsl

from slack_bolt.adapter.socket_mode.aiohttp import AsyncSocketModeHandler
from slack_bolt.async_app import AsyncApp
from slack_bolt.authorization import AuthorizeResult
from slack_bolt.request.async_request import AsyncBoltRequest
from slack_bolt.response import BoltResponse
from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.timeline import Fact, Provenance
from bot.edges.slack_clicks import Clicks
from bot.edges.slack_client import SLACK_API, Refused, Workspace, ask, is_loopback, new_client
from bot.edges.slack_commands import Commands
from bot.edges.slack_comms import CommsCommands
from bot.edges.slack_deciding import Deciding
from bot.edges.slack_desk import FirstTime, Json, Reception, SlackDeps, key, logger
from bot.edges.slack_followups import FollowCommands
from bot.edges.slack_home import HomeTab
from bot.edges.slack_http import SlackHandler, SlackReply, SlackRequest
from bot.edges.slack_memory import Memory
from bot.edges.slack_talk import Talk
from bot.ports import RetryLater
from config.clock import Clock

NO_RETRY = {"x-slack-no-retry": "1"}


def home_tab(deps: SlackDeps) -> HomeTab | None:
    """The Home tab, where there is something to show in it."""
    if deps.duty is None or deps.people is None:
        return None
    return HomeTab(Reception(deps=deps), deps.duty, deps.people)


def build_app(deps: SlackDeps, home: HomeTab | None = None) -> AsyncApp:
    """Bolt with all listeners. A request is acknowledged after it was dealt with, never before; nothing is lazy.

    Signatures are checked before Bolt sees a request (:mod:`bot.edges.slack_http`), or not needed (Socket Mode).
    """

    async def authorize() -> AuthorizeResult:
        us = await deps.workspace.us()
        return AuthorizeResult(
            enterprise_id=us.enterprise_id or None, team_id=us.team_id, bot_id=us.bot_id or None,
            bot_user_id=us.bot_user_id, bot_token=deps.client.token,
        )  # fmt: skip

    app = AsyncApp(
        name="pagerunner", logger=logger, client=AsyncWebClient(base_url=deps.client.base_url, retry_handlers=[]),
        signing_secret="", authorize=authorize, process_before_response=True, request_verification_enabled=False,
        ssl_check_enabled=False, ignoring_self_events_enabled=True, url_verification_enabled=True,
        attaching_function_token_enabled=False, attaching_conversation_kwargs_enabled=False,
    )  # fmt: skip
    app.middleware(_binding(deps))
    reception = Reception(deps=deps)
    Clicks(reception).register(app)
    Deciding(reception).register(app)
    Commands(reception=reception).register(app)
    if deps.comms is not None:
        CommsCommands(reception, deps.comms).register(app)
    if deps.duty is not None:
        Memory(reception, deps.duty).register(app)
    if deps.follow is not None:
        FollowCommands(reception, deps.follow).register(app)
    if home is not None:
        home.register(app)
    if deps.gone is not None:
        _Farewell(deps.gone, deps.workspace).register(app)
    Talk(reception).register(app)  # The last: it takes every event that nobody else wants.
    return app


class _Farewell:
    """The workspace takes the app, or its token, away."""

    def __init__(self, gone: Callable[[str], Awaitable[None]], workspace: Workspace) -> None:
        self._gone = gone
        self._workspace = workspace

    def register(self, app: AsyncApp) -> None:
        app.event("app_uninstalled")(self.uninstalled)
        app.event("tokens_revoked")(self.revoked)

    async def uninstalled(self) -> None:
        await self._gone("it was uninstalled in Slack")

    async def revoked(self, event: Json) -> None:
        """Only the bot's own token matters: people's were never asked for."""
        us = await self._workspace.us()
        if us.bot_user_id in ((event.get("tokens") or {}).get("bot") or ()):
            await self._gone("its token was revoked")


def http_handler(app: AsyncApp) -> SlackHandler:
    """Answer verified requests. 503 asks Slack to send it again; what can never succeed says so."""

    async def handle(request: SlackRequest) -> SlackReply:
        if not readable(request.raw):
            return SlackReply(status=400, headers=NO_RETRY)
        bolt_request = AsyncBoltRequest(body=request.raw.decode("utf-8"), headers=dict(request.headers))
        answer = await app.async_dispatch(bolt_request)
        status = 503 if answer.status >= 500 else answer.status
        headers = {name: values[0] for name, values in answer.headers.items() if values}
        if status in (403, 404):
            headers |= NO_RETRY
        return SlackReply(status=status, headers=headers, body=str(answer.body or "").encode())

    return handle


async def start_socket_mode(app: AsyncApp, app_token: str, base_url: str = SLACK_API) -> AsyncSocketModeHandler:
    """Connect out to Slack; no public address is needed. It reconnects by itself; ``close_async`` ends it.

    Raises :class:`RetryLater` when Slack cannot be reached now or refuses the token: the caller tries again, loudly.
    """
    handler = AsyncSocketModeHandler(app, app_token, web_client=new_client("", base_url))
    if is_loopback(base_url):
        handler.client.proxy = None
    try:
        # Asked for here and not by the library, which would try a refused token again for ever, without telling.
        handler.client.wss_uri = await _wss_url(handler)
        await handler.connect_async()  # type: ignore[no-untyped-call]
    except BaseException:  # Cancelled or refused: nothing half-open stays behind.
        await handler.close_async()  # type: ignore[no-untyped-call]
        raise
    return handler


async def keep_socket_mode(app: AsyncApp, app_token: str, base_url: str, clock: Clock) -> None:
    """Be connected until cancelled. Slack's absence, at the start too, is logged and waited out; nothing else stops."""
    while True:
        try:
            handler = await start_socket_mode(app, app_token, base_url)
        except RetryLater as later:
            logger.error("slack_not_connected", extra={"reason": later.reason, "again_s": later.after_s})
            await clock.sleep(later.after_s)
            continue
        try:
            await asyncio.Event().wait()
        finally:
            await handler.close_async()  # type: ignore[no-untyped-call]


async def _wss_url(handler: AsyncSocketModeHandler) -> str:
    try:
        told = await ask(handler.client.web_client.apps_connections_open(app_token=handler.app_token))
    except Refused as refused:
        raise RetryLater(60.0, f"Socket Mode: {refused}; check the app-level token") from refused
    return str(told["url"])


def _binding(deps: SlackDeps) -> Callable[..., Awaitable[BoltResponse | None]]:
    """A request for another workspace or another app is not ours, however well it is signed."""

    async def bound(body: Json, next_: Callable[[], Awaitable[None]]) -> BoltResponse | None:
        us = await deps.workspace.us()
        team = body.get("team_id") or (body.get("team") or {}).get("id")
        app = body.get("api_app_id")
        if team != us.team_id or (deps.app_id and app != deps.app_id):
            await refused(deps, str(team)[:20], str(app)[:20])
            return BoltResponse(status=403, body="")
        await next_()
        return None

    return bound


class _Audit(Protocol):
    @property
    def first_time(self) -> FirstTime: ...

    @property
    def audit(self) -> Callable[[Fact], Awaitable[None]]: ...

    @property
    def clock(self) -> Clock: ...


async def refused(deps: _Audit, team: str, app: str) -> None:
    """On the installation's timeline, once a day for each stranger: whoever signs can send as much as they like."""
    logger.warning("slack_foreign_team", extra={"team": team, "app": app})
    if await deps.first_time(key("foreign", team, app, deps.clock.now().date())):
        data = {"team": team, "app": app}
        await deps.audit(Fact(kind="foreign_team", provenance=Provenance.OBSERVED, actor=f"slack:{team}", data=data))


def readable(raw: bytes) -> bool:
    """Whether a body is what Slack sends: a JSON object, or a form whose payload is one."""
    try:
        text = raw.decode("utf-8")
        if text.startswith("{"):
            return isinstance(json.loads(text), dict)
        form = dict(parse_qsl(text, keep_blank_values=True, strict_parsing=True))
        return isinstance(json.loads(form["payload"]), dict) if "payload" in form else "command" in form
    except (ValueError, RecursionError):
        return False
