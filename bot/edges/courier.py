"""Delivers the outbox at the pace the other side asks for: a lane a channel for what is new, one for all edits.

New cards never wait for edits of older ones, nor chat for a pager or an issue tracker that is slow.
"""

import asyncio
import contextlib
import logging
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, get_args

from sqlalchemy import Connection, update

from bot.domain import card, codec
from bot.domain.faults import FaultPoint
from bot.domain.presentation import Presentation
from bot.domain.room import RoomState, pointer
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import escape, line, quote
from bot.domain.view import IncidentView, MessageRef
from bot.edges import chain, outbox, pager_letters, pictures, room_rows, slack_blocks, tracker_letters
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.lane import Lane
from bot.edges.outbox import Lanes, Letter
from bot.edges.rooms import RoomKeeper
from bot.edges.schema import incident
from bot.edges.slack_text import is_person
from bot.edges.typesetting import TypesettingError
from bot.edges.zones import UnknownZone, zone
from bot.ports import Chat, Pager, Records, RetryLater, StorageDown, Tracker, Undeliverable
from config.clock import Clock

log = logging.getLogger(__name__)

EDITS = "edits"
LANES: tuple[Lanes, ...] = tuple(lane for lane in get_args(Lanes) if lane != "all")
"""Each has a loop of its own: none waits for a slow one."""
FRESH_EVERY_S = 60.0
"""A channel gets at most one new message in this time; replies in threads and edits do not count."""
LOOK_EVERY_S = 0.25
KEPT_FOR_DECISIONS = 3
NO_CARD_YET = timedelta(seconds=1)


class _NoCardYet(Exception):
    """A reply whose card waits for its turn: it waits too, and nothing else does."""


class Courier:
    """Runs until stopped. ``poke`` makes it look at once."""

    def __init__(
        self, database: Database, records: Records, chat: Chat | None, pager: Pager | None, clock: Clock,
        fault: FaultPoint, *, fresh_every_s: float = FRESH_EVERY_S, tracker: Tracker | None = None,
        keeper: RoomKeeper | None = None,
    ) -> None:  # fmt: skip
        self._database = database
        self._records = records
        self._chat = chat
        self._pager = pager
        self._tracker = tracker
        self._clock = clock
        self._fault = fault
        self._fresh_every_s = fresh_every_s
        self._keeper = keeper
        self._lanes: dict[str, Lane] = {EDITS: Lane(per_second=50 / 60, burst=10)}
        self._poked = {lanes: asyncio.Event() for lanes in LANES}

    def poke(self) -> None:
        for event in self._poked.values():
            event.set()

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for lanes in LANES:
                group.create_task(self._run(lanes))

    async def _run(self, lanes: Lanes) -> None:
        poked = self._poked[lanes]
        while True:
            try:
                wait = await self.deliver(lanes)
            except StorageDown as error:
                log.warning("outbox cannot be read: %s", error)
                wait = 1.0
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait):
                    await poked.wait()
            poked.clear()

    async def deliver(self, lanes: Lanes = "all") -> float:
        """Deliver what may go now; returns in how many seconds to look again."""
        letters = await self._database.run(lambda c: outbox.due(c, self._clock.now(), lanes))
        by_lane: dict[str, list[Letter]] = {}
        for letter in letters:
            by_lane.setdefault(EDITS if letter.edit else letter.lane, []).append(letter)
        waits = await asyncio.gather(*(self._lane(name, waiting) for name, waiting in by_lane.items()))
        return min([LOOK_EVERY_S, *waits])

    async def _turn(self, letter: Letter) -> float:
        """Seconds until this new message may go into its channel; takes the turn when that is 0. Cards of new
        incidents come first, the oldest before the others; one that was begun before a crash keeps its turn."""
        channel, now = _channel(letter), self._clock.now()

        def take(connection: Connection) -> float:
            last, at = outbox.last_fresh(connection, channel)
            wait = at + self._fresh_every_s - codec.stamp(now)
            if wait > 0 and last != letter.id:
                return wait
            outbox.begun(connection, letter, channel, now)
            return 0.0

        return await self._database.run(take)

    async def _lane(self, name: str, letters: list[Letter]) -> float:
        lane = self._lanes.setdefault(name, Lane())
        full = 0.0
        for letter in letters:
            if letter.fresh:
                full = full or await self._turn(letter)
                if full:  # Replies in the channel's threads go on.
                    continue
            wait = lane.wait(
                self._clock.now(), reserve=KEPT_FOR_DECISIONS if letter.edit and not letter.decision else 0
            )
            if wait > 0:
                return wait
            try:
                await self._send(letter)
            except _NoCardYet:
                lane.tokens += 1
                later = self._clock.now() + NO_CARD_YET
                await self._database.run(lambda c, one=letter, to=later: outbox.postponed(c, one, to))  # type: ignore[misc]
            except RetryLater as error:
                pause = min(max(error.after_s, 1.0), 300.0)
                lane.paused_until = self._clock.now() + timedelta(seconds=pause)
                await self._database.run(lambda c, one=letter, to=lane.paused_until: outbox.postponed(c, one, to))  # type: ignore[misc]
                log.info("delivery postponed: %s", error)
                return pause
            except Undeliverable as error:
                reason = str(error)
                await self._database.run(lambda c, one=letter, why=reason: self._give_up(c, one, why))  # type: ignore[misc]
        return LOOK_EVERY_S

    async def _send(self, letter: Letter) -> None:
        if letter.kind == "notice":
            if self._chat is not None:
                await self._chat.say(MessageRef(channel=letter.data["channel"], ts=""), str(letter.data["text"]))
            await self._database.run(lambda c: outbox.delivered(c, letter))
            return
        view = await self._records.view(letter.incident_id)
        if view is None:
            raise Undeliverable("the incident does not exist")
        if letter.lane == outbox.ROOMS:
            await self._channel_of(letter, view)
            return
        if letter.kind in ("card", "pointer"):
            await (self._card if letter.kind == "card" else self._pointer)(letter, view)
            return
        if letter.kind in ("say", "file") and self._chat is not None:
            data, at = letter.data, beside(view)
            if "ts" in data:
                at = MessageRef(channel=data["channel"], ts=data["ts"])
            if at is None:
                raise _NoCardYet
            await self._tell(letter, view, at, self._chat)
        elif letter.kind == "issue":
            await self._issue(letter)
            return
        elif letter.lane == outbox.PAGER and self._pager is not None:
            letter, again = await self._trying(letter)
            if letter.kind in pager_letters.KINDS:
                await self._duty(letter, self._pager, again=again)
                return
            await self._page(letter, view, self._pager)
        await self._database.run(lambda c: outbox.delivered(c, letter))

    async def _card(self, letter: Letter, view: IncidentView) -> None:
        room = view.room
        self._fault("K4")
        try:
            shown = self._chat is not None and not (room is not None and room.state is RoomState.ARCHIVED)
            ref = await self._chat.card(view, view.message) if self._chat is not None and shown else None
        except Undeliverable as error:
            if room is None or room.state is not RoomState.OPEN or self._keeper is None:
                raise
            await self._keeper.lost(room, str(error))
            return
        self._fault("K5")
        now = self._clock.now()

        def posted(connection: Connection, ref: MessageRef | None = ref) -> None:
            if room is not None and room.channel and _pointing(view) != room.pointer_text:
                outbox.pointer(connection, view.incident.id, room.home, now)
            if ref is not None and ref != view.message:
                connection.execute(
                    update(incident)
                    .where(incident.c.id == view.incident.id)
                    .values(card_channel=ref.channel, card_ts=ref.ts)
                )
            outbox.delivered(connection, letter)

        await self._database.run(posted)

    async def _trying(self, letter: Letter) -> tuple[Letter, bool]:
        """Written down before it is sent: what comes back of it is known as ours, and a second try knows that it is."""
        now = self._clock.now()
        return await self._database.run(lambda c: outbox.trying(c, letter, now))

    async def _pointer(self, letter: Letter, view: IncidentView) -> None:
        """The line in the team's channel, as long as there is something to point to."""
        room, text = view.room, _pointing(view)
        if room is None or room.state is RoomState.THREAD or text == room.pointer_text or self._chat is None:
            await self._database.run(lambda c: outbox.delivered(c, letter))
            return
        known = MessageRef(channel=room.home, ts=room.pointer_ts) if room.pointer_ts else None
        ref = await self._chat.pointer(view, text, known)

        def posted(connection: Connection) -> None:
            outbox.delivered(connection, letter)
            room_rows.pointed(connection, room, ref, text)

        await self._database.run(posted)

    async def _channel_of(self, letter: Letter, view: IncidentView) -> None:
        again = await self._keeper.handle(letter, view) if self._keeper is not None else None

        def done(connection: Connection) -> None:
            if again is None:
                outbox.delivered(connection, letter)
            else:
                outbox.postponed(connection, letter, again)

        await self._database.run(done)

    async def _tell(self, letter: Letter, view: IncidentView, at: MessageRef, chat: Chat) -> None:
        if letter.kind == "say":
            blocks = slack_blocks.said_blocks(letter.data, letter.incident_id)
            if "update" in letter.data:
                letter, again = await self._trying(letter)
                await chat.say(at, str(letter.data["text"]), blocks=blocks, again=again)
            elif is_person(at.channel):
                await chat.say(at, str(letter.data["text"]), blocks=blocks, team=view.incident.team)
            elif blocks:
                await chat.say(at, str(letter.data["text"]), blocks=blocks)
            else:
                await chat.say(at, str(letter.data["text"]))
            return
        form = letter.data["form"]
        if form == "png":
            await chat.file(at, f"{view.incident.id}.png", await asyncio.to_thread(pictures.sheet, view))
            return
        content = await asyncio.to_thread(self._document, letter, view)
        await chat.file(at, f"{view.incident.id}.{form}", content)

    def _document(self, letter: Letter, view: IncidentView) -> bytes:
        """The document as it was asked for; one that cannot be made is for a person."""
        name = str(letter.data.get("zone") or "UTC")
        try:
            shown = Presentation(zone=zone(name), zone_name=name, redaction=letter.data.get("redaction") or "internal")
            return Export().export(view, letter.data["form"], shown)
        except (TypesettingError, UnknownZone) as error:
            raise Undeliverable(f"the document could not be made: {error}") from error

    async def _duty(self, letter: Letter, pager: Pager, *, again: bool) -> None:
        async def amend(data: Mapping[str, Any]) -> None:
            await self._database.run(lambda c: outbox.amended(c, letter, data))

        sent = await pager_letters.send(letter, pager, self._clock.now(), amend, again=again)
        self._fault("K14")
        now = self._clock.now()

        def told(connection: Connection) -> None:
            outbox.delivered(connection, letter)
            chain.append(connection, now, letter.incident_id, [sent.fact(letter, now)])
            outbox.say(connection, letter.incident_id, f"pager:{letter.id}", sent.said, now)
            outbox.card(connection, letter.incident_id, now)

        await self._database.run(told)

    async def _issue(self, letter: Letter) -> None:
        if self._tracker is None:
            raise Undeliverable("no GitHub token is set any more: set PAGERUNNER_GITHUB_TOKEN")
        made = await tracker_letters.send(letter, self._tracker)
        self._fault("K14")
        await self._database.run(lambda c: tracker_letters.told(c, letter, made, self._clock.now()))

    async def _page(self, letter: Letter, view: IncidentView, pager: Pager) -> None:
        data = letter.data
        ref = str(data.get("ref") or view.incident.pager_ref)
        if letter.kind == "note":
            await pager.note(ref, str(data["text"]))
            return
        status, by = data["status"], str(data["by"])
        if status == "escalated":
            await pager.escalate(ref, await self._level(letter, ref, pager), by)
            return
        assert status in ("acknowledged", "resolved")
        await pager.set_status(ref, status, by)

    async def _level(self, letter: Letter, ref: str, pager: Pager) -> int:
        """The level to escalate to, kept before it is sent: after a crash it is the same one, and nobody is skipped."""
        if "level" in letter.data:
            return int(letter.data["level"])
        level = await pager.next_level(ref)
        await self._database.run(lambda c: outbox.amended(c, letter, {"level": level}))
        return level

    def _give_up(self, connection: Connection, letter: Letter, reason: str) -> None:
        outbox.undeliverable(connection, letter, reason)
        if letter.kind == "notice":
            log.error("undeliverable: a notice to %s: %s", letter.lane, reason)
            return
        if letter.data.get("or_thread"):
            to, text = escape(line(str(letter.data["channel"]), 80)), str(letter.data["text"])
            told = f"{text}\n_{to} could not be told: {escape(line(reason, 200))}_"
            outbox.say(connection, letter.incident_id, f"or:{letter.id}", told, self._clock.now())
            log.warning("%s could not be told of %s: %s", letter.lane, letter.incident_id, reason)
            return
        data = {"undeliverable": letter.kind, "lane": letter.lane, "why": reason}
        if "update" in letter.data:
            data |= {"update": letter.data["update"], "to": letter.data["destination"]}
        fact = Fact(kind="alarm", provenance=Provenance.COMPUTED, actor="pagerunner", data=data)
        now = self._clock.now()
        chain.append(connection, now, letter.incident_id, [fact])
        if letter.kind != "card":  # A card that cannot be posted says nothing.
            outbox.card(connection, letter.incident_id, now)
        if letter.lane == outbox.PAGER:
            told = f"PagerDuty was not told, and will not be: {quote(reason, 300)}"
            outbox.say(connection, letter.incident_id, f"alarm:{letter.id}", told, now)
        if letter.lane == outbox.TRACKER:
            told = tracker_letters.failed(letter, reason)
            outbox.say(connection, letter.incident_id, f"alarm:{letter.id}:{reason[:80]}", told, now)
        if "update" in letter.data and letter.lane != outbox.PAGER:
            told = f"The stakeholders' channel was not told, and will not be: {quote(reason, 300)}"
            outbox.say(connection, letter.incident_id, f"alarm:{letter.id}", told, now)
        log.error("undeliverable: %s to %s: %s", letter.kind, letter.lane, reason)


def beside(view: IncidentView) -> MessageRef | None:
    """Below which message the incident is talked about: its card, or the pointer to a channel that is archived."""
    room = view.room
    if room is not None and room.state is RoomState.ARCHIVED:
        return MessageRef(channel=room.home, ts=room.pointer_ts)
    return view.message


def _pointing(view: IncidentView) -> str:
    return pointer(view, card.build(view).headline)


def _channel(letter: Letter) -> str:
    return letter.lane.removeprefix("chat:")
