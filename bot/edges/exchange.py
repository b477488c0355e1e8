"""One request out, one whole reply in, within limits."""

import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol
from urllib.parse import quote, urlencode

import httpcore

from bot.edges.pinned import CONNECT_S, Line
from config.http import FailureStage, HttpError, Reply

MAX_REPLY_BYTES = 1_048_576
HARD_MAX_REPLY_BYTES = 4_194_304

NETWORK_ERRORS = (httpcore.NetworkError, httpcore.TimeoutException, httpcore.ProtocolError)


@dataclass(frozen=True, kw_only=True, slots=True)
class Ask:
    """What a caller wants sent."""

    method: str
    path: str
    query: Mapping[str, str] | None = None
    body: object = None
    headers: Mapping[str, str] = field(default_factory=dict)
    """Checked already, credential included."""


@dataclass(slots=True)
class Progress:
    """How far a request came: what a failure means for the caller depends on nothing else."""

    stage: FailureStage = "connect"
    sent_at: float | None = None

    async def trace(self, event: str, _info: Mapping[str, Any]) -> None:
        """Called by httpcore at each step."""
        if event == "connection.start_tls.started":
            self.stage = "tls"
        elif event == "http11.send_request_headers.started":
            self.stage, self.sent_at = "read", time.monotonic()


class Sender(Protocol):
    """A pool, or a single connection."""

    async def handle_async_request(self, request: httpcore.Request) -> httpcore.Response:
        """Send it and read the reply's headers."""
        ...


def compose(line: Line, ask: Ask, timeout_s: float, progress: Progress) -> httpcore.Request:
    """The request as bytes. Raises :class:`HttpError` ``refused`` for a body that is not plain JSON."""
    endpoint = line.endpoint
    headers = {
        "host": endpoint.authority, "user-agent": "pagerunner", "accept": "application/json, */*;q=0.5",
        "accept-encoding": "identity", **ask.headers,
    }  # fmt: skip
    content = b""
    if ask.body is not None:
        try:
            content = json.dumps(ask.body, ensure_ascii=False, allow_nan=False).encode()
        except (ValueError, TypeError) as error:
            raise HttpError("refused", line.target.name, f"the body is not plain JSON: {error}") from error
        headers["content-type"] = "application/json"
    if ask.method in ("POST", "PUT", "PATCH") or content:
        headers["content-length"] = str(len(content))
    where = endpoint.base_path + ask.path + ("?" + urlencode(ask.query, quote_via=quote) if ask.query else "")
    url = httpcore.URL(
        scheme=endpoint.scheme.encode(), host=endpoint.host.encode(), port=endpoint.port, target=where.encode()
    )
    return httpcore.Request(
        ask.method,
        url,
        headers=[(name.encode(), value.encode()) for name, value in headers.items()],
        content=content,
        extensions={"timeout": {"connect": CONNECT_S, "pool": timeout_s}, "trace": progress.trace},
    )


async def exchange(sender: Sender, request: httpcore.Request, target: str, progress: Progress,
                   max_bytes: int = MAX_REPLY_BYTES) -> Reply:  # fmt: skip
    """Send, and read the whole reply within ``max_bytes``. A redirect is a reply like any other."""
    begun = time.monotonic()
    response = await sender.handle_async_request(request)
    try:
        headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in response.headers}
        if headers.get("content-encoding", "identity").strip().lower() not in ("", "identity"):
            raise HttpError("read", target, f"{headers['content-encoding']!r} reply although identity was asked for")
        chunks: list[bytes] = []
        size, first = 0, 0.0
        async for chunk in response.aiter_stream():
            first = first or time.monotonic()
            size += len(chunk)
            if size > max_bytes:
                raise HttpError("too_large", target, f"reply of more than {max_bytes} bytes")
            chunks.append(chunk)
    finally:
        await response.aclose()
    start, ended = progress.sent_at or begun, time.monotonic()
    return Reply(
        status=response.status, headers=headers, body=b"".join(chunks), first_byte_s=(first or ended) - start,
        elapsed_s=ended - start,
    )  # fmt: skip
