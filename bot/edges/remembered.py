"""Closed incidents whose cause people confirmed, as what search remembers."""

import json
from collections.abc import Sequence

from sqlalchemy import Connection, select

from bot.domain import codec, searching
from bot.domain.incident import Status
from bot.domain.page import Page
from bot.edges.imported import remembered
from bot.edges.schema import incident, page, timeline
from knowledge.ingest import MAX_CHUNK
from knowledge.memories import MOST
from knowledge.model import PastIncident

OVER = (Status.RESOLVED.value, Status.CLOSED.value)


def confirmed(connection: Connection) -> Sequence[PastIncident]:
    """The newest closed incidents for which everybody who judged it said that the cause was right, ours and imported
    ones, newest first. What only the assistant concluded is not among them, or it would learn from its own mistakes.
    Imported ones whose cause nobody confirmed come last, if there is room: they are shown, and rank nothing."""
    runbooks = _agreed(connection)
    rows = connection.execute(
        select(incident.c.id, incident.c.title, incident.c.service, incident.c.opened_at)
        .where(incident.c.status.in_(OVER))
        .order_by(incident.c.opened_at.desc())
    ).all()
    ours = [
        PastIncident(id=row.id, text=_text(connection, row.id, row.title), confirmed=(runbooks[row.id],),
                     title=row.title, service=row.service, at=codec.at(row.opened_at))
        for row in [row for row in rows if row.id in runbooks][:MOST]
    ]  # fmt: skip
    ranking = sorted((*ours, *remembered(connection, confirmed=True)), key=_when, reverse=True)
    return [*ranking, *remembered(connection, confirmed=False)][:MOST]


def _when(one: PastIncident) -> float:
    return one.at.timestamp() if one.at else 0.0


def _agreed(connection: Connection) -> dict[str, str]:
    """Incident -> the runbook that all newest verdicts confirm."""
    said: dict[str, dict[str, tuple[str, str]]] = {}
    rows = connection.execute(
        select(timeline.c.incident, timeline.c.actor, timeline.c.data)
        .where(timeline.c.kind == "verdict_given")
        .order_by(timeline.c.seq)
    )
    for row in rows:
        data = json.loads(row.data)
        said.setdefault(row.incident, {})[row.actor] = (str(data.get("verdict")), str(data.get("runbook") or ""))
    return {
        name: runbook
        for name, words in said.items()
        if len(set(words.values())) == 1
        for verdict, runbook in [next(iter(words.values()))]
        if verdict == "right_cause" and runbook
    }


def _text(connection: Connection, incident_id: str, title: str) -> str:
    rows = connection.execute(select(page.c.data).where(page.c.incident == incident_id).order_by(page.c.at))
    return searching.query(title, None, [codec.load(Page, row.data) for row in rows]).text[:MAX_CHUNK]
