"""Pages become incidents: joined, ordered by their own time, and never twice."""

import itertools
from datetime import timedelta

import pytest

from bot.domain.incident import Status
from bot.edges import chain
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.ports import Received
from tests.conftest import START
from tests.incident_samples import page, placed, settle


@pytest.fixture
def inbox(database: Database) -> SqlInbox:
    return SqlInbox(database)


@pytest.fixture
def casebook(database: Database) -> SqlCasebook:
    return SqlCasebook(database)


async def test_an_accepted_delivery_is_new_once(inbox: SqlInbox) -> None:
    received = Received(key="pagerduty:E1", source="pagerduty", body=b"{}", received_at=START)

    assert await inbox.accept(received)
    assert not await inbox.accept(received)
    assert len(await inbox.pending()) == 1


async def test_a_storm_of_one_failure_is_one_incident(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    pages = [
        page(f"E{n}", incident_ref=f"Q{n}", incident_key=f"k{n}", title=f"LLM error rate {n}.4% on chat (5m)")
        for n in range(500)
    ]
    incident_id = await settle(inbox, casebook, *pages)

    assert len(await casebook.wanted()) == 1
    incident = await casebook.incident(incident_id)
    assert incident is not None
    assert incident.pages == 500


async def test_an_old_incident_is_still_found_by_its_pagers_reference_among_many(
    inbox: SqlInbox, casebook: SqlCasebook
) -> None:
    letters = [a + b for a, b in itertools.product("ghijklmn", repeat=2)]
    pages = [page(f"E{n}", incident_ref=f"Q{n}", incident_key=f"k{n}", title=t) for n, t in enumerate(letters)]
    oldest = await settle(inbox, casebook, pages[0])
    resolved = page("R", kind="resolved", incident_ref="Q0")
    await settle(inbox, casebook, *pages[1:], resolved, now=START + timedelta(minutes=1))

    found = await casebook.incident(oldest)
    assert found is not None
    assert found.status is Status.RESOLVED


async def test_the_same_title_of_another_service_is_another_incident(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    first = await settle(inbox, casebook, page())
    second = await settle(inbox, casebook, page("E2", incident_ref="Q2", incident_key="x"), service="support-bot")

    assert first != second
    assert len(await casebook.wanted()) == 2


async def test_a_page_after_the_window_opens_a_new_incident(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    await settle(inbox, casebook, page())
    later = START + timedelta(minutes=31)
    await settle(inbox, casebook, page("E2", incident_ref="Q2", incident_key="x", occurred_at=later), now=later)

    assert len(await casebook.wanted()) == 2


@pytest.mark.parametrize("order", list(itertools.permutations(range(4))))
async def test_the_state_is_the_same_in_every_order(
    inbox: SqlInbox, casebook: SqlCasebook, order: tuple[int, ...]
) -> None:
    pages = [
        page("E1"),
        page("E2", kind="acknowledged", occurred_at=START + timedelta(seconds=30)),
        page("E3", kind="acknowledged", occurred_at=START + timedelta(seconds=40)),
        page("E4", kind="resolved", occurred_at=START + timedelta(minutes=5)),
    ]
    shuffled = [pages[i] for i in order]
    incident_id = await settle(inbox, casebook, *shuffled, now=START + timedelta(minutes=6))

    incident = await casebook.incident(incident_id)
    assert incident is not None
    assert incident.status is Status.RESOLVED
    assert incident.pager_status == "resolved"
    assert len(await casebook.pages(incident_id)) == 4


async def test_a_reopened_incident_is_investigated_again(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    incident_id = await settle(
        inbox, casebook, page(), page("E2", kind="resolved", occurred_at=START + timedelta(minutes=1)),
        page("E3", kind="reopened", occurred_at=START + timedelta(minutes=2)), now=START + timedelta(minutes=3),
    )  # fmt: skip

    incident = await casebook.incident(incident_id)
    assert incident is not None
    assert incident.status is Status.OPEN
    assert await casebook.wanted() == [(incident_id, 2)]


async def test_a_stale_page_is_shown_and_not_investigated(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    incident_id = await settle(inbox, casebook, page(stale=True, occurred_at=START - timedelta(days=8)))

    assert await casebook.incident(incident_id) is not None
    assert await casebook.wanted() == []


async def test_a_stale_replay_does_not_reopen(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    resolved = page("E2", kind="resolved", occurred_at=START + timedelta(minutes=1))
    incident_id = await settle(inbox, casebook, page(), resolved, now=START + timedelta(minutes=2))
    much_later = START + timedelta(days=8)
    await settle(inbox, casebook, page("E3", stale=True), now=much_later)

    incident = await casebook.incident(incident_id)
    assert incident is not None
    assert incident.status is Status.RESOLVED


async def test_settling_a_batch_again_changes_nothing(
    inbox: SqlInbox, casebook: SqlCasebook, database: Database
) -> None:
    await settle(inbox, casebook, page())
    before = await database.run(lambda c: len(list(chain.entries(c))))
    await casebook.settle([placed(page())], START)

    assert await database.run(lambda c: len(list(chain.entries(c)))) == before


async def test_the_chain_tells_every_alteration(inbox: SqlInbox, casebook: SqlCasebook, database: Database) -> None:
    await settle(inbox, casebook, *(page(f"E{n}") for n in range(5)))
    entries = await database.run(lambda c: list(chain.entries(c)))

    assert chain.verify(entries) == ""
    assert chain.verify(entries[:2] + entries[3:]) == "entry 3 is missing"
    assert chain.verify([*entries[:1], entries[2], entries[1], *entries[3:]]) != ""
    await database.run(lambda c: c.exec_driver_sql("update timeline set actor = 'me' where seq = 2"))
    altered = await database.run(lambda c: list(chain.entries(c)))
    assert chain.verify(altered) == "entry 2 was altered"


async def test_an_unreadable_delivery_is_kept_and_set_aside(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    received = Received(key="pagerduty:sha256:1", source="pagerduty", body=b"{", received_at=START)
    await inbox.accept(received)
    from bot.ports import Placed

    await casebook.settle([Placed(received=received, quarantine="not JSON")], START)

    assert await inbox.pending() == []


async def test_only_what_paged_somebody_counts_as_a_page(database: Database) -> None:
    inbox, casebook = SqlInbox(database), SqlCasebook(database)
    kinds = ("triggered", "acknowledged", "note", "triggered", "reopened")
    pages = [page(f"E{n}", kind=kind, occurred_at=START + timedelta(minutes=n)) for n, kind in enumerate(kinds)]
    incident_id = await settle(inbox, casebook, *pages)
    found = await casebook.incident(incident_id)

    assert found is not None
    assert found.pages == 3
