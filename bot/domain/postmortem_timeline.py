"""The postmortem's timeline as people edited it, and what of it can be proved."""

from collections.abc import Iterator, Sequence

from bot.domain import wording
from bot.domain.document import Block, Part, Points, Row, Statement, Table, code, name, quoted, say, strong
from bot.domain.edits import EDITS, Edits, edits_of, shown
from bot.domain.measures import utc
from bot.domain.postmortem_people import actor, names_of
from bot.domain.presentation import Presentation
from bot.domain.sentences import sentence
from bot.domain.timeline import GENESIS, Entry
from bot.domain.view import IncidentView

HEADS = ("Entry", "How known", "Who", "What")


def places(entries: Sequence[Entry]) -> dict[str, str]:
    """Where each entry is explained: an edit at the entry it is about, a hidden one where the hidden are counted."""
    edits = edits_of(entries)
    last = f"t{max(edits.hidden)}" if edits.hidden else ""
    found: dict[str, str] = {}
    for entry in entries:
        about = entry.fact.data.get("entry") if entry.fact.kind in EDITS else entry.seq
        hidden = entry.seq in edits.hidden or about in edits.hidden
        found[f"#{entry.seq}"] = last if hidden else f"t{about}"
    there = {f"t{entry.seq}" for entry in entries if entry.fact.kind not in EDITS}
    return {ref: place for ref, place in found.items() if place in there}


def timeline(recorded: IncidentView, edits: Edits, presentation: Presentation) -> Iterator[Block]:
    """Every entry that is not hidden, at its true time; what people wrote beside it; how many are hidden, by whom."""
    if not recorded.timeline:
        yield Points(items=(say("Nothing is recorded.", gap=True),))
        return
    marks = _refs_of_edits(recorded.timeline)
    view = shown(recorded, edits)
    names = names_of(view)
    entries = [entry for entry in view.timeline if entry.fact.kind not in EDITS]
    written = {entry.seq: entry for entry in recorded.timeline}
    zones = {f"{entry.at:%Z}" for entry in entries}
    form = "%Y-%m-%d %H:%M:%S" if len(zones) < 2 else "%Y-%m-%d %H:%M:%S %Z"
    rows = []
    for entry in entries:
        key = f"#{entry.seq}"
        cells = (
            say(key), say(f"{entry.at:{form}}"), say(entry.fact.provenance.value),
            say(*actor(view, entry.fact.actor, names)), _what(written[entry.seq], edits, marks),
        )  # fmt: skip
        rows.append(Row(key=key, cells=cells))
    if edits.hidden:
        rows.append(_hidden(edits, marks))
    zone = presentation.zone_name if presentation.zone_name != "UTC" else "UTC"
    yield Table(heads=(HEADS[0], zone, *HEADS[1:]), rows=tuple(rows))


def _what(entry: Entry, edits: Edits, marks: dict[int, tuple[str, ...]]) -> Statement:
    """The fact in words, then what people added to it."""
    told = sentence(entry.fact)
    parts: list[Part] = []
    if entry.seq in edits.moments:
        label = edits.moments[entry.seq]
        parts += [strong("★ "), *((quoted(label, 120), ". ") if label else ())]
    parts += told.spans
    if entry.seq in edits.placed:
        parts.append(f" (Recorded at {utc(entry.at)}, placed here afterwards.)")
    for note in edits.notes.get(entry.seq, ()):
        parts += [" ", strong("Note "), "by ", name(note.by), ": ", quoted(note.text, 600), "."]
    return say(*parts, refs=(*told.refs, *marks.get(entry.seq, ())))


def _hidden(edits: Edits, marks: dict[int, tuple[str, ...]]) -> Row:
    """How many entries are hidden and who hid them; the JSON export has all of them."""
    parts: list[Part] = []
    for by, count in edits.hiders.items():
        parts += ["; " if parts else "", f"{wording.plural(count, 'entry', 'entries')} hidden by ", name(by)]
    refs = [ref for seq in edits.hidden for ref in marks.get(seq, ())]
    said = say(*parts, ". The internal JSON export has all of them.", refs=refs[:12])
    return Row(key=f"#{max(edits.hidden)}", cells=(say("…"), say(""), say(""), say(""), said))


def _refs_of_edits(entries: Sequence[Entry]) -> dict[int, tuple[str, ...]]:
    """Entry -> the edits about it."""
    found: dict[int, tuple[str, ...]] = {}
    for entry in entries:
        about = entry.fact.data.get("entry")
        if entry.fact.kind in EDITS and isinstance(about, int):
            found[about] = (*found.get(about, ()), f"#{entry.seq}")
    return found


def integrity(view: IncidentView, presentation: Presentation) -> Iterator[Block]:
    """What of the timeline can be proved, and how."""
    if not view.timeline:
        yield Points(items=(say("There is no entry to verify.", gap=True),))
        return
    last = view.timeline[-1]
    first = view.timeline[0]
    begins = "the first of this installation" if first.previous == GENESIS else "chained to what came before it"
    edited = sum(entry.fact.kind in EDITS for entry in view.timeline)
    items = [
        say(f"{wording.plural(len(view.timeline), 'entry', 'entries')} of the timeline, {begins}; the last is "
            f"#{last.seq} with hash ", code(last.hash), ".", refs=(f"#{last.seq}",)),
        say("Each entry's hash covers its content, its number and the hash before it. ",
            code("pagerunner audit verify"), " checks the whole chain; the JSON export has every hash.", gap=True),
    ]  # fmt: skip
    if edited:
        items.append(say(f"{wording.plural(edited, 'entry', 'entries')} of these edit how others are shown; what they "
                         "are about was recorded before, and stays.", gap=True))  # fmt: skip
    if presentation.redaction != "internal":
        items.append(say("The hashes cover what was recorded, which this redacted document does not show whole.",
                         gap=True))  # fmt: skip
    yield Points(items=tuple(items))
