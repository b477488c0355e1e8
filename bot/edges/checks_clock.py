"""Whether our clock agrees with those we talk to: signatures, expiries and baselines depend on it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from statistics import median

from bot.edges.checks import Check, not_checked, ok, problem

MOST_SKEW_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How far another clock is ahead of ours, in seconds."""

    source: str
    ahead_s: float


def reading(source: str, headers: Mapping[str, str], now: datetime) -> Reading | None:
    """What a reply's ``Date`` says; None without one, or if the reply stood in a cache."""
    known = {name.lower(): value for name, value in headers.items()}
    if known.get("age", "0").strip() not in ("", "0"):
        return None
    try:
        theirs = parsedate_to_datetime(known["date"])
    except (KeyError, ValueError, TypeError):
        return None
    theirs = theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC)
    # The header has whole seconds: on average half a second has passed since.
    return Reading(source=source, ahead_s=(theirs - now).total_seconds() + 0.5)


def clock(readings: Sequence[Reading]) -> Check:
    """Ours is wrong when most others disagree with it; a single one that does is their own matter."""
    name = "clock"
    if not readings:
        return not_checked(name, "nobody who answered told the time")
    ahead = median(one.ahead_s for one in readings)
    if abs(ahead) > MOST_SKEW_S:
        detail = f"ours is {abs(ahead):.0f} s {'behind' if ahead > 0 else 'ahead of'} {_names(readings)}"
        return problem(name, detail, "let it be kept by NTP: `timedatectl set-ntp true`, or ask who runs this machine")
    odd = [one for one in readings if abs(one.ahead_s - ahead) > MOST_SKEW_S]
    told = f"within {MOST_SKEW_S:.0f} s of {_names([one for one in readings if one not in odd])}"
    return ok(name, told + (f"; odd: {', '.join(f'{o.source} by {o.ahead_s:+.0f} s' for o in odd)}" if odd else ""))


def _names(readings: Sequence[Reading]) -> str:
    names = list(dict.fromkeys(one.source for one in readings))
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
