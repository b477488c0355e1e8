"""What an incident's own channel gets: description, topic, bookmarks, and the people on call. None of it may hold the
incident up: what does not work is told in words."""

from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection

from bot.domain.room import (
    MOST_BOOKMARKS,
    Room,
    bookmarks_of,
    furnishing_said,
    not_invited,
    purpose_of,
)
from bot.domain.untrusted import escape, line
from bot.domain.view import IncidentView
from bot.edges import outbox, room_rows
from bot.edges.database import Database
from bot.ports import Pager, RetryLater, Rooms, Undeliverable
from config.catalogue import Catalogue
from config.clock import Clock
from config.incident_channel import IncidentChannel

FURNISHING = timedelta(minutes=15)
"""So long what Slack does not take now is tried again."""
CARD_FIRST, CARD_AGAIN = timedelta(seconds=30), timedelta(seconds=1)
"""So long the card may take to be the channel's first message; and how often it is looked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One thing to do, by a name that is kept when it is over."""

    name: str
    what: str
    run: Callable[[], Awaitable[Sequence[str]]]
    """Returns what did not work, in words, escaped."""


def moment_after(now: datetime, later: RetryLater) -> datetime:
    """When to try again: as asked, within reason."""
    return now + timedelta(seconds=min(max(later.after_s, 1.0), 300.0))


class Furnisher:
    """Does one step after the other; each is done once, as far as a crash allows."""

    def __init__(self, database: Database, pager: Pager | None, catalogue: Catalogue, clock: Clock) -> None:
        self._database = database
        self._pager = pager
        self._catalogue = catalogue
        self._clock = clock

    async def go_on(self, view: IncidentView, room: Room, rooms: Rooms) -> datetime | None:
        """Do what is left; returns when to go on, or None when all is over. The card comes first."""
        now = self._clock.now()
        if view.message is None and now - room.wanted_at < CARD_FIRST:
            return now + CARD_AGAIN
        link = await self._database.run(lambda c: room_rows.page_link(c, room.incident_id))
        for step in self._steps(view, room, rooms, link):
            if step.name not in room.done:
                again = await self._do(room, step)
                if again is not None:
                    return again
        now = self._clock.now()

        def tell(connection: Connection) -> None:
            known = room_rows.find(connection, room.incident_id)
            if known is not None and known.problems:
                key = f"furnished:{room.channel}"
                outbox.say(connection, room.incident_id, key, furnishing_said(known), now)

        await self._database.run(tell)
        return None

    def _steps(self, view: IncidentView, room: Room, rooms: Rooms, link: str) -> Iterator[Step]:
        policy = (self._catalogue.incident_channel(view.service) if view.service else None) or IncidentChannel()

        async def describe() -> Sequence[str]:
            await rooms.describe(room.channel, room.topic, purpose_of(room))
            return ()

        yield Step(name="describe", what="Its topic could not be set", run=describe)

        async def bookmark_card() -> Sequence[str]:
            if view.message is not None:
                await rooms.bookmark(room.channel, "Card", await rooms.link_of(view.message))
            return ()

        yield Step(name="card", what="There is no bookmark of the card", run=bookmark_card)
        for title, url in list(bookmarks_of(view, policy, link))[:MOST_BOOKMARKS]:

            async def bookmark(title: str = line(title, 80), url: str = url) -> Sequence[str]:
                await rooms.bookmark(room.channel, title, url)
                return ()

            yield Step(name=f"bookmark {url}", what=f"There is no bookmark {escape(line(title, 80))}", run=bookmark)

        async def invite() -> Sequence[str]:
            return await self._invite(view, room, policy, rooms)

        yield Step(name="people", what="Nobody was invited", run=invite)

    async def _do(self, room: Room, step: Step) -> datetime | None:
        problems: list[str] = []
        now = self._clock.now()
        try:
            problems += await step.run()
        except RetryLater as later:
            again = moment_after(now, later)
            if again - room.wanted_at <= FURNISHING:
                return again
            problems.append(f"{step.what}: {escape(line(later.reason, 200))}")
        except Undeliverable as error:
            problems.append(f"{step.what}: {escape(line(str(error), 200))}")
        await self._database.run(lambda c: room_rows.step_done(c, room.incident_id, step.name, problems))
        return None

    async def _invite(self, view: IncidentView, room: Room, policy: IncidentChannel, rooms: Rooms) -> Sequence[str]:
        """Whoever is on call, whom the policy names, and whoever declared it. Asking again invites nobody twice."""
        problems: list[str] = []
        people = {user: user for user in _declarer(view)}
        if policy.invite_on_call:
            people |= await self._on_call(view, rooms, problems)
        for one in policy.invite:
            try:
                people |= {user: user for user in (await rooms.members_of(one) if one.startswith("S") else [one])}
            except Undeliverable as error:
                problems.append(not_invited(one, str(error)))
        for user, name in people.items():
            try:
                await rooms.invite(room.channel, user)
            except Undeliverable as error:
                problems.append(not_invited(name, str(error)))
        return problems

    async def _on_call(self, view: IncidentView, rooms: Rooms, problems: list[str]) -> dict[str, str]:
        """Their Slack ids and names."""
        policy = view.team.pagerduty_escalation_policy if view.team else ""
        if not policy or self._pager is None:
            lacks = "the team has no pagerduty_escalation_policy in the catalogue"
            problems.append(f"Nobody on call was invited: {lacks if not policy else 'no pager is connected'}.")
            return {}
        found: dict[str, str] = {}
        try:
            everybody = await self._pager.on_call(policy)
        except Undeliverable as error:
            problems.append(f"Nobody on call was invited: {escape(line(str(error), 200))}")
            return {}
        if not everybody:
            problems.append("Nobody on call was invited: PagerDuty says that nobody is on call.")
        first = min((one.level for one in everybody), default=1)
        for one in (one for one in everybody if one.level == first):
            try:
                user = await rooms.user_of(one.email)
            except Undeliverable as error:
                problems.append(not_invited(one.name, str(error)))
                continue
            if user:
                found[user] = one.name
            else:
                problems.append(not_invited(one.name, "nobody in Slack has the e-mail address that PagerDuty knows"))
        return found


def _declarer(view: IncidentView) -> Iterator[str]:
    for entry in view.entries("page_received")[:1]:
        if entry.fact.actor.startswith("slack:") and "/" in entry.fact.actor:
            yield entry.fact.actor.partition("/")[2]
