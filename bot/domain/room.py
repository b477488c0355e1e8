"""An incident's own channel: its name, what stands at its top, and the line that points to it. Pure."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from bot.domain import wording
from bot.domain.untrusted import escape, line, quote
from config.incident_channel import IncidentChannel

if TYPE_CHECKING:
    from bot.domain.view import IncidentView

LONGEST_NAME = 80
LONGEST_TOPIC = 250
"""Of a topic and of a description, by Slack's rules."""
MOST_BOOKMARKS = 12


class RoomState(StrEnum):
    """Where a channel stands. ``thread`` is an end: the incident goes on in its team's channel."""

    WANTED = "wanted"
    OPEN = "open"
    ARCHIVED = "archived"
    THREAD = "thread"


@dataclass(frozen=True, kw_only=True, slots=True)
class Room:
    """An incident's own channel as we have it."""

    incident_id: str
    state: RoomState
    name: str
    channel: str
    """Its id; empty until it is there. While ``wanted``, that of an archived one which is to be opened again."""
    home: str
    """The team's channel: the line that points here stands there."""
    private: bool
    topic: str
    wanted_at: datetime
    archive_after_s: float | None
    pointer_ts: str = ""
    pointer_text: str = ""
    """What the pointer said last."""
    done: tuple[str, ...] = ()
    """Steps of furnishing it that are over."""
    problems: tuple[str, ...] = ()
    """What could not be done, in words, escaped."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Filling:
    """What the places of a template stand for: all of it from our own catalogue and clock, nothing from a page."""

    at: datetime
    service: str
    team: str
    incident_id: str

    def fill(self, template: str) -> str:
        """The template with its places filled in."""
        values = {"date": f"{self.at:%Y%m%d}", "time": f"{self.at:%H%M}", "service": self.service, "team": self.team,
                  "id": self.incident_id}  # fmt: skip
        return re.sub(r"\{([a-z]+)\}", lambda match: values[match[1]], template)


def name_of(policy: IncidentChannel, filling: Filling, number: int = 1) -> str:
    """The channel's name by Slack's rules: 80 characters of a-z, 0-9, ``-`` and ``_``; numbered from the second on."""
    plain = re.sub(r"[^a-z0-9_-]+", "-", filling.fill(policy.name).lower()).strip("-_")
    return numbered(plain or filling.incident_id, number)


def numbered(name: str, number: int) -> str:
    """The name with its number, within the length that Slack allows."""
    ending = f"-{number}" if number > 1 else ""
    return f"{name[: LONGEST_NAME - len(ending)].rstrip('-_')}{ending}"


def topic_of(policy: IncidentChannel, filling: Filling) -> str:
    """What stands beside the channel's name."""
    return line(filling.fill(policy.topic), LONGEST_TOPIC)[:LONGEST_TOPIC]


def purpose_of(room: Room) -> str:
    """The channel's description. By it a channel is known as this incident's, so its id stands in it."""
    return f"Incident {room.incident_id}. Its card is the first message; ask @Pagerunner, or type /oncall help."


def bookmarks_of(view: "IncidentView", policy: IncidentChannel, page_link: str) -> Iterator[tuple[str, str]]:
    """Titles and addresses: the pager's incident, the service's dashboards, and what the policy names. Only https."""
    host = urlsplit(page_link).hostname or ""
    if page_link.startswith("https://") and (host == "pagerduty.com" or host.endswith(".pagerduty.com")):
        yield "PagerDuty", page_link
    for link in view.service.dashboards if view.service else ():
        if link.url.startswith("https://"):
            yield link.title, link.url
    for own in policy.bookmarks:
        yield own.title, own.url


def pointer(view: "IncidentView", headline: str) -> str:
    """The line in the team's channel: what it is, how it stands, and where. Slack mrkdwn, escaped. Of a private channel
    nothing of its content is told."""
    incident, room = view.incident, view.room
    status, name = wording.STATUS[incident.status], f"*{escape(incident.id)}* {escape(line(incident.service, 60))}"
    if room is None or room.state is RoomState.WANTED:
        return f"{name}, {status}. Its channel is being opened."
    what = f"{name}, {status}"
    if view.diagnosis is not None and not room.private:
        told = escape(line(headline, 140))
        what = f"{name}. {told}" if told.startswith(status.capitalize()) else f"{what}: {told}"
    where = f"<#{room.channel}>" if room.channel else ""
    after = " (archived)" if room.state is RoomState.ARCHIVED else ""
    return f"{what}\nCard, evidence and approvals: {where}{after}"


def furnishing_said(room: Room) -> str:
    """What could not be done, for people in the channel."""
    return "\n".join(["Not everything about this channel worked out:", *(f"• {said}" for said in room.problems)])


def not_invited(name: str, why: str) -> str:
    """Somebody on call could not be invited, and why."""
    return f"{quote(name, 60)} was not invited: {escape(line(why, 200))}"
