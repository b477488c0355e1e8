"""Editing a timeline without rewriting it: what may be hidden, annotated, placed or marked, and what that comes to.

Every edit is a new fact that names the entry it is about. What was decided and done stays visible, and what a machine
recorded stays at the machine's time: a document may be made easier to read, not made to say something else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from bot.domain.timeline import Entry, Provenance
from bot.domain.view import IncidentView

EDITS = ("entry_hidden", "entry_annotated", "entry_placed", "key_moment")
DECIDED = frozenset({
    "vote_cast", "vote_denied", "proposal_approved", "proposal_rejected", "effect_claimed", "effect_applied",
    "effect_reverted", "effect_failed", "effect_conflict", "effect_unknown", "manual_done", "verification_made",
    "frozen", "unfrozen", "alarm", "update_sent", "glass_broken", "debt_reviewed", "review_denied",
})  # fmt: skip
"""What was decided, done and verified: it cannot be hidden."""
PAGES = frozenset({
    "page_received", "page_joined", "page_stale", "pager_changed", "priority_changed", "assignees_changed",
    "pager_noted", "responder_added", "responder_replied", "status_update_published", "bridge_changed",
    "fields_changed", "pager_role_given",
})  # fmt: skip
BEGAN = "began"
"""The role of a key moment at which users were first affected, where no telemetry shows it."""
MAX_TEXT = 3_000
EARLIEST = timedelta(days=31)
"""An entry is not placed longer than this before its incident: that is a wrong year, not a late note."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Note:
    """What somebody wrote beside an entry."""

    by: str
    text: str
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Edits:
    """What all edits of one incident come to; the newest wins. Keys are numbers of entries."""

    hidden: Mapping[int, str]
    """Entry -> who hid it."""
    notes: Mapping[int, tuple[Note, ...]]
    placed: Mapping[int, datetime]
    """Entry -> when it truly happened."""
    moments: Mapping[int, str]
    """Entry -> what it is called as a key moment."""
    began: int | None = None
    """The entry that is marked as the beginning of the impact."""

    @property
    def hiders(self) -> dict[str, int]:
        """Who hid how many, in order of name."""
        names = sorted(self.hidden.values())
        return {name: names.count(name) for name in dict.fromkeys(names)}


def edits_of(entries: Sequence[Entry]) -> Edits:
    """Read the edits among these entries, oldest first."""
    hidden: dict[int, str] = {}
    notes: dict[int, tuple[Note, ...]] = {}
    placed: dict[int, datetime] = {}
    moments: dict[int, str] = {}
    began: int | None = None
    for entry in entries:
        if entry.fact.kind not in EDITS:
            continue
        data = entry.fact.data
        about, on = _about(data), data.get("state") != "undone"
        if about is None:
            continue
        match entry.fact.kind:
            case "entry_hidden":
                _put(hidden, about, _by(entry), on=on)
            case "entry_annotated":
                note = Note(by=_by(entry), text=str(data.get("text", "")), ref=f"#{entry.seq}")
                notes[about] = (*notes.get(about, ()), note)
            case "entry_placed":
                at = moment(data.get("at"))
                _put(placed, about, at, on=on and at is not None)
            case _:
                _put(moments, about, str(data.get("label") or ""), on=on)
                if on and data.get("role") == BEGAN:
                    began = about
                elif began == about and not on:
                    began = None
    return Edits(hidden=hidden, notes=notes, placed=placed, moments=moments, began=began)


def shown(view: IncidentView, edits: Edits) -> IncidentView:
    """The view as documents show it: without what is hidden, each entry at its true time, and of the edits only the
    key moments, which measures read."""
    entries = [
        replace(entry, at=edits.placed.get(entry.seq) or entry.at)
        for entry in view.timeline
        if entry.seq not in edits.hidden and (entry.fact.kind not in EDITS or entry.fact.kind == "key_moment")
    ]
    return replace(view, timeline=tuple(sorted(entries, key=lambda entry: (entry.at, entry.seq))))


def refusal(kind: str, entry: Entry, at: datetime | None, now: datetime, opened: datetime) -> str:
    """Why this edit of this entry is refused, and what to do instead; empty if it is not."""
    about = f"Entry #{entry.seq} ({entry.fact.kind.replace('_', ' ')})"
    if entry.fact.kind in EDITS:
        return f"{about} is itself an edit; edit the entry it is about, or undo it with --undo."
    if kind == "entry_hidden" and entry.fact.kind in DECIDED:
        return f"{about} records what was decided or done, which stays visible; annotate it instead."
    if kind != "entry_placed" or at is None:
        return ""
    if entry.fact.provenance is not Provenance.HUMAN and entry.fact.kind not in PAGES:
        return f"{about} was recorded as it happened, by the clock; only what people said or did, and pages, can move."
    if at > now:
        return f"{at:%Y-%m-%d %H:%M:%S %Z} is in the future; give the time at which it truly happened."
    if at < opened - EARLIEST:
        return f"{at:%Y-%m-%d %H:%M:%S %Z} is more than 31 days before the incident; check the date."
    return ""


def moment(value: Any) -> datetime | None:
    """A moment in a fact: text with a zone, or one that was read already."""
    if isinstance(value, datetime):
        return value
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return found.astimezone(UTC) if found is not None and found.tzinfo is not None else None


def began_of(view: IncidentView) -> tuple[Entry, str] | None:
    """The entry that a person marked as the beginning of the impact, and who did; None if nobody did."""
    marks = view.entries("key_moment")
    about = edits_of(marks).began if marks else None
    entry = next((entry for entry in view.timeline if entry.seq == about), None)
    if entry is None:
        return None
    return entry, next(_by(mark) for mark in reversed(marks) if _about(mark.fact.data) == about)


def _about(data: Mapping[str, Any]) -> int | None:
    number = data.get("entry")
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _by(entry: Entry) -> str:
    return str(entry.fact.data.get("by") or entry.fact.actor)


def _put(where: dict[int, Any], about: int, value: Any, *, on: bool) -> None:
    if on:
        where[about] = value
    else:
        where.pop(about, None)
