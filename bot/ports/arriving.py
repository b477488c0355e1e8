"""What arrives, and how its work is queued."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bot.domain.page import Page
from config.incident_channel import IncidentChannel
from diagnostics.model import Change


@dataclass(frozen=True, kw_only=True, slots=True)
class Received:
    """A raw delivery as the inbox holds it."""

    key: str
    """``{source}:{signed event id}``, or ``{source}:sha256:...`` for a body without one. Unique for ever."""
    source: Literal["pagerduty", "changes", "slack", "api"]
    body: bytes
    received_at: datetime


class Inbox(Protocol):
    """Where deliveries are safe before anybody is told so."""

    async def accept(self, received: Received) -> bool:
        """Return once the delivery is durably committed (group commit): True if new, False if known.
        Raises :class:`StorageDown` if it cannot be; then nothing was stored."""
        ...


class StorageDown(Exception):
    """The database cannot commit now. Senders get a 503, effects are refused."""


class Jobs(Protocol):
    """Durable dispatch: what is submitted runs, once at a time for each incident, again after a crash."""

    async def submit(self, kind: str, key: str, incident_id: str | None, arguments: Mapping[str, str]) -> None:
        """Run the job ``kind`` with plain text arguments. ``key`` is its permanent idempotency key."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """A delivery understood: what it says and where it belongs. It is a page or a change, or it is set aside in
    quarantine, then with a page that shows it to people, if it may have been one."""

    received: Received
    page: Page | None = None
    change: Change | None = None
    quarantine: str = ""
    service: str = ""
    team: str = ""
    channel: str = ""
    room: IncidentChannel | None = None
    """How an incident that this opens gets a channel of its own; None: it does not."""


class Intake(Protocol):
    """Deliveries that wait to be understood."""

    async def pending(self, limit: int = 200) -> Sequence[Received]:
        """Oldest first."""
        ...


Understand = Callable[[Received], "Placed"]
"""Turns a delivery into what it says; never raises."""
