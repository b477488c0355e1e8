"""Limits that uvicorn does not have: deadlines for headers and bodies, sizes, and room for a caller in need.

The protocol closes connections that do not finish their headers; the ASGI part reads the body under a deadline and a
limit before the application sees the request.
"""

import asyncio
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.h11_impl import H11Protocol

Headers = list[tuple[bytes, bytes]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """Seconds and bytes; the defaults suit a webhook receiver."""

    header_s: float = 5.0
    body_s: float = 8.0
    keep_alive_s: int = 5
    body_bytes: int = 524_288
    body_bytes_of: Mapping[str, int] = field(default_factory=lambda: {"/webhooks/pagerduty": 262_144})
    """Paths with a limit of their own. PagerDuty never sends more than 256 KB."""
    header_bytes: int = 16_384
    connections: int = 512
    requests: int = 128
    """Requests that the application works on at once."""
    buffered_bytes: int = 33_554_432
    """All bodies that are being received, together."""
    always: frozenset[str] = frozenset({"/healthz", "/readyz"})
    """Paths that are answered however busy we are."""


class _Connections:
    """The open connections of one server; the one that has been idle longest makes room."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._idle: dict[Any, None] = {}
        self._busy: set[Any] = set()

    def admit(self, protocol: Any) -> bool:
        """Take a new connection in. False: all are at work, and it has to go."""
        if len(self._idle) + len(self._busy) >= self._limit:
            oldest = next(iter(self._idle), None)
            if oldest is None:
                return False
            del self._idle[oldest]
            oldest.transport.abort()
        self._idle[protocol] = None
        return True

    def idle(self, protocol: Any) -> None:
        if protocol in self._busy:
            self._busy.discard(protocol)
            self._idle[protocol] = None

    def busy(self, protocol: Any) -> None:
        if protocol in self._idle:
            del self._idle[protocol]
            self._busy.add(protocol)

    def gone(self, protocol: Any) -> None:
        self._idle.pop(protocol, None)
        self._busy.discard(protocol)


class _GuardedH11(H11Protocol):
    """uvicorn's h11 protocol with a header deadline, re-armed for every request of a connection."""

    limits: Limits
    open_connections: _Connections
    _deadline: asyncio.TimerHandle | None = None
    _admitted = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._admitted = self.open_connections.admit(self)
        if self._admitted:
            self._arm()
        else:
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.open_connections.gone(self)
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._admitted:
            super().data_received(data)
            self._settle(heard=True)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._settle(heard=False)

    def _settle(self, *, heard: bool) -> None:
        """After anything happened: who may be asked to make room, and whether headers are being waited for.

        A sender that is still sending its body may be dropped for another; one that waits for our answer may not.
        """
        cycle: Any = self.cycle
        answering = cycle is not None and not cycle.response_complete
        if answering and not cycle.more_body:
            self.open_connections.busy(self)
        else:
            self.open_connections.idle(self)
        if answering:
            self._disarm()
        elif heard:
            self._arm()

    def _arm(self) -> None:
        if self._deadline is None and not self.transport.is_closing():
            self._deadline = self.loop.call_later(self.limits.header_s, self._too_slow)

    def _disarm(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _too_slow(self) -> None:
        self._deadline = None
        self.transport.abort()


def guarded_protocol(limits: Limits) -> type[asyncio.Protocol]:
    """The protocol class of one server."""
    own = {"limits": limits, "open_connections": _Connections(limits.connections)}
    return type("GuardedProtocol", (_GuardedH11,), own)


class BodyGuard:
    """ASGI wrapper: hands the application only requests whose body is complete, plain and within limits."""

    def __init__(self, app: ASGIApp, limits: Limits | None = None) -> None:
        self._app = app
        self._limits = limits or Limits()
        self._buffered = 0
        self._working = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        if refused := self._headers_refused(scope):
            await _deny(receive, send, refused)
            return
        body, refused = await self._body(scope, receive)
        if refused:
            await _deny(receive, send, refused)
        elif body is not None:
            await self._serve(scope, receive, send, body)

    def _headers_refused(self, scope: Scope) -> int:
        """The status to refuse with, from the headers alone; 0: go on."""
        headers: Headers = scope["headers"]
        lengths = [value for name, value in headers if name == b"content-length"]
        chunked = any(name == b"transfer-encoding" for name, _ in headers)
        if scope["method"] not in ("GET", "HEAD", "POST"):
            return 405
        if sum(len(name) + len(value) for name, value in headers) > self._limits.header_bytes:
            return 431
        if len(lengths) > 1 or (lengths and (chunked or not lengths[0].isdigit() or len(lengths[0]) > 12)):
            return 400
        if any(name == b"content-encoding" and value.strip().lower() != b"identity" for name, value in headers):
            return 415
        return 413 if lengths and int(lengths[0]) > self._limit(scope) else 0

    async def _body(self, scope: Scope, receive: Receive) -> tuple[bytes | None, int]:
        """The whole body, or the status to refuse with; neither if the sender has gone."""
        limit, parts, size = self._limit(scope), [], 0
        try:
            async with asyncio.timeout(self._limits.body_s):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None, 0
                    part = message.get("body", b"")
                    size += len(part)
                    self._buffered += len(part)
                    parts.append(part)
                    if size > limit:
                        return None, 413
                    if self._buffered > self._limits.buffered_bytes:
                        return None, self._overloaded(scope)
                    if not message.get("more_body", False):
                        return b"".join(parts), 0
        except TimeoutError:
            return None, 408
        finally:
            self._buffered -= size

    async def _serve(self, scope: Scope, receive: Receive, send: Send, body: bytes) -> None:
        if self._working >= self._limits.requests and scope["path"] not in self._limits.always:
            await _deny(receive, send, self._overloaded(scope))
            return
        handed_over = False

        async def whole() -> Message:
            nonlocal handed_over
            if handed_over:
                return await receive()
            handed_over = True
            return {"type": "http.request", "body": body, "more_body": False}

        self._working += 1
        try:
            await self._app(scope, whole, send)
        finally:
            self._working -= 1

    def _limit(self, scope: Scope) -> int:
        return self._limits.body_bytes_of.get(scope["path"], self._limits.body_bytes)

    @staticmethod
    def _overloaded(scope: Scope) -> int:
        return 429 if scope["path"].startswith("/webhooks/") else 503


async def _deny(receive: Receive, send: Send, status: int) -> None:
    """Answer at once, then let the sender finish for a moment: a reset would swallow the answer."""
    headers: Headers = [(b"connection", b"close"), (b"content-length", b"0")]
    if status in (429, 503):
        headers.append((b"retry-after", b"1"))
    if status == 405:
        headers.append((b"allow", b"GET, HEAD, POST"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    drained, until = 0, time.monotonic() + 1.0
    try:
        async with asyncio.timeout(1.0):
            while status == 413 and drained < 1_048_576 and time.monotonic() < until:
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
                drained += len(message.get("body", b""))
                if not message.get("more_body", False):
                    break
    except TimeoutError:
        pass
    await send({"type": "http.response.body", "body": b""})


def guarded_config(app: ASGIApp, *, host: str, port: int, limits: Limits | None = None) -> uvicorn.Config:
    """How to serve ``app``: guarded, without proxy headers, web sockets, access log or version in the replies."""
    limits = limits or Limits()
    return uvicorn.Config(
        BodyGuard(app, limits),
        host=host,
        port=port,
        http=guarded_protocol(limits),
        ws="none",
        proxy_headers=False,
        server_header=False,
        access_log=False,
        log_config=None,
        timeout_keep_alive=limits.keep_alive_s,
        timeout_graceful_shutdown=5,
        h11_max_incomplete_event_size=limits.header_bytes,
        backlog=1_024,
    )
