"""What PagerDuty's events say beside the state of the incident: notes, updates, answers, the bridge, fields, roles."""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.domain.page import PageKind, Remark
from bot.edges.text import Redact, fit

MAX_TEXT = 8_192
MAX_NAME = 256
MAX_LINE = 500
MAX_LINES = 50
_WORDS: frozenset[str] = frozenset({"note", "status_update", "responder", "bridge", "fields", "role", "other"})


def remark(kind: PageKind, event: Mapping[str, Any], redact: Redact) -> Remark | None:
    """What the event says; None where the incident says it all. Reads any JSON, and never raises."""
    name = str(event.get("event_type"))[:MAX_NAME]
    if kind not in _WORDS and name != "incident.delegated":
        return None
    data, given = _object(event.get("data")), role_given(_object(event.get("data")))
    text = data.get("content") if kind == "note" else data.get("message")
    person = data.get("user") if kind == "responder" else given.get("assignee")
    return Remark(
        event=fit(name, MAX_NAME, redact),
        text=fit(text if isinstance(text, str) else "", MAX_TEXT, redact, lines=True),
        cut=data.get("trimmed") is True,
        person=_summary(person, redact),
        answer=_name(data.get("state"), redact) if kind == "responder" else "",
        policy=_summary(data.get("escalation_policy"), redact),
        role=_summary(given.get("role"), redact),
        lines=tuple(fit(line, MAX_LINE, redact) for line in _lines(kind, data))[:MAX_LINES],
        by_person=str(_object(event.get("agent")).get("type")) in ("user", "user_reference"),
    )


def role_given(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The assignment of a role: alone among the events, they come as a list. Empty in all others."""
    given = data.get("incident_role_assignments")
    return next((one for one in given if isinstance(one, dict)), {}) if isinstance(given, list) else {}


def _lines(kind: PageKind, data: Mapping[str, Any]) -> Iterator[str]:
    if kind == "bridge":
        if isinstance(data.get("conference_url"), str):
            yield data["conference_url"]
        for one in _items(data.get("conference_numbers")):
            yield " ".join(str(one[key]) for key in ("label", "number") if one.get(key))
    if kind == "fields":
        for one in _items(data.get("changed_custom_fields") or data.get("custom_fields")):
            value = one.get("value")
            shown = ", ".join(map(str, value)) if isinstance(value, list) else "none" if value is None else str(value)
            yield f"{one.get('display_name') or one.get('name')}: {shown}"


def _items(value: Any) -> Iterator[Mapping[str, Any]]:
    if isinstance(value, list):
        yield from (item for item in value[:MAX_LINES] if isinstance(item, dict))


def _summary(value: Any, redact: Redact) -> str:
    return _name(_object(value).get("summary"), redact)


def _name(value: Any, redact: Redact) -> str:
    return fit(value if isinstance(value, str) else "", MAX_NAME, redact)


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}
