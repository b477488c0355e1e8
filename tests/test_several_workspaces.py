"""Several workspaces: each installs the app, keeps to itself, and can take it away again."""

import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import aiohttp
import httpx
import pytest

from bot.cli.doctor_installs import workspaces as workspaces_of
from bot.cli.slack_installs import needed_scopes, several, store
from bot.domain.faults import no_fault
from bot.domain.page import Page
from bot.domain.proposal import Principal
from bot.domain.signature import SigningSecret
from bot.domain.view import MessageRef
from bot.edges.checks import Check
from bot.edges.checks_pagerduty import PagerAccess
from bot.edges.checks_slack import SlackAccess, slack
from bot.edges.courier import Courier
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.links import SqlLinks
from bot.edges.metrics import Metrics
from bot.edges.rooms import KeeperParts, RoomKeeper
from bot.edges.rota import NoRota
from bot.edges.sealing import Seal, key_of
from bot.edges.slack_oauth import Install
from bot.edges.slack_side import SideParts
from bot.edges.slack_workspaces import Workplaces, Workspaces
from bot.edges.web import create_app
from bot.edges.web_deps import WebDeps
from bot.ports import Placed, Received
from config.catalogue import Approvers, BreakGlass, Catalogue, Updates
from config.incident_channel import IncidentChannel
from config.settings import Settings, load
from drills.slack import seed
from drills.slack.limits import Fault
from drills.slack.seed import Seed
from drills.slack.server import LoopbackSlack, Options
from drills.slack.several import LoopbackSlacks, Registered
from tests.conftest import FakeClock
from tests.flow_fakes import Rig as FlowRig
from tests.incident_samples import page
from tests.slack_rig import Receiver, WallClock, until

FIRST, SECOND, STRANGER = "T0LOOP", "T0SECOND", "T0STRANGE"
PUBLIC = "https://oncall.example.com"


def company(catalogue: Catalogue) -> Catalogue:
    """Trust and safety sits in a workspace of its own, and its incidents get channels."""
    teams = tuple(
        t.model_copy(update={"slack_team": SECOND, "incident_channel": IncidentChannel(invite_on_call=False)})
        if t.name == "trust"
        else t
        for t in catalogue.teams
    )
    return catalogue.model_copy(update={"teams": teams})


def workspace(team: str, name: str, bot: str, channels: tuple[str, ...]) -> Seed:
    born = seed.load()
    users = tuple(
        u.model_copy(update={"id": bot} if u.id == born.app.user else {"is_admin": True})
        for u in born.users
        if not u.is_stranger
    )
    kept = tuple(
        c.model_copy(update={"members": tuple(bot if m == born.app.user else m for m in c.members)})
        for c in born.channels
        if c.id in channels
    )
    about = {"user": bot, "bot_id": f"B{bot[1:]}"}
    changes: dict[str, Any] = {
        "team": seed.Team(id=team, name=name, domain=name.lower()), "users": users, "channels": kept, "usergroups": (),
        "app": born.app.model_copy(update=about),
    }  # fmt: skip
    return born.model_copy(update=changes)


@dataclass(kw_only=True)
class Rig:
    """Everything that is running."""

    slacks: LoopbackSlacks
    database: Database
    settings: Settings
    flow: FlowRig
    workspaces: Workspaces
    install: Install
    courier: Courier
    clock: Any
    pages: dict[str, Page]
    audited: list[Any]
    parts: SideParts
    web: httpx.AsyncClient

    def slack(self, team: str) -> LoopbackSlack:
        return self.slacks.workspaces[team]

    async def visit(self, team: str = FIRST, *, answer: str = "allow", **other: str) -> httpx.Response:
        """Somebody installs the app in a browser, from our address to Slack and back."""
        begun = await self.web.get("/slack/install", params={"team": team})
        assert begun.status_code == 302, begun.text
        query = dict(parse_qsl(urlsplit(begun.headers["location"]).query))
        async with (
            aiohttp.ClientSession() as browser,
            browser.post(
                f"{self.slacks.url}/oauth/v2/authorize",
                data={**query, "into": team, "answer": answer},
                allow_redirects=False,
            ) as allowed,
        ):
            back = urlsplit(allowed.headers["location"])
        assert f"{back.scheme}://{back.netloc}" == PUBLIC
        cookie = begun.headers["set-cookie"].partition(";")[0]
        given = {**dict(parse_qsl(back.query)), **other}
        return await self.web.get(f"{back.path}?{urlencode(given)}", headers={"cookie": other.get("cookie", cookie)})

    async def both(self) -> None:
        for team in (FIRST, SECOND):
            assert (await self.visit(team)).status_code == 200

    async def page(self, event: str, service: str, **changes: Any) -> str:
        now = self.clock.now()
        about = {"incident_ref": f"Q{event}", "incident_key": event, "occurred_at": now, "received_at": now,
                 "service_ref": "", "service_name": service, **changes}  # fmt: skip
        self.pages[f"pagerduty:{event}"] = page(event, **about)
        received = Received(key=f"pagerduty:{event}", source="pagerduty", body=b"{}", received_at=now)
        await self.flow.inbox.accept(received)
        await self.flow.flow.receive()
        await self.deliver()
        found = await self.flow.records.incidents(active_only=False)
        return next(one.id for one in found if one.pager_ref == f"Q{event}")

    async def deliver(self) -> None:
        for _ in range(6):
            await self.flow.jobs.idle()
            for lane in self.courier._lanes.values():
                lane.tokens, lane.paused_until = lane.burst, None
            await self.courier.deliver()

    async def type(self, team: str, user: str, command: str, channel: str) -> str:
        slack = self.slack(team)
        messages = slack.workspace.channels[channel].messages
        before = len(messages)
        done = await slack.acts.slash(user, channel, command)
        assert done.ok, done.error
        return "\n".join(str(m.payload["text"]) for m in list(messages.values())[before:] if m.only_for == user)

    def said(self, team: str) -> list[str]:
        """What the app said in a workspace."""
        found = [m for c in self.slack(team).workspace.channels.values() for m in c.messages.values()]
        return [str(m.payload["text"]) for m in found if m.payload.get("bot_id")]


@asynccontextmanager
async def running(folder: Path, catalogue: Catalogue, app: Registered | None = None) -> AsyncIterator[Rig]:
    declared = company(catalogue)
    async with AsyncExitStack() as stack:
        database = Database(folder / "pagerunner.sqlite")
        database.open()
        stack.callback(database.close)
        receiver = Receiver()
        address = await stack.enter_async_context(receiver.listening())
        seeds = [workspace(FIRST, "First", "U0PAGERUN", ("C0ASSIST", "C0CREATOR", "C0INCIDENTS")),
                 workspace(SECOND, "Second", "U0PAGER2", ("C0TRUST",)),
                 workspace(STRANGER, "Strange", "U0PAGER3", ("C0GENERAL",))]  # fmt: skip
        options = Options(port=0, rate_limits=False, retry_delays=(0, 0.02), events_url=address)
        registered = app or Registered(redirect_urls=(f"{PUBLIC}/",))
        slacks = await stack.enter_async_context(LoopbackSlacks(seeds, options, registered))
        environ = {
            "SLACK": "http", "SLACK_SIGNING_SECRET": options.signing_secret, "SLACK_CLIENT_ID": registered.client_id,
            "SLACK_CLIENT_SECRET": registered.client_secret, "SLACK_APP": "A0PAGERUN", "SLACK_TEAM": FIRST,
            "PUBLIC_URL": PUBLIC, "SLACK_API": f"{slacks.url}/api/", "DATA": str(folder),
        }  # fmt: skip
        settings = load({f"PAGERUNNER_{key}": value for key, value in environ.items()})
        yield await assembled(stack, database, settings, declared, slacks, receiver)


async def assembled(stack: AsyncExitStack, database: Database, settings: Settings, declared: Catalogue,
                    slacks: LoopbackSlacks, receiver: Receiver) -> Rig:  # fmt: skip
    clock: Any = WallClock()
    pages: dict[str, Page] = {}
    audited: list[Any] = []
    flow = FlowRig(database, declared, clock, own_channels=True,
                   understand=lambda r: Placed(received=r, page=pages[r.key]))  # fmt: skip

    async def first_time(key: str) -> bool:
        return await flow.inbox.first_time(key, 0.0)

    async def audit(fact: Any) -> None:
        audited.append(fact)

    links = SqlLinks(database, clock, b"key")
    rota = NoRota()
    parts = SideParts(desk=flow.desk, records=flow.records, duty=None, follow=None, comms=None, links=links,
                      rota=rota, catalogue=declared, clock=clock, first_time=first_time, audit=audit,
                      app_id="A0PAGERUN", api=settings.slack_api)  # fmt: skip
    workspaces, install = await several(settings, database, parts)
    receiver.handler = workspaces.handle
    receiver.secrets = [SigningSecret(value=settings.slack_signing_secret.get_secret_value())]
    keeper = RoomKeeper(KeeperParts(database=database, rooms=workspaces.rooms, pager=None, catalogue=declared,
                                    clock=clock, fault=no_fault))  # fmt: skip
    courier = Courier(database, flow.records, workspaces, None, clock, no_fault, fresh_every_s=0, keeper=keeper)

    async def visited(step: str, query: str, headers: Any) -> Any:
        return await (install.begin if step == "begin" else install.finish)(query, headers)

    web = create_app(
        WebDeps(inbox=flow.inbox, desk=flow.desk, records=flow.records, exporter=Export(), clock=clock,
                metrics=Metrics(), slack_handler=workspaces.handle, slack_install=visited)
    )  # fmt: skip
    browser = httpx.AsyncClient(transport=httpx.ASGITransport(app=web), base_url=PUBLIC)
    await stack.enter_async_context(browser)
    return Rig(slacks=slacks, database=database, settings=settings, flow=flow, workspaces=workspaces, install=install,
               courier=courier, clock=clock, pages=pages, audited=audited, parts=parts, web=browser)  # fmt: skip


@pytest.fixture
async def rig(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[Rig]:
    async with running(tmp_path, catalogue) as made:
        yield made


def stored(rig: Rig) -> list[tuple[Any, ...]]:
    with sqlite3.connect(rig.database.path) as connection:
        found = connection.execute("SELECT team, token FROM installation ORDER BY team").fetchall()
    connection.close()
    return found


# --- installing ------------------------------------------------------------------------------------------------------


async def test_a_workspace_installs_the_app_with_the_fewest_permissions_and_is_served_at_once(rig: Rig) -> None:
    assert list(rig.workspaces.missing()) == [FIRST, SECOND]
    done = await rig.visit(SECOND)

    assert (done.status_code, "Pagerunner is installed" in done.text) == (200, True)
    assert done.headers["content-security-policy"].startswith("default-src 'none'")
    assert list(rig.workspaces.missing()) == [FIRST]
    assert set(rig.slack(SECOND).workspace.app.scopes) == set(needed_scopes(rig.parts.catalogue))
    assert "channels:manage" in rig.slack(SECOND).workspace.app.scopes
    assert "help" in await rig.type(SECOND, "U0CHI", "/oncall help", "C0TRUST")


async def test_tokens_are_sealed_in_the_database_and_the_key_is_the_owners_alone(rig: Rig, tmp_path: Path) -> None:
    await rig.both()
    rows = stored(rig)
    assert [team for team, _ in rows] == [FIRST, SECOND]
    assert not any(b"xoxb" in token for _, token in rows)
    assert (tmp_path / "slack-tokens.key").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "pagerunner.sqlite").stat().st_mode & 0o077 == 0
    (first, _) = await store(rig.settings, rig.database).all()
    assert first.token.startswith("xoxb-")
    assert "xoxb" not in repr(first)


async def test_a_key_is_replaced_without_installing_again_and_a_lost_one_says_what_to_do(rig: Rig) -> None:
    await rig.visit(FIRST)
    old = key_of(rig.settings.data / "slack-tokens.key")
    both = {"slack_token_keys": load({"PAGERUNNER_SLACK_TOKEN_KEYS": f"new,{old}"}).slack_token_keys}
    (opened,) = await store(rig.settings.model_copy(update=both), rig.database).all()
    assert opened.token.startswith("xoxb-")

    lost = rig.settings.model_copy(update={"slack_token_keys": both["slack_token_keys"][:1]})
    workspaces, _ = await several(lost, rig.database, rig.parts)
    assert list(workspaces.missing()) == [FIRST, SECOND]
    with pytest.raises(Exception, match=r"sealed with another key; open .*/slack/install\?team=T0LOOP"):
        workspaces.of_team("assist")


async def test_a_workspace_that_nobody_named_is_not_let_in_and_its_token_is_revoked(rig: Rig) -> None:
    done = await rig.visit(STRANGER)

    assert done.status_code == 403
    assert "T0STRANGE is not one of those that are served here" in done.text
    assert stored(rig) == []
    assert [call["method"] for call in rig.slack(STRANGER).api.calls][-1] == "auth.revoke"
    assert list(rig.slack(STRANGER).api.token_errors.values()) == ["token_revoked"]
    assert [fact.kind for fact in rig.audited] == ["foreign_team"]


async def test_installing_again_replaces_the_token(rig: Rig) -> None:
    await rig.visit(FIRST)
    ((_, before),) = stored(rig)
    await rig.visit(FIRST)
    ((_, after),) = stored(rig)
    assert before != after
    assert "help" in await rig.type(FIRST, "U0ANA", "/oncall help", "C0ASSIST")


@pytest.mark.parametrize(
    ("other", "status", "said"),
    [
        ({"answer": "no"}, 200, "it was not allowed in Slack"),
        ({"state": "made-up"}, 400, "this browser did not begin it"),
        ({"cookie": "slack-app-oauth-state=another"}, 400, "this browser did not begin it"),
        ({"state": "é", "cookie": "x=y"}, 400, "this browser did not begin it"),
        ({"code": "made-up"}, 401, "Slack did not accept its own code"),
        ({"error": "<script>alert(1)</script>"}, 200, "&lt;script&gt;"),
    ],
)
async def test_what_is_not_an_installation_is_told_and_changes_nothing(
    rig: Rig, other: dict[str, str], status: int, said: str
) -> None:
    done = await rig.visit(FIRST, **other)
    assert (done.status_code, said in done.text) == (status, True), done.text
    assert "<script>" not in done.text
    assert stored(rig) == []


async def test_a_state_is_worth_one_installation_and_ten_minutes(rig: Rig) -> None:
    kept, clock = store(rig.settings, rig.database), FakeClock()
    state = kept.begin(clock.now())
    assert await kept.finish(state, clock.now())
    assert not await kept.finish(state, clock.now())

    late = kept.begin(clock.now())
    clock.advance(601)
    assert not await kept.finish(late, clock.now())
    assert not await kept.finish(Seal(["another key"]).stamp("x", clock.now()), clock.now())
    for nonsense in ("", "é", "x" * 5_000):
        assert not await kept.finish(nonsense, clock.now())


@pytest.mark.parametrize(("app", "said"), [
    (Registered(rotates=True, redirect_urls=(f"{PUBLIC}/",)), "Turn token rotation off"),
])  # fmt: skip
async def test_an_app_that_is_set_up_otherwise_is_told_what_to_change(
    tmp_path: Path, catalogue: Catalogue, app: Registered, said: str
) -> None:
    async with running(tmp_path, catalogue, app) as rig:
        done = await rig.visit(FIRST)
        assert (done.status_code, said in done.text) == (403, True)
        assert stored(rig) == []


async def test_the_code_and_the_secret_never_reach_a_log(rig: Rig, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"):
        await rig.visit(FIRST, code="secret-code-hunter2")
        assert (await rig.visit(FIRST)).status_code == 200
    logged = "\n".join(record.getMessage() for record in caplog.records if record.name != "httpx")
    assert not [secret for secret in ("hunter2", rig.slacks.app.client_secret, "xoxb-") if secret in logged]


async def test_slack_that_does_not_answer_is_told(rig: Rig) -> None:
    rig.slack(FIRST).api.faults.add(Fault(method="auth.test", status=500))
    done = await rig.visit(FIRST)
    assert (done.status_code, stored(rig)) == (401, [])


# --- each to itself --------------------------------------------------------------------------------------------------


async def test_each_incident_is_told_in_the_workspace_of_its_team_with_its_token(rig: Rig) -> None:
    await rig.both()
    first = await rig.page("E1", "chat-assistant", title="errors in the chat")
    second = await rig.page("E2", "text-moderation", title="moderation is slow")

    assert any(first in text for text in rig.said(FIRST))
    assert any(second in text for text in rig.said(SECOND))
    assert not any(second in text for text in rig.said(FIRST))
    assert not any(first in text for text in rig.said(SECOND))
    made = [c.name for c in rig.slack(SECOND).workspace.channels.values() if c.creator]
    assert len(made) == 1
    assert made[0].endswith("text-moderation")


async def test_what_is_said_later_goes_where_the_incident_is(rig: Rig) -> None:
    await rig.both()
    incident = await rig.page("E2", "text-moderation")
    await rig.flow.casebook.say(incident, "k", "the evidence", rig.clock.now())
    await rig.flow.casebook.send(incident, "f", "md", rig.clock.now())
    await rig.deliver()
    assert "the evidence" in rig.said(SECOND)
    files = [f["name"] for c in rig.slack(SECOND).workspace.channels.values() for m in c.messages.values()
             for f in m.payload.get("files", [])]  # fmt: skip
    assert files == [f"{incident}.md"]


async def test_a_person_is_told_in_the_workspace_of_the_team_alone(rig: Rig) -> None:
    await rig.both()
    incident = await rig.page("E2", "text-moderation")
    to = MessageRef(channel="chi@example.com", ts="")
    await rig.flow.casebook.say(incident, "k", "your runbook helped", rig.clock.now(), at=to)
    await rig.deliver()
    assert "your runbook helped" in rig.said(SECOND)
    assert "your runbook helped" not in rig.said(FIRST)


async def test_what_is_sent_to_stakeholders_goes_to_the_workspace_of_the_team(rig: Rig) -> None:
    await rig.both()
    assert await rig.workspaces.permalink(MessageRef(channel="C0NOWHERE", ts="1.0")) == ""
    updates = Updates(every_min=30, channel="C0STATUS")
    teams = [t.model_copy(update={"updates": updates}) if t.name == "trust" else t for t in rig.parts.catalogue.teams]
    places = Workplaces(catalogue=rig.parts.catalogue.model_copy(update={"teams": tuple(teams)}), default=FIRST)
    assert [places.of_channel(one) for one in ("C0STATUS", "C0ASSIST", "C0OTHER")] == [SECOND, FIRST, ""]


async def test_people_see_the_incidents_and_services_of_their_own_workspace_alone(rig: Rig) -> None:
    await rig.both()
    first = await rig.page("E1", "chat-assistant")
    second = await rig.page("E2", "text-moderation", title="moderation is slow")
    nobodys = await rig.page("E3", "unheard-of", title="who owns this")

    here = await rig.type(FIRST, "U0ANA", "/oncall list", "C0ASSIST")
    assert [one in here for one in (first, second, nobodys)] == [True, False, True]
    there = await rig.type(SECOND, "U0CHI", "/oncall list", "C0TRUST")
    assert [one in there for one in (first, second, nobodys)] == [False, True, False]
    assert "There is no incident" in await rig.type(SECOND, "U0CHI", f"/oncall show {first}", "C0TRUST")
    assert "no service" in await rig.type(SECOND, "U0CHI", "/oncall freeze chat-assistant because", "C0TRUST")
    assert "in other workspaces too" in await rig.type(SECOND, "U0CHI", "/oncall freeze * because", "C0TRUST")


async def test_approvers_belong_to_the_workspace_of_the_team(rig: Rig) -> None:
    await rig.both()
    people = rig.workspaces
    for who, team, may in (
        (f"slack:{SECOND}/U0CHI", "trust", True),
        (f"slack:{FIRST}/U0CHI", "trust", False),
        (f"slack:{SECOND}/U0ANA", "assist", False),
        (f"slack:{FIRST}/U0ANA", "assist", True),
        (f"slack:{FIRST}/U0ANA", "nobody", False),
    ):
        told = await people.may_approve(Principal(id=who, name="x", via="slack"), team)
        assert told[0] is may, (who, team, told)
        named = [Approvers(slack_users=("U0CHI", "U0ANA"))]
        told = await people.may_break_glass(Principal(id=who, name="x", via="slack"), team, named)
        assert told[0] is may, (who, team, told)
    local = Principal(id="local:root", name="root", via="cli")
    assert (await people.may_approve(local, "trust"))[0]


async def test_a_request_of_another_workspace_or_another_app_is_refused(rig: Rig) -> None:
    await rig.visit(FIRST)
    from bot.edges.slack_http import SlackRequest

    async def answer(body: dict[str, Any]) -> int:
        request = SlackRequest(raw=json.dumps(body).encode(), headers={"content-type": "application/json"})
        return (await rig.workspaces.handle(request)).status

    event = {"type": "event_callback", "api_app_id": "A0PAGERUN", "event": {"type": "message"}, "event_id": "Ev1"}
    assert await answer({**event, "team_id": STRANGER}) == 403
    assert await answer({**event, "team_id": SECOND}) == 403
    assert await answer({**event, "team_id": FIRST, "api_app_id": "A0OTHER"}) == 403
    assert await answer({**event, "team_id": FIRST}) == 200
    assert await answer({"type": "url_verification", "challenge": "abc"}) == 200
    for raw in (b"[" * 20_000, b"[1,2]", b"\xff", b"payload=%5B1%5D", b""):
        assert (await rig.workspaces.handle(SlackRequest(raw=raw, headers={}))).status == 400
    assert {fact.data["team"] for fact in rig.audited} == {STRANGER, SECOND, FIRST}


async def test_the_same_event_id_in_two_workspaces_is_two_events(rig: Rig) -> None:
    await rig.both()
    await rig.page("E1", "chat-assistant")
    await rig.page("E2", "text-moderation")
    for team, channel in ((FIRST, "C0ASSIST"), (SECOND, "C0TRUST")):
        bot = rig.slack(team).workspace.app.user
        rig.slack(team).acts.say("U0ANA" if team == FIRST else "U0CHI", channel, f"<@{bot}> why?")
        await rig.slack(team).delivery.drained()
    await rig.deliver()
    for team in (FIRST, SECOND):
        assert len([text for text in rig.said(team) if "in the thread of an incident" not in text]) >= 2


# --- taking it away --------------------------------------------------------------------------------------------------


async def test_an_app_that_is_uninstalled_is_forgotten_and_its_incidents_say_so(rig: Rig) -> None:
    await rig.both()
    rig.slacks.uninstall(SECOND)
    await rig.slack(SECOND).delivery.drained()
    await until(lambda: list(rig.workspaces.missing()) == [SECOND])
    assert [team for team, _ in stored(rig)] == [FIRST]
    entries = await rig.flow.records.timeline("installation")
    assert [e.fact.kind for e in entries][-1] == "app_uninstalled"

    incident = await rig.page("E2", "text-moderation")
    view = await rig.flow.records.view(incident)
    assert view is not None
    why = f"open {PUBLIC}/slack/install?team={SECOND} there"
    assert any(why in str(e.fact.data.get("why")) for e in view.entries("alarm"))
    told = await rig.workspaces.may_approve(Principal(id=f"slack:{SECOND}/U0CHI", name="x", via="slack"), "trust")
    assert (told[0], why in told[1]) == (False, True)


async def test_when_it_is_installed_again_what_could_not_be_told_is_told(rig: Rig) -> None:
    await rig.visit(FIRST)
    incident = await rig.page("E2", "text-moderation")
    assert rig.said(SECOND) == []
    await rig.visit(SECOND)
    await rig.deliver()
    assert any(incident in text for text in rig.said(SECOND))


async def test_a_start_finds_what_is_installed(rig: Rig) -> None:
    await rig.both()
    again, _ = await several(rig.settings, rig.database, rig.parts)
    assert list(again.missing()) == []
    assert len(again.sides()) == 2


# --- doctor ----------------------------------------------------------------------------------------------------------


async def doctor(rig: Rig, catalogue: Catalogue | None = None, **changes: Any) -> dict[str, Check]:
    settings = rig.settings.model_copy(update=changes)
    access = SlackAccess(mode="http", api=settings.slack_api, bot_token="", app_token="", pager=True)
    pager = PagerAccess(api="http://127.0.0.1:9", api_key="", author="", secrets=0)
    checks, _ = await workspaces_of(settings, catalogue or rig.parts.catalogue, access, pager)
    return {check.name: check for check in checks}


async def test_doctor_says_before_the_first_installation_where_to_begin(rig: Rig) -> None:
    told = await doctor(rig)
    for team, teams in ((FIRST, "assist, creator, pages nobody else owns"), (SECOND, "trust")):
        check = told[f"Slack workspace {team}"]
        assert (check.state, check.fix.startswith(f"open {PUBLIC}/slack/install?team={team} ")) == ("problem", True)
        assert check.detail.endswith(f"nothing reaches {teams}")


async def test_doctor_looks_at_each_workspace_as_if_it_were_the_only_one(rig: Rig) -> None:
    await rig.both()
    told = await doctor(rig)
    assert told[f"Slack workspace {SECOND}"].detail.startswith(f"Second, installed by slack:{SECOND}/U0ANA on ")
    assert told[f"Slack channel C0TRUST ({SECOND})"].state == "ok"
    assert f"Slack channel C0TRUST ({FIRST})" not in told
    assert told[f"Slack channel C0INCIDENTS ({FIRST})"].state == "ok"
    assert f"Slack channel C0INCIDENTS ({SECOND})" not in told
    assert told[f"Slack incident channels of team trust ({SECOND})"].state == "ok"
    assert [name for name, check in told.items() if check.state == "problem"] == []


async def test_doctor_holds_nobody_against_a_workspace_that_is_not_theirs(rig: Rig) -> None:
    await rig.both()
    eva = BreakGlass(services=("*",), up_to="R2", people=Approvers(slack_users=("U0CHI", "U0NOBODY", "U0GONE")))
    chosen = rig.parts.catalogue.policy.model_copy(update={"break_glass": (eva,)})
    told = await doctor(rig, rig.parts.catalogue.model_copy(update={"policy": chosen}))
    for team in (FIRST, SECOND):
        check = told[f"break-glass ({team})"]
        assert (check.state, check.detail) == ("problem", "U0GONE would be told: your account is deactivated")


async def test_doctor_asks_in_each_workspace_who_is_on_call_there(rig: Rig) -> None:
    await rig.both()
    approvers = Approvers(on_call=True)
    teams = tuple(
        t.model_copy(update={"approvers": approvers, "pagerduty_escalation_policy": "PEPTRUST"})
        if t.name == "trust" else t for t in rig.parts.catalogue.teams
    )  # fmt: skip
    told = await doctor(rig, rig.parts.catalogue.model_copy(update={"teams": teams}))
    assert [name for name in told if name.startswith("on call for")] == [f"on call for trust ({SECOND})"]


async def test_doctor_tells_of_a_token_that_ended_and_of_one_that_cannot_be_opened(rig: Rig) -> None:
    await rig.both()
    rig.slack(SECOND).api.token_errors.update(dict.fromkeys(rig.slack(SECOND).api.tokens, "token_revoked"))
    told = await doctor(rig)
    assert told[f"Slack bot token ({SECOND})"].state == "problem"

    keys = load({"PAGERUNNER_SLACK_TOKEN_KEYS": "another"}).slack_token_keys
    lost = (await doctor(rig, slack_token_keys=keys))[f"Slack workspace {FIRST}"]
    assert (lost.state, "sealed with another key" in lost.detail) == ("problem", True)


async def test_with_one_token_doctor_finds_the_teams_of_other_workspaces(rig: Rig) -> None:
    await rig.both()
    (first, _) = await store(rig.settings, rig.database).all()
    access = SlackAccess(mode="http", api=rig.settings.slack_api, bot_token=first.token, app_token="")
    checks, _ = await slack(access, rig.parts.catalogue)
    (told,) = [check for check in checks if check.name == "Slack workspace of trust"]
    assert (told.state, told.detail) == ("problem", f"it is {SECOND}, and the token is of {FIRST}")
