"""The Web API over HTTP: reading arguments, tokens, scopes, limits and faults around the methods themselves."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Literal

from aiohttp import web

from drills.slack.limits import Fault, Faults, RateLimits
from drills.slack.wire import Json, SlackError, flag
from drills.slack.workspace import Workspace

Method = Callable[[Json], Json]
TokenKind = Literal["bot", "app"]

SCOPES = {
    "chat.postMessage": "chat:write", "chat.postEphemeral": "chat:write", "chat.update": "chat:write",
    "chat.delete": "chat:write", "conversations.list": "channels:read", "conversations.info": "channels:read",
    "conversations.members": "channels:read", "conversations.join": "channels:join",
    "conversations.history": "channels:history", "conversations.replies": "channels:history",
    "conversations.open": "im:write", "conversations.create": "channels:manage",
    "conversations.setTopic": "channels:manage", "conversations.setPurpose": "channels:manage",
    "conversations.invite": "channels:manage", "conversations.archive": "channels:manage",
    "conversations.unarchive": "channels:manage", "users.conversations": "channels:read",
    "users.list": "users:read", "users.info": "users:read", "users.lookupByEmail": "users:read.email",
    "usergroups.list": "usergroups:read", "usergroups.users.list": "usergroups:read",
    "reactions.get": "reactions:read", "reactions.add": "reactions:write", "reactions.remove": "reactions:write",
    "pins.add": "pins:write", "bookmarks.add": "bookmarks:write", "files.getUploadURLExternal": "files:write",
    "files.completeUploadExternal": "files:write", "team.info": "team:read",
}  # fmt: skip
IN_PRIVATE = {
    "channels:read": "groups:read", "channels:history": "groups:history", "channels:manage": "groups:write",
}  # fmt: skip
"""What a method needs where the channel is private."""
UNSHOWN = ("token",)


class WebApi:
    """Answers ``/api/<method>``. Keeps a record of every call, without tokens, for tests."""

    def __init__(self, workspace: Workspace, tokens: Mapping[str, TokenKind], methods: Mapping[str, Method], *,
                 rate_limits: bool = True) -> None:  # fmt: skip
        self._workspace = workspace
        self._methods = methods
        self.tokens: dict[str, TokenKind] = dict(tokens)
        self.token_errors: dict[str, str] = {}
        self.faults = Faults()
        self.limits = RateLimits(workspace.now, enabled=rate_limits)
        self.calls: list[Json] = []

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """One call."""
        method = request.match_info["method"]
        args, token = await arguments(request)
        channel = str(args.get("channel", ""))
        call: Json = {"n": len(self.calls), "at": self._workspace.now(), "method": method, "args": args,
                      "token": self.tokens.get(token, "none")}  # fmt: skip
        self.calls.append(call)
        fault = self.faults.next(method, channel)
        if fault is not None:
            call["fault"] = fault.status
            await asyncio.sleep(fault.delay_s)
        if fault is not None and fault.status not in (200, "reset"):
            return self._failed(request, call, fault)
        if fault is not None and fault.error:
            return self._answered(call, {"ok": False, "error": fault.error}, 200, {})
        if token in self.tokens and (wait := self.limits.take(method, channel)):
            headers = {"Retry-After": str(wait)}
            return self._answered(call, {"ok": False, "error": "ratelimited"}, 429, headers)
        body = self._performed(method, args, token)
        if fault is not None and fault.status == "reset":
            return self._failed(request, call, fault, body)
        return self._answered(call, body, 200, self._scope_headers(method))

    def _performed(self, method: str, args: Json, token: str) -> Json:
        try:
            self._authorised(method, token, args)
            if method == "auth.revoke":
                self.token_errors[token] = "token_revoked"
                return {"ok": True, "revoked": True}
            return {"ok": True, **self._methods[method](args)}
        except SlackError as error:
            return error.body()

    def _authorised(self, method: str, token: str, args: Json) -> None:
        if method not in (*self._methods, "auth.revoke"):
            raise SlackError("unknown_method", req_method=method)
        if not token:
            raise SlackError("not_authed")
        if token in self.token_errors:
            raise SlackError(self.token_errors[token])
        if token not in self.tokens:
            raise SlackError("invalid_auth")
        wanted = "app" if method.startswith("apps.connections.") else "bot"
        if self.tokens[token] != wanted and method != "auth.test":
            raise SlackError("not_allowed_token_type")
        needed = self._needed(method, args)
        if needed and needed not in self._workspace.app.scopes:
            raise SlackError("missing_scope", needed=needed, provided=",".join(self._workspace.app.scopes))

    def _needed(self, method: str, args: Json) -> str:
        """The scope that a call needs: another one where it is about a private channel."""
        usual = SCOPES.get(method, "")
        known = self._workspace.channels.get(str(args.get("channel", "")))
        private = flag(args, "is_private") if method == "conversations.create" else known and known.is_private
        return IN_PRIVATE.get(usual, usual) if private else usual

    def _scope_headers(self, method: str) -> dict[str, str]:
        return {
            "x-oauth-scopes": ",".join(self._workspace.app.scopes),
            "x-accepted-oauth-scopes": SCOPES.get(method, ""),
        }

    def _failed(self, request: web.Request, call: Json, fault: Fault, body: Json | None = None) -> web.StreamResponse:
        call.update(status=fault.status, ok=body is not None and body["ok"])
        if isinstance(fault.status, str):
            if request.transport is not None:
                request.transport.abort()
            return web.Response(status=500)
        headers = {} if fault.retry_after is None else {"Retry-After": fault.retry_after}
        if fault.status == 429:
            return self._answered(call, {"ok": False, "error": fault.error or "ratelimited"}, 429, headers)
        if fault.error:
            return self._answered(call, {"ok": False, "error": fault.error}, fault.status, headers)
        page = "<!DOCTYPE html><title>Server Error</title><p>It's not you, it's us.</p>"
        return web.Response(status=fault.status, text=page, content_type="text/html", headers=headers)

    def _answered(self, call: Json, body: Json, status: int, headers: Mapping[str, str]) -> web.Response:
        call.update(status=status, ok=body["ok"], error=body.get("error", ""))
        for name in ("ts", "message_ts", "channel"):
            if name in body:
                call.setdefault("result", {})[name] = body[name]
        return web.json_response(body, status=status, headers={**headers, "x-slack-req-id": f"loopback-{call['n']}"})


async def arguments(request: web.Request) -> tuple[Json, str]:
    """The call's arguments and its token, which may stand in the header or, in a form, among the arguments."""
    args: Json = dict(request.query)
    if request.content_type == "application/json":
        try:
            value: Any = json.loads(await request.text() or "{}")
        except ValueError:
            value = {}
        args |= value if isinstance(value, dict) else {}
    elif request.body_exists:
        form = await request.post()
        args |= {key: value for key, value in form.items() if isinstance(value, str)}
    scheme, _, bearer = request.headers.get("Authorization", "").partition(" ")
    token = bearer if scheme.lower() == "bearer" else str(args.get("token", ""))
    return {key: value for key, value in args.items() if key not in UNSHOWN}, token
