"""Slack over HTTP: the raw request is verified before anything reads it, and handed on without Bolt's own headers."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from bot.domain.signature import Headers, SigningSecret, Verified, slack


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackRequest:
    """A request that Slack really made. Header names are lower case; those that steer Bolt are gone."""

    raw: bytes
    headers: Mapping[str, str]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackReply:
    """What Slack is answered."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


SlackInstall = Callable[[str, str, Mapping[str, str]], Awaitable[SlackReply]]
"""A browser that ``begin``s or ``finish``es an installation: the step, the query and the headers."""
SlackHandler = Callable[[SlackRequest], Awaitable[SlackReply]]


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackRefused:
    """Why a request is not Slack's, and the status that says so. Its body is never looked at, nor logged."""

    status: int
    reason: str


def verify(
    raw: bytes, headers: Headers, secrets: Sequence[SigningSecret], now: datetime
) -> SlackRequest | SlackRefused:
    """Check the signature over the raw bytes and the age of the request."""
    pairs = list(headers)
    match slack(raw, pairs, secrets, now):
        case Verified.MALFORMED:
            return SlackRefused(status=400, reason="doubled_header")
        case Verified.STALE:
            return SlackRefused(status=401, reason="stale_timestamp")
        case Verified.MISMATCH:
            return SlackRefused(status=401, reason="signature_mismatch")
        case Verified.GENUINE:
            # Bolt obeys x-slack-bolt-* headers, which Slack does not sign: they could skip a listener's checks.
            kept = {
                name.decode("latin-1").lower(): value.decode("latin-1")
                for name, value in pairs
                if not name.lower().startswith(b"x-slack-bolt-")
            }
            return SlackRequest(raw=raw, headers=kept)
