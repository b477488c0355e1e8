"""A genuine delivery that cannot be read may have been a page: it reaches a person, and holds up no other."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select

from bot.domain import joining
from bot.edges import casebook as casebook_module
from bot.edges import pagerduty_in, schema
from bot.edges.database import Database
from bot.edges.understand import understand
from bot.ports import Received
from config.catalogue import Catalogue
from tests.conftest import START, FakeClock
from tests.flow_fakes import Rig
from tests.incident_samples import page, placed
from tests.web_fakes import pd_signature, site


@pytest.fixture
def rig(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock, understand=understand(lambda text: text.replace("hunter2", "***")))


def triggered(number: int, **data: Any) -> bytes:
    whole = {"id": f"Q{number}", "type": "incident", "title": "LLM down",
             "service": {"id": "PSVCCHAT", "summary": "Chat"}, **data}  # fmt: skip
    event = {"id": f"E{number}", "event_type": "incident.triggered", "resource_type": "incident",
             "occurred_at": START.isoformat(), "data": {k: v for k, v in whole.items() if v is not None}}  # fmt: skip
    return json.dumps({"event": event}).encode()


async def deliver(rig: Rig, *bodies: bytes) -> None:
    for raw in bodies:
        key = pagerduty_in.delivery_key(raw)
        await rig.inbox.accept(Received(key=key, source="pagerduty", body=raw, received_at=START))
    await rig.flow.receive()
    await rig.jobs.idle()


async def rows(database: Database) -> Sequence[Mapping[str, Any]]:
    query = select(schema.inbox).order_by(schema.inbox.c.key)
    return await database.run(lambda c: [dict(row._mapping) for row in c.execute(query)])


async def thread(database: Database) -> Sequence[str]:
    query = select(schema.outbox.c.data).where(schema.outbox.c.kind == "say")
    return await database.run(lambda c: [data["text"] for data in c.execute(query).scalars()])


async def test_a_page_without_a_title_is_an_incident_like_any_other(rig: Rig) -> None:
    await deliver(rig, triggered(77, title=None))

    (incident,) = await rig.records.incidents()
    assert (incident.service, incident.title) == ("chat-assistant", "PagerDuty incident without a title")
    assert rig.triage.asked == [1]


@pytest.mark.parametrize("raw", [triggered(78, id=None), b"hunter2 is not JSON", b'{"event": {"id": "E1"}}'])
async def test_what_cannot_be_read_is_shown_to_a_person_in_the_fallback_channel(
    rig: Rig, database: Database, catalogue: Catalogue, raw: bytes
) -> None:
    await deliver(rig, raw)

    (incident,) = await rig.records.incidents()
    assert (incident.service, incident.channel) == ("unmapped", catalogue.fallback_channel)
    view = await rig.records.view(incident.id)
    assert view is not None
    (row,) = await rows(database)
    assert (row["state"], row["body"], row["incident"]) == ("quarantined", raw, incident.id)
    assert view.entries("alarm")[0].fact.data["why"] == row["reason"]
    text = "\n".join(await thread(database))
    assert row["reason"] in text
    assert "hunter2" not in text
    assert "Look at the pager itself" in text


async def test_a_storm_of_what_cannot_be_read_is_one_incident_and_one_message(rig: Rig, database: Database) -> None:
    await deliver(rig, *(triggered(number, id=None) for number in range(80, 120)))

    (incident,) = await rig.records.incidents()
    assert incident.pages == 40
    assert len([text for text in await thread(database) if "Look at the pager itself" in text]) == 1


@pytest.mark.parametrize("raw", [triggered(78, id=None), b"not JSON"])
async def test_what_cannot_be_read_is_counted(raw: bytes) -> None:
    async with site() as here:
        headers = {"x-pagerduty-signature": pd_signature(raw), "content-type": "application/json"}
        assert (await here.client.post("/webhooks/pagerduty", content=raw, headers=headers)).status_code == 202
        assert here.figure("quarantined_total", source="pagerduty") == 1


async def test_one_delivery_that_cannot_be_stored_holds_up_no_other(
    rig: Rig, database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, poison, last = page("E1"), page("E2", incident_ref="Q2"), page("E3", incident_ref="Q3")
    batch = [placed(one, service=f"service-{one.event_id}") for one in (first, poison, last)]
    for one in batch:
        await rig.inbox.accept(one.received)
    same = joining.incident_id(first)
    own = joining.incident_id
    monkeypatch.setattr(casebook_module.joining, "incident_id", lambda one: same if one.event_id == "E2" else own(one))
    await rig.casebook.settle(batch, START)

    assert {row["key"]: row["state"] for row in await rows(database)} == {
        "pagerduty:E1": "done", "pagerduty:E2": "quarantined", "pagerduty:E3": "done",
    }  # fmt: skip
    incidents = await rig.records.incidents()
    assert sorted(one.service for one in incidents) == ["service-E1", "service-E2", "service-E3"]
    assert len({one.id for one in incidents}) == 3


async def test_what_cannot_even_be_shown_is_set_aside_alone(rig: Rig, database: Database) -> None:
    poison = replace(placed(page("E2", incident_ref="Q2"), service="other"), channel=None)  # type: ignore[arg-type]
    batch = [placed(page("E1")), poison, placed(page("E3", incident_ref="Q3"), service="third")]
    for one in batch:
        await rig.inbox.accept(one.received)
    await rig.casebook.settle(batch, START)

    assert [row["state"] for row in await rows(database)] == ["done", "quarantined", "done"]


def test_an_id_has_sixty_four_bits_of_its_page() -> None:
    ids = {joining.incident_id(page(f"E{n}")) for n in range(1_000)}
    assert len(ids) == 1_000
    assert all(len(one.removeprefix("inc-")) == 16 for one in ids)
