"""The channel's pace: one new message a minute, however many pages come; replies and edits do not count."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise

import pytest

from bot.domain.faults import no_fault
from bot.domain.timeline import computed
from bot.domain.view import MessageRef
from bot.edges import outbox
from bot.edges.courier import FRESH_EVERY_S, Courier
from bot.edges.database import Database
from bot.edges.inbox import SqlInbox
from bot.ports import RetryLater
from config.catalogue import Catalogue
from tests.conftest import START, FakeClock
from tests.incident_samples import page, placed, settle
from tests.test_courier import Post


@pytest.fixture
def post(database: Database, catalogue: Catalogue, clock: FakeClock) -> Post:
    return Post(database, catalogue, clock)


async def incidents(post: Post, count: int) -> list[str]:
    """So many incidents in one channel, one second apart."""
    inbox, opened = SqlInbox(post.database), []
    for number in range(count):
        one = page(f"N{number}", incident_ref=f"QN{number}", incident_key=f"kn{number}")
        now = START + timedelta(seconds=number)
        opened.append(await settle(inbox, post.casebook, one, service=f"service-{number}", now=now))
    return opened


async def pass_by(post: Post, seconds: int) -> list[float]:
    """Deliver every second for so long; the moments at which a new message came into the channel."""
    began, moments, known = post.clock.now(), [], len(fresh(post))
    for _ in range(seconds):
        await post.courier.deliver()
        moments += [(post.clock.now() - began).total_seconds()] * (len(fresh(post)) - known)
        known = len(fresh(post))
        post.clock.advance(1)
    return moments


def fresh(post: Post) -> list[str]:
    """New messages in channels: cards that were posted, and what was said outside of threads."""
    cards = [status for status, ref in post.chat.cards if ref is None]
    return cards + [place.channel for place in post.chat.places if not place.ts]


async def test_a_storm_of_five_hundred_pages_for_one_cause_is_one_incident_one_card_and_at_most_four_messages(
    post: Post,
) -> None:
    inbox = SqlInbox(post.database)
    for second in range(60):
        now = START + timedelta(seconds=second)
        batch = [placed(page(f"E{second}-{n}", incident_ref=f"Q{second}-{n}", occurred_at=now, received_at=now))
                 for n in range(9 if second < 20 else 8)]  # fmt: skip
        for one in batch:
            await inbox.accept(one.received)
        await post.casebook.settle(batch, now)
        await post.courier.deliver()
        post.clock.advance(1)
    (incident,) = await post.records.incidents()
    await post.casebook.say(incident.id, "detail", "what was found", post.clock.now())
    await post.casebook.record(incident.id, [computed("investigation_ended", {})], post.clock.now())
    moments = await pass_by(post, 300)

    assert incident.pages == 500
    assert len([ref for _, ref in post.chat.cards if ref is None]) == 1
    assert len(fresh(post)) + len(post.chat.said) <= 4
    assert moments == []


async def test_a_channel_never_gets_more_than_one_new_message_a_minute_and_the_oldest_comes_first(post: Post) -> None:
    opened = await incidents(post, 5)
    moments = await pass_by(post, 400)

    assert [later - sooner for sooner, later in pairwise(moments)] == [FRESH_EVERY_S] * 4
    shown = [await post.records.view(one) for one in opened]
    posted = [view.message.ts for view in shown if view is not None and view.message is not None]
    assert posted == sorted(posted)
    assert len(posted) == 5


async def test_a_new_incidents_card_comes_before_other_messages_of_the_channel(post: Post) -> None:
    first, second = await incidents(post, 2)
    channel = MessageRef(channel="C0ASSIST", ts="")
    await post.casebook.say(first, "verdict", "your runbook was used", START - timedelta(seconds=5), at=channel)
    await pass_by(post, 100)
    assert post.chat.said == []

    await pass_by(post, 60)
    assert [second, post.chat.said] == [second, ["your runbook was used"]]


async def test_replies_and_edits_do_not_wait_for_the_channels_minute(post: Post) -> None:
    first, second = await incidents(post, 2)
    await post.casebook.say(second, "b", "of the second", START)
    await post.casebook.say(first, "a", "of the first", START + timedelta(seconds=1))
    await pass_by(post, 5)
    await post.dirty(first)
    await pass_by(post, 5)

    assert post.chat.said == ["of the first"]
    assert len(post.chat.cards) == 2
    await pass_by(post, 65)
    assert post.chat.said == ["of the first", "of the second"]


async def test_another_channel_has_a_minute_of_its_own(post: Post) -> None:
    await incidents(post, 1)
    other = replace(placed(page("B", incident_ref="QB", incident_key="kb")), service="quiet", channel="C0QUIET")
    await SqlInbox(post.database).accept(other.received)
    await post.casebook.settle([other], START)

    assert await pass_by(post, 3) == [0.0, 0.0]


async def test_the_pace_outlives_the_process_and_a_message_that_was_begun_keeps_its_turn(post: Post) -> None:
    await incidents(post, 2)
    post.chat.failures = [RetryLater(1, "Slack does not answer")]
    await post.courier.deliver()
    assert post.chat.cards == []
    post.courier = Courier(post.database, post.records, post.chat, post.pager, post.clock, no_fault)
    post.clock.advance(2)
    await post.courier.deliver()
    assert len(post.chat.cards) == 1

    post.courier = Courier(post.database, post.records, post.chat, post.pager, post.clock, no_fault)
    moments = await pass_by(post, 70)
    assert moments == [FRESH_EVERY_S]


async def test_what_is_new_is_told_apart_from_replies_and_edits(post: Post) -> None:
    (first,) = await incidents(post, 1)
    await post.casebook.say(first, "below", "a reply", START)
    await post.casebook.say(first, "beside", "in the channel", START, at=MessageRef(channel="C0ASSIST", ts=""))
    due = await post.database.run(lambda c: outbox.due(c, post.clock.now()))

    assert [(letter.kind, letter.fresh) for letter in due] == [("card", True), ("say", False), ("say", True)]
