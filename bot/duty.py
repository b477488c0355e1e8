"""What people on call do around an incident besides deciding: the same rules for Slack, CLI and API."""

import difflib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from bot import judging
from bot.acting import AGAIN as _AGAIN
from bot.acting import human as _human
from bot.acting import opened
from bot.acting import unknown as _unknown
from bot.authors import Authors
from bot.domain import probing, wording
from bot.domain.edits import edits_of
from bot.domain.handover import ROLES, handover
from bot.domain.home import Overdue
from bot.domain.incident import Incident
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import line, quote
from bot.parts import Parts
from bot.ports import (
    Declaration,
    DutyBook,
    Inbox,
    Quoted,
    Received,
    Records,
    Role,
    Scribe,
    TimelineEdit,
    Told,
)
from config.catalogue import Service
from diagnostics.model import Change, Finding, Tier
from knowledge.model import Query, Retrieval
from runbooks.model import Library

MAX_TEXT = 3_000
MAX_TITLE = 150
MAX_SNOOZE = timedelta(days=7)
"""The longest that PagerDuty takes."""
MAX_CHANGES = 50
MAX_HOURS = 24 * 31
ASKED = 0
"""Stands for the number of an investigation in findings that a person asked for: no investigation has it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DutyParts:
    """What duty is wired to besides the flow's parts."""

    inbox: Inbox
    records: Records
    book: DutyBook
    scribe: Scribe
    library: Library
    search: Callable[[Query], Awaitable[Retrieval]]
    authors: Authors
    ask: Callable[[Incident, str], Awaitable[Finding]]
    """Runs one probe for an incident, within its budget."""


class DutyDesk:
    """See :class:`bot.ports.Duty`."""

    def __init__(self, parts: Parts, more: DutyParts) -> None:
        self._ = parts
        self._more = more

    # --- declaring ---------------------------------------------------------------------------------------------------

    async def declare(self, declaration: Declaration, who: Principal) -> Told:
        service = self._.catalogue.service(declaration.service)
        if service is None:
            names = ", ".join(one.name for one in self._.catalogue.services)
            return Told(ok=False, text=f"There is no service {line(declaration.service)}; choose one of {names}.")
        title = declaration.title.strip()
        if not title or len(title) > MAX_TITLE:
            return Told(ok=False, text=f"The title has {len(title)} characters; give it 1 to {MAX_TITLE}.")
        body = {"service": service.name, "title": title, "seen": declaration.seen[:MAX_TEXT], "by": who.name,
                "by_id": who.id}  # fmt: skip
        key = f"slack:declare:{declaration.key}" if who.via == "slack" else f"slack:declared:{declaration.key}"
        received = Received(key=key, source="slack", body=json.dumps(body).encode(), received_at=self._.clock.now())
        team = self._.catalogue.team(service.team)
        if not await self._more.inbox.accept(received):
            return Told(ok=True, text="That was declared already; nothing was opened twice.")
        where = f"the channel of team {team.name}" if team else "the fallback channel"
        if self._.own_channels and self._.catalogue.incident_channel(service) is not None:
            where = f"a channel of its own, to which {where} points,"
        joins = "an open incident of this service with the same title is joined instead"
        return Told(ok=True, text=f"Declared for {service.name}. The card appears in {where} in a moment; {joins}.")

    # --- people ------------------------------------------------------------------------------------------------------

    async def page(self, incident_id: str, target: str, why: str, who: Principal, key: str) -> Told:
        incident, problem = await self._open(incident_id)
        if incident is None:
            return Told(ok=False, text=problem)
        wanted = " ".join(target.split())
        if not wanted:
            return Told(ok=False, text="Say whom: a name, an e-mail address, an escalation policy, or a team.")
        refs = await self._more.book.refs(incident.id)
        if not self._.pager_connected or not refs:
            lacks = "It has no open incident in PagerDuty" if self._.pager_connected else "PagerDuty is not connected"
            fix = f"page {line(wanted)} there" if incident.pager_ref else f"call {line(wanted)}"
            return Told(ok=False, text=f"Nobody was paged. {lacks}: {fix}.")
        team = self._.catalogue.team(wanted.casefold())
        called = team.pagerduty_escalation_policy if team and team.pagerduty_escalation_policy else wanted
        reason = why.strip() or f"Help is needed with {incident.title}"
        message = f"{who.name}: {reason} ({incident.id})"
        fact = _human("responder_requested", who, {"target": wanted, "why": why.strip(), "by": who.name})
        letters = [("responder", {"ref": ref, "target": called, "message": message, "by": who.name}) for ref in refs]
        said = f"{quote(who.name, 60)} has {quote(wanted, 80)} paged" + (f": {quote(why, 300)}" if why.strip() else ".")
        if not await self._more.book.act(incident.id, key, [fact], said, self._.clock.now(), letters=letters):
            return _AGAIN
        return Told(ok=True, text=f"PagerDuty is being asked to page {line(wanted)}; the thread says what comes of it.")

    async def snooze(self, incident_id: str, minutes: int, who: Principal, key: str) -> Told:
        incident, problem = await self._open(incident_id)
        if incident is None:
            return Told(ok=False, text=problem)
        if not 1 <= minutes <= MAX_SNOOZE // timedelta(minutes=1):
            return Told(ok=False, text="Snooze for 1 minute to 7 days, such as 30m, 2h or 1d.")
        now = self._.clock.now()
        until = now + timedelta(minutes=minutes)
        refs = await self._more.book.refs(incident.id) if self._.pager_connected else []
        fact = _human("snoozed", who, {"until": until.isoformat(), "by": who.name, "pager": bool(refs)})
        letters = [("snooze", {"ref": ref, "until": until.isoformat(), "by": who.name}) for ref in refs]
        at = wording.clock(until, now)
        said = f"{quote(who.name, 60)} snoozed this until {at}."
        if not await self._more.book.act(incident.id, key, [fact], said, now, letters=letters):
            return _AGAIN
        if refs:
            return Told(ok=True, text=f"Snoozed until {at}. PagerDuty is being told; the thread says if it refuses.")
        if incident.pager_ref and not self._.pager_connected:
            lacks = f"PagerDuty is not connected: snooze {incident.pager_ref} there, too, or it pages again"
        else:
            lacks = "It has no open incident in a pager, so there is nothing else to quiet"
        return Told(ok=True, text=f"Snoozed here until {at}. {lacks}.")

    async def judge(self, incident_id: str, verdict: str, who: Principal) -> Told:
        view = await self._more.records.view(incident_id)
        if view is None:
            return Told(ok=False, text=f"There is no incident {incident_id}.")
        return await judging.judge(view, verdict, who, self._, self._more, self._more.authors)

    async def take_role(self, incident_id: str, role: Role, holder: str, who: Principal, key: str) -> Told:
        incident, problem = await self._open(incident_id)
        if incident is None:
            return Told(ok=False, text=problem)
        name = line(holder or who.name, 80)
        fact = _human("role_taken", who, {"role": role, "holder": name, "by": who.name})
        said = f"{role.capitalize()} is now {quote(name, 80)}, who {ROLES[role]}."
        if not await self._more.book.act(incident.id, key, [fact], said, self._.clock.now()):
            return _AGAIN
        return Told(ok=True, text=f"{name} is {role} of {incident.id}.")

    async def handoff(self, incident_id: str, to: str, who: Principal, key: str) -> Told:
        incident, problem = await self._open(incident_id)
        view = await self._more.records.view(incident_id)
        if incident is None or view is None:
            return Told(ok=False, text=problem)
        now = self._.clock.now()
        facts = []
        if to:
            name = line(to, 80)
            facts = [_human("handed_over", who, {"holder": name, "by": who.name}),
                     _human("role_taken", who, {"role": "commander", "holder": name, "by": who.name})]  # fmt: skip
        head = f"{quote(who.name, 60)} hands over to {quote(to, 80)}, who is commander now." if to else "In 60 seconds:"
        if not await self._more.book.act(incident.id, key, facts, f"{head}\n{handover(view, now)}", now):
            return _AGAIN
        told = f"{line(to, 80)} is commander now. " if to else ""
        return Told(ok=True, text=f"{told}What one needs to know is in the thread.")

    # --- looking -----------------------------------------------------------------------------------------------------

    async def probe(self, incident_id: str, name: str, who: Principal, key: str) -> Told:
        incident, problem = await self._open(incident_id)
        if incident is None:
            return Told(ok=False, text=problem)
        spec = self._.specs.get(name)
        offered = [one.name for one in self._.specs.values() if one.tier <= Tier.CANARY]
        if spec is None or spec.tier > Tier.CANARY:
            near = difflib.get_close_matches(name, offered, n=1)
            meant = f" Did you mean {near[0]}?" if near and spec is None else ""
            costs = "costs more than a canary; an investigation runs it when it would tell something"
            lacks = costs if spec else "is no probe"
            return Told(ok=False, text=f"{line(name, 60)} {lacks}.{meant} There are: {', '.join(offered)}.")
        if self._.catalogue.service(incident.service) is None:
            return Told(ok=False, text="The incident's service is not in the catalogue, so nothing can be probed.")
        about = {"incident": incident.id, "probe": spec.name, "key": key, "by": who.name}
        await self._.jobs.submit("probe", f"probe:{incident.id}:{key}", incident.id, about)
        return Told(ok=True, text=f"{spec.title} is being read; the answer comes into the thread.")

    async def asked(self, incident_id: str, probe: str, key: str, by: str) -> None:
        incident, spec = await self._.casebook.incident(incident_id), self._.specs.get(probe)
        if incident is None or spec is None:
            return
        call, now = f"asked:{key}", self._.clock.now()
        found = (await self._.casebook.findings(incident_id, ASKED)).get(call)
        if found is None:
            entries = await self._more.records.timeline(incident_id)
            begun = any(e.fact.kind == "probe_started" and e.fact.data.get("asked") == key for e in entries)
            if begun and spec.expected_tokens:
                said = f"{spec.name} was interrupted before it told anything. It costs tokens, so it was not repeated."
                await self._.casebook.say(incident_id, f"probe:{key}", said, now)
                return
            fact = Fact(kind="probe_started", provenance=Provenance.OBSERVED, actor="pagerunner",
                        data={"probe": spec.name, "asked": key, "by": by})  # fmt: skip
            await self._.casebook.record(incident_id, [] if begun else [fact], now, card=False)
            found = await self._more.ask(incident, spec.name)
            await self._.casebook.found(incident_id, ASKED, call, found, self._.clock.now())
        await self._.casebook.say(incident_id, f"probe:{key}", probing.shown(found, spec), self._.clock.now())

    async def search(self, words: str, incident_id: str = "") -> Retrieval:
        incident = await self._.casebook.incident(incident_id) if incident_id else None
        service = self._.catalogue.service(incident.service) if incident else None
        return await self._more.search(_query(words, service))

    async def changes(self, services: Sequence[str], hours: int) -> Sequence[Change]:
        since = self._.clock.now() - timedelta(hours=min(max(hours, 1), MAX_HOURS))
        return await self._more.book.changes(services, since, MAX_CHANGES)

    async def overdue(self, teams: Sequence[str]) -> Sequence[Overdue]:
        today = self._.clock.now().date()
        late = [
            Overdue(runbook=book.id, title=book.title, owner=book.owner,
                    days=(today - book.reviewed).days - book.review_every_days)
            for book in self._more.library.all()
            if book.owner in teams and book.reviewed is not None and book.review_every_days is not None
        ]  # fmt: skip
        return sorted((one for one in late if one.days > 0), key=lambda one: (-one.days, one.runbook))

    # --- the timeline ------------------------------------------------------------------------------------------------

    async def add(self, incident_id: str, text: str, who: Principal, key: str) -> Told:
        incident = await self._.casebook.incident(incident_id)
        if incident is None:
            return Told(ok=False, text=_unknown(incident_id))
        if not text.strip():
            return Told(ok=False, text="Say what happened: there is nothing to put on the timeline.")
        fact = _human("note_added", who, {"text": text[:MAX_TEXT], "by": who.name})
        said = f"{quote(who.name, 60)} put on the timeline: {quote(text, 300)}"
        if not await self._more.book.act(incident.id, key, [fact], said, self._.clock.now()):
            return _AGAIN
        return Told(ok=True, text="On the timeline.")

    async def keep(self, incident_id: str, message: Quoted, who: Principal) -> Told:
        incident = await self._.casebook.incident(incident_id)
        if incident is None:
            return Told(ok=False, text=_unknown(incident_id))
        now = self._.clock.now()
        data = {"text": message.text[:MAX_TEXT], "by": message.author.name, "said_at": message.said_at.isoformat(),
                "link": message.link, "channel": message.channel, "ts": message.ts, "added_by": who.name}  # fmt: skip
        entry, new = await self._more.book.keep(incident_id, _human("message_added", message.author, data), now)
        if new:
            place = TimelineEdit(kind="entry_placed", at=min(message.said_at, now), text="when it was written in chat")
            await self._more.scribe.edit(incident_id, entry, place, who)
            return Told(ok=True, text=f"On the timeline of {incident_id}, at the time it was written.")
        shown = await self._more.scribe.edit(incident_id, entry, TimelineEdit(kind="entry_hidden", undo=True), who)
        return Told(ok=True, text="On the timeline again." if shown.ok else "It is on the timeline already.")

    async def drop(self, channel: str, ts: str, who: Principal) -> Told | None:
        kept = await self._more.book.kept(channel, ts)
        for incident_id, entry in kept:
            if entry in edits_of(await self._more.records.timeline(incident_id)).hidden:
                continue
            edit = TimelineEdit(kind="entry_hidden", text="the reaction was taken back")
            await self._more.scribe.edit(incident_id, entry, edit, who)
        return Told(ok=True, text="Hidden in documents; the record keeps it.") if kept else None

    # --- private -----------------------------------------------------------------------------------------------------

    async def _open(self, incident_id: str) -> tuple[Incident | None, str]:
        return await opened(self._.casebook, incident_id)


def _query(words: str, service: Service | None) -> Query:
    title, _, body = words.partition("\n")
    if service is None:
        return Query(title=title, body=body)
    return Query(title=title, body=body, service=service.name, service_kind=service.kind, service_tags=service.tags)
