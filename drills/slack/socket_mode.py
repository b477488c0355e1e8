"""Socket Mode from Slack's side: tickets, hello, envelopes, acknowledgements, pings and refreshes."""

import asyncio
import secrets
from collections.abc import Callable
from typing import Any

from aiohttp import WSMsgType, web

from drills.slack.delivery import ACK_SECONDS, Ack, Kind
from drills.slack.wire import Json, SlackError

MOST_CONNECTIONS = 10
PING_SECONDS = 30.0
TICKET_SECONDS = 60.0


class _Connection:
    """One WebSocket of the app and the envelopes it has not acknowledged."""

    def __init__(self, socket: web.WebSocketResponse, transport: asyncio.Transport | None) -> None:
        self.socket = socket
        self.transport = transport
        self.waiting: dict[str, asyncio.Future[Ack]] = {}
        self.retiring = False


class SocketMode:
    """The app's side is the client: it fetches a ticket and connects; envelopes go to one of its connections."""

    def __init__(self, app_id: str, now: Callable[[], float], changed: Callable[[], None]) -> None:
        self._app_id = app_id
        self._changed = changed
        self._now = now
        self._tickets: dict[str, float] = {}
        self._connections: list[_Connection] = []
        self._turn = 0
        self._arrived = asyncio.Event()
        self._last: Json | None = None
        self.ack_seconds = ACK_SECONDS

    def connected(self) -> bool:
        """Whether an app is there to receive."""
        return bool(self._usable())

    def ticket(self) -> str:
        """A single-use ticket for one connection, as part of the URL of ``apps.connections.open``."""
        if len(self._usable()) >= MOST_CONNECTIONS:
            raise SlackError("too_many_websockets")
        now = self._now()
        self._tickets = {name: until for name, until in self._tickets.items() if until > now}
        name = secrets.token_urlsafe(18)
        self._tickets[name] = now + TICKET_SECONDS
        return name

    async def connect(self, request: web.Request) -> web.StreamResponse:
        """The WebSocket endpoint."""
        if self._tickets.pop(request.query.get("ticket", ""), 0.0) < self._now():
            raise web.HTTPForbidden(text="ticket unknown or used")
        socket = web.WebSocketResponse(heartbeat=PING_SECONDS)
        await socket.prepare(request)
        connection = _Connection(socket, request.transport)
        self._connections.append(connection)
        self._changed()
        try:
            await socket.send_json(self._hello())
            self._arrived.set()
            async for message in socket:
                if message.type is WSMsgType.TEXT:
                    self._acknowledged(connection, message.json())
        finally:
            self._connections.remove(connection)
            self._changed()
            for future in connection.waiting.values():
                if not future.done():
                    future.set_result(Ack(ok=False, reason="connection_failed"))
        return socket

    async def send(self, kind: Kind, payload: Json, *, attempt: int = 0, reason: str = "") -> Ack:
        """Send one envelope; one that its connection took with it goes over another connection."""
        if kind != "events_api":
            self._last = {"kind": kind, "payload": payload}
        loop = asyncio.get_running_loop()
        deadline = loop.time() + self.ack_seconds
        ack = Ack(ok=False, reason="connection_failed")
        while (left := deadline - loop.time()) > 0:
            connection = await self._next_connection(left)
            if connection is None:
                break
            ack = await self._once(connection, kind, payload, attempt, reason)
            if ack.reason != "connection_failed":
                break
        return ack

    async def replay(self, times: int) -> list[bool]:
        """Send the last interaction again in envelopes of their own."""
        if self._last is None:
            return []
        last = dict(self._last)
        return [(await self.send(last["kind"], last["payload"])).ok for _ in range(times)]

    async def disconnect(self, reason: str) -> None:
        """Ask every connection to be renewed (``refresh_requested``, ``warning``), or just cut them (``drop``)."""
        for connection in list(self._connections):
            if reason == "drop":
                if connection.transport is not None:
                    connection.transport.abort()
                continue
            connection.retiring = reason != "warning"
            await connection.socket.send_json({"type": "disconnect", "reason": reason, "debug_info": _debug()})
        if reason not in ("drop", "warning"):
            for connection in list(self._connections):
                if connection.retiring and not connection.waiting:
                    await connection.socket.close()

    async def close(self) -> None:
        """Close every connection, as when the workspace ends."""
        for connection in list(self._connections):
            await connection.socket.close()

    def _usable(self) -> list[_Connection]:
        return [c for c in self._connections if not c.socket.closed and not c.retiring]

    async def _next_connection(self, patience: float) -> _Connection | None:
        usable = self._usable()
        if not usable:
            self._arrived.clear()
            try:
                await asyncio.wait_for(self._arrived.wait(), patience)
            except TimeoutError:
                return None
            usable = self._usable()
        self._turn += 1
        return usable[self._turn % len(usable)] if usable else None

    async def _once(self, connection: _Connection, kind: Kind, payload: Json, attempt: int, reason: str) -> Ack:
        envelope_id = secrets.token_hex(16)
        envelope: Json = {"envelope_id": envelope_id, "type": kind, "payload": payload,
                          "accepts_response_payload": kind != "events_api"}  # fmt: skip
        if kind == "events_api":
            envelope.update(retry_attempt=attempt, retry_reason=reason)
        future: asyncio.Future[Ack] = asyncio.get_running_loop().create_future()
        connection.waiting[envelope_id] = future
        try:
            await connection.socket.send_json(envelope)
            return await asyncio.wait_for(future, self.ack_seconds)
        except TimeoutError:
            return Ack(ok=False, reason="http_timeout")
        except (ConnectionError, RuntimeError):
            return Ack(ok=False, reason="connection_failed")
        finally:
            connection.waiting.pop(envelope_id, None)
            if connection.retiring and not connection.waiting:
                await connection.socket.close()

    def _acknowledged(self, connection: _Connection, answer: Any) -> None:
        if not isinstance(answer, dict):
            return
        future = connection.waiting.get(str(answer.get("envelope_id")))
        if future is not None and not future.done():
            body = answer.get("payload")
            future.set_result(Ack(ok=True, body=body if isinstance(body, dict) else None))

    def _hello(self) -> Json:
        return {"type": "hello", "num_connections": len(self._connections), "debug_info": _debug(),
                "connection_info": {"app_id": self._app_id}}  # fmt: skip


def _debug() -> Json:
    return {"host": "applink-loopback", "build_number": 1, "approximate_connection_time": 18060}
