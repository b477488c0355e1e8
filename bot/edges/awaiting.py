"""Cards that wait for people: which teams, and drawing them again when other names are known."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, select

from bot.domain.proposal import ProposalState
from bot.edges import outbox
from bot.edges.database import Database
from bot.edges.schema import proposal

_TEAM = proposal.c.plan["approver_team"].as_string()
_OPEN = (proposal.c.state == ProposalState.OPEN.value, proposal.c.votable)


async def teams(database: Database) -> Sequence[str]:
    """Whose decision some open proposal waits for."""
    query = select(_TEAM).where(*_OPEN).distinct()
    return await database.run(lambda c: sorted(str(team) for team in c.execute(query).scalars() if team))


async def redraw(database: Database, changed: Sequence[str], now: datetime) -> None:
    """Edit the cards that wait for these teams; nothing new is posted."""

    def work(connection: Connection) -> None:
        query = select(proposal.c.incident).where(*_OPEN, _TEAM.in_(changed)).distinct()
        for incident_id in connection.execute(query).scalars().all():
            outbox.card(connection, incident_id, now)

    if changed:
        await database.run(work)
