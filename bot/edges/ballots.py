"""Proposals and votes as rows, moved only by compare-and-set, each step with its timeline row."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from bot.domain import codec
from bot.domain.approval import counts
from bot.domain.incident import Status
from bot.domain.plan_card import why_uninspectable
from bot.domain.proposal import Debt, EffectState, Plan, Principal, Proposal, ProposalState, VoteResult
from bot.edges import casebook, chain, debts
from bot.edges.database import Database
from bot.edges.gate_rows import (
    as_proposal,
    call_off,
    expire_row,
    follow_up,
    human_fact,
    proposal_row,
    see_again,
    stopped,
    swap,
    tell,
)
from bot.edges.schema import effect, frozen, incident, proposal, vote
from bot.ports import NOTHING, Follow, VoteContext

LEAST_REASON = 3
"""Letters and digits of a reason for break-glass."""
_OVERDUE = select(proposal).where(
    proposal.c.state == ProposalState.OPEN.value, proposal.c.votable, proposal.c.expires_at <= bindparam("moment")
)


class SqlBallots:
    """The half of the gate in front of the decision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def propose(self, new: Proposal, step: str, service: str, now: datetime) -> bool:
        def work(connection: Connection) -> bool:
            if connection.execute(select(proposal.c.id).where(proposal.c.id == new.id)).one_or_none() is not None:
                return False
            casebook.supersede(connection, new.plan.incident_id, now)
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
            tell(connection, new.plan.incident_id, kind, new.proposed_by, data, now)
            return True

        return await self._database.run(work)

    async def proposal(self, proposal_id: str) -> Proposal | None:
        def read(connection: Connection) -> Proposal | None:
            row = proposal_row(connection, proposal_id)
            return None if row is None else as_proposal(row)

        return await self._database.run(read)

    async def steps_tried(self, incident_id: str) -> Sequence[tuple[str, str]]:
        """Runbook steps proposed since the incident was last opened, or still under way, with what became of them. One
        that helped until its lease was over has not failed: it may be proposed again."""
        under_way = (ProposalState.APPROVED.value, ProposalState.EXECUTING.value)
        since = select(func.coalesce(incident.c.reopened_at, 0.0)).where(incident.c.id == incident_id)
        apply, revert = effect.alias("apply"), effect.alias("revert")
        set_back = (
            select(apply.c.id)
            .join(revert, revert.c.proposal == apply.c.proposal)
            .where(apply.c.proposal == proposal.c.id, apply.c.kind == "apply", apply.c.verdict == "better")
            .where(revert.c.kind == "revert", revert.c.state == EffectState.DONE.value)
        )

        def read(connection: Connection) -> list[tuple[str, str]]:
            rows = connection.execute(
                select(proposal.c.step, proposal.c.state)
                .where(proposal.c.incident == incident_id, ~set_back.exists())
                .where((proposal.c.created_at >= since.scalar_subquery()) | proposal.c.state.in_(under_way))
            )
            return [(row.step, row.state) for row in rows]

        return await self._database.run(read)

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   allowed: tuple[bool, str], context: VoteContext, now: datetime,
                   reason: str = "", *, glass: tuple[bool, str] | None = None) -> VoteResult:  # fmt: skip
        entitled = allowed if glass is None else glass

        def work(connection: Connection) -> VoteResult:
            row = proposal_row(connection, proposal_id)
            if row is None:
                return VoteResult.NOT_FOUND
            denied = _denial(connection, row, plan_hash, decision, who, entitled, context, now)
            if glass is not None:
                denied = _glass_denial(connection, row, who, allowed, reason, denied)
            data = {"proposal": proposal_id, "decision": decision, "name": who.name, "via": who.via, "reason": reason}
            data |= {"link": who.link} if who.link else {}
            if denied is not None:
                personal = denied in (VoteResult.NOT_APPROVER, VoteResult.NO_BREAK_GLASS)
                why = {**data, "denied": denied.value, "why": entitled[1] if personal else ""}
                chain.append(connection, now, row.incident, [human_fact("vote_denied", who.id, why)])
                return denied
            return _count(connection, row, decision, who, data, now, alone=glass is not None)

        return await self._database.run(work)

    async def debt(self, proposal_id: str) -> Debt | None:
        return await self._database.run(lambda c: debts.of(c, proposal_id))

    async def review(self, proposal_id: str, who: Principal, note: str, refused: str, now: datetime) -> bool:
        return await self._database.run(lambda c: debts.review(c, proposal_id, who, note, refused, now))

    async def withdraw(self, proposal_id: str, who: Principal, now: datetime, follow: Follow = NOTHING) -> bool:
        def work(connection: Connection) -> bool:
            row = proposal_row(connection, proposal_id)
            if row is None or not _withdrawn(connection, row, f"withdrawn by {who.name}", now):
                return False
            tell(
                connection, row.incident, "proposal_superseded", who.id, {"proposal": proposal_id, "by": who.name}, now
            )
            follow_up(connection, row, "withdrawn", follow, now)
            return True

        return await self._database.run(work)

    async def revoke(self, proposal_id: str, why: str, now: datetime) -> bool:
        def work(connection: Connection) -> bool:
            row = proposal_row(connection, proposal_id)
            if row is None or not call_off(connection, row, ProposalState.EXPIRED, why, now):
                return False
            tell(connection, row.incident, "proposal_expired", "pagerunner", {"proposal": proposal_id, "why": why}, now)
            see_again(connection, row, f"{proposal_id} was approved and not executed: {why}", now)
            return True

        return await self._database.run(work)

    async def voters(self, proposal_id: str) -> Sequence[Principal]:
        def read(connection: Connection) -> list[Principal]:
            rows = connection.execute(
                select(vote).where(vote.c.proposal == proposal_id, vote.c.decision == "approve").order_by(vote.c.at)
            )
            return [Principal(id=r.principal, name=r.name, via=r.principal.split(":")[0]) for r in rows]

        return await self._database.run(read)

    async def expire(self, now: datetime) -> Sequence[tuple[str, str]]:
        """Close every open proposal whose time is over, and ask again; returns (incident, proposal). One that was never
        put to the vote waits for nobody, and looking again every quarter of an hour would cost."""

        def work(connection: Connection) -> list[tuple[str, str]]:
            over = connection.execute(_OVERDUE, {"moment": codec.stamp(now)}).all()
            for row in over:
                expire_row(connection, row, now)
            return [(row.incident, row.id) for row in over]

        return await self._database.run(work)

    async def freeze(self, service: str, on: bool, reason: str, who: Principal, now: datetime) -> None:
        def work(connection: Connection) -> None:
            connection.execute(frozen.delete().where(frozen.c.service == service))
            if on:
                connection.execute(
                    insert(frozen).values(service=service, reason=reason, by=who.name, at=codec.stamp(now))
                )
            kind, data = "frozen" if on else "unfrozen", {"service": service, "reason": reason, "by": who.name}
            chain.append(connection, now, chain.INSTALLATION, [human_fact(kind, who.id, data)])
            active = select(incident.c.id).where(incident.c.status.not_in([Status.RESOLVED.value, Status.CLOSED.value]))
            if service != "*":
                active = active.where(incident.c.service == service)
            for incident_id in connection.execute(active).scalars().all():
                tell(connection, incident_id, kind, who.id, data, now)

        await self._database.run(work)

    async def frozen(self, service: str) -> str:
        return await self._database.run(lambda c: stopped(c, service))


def _denial(
    connection: Connection, row: Row[Any], plan_hash: str, decision: str, who: Principal, allowed: tuple[bool, str],
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
        expire_row(connection, row, now, somebody=True)
        return VoteResult.EXPIRED
    if plan_hash != row.plan_hash or Plan.from_json(row.plan).hash != row.plan_hash:
        return VoteResult.STALE_PLAN
    if why_uninspectable(Plan.from_json(row.plan)):
        return VoteResult.UNINSPECTABLE
    if not row.votable:
        return VoteResult.OBSERVE_MODE
    if Status(where.status) in (Status.RESOLVED, Status.CLOSED):
        return VoteResult.INCIDENT_CLOSED
    return None if decision == "reject" else _approval_denial(connection, row, who)


def _glass_denial(
    connection: Connection, row: Row[Any], who: Principal, allowed: tuple[bool, str], reason: str,
    denied: VoteResult | None,
) -> VoteResult | None:  # fmt: skip
    """What stands in the way of one person alone: everything that stands in the way of others, except that it takes
    several; and that it is not needed, or not explained."""
    if denied is VoteResult.NOT_APPROVER:
        return VoteResult.NO_BREAK_GLASS
    if denied not in (None, VoteResult.SELF_APPROVAL):
        return denied
    if stopped(connection, row.service):
        return VoteResult.FROZEN
    if denied is None and allowed[0] and len(_approvers(connection, row.id) | {who.id}) >= row.plan["min_approvers"]:
        return VoteResult.NOT_NEEDED
    return None if sum(letter.isalnum() for letter in reason) >= LEAST_REASON else VoteResult.NO_REASON


def _approvers(connection: Connection, proposal_id: str) -> set[str]:
    query = select(vote.c.principal).where(vote.c.proposal == proposal_id, vote.c.decision == "approve")
    return set(connection.execute(query).scalars())


def _approval_denial(connection: Connection, row: Row[Any], who: Principal) -> VoteResult | None:
    """What stands in the way of an approval, and of no rejection."""
    if not counts(who.id, row.plan["min_approvers"]):
        return VoteResult.LOCAL_PERSON
    if row.plan["min_approvers"] > 1 and row.proposed_by == who.id:
        return VoteResult.SELF_APPROVAL
    return VoteResult.FROZEN if stopped(connection, row.service) else None


def _count(
    connection: Connection, row: Row[Any], decision: str, who: Principal, data: dict[str, Any], now: datetime, *,
    alone: bool = False,
) -> VoteResult:  # fmt: skip
    known = connection.execute(select(vote).where(vote.c.proposal == row.id, vote.c.principal == who.id)).one_or_none()
    if known is not None and known.decision == decision and not alone:
        return VoteResult.REPEATED
    connection.execute(vote.delete().where(vote.c.proposal == row.id, vote.c.principal == who.id))
    connection.execute(
        insert(vote).values(
            proposal=row.id, principal=who.id, name=who.name, decision=decision, plan_hash=row.plan_hash,
            at=codec.stamp(now),
        )
    )  # fmt: skip
    tell(connection, row.incident, "vote_cast", who.id, data, now)
    if decision == "reject":
        swap(connection, row.id, ProposalState.OPEN, ProposalState.REJECTED)
        tell(connection, row.incident, "proposal_rejected", who.id, data, now)
        return VoteResult.REJECTED
    if alone:
        debts.incur(connection, row, who, data["reason"], now)
    elif len(_approvers(connection, row.id)) < row.plan["min_approvers"]:
        return VoteResult.RECORDED
    swap(connection, row.id, ProposalState.OPEN, ProposalState.APPROVED)
    connection.execute(update(proposal).where(proposal.c.id == row.id).values(approved_at=codec.stamp(now)))
    tell(connection, row.incident, "proposal_approved", who.id, {"proposal": row.id, "plan_hash": row.plan_hash}, now)
    return VoteResult.APPROVED


def _withdrawn(connection: Connection, row: Row[Any], why: str, now: datetime) -> bool:
    """An open proposal, or one that waits for a person's hands."""
    if swap(connection, row.id, ProposalState.OPEN, ProposalState.REJECTED):
        return True
    return row.plan["effect"] == "manual" and call_off(connection, row, ProposalState.REJECTED, why, now)
