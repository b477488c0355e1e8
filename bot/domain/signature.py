"""Who really sent this: HMAC-SHA256 over raw bytes, for PagerDuty and Slack. Nothing is parsed before it has passed."""

import enum
import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime

MAX_SIGNATURES = 8
SLACK_WINDOW_S = 300

_PAGERDUTY = re.compile(rb"v1=([0-9a-f]{64})")
_SLACK = re.compile(rb"v0=([0-9a-f]{64})")
_TIMESTAMP = re.compile(rb"[0-9]{10}")

Headers = Iterable[tuple[bytes, bytes]]
"""As they came: every occurrence, in order."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SigningSecret:
    """A secret that signatures are checked with. Several may be live while one is being replaced."""

    value: str = field(repr=False)
    not_after: datetime | None = None
    """From this moment on it is revoked; None: valid until it is removed."""


class Verified(enum.StrEnum):
    """What a check came to."""

    GENUINE = "genuine"
    MALFORMED = "malformed"
    """No signature of a form we know, or one that nobody honest sends."""
    MISMATCH = "mismatch"
    """A signature, but of none of our secrets."""
    STALE = "stale"
    """Made too long ago or too far ahead."""


def pagerduty(raw: bytes, headers: Headers, secrets: Sequence[SigningSecret], now: datetime) -> Verified:
    """Check ``X-PagerDuty-Signature``: any ``v1`` signature by any live secret will do; other versions are ignored."""
    values = [value for name, value in headers if name.lower() == b"x-pagerduty-signature"]
    parts = [part.strip() for value in values for part in value.split(b",", MAX_SIGNATURES + 1)]
    if len(parts) > MAX_SIGNATURES:
        return Verified.MALFORMED
    given = [match[1] for part in parts if (match := _PAGERDUTY.fullmatch(part))]
    if not given:
        return Verified.MALFORMED
    return Verified.GENUINE if _signed(raw, given, secrets, now) else Verified.MISMATCH


def slack(raw: bytes, headers: Headers, secrets: Sequence[SigningSecret], now: datetime) -> Verified:
    """Check Slack's ``v0`` signature and its age. A header that is there twice is ``malformed``."""
    stamps, signatures = (
        [value for name, value in headers if name.lower() == wanted]
        for wanted in (b"x-slack-request-timestamp", b"x-slack-signature")
    )
    if len(stamps) > 1 or len(signatures) > 1:
        return Verified.MALFORMED
    if not stamps or not signatures or _TIMESTAMP.fullmatch(stamps[0]) is None:
        return Verified.MISMATCH
    match = _SLACK.fullmatch(signatures[0])
    if match is None:
        return Verified.MISMATCH
    if abs(now.timestamp() - int(stamps[0])) > SLACK_WINDOW_S:
        return Verified.STALE
    basis = b"v0:" + stamps[0] + b":" + raw
    return Verified.GENUINE if _signed(basis, [match[1]], secrets, now) else Verified.MISMATCH


def _signed(message: bytes, given: Sequence[bytes], secrets: Sequence[SigningSecret], now: datetime) -> bool:
    """Every live secret is tried with every signature, so that the time taken tells nothing."""
    found = False
    for secret in secrets:
        if not secret.value or (secret.not_after is not None and now >= secret.not_after):
            continue
        expected = hmac.new(secret.value.encode(), message, hashlib.sha256).hexdigest().encode()
        for candidate in given:
            found |= hmac.compare_digest(expected, candidate)
    return found
