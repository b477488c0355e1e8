"""Effects as rows: claimed once, finished once, verified and leased; each step with its timeline row."""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, select, update

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.proposal import Effect, EffectState, Plan, Principal, ProposalState
from bot.domain.timeline import Fact, canonical
from bot.domain.untrusted import quote
from bot.edges import chain, outbox
from bot.edges.database import Database
from bot.edges.gate_rows import (
    as_effect,
    follow_up,
    one_proposal,
    proposal_row,
    put_effect,
    stopped,
    swap,
    tell,
)
from bot.edges.schema import effect, incident, proposal, timeline, vote
from bot.ports import NOTHING, Claim, Follow
from runbooks.model import EffectClass, EffectResult, EffectStatus

_ENDED = {
    EffectStatus.DONE: (EffectState.DONE, ProposalState.DONE, "effect_applied"),
    EffectStatus.CONFLICT: (EffectState.CONFLICT, ProposalState.CONFLICT, "effect_conflict"),
    EffectStatus.FAILED: (EffectState.FAILED, ProposalState.FAILED, "effect_failed"),
    EffectStatus.UNKNOWN: (EffectState.UNKNOWN, ProposalState.UNKNOWN, "effect_unknown"),
}
_BY_HAND = proposal.c.plan["effect"].as_string() == EffectClass.MANUAL.value
_OVER = incident.c.status.in_((Status.RESOLVED.value, Status.CLOSED.value))
_DUE = {
    # A step by hand waits for its person, until the incident is over: then it is called off.
    "mitigate": select(proposal.c.id)
    .join(incident, incident.c.id == proposal.c.incident)
    .where(
        (proposal.c.state == ProposalState.APPROVED.value)
        | ((proposal.c.state == ProposalState.EXECUTING.value) & (~_BY_HAND | _OVER))
    ),
    "verify": select(effect.c.id).where(
        effect.c.state == EffectState.DONE.value, effect.c.next_check_at <= bindparam("moment")
    ),
    "lease": select(effect.c.id).where(effect.c.lease_until <= bindparam("moment")),
    "revert": select(effect.c.proposal).where(
        effect.c.kind == "revert",
        effect.c.state.in_((EffectState.PENDING.value, EffectState.CLAIMED.value)),
        effect.c.next_check_at.is_(None) | (effect.c.next_check_at <= bindparam("moment")),
    ),
}
"""What rows imply a job, by kind. Made once: every sweep asks."""


class SqlEffects:
    """The half of the gate behind the decision."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def claim(self, proposal_id: str, kind: Literal["apply", "revert"], now: datetime) -> Claim:
        def work(connection: Connection) -> Claim:
            row = proposal_row(connection, proposal_id)
            if row is None:
                return Claim(state="refused", why="no such proposal")
            if Plan.from_json(row.plan).hash != row.plan_hash:
                tell(connection, row.incident, "alarm", "pagerunner", {"plan_hash_mismatch": proposal_id}, now)
                return Claim(state="refused", why="the stored plan does not match its hash; nothing is executed")
            why = stopped(connection, row.service)
            if why:
                _tell_held(connection, row, why, now)
                return Claim(state="held", why=why)
            busy = _busy(connection, row.target, proposal_id)
            if kind == "apply" and busy:
                why = f"another change on {row.target} is not verified yet ({busy})"
                _tell_held(connection, row, why, now)
                return Claim(state="held", why=why)
            return _claim(connection, row, kind, now)

        return await self._database.run(work)

    async def finish(self, effect_id: str, result: EffectResult, now: datetime, follow: Follow = NOTHING) -> None:
        def work(connection: Connection) -> None:
            proposal_id, kind = effect_id.rsplit(":", 1)
            state, after, fact = _ended(result.status, kind)
            row = proposal_row(connection, proposal_id)
            done = connection.execute(
                update(effect)
                .where(effect.c.id == effect_id, effect.c.state == EffectState.CLAIMED.value)
                .values(state=state.value, finished_at=codec.stamp(now), detail=result.detail, next_check_at=None)
            )
            if done.rowcount == 0 or row is None:
                return
            within = timedelta(seconds=row.plan["verify_within_s"])
            data = {
                "proposal": proposal_id,
                "effect": effect_id,
                "detail": result.detail,
                "observed": dict(result.observed),
            }
            if kind == "apply":
                swap(connection, proposal_id, ProposalState.EXECUTING, after)
                if state is EffectState.DONE:
                    _check(connection, effect_id, by=now + within, at=now)
            elif state is EffectState.DONE and _helped(connection, proposal_id):
                # The end of a lease: what showed the help in this time shows the lack of it.
                _check(connection, effect_id, by=now + within, at=now + within)
            tell(connection, row.incident, fact, "pagerunner", data, now)
            follow_up(connection, row, fact, follow, now)

        await self._database.run(work)

    async def postpone(self, effect_id: str, detail: str, until: datetime) -> None:
        again = {"state": EffectState.PENDING.value, "detail": detail, "next_check_at": codec.stamp(until)}
        missed = update(effect).where(effect.c.id == effect_id, effect.c.state == EffectState.CLAIMED.value)
        await self._database.run(lambda c: c.execute(missed.values(**again, checks=effect.c.checks + 1)))

    async def effect(self, effect_id: str) -> Effect | None:
        def read(connection: Connection) -> Effect | None:
            row = connection.execute(select(effect).where(effect.c.id == effect_id)).one_or_none()
            return None if row is None else as_effect(row)

        return await self._database.run(read)

    async def checked(self, effect_id: str, next_at: datetime | None, verdict: str, facts: Sequence[Fact],
                      lease_until: datetime | None, now: datetime, follow: Follow = NOTHING) -> bool:  # fmt: skip
        def work(connection: Connection) -> bool:
            row = connection.execute(select(effect).where(effect.c.id == effect_id)).one()
            if row.next_check_at is None:
                return False
            connection.execute(
                update(effect)
                .where(effect.c.id == effect_id)
                .values(
                    checks=effect.c.checks + 1, next_check_at=None if next_at is None else codec.stamp(next_at),
                    verdict=verdict,
                    lease_until=row.lease_until if lease_until is None else codec.stamp(lease_until),
                )
            )  # fmt: skip
            chain.append(connection, now, row.incident, facts)
            outbox.card(connection, row.incident, now, decision=True)
            follow_up(connection, one_proposal(connection, row.proposal), f"verified:{row.kind}", follow, now)
            return True

        return await self._database.run(work)

    async def manual_done(self, proposal_id: str, who: Principal, now: datetime) -> bool:
        """A person carried out the approved manual action: start to verify it."""

        def work(connection: Connection) -> bool:
            row = proposal_row(connection, proposal_id)
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
            swap(connection, proposal_id, ProposalState.EXECUTING, ProposalState.DONE)
            _check(connection, effect_id, by=now + timedelta(seconds=row.plan["verify_within_s"]), at=now)
            tell(connection, row.incident, "manual_done", who.id, {"proposal": proposal_id, "name": who.name}, now)
            return True

        return await self._database.run(work)

    async def pending(self, now: datetime) -> Mapping[str, Sequence[str]]:
        """What rows imply a job: approved proposals, interrupted effects, checks and leases that are due."""

        def read(connection: Connection) -> dict[str, Sequence[str]]:
            moment = {"moment": codec.stamp(now)}
            return {kind: connection.execute(rows, moment).scalars().all() for kind, rows in _DUE.items()}

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
            follow_up(connection, one_proposal(connection, row.proposal), fact.kind, follow, now)
            return True

        return await self._database.run(work)


def _claim(connection: Connection, row: Row[Any], kind: str, now: datetime) -> Claim:
    """Take the one right to perform this effect; a predecessor that vanished with it leaves ``interrupted``."""
    effect_id = f"{row.id}:{kind}"
    known = connection.execute(select(effect).where(effect.c.id == effect_id)).one_or_none()
    if known is not None and known.state != EffectState.PENDING.value:
        interrupted = known.state == EffectState.CLAIMED.value
        return Claim(state="interrupted" if interrupted else "ended", why=known.state, effect=as_effect(known))
    if kind == "apply" and not swap(connection, row.id, ProposalState.APPROVED, ProposalState.EXECUTING):
        return Claim(state="refused", why=f"the proposal is {row.state}")
    if kind == "revert" and row.state != ProposalState.DONE.value:
        return Claim(state="refused", why=f"nothing to revert: the proposal is {row.state}")
    if known is None:
        put_effect(connection, row, kind)
    taken = {"state": EffectState.CLAIMED.value, "claimed_at": codec.stamp(now)}
    connection.execute(update(effect).where(effect.c.id == effect_id).values(**taken))
    tell(connection, row.incident, "effect_claimed", "pagerunner", {"proposal": row.id, "effect": effect_id}, now)
    claimed = connection.execute(select(effect).where(effect.c.id == effect_id)).one()
    voters = select(vote.c.principal).where(vote.c.proposal == row.id, vote.c.decision == "approve")
    return Claim(
        state="claimed", effect=as_effect(claimed), approved_by=tuple(connection.execute(voters).scalars()),
        approved_at=codec.moment(row.approved_at),
    )  # fmt: skip


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


def _helped(connection: Connection, proposal_id: str) -> bool:
    verdict = select(effect.c.verdict).where(effect.c.proposal == proposal_id, effect.c.kind == "apply")
    return connection.execute(verdict).scalar() == "better"


def _check(connection: Connection, effect_id: str, *, by: datetime, at: datetime) -> None:
    values = {"verify_by": codec.stamp(by), "next_check_at": codec.stamp(at)}
    connection.execute(update(effect).where(effect.c.id == effect_id).values(**values))


def _tell_held(connection: Connection, row: Row[Any], why: str, now: datetime) -> None:
    """Say that it is held once for each reason, however often it is tried."""
    data = {"proposal": row.id, "why": why}
    told = select(timeline.c.seq).where(
        timeline.c.incident == row.incident,
        timeline.c.kind == "effect_held",
        timeline.c.data == canonical(data).decode(),
    )
    if connection.execute(told.limit(1)).one_or_none() is None:
        tell(connection, row.incident, "effect_held", "pagerunner", data, now)
        key = hashlib.sha256(why.encode()).hexdigest()[:16]
        text = f"{row.id} is held, and goes on by itself afterwards: {quote(why, 300)}"
        outbox.say(connection, row.incident, f"held:{row.id}:{key}", text, now)
