"""What goes back over HTTP: a reply, how long it takes, and its body in pieces if it is streamed."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Outgoing:
    """A reply with its timing. The server sleeps in real time and tells the timing in headers in virtual time."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_byte_s: float = 0.0
    """Until the first byte of the body."""
    elapsed_s: float = 0.0
    """Until its last."""
    pieces: tuple[bytes, ...] = ()
    """The body in the order it is streamed; empty: it comes at once, at the end."""
    broken: bool = False
    """The stream ends without its end: the connection is closed after the last piece."""
    failure: str = ""
    """Set when there is no reply: how far the request came, ``dns`` or ``read``. In real time the connection is closed,
    since loopback has no names to fail; in virtual time the header ``x-sim-failure`` says it."""


def json_reply(
    document: object,
    status: int = 200,
    *,
    headers: Mapping[str, str] | None = None,
    elapsed_s: float = 0.004,
    first_byte_s: float | None = None,
) -> Outgoing:
    """A JSON document that comes at once. Without streaming the first byte comes with the last."""
    return Outgoing(
        status=status,
        headers={"content-type": "application/json", **(headers or {})},
        body=json.dumps(document, ensure_ascii=False).encode(),
        first_byte_s=elapsed_s if first_byte_s is None else first_byte_s,
        elapsed_s=elapsed_s,
    )


def no_reply(failure: str, elapsed_s: float) -> Outgoing:
    """The request fails at this stage after ``elapsed_s``."""
    return Outgoing(status=503, elapsed_s=elapsed_s, first_byte_s=elapsed_s, failure=failure)


@dataclass(frozen=True, kw_only=True, slots=True)
class Incoming:
    """A request as the world sees it."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    """Lower-case names."""
    body: bytes
    at: float
    """Unix seconds, in the world's time."""

    def json(self) -> Any:
        """The body as JSON; None if it is not JSON."""
        try:
            return json.loads(self.body) if self.body else None
        except ValueError:
            return None
