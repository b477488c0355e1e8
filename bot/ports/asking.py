"""What people may ask of the assistant, wherever they are."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, Protocol

from bot.domain.followups import IssuePlan
from bot.domain.home import Overdue
from bot.domain.presentation import Redaction
from bot.domain.proposal import Principal, VoteResult
from bot.domain.view import MessageRef
from diagnostics.model import Change
from knowledge.model import Retrieval


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


@dataclass(frozen=True, kw_only=True, slots=True)
class TimelineEdit:
    """What a person wants of an entry of the timeline."""

    kind: Literal["entry_hidden", "entry_annotated", "entry_placed", "key_moment"]
    undo: bool = False
    text: str = ""
    """The annotation, the moment's label, or why it is hidden or placed."""
    at: datetime | None = None
    """When it truly happened; for ``entry_placed``."""
    began: bool = False
    """For ``key_moment``: it is when users were first affected."""


class Following(Protocol):
    """Follow-ups of incidents."""

    async def add(self, incident_id: str, text: str, owner: str, who: Principal, key: str) -> Told:
        """Note what is to be done, and who owns it; an empty ``owner``: nobody yet. ``key`` is of the interaction: the
        same one notes nothing twice."""
        ...

    async def plan(self, incident_id: str) -> IssuePlan | Told:
        """The issues that would be created, exactly; or why none can be."""
        ...

    async def push(self, incident_id: str, plan_hash: str, who: Principal) -> Told:
        """Have exactly these issues created, each once, however often it is called."""
        ...


class Desk(Protocol):
    """What people can do, whatever surface they do it from (Slack, console, CLI, API). The same rules for all."""

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   context: VoteContext, reason: str = "", *, break_glass: bool = False) -> VoteResult:  # fmt: skip
        """Cast a vote on exactly this plan. ``plan_hash`` is whole, as the surface showed it. ``break_glass``: approve
        alone what needs others, with a reason, where the policy lets this person; it leaves a debt."""
        ...

    async def review(self, proposal_id: str, note: str, who: Principal) -> Told:
        """An ordinary approver, not the one who broke the glass, has looked at it."""
        ...

    async def edit(self, proposal_id: str, params: Mapping[str, str], who: Principal) -> Told:
        """Propose the same action with other parameters: a new proposal with a new hash; the old one is superseded."""
        ...

    async def another(self, proposal_id: str, who: Principal) -> Told:
        """Withdraw this proposal and propose the runbook's next option."""
        ...

    async def again(self, incident_id: str, who: Principal) -> Told:
        """Ask once more what nobody decided in time, for the target as it is now."""
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

    async def explain(self, incident_id: str) -> None:
        """Put the evidence into the card's thread; what stands there already is not said again."""
        ...

    async def say(self, incident_id: str, key: str, text: str, at: MessageRef) -> None:
        """Answer below ``at``, once for each ``key``, as soon as chat takes it. ``text`` is escaped mrkdwn."""
        ...

    async def send(self, incident_id: str, key: str, form: str, at: MessageRef, *, redaction: Redaction = "internal",
                   zone: str = "UTC") -> None:  # fmt: skip
        """Put the incident as a document below ``at``, once for each ``key``, as soon as chat takes it."""
        ...


Role = Literal["commander", "scribe", "comms"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Declaration:
    """An incident that a person declares."""

    key: str
    """Of the form that was sent: one form, one incident."""
    service: str
    title: str
    seen: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Quoted:
    """What somebody wrote in chat."""

    channel: str
    ts: str
    text: str
    author: Principal
    said_at: datetime
    link: str


class Duty(Protocol):
    """What people on call do around an incident besides deciding, whatever surface they do it from. ``key`` is of the
    interaction: the same one does nothing twice. Acts are told in the card's thread."""

    async def declare(self, declaration: Declaration, who: Principal) -> Told:
        """Open an incident by hand, the way a page does."""
        ...

    async def page(self, incident_id: str, target: str, why: str, who: Principal, key: str) -> Told:
        """Have the pager page a person, an escalation policy, or a team of the catalogue."""
        ...

    async def snooze(self, incident_id: str, minutes: int, who: Principal, key: str) -> Told:
        """Quiet in the pager for so long."""
        ...

    async def probe(self, incident_id: str, name: str, who: Principal, key: str) -> Told:
        """Run one probe that is free or a canary, within the incident's budget."""
        ...

    async def asked(self, incident_id: str, probe: str, key: str, by: str) -> None:
        """The job of :meth:`probe`: read it, keep it, and tell it in the thread."""
        ...

    async def judge(self, incident_id: str, verdict: str, who: Principal) -> Told:
        """Say of an incident that is over whether its cause was right; a person's newest word counts."""
        ...

    async def take_role(self, incident_id: str, role: Role, holder: str, who: Principal, key: str) -> Told:
        """Who is commander, scribe or comms now. ``holder`` is a name."""
        ...

    async def handoff(self, incident_id: str, to: str, who: Principal, key: str) -> Told:
        """What one needs to know in 60 seconds; with ``to``, that person is commander from now on."""
        ...

    async def add(self, incident_id: str, text: str, who: Principal, key: str) -> Told:
        """Put a text on the timeline."""
        ...

    async def keep(self, incident_id: str, message: Quoted, who: Principal) -> Told:
        """Put what somebody wrote in chat on the timeline, at the time they wrote it, once."""
        ...

    async def drop(self, channel: str, ts: str, who: Principal) -> Told | None:
        """Hide it again; None if it is not there."""
        ...

    async def search(self, words: str, incident_id: str = "") -> Retrieval:
        """The runbooks that fit these words, for the incident's service."""
        ...

    async def changes(self, services: Sequence[str], hours: int) -> Sequence[Change]:
        """What was changed there, newest first; of no services: everywhere."""
        ...

    async def overdue(self, teams: Sequence[str]) -> Sequence[Overdue]:
        """Runbooks of these teams whose review is overdue, the longest first."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class UpdateDraft:
    """A draft of an update for stakeholders: a person makes it their own and sends it."""

    text: str
    references: tuple[str, ...]
    """The facts that it was made from."""
    to: tuple[str, ...]
    """Where it goes when it is sent, in words."""
    lacks: str
    """Where else it should go and cannot, as a sentence; empty if nowhere."""
    after: str
    """The update that was the newest when it was made; empty: there was none."""


class Comms(Protocol):
    """Keeping the pager and the stakeholders in step. ``key`` is of the interaction: the same one does nothing twice.
    What comes of it is told in the card's thread."""

    async def set_priority(self, incident_id: str, name: str, who: Principal, key: str) -> Told:
        """Give it one of the account's priorities; for any other name, which there are."""
        ...

    async def assign(self, incident_id: str, to: str, who: Principal, key: str) -> Told:
        """Give it to a person, an escalation policy, or a team of the catalogue."""
        ...

    async def draft(self, incident_id: str) -> UpdateDraft | Told:
        """What stakeholders may be told now, from facts alone; or why there is nothing to send it to."""
        ...

    async def send(self, incident_id: str, text: str, who: Principal, key: str, *, after: str | None = None,
                   evidence: Sequence[str] = ()) -> Told:  # fmt: skip
        """Send stakeholders exactly this text. ``after`` is of the draft: refused if somebody sent one meanwhile."""
        ...

    async def remind(self) -> int:
        """Remind of every update that is due, once in each period; how many reminders there were."""
        ...
