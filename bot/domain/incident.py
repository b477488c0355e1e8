"""An incident and its states."""

import enum
from dataclasses import dataclass
from datetime import datetime

MAX_ATTEMPTS = 2
"""Mitigations that did not help, after which people must diagnose anew."""


class Status(enum.StrEnum):
    """Where an incident stands. ``resolved`` may reopen; ``closed`` has its postmortem."""

    OPEN = "open"
    ACKNOWLEDGED = "acknowledged"
    MITIGATED = "mitigated"
    RESOLVED = "resolved"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True, slots=True)
class Incident:
    """One failure that people are paged for."""

    id: str
    """Short and speakable, such as ``inc-7f3a2c``."""
    status: Status
    title: str
    """Of the page that opened it; untrusted."""
    service: str
    """Name in the catalogue, or ``unmapped``."""
    team: str
    channel: str
    key: str
    """What later pages join by: the sender's key."""
    signature: str
    """What later pages join by within a window: the failure's signature."""
    opened_at: datetime
    started_at: datetime
    """When the failure began, as far as the first page tells."""
    acknowledged_at: datetime | None = None
    mitigated_at: datetime | None = None
    resolved_at: datetime | None = None
    pages: int = 1
    investigations: int = 0
    attempts: int = 0
    """Mitigations tried since it was last opened; after two a human must re-diagnose."""
    attempts_before: int = 0
    """Mitigations tried before it was last reopened."""
    pager_ref: str = ""
    pager_status: str = ""
    source: str = "pagerduty"

    @property
    def active(self) -> bool:
        return self.status not in (Status.RESOLVED, Status.CLOSED)
