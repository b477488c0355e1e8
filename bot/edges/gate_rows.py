"""What ballots and effects share: their rows as values, the compare-and-set, and what is told with each step."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from bot.domain import codec
from bot.domain.incident import Status
from bot.domain.proposal import Effect, EffectState, Plan, Proposal, ProposalState
from bot.domain.timeline import Fact, Provenance
from bot.edges import casebook, chain, outbox
from bot.edges.schema import effect, frozen, incident, proposal, timeline
from bot.ports import Follow

ASKED_AT_MOST = 4
"""Times that people are asked about one incident with nobody answering: an hour, with what the policy sets."""
SIGNS = ("page_received", "page_joined", "incident_acknowledged", "incident_reopened")
"""What is no deed of a person here, and makes it worth asking again all the same."""


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


def one_proposal(connection: Connection, proposal_id: str) -> Row[Any]:
    return connection.execute(select(proposal).where(proposal.c.id == proposal_id)).one()


def proposal_row(connection: Connection, proposal_id: str) -> Row[Any] | None:
    return connection.execute(select(proposal).where(proposal.c.id == proposal_id)).one_or_none()


def swap(connection: Connection, proposal_id: str, old: ProposalState, new: ProposalState) -> bool:
    """The compare-and-set: True for exactly one caller."""
    done = connection.execute(
        update(proposal).where(proposal.c.id == proposal_id, proposal.c.state == old.value).values(state=new.value)
    )
    return done.rowcount == 1


def call_off(connection: Connection, row: Row[Any], to: ProposalState, why: str, now: datetime) -> bool:
    """End a step that is approved and not begun, or that a person was asked to do by hand and has not reported."""
    if swap(connection, row.id, ProposalState.APPROVED, to):
        return True
    if row.plan["effect"] != "manual" or not swap(connection, row.id, ProposalState.EXECUTING, to):
        return False
    ended = {"state": EffectState.FAILED.value, "finished_at": codec.stamp(now), "detail": why}
    connection.execute(update(effect).where(effect.c.id == f"{row.id}:apply").values(**ended))
    return True


def follow_up(connection: Connection, row: Row[Any], after: str, follow: Follow, now: datetime) -> None:
    """What a step of this proposal entails, in the same transaction."""
    if follow.mitigated:
        casebook.move(connection, row.incident, Status.MITIGATED, [], now)
    if follow.undo:
        put_effect(connection, row, "revert")
    if follow.again is not None:
        casebook.ask(connection, row.incident, [follow.again], now, attempt=follow.attempt)
    if follow.say:
        outbox.say(connection, row.incident, f"{after}:{row.id}", follow.say, now)


def expire_row(connection: Connection, row: Row[Any], now: datetime, *, somebody: bool = False) -> None:
    """An open proposal that nobody decided in time never decides; people are asked again, in the same card. After some
    times without any sign of them nobody is asked by itself any more: each time is another investigation.
    ``somebody``: a person is there, who came too late."""
    if swap(connection, row.id, ProposalState.OPEN, ProposalState.EXPIRED):
        asked = 1 if somebody else _unanswered(connection, row.incident) + 1
        data = {"proposal": row.id, "asked": asked, "again": asked < ASKED_AT_MOST}
        tell(connection, row.incident, "proposal_expired", "pagerunner", data, now)
        if asked < ASKED_AT_MOST:
            see_again(connection, row, f"{row.id} expired without a decision", now)


def _unanswered(connection: Connection, incident_id: str) -> int:
    """Proposals that expired since a person last did anything about the incident, here or in the pager."""
    person = (timeline.c.provenance == Provenance.HUMAN.value) | timeline.c.kind.in_(SIGNS)
    last = select(func.coalesce(func.max(timeline.c.seq), 0)).where(timeline.c.incident == incident_id, person)
    expired = select(func.count()).where(
        timeline.c.incident == incident_id, timeline.c.kind == "proposal_expired",
        timeline.c.seq > last.scalar_subquery(),
    )  # fmt: skip
    return int(connection.execute(expired).scalar_one())


def see_again(connection: Connection, row: Row[Any], why: str, now: datetime) -> None:
    """Draft afresh, so that people decide on the target as it is; not for an incident that is over."""
    status = connection.execute(select(incident.c.status).where(incident.c.id == row.incident)).scalar_one()
    if Status(status) not in (Status.RESOLVED, Status.CLOSED):
        fact = Fact(kind="investigation_started", provenance=Provenance.COMPUTED, actor="pagerunner", data={"why": why})
        casebook.ask(connection, row.incident, [fact], now)


def freezes(connection: Connection, service: str) -> Mapping[str, str]:
    """What is frozen that covers the service, ``*`` for everything first, and why: each is lifted by itself."""
    rows = connection.execute(select(frozen).where(frozen.c.service.in_(["*", service])).order_by(frozen.c.service))
    return {row.service: f"frozen{' for everything' if row.service == '*' else ''} by {row.by}: {row.reason}"
            for row in rows}  # fmt: skip


def stopped(connection: Connection, service: str) -> str:
    """Why nothing may be executed for the service; empty if it may."""
    return "; ".join(freezes(connection, service).values())


def human_fact(kind: str, actor: str, data: Mapping[str, Any]) -> Fact:
    return Fact(kind=kind, provenance=Provenance.HUMAN, actor=actor, data=data)


def tell(
    connection: Connection, incident_id: str, kind: str, actor: str, data: Mapping[str, Any], now: datetime
) -> None:
    provenance = Provenance.COMPUTED if actor == "pagerunner" else Provenance.HUMAN
    chain.append(connection, now, incident_id, [Fact(kind=kind, provenance=provenance, actor=actor, data=data)])
    outbox.card(connection, incident_id, now, decision=True)


def put_effect(connection: Connection, row: Row[Any], kind: str) -> None:
    """An effect that is meant to happen: from now on its row implies the job."""
    effect_id = f"{row.id}:{kind}"
    if connection.execute(select(effect.c.id).where(effect.c.id == effect_id)).one_or_none() is None:
        connection.execute(
            insert(effect).values(
                id=effect_id, proposal=row.id, incident=row.incident, kind=kind, state=EffectState.PENDING.value,
                detail="", checks=0, verdict="",
            )
        )  # fmt: skip
