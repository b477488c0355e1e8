"""The timeline as CSV: every cell quoted, and none that a spreadsheet would run.

A prefix is an alteration, so this is for reading; the JSON export is the one that loses nothing. Hidden entries are
left out, and the entries that say who hid them are not.
"""

import csv
import io
import re
from datetime import datetime

from bot.domain.edits import Edits, edits_of
from bot.domain.presentation import AS_RECORDED, Presentation
from bot.domain.sentences import sentence
from bot.domain.timeline import Entry, canonical
from bot.domain.view import IncidentView
from bot.domain.zoned import local

COLUMNS = (
    "seq", "at_utc", "incident", "kind", "provenance", "actor", "sentence", "data", "previous", "hash", "happened_at",
    "key_moment", "notes",
)  # fmt: skip

_SAFE = re.compile(r"[^\W_]|[(\[{\"'“‘<#]")
"""What a cell may begin with: a letter or a digit of any script, or opening punctuation. Not ``=``, its full-width
form, a sign, an at, a control character, a mark of byte order or a space: all of those have begun formulas."""
_INSIDE = re.compile(r"([;\t\r\n]\s*)(?=[=+\-@＝＋－＠])")
"""Where a program that takes another character for the separator would begin a cell."""


def export(view: IncidentView, presentation: Presentation = AS_RECORDED) -> bytes:
    """Every entry that is not hidden as a row, ``happened_at`` in the zone that was asked for. RFC 4180, UTF-8."""
    edits = edits_of(view.timeline)
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    rows = (_row(entry, edits, presentation) for entry in view.timeline if entry.seq not in edits.hidden)
    writer.writerows([cell(each) for each in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def cell(text: str) -> str:
    """The text, with an apostrophe before anything that a spreadsheet could take for a formula."""
    inside = _INSIDE.sub(r"\1'", text)
    return inside if not text or _SAFE.match(text) else f"'{inside}"


def _row(entry: Entry, edits: Edits, presentation: Presentation) -> tuple[str, ...]:
    fact = entry.fact
    happened: datetime = local(edits.placed.get(entry.seq) or entry.at, presentation.zone)
    notes = "; ".join(f"{note.by}: {note.text}" for note in edits.notes.get(entry.seq, ()))
    marked = (edits.moments[entry.seq] or "yes") if entry.seq in edits.moments else ""
    return (
        str(entry.seq), entry.at.isoformat(), entry.incident_id, fact.kind, fact.provenance.value, fact.actor,
        sentence(fact).text, canonical(fact.data).decode(), entry.previous, entry.hash, happened.isoformat(), marked,
        notes,
    )  # fmt: skip
