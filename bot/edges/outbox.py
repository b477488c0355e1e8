"""The outbox: what has to be told, written in the transaction of the change and delivered by the courier.

A card is one row for its incident with a version: many changes before it is sent are one update, and the newest wins.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from sqlalchemy import Connection, case, func, insert, select, update

from bot.domain import codec
from bot.domain.view import MessageRef
from bot.edges.chain import INSTALLATION
from bot.edges.schema import incident, meta, outbox
from bot.edges.schema import room as rooms

AT_ONCE = 12
"""Of one lane; more than any lane takes before the next look."""
PAGER, TRACKER, ROOMS = "pager", "tracker", "rooms"
"""The lanes of everything for the pager, for the issue tracker, and about incidents' own channels; all others are of
chat channels."""
Lanes = Literal["all", "chat", "rooms", "pager", "tracker"]
_STANDING = ("card", "pointer")
"""Messages that are posted once and then edited."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Letter:
    """A row that waits to be delivered."""

    id: int
    lane: str
    kind: str
    incident_id: str
    data: Mapping[str, Any]
    version: int
    attempts: int
    edit: bool = False
    """A card or a pointer that has been posted before."""
    decision: bool = False
    """People made or wait for what it shows."""

    @property
    def fresh(self) -> bool:
        """Whether it would be a new message in a channel: neither an edit nor a reply in a thread."""
        posted = self.kind in _STANDING and not self.edit
        return posted or (self.lane.startswith("chat:") and self.data.get("ts") == "")


def card(connection: Connection, incident_id: str, now: datetime, *, decision: bool = False) -> None:
    """The incident's card is out of date. It waits from when it first was, however often it changes; a ``decision``
    that people make or wait for goes before what merely ticks."""
    since = case((outbox.c.sent < outbox.c.version, outbox.c.due_at), else_=codec.stamp(now))
    changed = connection.execute(
        update(outbox)
        .where(outbox.c.key == f"card:{incident_id}")
        .values(version=outbox.c.version + 1, dead="", due_at=0.0 if decision else since)
    )
    if changed.rowcount == 0:
        channel = connection.execute(select(incident.c.channel).where(incident.c.id == incident_id)).scalar_one()
        _put(connection, f"chat:{channel}", "card", f"card:{incident_id}", incident_id, {}, now)


def pointer(connection: Connection, incident_id: str, home: str, now: datetime) -> None:
    """The line in the team's channel that points to the incident's own is out of date."""
    _renewed(connection, f"chat:{home}", "pointer", incident_id, now)


def room(connection: Connection, incident_id: str, now: datetime) -> None:
    """The incident is to have a channel of its own, or its archived one again."""
    _renewed(connection, ROOMS, "room", incident_id, now)


def archive(connection: Connection, incident_id: str, due: datetime) -> None:
    """Its channel is to be archived then, if the incident is still closed."""
    _renewed(connection, ROOMS, "archive", incident_id, due)


def moved(connection: Connection, incident_id: str, channel: str, *, anew: bool = False) -> None:
    """What waits for the incident's card goes to this channel from now on; ``anew``: the card is posted there again."""
    lane = f"chat:{channel}"
    own = (outbox.c.incident == incident_id, outbox.c.kind.in_(("card", "say", "file")))
    rows = connection.execute(select(outbox).where(*own, outbox.c.lane != lane)).all()
    below = [row.id for row in rows if row.kind == "card" or "ts" not in row.data]
    connection.execute(update(outbox).where(outbox.c.id.in_(below)).values(lane=lane))
    if anew:
        card_row = outbox.c.key == f"card:{incident_id}"
        connection.execute(update(outbox).where(card_row).values(version=outbox.c.version + 1, sent=0, dead=""))


def taken_over(connection: Connection, incident_id: str) -> None:
    """The pointer's message becomes the card: what waits is an edit of it."""
    card_row = outbox.c.key == f"card:{incident_id}"
    changed = {"version": outbox.c.version + 1, "sent": outbox.c.version, "dead": ""}
    connection.execute(update(outbox).where(card_row).values(**changed))


def withdrawn(connection: Connection, kind: str, incident_id: str) -> None:
    """It is not needed any more."""
    connection.execute(update(outbox).where(outbox.c.key == f"{kind}:{incident_id}").values(sent=outbox.c.version))


def waiting(connection: Connection, channel: str) -> bool:
    """Whether something is still to be delivered into a channel."""
    left = (outbox.c.lane == f"chat:{channel}", outbox.c.sent < outbox.c.version, outbox.c.dead == "")
    return connection.execute(select(outbox.c.id).where(*left).limit(1)).first() is not None


def say(
    connection: Connection, incident_id: str, key: str, text: str, now: datetime, *, at: MessageRef | None = None,
    more: Mapping[str, Any] | None = None, or_thread: bool = False,
) -> None:  # fmt: skip
    """Say something in the thread below the card, or below ``at``, once for each ``key``; ``more`` is how it is shown,
    for :func:`bot.edges.slack_blocks.said_blocks`. ``or_thread``: if ``at`` cannot be reached, below the card after
    all."""
    lane, place = _place(connection, incident_id, at)
    otherwise = {"or_thread": True} if or_thread and at is not None else {}
    data = {**(more or {}), "text": text, **place, **otherwise}
    _put(connection, lane, "say", f"say:{incident_id}:{key}", incident_id, data, now)


def notice(connection: Connection, channel: str, key: str, text: str, now: datetime) -> None:
    """Tell a channel something that is about no incident, once for each ``key``."""
    data = {"text": text, "channel": channel, "ts": ""}
    _put(connection, f"chat:{channel}", "notice", f"notice:{channel}:{key}", INSTALLATION, data, now)


def send(
    connection: Connection, incident_id: str, key: str, form: str, now: datetime, *, at: MessageRef | None = None,
    shown: Mapping[str, str] | None = None,
) -> None:  # fmt: skip
    """Put the incident as a document into the thread below the card, or below ``at``, once for each ``key``."""
    lane, place = _place(connection, incident_id, at)
    _put(
        connection,
        lane,
        "file",
        f"file:{incident_id}:{key}",
        incident_id,
        {"form": form, **(shown or {}), **place},
        now,
    )


def note(connection: Connection, incident_id: str, key: str, ref: str, text: str, now: datetime) -> None:
    """Add a note to the pager's incident ``ref``, once for each ``key``."""
    _put(connection, PAGER, "note", f"note:{incident_id}:{key}:{ref}", incident_id, {"ref": ref, "text": text}, now)


def pager_status(connection: Connection, incident_id: str, ref: str, status: str, by: str, now: datetime) -> None:
    """Tell the pager what a person decided about its incident ``ref``."""
    key = f"status:{incident_id}:{status}:{codec.stamp(now)}:{ref}"
    _put(connection, PAGER, "status", key, incident_id, {"ref": ref, "status": status, "by": by}, now)


def pager(
    connection: Connection, incident_id: str, kind: str, key: str, data: Mapping[str, Any], now: datetime
) -> None:
    """Tell the pager something else, once for each ``key``: ``data`` names the ``ref`` that it is about."""
    _put(connection, PAGER, kind, f"{kind}:{incident_id}:{key}:{data['ref']}", incident_id, data, now)


def issue(connection: Connection, incident_id: str, entry: int, data: Mapping[str, Any], now: datetime) -> None:
    """Have an issue made of a follow-up, once. One that could not be made is tried again with this ``data``; since when
    it has been asked for stays, so that what an earlier try may have made is looked for."""
    key = f"issue:{incident_id}:{entry}"
    dead = connection.execute(select(outbox.c.data).where(outbox.c.key == key, outbox.c.dead != "")).one_or_none()
    if dead is None:
        _put(connection, TRACKER, "issue", key, incident_id, data, now)
        return
    again = {**data, "asked_at": dead.data["asked_at"]}
    connection.execute(
        update(outbox).where(outbox.c.key == key).values(data=again, dead="", attempts=0, due_at=codec.stamp(now))
    )


def said(connection: Connection, incident_id: str, key: str) -> bool:
    """Whether :func:`say` was called with this key before."""
    return connection.execute(select(outbox.c.id).where(outbox.c.key == f"say:{incident_id}:{key}")).first() is not None


def due(connection: Connection, now: datetime, lanes: Lanes = "all") -> Sequence[Letter]:
    """What can be tried now, for each channel and for edits as much as can go at once: cards of new incidents and what
    people decided first, edits last, and of each the one that has waited longest. A card waits for its channel."""
    standing = outbox.c.kind.in_(_STANDING)
    first = standing & (outbox.c.sent == 0) | (outbox.c.kind == "status")
    posts = case((first, 0), (standing, 2), else_=1)
    order = (posts, outbox.c.due_at, outbox.c.id)
    lane = case((posts == 2, "edits"), (posts == 0, outbox.c.lane + " new"), else_=outbox.c.lane)
    waiting = select(outbox.c.id, func.row_number().over(partition_by=lane, order_by=order).label("place")).where(
        outbox.c.sent < outbox.c.version, outbox.c.dead == "", outbox.c.due_at <= codec.stamp(now),
        ~((outbox.c.kind == "card") & outbox.c.incident.in_(_homeless)),
    )  # fmt: skip
    if lanes == "chat":
        waiting = waiting.where(outbox.c.lane.not_in((PAGER, TRACKER, ROOMS)))
    elif lanes != "all":
        waiting = waiting.where(outbox.c.lane == lanes)
    found = waiting.subquery()
    query = select(outbox).join(found, found.c.id == outbox.c.id).where(found.c.place <= AT_ONCE).order_by(*order)
    return [
        Letter(id=r.id, lane=r.lane, kind=r.kind, incident_id=r.incident, data=r.data, version=r.version,
               attempts=r.attempts, edit=r.kind in _STANDING and r.sent > 0, decision=r.due_at == 0.0)
        for r in connection.execute(query)
    ]  # fmt: skip


def last_fresh(connection: Connection, channel: str) -> tuple[int, float]:
    """Which letter was the last new message in a channel, and when in seconds since the epoch; zeros before it."""
    row = connection.execute(select(meta.c.value).where(meta.c.key == f"fresh:{channel}")).one_or_none()
    letter, _, at = (row.value if row else "0 0").partition(" ")
    return int(letter), float(at)


def begun(connection: Connection, letter: Letter, channel: str, now: datetime) -> None:
    """This letter becomes the channel's newest message, now: written before it is sent, so that no crash forgets it."""
    key, value = f"fresh:{channel}", f"{letter.id} {codec.stamp(now)}"
    if connection.execute(update(meta).where(meta.c.key == key).values(value=value)).rowcount == 0:
        connection.execute(insert(meta).values(key=key, value=value))


def delivered(connection: Connection, letter: Letter) -> None:
    """Version ``letter.version`` has arrived; a newer one may already wait."""
    connection.execute(update(outbox).where(outbox.c.id == letter.id).values(sent=letter.version, attempts=0))


def postponed(connection: Connection, letter: Letter, until: datetime) -> None:
    connection.execute(
        update(outbox).where(outbox.c.id == letter.id).values(due_at=codec.stamp(until), attempts=outbox.c.attempts + 1)
    )


def amended(connection: Connection, letter: Letter, data: Mapping[str, Any]) -> Mapping[str, Any]:
    """What was found out before it is sent, so that sending it again is sending the same; returns all there is now."""
    kept = connection.execute(select(outbox.c.data).where(outbox.c.id == letter.id)).scalar_one()
    whole = {**kept, **data}
    connection.execute(update(outbox).where(outbox.c.id == letter.id).values(data=whole))
    return whole


def trying(connection: Connection, letter: Letter, now: datetime) -> tuple[Letter, bool]:
    """It is about to be sent, which is written down first. Also whether it was before: then it may have arrived."""
    again, at = "tried" in letter.data, codec.stamp(now)
    data = amended(connection, letter, {"tried": letter.data.get("tried", at), "tried_last": at})
    return replace(letter, data=data), again


def letters(connection: Connection, incident_id: str, kind: str) -> Sequence[tuple[int, Mapping[str, Any]]]:
    """What an incident's pager was told of one kind, whether or not it has arrived: the row and its content."""
    first = f"{kind}:{incident_id}:"
    mine = select(outbox.c.id, outbox.c.data).where(outbox.c.key >= first, outbox.c.key < f"{first[:-1]};")
    return [(row.id, row.data) for row in connection.execute(mine.where(outbox.c.lane == PAGER))]


def answered(connection: Connection, row: int, data: Mapping[str, Any], event_id: str) -> None:
    """The pager's event about it has come; a second one like it is somebody else's doing."""
    connection.execute(update(outbox).where(outbox.c.id == row).values(data={**data, "echo": event_id}))


def undeliverable(connection: Connection, letter: Letter, reason: str) -> None:
    """It will never arrive; kept, with the reason, for a person."""
    connection.execute(update(outbox).where(outbox.c.id == letter.id).values(dead=reason[:500]))


_homeless = select(rooms.c.incident).where(rooms.c.state == "wanted")


def _renewed(connection: Connection, lane: str, kind: str, incident_id: str, due: datetime) -> None:
    """One row of this kind for an incident; what is told again is told as it is then."""
    changed = connection.execute(
        update(outbox)
        .where(outbox.c.key == f"{kind}:{incident_id}")
        .values(version=outbox.c.version + 1, dead="", due_at=codec.stamp(due), attempts=0)
    )
    if changed.rowcount == 0:
        _put(connection, lane, kind, f"{kind}:{incident_id}", incident_id, {}, due)


def _place(connection: Connection, incident_id: str, at: MessageRef | None) -> tuple[str, dict[str, str]]:
    """The lane of the channel, and where in it if that is not the card's thread."""
    if at is not None:
        return f"chat:{at.channel}", {"channel": at.channel, "ts": at.ts}
    channel = connection.execute(select(incident.c.channel).where(incident.c.id == incident_id)).scalar_one()
    return f"chat:{channel}", {}


def _put(
    connection: Connection, lane: str, kind: str, key: str, incident_id: str, data: Mapping[str, Any], now: datetime
) -> None:
    if connection.execute(select(outbox.c.id).where(outbox.c.key == key)).one_or_none() is None:
        connection.execute(
            insert(outbox).values(
                lane=lane, kind=kind, key=key, incident=incident_id, data=dict(data), version=1, sent=0, attempts=0,
                due_at=codec.stamp(now), dead="",
            )
        )  # fmt: skip
