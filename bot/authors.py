"""Those who keep a runbook hear in Slack how it fared: once for an incident, when it is over, and never during."""

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

from bot.domain.credit import Credit, credit, headline, letter, runbooks_used
from bot.domain.room import RoomState
from bot.domain.statement import code, plain
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView, MessageRef
from bot.ports import AuthorBook, Owed, Permalink, Records
from config.catalogue import Catalogue, Team
from config.clock import Clock
from runbooks.front_matter import is_person
from runbooks.model import Library, Runbook
from runbooks.shelf import Broken

VERDICTS_WITHIN = timedelta(minutes=5)
"""So long after an incident's end, people's verdicts are waited for; the first one ends the wait."""
DIGEST_EVERY = timedelta(hours=1)
"""A person, or a channel outside of cards' threads, is told at most once in this time: of everything since."""
MOST = 15
"""Runbooks in one digest, and files in one notice."""


async def no_link(_: MessageRef) -> str:
    """Where messages have no address."""
    return ""


class Authors:
    """Collects, waits, and tells."""

    def __init__(self, catalogue: Catalogue, clock: Clock, records: Records, library: Library, book: AuthorBook,
                 link: Permalink = no_link) -> None:  # fmt: skip
        self._catalogue = catalogue
        self._clock = clock
        self._records = records
        self._library = library
        self._book = book
        self._link = link

    async def note(self, incident_id: str) -> None:
        """The incident is over: its runbooks' keepers are to hear of it in a while. Again: no change."""
        view = await self._records.view(incident_id)
        if view is not None:
            await self._book.owe(self._owed(view, self._clock.now() + VERDICTS_WITHIN))

    async def judged(self, incident_id: str, runbook: str, *, news: bool) -> None:
        """Somebody gave a verdict: what waits is told now. Of what was told already, only ``news`` is told: that the
        cause was wrong, when nobody had said so before."""
        view = await self._records.view(incident_id)
        if view is None:
            return
        now = self._clock.now()
        owed = self._owed(view, now)
        owners = {book.owner for book in self._books(view, [runbook])} if news else set()
        for one in owed:
            if one.owner in owners and await self._book.told(one.incident, one.episode, one.owner):
                said = headline(view, credit(view, runbook), await self._linked(view, one.place))
                key = f"wrong:{runbook}:{one.episode}"
                await self._book.add(one.incident, one.place, key, f"{said} That was said afterwards.", now)
        await self._book.owe(owed)
        await self.tell()

    async def tell(self) -> None:
        """Tell what is due; somebody who was told lately hears of all the rest together, later."""
        now = self._clock.now()
        for together in _by_place([one for one in await self._book.owed() if one.due_at <= now]):
            place = together[0].place
            last = await self._book.last_told(place) if place else None
            if last is None or now >= last + DIGEST_EVERY:
                await self._book.tell(together, await self._text(together), now)

    async def broken(self, files: Sequence[Broken]) -> None:
        """These runbooks cannot be used as they are now: the channel of those who keep them is told, once."""
        by_channel: dict[str, list[Broken]] = {}
        for one in files:
            channel = self._reach(one.kept.owner if one.kept else "", one.folder.team)
            if channel:
                by_channel.setdefault(channel, []).append(one)
        for channel, those in by_channel.items():
            text = "\n".join(_broken(one) for one in those[:MOST])
            more = len(those) - MOST
            rest = f"\n… and {more} more: `pagerunner runbooks lint`" if more > 0 else ""
            await self._book.notice(channel, f"broken:{_digest(those)}", text + rest, self._clock.now())

    # --- private -----------------------------------------------------------------------------------------------------

    def _owed(self, view: IncidentView, due: datetime) -> list[Owed]:
        """One for each owner of the runbooks that were used."""
        ended = view.incident.resolved_at
        places = {book.owner: self._place(book, view) for book in self._books(view, runbooks_used(view))}
        return [
            Owed(incident=view.incident.id, episode=ended.timestamp(), owner=owner, place=place, due_at=due)
            for owner, place in places.items() if place is not None and ended is not None
        ]  # fmt: skip

    def _books(self, view: IncidentView, ids: Iterable[str]) -> list[Runbook]:
        """As this service has them; one that is no longer in the library has nobody to tell."""
        own = self._library.for_service(view.service) if view.service is not None else {}
        found = [own.get(name) or self._library.get(name) for name in ids]
        return [book for book in found if book is not None and book.owner]

    def _place(self, book: Runbook, view: IncidentView) -> str | None:
        """Where the owner hears of it; None: nowhere."""
        library_of = book.origin.team if book.origin else ""
        team = self._team(book.owner, library_of)
        if team is not None and not team.tell_authors:
            return None
        at = self._reach(book.owner, library_of)
        return "" if at is not None and view.message is not None and at in _read_here(view, view.message) else at

    def _reach(self, owner: str, library_of: str) -> str | None:
        """A channel, or a person's Slack id or e-mail address; empty: below the card. A group has no inbox of its own:
        the channel of the team whose library it is stands for it."""
        if is_person(owner) and not owner.startswith("@S"):
            return owner.removeprefix("@").removeprefix("#")
        team = self._team(owner, library_of)
        if team is None:
            return "" if owner.startswith("@S") else None
        return team.slack_channel

    def _team(self, owner: str, library_of: str) -> Team | None:
        return self._catalogue.team(owner) or (self._catalogue.team(library_of) if library_of else None)

    async def _text(self, owed: Sequence[Owed]) -> str:
        """In full for one incident, a line for each runbook for several."""
        full: list[str] = []
        short: list[str] = []
        for one in owed:
            view = await self._records.view(one.incident)
            if view is None:
                continue
            link = await self._linked(view, one.place)
            for book in self._books(view, runbooks_used(view)):
                if book.owner == one.owner:
                    fared: Credit = credit(view, book.id)
                    full.append(letter(view, fared, book, link))
                    short.append(f"• {headline(view, fared, link)}")
        if len(owed) == 1:
            return "\n\n".join(full)
        more = f"\n… and {len(short) - MOST} more: `pagerunner runbooks coverage` has all" if len(short) > MOST else ""
        return f"Your runbooks in {len(owed)} incidents:\n" + "\n".join(short[:MOST]) + more

    async def _linked(self, view: IncidentView, place: str) -> str:
        """The card's address, where the reader is not in its thread anyway."""
        if not place or view.message is None:
            return ""
        link = await self._link(view.message)
        return link if link.startswith(("https://", "http://")) and not set(link) & set('<>|" \n') else ""


def _read_here(view: IncidentView, card: MessageRef) -> Sequence[str]:
    """Channels whose people read the card's thread: in the incident's own channel, those of its team."""
    room = view.room
    return (card.channel, room.home) if room is not None and room.state is RoomState.OPEN else (card.channel,)


def _by_place(owed: Sequence[Owed]) -> list[list[Owed]]:
    """What is told together: everything for one place, and in threads what is about one incident and owner."""
    together: dict[str, list[Owed]] = {}
    for one in owed:
        together.setdefault(one.place or f"card:{one.incident}:{one.owner}", []).append(one)
    return list(together.values())


def _broken(one: Broken) -> str:
    first = one.problems[0]
    more = f" and {len(one.problems) - 1} more" if len(one.problems) > 1 else ""
    library = one.folder.name or one.folder.path.name
    stays = "Its last good version stays in use" if one.kept else "It is not used"
    if one.kept is not None and one.kept.origin is not None and one.kept.origin.commit:
        stays += f", of commit {code(one.kept.origin.commit[:12])}"
    advice = f" ({plain(first.suggestion, 200)})" if first.suggestion else ""
    return (f"Your runbook {code(one.file)} of library {code(library)} cannot be used as it is now: line {first.line}: "
            f"{quote(first.message, 200)}{advice}{more}. {stays}.")  # fmt: skip


def _digest(files: Sequence[Broken]) -> str:
    """The same breakage has the same key, also after a restart."""
    what = "\n".join(f"{one.folder.name} {one.file} {[str(p) for p in one.problems]}" for one in files)
    return hashlib.sha256(what.encode()).hexdigest()[:32]
