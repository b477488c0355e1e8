"""Editing a timeline: hide, annotate, place at its true time, mark as a key moment. Each is a new fact."""

from collections.abc import Callable, Sequence
from datetime import UTC
from typing import Any

from bot.domain.edits import BEGAN, MAX_TEXT, edits_of, refusal
from bot.domain.incident import Incident, Status
from bot.domain.proposal import Principal
from bot.domain.timeline import Entry, Fact, Provenance
from bot.ports import Casebook, Records, TimelineEdit, Told
from config.clock import Clock

_DONE = {"entry_hidden": "hidden", "entry_placed": "placed", "key_moment": "marked", "entry_annotated": ""}


class TimelineScribe:
    """See :class:`bot.ports.Scribe`."""

    def __init__(
        self, records: Records, casebook: Casebook, clock: Clock, *, redact: Callable[[str], str] = str
    ) -> None:
        self._records, self._casebook, self._clock, self._redact = records, casebook, clock, redact

    async def edit(self, incident_id: str, entry: int, edit: TimelineEdit, who: Principal) -> Told:
        view = await self._records.view(incident_id)
        if view is None:
            return Told(ok=False, text=f"There is no incident {incident_id}; `pagerunner incidents --all` lists all.")
        about = next((one for one in view.timeline if one.seq == entry), None)
        if about is None:
            there = f"#{view.timeline[0].seq} to #{view.timeline[-1].seq}" if view.timeline else "none"
            return Told(ok=False, text=f"{view.incident.id} has no entry #{entry}; its entries are {there} "
                                       "(`pagerunner timeline show`).")  # fmt: skip
        wrong = self._wrong(view.timeline, view.incident, about, edit)
        if wrong:
            return Told(ok=False, text=wrong)
        fact = Fact(kind=edit.kind, provenance=Provenance.HUMAN, actor=who.id, data=self._data(about, edit, who))
        await self._casebook.record(view.incident.id, [fact], self._clock.now(), card=False)
        return Told(ok=True, text=_said(view.incident, about, edit))

    def _wrong(self, timeline: Sequence[Entry], incident: Incident, about: Entry, edit: TimelineEdit) -> str:
        if edit.kind == "entry_annotated" and not edit.text.strip():
            return "An annotation needs a text."
        if edit.kind == "entry_annotated" and edit.undo:
            return "An annotation stays; add another one that corrects it."
        if len(edit.text) > MAX_TEXT:
            return f"The text has {len(edit.text):,} characters; at most {MAX_TEXT:,} fit."
        if edit.undo:
            edits = edits_of(timeline)
            done = {"entry_hidden": edits.hidden, "entry_placed": edits.placed, "key_moment": edits.moments}[edit.kind]
            if about.seq in done:
                return ""
            return f"Entry #{about.seq} is not {_DONE[edit.kind]}; there is nothing to undo."
        if edit.kind == "entry_placed" and (edit.at is None or edit.at.tzinfo is None):
            return "Say when it truly happened, with date, time and zone, such as 2026-11-22T14:03:00+01:00."
        return refusal(edit.kind, about, edit.at, self._clock.now(), incident.opened_at)

    def _data(self, about: Entry, edit: TimelineEdit, who: Principal) -> dict[str, Any]:
        text = self._redact(edit.text.strip())
        data: dict[str, Any] = {"entry": about.seq, "by": who.name}
        if edit.kind == "entry_annotated":
            return {**data, "text": text}
        data["state"] = "undone" if edit.undo else _DONE[edit.kind]
        if edit.kind == "key_moment":
            return {**data, "label": text, "role": BEGAN if edit.began else ""}
        if edit.kind == "entry_placed" and edit.at is not None and not edit.undo:
            data["at"] = edit.at.astimezone(UTC).isoformat()
        return {**data, "why": text}


def _said(incident: Incident, about: Entry, edit: TimelineEdit) -> str:
    """What is so now; of a closed incident, the postmortem is written again."""
    became = {
        "entry_hidden": "is hidden in documents; the record keeps it", "entry_annotated": "has the annotation",
        "entry_placed": "is shown at that time", "key_moment": "is a key moment",
    }  # fmt: skip
    text = f"Entry #{about.seq} {'is as it was recorded again' if edit.undo else became[edit.kind]}."
    return text if incident.status is not Status.CLOSED else f"{text} The postmortem is written again in a moment."
