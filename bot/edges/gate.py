"""The gate: proposals, votes and effects as rows, moved only by compare-and-set, each step with its timeline row.

Nothing else in the product has authority to act: an effect runs only after :meth:`SqlGate.claim` said yes, once.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, func, insert, select, update

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.plan_card import why_uninspectable
from bot.domain.proposal import Effect, EffectState, Plan, Principal, Proposal, ProposalState, VoteResult
from bot.domain.timeline import Fact, Provenance, canonical
from bot.edges import casebook, chain, outbox
from bot.edges.database import Database
from bot.edges.schema import effect, frozen, incident, proposal, timeline, vote
from bot.ports import NOTHING, Claim, Follow, VoteContext
from runbooks.model import EffectResult, EffectStatus

_ENDED = {
    EffectStatus.DONE: (EffectState.DONE, ProposalState.DONE, "effect_applied"),
    EffectStatus.CONFLICT: (EffectState.CONFLICT, ProposalState.CONFLICT, "effect_conflict"),
    EffectStatus.FAILED: (EffectState.FAILED, ProposalState.FAILED, "effect_failed"),
    EffectStatus.UNKNOWN: (EffectState.UNKNOWN, ProposalState.UNKNOWN, "effect_unknown"),
}


class SqlGate:
    """See :class:`bot.ports.Gate`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def propose(self, new: Proposal, step: str, service: str, now: datetime) -> bool:
        def work(connection: Connection) -> bool:
            if connection.execute(select(proposal.c.id).where(proposal.c.id == new.id)).one_or_none() is not None:
                return False
            _supersede(connection, new.plan.incident_id, now)
            connection.execute(
                insert(proposal).values(
                    id=new.id, incident=new.plan.incident_id, service=service, target=new.plan.target,
                    plan=new.plan.as_json(), plan_hash=new.plan_hash, state=new.state.value,
                    created_at=codec.stamp(now), expires_at=codec.stamp(new.plan.expires_at), approved_at=None,
                    proposed_by=new.proposed_by, rationale=new.rationale, votable=new.votable, withheld=new.withheld,
                    step=step,
                )
            )  # fmt: skip
            kind = "proposal_made" if new.votable else "proposal_withheld"
            data = {"proposal": new.id, "plan": new.plan.as_json(), "plan_hash": new.plan_hash,
                    "withheld": new.withheld,
                    "rationale": new.rationale}  # fmt: skip
            _tell(connection, new.plan.incident_id, kind, new.proposed_by, data, now)
            return True

        return await self._database.run(work)

    async def proposal(self, proposal_id: str) -> Proposal | None:
        def read(connection: Connection) -> Proposal | None:
            row = _proposal_row(connection, proposal_id)
            return None if row is None else as_proposal(row)

        return await self._database.run(read)

    async def steps_tried(self, incident_id: str) -> Sequence[tuple[str, str]]:
        """Runbook steps already proposed, with what became of them."""

        def read(connection: Connection) -> list[tuple[str, str]]:
            rows = connection.execute(
                select(proposal.c.step, proposal.c.state).where(proposal.c.incident == incident_id)
            )
            return [(row.step, row.state) for row in rows]

        return await self._database.run(read)

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   allowed: tuple[bool, str], context: VoteContext, now: datetime,
                   reason: str = "") -> VoteResult:  # fmt: skip
        def work(connection: Connection) -> VoteResult:
            row = _proposal_row(connection, proposal_id)
            if row is None:
                return VoteResult.NOT_FOUND
            denied = _denial(connection, row, plan_hash, who, allowed, context, now)
            data = {"proposal": proposal_id, "decision": decision, "name": who.name, "via": who.via, "reason": reason}
            if denied is not None:
                why = {**data, "denied": denied.value, "why": allowed[1] if denied is VoteResult.NOT_APPROVER else ""}
                chain.append(connection, now, row.incident, [_human("vote_denied", who.id, why)])
                return denied
            return _count(connection, row, decision, who, data, now)

        return await self._database.run(work)

    async def withdraw(self, proposal_id: str, who: Principal, now: datetime, follow: Follow = NOTHING) -> bool:
        def work(connection: Connection) -> bool:
            row = _proposal_row(connection, proposal_id)
            if row is None or not _swap(connection, proposal_id, ProposalState.OPEN, ProposalState.REJECTED):
                return False
            _tell(
                connection, row.incident, "proposal_superseded", who.id, {"proposal": proposal_id, "by": who.name}, now
            )
            _follow(connection, row, "withdrawn", follow, now)
            return True

        return await self._database.run(work)

    async def revoke(self, proposal_id: str, why: str, now: datetime) -> bool:
        def work(connection: Connection) -> bool:
            row = _proposal_row(connection, proposal_id)
            if row is None or not _swap(connection, proposal_id, ProposalState.APPROVED, ProposalState.EXPIRED):
                return False
            _tell(
                connection, row.incident, "proposal_expired", "pagerunner", {"proposal": proposal_id, "why": why}, now
            )
            _see_again(connection, row, f"{proposal_id} was approved and not executed: {why}", now)
            return True

        return await self._database.run(work)

    async def voters(self, proposal_id: str) -> Sequence[Principal]:
        def read(connection: Connection) -> list[Principal]:
            rows = connection.execute(
                select(vote).where(vote.c.proposal == proposal_id, vote.c.decision == "approve").order_by(vote.c.at)
            )
            return [Principal(id=r.principal, name=r.name, via=r.principal.split(":")[0]) for r in rows]

        return await self._database.run(read)

    async def claim(self, proposal_id: str, kind: Literal["apply", "revert"], now: datetime) -> Claim:
        def work(connection: Connection) -> Claim:
            row = _proposal_row(connection, proposal_id)
            if row is None:
                return Claim(state="refused", why="no such proposal")
            if Plan.from_json(row.plan).hash != row.plan_hash:
                _tell(connection, row.incident, "alarm", "pagerunner", {"plan_hash_mismatch": proposal_id}, now)
                return Claim(state="refused", why="the stored plan does not match its hash; nothing is executed")
            why = _stopped(connection, row.service)
            if why:
                _tell_held(connection, row, why, now)
                return Claim(state="held", why=why)
            busy = _busy(connection, row.target, proposal_id)
            if kind == "apply" and busy:
                return Claim(state="held", why=f"another change on {row.target} is not verified yet ({busy})")
            return _claim(connection, row, kind, now)

        return await self._database.run(work)

    async def finish(self, effect_id: str, result: EffectResult, now: datetime, follow: Follow = NOTHING) -> None:
        def work(connection: Connection) -> None:
            proposal_id, kind = effect_id.rsplit(":", 1)
            state, after, fact = _ended(result.status, kind)
            row = _proposal_row(connection, proposal_id)
            done = connection.execute(
                update(effect)
                .where(effect.c.id == effect_id, effect.c.state == EffectState.CLAIMED.value)
                .values(state=state.value, finished_at=codec.stamp(now), detail=result.detail)
            )
            if done.rowcount == 0 or row is None:
                return
            data = {
                "proposal": proposal_id,
                "effect": effect_id,
                "detail": result.detail,
                "observed": dict(result.observed),
            }
            if kind == "apply":
                _swap(connection, proposal_id, ProposalState.EXECUTING, after)
                if state is EffectState.DONE:
                    within = timedelta(seconds=row.plan["verify_within_s"])
                    _check(connection, effect_id, by=now + within, at=now)
            _tell(connection, row.incident, fact, "pagerunner", data, now)
            _follow(connection, row, fact, follow, now)

        await self._database.run(work)

    async def effect(self, effect_id: str) -> Effect | None:
        def read(connection: Connection) -> Effect | None:
            row = connection.execute(select(effect).where(effect.c.id == effect_id)).one_or_none()
            return None if row is None else as_effect(row)

        return await self._database.run(read)

    async def checked(self, effect_id: str, next_at: datetime | None, verdict: str, facts: Sequence[Fact],
                      lease_until: datetime | None, now: datetime, follow: Follow = NOTHING) -> bool:  # fmt: skip
        def work(connection: Connection) -> bool:
            row = connection.execute(select(effect).where(effect.c.id == effect_id)).one()
            if row.verdict:
                return False
            connection.execute(
                update(effect)
                .where(effect.c.id == effect_id)
                .values(
                    checks=effect.c.checks + 1, next_check_at=None if next_at is None else codec.stamp(next_at),
                    verdict=verdict, lease_until=None if lease_until is None else codec.stamp(lease_until),
                )
            )  # fmt: skip
            chain.append(connection, now, row.incident, facts)
            outbox.card(connection, row.incident, now, decision=True)
            _follow(connection, _one_proposal(connection, row.proposal), "verified", follow, now)
            return True

        return await self._database.run(work)

    async def manual_done(self, proposal_id: str, who: Principal, now: datetime) -> bool:
        """A person carried out the approved manual action: start to verify it."""

        def work(connection: Connection) -> bool:
            row = _proposal_row(connection, proposal_id)
            effect_id = f"{proposal_id}:apply"
            if row is None or row.plan["effect"] != "manual" or row.state != ProposalState.EXECUTING.value:
                return False
            done = connection.execute(
                update(effect)
                .where(effect.c.id == effect_id, effect.c.state == EffectState.CLAIMED.value)
                .values(state=EffectState.DONE.value, finished_at=codec.stamp(now), detail=f"done by {who.name}")
            )
            if done.rowcount == 0:
                return False
            _swap(connection, proposal_id, ProposalState.EXECUTING, ProposalState.DONE)
            _check(connection, effect_id, by=now + timedelta(seconds=row.plan["verify_within_s"]), at=now)
            _tell(connection, row.incident, "manual_done", who.id, {"proposal": proposal_id, "name": who.name}, now)
            return True

        return await self._database.run(work)

    async def expire(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Close every open proposal whose time is over, and ask again; returns (incident, proposal)."""

        def work(connection: Connection) -> list[tuple[str, str]]:
            over = connection.execute(
                select(proposal).where(
                    proposal.c.state == ProposalState.OPEN.value, proposal.c.expires_at <= codec.stamp(now)
                )
            ).all()
            for row in over:
                _expire(connection, row, now)
            return [(row.incident, row.id) for row in over]

        return await self._database.run(work)

    async def pending(self, now: datetime) -> Mapping[str, Sequence[str]]:
        """What rows imply a job: approved proposals, interrupted effects, checks and leases that are due."""

        def read(connection: Connection) -> dict[str, Sequence[str]]:
            moment = codec.stamp(now)
            approved = select(proposal.c.id).where(
                proposal.c.state.in_((ProposalState.APPROVED.value, ProposalState.EXECUTING.value))
            )
            checks = select(effect.c.id).where(
                effect.c.state == EffectState.DONE.value, effect.c.verdict == "", effect.c.next_check_at <= moment
            )
            leases = select(effect.c.id).where(effect.c.lease_until <= moment)
            reverts = select(effect.c.proposal).where(
                effect.c.kind == "revert",
                effect.c.state.in_((EffectState.PENDING.value, EffectState.CLAIMED.value)),
            )
            return {
                "mitigate": connection.execute(approved).scalars().all(),
                "verify": connection.execute(checks).scalars().all(),
                "lease": connection.execute(leases).scalars().all(),
                "revert": connection.execute(reverts).scalars().all(),
            }

        return await self._database.run(read)

    async def lease_over(self, effect_id: str, fact: Fact, now: datetime, follow: Follow = NOTHING) -> bool:
        """The lease ends once: returns False if somebody was faster."""

        def work(connection: Connection) -> bool:
            row = connection.execute(select(effect).where(effect.c.id == effect_id)).one()
            if row.lease_until is None:
                return False
            connection.execute(update(effect).where(effect.c.id == effect_id).values(lease_until=None))
            chain.append(connection, now, row.incident, [fact])
            outbox.card(connection, row.incident, now, decision=True)
            _follow(connection, _one_proposal(connection, row.proposal), fact.kind, follow, now)
            return True

        return await self._database.run(work)

    async def freeze(self, service: str, on: bool, reason: str, who: Principal, now: datetime) -> None:
        def work(connection: Connection) -> None:
            connection.execute(frozen.delete().where(frozen.c.service == service))
            if on:
                connection.execute(
                    insert(frozen).values(service=service, reason=reason, by=who.name, at=codec.stamp(now))
                )
            kind = "frozen" if on else "unfrozen"
            active = select(incident.c.id).where(incident.c.status.not_in([Status.RESOLVED.value, Status.CLOSED.value]))
            if service != "*":
                active = active.where(incident.c.service == service)
            for incident_id in connection.execute(active).scalars().all():
                _tell(
                    connection, incident_id, kind, who.id, {"service": service, "reason": reason, "by": who.name}, now
                )

        await self._database.run(work)

    async def frozen(self, service: str) -> str:
        return await self._database.run(lambda c: _stopped(c, service))


def as_proposal(row: Row[Any]) -> Proposal:
    return Proposal(
        id=row.id, plan=Plan.from_json(row.plan), plan_hash=row.plan_hash, state=ProposalState(row.state),
        created_at=codec.at(row.created_at), proposed_by=row.proposed_by, rationale=row.rationale,
        votable=row.votable, withheld=row.withheld,
    )  # fmt: skip


def as_effect(row: Row[Any]) -> Effect:
    return Effect(
        id=row.id, proposal_id=row.proposal, kind=row.kind, state=EffectState(row.state),
        claimed_at=codec.moment(row.claimed_at), finished_at=codec.moment(row.finished_at), detail=row.detail,
        verify_by=codec.moment(row.verify_by), verdict=row.verdict, lease_until=codec.moment(row.lease_until),
        next_check_at=codec.moment(row.next_check_at), checks=row.checks,
    )  # fmt: skip


def _one_proposal(connection: Connection, proposal_id: str) -> Row[Any]:
    return connection.execute(select(proposal).where(proposal.c.id == proposal_id)).one()


def _proposal_row(connection: Connection, proposal_id: str) -> Row[Any] | None:
    return connection.execute(select(proposal).where(proposal.c.id == proposal_id)).one_or_none()


def _swap(connection: Connection, proposal_id: str, old: ProposalState, new: ProposalState) -> bool:
    """The compare-and-set: True for exactly one caller."""
    done = connection.execute(
        update(proposal).where(proposal.c.id == proposal_id, proposal.c.state == old.value).values(state=new.value)
    )
    return done.rowcount == 1


def _denial(
    connection: Connection, row: Row[Any], plan_hash: str, who: Principal, allowed: tuple[bool, str],
    context: VoteContext, now: datetime,
) -> VoteResult | None:  # fmt: skip
    """Why this vote does not count, or None. The order is from what says least to what says most."""
    where = connection.execute(select(incident).where(incident.c.id == row.incident)).one()
    posted = (where.card_channel, where.card_ts)
    elsewhere = who.via == "slack" and (context.channel, context.message_ts) != posted
    if elsewhere or (context.incident_id and context.incident_id != row.incident):
        return VoteResult.CONTEXT_MISMATCH
    if not allowed[0]:
        return VoteResult.NOT_APPROVER
    if row.state != ProposalState.OPEN.value:
        return VoteResult.NOT_OPEN
    if codec.stamp(now) >= row.expires_at:
        _expire(connection, row, now)
        return VoteResult.EXPIRED
    if plan_hash != row.plan_hash or Plan.from_json(row.plan).hash != row.plan_hash:
        return VoteResult.STALE_PLAN
    if why_uninspectable(Plan.from_json(row.plan)):
        return VoteResult.UNINSPECTABLE
    if not row.votable:
        return VoteResult.OBSERVE_MODE
    if Status(where.status) in (Status.RESOLVED, Status.CLOSED):
        return VoteResult.INCIDENT_CLOSED
    if row.plan["min_approvers"] > 1 and row.proposed_by == who.id:
        return VoteResult.SELF_APPROVAL
    if _stopped(connection, row.service):
        return VoteResult.FROZEN
    return None


def _count(
    connection: Connection, row: Row[Any], decision: str, who: Principal, data: dict[str, Any], now: datetime
) -> VoteResult:
    known = connection.execute(select(vote).where(vote.c.proposal == row.id, vote.c.principal == who.id)).one_or_none()
    if known is not None and known.decision == decision:
        return VoteResult.REPEATED
    connection.execute(vote.delete().where(vote.c.proposal == row.id, vote.c.principal == who.id))
    connection.execute(
        insert(vote).values(
            proposal=row.id, principal=who.id, name=who.name, decision=decision, plan_hash=row.plan_hash,
            at=codec.stamp(now),
        )
    )  # fmt: skip
    _tell(connection, row.incident, "vote_cast", who.id, data, now)
    if decision == "reject":
        _swap(connection, row.id, ProposalState.OPEN, ProposalState.REJECTED)
        _tell(connection, row.incident, "proposal_rejected", who.id, data, now)
        return VoteResult.REJECTED
    count = select(func.count()).select_from(vote)
    votes = connection.execute(count.where(vote.c.proposal == row.id, vote.c.decision == "approve")).scalar_one()
    if votes < row.plan["min_approvers"]:
        return VoteResult.RECORDED
    _swap(connection, row.id, ProposalState.OPEN, ProposalState.APPROVED)
    connection.execute(update(proposal).where(proposal.c.id == row.id).values(approved_at=codec.stamp(now)))
    _tell(connection, row.incident, "proposal_approved", who.id, {"proposal": row.id, "plan_hash": row.plan_hash}, now)
    return VoteResult.APPROVED


def _claim(connection: Connection, row: Row[Any], kind: str, now: datetime) -> Claim:
    """Take the one right to perform this effect; a predecessor that vanished with it leaves ``interrupted``."""
    effect_id = f"{row.id}:{kind}"
    known = connection.execute(select(effect).where(effect.c.id == effect_id)).one_or_none()
    if known is not None and known.state != EffectState.PENDING.value:
        interrupted = known.state == EffectState.CLAIMED.value
        return Claim(state="interrupted" if interrupted else "ended", why=known.state, effect=as_effect(known))
    if kind == "apply" and not _swap(connection, row.id, ProposalState.APPROVED, ProposalState.EXECUTING):
        return Claim(state="refused", why=f"the proposal is {row.state}")
    if kind == "revert" and row.state != ProposalState.DONE.value:
        return Claim(state="refused", why=f"nothing to revert: the proposal is {row.state}")
    if known is None:
        _put_effect(connection, row, kind)
    taken = {"state": EffectState.CLAIMED.value, "claimed_at": codec.stamp(now)}
    connection.execute(update(effect).where(effect.c.id == effect_id).values(**taken))
    _tell(connection, row.incident, "effect_claimed", "pagerunner", {"proposal": row.id, "effect": effect_id}, now)
    claimed = connection.execute(select(effect).where(effect.c.id == effect_id)).one()
    voters = select(vote.c.principal).where(vote.c.proposal == row.id, vote.c.decision == "approve")
    return Claim(
        state="claimed", effect=as_effect(claimed), approved_by=tuple(connection.execute(voters).scalars()),
        approved_at=codec.moment(row.approved_at),
    )  # fmt: skip


def _put_effect(connection: Connection, row: Row[Any], kind: str) -> None:
    """An effect that is meant to happen: from now on its row implies the job."""
    effect_id = f"{row.id}:{kind}"
    if connection.execute(select(effect.c.id).where(effect.c.id == effect_id)).one_or_none() is None:
        connection.execute(
            insert(effect).values(
                id=effect_id, proposal=row.id, incident=row.incident, kind=kind, state=EffectState.PENDING.value,
                detail="", checks=0, verdict="",
            )
        )  # fmt: skip


def _follow(connection: Connection, row: Row[Any], after: str, follow: Follow, now: datetime) -> None:
    """What a step of this proposal entails, in the same transaction."""
    if follow.mitigated:
        casebook.move(connection, row.incident, Status.MITIGATED, [], now)
    if follow.undo:
        _put_effect(connection, row, "revert")
    if follow.again is not None:
        casebook.ask(connection, row.incident, [follow.again], now, attempt=follow.attempt)
    if follow.say:
        outbox.say(connection, row.incident, f"{after}:{row.id}", follow.say, now)


def _expire(connection: Connection, row: Row[Any], now: datetime) -> None:
    """An open proposal that nobody decided in time never decides; people are asked again."""
    if _swap(connection, row.id, ProposalState.OPEN, ProposalState.EXPIRED):
        _tell(connection, row.incident, "proposal_expired", "pagerunner", {"proposal": row.id}, now)
        _see_again(connection, row, f"{row.id} expired without a decision", now)


def _see_again(connection: Connection, row: Row[Any], why: str, now: datetime) -> None:
    """Draft afresh, so that people decide on the target as it is; not for an incident that is over."""
    status = connection.execute(select(incident.c.status).where(incident.c.id == row.incident)).scalar_one()
    if Status(status) not in (Status.RESOLVED, Status.CLOSED):
        fact = Fact(kind="investigation_started", provenance=Provenance.COMPUTED, actor="pagerunner", data={"why": why})
        casebook.ask(connection, row.incident, [fact], now)


def _busy(connection: Connection, target: str, proposal_id: str) -> str:
    """Another proposal whose change of this target is in flight or not verified yet."""
    query = (
        select(proposal.c.id)
        .join(effect, effect.c.proposal == proposal.c.id)
        .where(
            proposal.c.target == target, proposal.c.id != proposal_id, effect.c.kind == "apply",
            (effect.c.state == EffectState.CLAIMED.value)
            | ((effect.c.state == EffectState.DONE.value) & (effect.c.verdict == "")),
        )
    )  # fmt: skip
    return str(connection.execute(query.limit(1)).scalar() or "")


def _ended(status: EffectStatus, kind: str) -> tuple[EffectState, ProposalState, str]:
    state, after, fact = _ENDED[status]
    return state, after, "effect_reverted" if kind == "revert" and state is EffectState.DONE else fact


def _check(connection: Connection, effect_id: str, *, by: datetime, at: datetime) -> None:
    values = {"verify_by": codec.stamp(by), "next_check_at": codec.stamp(at)}
    connection.execute(update(effect).where(effect.c.id == effect_id).values(**values))


def _stopped(connection: Connection, service: str) -> str:
    row = connection.execute(select(frozen).where(frozen.c.service.in_(["*", service])).limit(1)).one_or_none()
    return "" if row is None else f"frozen by {row.by}: {row.reason}"


def _supersede(connection: Connection, incident_id: str, now: datetime) -> None:
    open_ = select(proposal.c.id).where(
        proposal.c.incident == incident_id, proposal.c.state == ProposalState.OPEN.value
    )
    for old in connection.execute(open_).scalars().all():
        _swap(connection, old, ProposalState.OPEN, ProposalState.SUPERSEDED)
        _tell(connection, incident_id, "proposal_superseded", "pagerunner", {"proposal": old}, now)


def _tell_held(connection: Connection, row: Row[Any], why: str, now: datetime) -> None:
    """Say that it is held once for each reason, however often it is tried."""
    data = {"proposal": row.id, "why": why}
    told = select(timeline.c.seq).where(
        timeline.c.incident == row.incident,
        timeline.c.kind == "effect_held",
        timeline.c.data == canonical(data).decode(),
    )
    if connection.execute(told.limit(1)).one_or_none() is None:
        _tell(connection, row.incident, "effect_held", "pagerunner", data, now)


def _human(kind: str, actor: str, data: Mapping[str, Any]) -> Fact:
    return Fact(kind=kind, provenance=Provenance.HUMAN, actor=actor, data=data)


def _tell(
    connection: Connection, incident_id: str, kind: str, actor: str, data: Mapping[str, Any], now: datetime
) -> None:
    provenance = Provenance.COMPUTED if actor == "pagerunner" else Provenance.HUMAN
    chain.append(connection, now, incident_id, [Fact(kind=kind, provenance=provenance, actor=actor, data=data)])
    outbox.card(connection, incident_id, now, decision=True)
