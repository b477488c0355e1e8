"""What a probe or an action may ask of the network: one request to one target that the catalogue names.

The implementation (``bot/edges/http.py``) owns addresses, TLS, credentials and limits; callers only ever name a target.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

Purpose = Literal["read", "canary", "effect"]
"""``read``: GET/HEAD only. ``canary``: POST too, and only to a path that the target declares in ``canary_paths``.
``effect``: any method, used by actions alone; never retried by the client."""

FailureStage = Literal["refused", "dns", "connect", "tls", "timeout", "read", "too_large"]
"""``refused`` is ours (unknown target, blocked address, undeclared canary path): nothing was sent.
``dns``, ``connect``, ``tls``: surely not sent. ``timeout``, ``read``, ``too_large``: may have been received."""


class HttpError(Exception):
    """A request got no whole reply. ``stage`` says how far it came, ``detail`` what to look at."""

    def __init__(self, stage: FailureStage, target: str, detail: str) -> None:
        super().__init__(f"{target}: {stage}: {detail}")
        self.stage: FailureStage = stage
        self.target = target
        self.detail = detail

    @property
    def surely_not_sent(self) -> bool:
        """Whether the other side cannot have acted on the request."""
        return self.stage in ("refused", "dns", "connect", "tls")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """A whole HTTP reply. Header names are lower case; durations are seconds from the moment of sending."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    first_byte_s: float = 0.0
    """Until the first byte of the *body*: for a streamed completion, the time to the first token."""
    elapsed_s: float = 0.0

    @property
    def text(self) -> str:
        return self.body.decode("utf-8", "replace")


@dataclass(frozen=True, kw_only=True, slots=True)
class ReachStep:
    """One step on the way to a target: ``dns``, ``tcp``, ``tls`` or ``http``, and how it went."""

    step: Literal["dns", "tcp", "tls", "http"]
    ok: bool
    detail: str
    elapsed_s: float


class Http(Protocol):
    """The one safe client. Raises :class:`HttpError`; an HTTP error status is a :class:`Reply` like any other."""

    async def request(
        self,
        target: str,
        method: str,
        path: str,
        *,
        purpose: Purpose = "read",
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 8.0,
    ) -> Reply:
        """Send one request to the named target; ``body`` is sent as JSON. ``path`` starts with ``/``."""
        ...

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        """Resolve, connect, handshake, then an unauthenticated GET of ``/``; stops at the first step that fails."""
        ...
