"""What stands between an approval and its effect."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, Protocol

from bot.domain.proposal import Debt, Effect, Plan, Principal, Proposal, VoteResult
from bot.domain.timeline import Fact
from bot.ports.asking import VoteContext
from config.catalogue import Risk, Service
from runbooks.model import ActionSpec, Approval, Draft, EffectResult, VerifyStep


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
                   reason: str = "", *, glass: tuple[bool, str] | None = None) -> VoteResult:  # fmt: skip
        """``glass``: it is to count alone, by break-glass; whether this person may do that, and why not otherwise."""
        ...

    async def debt(self, proposal_id: str) -> Debt | None:
        """What a break-glass approval left."""
        ...

    async def review(self, proposal_id: str, who: Principal, note: str, refused: str, now: datetime) -> bool:
        """Settle a debt, once, by somebody else than who made it; False if it was settled before. ``refused`` says
        why this person may not, and is recorded instead."""
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
