"""From the schema of one version to the next: each step in the transaction in which the database is opened."""

from collections.abc import Callable, Mapping

from sqlalchemy import Connection, select

from bot.domain import codec, joining
from bot.domain.page import Page
from bot.edges import pager_state
from bot.edges.schema import (
    author_note,
    cli_link,
    cli_link_try,
    debt,
    imported,
    installation,
    oauth_state,
    page,
    pager,
    room,
)


def _to_2(connection: Connection) -> None:
    """The pager's state is kept for each of its incidents, made from their pages; a reopened incident counts anew."""
    for change in (
        "ADD COLUMN reopened_at FLOAT", "ADD COLUMN attempts_before INTEGER NOT NULL DEFAULT 0",
        "DROP COLUMN pager_at", "DROP COLUMN pager_rank",
    ):  # fmt: skip
        connection.exec_driver_sql(f"ALTER TABLE incident {change}")
    pager.create(connection)
    rows = connection.execute(select(page.c.incident, page.c.data).where(page.c.incident_ref != "")).all()
    pages = [(row.incident, codec.load(Page, row.data)) for row in rows]
    for incident_id, one in sorted(pages, key=lambda pair: (pair[1].occurred_at, joining.rank(pair[1]))):
        pager_state.see(connection, incident_id, one, one.received_at)


def _to_3(connection: Connection) -> None:
    """Break-glass leaves debts, a command line can be linked to a person in Slack, and who keeps a runbook is to hear
    how it fared. Incidents may have a channel of their own, and several workspaces the app."""
    for table in (debt, cli_link, cli_link_try, author_note, room, installation, oauth_state):
        table.create(connection)


def _to_4(connection: Connection) -> None:
    """Past incidents can be imported."""
    imported.create(connection)


STEPS: Mapping[int, Callable[[Connection], None]] = {1: _to_2, 2: _to_3, 3: _to_4}
"""Version -> what makes the next one of it."""
