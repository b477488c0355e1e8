"""The outbox's courier: newest card only, at the channel's pace, patient with refusals, loud about what is lost."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from bot.domain.card import build
from bot.domain.faults import no_fault
from bot.domain.incident import Status
from bot.domain.timeline import Fact, Provenance
from bot.domain.view import IncidentView, MessageRef
from bot.edges import outbox
from bot.edges.casebook import SqlCasebook
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.edges.pagerduty_out import NoPager
from bot.edges.records import SqlRecords
from bot.ports import RetryLater, StorageDown, Undeliverable
from config.catalogue import Catalogue
from tests.conftest import START, FakeClock
from tests.incident_samples import page, placed, settle


class Channel:
    """A chat that keeps what it is given and fails when told to."""

    def __init__(self) -> None:
        self.cards: list[tuple[str, MessageRef | None]] = []
        self.said: list[str] = []
        self.places: list[MessageRef] = []
        self.files: list[tuple[str, str, bytes]] = []
        self.failures: list[Exception] = []
        self.posted = asyncio.Event()

    async def card(self, view: IncidentView, message: MessageRef | None) -> MessageRef:
        if self.failures:
            raise self.failures.pop(0)
        self.cards.append((view.incident.status.value, message))
        self.posted.set()
        return message or MessageRef(channel=view.incident.channel, ts=f"1.{len(self.cards)}")

    async def say(self, message: MessageRef, text: str, *, blocks: Sequence[Mapping[str, Any]] = (),
                  again: bool = False, team: str = "") -> None:  # fmt: skip
        self.said.append(text)
        self.places.append(message)

    async def file(self, message: MessageRef, name: str, content: bytes) -> None:
        if self.failures:
            raise self.failures.pop(0)
        self.files.append((name, message.ts, content))


class Notes:
    """A pager that keeps notes."""

    def __init__(self) -> None:
        self.notes: list[tuple[str, str]] = []
        self.statuses: list[tuple[str, str]] = []
        self.level = 1
        self.escalated: list[tuple[str, int]] = []

    async def note(self, incident_ref: str, text: str) -> None:
        self.notes.append((incident_ref, text))

    async def set_status(self, incident_ref: str, status: str, on_behalf_of: str) -> None:
        self.statuses.append((incident_ref, status))

    async def next_level(self, incident_ref: str) -> int:
        return self.level + 1

    async def escalate(self, incident_ref: str, level: int, on_behalf_of: str) -> None:
        self.level = level
        self.escalated.append((incident_ref, level))

    async def details(self, incident_ref: str) -> str:
        return ""


class Post:
    """A courier on a real database with one incident."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: FakeClock) -> None:
        self.database, self.clock, self.chat, self.pager = database, clock, Channel(), Notes()
        self.casebook, self.records = SqlCasebook(database), SqlRecords(database, catalogue)
        self.courier = Courier(database, self.records, self.chat, self.pager, clock, no_fault)

    async def open(self) -> str:
        return await settle(SqlInbox(self.database), self.casebook, page())

    async def both_cards(self) -> None:
        """Two incidents have their cards, a minute apart."""
        await self.courier.deliver()
        self.clock.advance(60)
        await self.courier.deliver()
        assert [ref for _, ref in self.chat.cards] == [None, None]

    async def dirty(self, incident_id: str) -> None:
        await self.database.run(lambda c: outbox.card(c, incident_id, self.clock.now()))


@pytest.fixture
def post(database: Database, catalogue: Catalogue, clock: FakeClock) -> Post:
    return Post(database, catalogue, clock)


async def test_the_card_is_posted_once_and_then_edited(post: Post) -> None:
    incident_id = await post.open()
    await post.courier.deliver()
    for _ in range(40):
        await post.dirty(incident_id)
    post.clock.advance(1)
    await post.courier.deliver()

    assert [ref for _, ref in post.chat.cards] == [None, MessageRef(channel="C0ASSIST", ts="1.1")]


async def test_replies_wait_for_the_card_and_are_said_once(post: Post) -> None:
    incident_id = await post.open()
    for _ in range(2):
        await post.casebook.say(incident_id, "postmortem", "written", START)
    for _ in range(4):
        await post.courier.deliver()
        post.clock.advance(2)

    assert post.chat.said == ["written"]


async def test_a_refusal_pauses_its_channel_for_as_long_as_asked(post: Post) -> None:
    await post.open()
    post.chat.failures = [RetryLater(30, "429")]
    await post.courier.deliver()
    post.clock.advance(29)
    await post.courier.deliver()
    assert post.chat.cards == []

    post.clock.advance(2)
    await post.courier.deliver()
    assert len(post.chat.cards) == 1


@pytest.mark.parametrize(("asked", "waited"), [(0, 1), (86_400, 300)])
async def test_an_absurd_wait_is_clamped(post: Post, asked: float, waited: float) -> None:
    await post.open()
    post.chat.failures = [RetryLater(asked, "429")]
    await post.courier.deliver()
    post.clock.advance(waited + 0.1)
    await post.courier.deliver()

    assert len(post.chat.cards) == 1


async def test_one_channels_refusal_does_not_hold_up_another(post: Post) -> None:
    await post.open()
    other = page("E2", incident_ref="Q2", incident_key="k2", title="something else")
    await settle(SqlInbox(post.database), post.casebook, other, service="code-assistant")
    await post.database.run(lambda c: c.exec_driver_sql("update outbox set lane = 'chat:C0CREATOR' where id = 2"))
    post.chat.failures = [RetryLater(30, "429")]
    await post.courier.deliver()

    assert len(post.chat.cards) == 1


async def test_a_channel_gets_three_at_once_and_then_one_a_second(post: Post) -> None:
    incident_id = await post.open()
    for number in range(9):
        await post.casebook.say(incident_id, f"k{number}", f"reply {number}", START)
    await post.courier.deliver()
    assert len(post.chat.cards) + len(post.chat.said) == 3

    post.clock.advance(2)
    await post.courier.deliver()
    assert len(post.chat.cards) + len(post.chat.said) == 5


async def test_what_never_arrives_is_told_on_the_timeline(post: Post) -> None:
    incident_id = await post.open()
    post.chat.failures = [Undeliverable("channel_not_found")]
    await post.courier.deliver()
    post.clock.advance(60)
    await post.courier.deliver()

    view = await post.records.view(incident_id)
    assert view is not None
    assert view.entries("alarm")[0].fact.data["why"] == "channel_not_found"
    assert post.chat.cards == []


async def test_the_pager_is_told_what_a_person_decided(post: Post) -> None:
    incident_id = await post.open()
    await post.casebook.move(incident_id, Status.ACKNOWLEDGED, [], START, pager="acknowledged", by="Ana")
    await post.casebook.investigated(incident_id, 1, [], "the findings point to provider-outage", START)
    await post.courier.deliver()

    assert post.pager.statuses == [("Q1", "acknowledged")]
    assert post.pager.notes == [("Q1", "the findings point to provider-outage")]


async def test_a_new_incidents_card_does_not_wait_for_edits_of_older_ones(post: Post) -> None:
    older = await post.open()
    await post.courier.deliver()
    post.chat.failures = [RetryLater(30, "429 on an edit")]
    await post.dirty(older)
    await post.courier.deliver()
    other = page("E2", incident_ref="Q2", incident_key="k2", title="something else")
    await settle(SqlInbox(post.database), post.casebook, other, service="code-assistant")
    await post.dirty(older)
    post.clock.advance(60)
    post.courier._lanes["edits"].paused_until = post.clock.now() + timedelta(seconds=30)
    await post.courier.deliver()

    assert [ref for _, ref in post.chat.cards] == [None, None]


async def test_a_card_that_keeps_changing_is_edited_before_one_that_changed_later(post: Post) -> None:
    first = await post.open()
    other = page("E2", incident_ref="Q2", incident_key="k2", title="something else")
    second = await settle(SqlInbox(post.database), post.casebook, other)
    await post.both_cards()
    for changed in (first, second, first, first):
        post.clock.advance(1)
        await post.dirty(changed)

    due = await post.database.run(lambda c: outbox.due(c, post.clock.now()))
    assert [letter.incident_id for letter in due] == [first, second]


async def test_a_decision_goes_before_what_merely_ticks(post: Post) -> None:
    first = await post.open()
    other = page("E2", incident_ref="Q2", incident_key="k2", title="something else")
    second = await settle(SqlInbox(post.database), post.casebook, other)
    await post.both_cards()
    await post.dirty(first)
    post.clock.advance(5)
    await post.database.run(lambda c: outbox.card(c, second, post.clock.now(), decision=True))

    due = await post.database.run(lambda c: outbox.due(c, post.clock.now()))
    assert [letter.incident_id for letter in due] == [second, first]


async def test_ticks_leave_room_for_what_people_decide(post: Post) -> None:
    first = await post.open()
    other = page("E2", incident_ref="Q2", incident_key="k2", title="something else")
    second = await settle(SqlInbox(post.database), post.casebook, other)
    await post.both_cards()
    for _ in range(30):
        await post.dirty(first)
        await post.courier.deliver()
    ticked = len(post.chat.cards)
    await post.dirty(first)
    await post.courier.deliver()
    assert len(post.chat.cards) == ticked

    await post.database.run(lambda c: outbox.card(c, second, post.clock.now(), decision=True))
    await post.courier.deliver()
    assert len(post.chat.cards) == ticked + 1


async def test_a_slow_pager_holds_up_no_card(post: Post) -> None:
    incident_id = await post.open()
    await post.casebook.investigated(incident_id, 1, [], "the findings point to provider-outage", START)
    answered = asyncio.Event()

    async def slow(incident_ref: str, text: str) -> None:
        await answered.wait()

    post.pager.note = slow  # type: ignore[method-assign]
    running = asyncio.create_task(post.courier.run())
    async with asyncio.timeout(10):
        await post.chat.posted.wait()
    running.cancel()

    assert len(post.chat.cards) == 1


async def test_a_busy_channel_starves_no_other(post: Post) -> None:
    inbox = SqlInbox(post.database)
    for number in range(150):
        one = page(f"E{number}", incident_ref=f"Q{number}", incident_key=f"k{number}")
        await settle(inbox, post.casebook, one, service=f"service-{number}")
    quiet = replace(placed(page("B", incident_ref="QB", incident_key="kb")), service="quiet", channel="C0QUIET")
    await inbox.accept(quiet.received)
    await post.casebook.settle([quiet], START + timedelta(seconds=1))
    post.clock.advance(5)

    due = await post.database.run(lambda c: outbox.due(c, post.clock.now(), "chat"))
    assert {letter.lane for letter in due} == {"chat:C0ASSIST", "chat:C0QUIET"}


async def test_what_a_person_decided_goes_to_the_pager_before_notes(post: Post) -> None:
    incident_id = await post.open()
    for number in range(1, 40):
        await post.casebook.ask(incident_id, [], START)
        await post.casebook.investigated(incident_id, number, [], "a note", START)
    await post.casebook.move(incident_id, Status.RESOLVED, [], post.clock.now(), pager="resolved", by="Ana")
    await post.courier.deliver("pager")

    assert post.pager.statuses == [("Q1", "resolved")]


async def test_an_escalation_that_is_sent_again_goes_to_the_same_level(post: Post) -> None:
    incident_id = await post.open()
    fact = Fact(kind="incident_escalated", provenance=Provenance.HUMAN, actor="slack:T/U", data={"by": "Ana"})
    await post.casebook.escalate(incident_id, fact, "Ana", START)
    escalate = post.pager.escalate

    async def answered_and_gone(*arguments: Any) -> None:
        await escalate(*arguments)
        raise StorageDown("the process ends before it could write down the answer")

    post.pager.escalate = answered_and_gone  # type: ignore[method-assign]
    with pytest.raises(StorageDown):
        await post.courier.deliver("pager")
    post.pager.escalate = escalate  # type: ignore[method-assign]
    post.clock.advance(5)
    await post.courier.deliver("pager")

    assert post.pager.escalated == [("Q1", 2), ("Q1", 2)]


async def test_an_answer_that_chat_does_not_take_now_arrives_later_where_it_was_asked(post: Post) -> None:
    incident_id = await post.open()
    await post.courier.deliver()
    asked = MessageRef(channel="C0ASSIST", ts="9.9")
    for _ in range(2):
        await post.casebook.say(incident_id, "message:1", "because", START, at=asked)
    await post.casebook.send(incident_id, "export:1", "md", START, at=asked)
    post.chat.failures = [RetryLater(7, "Slack limits the rate")]
    for _ in range(3):
        await post.courier.deliver()
        post.clock.advance(10)

    assert (post.chat.said, post.chat.places) == (["because"], [asked])
    ((name, ts, content),) = post.chat.files
    assert (name, ts, b"# " in content) == (f"{incident_id}.md", "9.9", True)


async def test_what_the_pager_was_not_told_stands_on_the_card_and_in_the_thread(post: Post) -> None:
    incident_id = await post.open()
    await post.courier.deliver()
    before = len(post.chat.cards)
    post.courier._pager = NoPager()
    await post.casebook.move(incident_id, Status.ACKNOWLEDGED, [], START, pager="acknowledged", by="Ana")
    for _ in range(4):
        await post.courier.deliver()
        post.clock.advance(10)

    assert len(post.chat.cards) > before
    assert any("PagerDuty was not told" in text for text in post.chat.said)
    view = await post.records.view(incident_id)
    assert view is not None
    assert [banner.label for banner in build(view).banners] == ["NOT DELIVERED"]
