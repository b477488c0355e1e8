"""The ports: what the flow needs from the outside, by role. Each has a real edge and an offline one."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.domain.home import Overdue
from bot.domain.incident import Incident, Status
from bot.domain.page import Page
from bot.domain.presentation import AS_RECORDED, Form, Presentation, Redaction
from bot.domain.proposal import Effect, Plan, Principal, Proposal, VoteResult
from bot.domain.timeline import Entry, Fact
from bot.domain.view import IncidentView, MessageRef
from config.catalogue import Risk, Service
from diagnostics.model import Baselines, Change, Changes, Diagnosis, Finding
from knowledge.model import Retrieval
from runbooks.model import ActionSpec, Approval, Draft, EffectResult, VerifyStep


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

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        """Put a file below ``message``, or into its channel when it has no ``ts``; as text where files are refused."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Responder:
    """Somebody whom the pager can page."""

    id: str
    kind: Literal["user", "escalation_policy"]
    name: str


class Pager(Protocol):
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


class DutyBook(Protocol):
    """What duty needs of storage: each method is one transaction."""

    async def refs(self, incident_id: str) -> Sequence[str]:
        """The pager's incidents that go on."""
        ...

    async def act(self, incident_id: str, key: str, facts: Sequence[Fact], said: str, now: datetime, *,
                  letters: Sequence[tuple[str, Mapping[str, Any]]] = ()) -> bool:  # fmt: skip
        """Record, say in the thread, and tell the pager: once for each ``key``; False if it was done before.
        ``letters`` are kinds and contents."""
        ...

    async def judged(self, incident_id: str, fact: Fact, now: datetime, *, key: str = "", said: str = "",
                     at: MessageRef | None = None) -> None:  # fmt: skip
        """Record a verdict, and tell ``said`` to the runbook's owner ``at`` their channel, once for each ``key``."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Made:
    """A document, and what is to be said about how it came about, such as a template that could not be used."""

    content: bytes
    notes: tuple[str, ...] = ()


class Exporter(Protocol):
    """Turns a view into a document."""

    def export(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> bytes:
        """The postmortem or timeline in this form; deterministic for the same view and presentation."""
        ...

    def make(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> Made:
        """The same, with what is to be said about how it came about."""
        ...


class Scribe(Protocol):
    """Editing a timeline: every edit is a new fact, and nothing that is recorded is rewritten."""

    async def edit(self, incident_id: str, entry: int, edit: TimelineEdit, who: Principal) -> Told:
        """Hide, annotate, place or mark an entry, or undo that."""
        ...


# --- What the flow needs of storage: each method is one transaction, timeline rows included ------------------------


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


class Intake(Protocol):
    """Deliveries that wait to be understood."""

    async def pending(self, limit: int = 200) -> Sequence[Received]:
        """Oldest first."""
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Claim:
    """The answer to the question whether an effect may be performed now, by this caller, this once."""

    state: Literal["claimed", "interrupted", "ended", "held", "refused"]
    """``interrupted``: a predecessor claimed it and vanished. ``ended``: it has a result. ``held``: not now."""
    why: str = ""
    effect: Effect | None = None
    approved_by: tuple[str, ...] = ()
    approved_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Follow:
    """What follows from a step of the gate, in the same transaction: a crash never comes between them."""

    mitigated: bool = False
    again: Fact | None = None
    """Another investigation, recorded as this."""
    attempt: bool = False
    """A mitigation was tried and did not help."""
    undo: bool = False
    """The effect is to be undone; the row implies the job from now on."""
    say: str = ""


NOTHING = Follow()


class Gate(Protocol):
    """Proposals, votes and effects: moved only by compare-and-set."""

    async def propose(self, new: Proposal, step: str, service: str, now: datetime) -> bool:
        """Put a plan to the vote; the incident's open one is superseded. False if this id is already there."""
        ...

    async def proposal(self, proposal_id: str) -> Proposal | None: ...

    async def steps_tried(self, incident_id: str) -> Sequence[tuple[str, str]]: ...

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   allowed: tuple[bool, str], context: VoteContext, now: datetime,
                   reason: str = "") -> VoteResult:  # fmt: skip
        ...

    async def withdraw(self, proposal_id: str, who: Principal, now: datetime, follow: Follow = NOTHING) -> bool:
        """A person takes back an open proposal, or a step by hand that nobody has reported as done."""
        ...

    async def revoke(self, proposal_id: str, why: str, now: datetime) -> bool:
        """An approval that no longer holds at the moment of execution, or while a step by hand is waited for; another
        investigation is asked for. False if it is being carried out or has ended."""
        ...

    async def voters(self, proposal_id: str) -> Sequence[Principal]:
        """Those whose approval counted."""
        ...

    async def claim(self, proposal_id: str, kind: Literal["apply", "revert"], now: datetime) -> Claim: ...

    async def finish(self, effect_id: str, result: EffectResult, now: datetime, follow: Follow = NOTHING) -> None: ...

    async def postpone(self, effect_id: str, detail: str, until: datetime) -> None:
        """A claimed effect that missed its target is tried again then; its ``checks`` count the tries."""
        ...

    async def effect(self, effect_id: str) -> Effect | None: ...

    async def checked(self, effect_id: str, next_at: datetime | None, verdict: str, facts: Sequence[Fact],
                      lease_until: datetime | None, now: datetime, follow: Follow = NOTHING) -> bool:  # fmt: skip
        """Record one verification; a verdict ends them."""
        ...

    async def manual_done(self, proposal_id: str, who: Principal, now: datetime) -> bool: ...

    async def expire(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Close what nobody decided in time, and ask for another investigation: people then see the target as it is."""
        ...

    async def pending(self, now: datetime) -> Mapping[str, Sequence[str]]:
        """Ids by job that rows imply: ``mitigate``, ``verify``, ``lease``, ``revert``."""
        ...

    async def lease_over(self, effect_id: str, fact: Fact, now: datetime, follow: Follow = NOTHING) -> bool: ...

    async def freeze(self, service: str, on: bool, reason: str, who: Principal, now: datetime) -> None: ...

    async def frozen(self, service: str) -> str:
        """Why execution is stopped for the service; empty if it is not."""
        ...


class History(Protocol):
    """Baselines and changes."""

    async def frozen(self, service: str, before: datetime) -> tuple[Baselines, Changes]:
        """As they were: nothing measured after ``before`` is called normal."""
        ...


# --- What the flow needs of the investigation and of the targets ----------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """An action step of a runbook, resolved for a service: what may be proposed."""

    key: str
    """``runbook#anchor`` and number: tried once for each incident."""
    reference: str
    runbook: str
    revision: str
    action: str
    params: Mapping[str, Any]
    title: str
    verify: VerifyStep | None
    lease_s: int | None
    min_risk: Risk | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Planned:
    """A step drafted against its target, or why it cannot be proposed."""

    step: Step
    spec: ActionSpec | None = None
    draft: Draft | None = None
    refusal: str = ""


class Planner(Protocol):
    """Drafts steps. Reads targets, changes nothing."""

    async def plan(self, step: Step, service: Service) -> Planned: ...


class Executor(Protocol):
    """The only place with the means to change a target. Imports no LLM client."""

    async def apply(self, plan: Plan, service: Service, approval: Approval) -> EffectResult: ...

    async def revert(self, plan: Plan, service: Service, approval: Approval) -> EffectResult: ...

    async def settle(self, plan: Plan, service: Service, approval: Approval, kind: Literal["apply", "revert"], *,
                     why_not: str = "") -> EffectResult:  # fmt: skip
        """After a crash between claim and result: read the target, and for a converging action finish the work,
        unless ``why_not`` says why nothing may be sent any more."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Investigated:
    """What an investigation ends with."""

    diagnosis: Diagnosis
    steps: tuple[Step, ...]
    """What could be tried, best first, not yet drafted."""
    summary: str
    """For the pager's note: plain text with references."""


class Triage(Protocol):
    """Investigates: loops over retrieval, probes and diagnosis until sure. Resumes after a crash where it was."""

    async def investigate(self, incident: Incident, number: int) -> Investigated: ...


class Verifier(Protocol):
    """Reads the deciding probes again."""

    async def read(
        self, incident: Incident, probes: Sequence[str], round_: int, *, last: bool = False
    ) -> Sequence[Finding]:
        """What was read; a probe that costs may be left out of all but the first and the ``last`` look."""
        ...


Understand = Callable[[Received], "Placed"]
"""Turns a delivery into what it says; never raises."""
