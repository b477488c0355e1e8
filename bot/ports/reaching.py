"""Where people are reached: chat, the pager, documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, Protocol

from bot.domain.presentation import AS_RECORDED, Form, Presentation
from bot.domain.proposal import Principal
from bot.domain.view import IncidentView, MessageRef
from config.policy import Approvers


class RetryLater(Exception):
    """The other side cannot take it now. ``after_s`` is what it asked for, or a guess; clamp before use."""

    def __init__(self, after_s: float, reason: str) -> None:
        super().__init__(f"retry after {after_s:g} s: {reason}")
        self.after_s = after_s
        self.reason = reason

    @property
    def limited(self) -> bool:
        """Whether nothing was done, because too much is asked at once."""
        return "limits the rate" in self.reason


class Undeliverable(Exception):
    """The other side will never take it: revoked token, unknown channel, refused content. For a human."""


class Chat(Protocol):
    """Where people are. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        """Post the card, or bring the posted one up to date."""
        ...

    async def pointer(self, view: IncidentView, text: str, message: MessageRef | None) -> MessageRef:
        """Post the line in the team's channel that points to the incident's own, or bring it up to date. ``text`` is
        mrkdwn that our own code wrote and escaped."""
        ...

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip
        """Reply in the card's thread. ``text`` is Slack mrkdwn that our own code wrote and escaped. ``again``: it may
        have been said before a restart, and is not said twice. A person may stand in the place of the channel, by id or
        e-mail address; ``team``: whose incident they are told of."""
        ...

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        """Put a file below ``message``, or into its channel when it has no ``ts``; as text where files are refused."""
        ...


class NameTaken(Exception):
    """There is a channel of that name, and it is not the one that was meant."""


class Rooms(Protocol):
    """Channels that are made for an incident. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def open(self, name: str, mark: str, since: datetime, *, private: bool) -> str:
        """Make a channel, or find it if it was made before by us: with this name, not before ``since``, and with no
        other description than one with ``mark`` in it. Returns its id. Raises :class:`NameTaken`."""
        ...

    async def describe(self, channel: str, topic: str, purpose: str) -> None: ...

    async def bookmark(self, channel: str, title: str, url: str) -> None: ...

    async def link_of(self, message: MessageRef) -> str:
        """The address of a message."""
        ...

    async def user_of(self, email: str) -> str:
        """The id of the person with this e-mail address; empty if there is none."""
        ...

    async def members_of(self, group: str) -> Sequence[str]:
        """The ids of the people in a user group."""
        ...

    async def invite(self, channel: str, user: str) -> None:
        """Let somebody in; nothing happens if they are there."""
        ...

    async def archive(self, channel: str) -> None:
        """Nothing happens if it is archived, or gone."""
        ...

    async def unarchive(self, channel: str) -> None: ...


@dataclass(frozen=True, kw_only=True, slots=True)
class OnCall:
    """Somebody who is on call now."""

    email: str
    name: str
    level: int
    until: datetime | None = None
    """The end of the shift; None: for good."""


class Rota(Protocol):
    """Who is on call now. Raises :class:`RetryLater` or :class:`Undeliverable` when that cannot be told."""

    async def on_call(self, policy: str) -> Sequence[OnCall]:
        """Everybody, at any level of this escalation policy; what is told may be up to 60 seconds old."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Responder:
    """Somebody whom the pager can page."""

    id: str
    kind: Literal["user", "escalation_policy"]
    name: str


class Pager(Rota, Protocol):
    """The pager. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def note(self, incident_ref: str, text: str) -> None:
        """Add a note to the pager's incident."""
        ...

    async def set_status(self, incident_ref: str, status: Literal["acknowledged", "resolved"],
                         on_behalf_of: str) -> None:  # fmt: skip
        """Follow a person's click."""
        ...

    async def next_level(self, incident_ref: str) -> int:
        """The escalation level above the one it is at now."""
        ...

    async def escalate(self, incident_ref: str, level: int, on_behalf_of: str) -> None:
        """Follow a person's click: up to this level, unless it is there or higher already."""
        ...

    async def find(self, who: str) -> "Responder":
        """The person or escalation policy that is called ``who``: a name, an e-mail address or an id."""
        ...

    async def request(self, incident_ref: str, responder: "Responder", message: str, on_behalf_of: str) -> None:
        """Page them as a responder of the incident, unless they are asked already."""
        ...

    async def snooze(self, incident_ref: str, seconds: int, on_behalf_of: str) -> None:
        """Follow a person's click: quiet for so long, then triggered again."""
        ...

    async def priorities(self) -> Sequence[str]:
        """Names of the account's priorities, the most severe first."""
        ...

    async def set_priority(self, incident_ref: str, name: str, on_behalf_of: str) -> None:
        """Follow a person's word: one of :meth:`priorities`."""
        ...

    async def assign(self, incident_ref: str, to: "Responder", on_behalf_of: str) -> None:
        """Follow a person's word: this one has it now."""
        ...

    async def publish(self, incident_ref: str, text: str, on_behalf_of: str, *, since: datetime | None = None) -> None:
        """Publish a status update, as a person wrote it. ``since``: it may have been published then, and is not again
        if the pager says that it was."""
        ...

    async def details(self, incident_ref: str) -> str:
        """Alert bodies, custom fields and links of the incident, as text lines; empty without a key."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class WantedIssue:
    """An issue that people agreed to, exactly as it was shown."""

    repository: str
    """``owner/name``."""
    title: str
    body: str
    marker: str
    """A part of the body that is in no other issue."""
    asked_at: datetime
    """Nobody has created it before this moment."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Issue:
    """An issue that is there."""

    key: str
    """Such as ``acme/chat#12``."""
    url: str
    """Empty if the tracker gave none that can be shown."""


class Tracker(Protocol):
    """The issue tracker. Raises :class:`RetryLater` or :class:`Undeliverable`."""

    async def issue(self, wanted: WantedIssue) -> Issue:
        """Create it, unless one with its marker is there already. May be called again after a lost answer."""
        ...


class People(Protocol):
    """Who somebody is, as far as approval is concerned. When unsure, the answer is no."""

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        """Whether this person is an approver of the team now, and why not in plain words otherwise."""
        ...

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:
        """Whether this person is one of those named now; who is on call is asked of the team's policy."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A document, and what is to be said about how it came about, such as a template that could not be used."""

    content: bytes
    notes: tuple[str, ...] = ()


class Drafted(NamedTuple):
    """What was written of an incident's postmortem: names of files, and what could not be made."""

    files: tuple[str, ...]
    problems: tuple[str, ...] = ()
    upto: int = 0
    """The last entry of the timeline that is in them."""


class Exporter(Protocol):
    """Turns a view into a document."""

    def export(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> bytes:
        """The postmortem or timeline in this form; deterministic for the same view and presentation."""
        ...

    def make(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> Made:
        """The same, with what is to be said about how it came about."""
        ...
