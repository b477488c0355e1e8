"""What the pager says of an incident now: its priority, who has it, who was asked to help and what they answered.

Made from the facts alone, by the time at which each happened: in whatever order events came, it comes to the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain import joining
from bot.domain.edits import moment
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView

_WHOLE = frozenset({
    "triggered", "acknowledged", "unacknowledged", "escalated", "reassigned", "reopened", "resolved", "priority",
})  # fmt: skip
"""Events that carry the whole incident; of all others its priority and assignees are not known."""
_OVER = "resolved"


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What holds now, since when, and how we know."""

    text: str
    at: datetime
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Somebody who was asked to help."""

    name: str
    answer: str
    """``pending``, ``accepted``, ``declined``, or a word of the pager's own."""
    at: datetime
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Paging:
    """The pager's side of an incident."""

    priority: Said | None = None
    """None: not told. An empty text: it has none."""
    assigned: Said | None = None
    """Names, with commas. None: not told. An empty text: nobody."""
    asked: tuple[Asked, ...] = ()
    """In the order in which they were asked."""
    bridge: Said | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Event:
    entry: Entry
    at: datetime
    rank: int
    what: str
    data: Mapping[str, Any]

    @property
    def ref(self) -> str:
        return f"#{self.entry.seq}"

    @property
    def order(self) -> tuple[datetime, int, int]:
        return self.at, self.rank, self.entry.seq


def paging(view: IncidentView) -> Paging:
    """The newest of each, over those of the pager's incidents that go on; over all of them when none does."""
    events = sorted(_events(view), key=lambda event: event.order)
    going = _going(events)
    return Paging(
        priority=_field(events, going, "priority", "priority"), assigned=_field(events, going, "people", "assign"),
        asked=_asked(events), bridge=_bridge(events),
    )  # fmt: skip


def _events(view: IncidentView) -> Iterator[_Event]:
    for entry in view.timeline:
        data = entry.fact.data
        at = moment(data.get("occurred_at"))
        told = entry.fact.kind == "pager_told"
        what = data.get("what") if told else data.get("kind")
        if at is None or not isinstance(what, str) or not data.get("ref"):
            continue
        at = min(at, entry.at)  # a sender's clock that is ahead does not win over what comes after it
        yield _Event(entry=entry, at=at, rank=joining.rank_of(what), what=f"told {what}" if told else what, data=data)


def _going(events: Sequence[_Event]) -> frozenset[str]:
    last = {str(event.data["ref"]): event for event in events if event.rank >= 0 and event.what in _WHOLE}
    refs = {str(event.data["ref"]) for event in events}
    return frozenset(ref for ref in refs if ref not in last or last[ref].what != _OVER) or frozenset(refs)


def _field(events: Sequence[_Event], going: frozenset[str], field: str, what: str) -> Said | None:
    """The newest word of each of the pager's incidents, together."""
    newest: dict[str, _Event] = {}
    for event in events:
        if field in event.data and (event.what in _WHOLE or event.what == f"told {what}"):
            newest[str(event.data["ref"])] = event
    found = [event for ref, event in newest.items() if ref in going]
    if not found:
        return None
    names = dict.fromkeys(name for event in found for name in _names(event.data.get(field)))
    last = max(found, key=lambda event: event.order)
    return Said(text=", ".join(names), at=_since(events, last, field), ref=last.ref)


def _names(value: Any) -> list[str]:
    given = value if isinstance(value, list | tuple) else [value]
    return [str(name) for name in given if name]


def _since(events: Sequence[_Event], last: _Event, field: str) -> datetime:
    """Since when it has been so: of its last run of equal values, the first."""
    since = last.at
    for event in reversed([e for e in events if e.data["ref"] == last.data["ref"] and field in e.data]):
        if event.order > last.order or (event.what not in _WHOLE and not event.what.startswith("told ")):
            continue
        if _names(event.data.get(field)) != _names(last.data.get(field)):
            break
        since = event.at
    return since


def _asked(events: Sequence[_Event]) -> tuple[Asked, ...]:
    """The newest word about each; that we asked counts until the pager itself says something."""
    asked: dict[tuple[str, str], Asked] = {}
    for event in events:
        ours = event.what == "told responder"
        person, policy = str(event.data.get("person") or ""), str(event.data.get("policy") or "")
        key = (str(event.data["ref"]), person or policy)
        if not key[1] or not (ours or event.what == "responder") or (ours and key in asked):
            continue
        if person:  # one of those whom the policy meant
            asked.pop((key[0], policy), None)
        answer, known = str(event.data.get("answer") or "pending"), asked.get(key)
        if known is None or answer != "pending" or event.at > known.at:
            asked[key] = Asked(name=key[1], answer=answer, at=event.at, ref=event.ref)
    return tuple({one.name: one for one in asked.values()}.values())


def _bridge(events: Sequence[_Event]) -> Said | None:
    told = [event for event in events if event.what == "bridge"]
    if not told:
        return None
    return Said(text=", ".join(_names(told[-1].data.get("lines"))), at=told[-1].at, ref=told[-1].ref)
