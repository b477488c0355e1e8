"""Several of the pager's incidents behind one of ours: over when all are, and each is told what a person decides."""

import itertools
from datetime import UTC, datetime, timedelta

import pytest

from bot.domain.incident import Incident, Status
from bot.domain.page import Page
from bot.domain.timeline import Fact, Provenance
from bot.edges import outbox
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.pagerduty_in import parse
from bot.edges.records import SqlRecords
from config.catalogue import Catalogue
from tests.conftest import START
from tests.http_fakes import DATA
from tests.incident_samples import page, settle

LATER = START + timedelta(minutes=20)


@pytest.fixture
def inbox(database: Database) -> SqlInbox:
    return SqlInbox(database)


@pytest.fixture
def casebook(database: Database) -> SqlCasebook:
    return SqlCasebook(database)


def event(ref: str, kind: str, minute: float, **changes: object) -> Page:
    """An event of the pager's incident ``ref``; all of them look like one failure."""
    at = START + timedelta(minutes=minute)
    return page(f"{ref}-{kind}-{minute}", kind=kind, incident_ref=ref, incident_key=f"key-{ref}", occurred_at=at,
                **changes)  # fmt: skip


async def found(casebook: SqlCasebook, incident_id: str) -> Incident:
    incident = await casebook.incident(incident_id)
    assert incident is not None
    return incident


async def told(database: Database, lane: str = "pager") -> list[tuple[str, str]]:
    """What the pager is to be told: of which of its incidents, and what."""
    letters = await database.run(lambda c: outbox.due(c, LATER))
    return sorted((one.data["ref"], one.data.get("status") or one.data["text"]) for one in letters if one.lane == lane)


async def test_one_of_two_that_ends_does_not_end_the_incident(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    incident_id = await settle(
        inbox, casebook, event("Q1", "triggered", 0), event("Q2", "triggered", 1), event("Q2", "resolved", 2), now=LATER
    )
    one = await found(casebook, incident_id)
    assert (one.status, one.pager_status) == (Status.OPEN, "triggered")

    await settle(inbox, casebook, event("Q1", "resolved", 3), now=LATER)
    one = await found(casebook, incident_id)
    assert (one.status, one.pager_status) == (Status.RESOLVED, "resolved")

    await settle(inbox, casebook, event("Q2", "reopened", 4), now=LATER)
    assert (await found(casebook, incident_id)).status is Status.OPEN


EVENTS = (
    event("Q1", "triggered", 0), event("Q2", "triggered", 1), event("Q1", "acknowledged", 2),
    event("Q1", "resolved", 3), event("Q2", "resolved", 4),
)  # fmt: skip


@pytest.mark.parametrize("last", [3, 4, 5], ids=["one acknowledged", "one goes on", "all over"])
async def test_two_that_interleave_come_to_the_same_end_in_every_order(
    inbox: SqlInbox, casebook: SqlCasebook, database: Database, catalogue: Catalogue, last: int
) -> None:
    """Whether they are one incident of ours depends on which page came first; whether it is over never does."""
    records = SqlRecords(database, catalogue)
    for turn, order in enumerate(itertools.permutations(EVENTS[:last])):
        # Each turn has a service, refs and event ids of its own.
        renamed = [
            page(f"{turn}-{one.event_id}", kind=one.kind, incident_ref=f"{turn}{one.incident_ref}",
                 incident_key=f"{turn}{one.incident_key}", occurred_at=one.occurred_at)
            for one in order
        ]  # fmt: skip
        await settle(inbox, casebook, *renamed, now=LATER, service=f"service-{turn}")
    going = {"Q1": last < 4, "Q2": last < 5}
    for turn in range(len(list(itertools.permutations(range(last))))):
        for ref in going:
            view = await records.view(f"{turn}{ref}")
            assert view is not None
            refs = {entry.fact.data["ref"] for entry in view.timeline if "ref" in entry.fact.data}
            assert view.incident.active == any(going[each.removeprefix(str(turn))] for each in refs), (turn, ref)


async def test_an_acknowledgement_of_one_counts_for_all(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    incident_id = await settle(
        inbox, casebook, event("Q1", "triggered", 0), event("Q2", "triggered", 1), event("Q2", "acknowledged", 2),
        now=LATER,
    )  # fmt: skip
    one = await found(casebook, incident_id)
    assert (one.status, one.pager_status) == (Status.ACKNOWLEDGED, "triggered")


async def test_a_merge_is_no_recovery(inbox: SqlInbox, casebook: SqlCasebook) -> None:
    merged = event("Q2", "resolved", 2, merged_into="Q1")
    incident_id = await settle(
        inbox, casebook, event("Q1", "triggered", 0), event("Q2", "triggered", 1), merged, now=LATER
    )
    assert (await found(casebook, incident_id)).status is Status.OPEN

    await settle(inbox, casebook, event("Q1", "resolved", 3), now=LATER)
    assert (await found(casebook, incident_id)).status is Status.RESOLVED


async def test_what_was_merged_into_an_unheard_of_incident_follows_that_one(
    inbox: SqlInbox, casebook: SqlCasebook
) -> None:
    raw = (DATA / "pagerduty" / "11_incident_resolved_by_merge.json").read_bytes()
    merged = parse(raw, datetime(2026, 11, 18, 3, 40, tzinfo=UTC))
    assert isinstance(merged, Page)
    first = page("E0", incident_ref=merged.incident_ref, occurred_at=merged.occurred_at - timedelta(hours=1))
    incident_id = await settle(inbox, casebook, first, merged, now=LATER)
    assert (await found(casebook, incident_id)).status is Status.OPEN

    major = page("E9", kind="resolved", incident_ref=merged.merged_into, incident_key="major", title="Major")
    await settle(inbox, casebook, major, now=LATER)
    assert (await found(casebook, incident_id)).status is Status.RESOLVED


async def test_what_was_merged_into_another_incident_of_ours_ends_with_it(
    inbox: SqlInbox, casebook: SqlCasebook
) -> None:
    first = await settle(inbox, casebook, event("Q1", "triggered", 0))
    second = await settle(inbox, casebook, event("Q2", "triggered", 0), service="support-bot")
    await settle(inbox, casebook, event("Q2", "resolved", 1, merged_into="Q1"), now=LATER)
    assert (await found(casebook, second)).status is Status.OPEN

    await settle(inbox, casebook, event("Q1", "resolved", 2), now=LATER)
    assert [(await found(casebook, one)).status for one in (first, second)] == [Status.RESOLVED, Status.RESOLVED]


async def test_what_a_person_decides_is_told_of_each_that_goes_on(
    inbox: SqlInbox, casebook: SqlCasebook, database: Database
) -> None:
    incident_id = await settle(
        inbox, casebook, event("Q1", "triggered", 0), event("Q2", "triggered", 1), event("Q3", "triggered", 2),
        event("Q4", "triggered", 3), event("Q2", "resolved", 4), event("Q4", "resolved", 5, merged_into="Q1"),
        now=LATER,
    )  # fmt: skip
    for _ in range(2):
        await casebook.move(incident_id, Status.ACKNOWLEDGED, [], LATER, pager="acknowledged", by="Ana")
    assert await told(database) == [("Q1", "acknowledged"), ("Q3", "acknowledged")]

    fact = Fact(kind="incident_escalated", provenance=Provenance.HUMAN, actor="slack:T/U", data={"by": "Ana"})
    await casebook.escalate(incident_id, fact, "Ana", LATER)
    await casebook.investigated(incident_id, 1, [], "the provider", LATER)
    assert [what for ref, what in await told(database) if ref == "Q3"] == ["acknowledged", "escalated", "the provider"]
    assert {ref for ref, _ in await told(database)} == {"Q1", "Q3"}
