"""A database of an older version is brought up to this one when the server opens it; only reading never changes it."""

import sqlite3
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select

from bot.domain.incident import Status
from bot.edges import schema
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database, SchemaMismatch
from bot.edges.inbox import SqlInbox
from tests.conftest import START
from tests.incident_samples import page, settle

TO_1 = """
DROP TABLE pager;
DROP TABLE debt;
DROP TABLE cli_link;
DROP TABLE cli_link_try;
DROP TABLE author_note;
DROP TABLE room;
DROP TABLE installation;
DROP TABLE oauth_state;
DROP TABLE imported;
ALTER TABLE incident DROP COLUMN reopened_at;
ALTER TABLE incident DROP COLUMN attempts_before;
ALTER TABLE incident ADD COLUMN pager_at FLOAT NOT NULL DEFAULT 0;
ALTER TABLE incident ADD COLUMN pager_rank INTEGER NOT NULL DEFAULT -1;
UPDATE meta SET value = '1' WHERE key = 'schema';
"""
"""Makes a database of this version one of the first, as far as they differ."""


@pytest.fixture
async def older(tmp_path: Path) -> Path:
    """A database of the first version, with an incident of two pages of which one is over."""
    path = tmp_path / "pagerunner.sqlite"
    database = Database(path)
    database.open()
    over = page("E3", kind="resolved", incident_ref="Q2", occurred_at=START + timedelta(minutes=1))
    pages = (page("E1"), page("E2", incident_ref="Q2"), over)
    await settle(SqlInbox(database), SqlCasebook(database), *pages, now=START + timedelta(minutes=2))
    database.close()
    with sqlite3.connect(path) as connection:
        connection.executescript(TO_1)
    connection.close()
    return path


async def test_the_first_version_is_brought_up_and_goes_on(older: Path) -> None:
    database = Database(older)
    database.open()
    try:
        casebook, pager = SqlCasebook(database), schema.pager.c
        state = await database.run(lambda c: dict(c.execute(select(pager.ref, pager.status)).tuples().all()))
        assert state == {"Q1": "triggered", "Q2": "resolved"}
        over = page("E4", kind="resolved", occurred_at=START + timedelta(minutes=3))
        await settle(SqlInbox(database), casebook, over, now=START + timedelta(minutes=4))
        await settle(SqlInbox(database), casebook, page("E5", incident_ref="Q5", incident_key="k5", title="else"))
        statuses = await database.run(lambda c: list(c.execute(select(schema.incident.c.status)).scalars()))
        assert sorted(statuses) == [Status.OPEN, Status.RESOLVED]
    finally:
        database.close()


def columns(path: Path) -> set[str]:
    with sqlite3.connect(path) as connection:
        found = {row[1] for row in connection.execute("PRAGMA table_info(incident)")}
    connection.close()
    return found


async def test_it_has_the_columns_of_a_new_one(older: Path, tmp_path: Path) -> None:
    for path in (older, tmp_path / "new.sqlite"):
        database = Database(path)
        database.open()
        database.close()
    assert columns(older) == columns(tmp_path / "new.sqlite")


async def test_reading_changes_nothing_and_a_newer_one_is_refused(older: Path) -> None:
    with pytest.raises(SchemaMismatch, match="start the server once"):
        Database(older, read_only=True).open()
    with sqlite3.connect(older) as connection:
        connection.execute("UPDATE meta SET value = '99' WHERE key = 'schema'")
    connection.close()
    with pytest.raises(SchemaMismatch, match="schema version 99"):
        Database(older).open()
