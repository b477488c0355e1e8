"""Rows behind what is told to those who keep runbooks."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, and_, func, insert, select, update

from bot.domain import codec
from bot.domain.view import MessageRef
from bot.edges import outbox
from bot.edges.database import Database
from bot.edges.schema import author_note
from bot.ports import Owed


class SqlAuthorBook:
    """See :class:`bot.ports.AuthorBook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def owe(self, owed: Sequence[Owed]) -> None:
        def work(connection: Connection) -> None:
            for one in owed:
                due, columns = codec.stamp(one.due_at), author_note.c
                earlier = update(author_note).where(_same(one), columns.due_at > due).values(due_at=due)
                if connection.execute(select(columns.id).where(_same(one))).one_or_none() is not None:
                    connection.execute(earlier)
                    continue
                new = {"incident": one.incident, "episode": one.episode, "owner": one.owner, "place": one.place}
                connection.execute(insert(author_note).values(**new, due_at=due))

        await self._database.run(work)

    async def owed(self) -> Sequence[Owed]:
        query = select(author_note).where(author_note.c.told_at.is_(None)).order_by(author_note.c.id)

        def read(connection: Connection) -> list[Owed]:
            return [Owed(incident=row.incident, episode=row.episode, owner=row.owner, place=row.place,
                         due_at=codec.at(row.due_at)) for row in connection.execute(query)]  # fmt: skip

        return await self._database.run(read)

    async def told(self, incident_id: str, episode: float, owner: str) -> bool:
        query = select(author_note.c.id).where(
            author_note.c.incident == incident_id, author_note.c.episode == episode, author_note.c.owner == owner,
            author_note.c.told_at.is_not(None),
        )  # fmt: skip
        return await self._database.run(lambda c: c.execute(query).one_or_none() is not None)

    async def last_told(self, place: str) -> datetime | None:
        query = select(func.max(author_note.c.told_at)).where(author_note.c.place == place)
        return codec.moment(await self._database.run(lambda c: c.execute(query).scalar_one()))

    async def tell(self, owed: Sequence[Owed], text: str, now: datetime) -> None:
        def work(connection: Connection) -> None:
            for one in owed:
                connection.execute(update(author_note).where(_same(one)).values(told_at=codec.stamp(now)))
            if text:
                newest = owed[-1]
                key = f"authors:{newest.owner}:{newest.episode}"
                outbox.say(connection, newest.incident, key, text, now, at=_at(newest.place), or_thread=True)

        await self._database.run(work)

    async def add(self, incident_id: str, place: str, key: str, text: str, now: datetime) -> None:
        await self._database.run(
            lambda c: outbox.say(c, incident_id, key, text, now, at=_at(place), or_thread=True)
        )  # fmt: skip

    async def notice(self, channel: str, key: str, text: str, now: datetime) -> None:
        await self._database.run(lambda c: outbox.notice(c, channel, key, text, now))


def _same(one: Owed) -> ColumnElement[bool]:
    columns = author_note.c
    return and_(columns.incident == one.incident, columns.episode == one.episode, columns.owner == one.owner)


def _at(place: str) -> MessageRef | None:
    return MessageRef(channel=place, ts="") if place else None
