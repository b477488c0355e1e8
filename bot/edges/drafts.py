"""Drafts of closed incidents, written again when something about them changes: a timeline edit, a verdict, a follow-up,
an issue. What is not yet in the files is worked out from the timeline, so a crash loses no change; many changes at
once are one rewrite."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, insert, select, update

from bot.domain.incident import Status
from bot.edges.database import Database
from bot.edges.schema import incident, meta, timeline
from bot.ports import Drafted
from config.clock import Clock

log = logging.getLogger("pagerunner.drafts")

QUIET = timedelta(seconds=10)
"""After the last change: people seldom make only one."""
AT_LATEST = timedelta(seconds=60)
"""After the first change, however many follow."""
AGAIN = timedelta(seconds=60)
"""After a rewrite that failed, such as on a full disk."""
KEY = "drafted"
SAYS_NOTHING = ("exported", "incident_closed")
"""What closing itself records about the drafts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Changed:
    """An incident with entries that no draft has yet."""

    incident_id: str
    closed: bool
    first: int
    last: int
    first_at: datetime
    last_at: datetime


class Drafter:
    """``look`` is called by the clock, one call at a time."""

    def __init__(self, database: Database, publish: Callable[[str], Awaitable[Drafted]], clock: Clock) -> None:
        self._database = database
        self._write_files = publish
        self._clock = clock
        self._done: dict[str, int] = {}
        """Incident -> the last entry that is in its drafts, as far as it is after what is remembered."""
        self._not_before: dict[str, datetime] = {}

    async def publish(self, incident_id: str) -> Drafted:
        """Write the drafts of an incident now, and know it."""
        drafted = await self._write_files(incident_id)
        self._done[incident_id] = max(drafted.upto, self._done.get(incident_id, 0))
        return drafted

    async def look(self) -> None:
        """Write the drafts that are due. Everything up to the first entry that still waits is remembered as drafted."""
        newest, changed = await self._database.run(_changed)
        waits: list[int] = []
        for one in changed:
            if self._done.get(one.incident_id, 0) >= one.last:
                continue
            if not (one.closed and self._due(one) and await self._write(one)):
                waits.append(one.first)
        upto = min(waits) - 1 if waits else newest
        if not waits:
            self._done.clear()
        await self._database.run(lambda connection: _remember(connection, upto))

    def _due(self, one: _Changed) -> bool:
        now = self._clock.now()
        if now < self._not_before.get(one.incident_id, now):
            return False
        return now - one.last_at >= QUIET or now - one.first_at >= AT_LATEST

    async def _write(self, one: _Changed) -> bool:
        try:
            drafted = await self.publish(one.incident_id)
        except OSError as error:
            log.error("the drafts of %s cannot be written, and will be tried again: %s", one.incident_id, error)
            self._not_before[one.incident_id] = self._clock.now() + AGAIN
            return False
        self._not_before.pop(one.incident_id, None)
        log.info("drafted again: %s", ", ".join(drafted.files))
        return True


def _changed(connection: Connection) -> tuple[int, list[_Changed]]:
    """The newest entry, and resolved and closed incidents with entries after what is remembered. The first look of all
    remembers what there is: its drafts were written when it closed."""
    newest = int(connection.execute(select(func.coalesce(func.max(timeline.c.seq), 0))).scalar_one())
    known = connection.execute(select(meta.c.value).where(meta.c.key == KEY)).scalar()
    if known is None:
        connection.execute(insert(meta).values(key=KEY, value=str(newest)))
        return newest, []
    first, last = func.min(timeline.c.seq), func.max(timeline.c.seq)
    rows = connection.execute(
        select(timeline.c.incident, incident.c.status, first.label("first"), last.label("last"),
               func.min(timeline.c.at).label("first_at"), func.max(timeline.c.at).label("last_at"))
        .join(incident, incident.c.id == timeline.c.incident)
        .where(timeline.c.seq > int(known), timeline.c.kind.not_in(SAYS_NOTHING),
               incident.c.status.in_([Status.RESOLVED.value, Status.CLOSED.value]))
        .group_by(timeline.c.incident, incident.c.status)
        .order_by(first)
    )  # fmt: skip
    return newest, [
        _Changed(incident_id=row.incident, closed=row.status == Status.CLOSED.value, first=row.first, last=row.last,
                 first_at=datetime.fromisoformat(row.first_at), last_at=datetime.fromisoformat(row.last_at))
        for row in rows
    ]  # fmt: skip


def _remember(connection: Connection, upto: int) -> None:
    connection.execute(update(meta).where(meta.c.key == KEY, meta.c.value != str(upto)).values(value=str(upto)))
