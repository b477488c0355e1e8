"""Rows behind what people on call do: an act, its timeline entry and what is told of it are one transaction."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, func, select

from bot.domain import codec
from bot.domain.timeline import Fact
from bot.domain.view import MessageRef
from bot.edges import chain, outbox, pager_state
from bot.edges.database import Database
from bot.edges.schema import change, timeline
from diagnostics.model import Change


class SqlDutyBook:
    """See :class:`bot.ports.DutyBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def refs(self, incident_id: str) -> Sequence[str]:
        return await self._database.run(lambda c: pager_state.open_refs(c, incident_id))

    async def act(self, incident_id: str, key: str, facts: Sequence[Fact], said: str, now: datetime, *,
                  letters: Sequence[tuple[str, Mapping[str, Any]]] = (),
                  posts: Sequence[tuple[str, Mapping[str, Any]]] = (), offer: str = "") -> bool:  # fmt: skip
        def work(connection: Connection) -> bool:
            if outbox.said(connection, incident_id, key):
                return False
            chain.append(connection, now, incident_id, facts)
            for kind, data in letters:
                outbox.pager(connection, incident_id, kind, key, data, now)
            for channel, data in posts:
                there = MessageRef(channel=channel, ts="")
                outbox.say(connection, incident_id, f"{key}:{channel}", data["text"], now, at=there, more=data)
            outbox.say(connection, incident_id, key, said, now, more={"offer": offer} if offer else None)
            outbox.card(connection, incident_id, now)
            return True

        return await self._database.run(work)

    async def judged(self, incident_id: str, fact: Fact, now: datetime) -> None:
        def work(connection: Connection) -> None:
            chain.append(connection, now, incident_id, [fact])
            outbox.card(connection, incident_id, now, decision=True)

        await self._database.run(work)

    async def keep(self, incident_id: str, fact: Fact, now: datetime) -> tuple[int, bool]:
        def work(connection: Connection) -> tuple[int, bool]:
            channel, ts = str(fact.data["channel"]), str(fact.data["ts"])
            for about, seq in _kept(connection, channel, ts):
                if about == incident_id:
                    return seq, False
            chain.append(connection, now, incident_id, [fact])
            outbox.card(connection, incident_id, now)
            return int(connection.execute(select(func.max(timeline.c.seq))).scalar_one()), True

        return await self._database.run(work)

    async def kept(self, channel: str, ts: str) -> Sequence[tuple[str, int]]:
        return await self._database.run(lambda c: _kept(c, channel, ts))

    async def changes(self, services: Sequence[str], since: datetime, limit: int) -> Sequence[Change]:
        def read(connection: Connection) -> list[Change]:
            query = select(change.c.data).where(change.c.at >= codec.stamp(since))
            if services:
                query = query.where(change.c.service.in_([*services, "*"]))
            rows = connection.execute(query.order_by(change.c.at.desc()).limit(limit))
            return [codec.load(Change, row.data) for row in rows]

        return await self._database.run(read)


def _kept(connection: Connection, channel: str, ts: str) -> list[tuple[str, int]]:
    """The text search only narrows down; what an entry says decides."""
    rows = connection.execute(
        select(timeline.c.incident, timeline.c.seq, timeline.c.data).where(
            timeline.c.kind == "message_added", timeline.c.data.contains(ts, autoescape=True)
        )
    )
    found = [(row.incident, row.seq, json.loads(row.data)) for row in rows]
    return [(about, seq) for about, seq, data in found if data.get("channel") == channel and data.get("ts") == ts]
