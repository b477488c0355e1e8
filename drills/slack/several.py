"""Several workspaces behind one Web API, as at Slack: an app is installed into each through OAuth, with a token of its
own."""

import asyncio
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from typing import Self
from urllib.parse import urlencode, urlsplit

from aiohttp import BasicAuth, web

from drills.slack.seed import Seed
from drills.slack.server import LoopbackSlack, Options
from drills.slack.web_api import arguments
from drills.slack.wire import Json, SlackError, required, text_of

CODE_SECONDS = 600.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Registered:
    """The app as Slack knows it."""

    client_id: str = "111.222"
    client_secret: str = "loopback-client-secret"  # noqa: S105 - of a made-up app
    redirect_urls: tuple[str, ...] = ()
    """Prefixes that a redirect address must begin with."""
    rotates: bool = False
    """Whether token rotation is on."""


@dataclass(kw_only=True, slots=True)
class _Code:
    team: str
    user: str
    redirect: str
    scopes: tuple[str, ...]
    until: float
    used: bool = False


class LoopbackSlacks:
    """Running workspaces. ``async with LoopbackSlacks(seeds, options, app) as slacks: slacks.url``."""

    def __init__(self, seeds: Sequence[Seed], options: Options, app: Registered) -> None:
        own = replace(options, port=0, bot_token="")
        self.workspaces: dict[str, LoopbackSlack] = {seed.team.id: LoopbackSlack(seed, own) for seed in seeds}
        self.app = app
        self.url = ""
        self.port = options.port
        self._codes: dict[str, _Code] = {}
        self._tokens: dict[str, str] = {}
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> Self:
        for one in self.workspaces.values():
            await one.start()
        served = web.Application()
        served.add_routes([
            web.route("*", "/api/{method}", self._api),
            web.get("/oauth/v2/authorize", self._consent),
            web.post("/oauth/v2/authorize", self._allowed),
        ])  # fmt: skip
        self._runner = web.AppRunner(served, access_log=None, shutdown_timeout=1.0)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", self.port)
        await site.start()
        self.url = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._runner is not None:
            await self._runner.cleanup()
        await asyncio.gather(*(one.stop() for one in self.workspaces.values()))

    def allow(self, team: str, user: str, query: Json) -> str:
        """Somebody allows the installation; the address to which their browser is sent."""
        slack = self.workspaces[team]
        self._check(query)
        code = secrets.token_urlsafe(16)
        self._codes[code] = _Code(
            team=team, user=user, redirect=required(query, "redirect_uri"),
            scopes=tuple(scope for scope in text_of(query, "scope").split(",") if scope),
            until=slack.workspace.now() + CODE_SECONDS,
        )  # fmt: skip
        return _back(query, code=code)

    def uninstall(self, team: str) -> None:
        """Somebody removes the app from a workspace: its tokens end, and the app is told."""
        slack = self.workspaces[team]
        for token, where in self._tokens.items():
            if where == team:
                slack.api.token_errors[token] = "account_inactive"
        bot = slack.workspace.app.user
        slack.workspace.emit({"type": "tokens_revoked", "tokens": {"oauth": [], "bot": [bot]},
                              "event_ts": slack.workspace.new_ts()})  # fmt: skip
        slack.workspace.emit({"type": "app_uninstalled", "event_ts": slack.workspace.new_ts()})

    async def _api(self, request: web.Request) -> web.StreamResponse:
        """A call, to the workspace of its token."""
        args, token = await arguments(request)
        if request.match_info["method"] == "oauth.v2.access":
            try:
                return web.json_response({"ok": True, **self._access(args, request)})
            except SlackError as error:
                return web.json_response(error.body())
        known = self._tokens.get(token, next(iter(self.workspaces)))
        return await self.workspaces[known].api.handle(request)

    def _access(self, args: Json, request: web.Request) -> Json:
        """``oauth.v2.access``: a code for a token, once."""
        given = _credentials(args, request)
        if given[0] != self.app.client_id:
            raise SlackError("invalid_client_id")
        if given[1] != self.app.client_secret:
            raise SlackError("bad_client_secret")
        code = self._codes.get(required(args, "code"))
        if code is None:
            raise SlackError("invalid_code")
        if code.used:
            raise SlackError("code_already_used")
        slack = self.workspaces[code.team]
        if code.until < slack.workspace.now():
            raise SlackError("invalid_code")
        if text_of(args, "redirect_uri") != code.redirect:
            raise SlackError("bad_redirect_uri")
        code.used = True
        return self._granted(code, slack)

    def _granted(self, code: _Code, slack: LoopbackSlack) -> Json:
        token = f"xoxb-{code.team}-{secrets.token_hex(8)}"
        workspace = slack.workspace
        self._tokens[token] = code.team
        slack.api.tokens[token] = "bot"
        workspace.app = workspace.app.model_copy(update={"scopes": code.scopes})
        rotating: Json = {"refresh_token": "xoxe-1-loopback", "expires_in": 43_200} if self.app.rotates else {}
        return {"access_token": token, "token_type": "bot", "scope": ",".join(code.scopes), "app_id": workspace.app.id,
                "bot_user_id": workspace.app.user, "team": {"id": code.team, "name": workspace.team.name},
                "enterprise": None, "is_enterprise_install": False, "authed_user": {"id": code.user},
                **rotating}  # fmt: skip

    async def _consent(self, request: web.Request) -> web.Response:
        """The page on which somebody allows it, or does not."""
        query = dict(request.query)
        try:
            self._check(query)
        except SlackError as error:
            return web.Response(status=400, text=f"Something is wrong with this app's address: {error.error}")
        hidden = "".join(f'<input type="hidden" name="{escape(k)}" value="{escape(v)}">' for k, v in query.items())
        wanted = query.get("team", "")
        teams = "".join(
            f'<option value="{one.workspace.team.id}"{" selected" if one.workspace.team.id == wanted else ""}>'
            f"{escape(one.workspace.team.name)}</option>"
            for one in self.workspaces.values()
        )
        scopes = "".join(f"<li>{escape(scope)}</li>" for scope in query.get("scope", "").split(","))
        page = (f'<!DOCTYPE html><meta charset="utf-8"><title>Install</title><h1>Install the app?</h1><ul>{scopes}</ul>'
                f'<form method="post">{hidden}<select name="into">{teams}</select>'
                '<button name="answer" value="allow">Allow</button><button name="answer" value="no">Cancel</button>'
                "</form>")  # fmt: skip
        return web.Response(text=page, content_type="text/html")

    async def _allowed(self, request: web.Request) -> web.Response:
        form = {key: value for key, value in (await request.post()).items() if isinstance(value, str)}
        if form.get("answer") != "allow":
            raise web.HTTPFound(_back(form, error="access_denied"))
        slack = self.workspaces[form["into"]]
        person = next(u.id for u in slack.workspace.users.values() if u.is_admin)
        raise web.HTTPFound(self.allow(form["into"], person, dict(form)))

    def _check(self, query: Json) -> None:
        if text_of(query, "client_id") != self.app.client_id:
            raise SlackError("invalid_client_id")
        if not text_of(query, "redirect_uri").startswith(self.app.redirect_urls or ("http",)):
            raise SlackError("bad_redirect_uri")


def _credentials(args: Json, request: web.Request) -> tuple[str, str]:
    """Of the app: among the arguments, or as HTTP basic authentication."""
    header = request.headers.get("Authorization", "")
    if header.startswith("Basic "):
        known = BasicAuth.decode(header)
        return known.login, known.password
    return text_of(args, "client_id"), text_of(args, "client_secret")


def _back(query: Json, **more: str) -> str:
    parts = urlsplit(required(query, "redirect_uri"))
    return f"{parts.scheme}://{parts.netloc}{parts.path}?{urlencode({**more, 'state': text_of(query, 'state')})}"
