"""All that one workspace needs, built on its bot token: its chat, its people, its app and its Home tabs."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from slack_bolt.async_app import AsyncApp

from bot.domain.timeline import Fact
from bot.edges.slack_app import build_app, home_tab, http_handler
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import SLACK_API, Us, Workspace, new_client
from bot.edges.slack_desk import FirstTime, SlackDeps
from bot.edges.slack_home import HomeTab
from bot.edges.slack_http import SlackHandler
from bot.edges.slack_people import SlackPeople
from bot.edges.slack_rooms import SlackRooms
from bot.edges.slack_roster import Roster
from bot.ports import Comms, Desk, Duty, Following, Links, People, Records, Rooms, Rota
from config.catalogue import Catalogue
from config.clock import Clock


@dataclass(frozen=True, kw_only=True, slots=True)
class SideParts:
    """What every workspace's side is built on."""

    desk: Desk
    records: Records
    duty: Duty | None
    follow: Following | None
    comms: Comms | None
    links: Links | None
    rota: Rota
    """Who is on call, asked of the pager: one for all workspaces."""
    catalogue: Catalogue
    clock: Clock
    first_time: FirstTime
    audit: Callable[[Fact], Awaitable[None]]
    app_id: str = ""
    timeline_reaction: str = "pushpin"
    api: str = SLACK_API
    whole: bool = True
    """Whether this workspace sees what belongs to no team of its own, and may stop everything."""
    gone: Callable[[str], Awaitable[None]] | None = None
    """Told when the workspace took the app away, with why; None: nobody listens."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One workspace, connected."""

    chat: SlackChat
    rooms: Rooms
    people: People
    roster: Roster
    app: AsyncApp
    home: HomeTab | None
    handle: SlackHandler


def build_side(token: str, parts: SideParts, us: Us | None = None) -> Side:
    """Build it. Asks Slack nothing."""
    client = new_client(token, parts.api)
    workspace = Workspace(client, us)
    chat = SlackChat(client, parts.clock)
    people = SlackPeople(client, workspace, parts.catalogue, parts.clock, parts.rota)
    deps = SlackDeps(
        client=client, workspace=workspace, chat=chat, desk=parts.desk, records=parts.records,
        catalogue=parts.catalogue, clock=parts.clock, first_time=parts.first_time, audit=parts.audit,
        app_id=parts.app_id, duty=parts.duty, follow=parts.follow, comms=parts.comms, links=parts.links, people=people,
        timeline_reaction=parts.timeline_reaction, whole=parts.whole, gone=parts.gone,
    )  # fmt: skip
    home = home_tab(deps)
    app = build_app(deps, home)
    return Side(chat=chat, rooms=SlackRooms(client, workspace), people=people, app=app, home=home,
                roster=Roster(client, workspace, parts.catalogue, parts.clock, parts.rota),
                handle=http_handler(app))  # fmt: skip
