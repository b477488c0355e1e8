"""What was normal and what was changed: recorded baselines and the change log."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, or_, select

from bot.domain import codec
from bot.edges.database import Database
from bot.edges.schema import change, document, incident, sample, seen
from diagnostics.model import Change, Sample

LOOK_BACK = timedelta(days=15)
PER_SERIES = 500
RECORDED = "baseline:"


class FrozenBaselines:
    """The baselines of one service as they were at one moment; see :class:`diagnostics.model.Baselines`."""

    def __init__(self, series: Mapping[str, Sequence[Sample]], documents: Mapping[str, Sequence[tuple[datetime, Any]]]):
        self._series = series
        self._documents = documents

    def samples(self, service: str, series: str, *, before: datetime, limit: int = 500) -> Sequence[Sample]:  # noqa: ARG002 - one service only
        known = self._series.get(series, ())
        return known[: bisect_right([s.at for s in known], before)][-limit:]

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

    async def frozen(self, service: str, before: datetime) -> tuple[FrozenBaselines, FrozenChanges]:
        return await self._database.run(lambda c: (_baselines(c, service, before), _changes(c, service, before)))

    async def record(
        self, service: str, samples: Sequence[tuple[str, Sample]], documents: Sequence[tuple[str, datetime, Any]] = ()
    ) -> None:
        """Add to the baselines. Callers leave out what was measured during an incident."""

        def work(connection: Connection) -> None:
            for series, one in samples:
                values = {"service": service, "series": series, "at": codec.stamp(one.at), "value": one.value}
                connection.execute(insert(sample).values(**values))
            for key, at, data in documents:
                connection.execute(insert(document).values(service=service, key=key, at=codec.stamp(at), data=data))

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
    series: dict[str, list[Sample]] = {}
    rows = connection.execute(
        select(sample.c.series, sample.c.at, sample.c.value)
        .where(sample.c.service == service, sample.c.at >= since, sample.c.at <= until)
        .order_by(sample.c.at)
    )
    for row in rows:
        series.setdefault(row.series, []).append(Sample(at=codec.at(row.at), value=row.value))
    documents: dict[str, list[tuple[datetime, Any]]] = {}
    kept = connection.execute(
        select(document.c.key, document.c.at, document.c.data)
        .where(document.c.service == service, document.c.at >= since, document.c.at <= until)
        .order_by(document.c.at)
    )
    for row in kept:
        documents.setdefault(row.key, []).append((codec.at(row.at), row.data))
    return FrozenBaselines({name: values[-PER_SERIES:] for name, values in series.items()}, documents)


def _changes(connection: Connection, service: str, before: datetime) -> FrozenChanges:
    since = codec.stamp(before - timedelta(days=2))
    rows = connection.execute(
        select(change.c.data)
        .where(or_(change.c.service == service, change.c.service == "*"), change.c.at >= since)
        .order_by(change.c.at)
    )
    return FrozenChanges([codec.load(Change, row.data) for row in rows])
