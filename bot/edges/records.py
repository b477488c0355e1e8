"""Reading: everything that is known, as values. Never changes anything."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import timedelta

from sqlalchemy import Connection, select

from bot.domain import codec
from bot.domain.approval import break_glass
from bot.domain.incident import Incident, Status
from bot.domain.page import Page
from bot.domain.proposal import Debt, Proposal, ProposalState
from bot.domain.timeline import Entry
from bot.domain.view import MOST_PAGES, Awaited, IncidentView, MessageRef, ProposalView, Vote
from bot.edges import chain, debts, room_rows
from bot.edges.casebook import as_incident
from bot.edges.database import Database
from bot.edges.gate_rows import as_effect, as_proposal, freezes
from bot.edges.schema import change, effect, finding, incident, page, proposal, vote
from config.catalogue import Catalogue
from diagnostics.model import Change, Diagnosis, Finding
from knowledge.model import Retrieval

Names = Callable[[str], tuple[Awaited, ...]]
"""Who may approve for a team, by name, as far as that is known now; answers at once."""

REMEMBERED = 8
"""Views that are kept at hand."""


def not_known(team: str) -> tuple[Awaited, ...]:  # noqa: ARG001 - the signature of Names
    return ()


class SqlRecords:
    """See :class:`bot.ports.Records`."""

    def __init__(self, database: Database, catalogue: Catalogue, names: Names = not_known) -> None:
        self._database = database
        self._catalogue = catalogue
        self._names = names
        self._read: dict[str, tuple[tuple[int, int], IncidentView | None]] = {}
        """The views last read, with the version of the data that they are of: people and ticks look far more often than
        anything happens."""

    async def view(self, incident_id: str) -> IncidentView | None:
        view = await self._database.run(lambda c: self._view(c, incident_id))
        return None if view is None else _with_people(view, self._catalogue, self._names)

    def _view(self, connection: Connection, incident_id: str) -> IncidentView | None:
        version = self._database.version(connection)
        if self._read.get(incident_id, (None, None))[0] != version:
            while len(self._read) >= REMEMBERED:
                del self._read[next(iter(self._read))]
            self._read[incident_id] = version, read_view(connection, incident_id, self._catalogue)
        return self._read[incident_id][1]

    async def debts(self, *, open_only: bool = True) -> Sequence[Debt]:
        return await self._database.run(lambda c: debts.listed(c, open_only=open_only))

    async def incidents(self, *, active_only: bool = True, limit: int = 50) -> Sequence[Incident]:
        def read(connection: Connection) -> list[Incident]:
            query = select(incident).order_by(incident.c.opened_at.desc()).limit(limit)
            if active_only:
                query = query.where(incident.c.status.not_in([Status.RESOLVED.value, Status.CLOSED.value]))
            return [as_incident(row) for row in connection.execute(query)]

        return await self._database.run(read)

    async def incident_of(self, message: MessageRef) -> str | None:
        query = select(incident.c.id).where(
            incident.c.card_channel == message.channel, incident.c.card_ts == message.ts
        )
        return await self._database.run(lambda c: c.execute(query).scalar())

    async def incident_in(self, channel: str) -> str | None:
        return await self._database.run(lambda c: room_rows.of_channel(c, channel))

    async def proposal(self, proposal_id: str) -> Proposal | None:
        def read(connection: Connection) -> Proposal | None:
            row = connection.execute(select(proposal).where(proposal.c.id == proposal_id)).one_or_none()
            return None if row is None else as_proposal(row)

        return await self._database.run(read)

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        return await self._database.run(lambda c: list(chain.entries(c, incident_id, after=after)))

    async def whole_chain(self) -> Sequence[Entry]:
        """The timeline of the installation, for ``audit verify``."""
        return await self._database.run(lambda c: list(chain.entries(c)))


def read_view(connection: Connection, reference: str, catalogue: Catalogue) -> IncidentView | None:
    """The view of an incident named by its id, or by the pager's reference."""
    row = connection.execute(select(incident).where(incident.c.id == reference)).one_or_none()
    if row is None:
        ref = select(page.c.incident).where(page.c.incident_ref == reference).order_by(page.c.at.desc()).limit(1)
        row = connection.execute(select(incident).where(incident.c.id == ref.scalar_subquery())).one_or_none()
    if row is None:
        return None
    stopped = freezes(connection, row.service)
    return IncidentView(
        incident=as_incident(row),
        service=catalogue.service(row.service),
        team=catalogue.team(row.team),
        retrieval=None if row.retrieval is None else codec.load(Retrieval, row.retrieval),
        running=tuple(row.running),
        findings=_findings(connection, row.id),
        diagnosis=None if row.diagnosis is None else codec.load(Diagnosis, row.diagnosis),
        proposals=_proposals(connection, row.id),
        changes=_changes(connection, row.service, row.started_at),
        timeline=tuple(chain.entries(connection, row.id)),
        pages=_pages(connection, row.id),
        frozen="; ".join(stopped.values()),
        frozen_for=tuple(stopped),
        message=MessageRef(channel=row.card_channel, ts=row.card_ts) if row.card_ts else None,
        room=room_rows.find(connection, row.id),
    )


def _with_people(view: IncidentView, catalogue: Catalogue, names: Names) -> IncidentView:
    """With who may decide on what is open, and whether anybody could alone."""
    service = view.service
    if service is None or not any(_waits(pv) for pv in view.proposals):
        return view
    shown = tuple(
        replace(pv, awaited=names(pv.proposal.plan.approver_team),
                glass=bool(break_glass(catalogue.policy, service, pv.proposal.plan.risk))) if _waits(pv) else pv
        for pv in view.proposals
    )  # fmt: skip
    return replace(view, proposals=shown)


def _waits(pv: ProposalView) -> bool:
    return pv.proposal.state is ProposalState.OPEN and pv.proposal.votable


def _findings(connection: Connection, incident_id: str) -> tuple[Finding, ...]:
    rows = connection.execute(
        select(finding.c.data)
        .where(finding.c.incident == incident_id)
        .order_by(finding.c.at, finding.c.call, finding.c.id)
    )
    return tuple(codec.load(Finding, row.data) for row in rows)


def _proposals(connection: Connection, incident_id: str) -> tuple[ProposalView, ...]:
    views = []
    rows = connection.execute(
        select(proposal).where(proposal.c.incident == incident_id).order_by(proposal.c.created_at)
    )
    for row in rows.all():
        votes = connection.execute(select(vote).where(vote.c.proposal == row.id).order_by(vote.c.at))
        effects = {e.kind: as_effect(e) for e in connection.execute(select(effect).where(effect.c.proposal == row.id))}
        views.append(
            ProposalView(
                proposal=as_proposal(row),
                votes=tuple(
                    Vote(principal=v.principal, name=v.name, decision=v.decision, at=codec.at(v.at)) for v in votes
                ),
                apply=effects.get("apply"),
                revert=effects.get("revert"),
                debt=debts.of(connection, row.id),
            )
        )
    return tuple(views)


def _pages(connection: Connection, incident_id: str) -> tuple[Page, ...]:
    rows = connection.execute(
        select(page.c.data).where(page.c.incident == incident_id).order_by(page.c.at).limit(MOST_PAGES)
    )
    return tuple(codec.load(Page, row.data) for row in rows)


def _changes(connection: Connection, service: str, started_at: float) -> tuple[Change, ...]:
    day = timedelta(days=1).total_seconds()
    rows = connection.execute(
        select(change.c.data)
        .where(change.c.service.in_([service, "*"]), change.c.at >= started_at - day)
        .order_by(change.c.at)
    )
    return tuple(codec.load(Change, row.data) for row in rows)
