"""The pager's own incidents behind one of ours: each with its newest state, and what they say together."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, insert, literal, select, update

from bot.domain import codec, joining
from bot.domain.page import Page
from bot.edges.schema import pager


def see(connection: Connection, incident_id: str, new: Page, now: datetime) -> bool:
    """Take in what an event says of its pager incident: the newest by its own time counts, in whatever order they come.
    True if it is news."""
    known = connection.execute(select(pager).where(pager.c.ref == new.incident_ref)).one_or_none()
    if known is None:  # whatever is heard of first is going on; what is from long ago counts for nothing
        _add(connection, incident_id, new.incident_ref, "" if new.stale else "triggered")
    moment, rank = codec.stamp(min(new.occurred_at, now)), joining.rank(new)
    status = joining.pager_status(new)
    if status is None or new.stale or (known is not None and (moment, rank) <= (known.at, known.rank)):
        return False
    values = {"status": status, "at": moment, "rank": rank, "merged_into": new.merged_into}
    connection.execute(update(pager).where(pager.c.ref == new.incident_ref).values(**values))
    into = select(pager.c.ref).where(pager.c.ref == new.merged_into)
    if new.merged_into and connection.execute(into).one_or_none() is None:
        _add(connection, incident_id, new.merged_into, "triggered")
    return True


def together(connection: Connection, incident_id: str) -> str:
    """``triggered`` or ``acknowledged`` while any of them goes on, ``resolved`` when none does, empty without any."""
    statuses = set(connection.execute(_ends(incident_id, pager.c.status)).scalars())
    return next((status for status in ("triggered", "acknowledged", "resolved") if status in statuses), "")


def open_refs(connection: Connection, incident_id: str) -> Sequence[str]:
    """Those that go on; one that was merged is the one it was merged into."""
    going = _ends(incident_id, pager.c.ref).where(pager.c.status.in_(("triggered", "acknowledged")))
    return connection.execute(going.order_by(pager.c.ref)).scalars().all()


def concerned(connection: Connection, ref: str) -> Sequence[str]:
    """Our incidents whose state hangs on this one of the pager's, also by what was merged into it."""
    into = select(literal(ref).label("ref")).cte(recursive=True)
    into = into.union(select(pager.c.ref).join(into, pager.c.merged_into == into.c.ref))
    return connection.execute(select(pager.c.incident).join(into, pager.c.ref == into.c.ref).distinct()).scalars().all()


def _ends(incident_id: str, column: Any) -> Select[Any]:
    """This column of the incident's own ones, each followed through its merges."""
    way = select(pager.c.ref).where(pager.c.incident == incident_id).cte(recursive=True)
    way = way.union(select(pager.c.merged_into).join(way, pager.c.ref == way.c.ref).where(pager.c.merged_into != ""))
    return select(column).join(way, pager.c.ref == way.c.ref).where(pager.c.merged_into == "").distinct()


def _add(connection: Connection, incident_id: str, ref: str, status: str) -> None:
    values = {"ref": ref, "incident": incident_id, "status": status, "at": 0.0, "rank": -1, "merged_into": ""}
    connection.execute(insert(pager).values(**values))
