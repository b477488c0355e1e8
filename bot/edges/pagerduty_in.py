"""PagerDuty V3 webhooks: whose they are, which key they are kept under, and what they say in our words.

Whatever is signed is kept: a body that cannot be read is quarantined for a person, never refused.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.page import Page, PageKind
from bot.domain.signature import Headers, SigningSecret, Verified, pagerduty
from bot.edges import pagerduty_remarks, strict_json
from bot.edges.pagerduty_text import body_lines
from bot.edges.text import Redact, fit

STALE_AFTER = timedelta(hours=72)
AHEAD = timedelta(minutes=5)
"""How far ahead of ours a sender's clock may be before it is not believed."""
BEHIND = timedelta(days=30)
MAX_BODY_CHARS = 8_192
MAX_TITLE_CHARS = 1_024
MAX_NAME_CHARS = 256
NO_TITLE = "PagerDuty incident without a title"

KINDS: Mapping[str, PageKind] = {
    "incident.triggered": "triggered",
    "incident.acknowledged": "acknowledged",
    "incident.unacknowledged": "unacknowledged",
    "incident.escalated": "escalated",
    "incident.delegated": "reassigned",
    "incident.reassigned": "reassigned",
    "incident.reopened": "reopened",
    "incident.resolved": "resolved",
    "incident.priority_updated": "priority",
    "incident.annotated": "note",
    "incident.responder.added": "responder",
    "incident.responder.replied": "responder",
    "incident.status_update_published": "status_update",
    "incident.conference_bridge.updated": "bridge",
    "incident.custom_field_values.updated": "fields",
    "incident.role.assigned": "role",
    "pagey.ping": "ping",
}
"""Event type -> kind; any other type is ``other``."""

SHEDDABLE: frozenset[str] = frozenset(
    {"note", "priority", "responder", "status_update", "bridge", "fields", "role", "ping", "other"}
)
"""Kinds that may be asked to come again under load; a triggered page never is."""

_WITHOUT_INCIDENT = ("ping", "other")

_EVENT_ID = re.compile(r"[A-Za-z0-9_.:-]{1,128}")
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,64}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Quarantined:
    """A signed delivery that we cannot read: kept whole, shown to a person."""

    reason: str


def verify(raw: bytes, headers: Headers, secrets: Sequence[SigningSecret], now: datetime) -> Verified:
    """Whether PagerDuty sent these bytes. See :func:`bot.domain.signature.pagerduty`."""
    return pagerduty(raw, headers, secrets, now)


def delivery_key(raw: bytes) -> str:
    """What a delivery is known by for ever: its signed event id, or the digest of a body without one."""
    event = _event(raw)
    if isinstance(event, Quarantined):
        return f"pagerduty:sha256:{hashlib.sha256(raw).hexdigest()}"
    return f"pagerduty:{event['id']}"


def delivery_kind(raw: bytes) -> PageKind | None:
    """The kind of a delivery, None if it cannot be read: all that load shedding needs to know."""
    event = _event(raw)
    if isinstance(event, Quarantined):
        return None
    kind = KINDS.get(event["event_type"], "other")
    return kind if _reference(_incident(event).get("id")) or kind in _WITHOUT_INCIDENT else None


def parse(raw: bytes, received_at: datetime, *, redact: Redact = str) -> Page | Quarantined:
    """The page in a verified body. ``redact`` takes secrets out of its texts. Never raises for any bytes."""
    event = _event(raw)
    if isinstance(event, Quarantined):
        return event
    kind = KINDS.get(event["event_type"], "other")
    data, incident = _object(event.get("data")), _incident(event)
    reference = _reference(incident.get("id"))
    if not reference and kind not in _WITHOUT_INCIDENT:
        return Quarantined(reason=f"{event['event_type']} without an incident id")
    occurred_at, remark = _when(event.get("occurred_at"), received_at)
    lines = [*body_lines(data, event["event_type"]), *([remark] if remark else [])]
    service = _object(incident.get("service"))
    return Page(
        event_id=event["id"],
        kind=kind,
        occurred_at=occurred_at,
        received_at=received_at,
        source="pagerduty",
        incident_ref=reference,
        incident_key=_name(incident.get("incident_key"), redact),
        number=_number(incident),
        title=_title(incident, redact) or (NO_TITLE if reference else ""),
        body=fit("\n".join(lines), MAX_BODY_CHARS, redact, lines=True),
        link=_link(incident.get("html_url")),
        service_ref=_reference(service.get("id")),
        service_name=_name(service.get("summary"), redact),
        urgency=_name(incident.get("urgency"), redact),
        priority=_name(_object(incident.get("priority")).get("summary"), redact),
        status=_name(incident.get("status"), redact),
        people=tuple(_name(_object(who).get("summary"), redact) for who in _list(incident.get("assignees"))[:50]),
        agent=_agent(event.get("agent"), redact),
        remark=pagerduty_remarks.remark(kind, event, redact),
        merged_into=_merged_into(incident),
        stale=received_at - occurred_at > STALE_AFTER,
    )


def _event(raw: bytes) -> dict[str, Any] | Quarantined:
    try:
        envelope = strict_json.loads(raw)
    except strict_json.JsonError as error:
        return Quarantined(reason=str(error))
    event = _object(_object(envelope).get("event"))
    if _EVENT_ID.fullmatch(_text(event.get("id"))) is None:
        return Quarantined(reason="no event id")
    if not _text(event.get("event_type")):
        return Quarantined(reason="no event type")
    return event


def _incident(event: Mapping[str, Any]) -> dict[str, Any]:
    data = _object(event.get("data"))
    whole = data.get("type") == "incident" or event.get("resource_type") == "incident"
    given = pagerduty_remarks.role_given(data)
    return _object(data.get("incident")) or _object(given.get("incident")) or (data if whole and not given else {})


def _title(incident: Mapping[str, Any], redact: Redact) -> str:
    return fit((_text(incident.get("title")) or _text(incident.get("summary"))).strip(), MAX_TITLE_CHARS, redact)


def _when(value: Any, received_at: datetime) -> tuple[datetime, str]:
    """When it happened, never ahead of us and never absurdly long ago; and what was wrong with the sender's word."""
    try:
        told = datetime.fromisoformat(_text(value))
        told = told.astimezone(UTC) if told.tzinfo else told.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return received_at, "Sender's time is missing or unreadable; the time of receipt is used."
    if told - received_at > AHEAD:
        return received_at, f"Sender's clock says {told.isoformat()}, which has not come yet; time of receipt used."
    if received_at - told > BEHIND:
        return received_at - BEHIND, f"Sender's clock says {told.isoformat()}, more than 30 days ago."
    return min(told, received_at), ""


def _merged_into(incident: Mapping[str, Any]) -> str:
    reason = _object(incident.get("resolve_reason"))
    if reason.get("type") != "merge_resolve_reason":
        return ""
    return _reference(_object(reason.get("incident")).get("id"))


def _agent(value: Any, redact: Redact) -> str:
    agent = _object(value)
    return _name(agent.get("summary"), redact) or _reference(agent.get("id"))


def _number(incident: Mapping[str, Any]) -> int | None:
    """``number`` in webhooks, ``incident_number`` in the REST API."""
    for key in ("number", "incident_number"):
        value = incident.get(key)
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 2**53:
            return value
    return None


def _object(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _name(value: Any, redact: Redact) -> str:
    return fit(_text(value), MAX_NAME_CHARS, redact)


def _reference(value: Any) -> str:
    return value if isinstance(value, str) and _REFERENCE.fullmatch(value) else ""


def _link(value: Any) -> str:
    text = _text(value)
    return text if len(text) <= 2_048 and re.fullmatch(r"https://[!-~]+", text) else ""
