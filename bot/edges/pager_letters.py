"""What the pager is told of duty: whom to page, for how long to be quiet, what priority it has and whose it is, and
what stakeholders are told."""

import math
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain import codec
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import quote
from bot.edges.outbox import Letter
from bot.ports import Pager, Responder, Undeliverable

Amend = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Keep what was found out before it is sent: sending it again is then sending the same."""
KINDS = frozenset({"responder", "snooze", "priority", "assign", "update"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """The pager took it: what the thread is told then, escaped, and what goes on the timeline."""

    said: str
    data: Mapping[str, Any]

    def fact(self, letter: Letter, now: datetime) -> Fact:
        """That it was taken, by whom it was wanted, and when."""
        about = {"what": letter.kind, "ref": letter.data["ref"], "by": letter.data["by"],
                 "occurred_at": now.isoformat()}  # fmt: skip
        return Fact(kind="pager_told", provenance=Provenance.OBSERVED, actor="pagerunner", data={**about, **self.data})


async def send(letter: Letter, pager: Pager, now: datetime, amend: Amend, *, again: bool) -> Sent:
    """Tell it. ``again``: it was tried before, and may have arrived."""
    data = letter.data
    ref, by = str(data["ref"]), str(data["by"])
    match letter.kind:
        case "snooze":
            return await _snooze(pager, data, now)
        case "priority":
            name = str(data["to"])
            await pager.set_priority(ref, name, by)
            said = f"PagerDuty has set {quote(ref, 64)} to priority {quote(name, 40)}."
            return Sent(said=said, data={"to": name, "priority": name})
        case "update":
            since = codec.at(float(data["tried"])) if again else None
            await pager.publish(ref, str(data["text"]), by, since=since)
            return Sent(said=f"PagerDuty has published the status update of {quote(ref, 64)}.", data={})
        case "assign":
            to = await _whom(pager, data, amend)
            await pager.assign(ref, to, by)
            people = {"people": [to.name]} if to.kind == "user" else {}
            said = f"PagerDuty has assigned {quote(ref, 64)} to {quote(to.name, 80)}."
            return Sent(said=said, data={"to": to.name, **people})
        case _:
            to = await _whom(pager, data, amend)
            await pager.request(ref, to, str(data["message"]), by)
            said = f"PagerDuty was asked to page {quote(to.name, 80)} for {quote(ref, 64)}."
            whom = "person" if to.kind == "user" else "policy"
            return Sent(said=said, data={"to": to.name, whom: to.name, "answer": "pending"})


async def _snooze(pager: Pager, data: Mapping[str, Any], now: datetime) -> Sent:
    ref = str(data["ref"])
    seconds = math.ceil((datetime.fromisoformat(str(data["until"])) - now).total_seconds())
    if seconds < 1:
        raise Undeliverable(f"the time for which {ref} was to be snoozed is over")
    await pager.snooze(ref, seconds, str(data["by"]))
    return Sent(said=f"PagerDuty has snoozed {quote(ref, 64)}.", data={})


async def _whom(pager: Pager, data: Mapping[str, Any], amend: Amend) -> Responder:
    """Who is meant, looked up once."""
    if "id" in data:
        return Responder(id=str(data["id"]), kind=data["kind"], name=str(data["name"]))
    found = await pager.find(str(data["target"]))
    await amend({"id": found.id, "kind": found.kind, "name": found.name})
    return found
