"""What the page sees and does: the state for one person, a stream that says when it changed, and that person's acts."""

import asyncio
import secrets
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from aiohttp import web

from drills.slack.acts import Acts, Done
from drills.slack.control import json_object
from drills.slack.shapes import color
from drills.slack.surfaces import OpenView, Surfaces
from drills.slack.wire import Json, SlackError
from drills.slack.workspace import Channel, Workspace

Act = Callable[[str, Json], Awaitable[Done]]

SHOWN_MESSAGES = 400
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
          "base-uri 'none'; form-action 'none'; frame-ancestors 'none'")  # fmt: skip
_SCRIPTS = ("block_kit.js", "composer.js", "dialogs.js", "markup.js", "messages.js", "page.js", "talk.js")
_STATIC = {"page.css": "text/css", "icon.svg": "image/svg+xml", **dict.fromkeys(_SCRIPTS, "text/javascript")}
_UNSHOWN = ("bot_profile", "client_msg_id", "team", "metadata")


class Ui:
    """The page's side of the workspace."""

    def __init__(self, workspace: Workspace, surfaces: Surfaces, acts: Acts, connected: Callable[[], bool]) -> None:
        self._workspace = workspace
        self._surfaces = surfaces
        self._acts = acts
        self._connected = connected
        self.token = secrets.token_urlsafe(24)
        self._streams: set[asyncio.Event] = set()
        self._closing = False
        workspace.watch(self._wake)

    def routes(self) -> list[web.RouteDef]:
        """The page, its parts, its state and its acts."""
        acts: dict[str, Act] = {
            "message": self._message, "action": self._action, "slash": self._slash, "shortcut": self._shortcut,
            "view_submission": self._submit, "view_closed": self._close, "reaction": self._react,
            "read": self._read, "join": self._join, "home": self._home,
        }  # fmt: skip
        return [
            web.get("/", self._page),
            web.get("/archives/{channel}/{message}", self._page),
            web.get("/static/{name}", self._static),
            web.get("/favicon.ico", lambda _: _file("icon.svg")),
            web.get("/ui/state", self._state),
            web.get("/ui/stream", self._stream),
            *(web.post(f"/ui/{name}", self._guarded(act)) for name, act in acts.items()),
        ]

    def close(self) -> None:
        """End every stream."""
        self._closing = True
        self._wake()

    # ----- reading ----------------------------------------------------------------------------------------------

    def state(self, user_id: str) -> Json:
        """Everything that ``user_id`` sees."""
        workspace, user = self._workspace, self._workspace.user(user_id)
        shown = [c for c in workspace.channels.values() if self._may_see(c, user_id)]
        top = self._surfaces.top(user_id)
        home = self._surfaces.homes.get(user_id)
        return {
            "ok": True,
            "version": workspace.version,
            "now": workspace.now(),
            "team": workspace.team.model_dump(),
            "app": workspace.app.model_dump(exclude={"scopes", "events"}),
            "connected": self._connected(),
            "me": user.id,
            "people": self._people(),
            "users": {u.id: {**u.model_dump(), "color": color(workspace, u.id)} for u in workspace.users.values()},
            "usergroups": {group.id: group.handle for group in workspace.usergroups.values()},
            "channels": [self._channel(c, user_id) for c in shown],
            "modal": _view(top),
            "home": _view(self._surfaces.views[home]) if home else None,
        }

    def _people(self) -> list[str]:
        return [u.id for u in self._workspace.users.values() if not u.deleted and not u.is_bot]

    def _may_see(self, channel: Channel, user_id: str) -> bool:
        if user_id in channel.members:
            return not channel.is_im or bool(channel.messages) or len(channel.members) > 1
        user = self._workspace.user(user_id)
        limited = user.is_restricted or user.is_ultra_restricted or user.is_stranger
        return not (limited or channel.is_private or channel.is_im or channel.is_archived)

    def _channel(self, channel: Channel, user_id: str) -> Json:
        messages = [m for m in channel.messages.values() if m.only_for in ("", user_id)][-SHOWN_MESSAGES:]
        read = channel.read.get(user_id, "")
        unread = [m for m in messages if m.ts > read and m.payload.get("user") != user_id]
        other = [member for member in channel.members if member != user_id] if channel.is_im else []
        return {
            "id": channel.id, "name": channel.name, "topic": channel.topic,
            "purpose": channel.purpose, "is_im": channel.is_im, "with": other,
            "is_private": channel.is_private, "is_archived": channel.is_archived,
            "is_ext_shared": channel.is_ext_shared, "member": user_id in channel.members,
            "members": channel.members, "unread": len(unread) if user_id in channel.members else 0,
            "mentions": sum(f"<@{user_id}>" in str(m.payload.get("text")) or bool(m.only_for) for m in unread),
            "bookmarks": channel.bookmarks, "pins": channel.pins,
            "messages": [
                {**{k: v for k, v in m.payload.items() if k not in _UNSHOWN}, "ephemeral": bool(m.only_for)}
                for m in messages
            ],
        }  # fmt: skip

    async def _state(self, request: web.Request) -> web.Response:
        """What ``?user=`` sees; without it, the first person."""
        user = request.query.get("user", "") or self._people()[0]
        try:
            return web.json_response(self.state(user), headers={"Cache-Control": "no-store"})
        except SlackError as error:
            raise web.HTTPNotFound(text=f"no user {user!r} here") from error

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        """Server-sent events: the version, whenever it changes."""
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await response.prepare(request)
        woken = asyncio.Event()
        self._streams.add(woken)
        try:
            while not self._closing:
                woken.clear()
                await response.write(f"data: {self._workspace.version}\n\n".encode())
                try:
                    await asyncio.wait_for(woken.wait(), 15)
                except TimeoutError:
                    continue
        except ConnectionError:
            pass  # the page was closed
        finally:
            self._streams.discard(woken)
        return response

    def _wake(self) -> None:
        for woken in self._streams:
            woken.set()

    async def _page(self, _: web.Request) -> web.Response:
        text = Path(__file__).with_name("page.html").read_text(encoding="utf-8")
        headers = {"Content-Security-Policy": POLICY, "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff",
                   "Referrer-Policy": "no-referrer"}  # fmt: skip
        return web.Response(text=text.replace("UI-TOKEN", self.token), content_type="text/html", headers=headers)

    async def _static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in _STATIC:
            raise web.HTTPNotFound
        return await _file(name)

    # ----- acting -----------------------------------------------------------------------------------------------

    def _guarded(self, act: Act) -> Callable[[web.Request], Awaitable[web.Response]]:
        async def handle(request: web.Request) -> web.Response:
            if not secrets.compare_digest(request.headers.get("X-UI-Token", "").encode(), self.token.encode()):
                raise web.HTTPForbidden(text="X-UI-Token is missing or wrong; reload the page")
            body = await json_object(request)
            try:
                done = await act(str(body.get("user", "")), body)
            except SlackError as error:
                return web.json_response(error.body(), status=400)
            return web.json_response(asdict(done))

        return handle

    async def _message(self, user: str, body: Json) -> Done:
        text = str(body.get("text", "")).strip()
        if not text:
            return Done(ok=False, error="An empty message cannot be sent.")
        return self._acts.say(user, str(body.get("channel")), text, thread_ts=str(body.get("thread_ts") or ""))

    async def _action(self, user: str, body: Json) -> Done:
        action_id, block_id, given = str(body.get("action_id")), str(body.get("block_id", "")), body.get("value")
        if body.get("view_id"):
            return await self._acts.act_in_view(user, str(body["view_id"]), action_id, block_id=block_id, given=given)
        return await self._acts.act(
            user, str(body.get("channel")), str(body.get("ts")), action_id, block_id=block_id, given=given
        )

    async def _slash(self, user: str, body: Json) -> Done:
        return await self._acts.slash(user, str(body.get("channel")), str(body.get("text", "")))

    async def _shortcut(self, user: str, body: Json) -> Done:
        return await self._acts.shortcut(
            user, str(body.get("channel")), str(body.get("ts")), str(body.get("callback_id"))
        )

    async def _submit(self, user: str, body: Json) -> Done:
        values: Any = body.get("values")
        return await self._acts.submit(user, str(body.get("view_id")), values if isinstance(values, dict) else {})

    async def _close(self, user: str, body: Json) -> Done:
        return await self._acts.close(user, str(body.get("view_id")))

    async def _react(self, user: str, body: Json) -> Done:
        return self._acts.react(user, str(body.get("channel")), str(body.get("ts")), str(body.get("name")))

    async def _read(self, user: str, body: Json) -> Done:
        self._workspace.mark_read(str(body.get("channel")), user)
        return Done()

    async def _join(self, user: str, body: Json) -> Done:
        self._workspace.join(self._workspace.channel(str(body.get("channel"))), self._workspace.user(user).id)
        return Done()

    async def _home(self, user: str, _: Json) -> Done:
        return self._acts.open_home(user)


def _view(shown: OpenView | None) -> Json | None:
    return None if shown is None else {key: value for key, value in shown.view.items() if key != "private_metadata"}


async def _file(name: str) -> web.Response:
    text = Path(__file__).with_name(name).read_text(encoding="utf-8")
    headers = {"X-Content-Type-Options": "nosniff", "Cache-Control": "no-cache"}
    return web.Response(text=text, content_type=_STATIC[name], headers=headers)
