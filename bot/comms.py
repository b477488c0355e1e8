"""Keeping the pager and the stakeholders in step: priority, who has it, and updates that people write and send."""

import asyncio
import difflib
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, TypeVar

from bot.acting import AGAIN, human, opened, unknown
from bot.domain import wording
from bot.domain.drafting import draft
from bot.domain.incident import Incident
from bot.domain.proposal import Principal
from bot.domain.stakeholder import due, next_due, reminder, updates
from bot.domain.timeline import computed
from bot.domain.untrusted import clean, escape, line, quote
from bot.domain.view import IncidentView
from bot.parts import Parts
from bot.ports import DutyBook, Pager, Records, RetryLater, Told, UpdateDraft

MAX_UPDATE = 3_000
LOOKUP_S = 1.5
"""A look into PagerDuty that takes longer is done when it is told: Slack waits three seconds for an answer."""
LOOK_EVERY = timedelta(seconds=60)
MOST = 500
T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class CommsParts:
    """What it is wired to besides the flow's parts."""

    records: Records
    book: DutyBook
    pager: Pager | None
    redact: Callable[[str], str]
    """Takes secrets out."""
    chat_connected: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class _Places:
    """Where an update goes."""

    refs: Sequence[str]
    channel: str
    lacks: str
    """What could not be reached, as a sentence with a space before it; empty if nothing."""

    @property
    def named(self) -> list[str]:
        return [*map(_pager, self.refs), *([_channel(self.channel)] if self.channel else [])]


class CommsDesk:
    """See :class:`bot.ports.Comms`."""

    def __init__(self, parts: Parts, more: CommsParts) -> None:
        self._ = parts
        self._more = more
        self._look: dict[str, datetime] = {}
        self._late: set[asyncio.Task[Any]] = set()

    # --- the pager ---------------------------------------------------------------------------------------------------

    async def set_priority(self, incident_id: str, name: str, who: Principal, key: str) -> Told:
        incident, refs, problem = await self._in_pager(incident_id, "set the priority")
        if incident is None or self._more.pager is None:
            return Told(ok=False, text=problem)
        wanted = " ".join(name.split())
        known = await self._soon(self._more.pager.priorities())
        if known is not None:
            found = next((one for one in known if one.casefold() == wanted.casefold()), None)
            if found is None:
                return Told(ok=False, text=_no_priority(wanted, known))
            wanted = found
        elif not wanted:
            return Told(ok=False, text="Say which priority, such as P2.")
        fact = human("priority_requested", who, {"to": wanted, "by": who.name})
        letters = [("priority", {"ref": ref, "to": wanted, "by": who.name}) for ref in refs]
        said = f"{quote(who.name, 60)} sets the priority to {quote(wanted, 40)}."
        if not await self._more.book.act(incident.id, key, [fact], said, self._.clock.now(), letters=letters):
            return AGAIN
        text = f"PagerDuty is being told: priority {line(wanted, 40)}. The thread says what comes of it."
        return Told(ok=True, text=text)

    async def assign(self, incident_id: str, to: str, who: Principal, key: str) -> Told:
        incident, refs, problem = await self._in_pager(incident_id, "assign it")
        if incident is None or self._more.pager is None:
            return Told(ok=False, text=problem)
        wanted = " ".join(to.split())
        if not wanted:
            return Told(ok=False, text="Say to whom: a name, an e-mail address, an escalation policy, or a team.")
        team = self._.catalogue.team(wanted.casefold())
        target = team.pagerduty_escalation_policy if team and team.pagerduty_escalation_policy else wanted
        found = await self._soon(self._more.pager.find(target))
        whom: Mapping[str, Any] = {"target": target}
        if found is not None:
            whom = {"target": target, "id": found.id, "kind": found.kind, "name": found.name}
        name = str(whom.get("name", wanted))
        fact = human("reassignment_requested", who, {"to": name, "by": who.name})
        letters = [("assign", {"ref": ref, "by": who.name, **whom}) for ref in refs]
        said = f"{quote(who.name, 60)} has it assigned to {quote(name, 80)}."
        if not await self._more.book.act(incident.id, key, [fact], said, self._.clock.now(), letters=letters):
            return AGAIN
        return Told(ok=True, text=f"PagerDuty is being told: {line(name)} has it. The thread says what comes of it.")

    # --- stakeholders ------------------------------------------------------------------------------------------------

    async def draft(self, incident_id: str) -> UpdateDraft | Told:
        view, problem = await self._view(incident_id)
        if view is None:
            return Told(ok=False, text=problem)
        places = await self._places(view)
        if not places.named:
            return Told(ok=False, text=f"There is nowhere to send an update.{places.lacks}")
        policy = view.team.updates if view.team is not None else None
        every = timedelta(minutes=policy.every_min) if policy is not None else None
        made = draft(view, self._.clock.now(), every=every, readers=policy.readers if policy else "company")
        return UpdateDraft(text=self._more.redact(made.text)[:MAX_UPDATE], references=made.references,
                       to=tuple(places.named), lacks=places.lacks.strip(), after=_newest(view))  # fmt: skip

    async def send(self, incident_id: str, text: str, who: Principal, key: str, *, after: str | None = None,
                   evidence: Sequence[str] = ()) -> Told:  # fmt: skip
        view, problem = await self._view(incident_id)
        if view is None:
            return Told(ok=False, text=problem)
        if any(entry.fact.data.get("key") == key for entry in view.entries("update_sent")):
            return AGAIN
        wrong = self._wrong(view, text.strip(), after)
        places = await self._places(view)
        if wrong or not places.named:
            return Told(ok=False, text=wrong or f"There is nowhere to send an update.{places.lacks}")
        return await self._send(view, text.strip(), who, key, places, evidence)

    async def _send(self, view: IncidentView, text: str, who: Principal, key: str, places: _Places,
                    evidence: Sequence[str]) -> Told:  # fmt: skip
        incident = view.incident
        fact = human("update_sent", who, {"text": text, "by": who.name, "to": places.named, "key": key,
                                          "evidence": list(evidence)})  # fmt: skip
        letters = [
            ("update", {"ref": ref, "text": text, "by": who.name, "update": key, "destination": _pager(ref)})
            for ref in places.refs
        ]
        post = {"text": escape(text), "plain": text, "by": who.name, "update": key, "title": _title(view),
                "destination": _channel(places.channel)}  # fmt: skip
        posts = [(places.channel, post)] if places.channel else []
        to = " and ".join(quote(name, 80) for name in places.named)
        said = f"{quote(who.name, 60)} sent stakeholders an update, to {to}: {quote(text, 1_200)}"
        now = self._.clock.now()
        if not await self._more.book.act(incident.id, key, [fact], said, now, letters=letters, posts=posts):
            return AGAIN
        to = " and ".join(line(name, 80) for name in places.named)
        return Told(ok=True, text=f"Your update is on its way to {to}; the thread says if somebody cannot be "
                                  f"told.{places.lacks}")  # fmt: skip

    async def remind(self) -> int:
        """See :class:`bot.ports.Comms`. What is due stands in the facts; what is kept here only saves looking."""
        now, count = self._.clock.now(), 0
        going = await self._more.records.incidents(active_only=True, limit=MOST)
        for incident in going:
            team = self._.catalogue.team(incident.team)
            if team is None or team.updates is None or self._look.get(incident.id, now) > now:
                continue
            view = await self._more.records.view(incident.id)
            if view is not None:
                count += await self._remind(view, now)
                ahead = next_due(view)
                self._look[incident.id] = min(now + LOOK_EVERY, ahead) if ahead and ahead > now else now + LOOK_EVERY
        known = {incident.id for incident in going}
        self._look = {one: at for one, at in self._look.items() if one in known}
        return count

    async def _remind(self, view: IncidentView, now: datetime) -> bool:
        one = due(view, now)
        if one is None:
            return False
        fact = computed("update_due", {"due_at": one.since.isoformat(), "round": one.round})
        said = reminder(view, one)
        return await self._more.book.act(view.incident.id, one.key, [fact], said, now, offer="update")

    # --- private -----------------------------------------------------------------------------------------------------

    async def _in_pager(self, incident_id: str, what: str) -> tuple[Incident | None, Sequence[str], str]:
        """The incident and those of the pager's behind it that go on; or why the pager cannot be told."""
        incident, problem = await opened(self._.casebook, incident_id)
        if incident is None:
            return None, (), problem
        refs = await self._more.book.refs(incident.id)
        if self._.pager_connected and refs:
            return incident, refs, ""
        if not incident.pager_ref:
            return None, (), f"{incident.id} has no incident in PagerDuty; nothing was done."
        lacks = "it is over there" if self._.pager_connected else "PagerDuty is not connected (no API key is set)"
        return None, (), f"Nothing was done: {lacks}. To {what}, go to {incident.pager_ref} in PagerDuty itself."

    async def _view(self, incident_id: str) -> tuple[IncidentView | None, str]:
        incident, problem = await opened(self._.casebook, incident_id)
        view = await self._more.records.view(incident_id) if incident is not None else None
        return view, problem or unknown(incident_id)

    async def _places(self, view: IncidentView) -> _Places:
        policy = view.team.updates if view.team is not None else None
        wanted = policy is None or policy.to_pagerduty
        refs = await self._more.book.refs(view.incident.id) if wanted and self._.pager_connected else ()
        channel = policy.channel if policy is not None and self._more.chat_connected else ""
        lacks = ""
        if wanted and not refs:
            why = "PagerDuty is not connected (no API key is set)" if not self._.pager_connected else \
                "It has no open incident in PagerDuty"  # fmt: skip
            fix = "" if channel else ", and the team has no channel under updates in the catalogue"
            lacks = f" {why}{fix}."
        return _Places(refs=refs, channel=channel, lacks=lacks)

    def _wrong(self, view: IncidentView, text: str, after: str | None) -> str:
        """Why this text is not sent as it is, and what to do; empty if it may be."""
        if not text:
            return "There is nothing to send: write what stakeholders should know."
        if len(text) > MAX_UPDATE:
            return f"{len(text):,} characters; at most {MAX_UPDATE:,} fit."
        if clean(text, lines=True)[1]:
            return "This contains characters that cannot be seen. Type it instead of pasting it."
        if self._more.redact(text) != text:
            return "Something in it looks like a password, a key or a token. Take it out; nothing was sent."
        if after is not None and _newest(view) != after:
            last = updates(view)[-1]
            at = wording.clock(last.at, view.incident.opened_at)
            return (f"{line(last.by, 60)} sent an update at {at}, after this draft was made; nothing was sent. Copy "
                    "your text, close this, and open a new draft if more is to be said.")  # fmt: skip
        return ""

    async def _soon(self, asked: Coroutine[Any, Any, T]) -> T | None:
        """The pager's answer, or None if it does not come in time; refusals are raised. A look that is late is let end:
        stopping it half-way would leave the connection in an unknown state."""
        task = asyncio.ensure_future(asked)
        done, _ = await asyncio.wait([task], timeout=LOOKUP_S)
        if not done:
            self._late.add(task)
            task.add_done_callback(self._ended)
            return None
        try:
            return task.result()
        except RetryLater:
            return None

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._late.discard(task)
        if not task.cancelled():
            task.exception()  # looked at, so that nobody is told of it twice


def _no_priority(wanted: str, known: Sequence[str]) -> str:
    if not known:
        return "The PagerDuty account has no priorities: switch them on there, under Incident Priorities."
    listed = f"There are: {', '.join(line(one, 40) for one in known[:20])}."
    if not wanted:
        return f"Say which priority. {listed}"
    near = difflib.get_close_matches(wanted.casefold(), [one.casefold() for one in known], n=1)
    meant = next((f" Did you mean {one}?" for one in known if near and one.casefold() == near[0]), "")
    return f"PagerDuty has no priority {line(wanted, 40)}.{meant} {listed}"


def _newest(view: IncidentView) -> str:
    told = updates(view)
    return told[-1].ref if told else ""


def _title(view: IncidentView) -> str:
    return view.service.title if view.service is not None and view.service.title else view.incident.service


def _pager(ref: str) -> str:
    return f"PagerDuty ({ref})"


def _channel(channel: str) -> str:
    return f"Slack channel {channel}"
