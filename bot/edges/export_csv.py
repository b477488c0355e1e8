"""The timeline as CSV: every cell quoted, and none that a spreadsheet would run.

A prefix is an alteration, so this is for reading; the JSON export is the one that loses nothing.
"""

import csv
import io
import re

from bot.domain.sentences import sentence
from bot.domain.timeline import Entry, canonical
from bot.domain.view import IncidentView

COLUMNS = ("seq", "at_utc", "incident", "kind", "provenance", "actor", "sentence", "data", "previous", "hash")

_SAFE = re.compile(r"[^\W_]|[(\[{\"'“‘<#]")
"""What a cell may begin with: a letter or a digit of any script, or opening punctuation. Not ``=``, its full-width
form, a sign, an at, a control character, a mark of byte order or a space: all of those have begun formulas."""
_INSIDE = re.compile(r"([;\t\r\n]\s*)(?=[=+\-@＝＋－＠])")
"""Where a program that takes another character for the separator would begin a cell."""


def export(view: IncidentView) -> bytes:
    """Every entry of the incident's timeline as a row. RFC 4180, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(each) for each in _row(entry)] for entry in view.timeline)
    return out.getvalue().encode()


def cell(text: str) -> str:
    """The text, with an apostrophe before anything that a spreadsheet could take for a formula."""
    inside = _INSIDE.sub(r"\1'", text)
    return inside if not text or _SAFE.match(text) else f"'{inside}"


def _row(entry: Entry) -> tuple[str, ...]:
    fact = entry.fact
    return (
        str(entry.seq), entry.at.isoformat(), entry.incident_id, fact.kind, fact.provenance.value, fact.actor,
        sentence(fact).text, canonical(fact.data).decode(), entry.previous, entry.hash,
    )  # fmt: skip
