"""Incidents as rows: pages join them, investigations write into them, people move them on."""

import logging
import sqlite3
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, case, insert, select, update
from sqlalchemy.exc import OperationalError

from bot.domain import codec, joining, page_facts
from bot.domain.incident import Incident, Status
from bot.domain.page import Page
from bot.domain.presentation import Redaction
from bot.domain.proposal import ProposalState
from bot.domain.room import Filling
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import quote
from bot.domain.view import MessageRef
from bot.edges import chain, outbox, pager_news, pager_state, room_rows
from bot.edges.database import Database
from bot.edges.schema import change, finding, inbox, incident, page, pager, proposal
from bot.ports import Placed
from diagnostics.model import Diagnosis, Finding
from knowledge.model import Retrieval

log = logging.getLogger("pagerunner.casebook")

# Made once: every sweep asks.
_WANTED = select(incident.c.id, incident.c.investigations).where(incident.c.investigated < incident.c.investigations)
_TO_CLOSE = select(incident.c.id).where(incident.c.status == Status.RESOLVED.value)


class SqlCasebook:
    """See :class:`bot.ports.Casebook`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def settle(self, batch: Sequence[Placed], now: datetime) -> None:
        def work(connection: Connection) -> None:
            for placed in batch:
                _settle_alone(connection, placed, now)

        await self._database.run(work)

    async def incident(self, incident_id: str) -> Incident | None:
        return await self._database.run(lambda c: find(c, incident_id))

    async def pages(self, incident_id: str) -> Sequence[Page]:
        def read(connection: Connection) -> list[Page]:
            rows = connection.execute(select(page.c.data).where(page.c.incident == incident_id).order_by(page.c.at))
            return [codec.load(Page, row.data) for row in rows]

        return await self._database.run(read)

    async def record(self, incident_id: str, facts: Sequence[Fact], now: datetime, *, card: bool = True) -> None:
        def work(connection: Connection) -> None:
            chain.append(connection, now, incident_id, facts)
            if card:
                outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def running(self, incident_id: str, probes: Sequence[str], now: datetime) -> None:
        def work(connection: Connection) -> None:
            connection.execute(update(incident).where(incident.c.id == incident_id).values(running=list(probes)))
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def retrieved(self, incident_id: str, retrieval: Retrieval, fact: Fact, now: datetime) -> None:
        def work(connection: Connection) -> None:
            _set(connection, incident_id, retrieval=codec.dump(retrieval))
            chain.append(connection, now, incident_id, [fact])
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def found(self, incident_id: str, number: int, call: str, finding_: Finding, now: datetime) -> None:
        def work(connection: Connection) -> None:
            known = connection.execute(
                select(finding.c.id).where(
                    finding.c.incident == incident_id, finding.c.investigation == number, finding.c.call == call
                )
            ).one_or_none()
            if known is not None:
                return
            connection.execute(
                insert(finding).values(
                    id=finding_.id, incident=incident_id, investigation=number, call=call, data=codec.dump(finding_),
                    tokens=finding_.reading.tokens, at=codec.stamp(finding_.started_at),
                )
            )  # fmt: skip
            still = [name for name in _row(connection, incident_id).running if name != finding_.probe]
            _set(connection, incident_id, running=still)
            chain.append(connection, now, incident_id, [_finding_fact(finding_)])
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def findings(self, incident_id: str, number: int | None = None) -> Mapping[str, Finding]:
        def read(connection: Connection) -> dict[str, Finding]:
            query = (
                select(finding)
                .where(finding.c.incident == incident_id)
                .order_by(finding.c.at, finding.c.call, finding.c.id)
            )
            if number is not None:
                query = query.where(finding.c.investigation == number)
            return {
                row.call if number is not None else row.id: codec.load(Finding, row.data)
                for row in connection.execute(query)
            }

        return await self._database.run(read)

    async def diagnosed(self, incident_id: str, diagnosis: Diagnosis, fact: Fact, now: datetime) -> None:
        def work(connection: Connection) -> None:
            _set(connection, incident_id, diagnosis=codec.dump(diagnosis))
            chain.append(connection, now, incident_id, [fact])
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def diagnosis(self, incident_id: str) -> Diagnosis | None:
        def read(connection: Connection) -> Diagnosis | None:
            data = _row(connection, incident_id).diagnosis
            return None if data is None else codec.load(Diagnosis, data)

        return await self._database.run(read)

    async def investigated(self, incident_id: str, number: int, facts: Sequence[Fact], note: str, now: datetime, *,
                           proposed: str = "") -> None:  # fmt: skip
        def work(connection: Connection) -> None:
            done = connection.execute(
                update(incident)
                .where(incident.c.id == incident_id, incident.c.investigated < number)
                .values(investigated=number, running=[])
            )
            if done.rowcount == 0:
                return
            chain.append(connection, now, incident_id, facts)
            supersede(connection, incident_id, now, keep=proposed)
            for ref in pager_state.open_refs(connection, incident_id) if note else ():
                outbox.note(connection, incident_id, f"diagnosis:{number}", ref, note, now)
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def ask(self, incident_id: str, facts: Sequence[Fact], now: datetime, *, hint: str = "",
                  attempt: bool = False) -> int:  # fmt: skip
        return await self._database.run(lambda c: ask(c, incident_id, facts, now, hint=hint, attempt=attempt))

    async def hints(self, incident_id: str) -> Sequence[str]:
        return await self._database.run(lambda c: list(_row(c, incident_id).hints))

    async def wanted(self) -> Sequence[tuple[str, int]]:
        def read(connection: Connection) -> list[tuple[str, int]]:
            return [(row.id, row.investigations) for row in connection.execute(_WANTED)]

        return await self._database.run(read)

    async def to_close(self) -> Sequence[str]:
        return await self._database.run(lambda c: list(c.execute(_TO_CLOSE).scalars()))

    async def move(self, incident_id: str, status: Status, facts: Sequence[Fact], now: datetime, *,
                   pager: str = "", by: str = "") -> bool:  # fmt: skip
        return await self._database.run(lambda c: move(c, incident_id, status, facts, now, tell_pager=pager, by=by))

    async def escalate(self, incident_id: str, fact: Fact, by: str, now: datetime) -> None:
        def work(connection: Connection) -> None:
            chain.append(connection, now, incident_id, [fact])
            _tell_pager(connection, incident_id, "escalated", by, now)
            outbox.card(connection, incident_id, now)

        await self._database.run(work)

    async def say(self, incident_id: str, key: str, text: str, now: datetime, *, at: MessageRef | None = None) -> None:
        await self._database.run(lambda c: outbox.say(c, incident_id, key, text, now, at=at))

    async def send(self, incident_id: str, key: str, form: str, now: datetime, *, at: MessageRef | None = None,
                   redaction: Redaction = "internal", zone: str = "UTC") -> None:  # fmt: skip
        shown = {"redaction": redaction, "zone": zone}
        await self._database.run(lambda c: outbox.send(c, incident_id, key, form, now, at=at, shown=shown))


def ask(connection: Connection, incident_id: str, facts: Sequence[Fact], now: datetime, *, hint: str = "",
        attempt: bool = False) -> int:  # fmt: skip
    """Ask for another investigation, in the running transaction; returns its number."""
    row = _row(connection, incident_id)
    number = int(row.investigations) + 1
    hints = [*row.hints, hint] if hint else row.hints
    _set(connection, incident_id, investigations=number, hints=hints, attempts=row.attempts + int(attempt))
    chain.append(connection, now, incident_id, facts)
    outbox.card(connection, incident_id, now)
    return number


def supersede(connection: Connection, incident_id: str, now: datetime, *, keep: str = "") -> None:
    """Nobody can vote any more on what is open, except ``keep``: newer findings stand against it."""
    old = select(proposal.c.id).where(
        proposal.c.incident == incident_id, proposal.c.state == ProposalState.OPEN.value, proposal.c.id != keep
    )
    for one in connection.execute(old).scalars().all():
        values = {"state": ProposalState.SUPERSEDED.value}
        connection.execute(update(proposal).where(proposal.c.id == one).values(**values))
        data = {"proposal": one}
        fact = Fact(kind="proposal_superseded", provenance=Provenance.COMPUTED, actor="pagerunner", data=data)
        chain.append(connection, now, incident_id, [fact])
        outbox.card(connection, incident_id, now, decision=True)


def move(connection: Connection, incident_id: str, status: Status, facts: Sequence[Fact], now: datetime, *,
         tell_pager: str = "", by: str = "") -> bool:  # fmt: skip
    """Move an incident on, in the running transaction; False if it is there or beyond."""
    row = _row(connection, incident_id)
    if not _may_move(Status(row.status), status):
        return False
    _move(connection, row, status, now)
    chain.append(connection, now, incident_id, facts)
    if status is Status.CLOSED:
        room_rows.closed(connection, incident_id, now)
    if tell_pager:
        _tell_pager(connection, incident_id, tell_pager, by, now)
    outbox.card(connection, incident_id, now)
    return True


def find(connection: Connection, incident_id: str) -> Incident | None:
    """The incident of this id, as a value."""
    row = connection.execute(select(incident).where(incident.c.id == incident_id)).one_or_none()
    return None if row is None else as_incident(row)


def as_incident(row: Row[Any]) -> Incident:
    return Incident(
        id=row.id, status=Status(row.status), title=row.title, service=row.service, team=row.team, channel=row.channel,
        key=row.key, signature=row.signature, opened_at=codec.at(row.opened_at), started_at=codec.at(row.started_at),
        acknowledged_at=codec.moment(row.acknowledged_at), mitigated_at=codec.moment(row.mitigated_at),
        resolved_at=codec.moment(row.resolved_at), pages=row.pages, investigations=row.investigations,
        attempts=row.attempts, attempts_before=row.attempts_before, pager_ref=row.pager_ref,
        pager_status=row.pager_status, source=row.source,
    )  # fmt: skip


def _row(connection: Connection, incident_id: str) -> Row[Any]:
    return connection.execute(select(incident).where(incident.c.id == incident_id)).one()


def _tell_pager(connection: Connection, incident_id: str, status: str, by: str, now: datetime) -> None:
    """What a person decided holds for each of the pager's incidents that goes on."""
    for ref in pager_state.open_refs(connection, incident_id):
        outbox.pager_status(connection, incident_id, ref, status, by, now)


def _set(connection: Connection, incident_id: str, **values: Any) -> None:
    connection.execute(update(incident).where(incident.c.id == incident_id).values(**values))


def _may_move(old: Status, new: Status) -> bool:
    if new is Status.CLOSED:  # what was reopened while its postmortem was written is not closed
        return old is Status.RESOLVED
    order = [Status.OPEN, Status.ACKNOWLEDGED, Status.MITIGATED, Status.RESOLVED, Status.CLOSED]
    return order.index(new) > order.index(old)


def _move(connection: Connection, row: Row[Any], status: Status, now: datetime) -> None:
    column = {Status.ACKNOWLEDGED: "acknowledged_at", Status.MITIGATED: "mitigated_at", Status.RESOLVED: "resolved_at"}
    values: dict[str, Any] = {"status": status.value}
    if status in column and getattr(row, column[status]) is None:
        values[column[status]] = codec.stamp(now)
    _set(connection, row.id, **values)


def _settle_alone(connection: Connection, placed: Placed, now: datetime) -> None:
    """A delivery that cannot be stored as understood must hold up no other: it is set aside, and people are told."""
    received, why = placed.received, "it could not be stored as it was understood"
    told = Page.unreadable(received.key, received.source, received.received_at, why)
    aside = replace(placed, page=told, change=None, quarantine=why)
    for way in (placed, aside, replace(aside, page=None)):
        try:
            with connection.begin_nested():
                _settle(connection, way, now)
            return
        except (OperationalError, sqlite3.OperationalError):  # the storage, not this delivery
            raise
        except Exception:  # whatever is wrong with one delivery, the others are settled
            log.exception("delivery %s is set aside: %s", received.key, why)


def _settle(connection: Connection, placed: Placed, now: datetime) -> None:
    """Everything one delivery means, in the running transaction; a second time it means nothing."""
    key = placed.received.key
    done = connection.execute(
        update(inbox)
        .where(inbox.c.key == key, inbox.c.state == "new")
        .values(state="quarantined" if placed.quarantine else "done", reason=placed.quarantine)
    )
    if done.rowcount == 0:
        return
    if placed.change is not None:
        entry = placed.change
        if connection.execute(select(change.c.id).where(change.c.id == entry.id)).one_or_none() is None:
            values = {"id": entry.id, "at": codec.stamp(entry.at), "service": entry.service}
            connection.execute(insert(change).values(**values, data=codec.dump(entry)))
    if placed.page is not None:
        incident_id = _join(connection, placed, placed.page, now)
        connection.execute(update(inbox).where(inbox.c.key == key).values(incident=incident_id))


def _join(connection: Connection, placed: Placed, new: Page, now: datetime) -> str | None:
    if connection.execute(select(page.c.event_id).where(page.c.event_id == new.event_id)).one_or_none() is not None:
        return None
    match = joining.find(new, placed.service, _candidates(connection, new, placed.service))
    if match is None and not joining.opens(new):
        return None
    incident_id = match.incident_id if match else _open(connection, placed, new, now)
    connection.execute(
        insert(page).values(
            event_id=new.event_id, incident=incident_id, incident_ref=new.incident_ref, data=codec.dump(new),
            at=codec.stamp(new.occurred_at),
        )
    )  # fmt: skip
    if match:
        if new.kind in ("triggered", "reopened"):  # Everything else that the pager tells pages nobody.
            _set(connection, incident_id, pages=incident.c.pages + 1)
        _note_event(connection, incident_id, new, now)
    if placed.quarantine:
        _tell_unreadable(connection, incident_id, new, placed.quarantine, now)
    _follow(connection, incident_id, new, now)
    outbox.card(connection, incident_id, now)
    return incident_id


def _note_event(connection: Connection, incident_id: str, new: Page, now: datetime) -> None:
    """An event of a known incident: a fact of its kind, told in the thread if people look to it. What is only the
    pager's answer to something that was done from here is nobody else's doing, and no news."""
    by = pager_news.ours(connection, incident_id, new)
    if by is not None:
        chain.append(connection, now, incident_id, [page_facts.echo_of(new, by)])
        return
    chain.append(connection, now, incident_id, [page_facts.fact_of(page_facts.kind_of(new), new)])
    if Status(_row(connection, incident_id).status) not in (Status.RESOLVED, Status.CLOSED):
        pager_news.tell(connection, incident_id, new, now)


def _tell_unreadable(connection: Connection, incident_id: str, new: Page, why: str, now: datetime) -> None:
    """Why it could not be read goes on the timeline, and what came into the thread, once for a storm of them."""
    data = {"unreadable": new.event_id, "why": why}
    chain.append(
        connection, now, incident_id,
        [Fact(kind="alarm", provenance=Provenance.COMPUTED, actor="pagerunner", data=data)],
    )  # fmt: skip
    text = "A genuine delivery could not be read, so nobody knows whether it was a page. Look at the pager itself."
    outbox.say(connection, incident_id, "unreadable", f"{text}\n{quote(new.body, 1_500)}", now)


def _candidates(connection: Connection, new: Page, service: str) -> list[joining.Candidate]:
    since = codec.stamp(new.occurred_at - timedelta(days=8))
    by_ref = select(pager.c.incident).where(pager.c.ref == new.incident_ref)
    own = incident.c
    rows = connection.execute(  # without the large columns: this is asked for every page
        select(own.id, own.status, own.key, own.service, own.signature, own.last_page_at)
        .where(own.id.in_(by_ref) | (own.last_page_at >= since) & (own.service == service))
        .order_by(case((own.id.in_(by_ref), 0), else_=1), own.opened_at.desc())
        .limit(50)
    ).all()
    own_of_ref = connection.execute(by_ref).scalar_one_or_none()
    return [
        joining.Candidate(
            incident_id=row.id, active=Status(row.status) not in (Status.RESOLVED, Status.CLOSED),
            refs=frozenset({new.incident_ref} if row.id == own_of_ref else ()), key=row.key, service=row.service,
            signature=row.signature, last_page_at=codec.at(row.last_page_at),
        )
        for row in reversed(rows)
    ]  # fmt: skip


def _open(connection: Connection, placed: Placed, new: Page, now: datetime) -> str:
    incident_id = joining.incident_id(new)
    wanted = 0 if new.stale or new.kind == "resolved" else 1
    connection.execute(
        insert(incident).values(
            id=incident_id, status=Status.OPEN.value, title=new.title, service=placed.service, team=placed.team,
            channel=placed.channel, key=new.incident_key or new.incident_ref, signature=new.signature,
            opened_at=codec.stamp(now), started_at=codec.stamp(min(new.occurred_at, now)),
            last_page_at=codec.stamp(new.occurred_at), pages=1, investigations=wanted, investigated=0, attempts=0,
            pager_ref=new.incident_ref if new.source == "pagerduty" else "", pager_status="", source=new.source,
            running=[], hints=[],
        )
    )  # fmt: skip
    opened = Fact(
        kind="incident_opened", provenance=Provenance.COMPUTED, actor="pagerunner",
        data={"service": placed.service, "team": placed.team, "title": new.title, "investigate": bool(wanted)},
    )  # fmt: skip
    kind = "page_stale" if new.stale else "page_received"
    chain.append(connection, now, incident_id, [page_facts.fact_of(kind, new), opened])
    if wanted and placed.room is not None:
        filling = Filling(at=now, service=placed.service, team=placed.team, incident_id=incident_id)
        room_rows.want(connection, placed.room, filling, placed.channel)
    return incident_id


def _follow(connection: Connection, incident_id: str, new: Page, now: datetime) -> None:
    """Bring our state in step with the pager's incidents, of which this event told something."""
    if new.kind in ("triggered", "reopened"):
        moment = codec.stamp(min(new.occurred_at, now))
        _set(connection, incident_id, last_page_at=max(_row(connection, incident_id).last_page_at, moment))
    if new.incident_ref and pager_state.see(connection, incident_id, new, now):
        for one in pager_state.concerned(connection, new.incident_ref):
            _keep_step(connection, one, new, now)


def _keep_step(connection: Connection, incident_id: str, new: Page, now: datetime) -> None:
    """It is over when all of the pager's incidents are, and on again when one of them is."""
    row = _row(connection, incident_id)
    going = joining.pager_status(new) == "triggered"  # known without asking: a storm is hundreds of these
    status = "triggered" if going else pager_state.together(connection, incident_id)
    _set(connection, incident_id, pager_status=status)
    outbox.card(connection, incident_id, now)
    current = Status(row.status)
    if new.kind == "acknowledged" and _may_move(current, Status.ACKNOWLEDGED):
        _move(connection, row, Status.ACKNOWLEDGED, new.occurred_at)
        chain.append(connection, now, incident_id, [page_facts.fact_of("incident_acknowledged", new)])
    elif status == "resolved" and _may_move(current, Status.RESOLVED):
        _move(connection, row, Status.RESOLVED, new.occurred_at)
        chain.append(connection, now, incident_id, [page_facts.fact_of("incident_resolved", new)])
    elif (
        status == "triggered" and current in (Status.RESOLVED, Status.CLOSED) and new.kind in ("reopened", "triggered")
    ):
        _set(
            connection, incident_id, status=Status.OPEN.value, resolved_at=None, reopened_at=codec.stamp(now),
            investigations=row.investigations + 1, attempts=0, attempts_before=row.attempts_before + row.attempts,
        )  # fmt: skip
        chain.append(connection, now, incident_id, [page_facts.fact_of("incident_reopened", new)])
        room_rows.reopened(connection, incident_id, now)


def _finding_fact(found: Finding) -> Fact:
    reading = found.reading
    return Fact(
        kind="probe_finished", provenance=Provenance.OBSERVED, actor="pagerunner",
        data={
            "evidence": found.id, "probe": found.probe, "outcome": found.outcome, "verdict": found.verdict.value,
            "summary": reading.summary, "value": reading.value, "baseline": reading.baseline, "n": reading.n,
            "test": reading.test, "p_value": reading.p_value, "power": reading.power, "tokens": reading.tokens,
            "round": found.round, "elapsed_s": round(found.elapsed_s, 3),
        },
    )  # fmt: skip
