"""What was normal and what was changed: recorded baselines and the change log."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, insert, or_, select

from bot.domain import codec
from bot.edges.database import Database
from bot.edges.schema import change, document, incident, sample, seen
from diagnostics.model import Change, Sample

LOOK_BACK = timedelta(days=15)
"""Of baselines, and of changes: a week that is looked at, and a week before it to compare with."""
PER_SERIES = 500
REMEMBERED = 8
"""Services and moments whose baselines are kept at hand: each turn of an investigation looks at the same ones."""
RECORDED = "baseline:"


class FrozenBaselines:
    """The baselines of one service as they were at one moment; see :class:`diagnostics.model.Baselines`."""

    def __init__(
        self, series: Mapping[str, Sequence[tuple[float, float]]],
        documents: Mapping[str, Sequence[tuple[datetime, Any]]],
    ):  # fmt: skip
        # Moments and values as stored: thousands are read for every look at a service, and few are ever asked for.
        self._series = series
        self._documents = documents

    def samples(self, service: str, series: str, *, before: datetime, limit: int = 500) -> Sequence[Sample]:  # noqa: ARG002 - one service only
        known = self._series.get(series, ())
        end = bisect_right(known, codec.stamp(before), key=lambda one: one[0])
        return [Sample(at=codec.at(at), value=value) for at, value in known[max(0, end - limit) : end]]

    def document(self, service: str, key: str, *, before: datetime) -> Any | None:  # noqa: ARG002 - one service only
        return next((data for at, data in reversed(self._documents.get(key, ())) if at <= before), None)


class FrozenChanges:
    """The change log as read once; see :class:`diagnostics.model.Changes`."""

    def __init__(self, changes: Sequence[Change]) -> None:
        self._changes = changes

    def between(self, service: str, start: datetime, end: datetime) -> Sequence[Change]:
        return [c for c in self._changes if start <= c.at <= end and c.service in (service, "*")]


class SqlHistory:
    """See :class:`bot.ports.History`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[tuple[str, datetime], FrozenBaselines] = {}

    async def frozen(self, service: str, before: datetime) -> tuple[FrozenBaselines, FrozenChanges]:
        def read(connection: Connection) -> tuple[FrozenBaselines, FrozenChanges]:
            if (service, before) not in self._known:
                while len(self._known) >= REMEMBERED:
                    del self._known[next(iter(self._known))]
                self._known[service, before] = _baselines(connection, service, before)
            return self._known[service, before], _changes(connection, service, before)

        return await self._database.run(read)

    async def record(
        self, service: str, samples: Sequence[tuple[str, Sample]], documents: Sequence[tuple[str, datetime, Any]] = ()
    ) -> None:
        """Add to the baselines. Callers leave out what was measured during an incident."""

        def work(connection: Connection) -> None:
            self._known.clear()
            if samples:  # at once: a day of baselines is thousands of rows
                connection.execute(insert(sample), [
                    {"service": service, "series": series, "at": codec.stamp(one.at), "value": one.value}
                    for series, one in samples
                ])  # fmt: skip
            if documents:
                connection.execute(insert(document), [
                    {"service": service, "key": key, "at": codec.stamp(at), "data": data} for key, at, data in documents
                ])  # fmt: skip

        await self._database.run(work)

    async def add_changes(self, changes: Sequence[Change]) -> None:
        def work(connection: Connection) -> None:
            for one in changes:
                if connection.execute(select(change.c.id).where(change.c.id == one.id)).one_or_none() is None:
                    values = {"id": one.id, "at": codec.stamp(one.at), "service": one.service}
                    connection.execute(insert(change).values(**values, data=codec.dump(one)))

        await self._database.run(work)

    async def troubled(self, service: str, since: datetime) -> bool:
        """Whether an incident of this service is open, or was after ``since``: then nothing is recorded as normal."""
        ended = incident.c.status.in_(["resolved", "closed"]) & (incident.c.resolved_at < codec.stamp(since))
        query = select(incident.c.id).where(incident.c.service == service, ~ended)
        return await self._database.run(lambda c: c.execute(query.limit(1)).one_or_none() is not None)

    async def recorded(self, service: str) -> Mapping[str, datetime]:
        """When each kind of baseline was last recorded."""

        def read(connection: Connection) -> dict[str, datetime]:
            prefix = f"{RECORDED}{service}:"
            rows = connection.execute(select(seen).where(seen.c.key.startswith(prefix, autoescape=True)))
            return {row.key.removeprefix(prefix): codec.at(row.at) for row in rows}

        return await self._database.run(read)

    async def mark_recorded(self, service: str, names: Sequence[str], at: datetime) -> None:
        """Remember that these were recorded, whatever came of it."""

        def work(connection: Connection) -> None:
            keys = [f"{RECORDED}{service}:{name}" for name in names]
            connection.execute(seen.delete().where(seen.c.key.in_(keys)))
            for key in keys:
                connection.execute(insert(seen).values(key=key, at=codec.stamp(at)))

        await self._database.run(work)


def _baselines(connection: Connection, service: str, before: datetime) -> FrozenBaselines:
    since, until = codec.stamp(before - LOOK_BACK), codec.stamp(before)
    series: dict[str, Sequence[tuple[float, float]]] = {}
    names = connection.execute(select(sample.c.series).where(sample.c.service == service).distinct()).scalars().all()
    newest = (
        select(sample.c.at, sample.c.value)
        .where(sample.c.service == service, sample.c.series == bindparam("name"))
        .where(sample.c.at >= since, sample.c.at <= until)
        .order_by(sample.c.at.desc())
        .limit(PER_SERIES)
    )
    for name in names:
        found = connection.execute(newest, {"name": name}).all()
        series[name] = [(at, value) for at, value in reversed(found)]
    documents: dict[str, list[tuple[datetime, Any]]] = {}
    kept = connection.execute(
        select(document.c.key, document.c.at, document.c.data)
        .where(document.c.service == service, document.c.at >= since, document.c.at <= until)
        .order_by(document.c.at)
    )
    for row in kept:
        documents.setdefault(row.key, []).append((codec.at(row.at), row.data))
    return FrozenBaselines(series, documents)


def _changes(connection: Connection, service: str, before: datetime) -> FrozenChanges:
    since = codec.stamp(before - LOOK_BACK)
    rows = connection.execute(
        select(change.c.data)
        .where(or_(change.c.service == service, change.c.service == "*"), change.c.at >= since)
        .order_by(change.c.at)
    )
    return FrozenChanges([codec.load(Change, row.data) for row in rows])
