"""What PagerDuty tells beside an incident's state: each a typed fact, told once, in whatever order it comes; and what
is only the answer to our own doing is nobody else's."""

import itertools
import json
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert, select

from bot.domain.page import Page
from bot.domain.paging import paging
from bot.domain.timeline import Entry, Provenance
from bot.domain.view import IncidentView
from bot.edges import outbox
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.pagerduty_in import parse
from bot.edges.records import SqlRecords
from bot.edges.schema import outbox as letters
from config.catalogue import Catalogue
from tests.conftest import START
from tests.http_fakes import DATA
from tests.incident_samples import page, settle

REF = "Q1B2C3D4E5F6G7"
NOW = datetime.fromisoformat("2026-11-18T03:10:00+00:00")
SAMPLES = {path.name[:2]: path.read_bytes() for path in sorted((DATA / "pagerduty").glob("[01]*.json"))}


def sample(number: str, **changes: Any) -> Page:
    """A delivery as PagerDuty sends it, with these changes to its event and, in ``data``, to what it carries."""
    event = json.loads(SAMPLES[number])["event"]
    data = {**event["data"], **changes.pop("data", {})}
    made = parse(json.dumps({"event": {**event, **changes, "data": data}}).encode(), NOW)
    assert isinstance(made, Page)
    return made


def event(kind: str, minute: int, data: dict[str, Any]) -> Page:
    """An event about the sample incident that has no sample of its own."""
    at = (datetime.fromisoformat("2026-11-18T02:14:07+00:00") + timedelta(minutes=minute)).isoformat()
    about = {"id": REF, "type": "incident_reference", "summary": None}
    base = {"id": f"01GX{kind}{minute}", "event_type": kind, "resource_type": "incident", "occurred_at": at,
            "agent": {"type": "user_reference", "summary": "Luis Ferreira"}, "client": None}  # fmt: skip
    made = parse(json.dumps({"event": {**base, "data": {"incident": about, **data}}}).encode(), NOW)
    assert isinstance(made, Page)
    return made


BRIDGE = event("incident.conference_bridge.updated", 37, {
    "conference_numbers": [{"label": "", "number": "+1-555-555-5555"}],
    "conference_url": "https://meet.example/inc-4821", "type": "incident_conference_bridge",
})  # fmt: skip
FIELDS = event("incident.custom_field_values.updated", 38, {
    "custom_fields": [{"name": "environment", "value": "production"}, {"name": "region", "value": ["eu", "us"]}],
    "changed_custom_fields": [{"name": "region", "value": ["eu", "us"]}], "type": "incident_field_values",
})  # fmt: skip
ROLE = event("incident.role.assigned", 39, {
    "incident": None, "type": "incident_role_assignment", "incident_role_assignments": [{
        "assignee": {"id": "P1", "summary": "Mei Tanaka"}, "old_assignee": None, "status": "active",
        "role": {"id": "R1", "summary": "Incident Commander"}, "incident": {"id": REF, "summary": None},
    }],
})  # fmt: skip


class Room:
    """A database with what it takes to read an incident."""

    def __init__(self, database: Database, catalogue: Catalogue) -> None:
        self.database = database
        self.inbox, self.casebook = SqlInbox(database), SqlCasebook(database)
        self.records = SqlRecords(database, catalogue)

    async def take(self, *pages: Page, now: datetime = NOW) -> IncidentView:
        await settle(self.inbox, self.casebook, *pages, now=now)
        view = await self.records.view(REF)
        assert view is not None
        return view

    async def said(self) -> list[str]:
        """What the thread is told, in order."""
        rows = select(letters.c.data).where(letters.c.kind == "say").order_by(letters.c.id)
        return await self.database.run(lambda c: [data["text"] for data in c.execute(rows).scalars()])

    async def sent(self, letter: str, incident: str, minute: float = 5, **data: Any) -> None:
        """A letter to the pager that was tried so many minutes after 02:45, as the courier leaves it."""
        at = (datetime.fromisoformat("2026-11-18T02:45:00+00:00") + timedelta(minutes=minute)).timestamp()
        values = {"ref": REF, "tried": at, "tried_last": at, **data}
        key = f"{letter}:{incident}:k{minute}:{REF}"
        row = {"lane": outbox.PAGER, "kind": letter, "key": key, "incident": incident,
               "data": values, "version": 1, "sent": 1, "attempts": 0, "due_at": at, "dead": ""}  # fmt: skip
        await self.database.run(lambda c: c.execute(insert(letters).values(**row)))


@pytest.fixture
def room(database: Database, catalogue: Catalogue) -> Room:
    return Room(database, catalogue)


def last(view: IncidentView, kind: str) -> Entry:
    return view.entries(kind)[-1]


# --- Typed facts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("number", "kind", "provenance", "held"),
    [
        ("04", "assignees_changed", Provenance.OBSERVED, {"people": ["Luis Ferreira"], "to": "Luis Ferreira"}),
        ("05", "assignees_changed", Provenance.OBSERVED, {"people": ["Luis Ferreira", "Mei Tanaka"]}),
        ("06", "priority_changed", Provenance.OBSERVED, {"priority": "P1", "to": "P1"}),
        ("07", "pager_noted", Provenance.HUMAN, {"note": "Provider status page shows degraded performance since 02:05 "
         "UTC. Trying fallback route “chat-default-eu” – watching p95."}),
        ("08", "responder_added", Provenance.OBSERVED, {"person": "Mei Tanaka", "answer": "pending"}),
        ("09", "responder_replied", Provenance.HUMAN, {"person": "Mei Tanaka", "answer": "accepted",
                                                       "policy": "Data Platform - Primary"}),
        ("10", "status_update_published", Provenance.HUMAN, {"text": "Mitigation in place: traffic moved to the "
         "fallback model. Error rate is falling; we keep monitoring."}),
    ],
)  # fmt: skip
async def test_each_event_is_a_fact_of_its_own_kind(
    room: Room, number: str, kind: str, provenance: Provenance, held: dict[str, Any]
) -> None:
    view = await room.take(sample("01"), sample(number))
    fact = last(view, kind).fact
    assert fact.provenance is provenance
    assert {key: fact.data[key] for key in held} == held
    assert fact.actor in ("pagerduty:Luis Ferreira", "pagerduty:Mei Tanaka", "pagerduty:system")


@pytest.mark.parametrize(
    ("told", "kind", "held"),
    [
        (BRIDGE, "bridge_changed", {"lines": ["https://meet.example/inc-4821", "+1-555-555-5555"]}),
        (FIELDS, "fields_changed", {"lines": ["region: eu, us"]}),
        (ROLE, "pager_role_given", {"person": "Mei Tanaka", "about": "Incident Commander"}),
        (event("incident.workflow.started", 1, {"type": "incident_workflow_instance"}), "pager_changed",
         {"event": "workflow started"}),
        (event("incident.delegated", 1, {"type": "incident", "id": REF, "assignees": [{"summary": "Mei Tanaka"}],
               "escalation_policy": {"id": "PEP9", "summary": "Data"}, "incident": None}), "assignees_changed",
         {"people": ["Mei Tanaka"], "policy": "Data"}),
    ],
)  # fmt: skip
async def test_so_is_each_that_has_no_sample(room: Room, told: Page, kind: str, held: dict[str, Any]) -> None:
    fact = last(await room.take(sample("01"), told), kind).fact
    assert {key: fact.data[key] for key in held} == held


async def test_an_event_that_comes_twice_is_one_fact_and_told_once(room: Room) -> None:
    await room.take(sample("01"))
    for _ in range(3):
        view = await room.take(sample("06"))
    assert len(view.entries("priority_changed")) == 1
    assert [text for text in await room.said() if "priority" in text] == [
        "PagerDuty (`Luis Ferreira`): the priority is now `P1`"
    ]


# --- The state that comes of them ------------------------------------------------------------------------------------


async def test_priority_assignees_responders_and_bridge_hold_in_every_order(room: Room) -> None:
    opening = sample("01")
    later = [sample(n) for n in ("05", "06", "08", "09")] + [BRIDGE]
    seen = set()
    for order in itertools.permutations(later):
        state = paging(await _alone(room, opening, order))
        assert state.priority is not None
        assert state.assigned is not None
        assert state.bridge is not None
        seen.add((state.priority.text, state.assigned.text, tuple((one.name, one.answer) for one in state.asked),
                  state.bridge.text))  # fmt: skip
    assert seen == {("P1", "Luis Ferreira, Mei Tanaka", (("Mei Tanaka", "accepted"),),
                     "https://meet.example/inc-4821, +1-555-555-5555")}  # fmt: skip


async def _alone(room: Room, opening: Page, order: Any) -> IncidentView:
    """The same events as an incident that is not stored: facts in this order."""
    from bot.domain.page_facts import fact_of, kind_of
    from bot.domain.timeline import link

    base = await room.take(opening)
    previous, entries = "0" * 64, []
    facts = [fact_of("page_received", opening), *(fact_of(kind_of(one), one) for one in order)]
    for seq, fact in enumerate(facts, start=1):
        previous = link(previous, seq, base.incident.id, NOW, fact)
        entries.append(Entry(seq=seq, incident_id=base.incident.id, at=NOW, fact=fact, previous="", hash=previous))
    from dataclasses import replace

    return replace(base, timeline=tuple(entries))


async def test_a_priority_that_was_taken_away_is_none(room: Room) -> None:
    gone = sample("06", id="01GXgone", occurred_at="2026-11-18T03:00:00Z", data={"priority": None})
    state = paging(await room.take(sample("01"), gone, sample("06")))
    assert state.priority is not None
    assert state.priority.text == ""
    assert paging(await room.take(BRIDGE)).priority == state.priority


async def test_a_later_event_that_comes_first_is_the_one_that_is_told(room: Room) -> None:
    newer = sample("06", id="01GXnew", occurred_at="2026-11-18T03:00:00Z", data={"priority": {"summary": "P3"}})
    view = await room.take(sample("01"), newer, sample("06"))
    assert [text for text in await room.said() if "priority" in text] == [
        "PagerDuty (`Luis Ferreira`): the priority is now `P3`"
    ]
    assert len(view.entries("priority_changed")) == 2


async def test_of_several_incidents_of_the_pager_those_that_go_on_count(room: Room) -> None:
    first, second = page("E1", priority="P2", people=("Ana",)), page("E2", incident_ref="Q2", people=("Ben",))
    over = page("E3", kind="resolved", occurred_at=START + timedelta(minutes=1), priority="P2")
    incident = await settle(room.inbox, room.casebook, first, second, now=START)
    view = await room.records.view(incident)
    assert view is not None
    state = paging(view)
    assert state.assigned is not None
    assert (state.assigned.text, state.priority.text if state.priority else None) == ("Ana, Ben", "P2")
    await settle(room.inbox, room.casebook, over, now=START + timedelta(minutes=2))
    view = await room.records.view(incident)
    assert view is not None
    state = paging(view)
    assert state.assigned is not None
    assert (state.assigned.text, state.priority.text if state.priority else None) == ("Ben", "")


async def test_words_from_the_pager_are_quoted_and_without_mentions(room: Room) -> None:
    nasty = sample("10", data={"message": "<!channel> `x` *bold* <https://evil.example|click> </system> run rollback"})
    await room.take(sample("01"), nasty)
    (text,) = [text for text in await room.said() if "status update" in text]
    assert "<!" not in text
    assert "<https" not in text
    assert text.count("`") == 4  # the author and the text, each in one code span


async def test_nothing_is_told_of_an_incident_that_is_over_nor_of_long_ago(room: Room) -> None:
    await room.take(sample("01"), sample("11", data={"resolve_reason": None}))
    before = await room.said()
    await room.take(sample("06", id="01GXlate", occurred_at="2026-11-18T03:07:00Z"))
    await room.take(sample("06", id="01GXold", occurred_at="2026-11-01T03:07:00Z"))
    assert await room.said() == before


# --- Echoes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "data", "number"),
    [
        ("note", {"text": "Provider status page shows degraded performance since 02:05 UTC.\nTrying fallback route "
                          "“chat-default-eu” – watching p95."}, "07"),
        ("update", {"text": "Mitigation in place: traffic moved to the fallback model.  Error rate is falling; we keep "
                            "monitoring.", "by": "Ana"}, "10"),
        ("priority", {"to": "p1", "by": "Ana"}, "06"),
        ("assign", {"id": "PMEI003", "kind": "user", "name": "Mei Tanaka", "by": "Ana"}, "05"),
        ("status", {"status": "acknowledged", "by": "Ana"}, "02"),
        ("status", {"status": "escalated", "by": "Ana"}, "04"),
        ("responder", {"id": "PMEI003", "kind": "user", "name": "Mei Tanaka", "by": "Ana"}, "08"),
    ],
)  # fmt: skip
async def test_what_was_done_from_here_comes_back_as_ours(
    room: Room, kind: str, data: dict[str, Any], number: str
) -> None:
    view = await room.take(sample("01"))
    minute = {"02": -25, "10": 20}.get(number, 5)
    await room.sent(kind, view.incident.id, minute, **data)
    before = await room.said()
    view = await room.take(sample(number))

    echo = last(view, "pager_echoed").fact
    assert (echo.actor, echo.data["by"]) == ("pagerduty:system", data.get("by", "Pagerunner"))
    assert "Luis" not in json.dumps({key: value for key, value in echo.data.items() if key != "people"})
    assert await room.said() == before
    assert not view.entries("priority_changed", "assignees_changed", "pager_noted", "status_update_published")


async def test_an_echo_still_tells_what_holds_now(room: Room) -> None:
    view = await room.take(sample("01"))
    await room.sent("priority", view.incident.id, to="P1", by="Ana")
    state = paging(await room.take(sample("06")))
    assert state.priority is not None
    assert state.assigned is not None
    assert (state.priority.text, state.assigned.text) == ("P1", "Luis Ferreira, Mei Tanaka")


async def test_the_next_one_like_it_is_somebody_elses(room: Room) -> None:
    view = await room.take(sample("01"))
    await room.sent("priority", view.incident.id, to="P1", by="Ana")
    again = sample("06", id="01GXagain", occurred_at="2026-11-18T02:58:00Z")
    view = await room.take(sample("06"), again)
    assert [len(view.entries(kind)) for kind in ("pager_echoed", "priority_changed")] == [1, 1]


@pytest.mark.parametrize(
    ("data", "number"),
    [({"to": "P2", "by": "Ana"}, "06"), ({"to": "P1", "by": "Ana", "tried": None}, "06"),
     ({"to": "P1", "by": "Ana", "tried": 0.0, "tried_last": 0.0}, "06"),
     ({"to": "P1", "by": "Ana", "ref": "Q9"}, "06")],
)  # fmt: skip
async def test_what_is_not_from_here_is_not_taken_for_ours(room: Room, data: dict[str, Any], number: str) -> None:
    view = await room.take(sample("01"))
    await room.sent("priority", view.incident.id, **data)
    view = await room.take(sample(number))
    assert not view.entries("pager_echoed")
    assert last(view, "priority_changed").fact.actor == "pagerduty:Luis Ferreira"


async def test_another_text_at_the_same_time_is_not_ours(room: Room) -> None:
    view = await room.take(sample("01"))
    await room.sent("update", view.incident.id, text="Something else", by="Ana")
    await room.sent("note", view.incident.id, text="", by="Ana")
    view = await room.take(sample("10"), sample("07"))
    assert not view.entries("pager_echoed")


async def test_a_text_that_the_pager_cut_is_still_ours(room: Room) -> None:
    view = await room.take(sample("01"))
    await room.sent("update", view.incident.id, 20, text="Mitigation in place. " + "x" * 9_000, by="Ana")
    cut = sample("10", data={"message": "Mitigation in place. " + "x" * 40, "trimmed": True})
    assert last(await room.take(cut), "pager_echoed").fact.data["by"] == "Ana"
