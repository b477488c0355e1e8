"""Time zones by name."""

from datetime import UTC, tzinfo
from difflib import get_close_matches
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones


class UnknownZone(ValueError):
    """There is no such zone; the message names what is near."""


def zone(name: str) -> tzinfo:
    """The zone of this name, such as ``Europe/Berlin``. Raises :class:`UnknownZone`."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        known = available_timezones()
        folded = {one.lower(): one for one in known} | {one.rsplit("/", 1)[-1].lower(): one for one in sorted(known)}
        near = [folded[one] for one in get_close_matches(name.lower()[:64], folded, n=3)]
        hint = f"; did you mean {', '.join(dict.fromkeys(near))}?" if near else ""
        raise UnknownZone(
            f"{name[:64]!r} is no time zone{hint} Names are those of the IANA database, such as Europe/Berlin or UTC"
        ) from None
