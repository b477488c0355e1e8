"""Incidents with channels of their own, end to end: the flow, our database, the courier, the loopback workspace with
our Bolt in it, and a PagerDuty that knows who is on call."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bot.domain.faults import no_fault
from bot.domain.page import Page
from bot.domain.room import RoomState
from bot.domain.view import IncidentView
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.pagerduty_out import NoPager, PagerDuty
from bot.edges.rooms import KeeperParts, RoomKeeper
from bot.edges.slack_app import build_app, start_socket_mode
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Workspace, new_client
from bot.edges.slack_desk import SlackDeps
from bot.edges.slack_people import SlackPeople
from bot.edges.slack_rooms import SlackRooms
from bot.ports import Placed, Received, Rooms
from config.catalogue import Catalogue
from config.incident_channel import IncidentChannel
from drills.slack import seed
from drills.slack.server import LoopbackSlack, Options
from drills.slack.workspace import Channel
from tests.conftest import FakeClock
from tests.flow_fakes import Rig as FlowRig
from tests.incident_samples import page
from tests.pagerduty_fakes import KEY, PagerDutyState, pagerduty
from tests.slack_rig import until

HOME = "C0ASSIST"


def with_channels(catalogue: Catalogue, **policy: Any) -> Catalogue:
    """The example company, of which team assist wants a channel for each incident."""
    wanted = IncidentChannel.model_validate(policy)
    teams = tuple(
        team.model_copy(update={"incident_channel": wanted, "pagerduty_escalation_policy": "PEPASSIST"})
        if team.name == "assist"
        else team
        for team in catalogue.teams
    )
    return catalogue.model_copy(update={"teams": teams})


@dataclass(kw_only=True)
class RoomRig:
    """Everything that is running."""

    slack: LoopbackSlack
    database: Database
    catalogue: Catalogue
    clock: FakeClock
    flow: FlowRig
    courier: Courier
    chat: SlackChat
    parts: KeeperParts
    pager: PagerDutyState
    incident: str = ""
    pages: dict[str, Page] = field(default_factory=dict)

    async def page(self, event: str = "E1", *, deliver: bool = True, **changes: Any) -> str:
        """A page arrives, and what follows of it in chat."""
        now = self.clock.now()
        about = {"incident_ref": "Q2PQ7M1", "occurred_at": now, "received_at": now, **changes}
        one = page(event, **about)
        self.pages[f"pagerduty:{event}"] = one
        received = Received(key=f"pagerduty:{event}", source="pagerduty", body=b"{}", received_at=now)
        await self.flow.inbox.accept(received)
        await self.flow.flow.receive()
        if deliver:
            await self.deliver()
        found = await self.flow.records.incidents(active_only=False)
        self.incident = found[0].id
        return self.incident

    async def deliver(self, seconds: int = 6) -> None:
        """Jobs run, and what waits in the outbox goes out, second by second."""
        for _ in range(seconds):
            await self.flow.jobs.idle()
            await self.courier.deliver()
            self.clock.advance(1)

    def restart(self, fault: Callable[[str], None] = no_fault) -> None:
        """A new process on the same database."""
        self.courier = new_courier(self, fault)

    async def view(self, incident: str = "") -> IncidentView:
        found = await self.flow.records.view(incident or self.incident)
        assert found is not None
        return found

    async def room(self, incident: str = "") -> Channel:
        """The incident's own channel, as the workspace has it."""
        view = await self.view(incident)
        assert view.room is not None
        assert view.room.state is not RoomState.THREAD, "there is no channel"
        return self.slack.workspace.channels[view.room.channel]

    async def facts(self, *kinds: str) -> list[dict[str, Any]]:
        return [dict(entry.fact.data) for entry in (await self.view()).entries(*kinds)]

    def made(self) -> list[str]:
        """Names of the channels that were made since the workspace was born."""
        return [c.name for c in self.slack.workspace.channels.values() if c.creator]

    def said(self, channel: str, *, top: bool = True) -> list[str]:
        """What we said in a channel: at its top, or in threads."""
        app = self.slack.workspace.app.user
        messages = [m for m in self.slack.workspace.channels[channel].messages.values() if not m.only_for]
        ours = [m.payload for m in messages if m.payload.get("user") == app and not m.payload.get("subtype")]
        return [str(m["text"]) for m in ours if (m.get("thread_ts") in (None, m["ts"])) == top]

    def told(self, user: str, channel: str) -> list[str]:
        messages = self.slack.workspace.channels[channel].messages.values()
        return [str(m.payload.get("text") or "") for m in messages if m.only_for == user]

    async def type(self, user: str, command: str, channel: str) -> str:
        """Type a slash command; what only that person sees of it."""
        before = len(self.told(user, channel))
        done = await self.slack.acts.slash(user, channel, command)
        assert done.ok, done.error
        return "\n".join(self.told(user, channel)[before:])

    def calls(self, method: str) -> list[dict[str, Any]]:
        return [call for call in self.slack.api.calls if call["method"] == method]


def new_courier(rig: RoomRig, fault: Callable[[str], None] = no_fault) -> Courier:
    parts = KeeperParts(database=rig.database, rooms=rig.parts.rooms, pager=rig.parts.pager,
                        catalogue=rig.catalogue, clock=rig.clock, fault=fault)  # fmt: skip
    return Courier(rig.database, rig.flow.records, rig.chat, rig.parts.pager, rig.clock, fault,
                   keeper=RoomKeeper(parts))  # fmt: skip


@asynccontextmanager
async def room_rig(folder: Path, catalogue: Catalogue, *, connected: bool = True, talking: bool = False,
                   **options: Any) -> AsyncIterator[RoomRig]:  # fmt: skip
    """All of it; ``talking``: with the app's listeners, over Socket Mode."""
    async with AsyncExitStack() as stack:
        database = Database(folder / "pagerunner.sqlite")
        database.open()
        stack.callback(database.close)
        state, clock = PagerDutyState(), FakeClock()
        pager_url = await stack.enter_async_context(pagerduty(state))
        settings = Options(port=0, rate_limits=False, retry_delays=(0, 0.02, 0.02), **options)
        slack = LoopbackSlack(seed.load(), settings, now=lambda: clock.now().timestamp())
        await stack.enter_async_context(slack)
        client = new_client("xoxb-loopback", f"{slack.url}/api/")
        workspace = Workspace(client)
        made, pages = SlackRooms(client, workspace), dict[str, Page]()

        async def rooms(team: str) -> Rooms:
            return made

        flow = FlowRig(database, catalogue, clock, own_channels=True, pager_connected=connected,
                       understand=lambda r: Placed(received=r, page=pages[r.key]))  # fmt: skip
        pager = PagerDuty(KEY, "oncall@example.com", pager_url, backoff_s=0.001) if connected else NoPager()
        parts = KeeperParts(database=database, rooms=rooms, pager=pager, catalogue=catalogue, clock=clock,
                            fault=no_fault)  # fmt: skip
        rig = RoomRig(slack=slack, database=database, catalogue=catalogue, clock=clock, flow=flow,
                      courier=Courier(database, flow.records, None, None, clock, no_fault), parts=parts,
                      chat=SlackChat(client, clock), pager=state, pages=pages)  # fmt: skip
        rig.restart()
        if talking:
            handler = await start_socket_mode(_app(rig, client, workspace), "xapp-loopback", f"{slack.url}/api/")
            stack.push_async_callback(handler.close_async)
            await until(slack.socket_mode.connected)
        yield rig


def _app(rig: RoomRig, client: Any, workspace: Workspace) -> Any:
    async def first_time(key: str) -> bool:
        return await rig.flow.inbox.first_time(key, 0.0)

    async def audit(fact: Any) -> None:
        await rig.flow.casebook.record("installation", [fact], rig.clock.now(), card=False)

    people = SlackPeople(client, workspace, rig.catalogue, rig.clock)
    return build_app(
        SlackDeps(client=client, workspace=workspace, chat=rig.chat, desk=rig.flow.desk, records=rig.flow.records,
                  catalogue=rig.catalogue, clock=rig.clock, first_time=first_time, audit=audit, app_id="A0PAGERUN",
                  people=people)
    )  # fmt: skip
