"""What is kept: incidents, their facts, what was measured before."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from bot.domain.incident import Incident, Status
from bot.domain.page import Page
from bot.domain.presentation import Redaction
from bot.domain.proposal import Debt, Principal, Proposal
from bot.domain.timeline import Entry, Fact
from bot.domain.view import IncidentView, MessageRef
from bot.ports.arriving import Placed
from bot.ports.asking import TimelineEdit, Told
from diagnostics.model import Baselines, Change, Changes, Diagnosis, Finding
from knowledge.model import Retrieval


class DutyBook(Protocol):
    """What duty needs of storage: each method is one transaction."""

    async def refs(self, incident_id: str) -> Sequence[str]:
        """The pager's incidents that go on."""
        ...

    async def act(self, incident_id: str, key: str, facts: Sequence[Fact], said: str, now: datetime, *,
                  letters: Sequence[tuple[str, Mapping[str, Any]]] = (),
                  posts: Sequence[tuple[str, Mapping[str, Any]]] = (), offer: str = "") -> bool:  # fmt: skip
        """Record, say in the thread, and tell the pager: once for each ``key``; False if it was done before.
        ``letters`` are kinds and contents, ``posts`` channels and what is said there; ``offer`` puts a button below
        what is said."""
        ...

    async def judged(self, incident_id: str, fact: Fact, now: datetime) -> None:
        """Record a verdict."""
        ...

    async def keep(self, incident_id: str, fact: Fact, now: datetime) -> tuple[int, bool]:
        """The number of the entry with this message, and whether it is new."""
        ...

    async def kept(self, channel: str, ts: str) -> Sequence[tuple[str, int]]:
        """Incidents and entries that hold this message."""
        ...

    async def changes(self, services: Sequence[str], since: datetime, limit: int) -> Sequence[Change]:
        """Newest first; of no services: everywhere."""
        ...


class FollowBook(Protocol):
    """What follow-ups need of storage: each method is one transaction."""

    async def add(self, incident_id: str, key: str, fact: Fact, said: str, now: datetime) -> int | None:
        """Record a follow-up and say it in the thread, once for each ``key``; its number, None if it was done."""
        ...

    async def request(self, incident_id: str, key: str, fact: Fact, wanted: Sequence[Mapping[str, Any]],
                      now: datetime) -> bool:  # fmt: skip
        """Record what was asked for and have it created; False if it was done before."""
        ...


class Records(Protocol):
    """What can be read. Never changes anything."""

    async def view(self, incident_id: str) -> IncidentView | None:
        """Everything about one incident; also found by the pager's reference or its number."""
        ...

    async def incidents(self, *, active_only: bool = True, limit: int = 50) -> Sequence[Incident]:
        """Newest first."""
        ...

    async def incident_of(self, message: MessageRef) -> str | None:
        """The incident whose card or thread this is."""
        ...

    async def incident_in(self, channel: str) -> str | None:
        """The incident whose own channel this is, over or not."""
        ...

    async def proposal(self, proposal_id: str) -> Proposal | None: ...

    async def debts(self, *, open_only: bool = True) -> Sequence[Debt]:
        """What break-glass approvals left, oldest first."""
        ...

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Entries with ``seq`` greater than ``after``, oldest first."""
        ...


class Scribe(Protocol):
    """Editing a timeline: every edit is a new fact, and nothing that is recorded is rewritten."""

    async def edit(self, incident_id: str, entry: int, edit: TimelineEdit, who: Principal) -> Told:
        """Hide, annotate, place or mark an entry, or undo that."""
        ...


class Casebook(Protocol):
    """Incidents: pages join them, investigations write into them, people move them on."""

    async def settle(self, batch: Sequence[Placed], now: datetime) -> None:
        """Join or open incidents for a batch, mark its deliveries done. Again after a crash: no change."""
        ...

    async def incident(self, incident_id: str) -> Incident | None: ...

    async def pages(self, incident_id: str) -> Sequence[Page]:
        """Oldest first."""
        ...

    async def record(self, incident_id: str, facts: Sequence[Fact], now: datetime, *, card: bool = True) -> None: ...

    async def running(self, incident_id: str, probes: Sequence[str], now: datetime) -> None:
        """These probes run now."""
        ...

    async def retrieved(self, incident_id: str, retrieval: Retrieval, fact: Fact, now: datetime) -> None: ...

    async def found(self, incident_id: str, number: int, call: str, finding_: Finding, now: datetime) -> None:
        """Keep a finding; the same ``call`` of the same investigation is kept once."""
        ...

    async def findings(self, incident_id: str, number: int | None = None) -> Mapping[str, Finding]:
        """By call for one investigation; by id for all."""
        ...

    async def diagnosed(self, incident_id: str, diagnosis: Diagnosis, fact: Fact, now: datetime) -> None: ...

    async def diagnosis(self, incident_id: str) -> Diagnosis | None: ...

    async def investigated(self, incident_id: str, number: int, facts: Sequence[Fact], note: str, now: datetime, *,
                           proposed: str = "") -> None:  # fmt: skip
        """Investigation ``number`` has ended; ``note`` goes to the pager. What is open besides what it ``proposed`` was
        made from older findings, and is superseded."""
        ...

    async def ask(self, incident_id: str, facts: Sequence[Fact], now: datetime, *, hint: str = "",
                  attempt: bool = False) -> int:  # fmt: skip
        """Ask for another investigation; returns its number."""
        ...

    async def hints(self, incident_id: str) -> Sequence[str]: ...

    async def wanted(self) -> Sequence[tuple[str, int]]:
        """Incidents whose newest investigation has not ended, with its number."""
        ...

    async def to_close(self) -> Sequence[str]:
        """Resolved incidents that have no postmortem yet."""
        ...

    async def move(self, incident_id: str, status: Status, facts: Sequence[Fact], now: datetime, *, pager: str = "",
                   by: str = "") -> bool:  # fmt: skip
        """Move on to a later status, and tell the pager; False if it is already there or beyond."""
        ...

    async def escalate(self, incident_id: str, fact: Fact, by: str, now: datetime) -> None:
        """Record that a person escalated, and tell the pager."""
        ...

    async def say(self, incident_id: str, key: str, text: str, now: datetime, *, at: MessageRef | None = None) -> None:
        """Say something in the card's thread, or below ``at``, once for each ``key``."""
        ...

    async def send(self, incident_id: str, key: str, form: str, now: datetime, *, at: MessageRef | None = None,
                   redaction: Redaction = "internal", zone: str = "UTC") -> None:  # fmt: skip
        """Put the incident as a document into the card's thread, or below ``at``, once for each ``key``."""
        ...


class History(Protocol):
    """Baselines and changes."""

    async def frozen(self, service: str, before: datetime) -> tuple[Baselines, Changes]:
        """As they were: nothing measured after ``before`` is called normal."""
        ...
