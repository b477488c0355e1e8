"""Rows behind follow-ups: a note, or what was asked of the tracker, is one transaction with what is told of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from bot.domain import wording
from bot.domain.timeline import Fact
from bot.domain.untrusted import quote
from bot.edges import chain, outbox, tracker_letters
from bot.edges.database import Database
from bot.edges.schema import timeline


class SqlFollowBook:
    """See :class:`bot.ports.FollowBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, incident_id: str, key: str, fact: Fact, said: str, now: datetime) -> int | None:
        def work(connection: Connection) -> int | None:
            if outbox.said(connection, incident_id, key):
                return None
            chain.append(connection, now, incident_id, [fact])
            outbox.say(connection, incident_id, key, said, now)
            return int(connection.execute(select(func.max(timeline.c.seq))).scalar_one())

        return await self._database.run(work)

    async def request(self, incident_id: str, key: str, fact: Fact, wanted: Sequence[Mapping[str, Any]],
                      now: datetime) -> bool:  # fmt: skip
        def work(connection: Connection) -> bool:
            if outbox.said(connection, incident_id, key):
                return False
            chain.append(connection, now, incident_id, [fact])
            tracker_letters.put(connection, incident_id, wanted, now)
            what, where = wording.plural(len(wanted), "GitHub issue"), quote(str(fact.data["repository"]))
            said = f"{quote(str(fact.data['by']), 60)} asked for {what} in {where}."
            outbox.say(connection, incident_id, key, said, now)
            return True

        return await self._database.run(work)
