"""Reading what incidents made of the runbooks: what their pages found, what the probes concluded, what helped."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from bot.domain import codec
from bot.edges.schema import effect, incident, proposal
from diagnostics.model import Diagnosis
from knowledge.model import Retrieval


@dataclass(frozen=True, kw_only=True, slots=True)
class Used:
    """One incident, as far as runbooks go."""

    id: str
    title: str
    """Of its first page; untrusted."""
    service: str
    opened_at: datetime
    found: tuple[tuple[str, float], ...]
    """Runbooks that its page found, best first, each with its belief."""
    conclusion: str
    """Of the last diagnosis; empty: there was none."""
    causes: tuple[str, ...]
    proposed: tuple[str, ...]
    """Runbooks that a step was proposed from."""
    helped: tuple[str, ...]
    """Runbooks with a step that was verified to be better."""


def incidents_since(connection: Connection, since: datetime) -> Sequence[Used]:
    """All incidents opened since then, oldest first."""
    rows = connection.execute(
        select(incident).where(incident.c.opened_at >= codec.stamp(since)).order_by(incident.c.opened_at)
    ).all()
    proposed, helped = _steps(connection)
    return [
        Used(
            id=row.id, title=row.title, service=row.service, opened_at=codec.at(row.opened_at),
            found=() if row.retrieval is None else tuple(
                (match.document, match.prior) for match in codec.load(Retrieval, row.retrieval).matches
            ),
            conclusion=diagnosis.conclusion if diagnosis else "", causes=diagnosis.causes if diagnosis else (),
            proposed=proposed.get(row.id, ()), helped=helped.get(row.id, ()),
        )
        for row in rows
        for diagnosis in [None if row.diagnosis is None else codec.load(Diagnosis, row.diagnosis)]
    ]  # fmt: skip


def _steps(connection: Connection) -> tuple[Mapping[str, tuple[str, ...]], Mapping[str, tuple[str, ...]]]:
    """Incident -> runbooks that were proposed from, and runbooks that helped."""
    proposed: dict[str, dict[str, None]] = {}
    helped: dict[str, dict[str, None]] = {}
    joined = proposal.outerjoin(effect, (effect.c.proposal == proposal.c.id) & (effect.c.kind == "apply"))
    query = select(proposal.c.incident, proposal.c.plan, effect.c.verdict).select_from(joined)
    for row in connection.execute(query.order_by(proposal.c.created_at)):
        runbook = str(row.plan.get("runbook", "")).partition("#")[0]
        if runbook:
            proposed.setdefault(row.incident, {})[runbook] = None
        if runbook and row.verdict == "better":
            helped.setdefault(row.incident, {})[runbook] = None
    return {key: tuple(ids) for key, ids in proposed.items()}, {key: tuple(ids) for key, ids in helped.items()}
