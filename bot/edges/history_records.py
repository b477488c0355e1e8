"""Past pages as values: from PagerDuty's own objects, from webhooks and from plain lines, on file or just read."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bot.domain.page import Page
from bot.edges import pagerduty_in
from bot.edges.text import Redact, fit

MAX_FILE = 200_000_000
MOST_NOTES = 20
MAX_NOTE = 400
EXPECTED = (
    "a PagerDuty incident as its REST API gives it, a V3 webhook event, a line of a --cache file, or "
    '{"title": "…", "body": "…", "service": "…", "at": "…"}'
)
Json = Mapping[str, Any]


class UnreadableHistory(Exception):
    """A file that is no history: where, and what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Past:
    """A page of the past, and what people wrote about it then. All text is untrusted."""

    page: Page
    service: str = ""
    """Name in the catalogue, where the file says it."""
    notes: tuple[str, ...] = ()
    service_title: str = ""
    dated: bool = True
    """Whether it is known when it was."""


def past(row: Json, redact: Redact, where: str = "") -> Past | None:
    """The page in this row; None for an event that pages nobody. Raises :class:`UnreadableHistory`."""
    if isinstance(row.get("event"), dict):
        return _webhook(row, redact, where)
    incident = row.get("incident") if isinstance(row.get("incident"), dict) else row
    if isinstance(incident, dict) and incident.get("id") and isinstance(incident.get("service"), dict):
        return _incident(incident, row, redact, where)
    title, body, name = (row.get(key, "") for key in ("title", "body", "service"))
    if isinstance(title, str) and title.strip() and isinstance(body, str) and isinstance(name, str):
        told = _moment(row.get("at"))
        at = told or datetime.now(UTC)
        page = Page(event_id=str(row.get("id") or where), kind="triggered", occurred_at=at, received_at=at,
                    source="file", incident_ref=fit(str(row.get("id") or ""), 64, redact),
                    title=fit(title, pagerduty_in.MAX_TITLE_CHARS, redact),
                    body=fit(body, pagerduty_in.MAX_BODY_CHARS, redact, lines=True))  # fmt: skip
        return Past(page=page, service=name, service_title=fit(name, 64, redact), dated=told is not None)
    raise UnreadableHistory(f"{where}: expected {EXPECTED}")


def read(path: Path, redact: Redact) -> Iterator[Past]:
    """Every page of a JSON or JSON-lines file, each of the pager's incidents once. Raises
    :class:`UnreadableHistory`."""
    seen: set[str] = set()
    for where, row in _rows(path):
        found = past(row, redact, where)
        if found is None or (found.page.incident_ref and found.page.incident_ref in seen):
            continue
        seen.add(found.page.incident_ref)
        yield found


class Cache:
    """Records that were read before, one a line, so that a run that was interrupted goes on where it was. What it holds
    is what pages said: readable by its owner alone."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known: dict[str, Json] = {}
        if path.exists():
            for _, row in _rows(path, torn=True):
                self._known[_version(row.get("incident") or {})] = row

    def get(self, incident: Json) -> Json | None:
        """The record of this incident as it is now; None if it has changed since."""
        return self._known.get(_version(incident))

    def put(self, record: Json) -> None:
        """Keep a record."""
        line = json.dumps(record, ensure_ascii=False, separators=(",", ":"))
        descriptor = os.open(self._path, os.O_CREAT | os.O_APPEND | os.O_WRONLY, 0o600)
        with os.fdopen(descriptor, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(line + "\n")


def _version(incident: Json) -> str:
    changed = incident.get("updated_at") or incident.get("last_status_change_at")
    return f"{incident.get('id')} {incident.get('status')} {changed}"


def _rows(path: Path, *, torn: bool = False) -> Iterator[tuple[str, Json]]:
    """Objects of a file with their places. ``torn``: a last line that a crash cut off is left out."""
    try:
        if path.stat().st_size > MAX_FILE:
            raise UnreadableHistory(f"{path}: larger than {MAX_FILE:,} bytes; split it")
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableHistory(f"{path}: cannot be read: {error}") from error
    whole = _whole(text)
    if whole is not None:
        yield from ((f"{path}[{number}]", row) for number, row in enumerate(whole))
        return
    lines = text.split("\n")
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            if torn and number == len(lines):
                return
            raise UnreadableHistory(f"{path}:{number}: not JSON ({error}); expected {EXPECTED}") from error
        if not isinstance(row, dict):
            raise UnreadableHistory(f"{path}:{number}: expected {EXPECTED}")
        yield f"{path}:{number}", row


def _whole(text: str) -> list[Json] | None:
    """The rows of a file that is one JSON document; None if it is lines."""
    if not text.lstrip().startswith(("[", "{")):
        return None
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if isinstance(value, dict):
        listed = value.get("incidents")
        value = listed if isinstance(listed, list) else [value]
    return [row if isinstance(row, dict) else {} for row in value]


def _incident(incident: Json, row: Json, redact: Redact, where: str) -> Past:
    alerts = row.get("alerts") if isinstance(row.get("alerts"), list) else incident.get("alerts")
    channel = row.get("channel") if isinstance(row.get("channel"), dict) else {}
    created = _moment(incident.get("created_at")) or datetime.now(UTC)
    data = {**incident, "type": "incident", "alerts": alerts or [], "details": channel or incident.get("details")}
    event = {"event": {"id": f"history:{incident['id']}"[:128], "event_type": "incident.triggered",
                       "occurred_at": created.isoformat(), "data": data}}  # fmt: skip
    found = pagerduty_in.parse(json.dumps(event).encode(), created, redact=redact)
    if isinstance(found, pagerduty_in.Quarantined):
        raise UnreadableHistory(f"{where or incident['id']}: an incident that cannot be read: {found.reason}")
    listed = row.get("notes")
    notes = [_mapping(note).get("content") for note in listed] if isinstance(listed, list) else []
    kept = tuple(fit(text, MAX_NOTE, redact) for text in notes[:MOST_NOTES] if isinstance(text, str) and text.strip())
    return Past(page=found, notes=kept, service_title=found.service_name)


def _webhook(row: Json, redact: Redact, where: str) -> Past | None:
    created = _moment(_mapping(row["event"]).get("occurred_at")) or datetime.now(UTC)
    found = pagerduty_in.parse(json.dumps(row).encode(), created, redact=redact)
    if isinstance(found, pagerduty_in.Quarantined):
        raise UnreadableHistory(f"{where}: a webhook event that cannot be read: {found.reason}")
    return Past(page=found, service_title=found.service_name) if found.kind == "triggered" else None


def _moment(value: Any) -> datetime | None:
    try:
        at = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return None if at is None else at.astimezone(UTC) if at.tzinfo else at.replace(tzinfo=UTC)


def _mapping(value: Any) -> Json:
    return value if isinstance(value, dict) else {}
