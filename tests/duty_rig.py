"""Duty end to end: real Bolt in the loopback workspace, our database, the courier, and a PagerDuty with a memory."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from bot.authors import Authors
from bot.comms import CommsDesk, CommsParts
from bot.domain.faults import no_fault
from bot.domain.incident import Incident
from bot.domain.proposal import Principal
from bot.domain.view import IncidentView
from bot.duty import DutyDesk, DutyParts
from bot.edges.author_book import SqlAuthorBook
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.duty_book import SqlDutyBook
from bot.edges.follow_book import SqlFollowBook
from bot.edges.github import GitHub
from bot.edges.inline_jobs import InlineJobs
from bot.edges.issue_markdown import written
from bot.edges.links import SqlLinks
from bot.edges.pagerduty_out import NoPager, PagerDuty
from bot.edges.slack_app import build_app, home_tab, start_socket_mode
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Workspace, new_client
from bot.edges.slack_desk import SlackDeps
from bot.edges.slack_home import HomeTab
from bot.edges.slack_people import SlackPeople
from bot.edges.understand import understand
from bot.editing import TimelineScribe
from bot.following import FollowParts, FollowUps
from bot.wiring import open_librarian, open_shelf, specs
from config.catalogue import Catalogue
from diagnostics.model import Evidence, Finding, Verdict
from drills.slack import seed
from drills.slack.acts import Done
from drills.slack.server import LoopbackSlack, Options
from knowledge.model import Query, Retrieval
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.shelf import Shelf
from tests.conftest import FakeClock
from tests.flow_fakes import Rig as FlowRig
from tests.flow_fakes import finding
from tests.github_fakes import TOKEN
from tests.incident_samples import page, settle
from tests.pagerduty_fakes import KEY, PagerDutyState, pagerduty
from tests.slack_rig import WallClock, until


class AheadClock(WallClock):
    """The machine's clock, which a test may put forward."""

    ahead = timedelta(0)

    def now(self) -> datetime:
        return super().now() + self.ahead


def redact(text: str) -> str:
    """Takes out the one secret that there is."""
    return text.replace("hunter2", "***")


ANA = Principal(id="slack:T0LOOP/U0ANA", name="ana", via="slack")


@dataclass(kw_only=True)
class DutyRig:
    """Everything that is running."""

    slack: LoopbackSlack
    shelf: Shelf
    books: Path
    """A library of the company's own."""
    flow: FlowRig
    duty: DutyDesk
    jobs: InlineJobs
    courier: Courier
    clock: AheadClock
    deps: SlackDeps
    pager: PagerDutyState
    home: HomeTab
    comms: CommsDesk
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Probes that were run."""
    incident: str = ""
    ts: str = ""
    """Of the card."""

    async def page(self, event: str = "E1", **changes: Any) -> str:
        """A page arrives from PagerDuty, and its card is posted."""
        now = self.clock.now()
        about = {"incident_ref": "Q2PQ7M1", "occurred_at": now, "received_at": now, **changes}
        self.incident = await settle(self.flow.inbox, self.flow.casebook, page(event, **about), now=now)
        await self.deliver()
        view = await self.view()
        self.ts = view.message.ts if view.message else ""
        return self.incident

    async def deliver(self) -> None:
        """Jobs run, and what waits in the outbox goes out."""
        await self.jobs.idle()
        for _ in range(3):
            for lane in self.courier._lanes.values():
                lane.tokens = lane.burst
            await self.courier.deliver()

    async def view(self, incident: str = "") -> IncidentView:
        view = await self.flow.records.view(incident or self.incident)
        assert view is not None
        return view

    async def type(self, user: str, command: str, channel: str = "C0ASSIST") -> str:
        """Type a slash command; what only that person sees of it."""
        before = len(self.told(user, channel))
        done = await self.slack.acts.slash(user, channel, command)
        assert done.ok, done.error
        await self.deliver()
        return "\n".join(self.told(user, channel)[before:])

    def told(self, user: str, channel: str = "C0ASSIST") -> list[str]:
        messages = self.slack.workspace.channels[channel].messages.values()
        return [str(m.payload.get("text") or "") for m in messages if m.only_for == user]

    def thread(self, channel: str = "C0ASSIST") -> list[str]:
        """What we said below the card."""
        messages = self.slack.workspace.channels[channel].messages.values()
        app = self.slack.workspace.app.user
        below = [m for m in messages if m.payload.get("thread_ts") == self.ts != m.ts and not m.only_for]
        return [str(m.payload["text"]) for m in below if m.payload.get("user") == app]

    async def facts(self, *kinds: str) -> list[dict[str, Any]]:
        return [dict(entry.fact.data) for entry in (await self.view()).entries(*kinds)]

    def modal(self, user: str) -> dict[str, Any]:
        shown = self.slack.surfaces.top(user)
        assert shown is not None
        return dict(shown.view)

    async def submit(self, user: str, **values: str) -> Done:
        """Fill in the form in front of somebody, and send it."""
        given = {block: {"value": value} for block, value in values.items()}
        return await self.slack.acts.submit(user, self.modal(user)["id"], given)

    async def hear(self, event: str, kind: str, **changes: Any) -> None:
        """PagerDuty tells something about the incident."""
        now = self.clock.now()
        told = page(event, kind=kind, incident_ref="Q2PQ7M1", occurred_at=now, received_at=now, **changes)
        await settle(self.flow.inbox, self.flow.casebook, told, now=now)
        await self.deliver()

    def posts(self, channel: str) -> list[dict[str, Any]]:
        """Our own messages in a channel, below no other."""
        us = self.slack.workspace.app.user
        messages = self.slack.workspace.channels[channel].messages.values()
        return [m.payload for m in messages if m.payload.get("user") == us and not m.payload.get("thread_ts")]

    async def settled(self, kind: str, count: int = 1) -> None:
        """Until so many deliveries of this kind were answered."""
        await until(lambda: sum(d["kind"] == kind and d["ok"] for d in self.slack.delivery.sent) >= count)

    def posted(self, requests: str) -> list[Any]:
        """Bodies of what PagerDuty was asked to change, by the end of the path."""
        return [body for method, path, _, body in self.pager.requests if method == "POST" and path.endswith(requests)]


@asynccontextmanager
async def duty_rig(
    folder: Path, catalogue: Catalogue, *, connected: bool = True, hub: str = "", **changes: Any
) -> AsyncIterator[DutyRig]:
    """All of it over Socket Mode, with one open incident. ``hub``: base URL of a GitHub."""
    async with AsyncExitStack() as stack:
        database = Database(folder / "pagerunner.sqlite")
        database.open()
        stack.callback(database.close)
        if "key" in changes:
            changes["links"] = SqlLinks(database, changes.pop("clock", WallClock()), changes.pop("key"))
        state = PagerDutyState()
        pager_url = await stack.enter_async_context(pagerduty(state))
        slack = await stack.enter_async_context(
            LoopbackSlack(seed.load(), Options(port=0, rate_limits=False, retry_delays=(0, 0.02, 0.02)))
        )
        running = _assembled(database, catalogue, slack, state, pager_url if connected else "", hub, **changes)
        handler = await start_socket_mode(build_app(running.deps, running.home), "xapp-loopback", f"{slack.url}/api/")
        stack.push_async_callback(handler.close_async)
        await until(slack.socket_mode.connected)
        await running.page()
        yield running


def _assembled(database: Database, catalogue: Catalogue, slack: LoopbackSlack, state: PagerDutyState, pager_url: str,
               hub: str = "", **changes: Any) -> DutyRig:  # fmt: skip
    clock: Any = AheadClock()
    flow = FlowRig(database, catalogue, clock, understand=understand(str), pager_connected=bool(pager_url))
    asked: list[tuple[str, str]] = []

    async def ask(incident: Incident, probe: str) -> Finding:
        asked.append((incident.id, probe))
        shown = finding(probe, "server_error", Verdict.ABNORMAL, id=f"ev-asked-{len(asked)}", n=10)
        evidence = (Evidence(source=f"read by {probe}", excerpt="HTTP 529 <!channel> *overloaded*"),)
        return replace(shown, reading=replace(shown.reading, evidence=evidence))

    books = database.path.parent / "books"
    books.mkdir()
    shelf = open_shelf([books], {action.spec.name: action for action in BUILT_IN}, catalogue, clock.now().date())
    librarian = open_librarian(shelf, None)

    async def search(query: Query) -> Retrieval:
        await asyncio.sleep(0)
        return librarian.search(query)

    scribe = TimelineScribe(flow.records, flow.casebook, clock)
    client = new_client("xoxb-loopback", f"{slack.url}/api/")
    chat = SlackChat(client, clock)
    authors = Authors(catalogue, clock, flow.records, shelf, SqlAuthorBook(database), chat.permalink)
    more = DutyParts(inbox=flow.inbox, records=flow.records, book=SqlDutyBook(database), scribe=scribe, library=shelf,
                     search=search, ask=ask, authors=authors)  # fmt: skip
    holder: list[DutyDesk] = []

    async def perform(kind: str, arguments: Any) -> None:
        assert kind == "probe"
        await holder[0].asked(arguments["incident"], arguments["probe"], arguments["key"], arguments["by"])

    jobs = InlineJobs(perform)
    holder.append(DutyDesk(replace(flow._parts, jobs=jobs, specs=specs()), more))
    workspace = Workspace(client)
    people = SlackPeople(client, workspace, catalogue, clock)
    pager = PagerDuty(KEY, "oncall@example.com", pager_url, backoff_s=0.001) if pager_url else NoPager()

    async def first_time(key: str) -> bool:
        return await flow.inbox.first_time(key, 0.0)

    async def audit(fact: Any) -> None:
        await flow.casebook.record("installation", [fact], clock.now(), card=False)

    tracker = GitHub(TOKEN, hub) if hub else None
    follow = FollowUps(FollowParts(
        catalogue=catalogue, clock=clock, records=flow.records, book=SqlFollowBook(database), write=written,
        permalink=chat.permalink, redact=lambda text: text.replace("hunter2", "[secret]"), redaction="company",
        connected=tracker is not None,
    ))  # fmt: skip
    comms = CommsDesk(replace(flow._parts, catalogue=catalogue), CommsParts(
        records=flow.records, book=more.book, pager=pager, redact=redact))  # fmt: skip
    deps = SlackDeps(
        client=client, workspace=workspace, chat=chat, desk=flow.desk, records=flow.records, catalogue=catalogue,
        clock=clock, first_time=first_time, audit=audit, app_id="A0PAGERUN", duty=holder[0],
        comms=comms, follow=follow, people=people, **changes,
    )  # fmt: skip
    courier = Courier(database, flow.records, chat, pager, clock, no_fault, fresh_every_s=0, tracker=tracker)
    home = home_tab(deps)
    assert home is not None
    return DutyRig(slack=slack, flow=flow, duty=holder[0], jobs=jobs, courier=courier, clock=clock, deps=deps,
                   pager=state, asked=asked, home=home, comms=comms, shelf=shelf, books=books)  # fmt: skip


__all__ = ["ANA", "DutyRig", "FakeClock", "duty_rig"]
