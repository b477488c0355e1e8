"""Connections of a target: its addresses are resolved once, all checked, and exactly those are connected to."""

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpcore

from bot.edges.addresses import BadUrlError, Endpoint, blocked, endpoint_of, networks
from config.catalogue import Target
from config.http import HttpError

CONNECT_S = 2.0
KEEP_ALIVE_S = 20.0

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host name and port to addresses. Raises OSError if there are none."""


async def system_resolve(host: str, port: int) -> Sequence[str]:
    """Ask the system's resolver, off the event loop."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


@dataclass(frozen=True, slots=True)
class Pinned(httpcore.AsyncNetworkBackend):
    """How the pools of one target connect. What the pool asks for is ignored: only the target's endpoint is reached."""

    target: Target
    endpoint: Endpoint
    resolve: Resolve
    inner: httpcore.AsyncNetworkBackend = field(default_factory=httpcore.AnyIOBackend)

    async def addresses(self) -> Sequence[str]:
        """All addresses of the host, every one of them allowed. Raises :class:`HttpError` otherwise."""
        name, host = self.target.name, self.endpoint.host
        try:
            async with asyncio.timeout(CONNECT_S):
                found = await self.resolve(host, self.endpoint.port)
        except TimeoutError as error:
            raise HttpError("dns", name, f"no answer for {host} within {CONNECT_S:g} s") from error
        except (OSError, UnicodeError) as error:
            raise HttpError("dns", name, f"{host} does not resolve: {error}") from error
        if not found:
            raise HttpError("dns", name, f"{host} has no address")
        allowed = networks(self.target)
        for address in found:
            if reason := blocked(address, allowed):
                raise HttpError("refused", name, f"{host}: {reason}")
        return found

    async def connect(self, addresses: Sequence[str]) -> httpcore.AsyncNetworkStream:
        """The first of these checked addresses that answers, all within the connect deadline."""
        reason = "no address answered"
        try:
            async with asyncio.timeout(CONNECT_S):
                for address in addresses:
                    try:
                        return await self.inner.connect_tcp(address, self.endpoint.port)
                    except httpcore.ConnectError as error:
                        reason = f"{address} port {self.endpoint.port}: {error}"
        except TimeoutError:
            reason = f"no answer from {addresses[0]} port {self.endpoint.port} within {CONNECT_S:g} s"
        raise HttpError("connect", self.target.name, reason)

    async def connect_tcp(
        self,
        host: str,  # noqa: ARG002 - the signature is httpcore's
        port: int,  # noqa: ARG002
        timeout: float | None = None,  # noqa: ARG002
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002
    ) -> httpcore.AsyncNetworkStream:
        """Called by the pool."""
        return await self.connect(await self.addresses())


@dataclass(frozen=True, slots=True)
class Line:
    """All that is kept for a target: where it is, how to connect, and its connections."""

    target: Target
    endpoint: Endpoint
    backend: Pinned
    tls: ssl.SSLContext | None
    pool: httpcore.AsyncConnectionPool
    fresh: httpcore.AsyncConnectionPool
    """For effects: a connection of their own, so that an idle one that was just closed leaves no effect unknown."""

    async def aclose(self) -> None:
        """Close every connection."""
        await self.pool.aclose()
        await self.fresh.aclose()


def open_line(target: Target, resolve: Resolve, max_connections: int, kept: int) -> Line:
    """Prepare to talk to a target; connects to nothing. ``kept``: connections that stay open while idle. Raises
    :class:`HttpError` ``refused`` for a bad declaration."""
    try:
        endpoint = endpoint_of(target)
        networks(target)
        tls = ssl.create_default_context(cafile=target.ca_file or None) if endpoint.scheme == "https" else None
    except (BadUrlError, OSError) as error:
        raise HttpError("refused", target.name, str(error)) from error
    backend = Pinned(target, endpoint, resolve)
    pools = [
        httpcore.AsyncConnectionPool(
            ssl_context=tls, max_connections=max_connections, max_keepalive_connections=idle,
            keepalive_expiry=KEEP_ALIVE_S, network_backend=backend, retries=0,
        )
        for idle in (kept, 0)
    ]  # fmt: skip
    return Line(target, endpoint, backend, tls, pools[0], pools[1])
