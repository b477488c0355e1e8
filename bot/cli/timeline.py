"""``pagerunner timeline``: look at an incident's timeline, add to it, and edit how documents show it."""

from collections.abc import Iterator
from datetime import datetime
from typing import TYPE_CHECKING, Any

import click

from bot.cli.local import WRONG, Api, fail, settings
from bot.cli.reading import Reader

if TYPE_CHECKING:
    from datetime import tzinfo

    from bot.domain.view import IncidentView


@click.group(name="timeline")
def command() -> None:
    """Look at a timeline, add to it, and edit how documents show it. Nothing recorded is ever rewritten."""


@command.command(name="show")
@click.argument("incident")
@click.option("--tz", default="UTC", show_default=True, help="Time zone, such as Europe/Berlin.")
@click.option("--all", "everything", is_flag=True, help="Also what is hidden, and the edits themselves.")
def show(incident: str, tz: str, everything: bool) -> None:
    """Print the entries of INCIDENT with their numbers."""
    from bot.edges.zones import UnknownZone, zone  # noqa: PLC0415

    try:
        there = zone(tz)
    except UnknownZone as error:
        fail(str(error), WRONG)
    view = Reader(settings()).view(incident)
    click.echo("\n".join(_lines(view, there, everything=everything)))


@command.command(name="add")
@click.argument("incident")
@click.argument("text")
@click.option("--did", is_flag=True, help="It is something that was done, outside Pagerunner.")
def add(incident: str, text: str, did: bool) -> None:
    """Put TEXT on the timeline of INCIDENT; `place` then moves it to when it truly happened."""
    kind = "person_did" if did else "note_added"
    click.echo(Api(settings()).post(f"/incidents/{incident}/note", {"text": text, "kind": kind})["text"])


@command.command(name="hide")
@click.argument("incident")
@click.argument("entry", type=int)
@click.option("--why", default="", help="Why it is hidden.")
@click.option("--undo", is_flag=True, help="Show it again.")
def hide(incident: str, entry: int, why: str, undo: bool) -> None:
    """Hide ENTRY in documents, which count it and say who hid it. Decisions and effects cannot be hidden."""
    _edit(incident, entry, {"edit": "hide", "text": why, "undo": undo})


@command.command(name="annotate")
@click.argument("incident")
@click.argument("entry", type=int)
@click.argument("text")
def annotate(incident: str, entry: int, text: str) -> None:
    """Write TEXT beside ENTRY."""
    _edit(incident, entry, {"edit": "annotate", "text": text})


@command.command(name="place")
@click.argument("incident")
@click.argument("entry", type=int)
@click.argument("at", required=False)
@click.option("--why", default="", help="How it is known.")
@click.option("--tz", default="UTC", show_default=True, help="Time zone of AT, if it says none.")
@click.option("--undo", is_flag=True, help="Back to when it was recorded.")
def place(incident: str, entry: int, at: str | None, why: str, tz: str, undo: bool) -> None:
    """Show ENTRY at its true time AT, such as 2026-11-22T14:03."""
    if (at is None) != undo:
        fail("Give either the true time, such as 2026-11-22T14:03, or --undo.", WRONG)
    body: dict[str, Any] = {"edit": "place", "text": why, "undo": undo}
    if at is not None:
        body["at"] = _moment(at, tz).isoformat()
    _edit(incident, entry, body)


@command.command(name="mark")
@click.argument("incident")
@click.argument("entry", type=int)
@click.argument("label", required=False, default="")
@click.option("--began", is_flag=True, help="Users were first affected then: time to detect is counted from it.")
@click.option("--undo", is_flag=True, help="It is no key moment after all.")
def mark(incident: str, entry: int, label: str, began: bool, undo: bool) -> None:
    """Mark ENTRY as a key moment, called LABEL."""
    _edit(incident, entry, {"edit": "mark", "text": label, "began": began, "undo": undo})


def _edit(incident: str, entry: int, body: dict[str, Any]) -> None:
    if entry < 1:
        fail(f"{entry} is no entry's number; `pagerunner timeline show {incident}` shows them.", WRONG)
    click.echo(Api(settings()).post(f"/incidents/{incident}/timeline/{entry}", body)["text"])


def _moment(text: str, tz: str) -> datetime:
    from bot.edges.zones import UnknownZone, zone  # noqa: PLC0415

    try:
        at = datetime.fromisoformat(text)
        return at if at.tzinfo is not None else at.replace(tzinfo=zone(tz))
    except UnknownZone as error:
        fail(str(error), WRONG)
    except ValueError:
        fail(f"{text!r} is no time; write it as 2026-11-22T14:03 or 2026-11-22T14:03:00+01:00.", WRONG)


def _lines(view: "IncidentView", there: "tzinfo", *, everything: bool) -> Iterator[str]:
    from bot.domain.edits import EDITS, edits_of, shown  # noqa: PLC0415
    from bot.domain.sentences import sentence  # noqa: PLC0415
    from bot.domain.zoned import local  # noqa: PLC0415

    edits = edits_of(view.timeline)
    entries = view.timeline if everything else shown(view, edits).timeline
    for entry in entries:
        if entry.fact.kind in EDITS and not everything:
            continue
        marks = "★" if entry.seq in edits.moments else ("-" if entry.seq in edits.hidden else " ")
        moved = " (placed here afterwards)" if entry.seq in edits.placed and not everything else ""
        at = local(entry.at, there)
        yield f"{marks} #{entry.seq:<5} {at:%Y-%m-%d %H:%M:%S %Z}  {sentence(entry.fact).text}{moved}"
        for note in edits.notes.get(entry.seq, ()):
            yield f"{'':9}  note by {note.by}: {sentence_line(note.text)}"
    for by, count in edits.hiders.items():
        yield f"{count} {'entry' if count == 1 else 'entries'} hidden by {by}; --all shows them."


def sentence_line(text: str) -> str:
    """One line that a terminal shows as it is."""
    from bot.domain.untrusted import line  # noqa: PLC0415

    return line(text, 300)
