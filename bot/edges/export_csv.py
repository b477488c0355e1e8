"""The timeline as CSV: every cell quoted, and none that a spreadsheet would run.

A prefix is an alteration, so this is for reading; the JSON export is the one that loses nothing.
"""

import csv
import io

from bot.domain import postmortem_words
from bot.domain.timeline import Entry, canonical
from bot.domain.view import IncidentView

COLUMNS = ("seq", "at_utc", "incident", "kind", "provenance", "actor", "sentence", "data", "previous", "hash")

_STARTS = frozenset("=+-@\t\r\n\0\ufeff＝＋－＠|%")


def export(view: IncidentView) -> bytes:
    """Every entry of the incident's timeline as a row. RFC 4180, UTF-8."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    writer.writerows([cell(each) for each in _row(entry)] for entry in view.timeline)
    return out.getvalue().encode()


def cell(text: str) -> str:
    """The text, with an apostrophe before anything that a spreadsheet could take for a formula."""
    bare = text.lstrip(" \u00a0\u3000")
    return f"'{text}" if bare[:1] in _STARTS and bare else text


def _row(entry: Entry) -> tuple[str, ...]:
    fact = entry.fact
    return (
        str(entry.seq), entry.at.isoformat(), entry.incident_id, fact.kind, fact.provenance.value, fact.actor,
        postmortem_words.sentence(fact), canonical(fact.data).decode(), entry.previous, entry.hash,
    )  # fmt: skip
