"""What nobody will look at again, taken out of our own rows. Timeline, incidents and findings are kept for ever."""

from collections.abc import Collection
from datetime import datetime, timedelta

from sqlalchemy import Connection, Table, delete, select, update

from bot.domain import codec
from bot.domain.incident import Status
from bot.edges.database import Database
from bot.edges.history import LOOK_BACK
from bot.edges.schema import document, inbox, incident, sample

BODIES_KEPT = timedelta(days=30)
"""Of deliveries that were understood. Their keys stay, so that a replay is known whenever it comes."""
BASELINES_KEPT = LOOK_BACK + timedelta(days=30)
"""What is compared with an incident's beginning, as long as one may reasonably be open."""
AT_ONCE = 20_000
"""Rows of a table: other transactions wait meanwhile, and the next tick goes on."""


async def purge(database: Database, now: datetime) -> None:
    """Forget what is old, in small transactions."""
    await database.run(lambda c: _bodies(c, codec.stamp(now - BODIES_KEPT)))
    for table in (sample, document):
        await database.run(lambda c, one=table: _rows(c, one, codec.stamp(now - BASELINES_KEPT)))  # type: ignore[misc]


async def closed(database: Database) -> Collection[str]:
    """Incidents of which nothing is investigated any more."""
    query = select(incident.c.id).where(incident.c.status == Status.CLOSED.value)
    return await database.run(lambda c: frozenset(c.execute(query).scalars()))


def _bodies(connection: Connection, before: float) -> None:
    old = select(inbox.c.key).where(inbox.c.state == "done", inbox.c.received_at < before, inbox.c.body != b"")
    connection.execute(update(inbox).where(inbox.c.key.in_(old.limit(AT_ONCE))).values(body=b""))


def _rows(connection: Connection, table: Table, before: float) -> None:
    old = select(table.c.id).where(table.c.at < before).limit(AT_ONCE)
    connection.execute(delete(table).where(table.c.id.in_(old)))
