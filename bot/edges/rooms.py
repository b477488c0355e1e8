"""Makes incidents' own channels and archives them. Whatever goes wrong, the incident goes on in a thread."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.faults import FaultPoint
from bot.domain.incident import Status
from bot.domain.room import Room, RoomState
from bot.domain.untrusted import escape, line
from bot.domain.view import IncidentView
from bot.edges import outbox, room_rows
from bot.edges.database import Database
from bot.edges.furnishing import Furnisher, moment_after
from bot.edges.outbox import Letter
from bot.ports import NameTaken, Pager, RetryLater, Rooms, Undeliverable
from config.catalogue import Catalogue
from config.clock import Clock

log = logging.getLogger("pagerunner.rooms")

PATIENCE = timedelta(seconds=60)
"""So long an incident waits for its channel; people need its card."""
UPLOAD_AGAIN = timedelta(seconds=2)
NAMES_TRIED = 10


@dataclass(frozen=True, kw_only=True, slots=True)
class KeeperParts:
    """What the keeper works with."""

    database: Database
    rooms: Callable[[str], Awaitable[Rooms]]
    """By the name of the team."""
    pager: Pager | None
    catalogue: Catalogue
    clock: Clock
    fault: FaultPoint


class RoomKeeper:
    """Handles what the outbox says about channels. Each handler may be called again after a crash."""

    def __init__(self, parts: KeeperParts) -> None:
        self._ = parts
        self._furnisher = Furnisher(parts.database, parts.pager, parts.catalogue, parts.clock)
        self._not_before: datetime | None = None

    async def handle(self, letter: Letter, view: IncidentView) -> datetime | None:
        """Do what is due; returns when to go on, or None when it is over."""
        room = view.room
        if room is None:
            return None
        if letter.kind == "archive":
            return await self._archive(view, room)
        if room.state is RoomState.WANTED:
            return await self._open(room, view.incident.team)
        if room.state is RoomState.OPEN:
            try:
                rooms = await self._.rooms(view.incident.team)
            except Undeliverable as error:
                await self.lost(room, str(error))
                return None
            return await self._furnisher.go_on(view, room, rooms)
        return None

    async def lost(self, room: Room, why: str) -> None:
        """There is no channel that would take the card: the incident goes on in its team's channel."""
        log.warning("%s has no channel of its own: %s", room.incident_id, why)
        now = self._.clock.now()
        await self._.database.run(lambda c: room_rows.to_thread(c, room, why, now))

    async def _open(self, room: Room, team: str) -> datetime | None:
        now = self._.clock.now()
        try:
            if self._not_before is not None and now < self._not_before:
                raise RetryLater((self._not_before - now).total_seconds(), "Slack limits the rate")
            room, channel = await self._reached(room, await self._.rooms(team))
        except RetryLater as later:
            return await self._later(room, later, now)
        except Undeliverable as error:
            await self.lost(room, str(error))
            return None
        now = self._.clock.now()
        await self._.database.run(lambda c: room_rows.opened(c, room, channel, now))
        return now  # It is furnished at the next look, when its card is on the way.

    async def _later(self, room: Room, later: RetryLater, now: datetime) -> datetime | None:
        """Patience has an end; until then the team's channel is told what there is."""
        again = moment_after(now, later)
        if later.limited:
            self._not_before = again
        if again - room.wanted_at > PATIENCE:
            await self.lost(room, f"it could not be made in time: {later.reason}")
            return None
        await self._.database.run(lambda c: outbox.pointer(c, room.incident_id, room.home, now))
        return again

    async def _reached(self, room: Room, rooms: Rooms) -> tuple[Room, str]:
        """The channel, however often this is asked: one of this name that is ours is not made a second time."""
        if room.channel:
            try:
                await rooms.unarchive(room.channel)
            except Undeliverable as error:  # With a bot's token Slack refuses it: it goes on in another channel.
                log.info("channel %s of %s stays archived: %s", room.name, room.incident_id, error)
                room = await self._renamed(room)
            else:
                return room, room.channel
        for _ in range(NAMES_TRIED):
            try:
                made = await rooms.open(room.name, room.incident_id, room.wanted_at, private=room.private)
            except NameTaken:
                room = await self._renamed(room)
            else:
                self._.fault("K14")
                return room, made
        raise Undeliverable(f"{NAMES_TRIED} names up to {room.name} belong to other channels")

    async def _renamed(self, room: Room) -> Room:
        return await self._.database.run(lambda c: room_rows.rename(c, room))

    async def _archive(self, view: IncidentView, room: Room) -> datetime | None:
        """Once the incident is closed, and everything that belongs there has been said, the postmortem above all."""
        now = self._.clock.now()
        if room.state is not RoomState.OPEN or view.incident.status is not Status.CLOSED:
            return None
        if await self._.database.run(lambda c: outbox.waiting(c, room.channel)):
            return now + UPLOAD_AGAIN
        try:
            await (await self._.rooms(view.incident.team)).archive(room.channel)
        except RetryLater as later:
            return moment_after(now, later)
        except Undeliverable as error:
            said = f"This channel could not be archived: {escape(line(str(error), 200))}"
            key = f"archive:{room.channel}"
            await self._.database.run(lambda c: outbox.say(c, room.incident_id, key, said, now))
            return None
        await self._.database.run(lambda c: room_rows.archived(c, room, self._.clock.now()))
        return None
