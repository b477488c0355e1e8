"""The ports: what the flow needs from the outside, by role. Each has a real edge and an offline one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.domain.incident import Incident
from bot.domain.page import Page
from bot.domain.proposal import Principal, Proposal, VoteResult
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView, MessageRef


class RetryLater(Exception):
    """The other side cannot take it now. ``after_s`` is what it asked for, or a guess; clamp before use."""

    def __init__(self, after_s: float, reason: str) -> None:
        super().__init__(f"retry after {after_s:g} s: {reason}")
        self.after_s = after_s
        self.reason = reason


class Undeliverable(Exception):
    """The other side will never take it: revoked token, unknown channel, refused content. For a human."""


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


class Chat(Protocol):
    """Where people are. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        """Post the card, or bring the posted one up to date."""
        ...

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = ()) -> None:
        """Reply in the card's thread. ``text`` is Slack mrkdwn that our own code wrote and escaped."""
        ...


class Pager(Protocol):
    """The pager. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def note(self, incident_ref: str, text: str) -> None:
        """Add a note to the pager's incident."""
        ...

    async def set_status(self, incident_ref: str, status: Literal["acknowledged", "resolved", "escalated"],
                         on_behalf_of: str) -> None:  # fmt: skip
        """Follow a person's click."""
        ...

    async def details(self, incident_ref: str) -> str:
        """Alert bodies, custom fields and links of the incident, as text lines; empty without a key."""
        ...


class Jobs(Protocol):
    """Durable dispatch: what is submitted runs, once at a time for each incident, again after a crash."""

    async def submit(self, kind: str, key: str, incident_id: str | None, arguments: Mapping[str, str]) -> None:
        """Run the job ``kind`` with plain text arguments. ``key`` is its permanent idempotency key."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class VoteContext:
    """Where a vote came from: a click must come from the card that we posted."""

    channel: str = ""
    message_ts: str = ""
    incident_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An answer to a command, for the person who gave it."""

    ok: bool
    text: str
    """One or two plain sentences: what happened, or what is wrong and what to do."""


class Desk(Protocol):
    """What people can do, whatever surface they do it from (Slack, console, CLI, API). The same rules for all."""

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   context: VoteContext, reason: str = "") -> VoteResult:  # fmt: skip
        """Cast a vote on exactly this plan. ``plan_hash`` is whole, as the surface showed it."""
        ...

    async def edit(self, proposal_id: str, params: Mapping[str, str], who: Principal) -> Told:
        """Propose the same action with other parameters: a new proposal with a new hash; the old one is superseded."""
        ...

    async def another(self, proposal_id: str, who: Principal) -> Told:
        """Withdraw this proposal and propose the runbook's next option."""
        ...

    async def done(self, proposal_id: str, who: Principal) -> Told:
        """A person has carried out a manual action; verify it."""
        ...

    async def command(self, incident_id: str, command: Literal["acknowledge", "escalate", "resolve", "close"],
                      who: Principal) -> Told:  # fmt: skip
        """Acknowledge, escalate or resolve, here and in the pager; close writes the postmortem."""
        ...

    async def hint(self, incident_id: str, text: str, who: Principal) -> Told:
        """Record what a person knows, and investigate again with it as untrusted text for retrieval."""
        ...

    async def freeze(self, service: str, on: bool, reason: str, who: Principal) -> Told:
        """Stop (or allow again) all execution for a service, or for everything with ``*``."""
        ...

    async def note(self, incident_id: str, kind: Literal["note_added", "person_did", "question_asked"], text: str,
                   who: Principal) -> Told:  # fmt: skip
        """Put something a person said or did on the timeline."""
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

    async def proposal(self, proposal_id: str) -> Proposal | None: ...

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        """Entries with ``seq`` greater than ``after``, oldest first."""
        ...


class People(Protocol):
    """Who somebody is, as far as approval is concerned. When unsure, the answer is no."""

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        """Whether this person is an approver of the team now, and why not in plain words otherwise."""
        ...


class Exporter(Protocol):
    """Turns a view into a document."""

    def export(self, view: IncidentView, form: Literal["md", "html", "json", "csv"]) -> bytes:
        """The postmortem or timeline in this form; deterministic for the same view."""
        ...


__all__ = [
    "Chat", "Desk", "Exporter", "Inbox", "Jobs", "Page", "Pager", "People", "Received", "Records", "RetryLater",
    "StorageDown", "Told", "Undeliverable", "VoteContext",
]  # fmt: skip
