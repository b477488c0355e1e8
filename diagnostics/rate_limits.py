"""Rate-limit headers: what both vendors' families say is left, also as a gateway forwards them."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta


@dataclass(frozen=True, kw_only=True, slots=True)
class Limit:
    """One dimension of a rate limit as response headers report it."""

    dimension: str
    """``requests``, ``tokens``, ``input-tokens`` or ``output-tokens``."""
    limit: float | None = None
    remaining: float | None = None
    reset: str = ""
    """As sent: a duration such as ``6m0s``, or a moment in RFC 3339."""

    @property
    def share(self) -> float | None:
        """Remaining over limit; None unless both are reported."""
        return self.remaining / self.limit if self.limit and self.remaining is not None else None


def read_limits(headers: Mapping[str, str]) -> tuple[Limit, ...]:
    """Rate-limit headers of both vendors' families, also as a gateway forwards them."""
    found = []
    for dimension in ("requests", "tokens", "input-tokens", "output-tokens"):
        parts = {part: _header(headers, part, dimension) for part in ("limit", "remaining", "reset")}
        limit, remaining = number(parts["limit"]), number(parts["remaining"])
        if limit is not None or remaining is not None:
            found.append(Limit(dimension=dimension, limit=limit, remaining=remaining, reset=parts["reset"]))
    return tuple(found)


def number(text: str) -> float | None:
    """A finite number, or None."""
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value == value and abs(value) != float("inf") else None  # noqa: PLR0124 (NaN is not itself)


def _header(headers: Mapping[str, str], part: str, dimension: str) -> str:
    for prefix in ("", "llm_provider-"):
        for name in (f"x-ratelimit-{part}-{dimension}", f"anthropic-ratelimit-{dimension}-{part}"):
            if value := headers.get(prefix + name):
                return value
    return ""


def retry_after(headers: Mapping[str, str]) -> float | None:
    milliseconds = number(headers.get("retry-after-ms", ""))
    if milliseconds is not None:
        return max(0.0, milliseconds / 1000)
    seconds = number(headers.get("retry-after", ""))
    return max(0.0, seconds) if seconds is not None else None


_DURATION_PART = re.compile(r"(\d{1,9}(?:\.\d{1,9})?)(ms|h|m|s)")
_UNIT_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}


def seconds_to_reset(reset: str, now: datetime) -> float | None:
    """Seconds from ``now`` until a limit resets, out of ``1s``, ``6m0s``, ``120ms``, ``30`` or an RFC 3339 moment."""
    text = reset.strip()[:40]
    if (plain := number(text)) is not None:
        return max(0.0, plain)
    parts = _DURATION_PART.findall(text)
    if parts and "".join(value + unit for value, unit in parts) == text:
        return sum(float(value) * _UNIT_S[unit] for value, unit in parts)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return max(0.0, (moment - now) / timedelta(seconds=1))
