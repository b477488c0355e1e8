"""Incidents' own channels as rows: each change and what follows from it is one transaction."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, func, insert, select, update

from bot.domain import codec
from bot.domain.page import Page
from bot.domain.room import Filling, Room, RoomState, name_of, numbered, topic_of
from bot.domain.timeline import computed
from bot.domain.view import MessageRef
from bot.edges import chain, outbox, pager_state
from bot.edges.schema import incident, page, room
from config.incident_channel import IncidentChannel

HOUR = timedelta(hours=1)


def find(connection: Connection, incident_id: str) -> Room | None:
    """The incident's own channel, if it was to have one."""
    row = connection.execute(select(room).where(room.c.incident == incident_id)).one_or_none()
    return None if row is None else _as_room(row)


def of_channel(connection: Connection, channel: str) -> str | None:
    """The incident whose own channel this is."""
    query = select(room.c.incident).where(room.c.channel == channel, room.c.state != RoomState.THREAD.value)
    return connection.execute(query).scalar() if channel else None


def want(connection: Connection, policy: IncidentChannel, filling: Filling, home: str) -> None:
    """An incident that has just been opened is to have a channel of its own; its name is reserved."""
    since = room.c.wanted_at > codec.stamp(filling.at - HOUR)
    lately = select(func.count()).select_from(room).where(room.c.home == home, since, room.c.channel != "")
    waiting = select(func.count()).select_from(room).where(room.c.home == home, room.c.state == RoomState.WANTED.value)
    made = connection.execute(lately).scalar_one() + connection.execute(waiting).scalar_one()
    crowded = made >= policy.most_per_hour
    connection.execute(
        insert(room).values(
            incident=filling.incident_id, state=(RoomState.THREAD if crowded else RoomState.WANTED).value,
            name=_free(connection, policy, filling), channel="", home=home, private=policy.private,
            topic=topic_of(policy, filling), wanted_at=codec.stamp(filling.at),
            archive_after_s=policy.archive_after_h * 3600 if policy.archive else None, pointer_ts="", pointer_text="",
            done=[], problems=[],
        )
    )  # fmt: skip
    if crowded:
        why = f"{policy.most_per_hour} were opened for this team within an hour; see most_per_hour in the catalogue"
        _tell(connection, filling.incident_id, "channel_not_opened", {"why": why}, filling.at)
    else:
        outbox.room(connection, filling.incident_id, filling.at)


def rename(connection: Connection, was: Room) -> Room:
    """Its name belongs to somebody else's channel: reserve the next."""
    number = 2
    while _taken(connection, numbered(was.name, number)):
        number += 1
    values = {"name": numbered(was.name, number), "channel": ""}
    connection.execute(update(room).where(room.c.incident == was.incident_id).values(**values))
    found = find(connection, was.incident_id)
    assert found is not None
    return found


def opened(connection: Connection, was: Room, channel: str, now: datetime) -> None:
    """The channel is there: from now on the incident is in it, and the team's channel points to it."""
    anew = channel != was.channel
    values: dict[str, Any] = {"state": RoomState.OPEN.value, "channel": channel}
    connection.execute(update(room).where(room.c.incident == was.incident_id).values(**values))
    _move(connection, was.incident_id, channel, anew=anew)
    data = {"channel_name": was.name, "channel": channel}
    _tell(connection, was.incident_id, "channel_opened", data, now)
    outbox.pointer(connection, was.incident_id, was.home, now)
    if anew:
        for ref in pager_state.open_refs(connection, was.incident_id):
            outbox.note(connection, was.incident_id, f"channel:{channel}", ref, f"Slack channel: #{was.name}", now)


def to_thread(connection: Connection, was: Room, why: str, now: datetime) -> None:
    """There is no channel, or not any more: the incident goes on in its team's channel."""
    changed = update(room).where(room.c.incident == was.incident_id, room.c.state != RoomState.THREAD.value)
    if connection.execute(changed.values(state=RoomState.THREAD.value)).rowcount == 0:
        return
    _move(connection, was.incident_id, was.home, anew=True)
    now_there = find(connection, was.incident_id)
    if now_there is not None and now_there.pointer_ts:
        becomes_card(connection, was.incident_id, MessageRef(channel=was.home, ts=now_there.pointer_ts))
    outbox.withdrawn(connection, "pointer", was.incident_id)
    _tell(connection, was.incident_id, "channel_not_opened", {"why": why}, now)


def becomes_card(connection: Connection, incident_id: str, message: MessageRef) -> None:
    """The message that pointed to a channel is the card from now on: nobody has to read two."""
    values = {"card_channel": message.channel, "card_ts": message.ts}
    connection.execute(update(incident).where(incident.c.id == incident_id).values(**values))
    outbox.taken_over(connection, incident_id)


def pointed(connection: Connection, was: Room, message: MessageRef, text: str) -> None:
    """The pointer stands there and says this."""
    values = {"pointer_ts": message.ts, "pointer_text": text}
    connection.execute(update(room).where(room.c.incident == was.incident_id).values(**values))
    has_card = select(incident.c.card_ts).where(incident.c.id == was.incident_id)
    there = find(connection, was.incident_id)
    if there and there.state is RoomState.THREAD and not connection.execute(has_card).scalar_one():
        becomes_card(connection, was.incident_id, message)  # It was given up while the message was on its way.


def page_link(connection: Connection, incident_id: str) -> str:
    """Where the pager shows the incident; empty if it did not say."""
    query = select(page.c.data).where(page.c.incident == incident_id).order_by(page.c.at, page.c.event_id).limit(1)
    first = connection.execute(query).scalar()
    return codec.load(Page, first).link if first is not None else ""


def step_done(connection: Connection, incident_id: str, step: str, problems: Sequence[str]) -> None:
    """A step of furnishing the channel is over, with what did not work in words."""
    known = find(connection, incident_id)
    assert known is not None
    values = {"done": [*known.done, step], "problems": [*known.problems, *problems]}
    connection.execute(update(room).where(room.c.incident == incident_id).values(**values))


def closed(connection: Connection, incident_id: str, now: datetime) -> None:
    """The incident is closed: its channel is to be archived in its time."""
    known = find(connection, incident_id)
    if known is not None and known.state is RoomState.OPEN and known.archive_after_s is not None:
        outbox.archive(connection, incident_id, now + timedelta(seconds=known.archive_after_s))


def archived(connection: Connection, was: Room, now: datetime) -> None:
    """Nobody can write there any more."""
    connection.execute(
        update(room).where(room.c.incident == was.incident_id).values(state=RoomState.ARCHIVED.value)
    )  # fmt: skip
    chain.append(connection, now, was.incident_id, [computed("channel_archived", {"channel_name": was.name})])
    outbox.pointer(connection, was.incident_id, was.home, now)


def reopened(connection: Connection, incident_id: str, now: datetime) -> None:
    """The incident goes on: its archived channel is wanted again."""
    known = find(connection, incident_id)
    if known is not None and known.state is RoomState.ARCHIVED:
        values = {"state": RoomState.WANTED.value, "wanted_at": codec.stamp(now), "done": [], "problems": []}
        connection.execute(update(room).where(room.c.incident == incident_id).values(**values))
        outbox.room(connection, incident_id, now)


def _move(connection: Connection, incident_id: str, channel: str, *, anew: bool) -> None:
    values = {"channel": channel, **({"card_channel": "", "card_ts": ""} if anew else {})}
    connection.execute(update(incident).where(incident.c.id == incident_id).values(**values))
    outbox.moved(connection, incident_id, channel, anew=anew)


def _tell(connection: Connection, incident_id: str, kind: str, data: dict[str, str], now: datetime) -> None:
    chain.append(connection, now, incident_id, [computed(kind, data)])
    outbox.card(connection, incident_id, now, decision=True)


def _taken(connection: Connection, name: str) -> bool:
    return connection.execute(select(room.c.name).where(room.c.name == name).limit(1)).first() is not None


def _free(connection: Connection, policy: IncidentChannel, filling: Filling) -> str:
    number = 1
    while _taken(connection, name_of(policy, filling, number)):
        number += 1
    return name_of(policy, filling, number)


def _as_room(row: Row[Any]) -> Room:
    return Room(
        incident_id=row.incident, state=RoomState(row.state), name=row.name, channel=row.channel, home=row.home,
        private=row.private, topic=row.topic, wanted_at=codec.at(row.wanted_at), archive_after_s=row.archive_after_s,
        pointer_ts=row.pointer_ts, pointer_text=row.pointer_text, done=tuple(row.done), problems=tuple(row.problems),
    )  # fmt: skip
