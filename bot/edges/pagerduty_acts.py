"""What people change in PagerDuty from here: priority, who has it, and status updates. Each may be called again when it
is not known whether it was done."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from bot.domain.untrusted import line
from bot.ports import Responder, Undeliverable

MOST = 100
"""Priorities, and entries of an incident's log, that are looked at."""
EARLY = timedelta(minutes=5)
"""How far PagerDuty's clock may be behind ours."""


def priorities(session: Any) -> Sequence[str]:
    """The names of the account's priorities, the most severe first; empty where it has none."""
    return [name for name, _ in _known(session)]


def set_priority(session: Any, incident: str, name: str, headers: Mapping[str, str]) -> None:
    """Give the incident this priority. Raises :class:`Undeliverable` for a name that the account does not have."""
    known = _known(session)
    found = next((ref for one, ref in known if one.casefold() == name.casefold()), None)
    if found is None:
        raise Undeliverable(f"PagerDuty has no priority {line(name, 40)}; {_listed(known)}")
    _change(session, incident, {"priority": {"id": found, "type": "priority_reference"}}, headers)


def assign(session: Any, incident: str, to: Responder, headers: Mapping[str, str]) -> None:
    """Give it to this person, or to this escalation policy; whoever has it alone is not paged again."""
    target = {"id": to.id, "type": f"{to.kind}_reference"}
    if to.kind == "escalation_policy":
        _change(session, incident, {"escalation_policy": target}, headers)
        return
    told = session.rget(incident)
    given = told.get("assignments") if isinstance(told, dict) else None
    has = {str((one.get("assignee") or {}).get("id")) for one in given or [] if isinstance(one, dict)}
    if has != {to.id}:
        _change(session, incident, {"assignments": [{"assignee": target}]}, headers)


def publish(session: Any, incident: str, text: str, headers: Mapping[str, str], since: datetime | None) -> None:
    """Publish a status update. ``since``: it may have been published then already; PagerDuty's own log of the incident
    tells, and an update that stands there is not published a second time."""
    if since is not None and _published(session, incident, text, since - EARLY):
        return
    session.rpost(f"{incident}/status_updates", json={"message": text}, headers=headers)


def _published(session: Any, incident: str, text: str, since: datetime) -> bool:
    params = {"since": since.isoformat(), "limit": MOST}
    found = session.rget(f"{incident}/log_entries", params=params)
    for entry in found if isinstance(found, list) else []:
        kind = str(entry.get("type")) if isinstance(entry, dict) else ""
        if kind.startswith("status_update_log_entry") and str(entry.get("message")).split() == text.split():
            return True
    return False


def _known(session: Any) -> list[tuple[str, str]]:
    found = session.rget("/priorities", params={"limit": MOST})
    named = [one for one in (found if isinstance(found, list) else []) if isinstance(one, dict) and one.get("id")]
    return [(str(one.get("name") or one.get("summary") or one["id"]), str(one["id"])) for one in named]


def _listed(known: Sequence[tuple[str, str]]) -> str:
    if not known:
        return "the account has none: switch them on in PagerDuty, under Incident Priorities"
    return f"there are: {', '.join(line(name, 40) for name, _ in known[:20])}"


def _change(session: Any, incident: str, change: Mapping[str, Any], headers: Mapping[str, str]) -> None:
    session.rput(incident, json={"incident": {"type": "incident_reference", **change}}, headers=headers)
