"""Who has which role in an incident, and until when it is to be quiet."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from bot.domain.edits import moment
from bot.domain.view import IncidentView

ROLES: Mapping[str, str] = {
    "commander": "decides and coordinates", "scribe": "keeps the timeline", "comms": "tells everybody else",
}  # fmt: skip
"""The roles of an incident, and what whoever has one does."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Holder:
    """Who has a role, and since when."""

    name: str
    since: datetime
    ref: str


def roles_of(view: IncidentView) -> dict[str, Holder]:
    """Role -> who has it now."""
    taken: dict[str, Holder] = {}
    for entry in view.entries("role_taken"):
        role, name = str(entry.fact.data.get("role")), str(entry.fact.data.get("holder"))
        taken[role] = Holder(name=name, since=entry.at, ref=f"#{entry.seq}")
    return {role: taken[role] for role in ROLES if role in taken}


def snoozed_until(view: IncidentView, now: datetime) -> datetime | None:
    """Until when nobody is to be reminded; None when it is not snoozed."""
    asked = view.entries("snoozed")
    until = moment(asked[-1].fact.data.get("until")) if asked else None
    return until if until is not None and until > now and view.incident.active else None
