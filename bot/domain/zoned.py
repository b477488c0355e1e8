"""A view in another time zone: every moment keeps what it is and changes how it is written.

Each becomes a moment of a fixed offset with the zone's name at that time. A zone itself would make arithmetic wrong:
Python subtracts two times of the same zone by the clock on the wall, an hour off where summer time begins or ends.
"""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import Any, TypeVar

from bot.domain.view import IncidentView

_MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(?:\.\d{1,6})?(?:Z|[+-]\d{2}:\d{2})", re.ASCII)
T = TypeVar("T")


def zoned(view: IncidentView, zone: tzinfo) -> IncidentView:
    """The view with every moment in this zone; the same view for UTC."""
    return view if zone is UTC else _zoned(view, zone)


def local(at: datetime, zone: tzinfo) -> datetime:
    """The same moment at the offset that the zone has then, with the name that it has then."""
    there = at.astimezone(zone)
    offset = there.utcoffset() or timedelta()
    name = there.tzname() or ""
    return there.replace(tzinfo=timezone(offset, f"UTC{name}" if name[:1] in "+-" else name), fold=0)


def _zoned(value: Any, zone: tzinfo) -> Any:
    if isinstance(value, datetime):
        return local(value, zone) if value.tzinfo is not None else value
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in fields(value):
            old = getattr(value, field.name)
            new = _zoned(old, zone)
            if new is not old:
                changed[field.name] = new
        return replace(value, **changed) if changed else value
    if isinstance(value, tuple):
        made = tuple(_zoned(each, zone) for each in value)
        return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
    if isinstance(value, Mapping):
        return _read(value, zone)
    return value


def _read(data: Mapping[str, Any], zone: tzinfo) -> Mapping[str, Any]:
    """Plain JSON with the moments at its top read: deeper ones are not shown as moments."""
    found = {
        key: local(datetime.fromisoformat(value), zone)
        for key, value in data.items()
        if isinstance(value, str) and len(value) < 40 and _MOMENT.fullmatch(value) and _valid(value)
    }
    return {**data, **found} if found else data


def _valid(text: str) -> bool:
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return False
    return True
