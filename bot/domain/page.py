"""A page: somebody or something says that an LLM application is not well."""

import hashlib
import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

PageKind = Literal["triggered", "acknowledged", "unacknowledged", "escalated", "reassigned", "reopened", "resolved",
                   "priority", "note", "responder", "status_update", "bridge", "fields", "role", "ping",
                   "other"]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What a pager's event says beside the state of its incident: in people's words, or of one of them. Untrusted."""

    event: str
    """The sender's own name of what happened, such as ``incident.delegated``."""
    text: str = ""
    """Of a note, a status update, or a request to help."""
    cut: bool = False
    """Whether the sender says that it is not the whole text."""
    person: str = ""
    """Whom it is about: a responder, or who has a role."""
    answer: str = ""
    """A responder's: ``pending``, ``accepted``, ``declined``, or a word of the sender's own."""
    policy: str = ""
    """Name of the escalation policy that it went to, or through which somebody was asked."""
    role: str = ""
    lines: tuple[str, ...] = ()
    """The conference bridge, or custom fields with their values."""
    by_person: bool = False
    """Whether a person did it, and not a rule of the pager's."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Page:
    """One accepted delivery about an incident, in our words. All text is untrusted."""

    event_id: str
    """The sender's signed id: one id, one transition."""
    kind: PageKind
    occurred_at: datetime
    received_at: datetime
    source: str
    """``pagerduty``, ``demo`` or ``api``."""
    incident_ref: str
    """The sender's incident id."""
    incident_key: str = ""
    """The sender's own deduplication key."""
    number: int | None = None
    title: str = ""
    body: str = ""
    """Details, links and custom fields as text lines, bounded."""
    link: str = ""
    service_ref: str = ""
    service_name: str = ""
    urgency: str = ""
    priority: str = ""
    status: str = ""
    people: tuple[str, ...] = ()
    """Names of those it is assigned to."""
    agent: str = ""
    remark: Remark | None = None
    merged_into: str = ""
    stale: bool = False
    """First seen more than 72 h after it occurred: shown to a human, not investigated."""

    @classmethod
    def unreadable(cls, key: str, source: str, received_at: datetime, why: str, content: str = "") -> "Page":
        """What stands for a genuine delivery that cannot be read, because it may have been a page. ``key`` is where it
        is kept, ``content`` what it says as far as it can be shown."""
        body = f"{why}\nKept whole in the inbox as {key}\n{content}".rstrip()
        return cls(
            event_id=key, kind="triggered", occurred_at=received_at, received_at=received_at, source=source,
            incident_ref="", title=f"A delivery from {source} cannot be read", body=body,
        )  # fmt: skip

    @property
    def signature(self) -> str:
        """What stays the same when the same failure pages again: the title without its numbers and ids."""
        words = re.sub(r"\b[0-9a-f]{8,}\b|\d+(\.\d+)?%?", "#", self.title.lower())
        return hashlib.sha256(" ".join(words.split()).encode()).hexdigest()[:16]
