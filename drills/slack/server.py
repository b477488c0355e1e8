"""The workspace as a server on loopback: everything wired together, started and stopped as one."""

import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from aiohttp import web

from drills.slack.acts import Acts
from drills.slack.control import Control, json_object
from drills.slack.delivery import RETRY_DELAYS, Delivery
from drills.slack.events import SignedHttp
from drills.slack.files import LARGEST, Files
from drills.slack.methods_chat import ChatMethods
from drills.slack.methods_conversations import ConversationMethods
from drills.slack.methods_people import PeopleMethods
from drills.slack.methods_views import ViewMethods
from drills.slack.seed import Seed
from drills.slack.socket_mode import SocketMode
from drills.slack.surfaces import Surfaces
from drills.slack.ui import Ui
from drills.slack.web_api import Method, TokenKind, WebApi
from drills.slack.wire import SlackError
from drills.slack.workspace import Workspace

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Options:
    """How a loopback workspace is run."""

    host: str = "127.0.0.1"
    port: int = 8901
    """0 takes a free one."""
    bot_token: str = "xoxb-loopback"  # noqa: S105 - a made-up token of a made-up workspace
    app_token: str = "xapp-loopback"  # noqa: S105
    signing_secret: str = "loopback-signing-secret"  # noqa: S105
    events_url: str = ""
    """Where the app listens in HTTP mode; empty for Socket Mode."""
    rate_limits: bool = True
    bots_unarchive: bool = False
    """Whether apps can unarchive a channel; at Slack, with a bot's token, they cannot."""
    retry_delays: Sequence[float] = RETRY_DELAYS
    allowed_hosts: tuple[str, ...] = field(default=("127.0.0.1", "localhost", "::1"))


class LoopbackSlack:
    """A running workspace. ``async with LoopbackSlack(seed, options) as slack: slack.url``."""

    def __init__(self, seed: Seed, options: Options | None = None, *, now: Callable[[], float] = time.time) -> None:
        self.options = options or Options()
        self.workspace = Workspace(seed, now)
        self.surfaces = Surfaces(self.workspace)
        self.socket_mode = SocketMode(seed.app.id, now, self.workspace.changed)
        self.http: SignedHttp | None = None
        if self.options.events_url:
            self.http = SignedHttp(self.options.events_url, self.options.signing_secret, now)
        self.delivery = Delivery(self.http or self.socket_mode, now, tuple(self.options.retry_delays))
        self.url = ""
        self.api: WebApi
        self.acts: Acts
        self.ui: Ui
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Listen. Afterwards ``url`` is where; raises :class:`OSError` when the port is taken."""
        listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listening.bind((self.options.host, self.options.port))
        except OSError:
            listening.close()
            raise
        self.url = f"http://{self.options.host}:{listening.getsockname()[1]}"
        self.acts = Acts(self.workspace, self.surfaces, self.delivery, self.url)
        self.ui = Ui(self.workspace, self.surfaces, self.acts, self.delivery.link.connected)
        self._runner = web.AppRunner(self._application(), access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        await web.SockSite(self._runner, listening).start()

    async def stop(self) -> None:
        """Close every connection and stop listening."""
        await self.delivery.close()
        await self.socket_mode.close()
        if self.http is not None:
            await self.http.close()
        if self._runner is not None:
            self.ui.close()
            await self._runner.cleanup()

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    def _application(self) -> web.Application:
        files = Files(self.workspace, self.url)
        tokens: dict[str, TokenKind] = {self.options.bot_token: "bot", self.options.app_token: "app"}
        self.api = WebApi(self.workspace, tokens, self._methods(files), rate_limits=self.options.rate_limits)
        app = web.Application(client_max_size=LARGEST + 65_536, middlewares=[self._guard])
        app.add_routes([
            web.route("*", "/api/{method}", self.api.handle),
            web.get("/link/", self.socket_mode.connect),
            web.post("/response/{team}/{name}", self._response),
            web.post("/upload/v1/{ticket}", files.upload),
            web.get("/files/{file}", files.download),
            *Control(self.workspace, self.api, self.delivery).routes(),
            *self.ui.routes(),
        ])  # fmt: skip
        return app

    def _methods(self, files: Files) -> Mapping[str, Method]:
        people = PeopleMethods(self.workspace, self.url, None if self.http else self.socket_mode)
        chat = ChatMethods(self.workspace, self.url)
        rooms = ConversationMethods(self.workspace, bots_unarchive=self.options.bots_unarchive)
        views = ViewMethods(self.surfaces)
        return {
            "api.test": lambda args: {"args": args},
            "apps.connections.open": people.open_connection,
            "auth.test": people.auth_test,
            "bookmarks.add": chat.bookmark,
            "chat.delete": chat.delete,
            "chat.getPermalink": chat.permalink,
            "chat.postEphemeral": chat.post_ephemeral,
            "chat.postMessage": chat.post_message,
            "chat.update": chat.update,
            "conversations.archive": rooms.archive,
            "conversations.create": rooms.create,
            "conversations.history": rooms.history,
            "conversations.info": rooms.info,
            "conversations.invite": rooms.invite,
            "conversations.join": rooms.join,
            "conversations.list": rooms.list_,
            "conversations.members": rooms.members,
            "conversations.open": rooms.open,
            "conversations.replies": rooms.replies,
            "conversations.setPurpose": rooms.set_purpose,
            "conversations.setTopic": rooms.set_topic,
            "conversations.unarchive": rooms.unarchive,
            "files.completeUploadExternal": files.complete_upload,
            "files.getUploadURLExternal": files.get_upload_url,
            "pins.add": chat.pin,
            "reactions.add": chat.react,
            "reactions.get": chat.reactions,
            "reactions.remove": chat.unreact,
            "team.info": people.team_info,
            "usergroups.list": people.usergroups_list,
            "usergroups.users.list": people.usergroup_users,
            "users.conversations": rooms.own,
            "users.info": people.users_info,
            "users.list": people.users_list,
            "users.lookupByEmail": people.lookup_by_email,
            "views.open": views.open,
            "views.publish": views.publish,
            "views.push": views.push,
            "views.update": views.update,
        }

    async def _response(self, request: web.Request) -> web.Response:
        """A response URL: what an app does with an interaction later."""
        try:
            self.acts.answer(request.match_info["name"], await json_object(request))
        except SlackError as error:
            status = 404 if error.error in ("expired_url", "used_url") else 400
            return web.json_response(error.body(), status=status)
        return web.json_response({"ok": True})

    @web.middleware
    async def _guard(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """Refuse other host names: a page elsewhere must not reach the workspace by renaming it (DNS rebinding)."""
        name = request.host.rpartition(":")[0] if request.host.rpartition(":")[2].isdecimal() else request.host
        if name.strip("[]") not in (*self.options.allowed_hosts, self.options.host):
            raise web.HTTPMisdirectedRequest(text=f"no workspace at {name!r}; use {self.url}")
        return await handler(request)
