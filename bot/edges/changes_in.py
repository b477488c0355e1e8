"""``POST /changes``: somebody tells what they changed. Checked before it is committed, read again when it is used."""

import difflib
import re
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.edges import strict_json
from bot.edges.text import Redact, fit
from diagnostics.model import Change

KINDS = (
    "deploy", "prompt", "model", "config", "index", "tool", "secret", "guardrail", "dependency", "gateway", "network",
    "other",
)  # fmt: skip
FIELDS = ("id", "at", "kind", "service", "summary", "before", "after", "actor")
LIMITS = {"summary": 500, "before": 500, "after": 500, "actor": 128}
AHEAD = timedelta(minutes=5)

_ID = re.compile(r"[A-Za-z0-9._:/@+-]{1,128}")
_SERVICE = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}|\*")


class ChangeError(ValueError):
    """What is wrong with a change: ``where`` is the field, ``fix`` what to send instead."""

    def __init__(self, what: str, where: str, fix: str) -> None:
        super().__init__(f"{where}: {what}; {fix}")
        self.what, self.where, self.fix = what, where, fix


def parse_change(
    raw: bytes, received_at: datetime, *, services: Collection[str] | None = None, redact: Redact = str
) -> Change:
    """The change in a body. ``services`` are the names it may be about (None: any); ``*`` means all of them.
    Raises :class:`ChangeError`."""
    data = _object(raw)
    unknown = sorted(set(data) - set(FIELDS))
    if unknown:
        raise ChangeError(f"no such field: {unknown[0]!r}", fit(unknown[0], 64, redact), f"use {', '.join(FIELDS)}")
    texts = {name: fit(_text(data, name), limit, redact) for name, limit in LIMITS.items()}
    if not texts["summary"].strip():
        raise ChangeError("is missing", "summary", "say in one line what was changed")
    identifier = _text(data, "id")
    if _ID.fullmatch(identifier) is None:
        raise ChangeError("must be 1 to 128 letters, digits or ._:/@+-", "id", "send an id that is yours and unique")
    kind = _text(data, "kind") or "other"
    if kind not in KINDS:
        raise ChangeError(f"unknown kind {fit(kind, 40, redact)!r}", "kind", f"use one of {', '.join(KINDS)}")
    return Change(
        id=identifier, at=_when(data, received_at), kind=kind, service=_service(data, services),
        summary=texts["summary"], before=texts["before"], after=texts["after"], actor=texts["actor"],
    )  # fmt: skip


def _object(raw: bytes) -> dict[str, Any]:
    try:
        data = strict_json.loads(raw)
    except strict_json.JsonError as error:
        raise ChangeError(str(error), "body", "send one JSON object") from error
    if not isinstance(data, dict):
        raise ChangeError("not a JSON object", "body", "send one JSON object")
    return data


def _text(data: dict[str, Any], name: str) -> str:
    value = data.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ChangeError("must be text", name, "put it in quotes")
    return value


def _when(data: dict[str, Any], received_at: datetime) -> datetime:
    text = _text(data, "at")
    if not text:
        return received_at
    fix = "use ISO 8601 with an offset, such as 2026-11-22T10:15:00Z"
    try:
        told = datetime.fromisoformat(text)
        at = told.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise ChangeError("is not a time", "at", fix) from error
    if told.tzinfo is None:
        raise ChangeError("has no offset from UTC", "at", fix)
    if at - received_at > AHEAD:
        raise ChangeError("lies in the future", "at", "tell of a change when it has happened; check the sender's clock")
    return at


def _service(data: dict[str, Any], services: Collection[str] | None) -> str:
    service = _text(data, "service")
    if _SERVICE.fullmatch(service) is None:
        raise ChangeError("must be a service's name or *", "service", "use a name from the catalogue")
    if services is None or service == "*" or service in services:
        return service
    close = difflib.get_close_matches(service, list(services), n=1, cutoff=0.4)
    fix = f"did you mean {close[0]!r}?" if close else "use a name from the catalogue, or *"
    raise ChangeError(f"no service {service!r} in the catalogue", "service", fix)
