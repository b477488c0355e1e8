"""The incidents that a report is about, read one by one so that no more than one is in memory."""

from datetime import datetime

from sqlalchemy import Connection, select

from bot.domain import codec
from bot.domain.reporting import Case, case
from bot.edges.records import read_view
from bot.edges.schema import incident
from config.catalogue import Catalogue


def read_cases(connection: Connection, since: datetime, catalogue: Catalogue) -> list[Case]:
    """The times of every incident that was opened since, oldest first."""
    query = select(incident.c.id).where(incident.c.opened_at >= codec.stamp(since)).order_by(incident.c.opened_at)
    views = (read_view(connection, incident_id, catalogue) for incident_id in connection.execute(query).scalars().all())
    return [case(view) for view in views if view is not None]
