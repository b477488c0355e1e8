"""The timeline's rows: appended in the transaction of the change, chained by hash, verifiable without a server."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert, select

from bot.domain.timeline import GENESIS, KINDS, Entry, Fact, Provenance, canonical, link
from bot.edges.schema import timeline

INSTALLATION = "installation"
"""Stands in place of an incident in entries about all of them, such as a freeze."""


def append(connection: Connection, at: datetime, incident_id: str, facts: Iterable[Fact]) -> None:
    """Add facts to the end of the one chain of this installation."""
    last = connection.execute(
        select(timeline.c.seq, timeline.c.hash).order_by(timeline.c.seq.desc()).limit(1)
    ).one_or_none()
    seq, previous = (last.seq, last.hash) if last else (0, GENESIS)
    for fact in facts:
        if fact.kind not in KINDS:
            raise ValueError(f"{fact.kind!r} is not a kind of fact; add it to KINDS")
        seq += 1
        digest = link(previous, seq, incident_id, at, fact)
        connection.execute(
            insert(timeline).values(
                seq=seq, incident=incident_id, at=at.isoformat(), kind=fact.kind, provenance=fact.provenance.value,
                actor=fact.actor, data=canonical(fact.data).decode(), previous=previous, hash=digest,
            )
        )  # fmt: skip
        previous = digest


def entries(connection: Connection, incident_id: str | None = None, *, after: int = 0) -> Iterator[Entry]:
    """Entries of an incident, or of the whole installation, in order."""
    query = select(timeline).where(timeline.c.seq > after).order_by(timeline.c.seq)
    if incident_id is not None:
        query = query.where(timeline.c.incident == incident_id)
    for row in connection.execute(query):
        fact = Fact(kind=row.kind, provenance=Provenance(row.provenance), actor=row.actor, data=json.loads(row.data))
        yield Entry(
            seq=row.seq, incident_id=row.incident, at=datetime.fromisoformat(row.at), fact=fact,
            previous=row.previous, hash=row.hash,
        )  # fmt: skip


def verify(chain: Sequence[Entry]) -> str:
    """Empty if the whole chain holds; otherwise which entry is the first that does not, and why."""
    previous = GENESIS
    for seq, entry in enumerate(chain, start=1):
        if entry.seq != seq:
            return f"entry {seq} is missing"
        if entry.previous != previous:
            return f"entry {seq} does not follow the one before it"
        if link(previous, seq, entry.incident_id, entry.at, entry.fact) != entry.hash:
            return f"entry {seq} was altered"
        previous = entry.hash
    return ""
