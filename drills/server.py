"""The world over HTTP: one process, one port. In real time replies take as long as they take; in virtual time the
request's ``x-sim-now`` is the moment, and the reply says in headers how long it took.

Ground truth is answered below ``/referee`` alone, and only with the token.
"""

import asyncio
import hmac
import time
from collections.abc import Callable

from aiohttp import web

from drills import engine_http, prometheus, search_http, status_pages
from drills.admin import ingestion_reply, prompt_reply
from drills.gateway import Gateway
from drills.missing import silenced
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.providers import Providers
from drills.referee import Referee
from drills.tools import tool_reply
from drills.world import World

MAX_BODY = 2_000_000
TOKEN_HEADER = "x-referee-token"  # noqa: S105 - the header's name


class Stage:
    """The world that is on now, and what answers for it."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.world: World | None = None
        self.referee = Referee()
        self.virtual = False
        self._ahead = 0.0
        self._routes: dict[str, Callable[[Incoming], Outgoing]] = {}

    def put_on(self, world: World, *, virtual: bool) -> None:
        """Replace the world."""
        self.world, self.virtual = world, virtual
        self._ahead = world.scenario.started_at - self.wall()
        self._routes = {
            "providers": Providers(world).handle,
            "gateway": Gateway(world).handle,
            "prompts": lambda request: prompt_reply(world, request),
            "ingestion": lambda request: ingestion_reply(world, request),
            "search": lambda request: search_http.handle(world, request),
            "status": lambda request: status_pages.handle(world, request),
            "prometheus": lambda request: prometheus.handle(world, request),
            "engine": lambda request: engine_http.handle(world, request),
            "tools": lambda request: tool_reply(world, request),
        }

    def now(self, told: str | None) -> float:
        """The world's time: the request's word in virtual time, the wall clock otherwise."""
        if not self.virtual or self.world is None:
            return self.wall() + self._ahead
        try:
            return float(told) if told else self.world.latest
        except ValueError:
            return self.world.latest

    def answer(self, part: str, request: Incoming) -> Outgoing:
        """What the world says."""
        handle = self._routes.get(part)
        if handle is None or self.world is None:
            return json_reply({"error": "not found"}, 404)
        return silenced(self.world.scenario.missing, part, request.path, request.at) or handle(request)


def application(token: str, wall: Callable[[], float] = time.time) -> web.Application:
    """The whole server. ``wall`` tells the time in real-time mode."""
    stage = Stage(wall)

    async def serve(request: web.Request) -> web.StreamResponse:
        part, _, rest = request.path.lstrip("/").partition("/")
        body = await request.read()
        if part == "referee":
            if not hmac.compare_digest(request.headers.get(TOKEN_HEADER, "").encode(), token.encode()):
                return web.json_response({"error": "not found"}, status=404)
            incoming = _incoming(request, f"/{rest}", body, stage)
            return await _send(request, await stage.referee.handle(incoming, stage), virtual=True)
        if stage.world is None:
            return web.json_response({"error": "not found"}, status=404)
        outgoing = stage.answer(part, _incoming(request, f"/{rest}", body, stage))
        return await _send(request, outgoing, virtual=stage.virtual)

    app = web.Application(client_max_size=MAX_BODY)
    app.router.add_route("*", "/{path:.*}", serve)
    return app


def _incoming(request: web.Request, path: str, body: bytes, stage: Stage) -> Incoming:
    headers = {name.lower(): value for name, value in request.headers.items()}
    at = stage.now(headers.get("x-sim-now"))
    return Incoming(method=request.method, path=path, query=dict(request.query), headers=headers, body=body, at=at)


async def _send(request: web.Request, outgoing: Outgoing, *, virtual: bool) -> web.StreamResponse:
    if virtual:
        headers = {
            **outgoing.headers,
            "x-sim-elapsed": f"{outgoing.elapsed_s:.6f}",
            "x-sim-first-byte": f"{outgoing.first_byte_s:.6f}",
        }
        if outgoing.failure:
            headers["x-sim-failure"] = outgoing.failure
        return web.Response(status=outgoing.status, headers=headers, body=outgoing.body)
    if outgoing.failure:
        await asyncio.sleep(outgoing.elapsed_s)
        if request.transport is not None:
            request.transport.abort()
        return web.Response(status=outgoing.status)
    if outgoing.pieces:
        return await _stream(request, outgoing)
    await asyncio.sleep(outgoing.elapsed_s)
    return web.Response(status=outgoing.status, headers=outgoing.headers, body=outgoing.body)


async def _stream(request: web.Request, outgoing: Outgoing) -> web.StreamResponse:
    """Send the pieces one by one, evenly between the first byte and the last."""
    response = web.StreamResponse(status=outgoing.status, headers=outgoing.headers)
    await response.prepare(request)
    await asyncio.sleep(outgoing.first_byte_s)
    pause = (outgoing.elapsed_s - outgoing.first_byte_s) / max(len(outgoing.pieces) - 1, 1)
    for number, piece in enumerate(outgoing.pieces):
        if number:
            await asyncio.sleep(pause)
        await response.write(piece)
    if outgoing.broken and request.transport is not None:
        request.transport.abort()
        return response
    await response.write_eof()
    return response
