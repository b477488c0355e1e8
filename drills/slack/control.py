"""The test's hand in the workspace: faults, records, and what people and connections cannot do by themselves."""

import json
from typing import Any

from aiohttp import web

from drills.slack.delivery import Delivery
from drills.slack.events import SignedHttp
from drills.slack.limits import Fault
from drills.slack.seed import User
from drills.slack.socket_mode import SocketMode
from drills.slack.web_api import WebApi
from drills.slack.wire import Json, SlackError
from drills.slack.workspace import Workspace


class Control:
    """``/control/...``. Only JSON bodies, so that no page elsewhere can post here without asking first."""

    def __init__(self, workspace: Workspace, api: WebApi, delivery: Delivery) -> None:
        self._workspace = workspace
        self._api = api
        self._delivery = delivery

    def routes(self) -> list[web.RouteDef]:
        """The endpoints."""
        return [
            web.post("/control/faults", self._add_fault),
            web.delete("/control/faults", self._clear_faults),
            web.get("/control/log", self._log),
            web.delete("/control/log", self._clear_log),
            web.get("/control/deliveries", self._deliveries),
            web.post("/control/deliveries", self._set_mischief),
            web.post("/control/replay", self._replay),
            web.post("/control/token", self._set_token),
            web.post("/control/socket", self._socket),
            web.post("/control/user", self._set_user),
            web.post("/control/channel", self._set_channel),
            web.post("/control/verify-url", self._verify_url),
        ]

    async def _add_fault(self, request: web.Request) -> web.Response:
        """``{"method", "status": 429|5xx|200|"reset"|"reset_before", "retry_after", "error", "count", "delay_s"}``."""
        try:
            self._api.faults.add(Fault.of(await json_object(request)))
        except (TypeError, ValueError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        return web.json_response({"ok": True})

    async def _clear_faults(self, _: web.Request) -> web.Response:
        self._api.faults.clear()
        return web.json_response({"ok": True})

    async def _log(self, request: web.Request) -> web.Response:
        """Every call, oldest first; ``?method=`` and ``?after=`` narrow it."""
        method, after = request.query.get("method", ""), int(request.query.get("after", "-1"))
        calls = [c for c in self._api.calls if c["n"] > after and method in ("", c["method"])]
        return web.json_response({"ok": True, "calls": calls})

    async def _clear_log(self, _: web.Request) -> web.Response:
        self._api.calls.clear()
        self._delivery.sent.clear()
        return web.json_response({"ok": True})

    async def _deliveries(self, request: web.Request) -> web.Response:
        """Everything sent to the app, with what came back."""
        kind = request.query.get("kind", "")
        sent = [d for d in self._delivery.sent if kind in ("", d["kind"])]
        return web.json_response({"ok": True, "connected": self._delivery.link.connected(), "deliveries": sent})

    async def _set_mischief(self, request: web.Request) -> web.Response:
        """``{"lose_first": n, "repeat": n, "retry_delays": [s, ...]}``."""
        body = await json_object(request)
        self._delivery.mischief.lose_first = int(body.get("lose_first", self._delivery.mischief.lose_first))
        self._delivery.mischief.repeat = int(body.get("repeat", self._delivery.mischief.repeat))
        if isinstance(body.get("retry_delays"), list):
            self._delivery.retry_delays = tuple(float(delay) for delay in body["retry_delays"])
        return web.json_response({"ok": True})

    async def _replay(self, request: web.Request) -> web.Response:
        """``{"times": n}``: send the last interaction again, in HTTP mode byte for byte."""
        body = await json_object(request)
        return web.json_response({"ok": True, "acked": await self._delivery.link.replay(int(body.get("times", 1)))})

    async def _set_token(self, request: web.Request) -> web.Response:
        """``{"token", "error": "token_revoked"|"account_inactive"|""}``, or ``{"token", "kind": "bot"|"app"}``."""
        body = await json_object(request)
        token = str(body.get("token", ""))
        if body.get("kind") in ("bot", "app"):
            self._api.tokens[token] = body["kind"]
        if token not in self._api.tokens:
            raise web.HTTPNotFound(text="unknown token; add it with kind")
        self._api.token_errors.pop(token, None)
        if body.get("error"):
            self._api.token_errors[token] = str(body["error"])
        return web.json_response({"ok": True})

    async def _socket(self, request: web.Request) -> web.Response:
        """``{"disconnect": "refresh_requested"|"warning"|"drop"}``."""
        body = await json_object(request)
        if not isinstance(self._delivery.link, SocketMode):
            raise web.HTTPBadRequest(text="the app is reached over HTTP here; there is no socket")
        await self._delivery.link.disconnect(str(body.get("disconnect", "refresh_requested")))
        return web.json_response({"ok": True})

    async def _set_user(self, request: web.Request) -> web.Response:
        """``{"id", ...keys of a user in the seed}``: change somebody, or add somebody."""
        body = await json_object(request)
        known = self._workspace.users.get(str(body.get("id")))
        merged = {**(known.model_dump() if known else {}), **body}
        try:
            user = User.model_validate(merged)
        except ValueError as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        self._workspace.users[user.id] = user
        self._workspace.changed()
        return web.json_response({"ok": True})

    async def _set_channel(self, request: web.Request) -> web.Response:
        """``{"id", "add": [...], "remove": [...], "is_ext_shared", "is_pending_ext_shared", "is_archived"}``."""
        body = await json_object(request)
        try:
            channel = self._workspace.channel(str(body.get("id")))
            for user in body.get("add", []):
                self._workspace.join(channel, self._workspace.user(str(user)).id)
        except SlackError as error:
            raise web.HTTPNotFound(text=error.error) from error
        channel.members = [member for member in channel.members if member not in body.get("remove", [])]
        for key in ("is_ext_shared", "is_pending_ext_shared", "is_archived", "is_private"):
            if isinstance(body.get(key), bool):
                setattr(channel, key, body[key])
        self._workspace.changed()
        return web.json_response({"ok": True})

    async def _verify_url(self, _: web.Request) -> web.Response:
        """Do the ``url_verification`` handshake with the app's request URL."""
        if not isinstance(self._delivery.link, SignedHttp):
            raise web.HTTPBadRequest(text="the app is reached over Socket Mode here; there is no request URL")
        return web.json_response({"ok": await self._delivery.link.verify(self._workspace.new_id("challenge"))})


async def json_object(request: web.Request) -> Json:
    """The JSON object in a request, or 400/415."""
    if request.content_type != "application/json":
        raise web.HTTPUnsupportedMediaType(text="send application/json")
    try:
        body: Any = json.loads(await request.text() or "{}")
    except ValueError as error:
        raise web.HTTPBadRequest(text=f"not JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="send a JSON object")
    return body
