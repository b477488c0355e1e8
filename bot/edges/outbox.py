"""The outbox: what has to be told, written in the transaction of the change and delivered by the courier.

A card is one row for its incident with a version: many changes before it is sent are one update, and the newest wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, case, insert, select, update

from bot.domain import codec
from bot.edges.schema import incident, outbox

PAGER = "pager"
"""The lane of everything for the pager; all others are of chat channels."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A row that waits to be delivered."""

    id: int
    lane: str
    kind: str
    incident_id: str
    data: Mapping[str, Any]
    version: int
    attempts: int
    edit: bool = False
    """A card that has been posted before."""


def card(connection: Connection, incident_id: str, now: datetime, *, decision: bool = False) -> None:
    """The incident's card is out of date. It waits from when it first was, however often it changes; a ``decision``
    that people make or wait for goes before what merely ticks."""
    since = case((outbox.c.sent < outbox.c.version, outbox.c.due_at), else_=codec.stamp(now))
    changed = connection.execute(
        update(outbox)
        .where(outbox.c.key == f"card:{incident_id}")
        .values(version=outbox.c.version + 1, dead="", due_at=0.0 if decision else since)
    )
    if changed.rowcount == 0:
        channel = connection.execute(select(incident.c.channel).where(incident.c.id == incident_id)).scalar_one()
        _put(connection, f"chat:{channel}", "card", f"card:{incident_id}", incident_id, {}, now)


def say(connection: Connection, incident_id: str, key: str, text: str, now: datetime) -> None:
    """Say something in the thread below the card, once for each ``key``."""
    channel = connection.execute(select(incident.c.channel).where(incident.c.id == incident_id)).scalar_one()
    _put(connection, f"chat:{channel}", "say", f"say:{incident_id}:{key}", incident_id, {"text": text}, now)


def note(connection: Connection, incident_id: str, key: str, text: str, now: datetime) -> None:
    """Add a note to the pager's incident, once for each ``key``."""
    _put(connection, PAGER, "note", f"note:{incident_id}:{key}", incident_id, {"text": text}, now)


def pager_status(connection: Connection, incident_id: str, key: str, status: str, by: str, now: datetime) -> None:
    """Tell the pager what a person decided."""
    _put(connection, PAGER, "status", f"status:{incident_id}:{key}", incident_id, {"status": status, "by": by}, now)


def due(connection: Connection, now: datetime, lanes: Literal["all", "chat", "pager"] = "all") -> Sequence[Letter]:
    """What can be tried now: cards of new incidents first, edits last, and of each the one that has waited longest."""
    posts = case((outbox.c.kind != "card", 1), (outbox.c.sent == 0, 0), else_=2)
    query = (
        select(outbox)
        .where(outbox.c.sent < outbox.c.version, outbox.c.dead == "", outbox.c.due_at <= codec.stamp(now))
        .order_by(posts, outbox.c.due_at, outbox.c.id)
        .limit(100)
    )
    if lanes != "all":
        query = query.where((outbox.c.lane == PAGER) == (lanes == "pager"))
    return [
        Letter(id=r.id, lane=r.lane, kind=r.kind, incident_id=r.incident, data=r.data, version=r.version,
               attempts=r.attempts, edit=r.kind == "card" and r.sent > 0)
        for r in connection.execute(query)
    ]  # fmt: skip


def delivered(connection: Connection, letter: Letter) -> None:
    """Version ``letter.version`` has arrived; a newer one may already wait."""
    connection.execute(update(outbox).where(outbox.c.id == letter.id).values(sent=letter.version, attempts=0))


def postponed(connection: Connection, letter: Letter, until: datetime) -> None:
    connection.execute(
        update(outbox).where(outbox.c.id == letter.id).values(due_at=codec.stamp(until), attempts=outbox.c.attempts + 1)
    )


def undeliverable(connection: Connection, letter: Letter, reason: str) -> None:
    """It will never arrive; kept, with the reason, for a person."""
    connection.execute(update(outbox).where(outbox.c.id == letter.id).values(dead=reason[:500]))


def undelivered(connection: Connection) -> Sequence[str]:
    """Reasons of everything that could not be delivered, for readiness and doctor."""
    return list(connection.execute(select(outbox.c.dead).where(outbox.c.dead != "").limit(20)).scalars())


def _put(
    connection: Connection, lane: str, kind: str, key: str, incident_id: str, data: Mapping[str, Any], now: datetime
) -> None:
    if connection.execute(select(outbox.c.id).where(outbox.c.key == key)).one_or_none() is None:
        connection.execute(
            insert(outbox).values(
                lane=lane, kind=kind, key=key, incident=incident_id, data=dict(data), version=1, sent=0, attempts=0,
                due_at=codec.stamp(now), dead="",
            )
        )  # fmt: skip
