"""A proposal: a typed plan that people vote on, and nothing else is ever executed."""

import enum
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain.timeline import canonical
from config.catalogue import Risk


class ProposalState(enum.StrEnum):
    """``open`` waits for votes; the states after ``approved`` are the effect's."""

    OPEN = "open"
    REJECTED = "rejected"
    EXPIRED = "expired"
    SUPERSEDED = "superseded"
    APPROVED = "approved"
    EXECUTING = "executing"
    DONE = "done"
    FAILED = "failed"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


_NOT_AGAIN = (ProposalState.REJECTED, ProposalState.DONE, ProposalState.FAILED, ProposalState.UNKNOWN)
SPENT = frozenset(state.value for state in _NOT_AGAIN)
"""What became of a step that is not proposed again."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """Everything that will happen, resolved. Its hash is what is approved."""

    incident_id: str
    action: str
    params: Mapping[str, Any]
    target: str
    pre_state: Mapping[str, Any]
    post_state: Mapping[str, Any]
    diff: tuple[tuple[str, str, str], ...]
    """What changes, before, after: as shown."""
    undo: str
    effect: str
    risk: Risk
    blast_radius: str
    verify_probe: str
    verify_outcome: str
    verify_within_s: int
    lease_s: int | None
    policy_version: str
    min_approvers: int
    approver_team: str
    """Empty: nobody may approve."""
    expires_at: datetime
    attempt: int
    runbook: str
    """Reference that it was proposed from, such as ``provider-outage#2-fail-over``."""
    runbook_revision: str
    instructions: str = ""

    def as_json(self) -> dict[str, Any]:
        """Plain JSON, the hash's input and the database's content."""
        names = self.__dataclass_fields__
        plain = {name: getattr(self, name) for name in names}
        return {**plain, "diff": [list(line) for line in self.diff], "expires_at": self.expires_at.isoformat()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> "Plan":
        """The plan that :meth:`as_json` wrote."""
        return cls(**{
            **data,
            "diff": tuple((line[0], line[1], line[2]) for line in data["diff"]),
            "expires_at": datetime.fromisoformat(data["expires_at"]),
        })  # fmt: skip

    @property
    def hash(self) -> str:
        """SHA-256 of the canonical plan, hexadecimal."""
        return hashlib.sha256(canonical(self.as_json())).hexdigest()


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposal:
    """A plan put to the vote."""

    id: str
    plan: Plan
    plan_hash: str
    state: ProposalState
    created_at: datetime
    proposed_by: str
    """``pagerunner``, or the person who edited the parameters."""
    rationale: str
    """Why this, with references."""
    votable: bool
    """False in ``observe`` mode or where policy names nobody: shown, without an Approve button."""
    withheld: str = ""
    """Why it is not votable."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Principal:
    """A person who acts: a Slack user of our workspace, at the command line too if they linked it to themselves, or
    the one local person behind console and CLI."""

    id: str
    """``slack:T1/U123`` or ``local:NAME``."""
    name: str
    via: str
    """``slack``, ``cli``, ``api`` or ``terminal``."""
    link: str = ""
    """Outside Slack, the link by which a Slack user was recognised."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Debt:
    """What a break-glass approval leaves: one person decided alone, and another one has to look at it."""

    proposal_id: str
    incident_id: str
    service: str
    team: str
    """Whose approvers review it."""
    principal: str
    name: str
    reason: str
    at: datetime
    reviewed_by: str = ""
    """Principal; empty: nobody has looked at it yet."""
    reviewer: str = ""
    note: str = ""
    reviewed_at: datetime | None = None

    @property
    def open(self) -> bool:
        """Whether nobody has looked at it yet."""
        return not self.reviewed_by


class VoteResult(enum.StrEnum):
    """What became of a vote: the closed list that every surface shows in words."""

    RECORDED = "recorded"
    APPROVED = "approved"
    REJECTED = "rejected"
    REPEATED = "repeated"
    NOT_FOUND = "not_found"
    NOT_OPEN = "not_open"
    EXPIRED = "expired"
    STALE_PLAN = "stale_plan"
    CONTEXT_MISMATCH = "context_mismatch"
    NOT_APPROVER = "not_approver"
    LOCAL_PERSON = "local_person"
    """Several people are needed, and a local vote does not say which person it is."""
    SELF_APPROVAL = "self_approval"
    OBSERVE_MODE = "observe_mode"
    INCIDENT_CLOSED = "incident_closed"
    FROZEN = "frozen"
    UNINSPECTABLE = "uninspectable"
    NO_BREAK_GLASS = "no_break_glass"
    """The policy does not let this person approve it alone."""
    NOT_NEEDED = "not_needed"
    """An ordinary approval of this person is enough: no glass has to be broken."""
    NO_REASON = "no_reason"
    """Break-glass without a reason."""


class EffectState(enum.StrEnum):
    """State of one ``apply`` or ``revert``."""

    PENDING = "pending"
    CLAIMED = "claimed"
    DONE = "done"
    FAILED = "failed"
    CONFLICT = "conflict"
    UNKNOWN = "unknown"


@dataclass(frozen=True, kw_only=True, slots=True)
class Effect:
    """One change to the world: at most one ``apply`` and one ``revert`` for a proposal."""

    id: str
    """``{proposal}:apply`` or ``{proposal}:revert``: also the idempotency key."""
    proposal_id: str
    kind: str
    state: EffectState
    claimed_at: datetime | None = None
    finished_at: datetime | None = None
    detail: str = ""
    verify_by: datetime | None = None
    verdict: str = ""
    """``better``, ``worse``, ``unknown``, or empty while not verified."""
    lease_until: datetime | None = None
    next_check_at: datetime | None = None
    checks: int = 0
