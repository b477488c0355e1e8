"""The inbox: deliveries are committed in groups, and each sender is answered after its own commit."""

import asyncio
from collections.abc import Sequence

from sqlalchemy import Connection, func, insert, select

from bot.domain import codec
from bot.domain.faults import FaultPoint, no_fault
from bot.edges.database import Database
from bot.edges.schema import inbox, seen
from bot.ports import Received


class SqlInbox:
    """Group commit: whatever arrives while one commit runs goes into the next."""

    def __init__(self, database: Database, fault: FaultPoint = no_fault) -> None:
        self._database = database
        self._fault = fault
        self._waiting: list[tuple[Received, asyncio.Future[bool]]] = []
        self._flusher: asyncio.Task[None] | None = None

    async def accept(self, received: Received) -> bool:
        """See :class:`bot.ports.Inbox`."""
        self._fault("K0")
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((received, answer))
        if self._flusher is None or self._flusher.done():
            self._flusher = asyncio.create_task(self._flush())
        new = await answer
        self._fault("K1")
        return new

    async def pending(self, limit: int = 200) -> Sequence[Received]:
        """Deliveries that no batch has settled yet, oldest first."""

        def read(connection: Connection) -> list[Received]:
            rows = connection.execute(
                select(inbox).where(inbox.c.state == "new").order_by(inbox.c.received_at, inbox.c.key).limit(limit)
            )
            return [
                Received(key=r.key, source=r.source, body=r.body, received_at=codec.at(r.received_at)) for r in rows
            ]

        return await self._database.run(read)

    async def backlog(self) -> int:
        """How many deliveries wait."""
        return await self._database.run(
            lambda c: c.execute(select(func.count()).select_from(inbox).where(inbox.c.state == "new")).scalar_one()
        )

    async def first_time(self, key: str, at: float) -> bool:
        """Whether this interaction was never seen before; remembers it."""

        def mark(connection: Connection) -> bool:
            known = connection.execute(select(seen.c.key).where(seen.c.key == key)).one_or_none()
            if known is None:
                connection.execute(insert(seen).values(key=key, at=at))
            return known is None

        return await self._database.run(mark)

    async def _flush(self) -> None:
        while self._waiting:
            batch, self._waiting = self._waiting, []
            try:
                answers = await self._database.run(lambda c, rows=[r for r, _ in batch]: _store(c, rows))  # type: ignore[misc]
            except Exception as error:  # noqa: BLE001 - every sender of the batch gets the error, and a 503
                for _, future in batch:
                    if not future.done():
                        future.set_exception(error)
                continue
            for (_, future), answer in zip(batch, answers, strict=True):
                if not future.done():
                    future.set_result(answer)


def _store(connection: Connection, rows: Sequence[Received]) -> list[bool]:
    keys = [row.key for row in rows]
    known = set(connection.execute(select(inbox.c.key).where(inbox.c.key.in_(keys))).scalars())
    answers = []
    for row in rows:
        answers.append(row.key not in known)
        if row.key not in known:
            known.add(row.key)
            connection.execute(
                insert(inbox).values(
                    key=row.key, source=row.source, body=row.body, received_at=codec.stamp(row.received_at),
                    state="new", incident=None, reason="",
                )
            )  # fmt: skip
    return answers
