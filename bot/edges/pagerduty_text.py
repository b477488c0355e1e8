"""What PagerDuty's objects say, as text lines: for people, and for retrieval. Works on webhooks and on the REST API."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_LINES = 200
MAX_DEPTH = 6

_SAID: Mapping[str, str] = {
    "content": "Note",
    "message": "Message",
    "state": "State",
}
_SKIPPED = frozenset({"id", "type", "self", "html_url", "summary", "title"})


def body_lines(data: Mapping[str, Any], event_type: str = "") -> list[str]:
    """Details, alerts, custom fields, links and conference bridge of an event's data; at most 200 lines."""
    lines = [f"Event: {event_type}"] if event_type and not event_type.startswith(("incident.", "pagey.")) else []
    for key, label in _SAID.items():
        if isinstance(data.get(key), str) and data[key]:
            lines.append(f"{label}: {data[key]}")
    user = data.get("user")
    if isinstance(user, dict) and isinstance(user.get("summary"), str):
        lines.append(f"Responder: {user['summary']}")
    lines += incident_lines(data)
    return lines[:MAX_LINES]


def incident_lines(data: Mapping[str, Any]) -> list[str]:
    """The same of an incident alone."""
    lines: list[str] = []
    for key in ("description", "body", "details"):
        lines += _flat("", data.get(key))
    for alert in _items(data, "alerts"):
        lines += alert_lines(alert)
    lines += field_lines(data)
    lines += link_lines(data)
    bridge = data.get("conference_bridge")
    if isinstance(bridge, dict):
        lines += [f"Conference: {value}" for value in bridge.values() if isinstance(value, str) and value]
    return lines[:MAX_LINES]


def alert_lines(alert: Mapping[str, Any]) -> list[str]:
    """Summary, severity and the whole body of an alert."""
    lines = [f"Alert: {alert['summary']}"] if isinstance(alert.get("summary"), str) else []
    if isinstance(alert.get("severity"), str):
        lines.append(f"Severity: {alert['severity']}")
    body = alert.get("body")
    if isinstance(body, dict):
        lines += link_lines(body)
        lines += _flat("", {key: value for key, value in body.items() if key not in ("contexts", "links", "images")})
    return lines


def field_lines(data: Mapping[str, Any]) -> list[str]:
    """Custom fields with their values."""
    lines = []
    for key in ("custom_fields", "custom_field_values"):
        for item in _items(data, key):
            name = item.get("display_name") or item.get("name")
            value = item.get("value")
            if isinstance(name, str) and value not in (None, "", []):
                text = ", ".join(str(v) for v in value) if isinstance(value, list) else str(value)
                lines.append(f"{name}: {text}")
    return lines


def link_lines(data: Mapping[str, Any]) -> list[str]:
    """Links and link contexts: text, then address."""
    lines = []
    for key in ("links", "contexts"):
        for item in _items(data, key):
            href, text = item.get("href"), item.get("text") or item.get("alt") or ""
            if isinstance(href, str):
                lines.append(f"Link: {text} {href}".replace("  ", " "))
    return lines


def _items(data: Mapping[str, Any], key: str) -> Iterator[Mapping[str, Any]]:
    value = data.get(key)
    if isinstance(value, list):
        yield from (item for item in value[:50] if isinstance(item, dict))


def _flat(name: str, value: Any, depth: int = 0) -> list[str]:
    """Nested JSON as ``path: value`` lines."""
    if value is None or value in ("", [], {}) or depth > MAX_DEPTH:
        return []
    if isinstance(value, dict):
        kept = [(key, item) for key, item in value.items() if depth or key not in _SKIPPED]
        return [line for key, item in kept[:100] for line in _flat(f"{name}.{key}" if name else key, item, depth + 1)]
    if isinstance(value, list):
        if all(isinstance(item, (str, int, float)) for item in value):
            return [f"{name}: {', '.join(str(item) for item in value[:50])}"]
        return [line for item in value[:50] for line in _flat(name, item, depth + 1)]
    return [f"{name}: {value}" if name else str(value)]
