"""Debts: what break-glass approvals left, in the running transaction. Each is settled once, by somebody else."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from bot.domain import codec
from bot.domain.proposal import Debt, Principal
from bot.domain.untrusted import line, quote
from bot.edges import chain, outbox
from bot.edges.gate_rows import human_fact, tell
from bot.edges.schema import debt


def incur(connection: Connection, row: Row[Any], who: Principal, reason: str, now: datetime) -> None:
    """One person has approved this proposal alone: everybody is told, and somebody else has to look at it."""
    team = row.plan["approver_team"]
    connection.execute(
        insert(debt).values(
            proposal=row.id, incident=row.incident, service=row.service, team=team, principal=who.id, name=who.name,
            reason=reason, at=codec.stamp(now), reviewed_by="", reviewer="", note="",
        )
    )  # fmt: skip
    data = {"proposal": row.id, "name": who.name, "reason": reason, "team": team, "via": who.via}
    tell(connection, row.incident, "glass_broken", who.id, data, now)
    text = f"{quote(who.name, 60)} approved {row.id} alone, by break-glass: {quote(reason, 300)}"
    ask = f"Somebody else of team {quote(team, 40)} has to review it: *Reviewed* on the card."
    outbox.say(connection, row.incident, f"glass:{row.id}", f"{text}\n{ask}", now)


def of(connection: Connection, proposal_id: str) -> Debt | None:
    """The debt of a proposal."""
    row = connection.execute(select(debt).where(debt.c.proposal == proposal_id)).one_or_none()
    return None if row is None else as_debt(row)


def listed(connection: Connection, *, open_only: bool) -> Sequence[Debt]:
    """Oldest first."""
    query = select(debt).order_by(debt.c.at)
    if open_only:
        query = query.where(debt.c.reviewed_by == "")
    return [as_debt(row) for row in connection.execute(query)]


def review(connection: Connection, proposal_id: str, who: Principal, note: str, refused: str, now: datetime) -> bool:
    """Settle it, if that was not done; or record why this person may not. Whoever made it never settles it."""
    known = of(connection, proposal_id)
    if known is None or not known.open:
        return False
    data: Mapping[str, Any] = {"proposal": proposal_id, "name": who.name, "via": who.via}
    if refused or who.id == known.principal:
        why = refused or "nobody reviews their own"
        fact = human_fact("review_denied", who.id, {**data, "why": line(why, 300)})
        chain.append(connection, now, known.incident_id, [fact])
        return False
    settled = {"reviewed_by": who.id, "reviewer": who.name, "note": note, "reviewed_at": codec.stamp(now)}
    connection.execute(update(debt).where(debt.c.proposal == proposal_id).values(**settled))
    tell(connection, known.incident_id, "debt_reviewed", who.id, {**data, "note": note}, now)
    said = f"{quote(who.name, 60)} reviewed the break-glass approval of {proposal_id}: {quote(note, 300)}"
    outbox.say(connection, known.incident_id, f"reviewed:{proposal_id}", said, now)
    return True


def as_debt(row: Row[Any]) -> Debt:
    return Debt(
        proposal_id=row.proposal, incident_id=row.incident, service=row.service, team=row.team,
        principal=row.principal, name=row.name, reason=row.reason, at=codec.at(row.at), reviewed_by=row.reviewed_by,
        reviewer=row.reviewer, note=row.note, reviewed_at=codec.moment(row.reviewed_at),
    )  # fmt: skip
