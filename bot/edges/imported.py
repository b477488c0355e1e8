"""Past incidents that were imported: stored once for each source id, listed, taken back, and given to the search."""

import hashlib
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, or_, select, update

from bot.domain import codec
from bot.edges.schema import imported, page
from knowledge.ingest import MAX_CHUNK
from knowledge.memories import MOST
from knowledge.model import PastIncident


@dataclass(frozen=True, kw_only=True, slots=True)
class Imported:
    """An incident of the past. All text is untrusted, without secrets and bounded."""

    id: str
    """With its source in front, such as ``pagerduty:Q1ABC``."""
    title: str
    body: str
    service: str
    at: datetime
    cause: str = ""
    """The runbook that was right, or was said to be."""
    confirmed_by: str = ""
    """Who confirmed the cause; empty: nobody did, so it ranks nothing."""
    helped: str = ""
    link: str = ""

    @property
    def confirmed(self) -> bool:
        return bool(self.cause and self.confirmed_by)


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What an import does, or would do."""

    new: tuple[Imported, ...]
    changed: tuple[Imported, ...]
    same: int
    ours: tuple[str, ...]
    """Left out: Pagerunner has these incidents itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batch:
    """One import, as far as it was not taken back."""

    id: str
    origin: str
    imported_at: datetime
    incidents: int
    confirmed: int
    oldest: datetime
    newest: datetime


def plan(connection: Connection, found: Sequence[Imported]) -> Plan:
    """What of these is new, changed or known."""
    known = {row.id: row.data for row in connection.execute(select(imported.c.id, imported.c.data))}
    refs = select(page.c.incident_ref).where(page.c.incident_ref != "").distinct()
    own = {f"pagerduty:{ref}" for ref in connection.execute(refs).scalars()}
    theirs = [one for one in found if one.id not in own]
    return Plan(
        new=tuple(one for one in theirs if one.id not in known),
        changed=tuple(one for one in theirs if one.id in known and known[one.id] != codec.dump(one)),
        same=sum(one.id in known and known[one.id] == codec.dump(one) for one in theirs),
        ours=tuple(one.id for one in found if one.id in own),
    )


def store(connection: Connection, found: Sequence[Imported], origin: str, now: datetime) -> tuple[str, Plan]:
    """Store what is new or changed, in the running transaction; the name of the import, and what it did."""
    made = plan(connection, found)
    seed = f"{origin}\n{codec.stamp(now)}\n" + "\n".join(one.id for one in made.new)
    batch = f"imp-{hashlib.sha256(seed.encode()).hexdigest()[:8]}"
    for one in made.new:
        connection.execute(insert(imported).values(
            id=one.id, batch=batch, origin=origin, imported_at=codec.stamp(now), at=codec.stamp(one.at),
            data=codec.dump(one)))  # fmt: skip
    for one in made.changed:
        changed = update(imported).where(imported.c.id == one.id)
        connection.execute(changed.values(at=codec.stamp(one.at), data=codec.dump(one)))
    return batch, made


def batches(connection: Connection) -> list[Batch]:
    """What was imported, the newest import first."""
    kept = imported.c
    rows = connection.execute(
        select(kept.batch, kept.origin, kept.imported_at, func.count().label("n"), func.min(kept.at).label("oldest"),
               func.max(kept.at).label("newest"))
        .group_by(kept.batch, kept.origin, kept.imported_at).order_by(kept.imported_at.desc(), kept.batch)
    ).all()  # fmt: skip
    confirmed: dict[str, int] = {}
    for row in connection.execute(select(kept.batch, kept.data)):
        confirmed[row.batch] = confirmed.get(row.batch, 0) + codec.load(Imported, row.data).confirmed
    return [
        Batch(id=row.batch, origin=row.origin, imported_at=codec.at(row.imported_at), incidents=row.n,
              confirmed=confirmed[row.batch], oldest=codec.at(row.oldest), newest=codec.at(row.newest))
        for row in rows
    ]  # fmt: skip


def incidents(connection: Connection, batch: str = "") -> list[Imported]:
    """The imported incidents, or those of one import, newest first."""
    wanted = select(imported.c.data).order_by(imported.c.at.desc(), imported.c.id)
    rows = connection.execute(wanted.where(imported.c.batch == batch) if batch else wanted).scalars()
    return [codec.load(Imported, data) for data in rows]


def forget(connection: Connection, name: str) -> int:
    """Take back an import, or one incident of it; how many incidents are gone."""
    return connection.execute(delete(imported).where(or_(imported.c.batch == name, imported.c.id == name))).rowcount


def remembered(connection: Connection, *, confirmed: bool) -> list[PastIncident]:
    """Those whose cause a person confirmed, or the others, newest first, as the search takes them."""
    kept = connection.execute(
        select(imported.c.origin, imported.c.data).order_by(imported.c.at.desc(), imported.c.id)
    ).all()
    found = [(row.origin, codec.load(Imported, row.data)) for row in kept]
    return [_past(origin, one) for origin, one in found if one.confirmed is confirmed][:MOST]


def _past(origin: str, one: Imported) -> PastIncident:
    return PastIncident(
        id=one.id, text=f"{one.title}\n{one.body}"[:MAX_CHUNK], title=one.title, service=one.service, at=one.at,
        confirmed=(one.cause,) if one.confirmed else (), helped=one.helped, origin=origin, link=one.link,
    )  # fmt: skip


def strangers(found: Sequence[Imported], known: Collection[str]) -> list[str]:
    """Confirmed causes for which there is no runbook, so that they rank nothing until there is."""
    return sorted({one.cause for one in found if one.confirmed and one.cause not in known})
