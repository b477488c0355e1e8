"""Past incidents for an import: lines of a file, or records of PagerDuty, checked whole before anything is stored."""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, StringConstraints, ValidationError

from bot.edges.history_records import past
from bot.edges.imported import Imported
from bot.edges.text import Redact, fit
from bot.ports import Undeliverable

MAX_FILE = 50_000_000
MOST = 20_000
"""Incidents of one import."""
MAX_TITLE, MAX_BODY, MAX_HELPED = 250, 4_000, 400
_CAUSE = re.compile(r"^[ \t]*confirmed cause:[ \t]*([a-z0-9][a-z0-9-]{0,63})[ \t.]*$", re.MULTILINE | re.IGNORECASE)
_HELPED = re.compile(r"^[ \t]*helped:[ \t]*(\S.*)$", re.MULTILINE | re.IGNORECASE)


class UnreadableImport(Exception):
    """What in the file is wrong: file, line, field."""


def _https(value: str) -> str:
    if value and not is_link(value):
        raise ValueError("must be an https address without a password, of at most 300 characters")
    return value


def is_link(value: str) -> bool:
    """Whether this can be shown as a link."""
    if not value.isascii() or len(value) > 300 or any(c in value for c in " \"'<>|`\\") or not value.isprintable():
        return False
    try:
        parts = urlsplit(value)
        return parts.scheme == "https" and bool(parts.hostname) and "@" not in parts.netloc
    except ValueError:
        return False


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
Cause = Annotated[str, StringConstraints(pattern=r"^([a-z0-9][a-z0-9-]{0,63})?$")]


class _Line(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True)
    id: Name
    title: Annotated[str, StringConstraints(min_length=1, max_length=10_000, pattern=r"\S")]
    at: AwareDatetime
    service: Name
    body: Annotated[str, StringConstraints(max_length=200_000)] = ""
    cause: Cause = ""
    confirmed_by: Annotated[str, StringConstraints(max_length=200)] = ""
    helped: Annotated[str, StringConstraints(max_length=10_000)] = ""
    link: Annotated[str, AfterValidator(_https)] = ""


def read(path: Path, redact: Redact, now: datetime) -> list[Imported]:
    """Every incident of a JSON-lines file. Raises :class:`UnreadableImport` for the first line that is wrong."""
    found: dict[str, Imported] = {}
    lines: dict[str, int] = {}
    for number, line in _lines(path):
        one = _line(line, f"{path}:{number}", redact)
        if one.id in found:
            raise UnreadableImport(f"{path}:{number}: id: line {lines[one.id]} has it already")
        if one.at > now:
            raise UnreadableImport(f"{path}:{number}: at: it is in the future; a past incident is expected")
        found[one.id], lines[one.id] = one, number
        if len(found) > MOST:
            raise UnreadableImport(f"{path}:{number}: more than {MOST:,} incidents; split the file")
    return list(found.values())


def _lines(path: Path) -> Iterator[tuple[int, str]]:
    try:
        with path.open("rb") as file:
            content = file.read(MAX_FILE + 1)
        if len(content) > MAX_FILE:
            raise UnreadableImport(f"{path}: larger than {MAX_FILE:,} bytes; split it")
        text = content.decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise UnreadableImport(f"{path}: cannot be read: {error}") from error
    yield from ((n, line) for n, line in enumerate(text.split("\n"), start=1) if line.strip())


def _line(line: str, where: str, redact: Redact) -> Imported:
    try:
        json.loads(line)  # for a message that tells the column; and nothing is nested without end
        row = _Line.model_validate_json(line)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"]) or "the line"
        raise UnreadableImport(f"{where}: {place}: {first['msg']}") from None
    except (ValueError, RecursionError) as error:
        raise UnreadableImport(f"{where}: not JSON: {error}") from None
    if row.confirmed_by.strip() and not row.cause:
        raise UnreadableImport(f"{where}: confirmed_by: somebody confirmed, but cause does not say what")
    return Imported(
        id=f"file:{row.id}", title=fit(row.title, MAX_TITLE, redact), body=fit(row.body, MAX_BODY, redact, lines=True),
        service=row.service, at=row.at.astimezone(UTC), cause=row.cause, link=row.link,
        confirmed_by=fit(row.confirmed_by.strip(), 64, redact), helped=fit(row.helped, MAX_HELPED, redact),
    )  # fmt: skip


def of_record(record: Mapping[str, Any], service: str, redact: Redact) -> Imported:
    """An incident of PagerDuty's with its notes. A cause is confirmed by a line ``confirmed cause: RUNBOOK`` of a
    person's note, the newest that has one. Raises :class:`UnreadableHistory`."""
    incident = record["incident"]
    found = past(record, redact, f"PagerDuty's incident {incident.get('id')}")
    if found is None or not found.page.incident_ref:
        raise Undeliverable(f"PagerDuty's incident {incident.get('id')} has no id")
    cause = by = helped = ""
    for author, text in _notes(record.get("notes")):
        said, did = _CAUSE.findall(text), _HELPED.findall(text)
        if said:
            cause, by = said[-1].lower(), author
        helped = did[-1] if did else helped
    link = str(incident.get("html_url") or "")
    return Imported(
        id=f"pagerduty:{found.page.incident_ref}", title=fit(found.page.title, MAX_TITLE, redact),
        body=fit(found.page.body, MAX_BODY, redact, lines=True), at=found.page.occurred_at, cause=cause,
        service=service or fit(found.service_title, 64, redact), confirmed_by=fit(by, 64, redact),
        helped=fit(helped, MAX_HELPED, redact), link=link if is_link(link) else "",
    )  # fmt: skip


def _notes(notes: Any) -> Iterator[tuple[str, str]]:
    """What people wrote, oldest first, with who did; what an integration wrote confirms nothing."""
    listed = [one for one in notes if isinstance(one, dict)] if isinstance(notes, list) else []
    for one in sorted(listed, key=lambda note: str(note.get("created_at") or "")):
        user = one.get("user")
        person = isinstance(user, dict) and str(user.get("type") or "").startswith("user")
        name = str(user.get("summary") or user.get("id") or "") if person and isinstance(user, dict) else ""
        if name.strip() and isinstance(one.get("content"), str):
            yield name.strip(), one["content"][:20_000]
