"""A web server of our own for the client to talk to, and a clock that only moves when told."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from config.catalogue import Catalogue

DATA = Path(__file__).parent / "data"
NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)

Handler = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


@dataclass
class Raw:
    """A TCP server that keeps what it received and answers with what it was told."""

    port: int = 0
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0


@asynccontextmanager
async def raw_server(answer: bytes | Handler, *, tls: bool = False) -> Any:
    """Serve ``answer`` to every request head (and body by content-length); the connection stays open."""
    raw = Raw()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        raw.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = next((int(line.split(b":")[1]) for line in head.lower().split(b"\r\n")
                               if line.startswith(b"content-length:")), 0)  # fmt: skip
                raw.requests.append(head + await reader.readexactly(length))
                if callable(answer):
                    await answer(reader, writer)
                else:
                    writer.write(answer)
                    await writer.drain()
        except (asyncio.IncompleteReadError, asyncio.CancelledError, ConnectionError):
            pass
        finally:
            writer.close()

    context = None
    if tls:
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(DATA / "tls" / "server.pem", DATA / "tls" / "server.key")
    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()


def reply(body: bytes = b"{}", *, status: str = "200 OK", headers: Mapping[str, str] | None = None) -> bytes:
    """An HTTP reply as bytes."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in (headers or {}).items())
    return f"HTTP/1.1 {status}\r\ncontent-length: {len(body)}\r\n{lines}\r\n".encode() + body


def catalogue(**targets: Mapping[str, Any]) -> Catalogue:
    """A catalogue with these targets and nothing else."""
    return Catalogue(
        targets=tuple({"name": name, **target} for name, target in targets.items()),  # type: ignore[arg-type]
        teams=(), services=(), fallback_channel="C0",
    )  # fmt: skip


def local(port: int, **more: Any) -> dict[str, Any]:
    """A target on this machine."""
    return {"base_url": f"http://127.0.0.1:{port}/base", "allow_http": True, "allow_private": ["127.0.0.0/8"], **more}


class StillClock:
    """A clock that moves only in :meth:`sleep`, and remembers how far."""

    def __init__(self, now: datetime = NOW) -> None:
        self._now = now
        self.slept: list[float] = []

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self._now += timedelta(seconds=seconds)
