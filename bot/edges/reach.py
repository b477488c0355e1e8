"""The way to a target, step by step: name, connection, handshake, first reply."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from typing import Literal

import httpcore

from bot.edges.exchange import NETWORK_ERRORS, Ask, Progress, compose, exchange
from bot.edges.pinned import CONNECT_S, Line
from config.http import HttpError, ReachStep, Reply

Step = Callable[[], Awaitable[str]]
"""Does one step and tells what it saw."""


async def walk(line: Line, timeout_s: float, headers: Mapping[str, str]) -> tuple[tuple[ReachStep, ...], Reply | None]:
    """Every step until one fails, on a connection of its own and without the credential."""
    way = _Way(line, timeout_s, headers)
    steps: list[ReachStep] = []
    deadline = time.monotonic() + timeout_s
    try:
        for name, step in way.steps():
            begun = time.monotonic()
            ok, detail = await _tried(step, deadline - begun)
            steps.append(ReachStep(step=name, ok=ok, detail=detail, elapsed_s=time.monotonic() - begun))
            if not ok:
                break
    finally:
        if way.stream is not None:
            await way.stream.aclose()
    return tuple(steps), way.reply


class _Way:
    def __init__(self, line: Line, timeout_s: float, headers: Mapping[str, str]) -> None:
        self._line, self._timeout_s, self._headers = line, timeout_s, headers
        self._addresses: Sequence[str] = ()
        self.stream: httpcore.AsyncNetworkStream | None = None
        self.reply: Reply | None = None

    def steps(self) -> Iterator[tuple[Literal["dns", "tcp", "tls", "http"], Step]]:
        yield "dns", self._dns
        yield "tcp", self._tcp
        if self._line.tls is not None:
            yield "tls", self._tls
        yield "http", self._http

    async def _dns(self) -> str:
        self._addresses = await self._line.backend.addresses()
        return f"{self._line.endpoint.host} is {', '.join(self._addresses)}"

    async def _tcp(self) -> str:
        self.stream = await self._line.backend.connect(self._addresses)
        return f"connected to port {self._line.endpoint.port}"

    async def _tls(self) -> str:
        assert self.stream is not None
        assert self._line.tls is not None
        host = self._line.endpoint.host
        self.stream = await self.stream.start_tls(self._line.tls, server_hostname=host, timeout=CONNECT_S)
        return f"handshake with {host}"

    async def _http(self) -> str:
        assert self.stream is not None
        progress = Progress()
        request = compose(self._line, Ask(method="GET", path="/", headers=self._headers), self._timeout_s, progress)
        connection = httpcore.AsyncHTTP11Connection(request.url.origin, self.stream)
        self.reply = await exchange(connection, request, self._line.target.name, progress)
        return f"HTTP {self.reply.status}"


async def _tried(step: Step, timeout_s: float) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(max(0.0, timeout_s)):
            return True, await step()
    except HttpError as error:
        return False, error.detail
    except TimeoutError:
        return False, "no answer in time"
    except NETWORK_ERRORS as error:
        return False, f"{type(error).__name__}: {error}"
