"""`pagerunner doctor`: real checks against the loopback workspace, a small PagerDuty, real files and real sockets."""

import asyncio
import fcntl
import json
import os
import socket
import sqlite3
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from bot.cli.doctor import manifest_scopes
from bot.domain.joining import pager_status
from bot.domain.page import Page
from bot.domain.proposal import Principal
from bot.edges import checks
from bot.edges.checks import Check
from bot.edges.checks_clock import Reading, clock, reading
from bot.edges.checks_pagerduty import NEEDED, PagerAccess, pagerduty
from bot.edges.checks_slack import SlackAccess, slack
from bot.edges.checks_targets import credentials, golden_sets, targets
from bot.edges.clock import SystemClock
from bot.edges.database import Database
from bot.edges.pagerduty_in import KINDS
from bot.edges.schema import VERSION
from bot.edges.slack_chat import SlackChat
from bot.edges.slack_client import Refused, Workspace, ask, new_client, read
from bot.edges.slack_people import SlackPeople
from config.catalogue import Catalogue
from drills.slack import seed
from drills.slack.server import LoopbackSlack, Options
from tests.conftest import ROOT
from tests.doctor_fakes import KEY, Account, subscription
from tests.view_samples import INCIDENT, provider_outage

NOW = datetime(2026, 11, 22, 12, 0, tzinfo=UTC)


def named(found: Sequence[Check], name: str) -> Check:
    """The one check of this name."""
    (one,) = [check for check in found if check.name == name]
    return one


def states(found: Sequence[Check]) -> dict[str, str]:
    return {check.name: check.state for check in found}


# --- this machine ----------------------------------------------------------------------------------------------------


class TestTheDataFolder:
    def test_one_that_is_not_there_yet_can_be_made_and_is_not(self, tmp_path: Path) -> None:
        told = checks.data_folder(tmp_path / "a" / "b")
        assert (told.state, told.detail) == ("ok", f"{tmp_path}/a/b will be made at the first start")
        assert list(tmp_path.iterdir()) == []

    def test_a_file_in_its_place_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "data").write_text("")
        assert checks.data_folder(tmp_path / "data").state == "problem"
        assert checks.data_folder(tmp_path / "data" / "below").state == "problem"

    def test_what_others_can_read_is_named_with_the_command_that_mends_it(self, tmp_path: Path) -> None:
        folder = tmp_path / "data"
        folder.mkdir(mode=0o700)
        index = folder / "index"
        index.mkdir(mode=0o755)
        secret = folder / "pagerunner.sqlite"
        secret.touch(mode=0o644)
        told = checks.data_folder(folder)
        assert told.state == "problem"
        assert str(secret) in told.detail
        assert str(index) in told.detail
        assert told.fix == f"chmod -R go-rwx {folder}"
        index.chmod(0o700)
        secret.chmod(0o600)
        assert checks.data_folder(folder).state == "ok"


class TestTheLock:
    @contextmanager
    def held(self, folder: Path) -> Iterator[None]:
        descriptor = os.open(folder / "lock", os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            os.close(descriptor)

    def test_a_free_folder_is_left_untouched(self, tmp_path: Path) -> None:
        assert checks.running(tmp_path).state == "ok"
        assert list(tmp_path.iterdir()) == []

    def test_a_lock_that_nobody_holds_is_no_problem(self, tmp_path: Path) -> None:
        (tmp_path / "lock").touch()
        assert checks.running(tmp_path).state == "ok"

    def test_a_process_that_holds_it_and_does_not_answer_is_a_problem(self, tmp_path: Path) -> None:
        with self.held(tmp_path):
            assert "does not answer" in checks.running(tmp_path).detail
            (tmp_path / "address").write_text("http://127.0.0.1:1")
            assert checks.running(tmp_path).state == "problem"

    async def test_a_running_server_is_well(self, tmp_path: Path) -> None:
        async def healthz(_: web.Request) -> web.Response:
            return web.json_response({"status": "ok"})

        app = web.Application()
        app.router.add_get("/healthz", healthz)
        async with TestServer(app, host="127.0.0.1") as server:
            (tmp_path / "address").write_text(str(server.make_url("")).rstrip("/"))
            with self.held(tmp_path):
                told = await asyncio.to_thread(checks.running, tmp_path)
        assert (told.state, "answers at" in told.detail) == ("ok", True)


class TestListening:
    def test_a_port_that_is_taken_is_a_problem_unless_it_is_ours(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            told = checks.listening("127.0.0.1", port, trust_network=False, serving=False)
            assert (told.state, str(port) in told.detail) == ("problem", True)
            assert checks.listening("127.0.0.1", port, trust_network=False, serving=True).state == "ok"
        assert checks.listening("127.0.0.1", port, trust_network=False, serving=False).state == "ok"

    @pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", ""])
    def test_an_address_that_others_reach_has_to_be_meant(self, host: str) -> None:
        told = checks.listening(host, 0, trust_network=False, serving=False)
        assert (told.state, "trust_network" in told.fix) == ("problem", True)
        assert checks.listening(host, 0, trust_network=True, serving=False).state == "ok"


class TestTheDatabase:
    def test_one_that_is_not_there_yet_is_not_made(self, tmp_path: Path) -> None:
        assert checks.database(tmp_path / "pagerunner.sqlite").state == "ok"
        assert list(tmp_path.iterdir()) == []

    def test_a_sound_one_is_told_with_its_version_also_while_it_is_in_use(self, database: Database) -> None:
        assert checks.database(database.path).detail == f"{database.path} opens, schema version {VERSION}"

    def test_one_of_another_version_is_a_problem(self, database: Database) -> None:
        database.run_now(lambda c: c.exec_driver_sql("UPDATE meta SET value = '7' WHERE key = 'schema'"))
        told = checks.database(database.path)
        assert (told.state, "schema version 7" in told.detail) == ("problem", True)

    def test_a_file_that_is_none_is_a_problem(self, tmp_path: Path) -> None:
        for content in (b"not a database, and long enough to be looked at" * 40, b""):
            (tmp_path / "x.sqlite").write_bytes(content)
            assert checks.database(tmp_path / "x.sqlite").state == "problem"

    def test_a_damaged_one_is_a_problem(self, tmp_path: Path) -> None:
        path = tmp_path / "pagerunner.sqlite"
        opened = Database(path)
        opened.open()
        numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT 3000)"
        insert = f"INSERT INTO meta {numbers} SELECT 'k' || i, 'x' FROM n"
        opened.run_now(lambda c: c.exec_driver_sql(insert))
        opened.close()
        data = bytearray(path.read_bytes())
        for place in range(len(data) // 2, len(data), 64):
            data[place] ^= 0xFF
        path.write_bytes(data)
        assert checks.database(path).state == "problem"

    def test_an_old_sqlite_is_no_problem_and_is_told(self) -> None:
        assert "3.40.1" in checks.sqlite((3, 40, 1)).detail
        assert "WAL" in checks.sqlite((3, 51, 2)).detail
        assert checks.sqlite((3, 51, 3)).detail == "3.51.3"


class TestTheSearchIndex:
    def test_one_that_names_code_to_run_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "chroma").mkdir()
        config = {"embedding_function": {"name": "sentence_transformer", "config": {"trust_remote_code": True}}}
        with sqlite3.connect(tmp_path / "chroma" / "chroma.sqlite3") as connection:
            connection.execute("CREATE TABLE collections (id TEXT, config_json_str TEXT)")
            connection.execute("INSERT INTO collections VALUES ('a', ?)", (json.dumps(config),))
        connection.close()
        told = checks.search_index(tmp_path)
        assert (told.state, "names an embedding function" in told.detail) == ("problem", True)

    def test_none_yet_is_well(self, tmp_path: Path) -> None:
        assert checks.search_index(tmp_path / "index").state == "ok"
        assert checks.search_index(tmp_path).state == "ok"


class TestTheEmbeddingModel:
    def test_the_packaged_one_has_its_known_hashes(self) -> None:
        assert checks.embedder(None).state == "ok"

    def test_an_unknown_file_in_a_model_folder_is_a_problem(self, tmp_path: Path) -> None:
        (tmp_path / "pytorch_model.bin").write_bytes(b"pickle")
        told = checks.embedder(tmp_path)
        assert (told.state, "pytorch_model.bin" in told.detail) == ("problem", True)


# --- Slack -----------------------------------------------------------------------------------------------------------


@pytest.fixture
async def workspace() -> AsyncIterator[LoopbackSlack]:
    async with LoopbackSlack(seed.load(), Options(port=0, rate_limits=False)) as running:
        yield running


def access(workspace: LoopbackSlack, **more: Any) -> SlackAccess:
    fields = {"mode": "socket", "api": f"{workspace.url}/api/", "bot_token": "xoxb-loopback",
              "app_token": "xapp-loopback", "scopes": manifest_scopes(), **more}  # fmt: skip
    return SlackAccess(**fields)


class TestSlack:
    async def test_a_workspace_that_is_set_up_has_no_problems(
        self, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        found, readings = await slack(access(workspace, team="T0LOOP"), catalogue)
        assert set(states(found).values()) == {"ok"}
        assert {name for name in states(found) if "channel" in name} == {
            f"Slack channel {one}" for one in ("C0ASSIST", "C0TRUST", "C0CREATOR", "C0INCIDENTS")
        }
        assert "U0ANA, U0BEN" in named(found, "Slack approvers of assist").detail
        assert [told.source for told in readings] == ["Slack"]
        assert abs(readings[0].ahead_s) < 60

    async def test_nothing_is_posted_and_nothing_changed(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        await slack(access(workspace), catalogue)
        called = {call["method"] for call in workspace.api.calls}
        assert called == {"auth.test", "apps.connections.open", "conversations.info", "users.info"}

    @pytest.mark.parametrize("code", ["invalid_auth", "token_revoked", "account_inactive"])
    async def test_a_token_that_is_refused_stops_what_depends_on_it(
        self, code: str, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        workspace.api.token_errors["xoxb-loopback"] = code
        found, _ = await slack(access(workspace), catalogue)
        told = named(found, "Slack bot token")
        assert (told.state, code in told.detail, "PAGERUNNER_SLACK_BOT_TOKEN" in told.fix) == ("problem", True, True)
        assert {check.state for check in found if check is not told} == {"not checked"}

    async def test_missing_scopes_are_named(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        app = workspace.workspace.app
        has = tuple(one for one in app.scopes if one not in ("files:write", "groups:read"))
        workspace.workspace.app = app.model_copy(update={"scopes": has})
        found, _ = await slack(access(workspace), catalogue)
        told = named(found, "Slack scopes")
        assert (told.state, told.detail) == ("problem", "missing: files:write, groups:read")

    async def test_scopes_beyond_the_manifest_are_told_and_no_problem(
        self, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        found, _ = await slack(access(workspace), catalogue)
        assert "not needed: " in named(found, "Slack scopes").detail
        assert "channels:manage" in named(found, "Slack scopes").detail

    async def test_an_app_token_that_is_none_is_a_problem(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        found, _ = await slack(access(workspace, app_token="xoxb-loopback"), catalogue)
        told = named(found, "Slack connection")
        assert (told.state, "xapp-" in told.fix) == ("problem", True)

    async def test_in_http_mode_the_connection_cannot_be_seen(
        self, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        found, _ = await slack(access(workspace, mode="http", app_token=""), catalogue)
        assert named(found, "Slack connection").state == "not checked"

    async def test_a_token_of_another_workspace_is_a_problem(
        self, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        found, _ = await slack(access(workspace, team="T0OTHER"), catalogue)
        assert named(found, "Slack bot token").state == "problem"

    @pytest.mark.parametrize(
        ("channel", "said"),
        [
            ("C0GENERAL", "not a member"),
            ("C0VENDOR", "shared with another organisation"),
            ("C0NOWHERE", "no such channel"),
        ],
    )
    async def test_a_channel_where_nothing_could_be_posted_is_a_problem(
        self, channel: str, said: str, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        other = catalogue.model_copy(update={"fallback_channel": channel})
        found, _ = await slack(access(workspace), other)
        told = named(found, f"Slack channel {channel}")
        assert (told.state, said in told.detail) == ("problem", True)
        assert told.fix

    @pytest.mark.parametrize(
        ("user", "said"),
        [("U0GUEST", "a guest cannot approve"), ("U0GONE", "deactivated"), ("U0PAGERUN", "a bot cannot approve"),
         ("U0STRANGER", "another organisation"), ("U0NOBODY", "")],
    )  # fmt: skip
    async def test_an_approver_who_could_not_approve_is_a_problem(
        self, user: str, said: str, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        told = named(await self._with_approvers(workspace, catalogue, slack_users=(user,)), "Slack approvers of assist")
        assert (told.state, f"{user} would be told" in told.detail, said in told.detail) == ("problem", True, True)

    async def test_groups_of_approvers_are_looked_into(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        name = "Slack approvers of assist"
        found = await self._with_approvers(workspace, catalogue, slack_groups=("S0ASSIST",))
        assert named(found, name).detail == "group S0ASSIST (2)"
        found = await self._with_approvers(workspace, catalogue, slack_groups=("S0NOBODY",))
        assert named(found, name).state == "problem"

    async def test_a_team_without_approvers_is_a_problem(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        assert named(await self._with_approvers(workspace, catalogue), "Slack approvers of assist").state == "problem"
        found = await self._with_approvers(workspace, catalogue, local=True)
        assert named(found, "Slack approvers of assist").state == "ok"

    async def _with_approvers(self, workspace: LoopbackSlack, catalogue: Catalogue, **approvers: Any) -> list[Check]:
        first, *others = catalogue.teams
        team = first.model_copy(update={"approvers": type(first.approvers)(**approvers)})
        found, _ = await slack(access(workspace), catalogue.model_copy(update={"teams": (team, *others)}))
        return found

    async def test_a_slack_that_does_not_answer_is_a_problem_and_ends(self, catalogue: Catalogue) -> None:
        nobody = SlackAccess(mode="socket", api="http://127.0.0.1:1/api/", bot_token="xoxb-x", app_token="xapp-x")
        found, readings = await slack(nobody, catalogue)
        assert (named(found, "Slack bot token").state, readings) == ("problem", [])


class TestTheManifestsScopes:
    """They are enough for every call, and each one is needed."""

    async def everything(self, workspace: LoopbackSlack, catalogue: Catalogue) -> set[str]:
        """Everything that the Slack edge asks of the Web API; returns the scopes that were missing."""
        client = new_client("xoxb-loopback", f"{workspace.url}/api/")
        chat = SlackChat(client, SystemClock())
        people = SlackPeople(client, Workspace(client), catalogue, SystemClock())
        missing: set[str] = set()

        async def attempt(call: Any) -> Any:
            try:
                return await call
            except Refused as refused:
                if refused.code != "missing_scope":
                    raise
                missing.add(str(refused).split("needs ")[1].split(")")[0])
                return None

        view = provider_outage()
        card = await attempt(chat.card(view, None))
        if card is not None:
            await attempt(chat.say(card, "Evidence"))
            upload = client.files_upload_v2(channel=card.channel, filename="a.md", content="x", title="a",
                                            thread_ts=card.ts, request_file_info=False)  # fmt: skip
            await attempt(ask(upload))
            await attempt(read(client, "conversations.history", channel=card.channel, limit=1))
            await attempt(read(client, "conversations.replies", channel=card.channel, ts=card.ts))
        await attempt(read(client, "conversations.info", channel=INCIDENT.channel))
        await attempt(read(client, "users.info", user="U0ANA"))
        await attempt(read(client, "usergroups.users.list", usergroup="S0ASSIST"))
        who = Principal(id="slack:T0LOOP/U0ANA", name="ana", via="slack")
        may, why = await people.may_approve(who, "assist")
        assert may or missing, why
        return missing

    async def test_they_are_enough(self, workspace: LoopbackSlack, catalogue: Catalogue) -> None:
        app = workspace.workspace.app
        workspace.workspace.app = app.model_copy(update={"scopes": manifest_scopes()})
        assert await self.everything(workspace, catalogue) == set()

    @pytest.mark.parametrize(
        "scope", ["chat:write", "channels:read", "channels:history", "files:write", "users:read", "usergroups:read"]
    )
    async def test_none_of_them_can_be_left_out(
        self, scope: str, workspace: LoopbackSlack, catalogue: Catalogue
    ) -> None:
        left = tuple(one for one in manifest_scopes() if one != scope)
        workspace.workspace.app = workspace.workspace.app.model_copy(update={"scopes": left})
        assert scope in await self.everything(workspace, catalogue)


# --- PagerDuty -------------------------------------------------------------------------------------------------------


def pager(url: str, **more: Any) -> PagerAccess:
    return PagerAccess(**{"api": url, "api_key": KEY, "author": "oncall@example.com", "secrets": 1, **more})


def whole(catalogue: Catalogue, **more: Any) -> Account:
    """An account that has everything the catalogue names."""
    services = {one for service in catalogue.services for one in service.pagerduty_services}
    policies = {team.pagerduty_escalation_policy for team in catalogue.teams}
    return Account(services=services, policies=policies, **more)


class TestPagerDuty:
    async def test_an_account_that_is_set_up_has_no_problems(self, catalogue: Catalogue) -> None:
        account = whole(catalogue)
        async with account.serving() as url:
            found, readings = await pagerduty(pager(url, address="https://pagerunner.example.com"), catalogue)
        assert set(states(found).values()) == {"ok"}
        assert [told.source for told in readings] == ["PagerDuty"]
        assert {method for method, _ in account.requests} == {"GET"}

    async def test_without_a_signing_secret_every_page_would_be_turned_away(self, catalogue: Catalogue) -> None:
        found, _ = await pagerduty(
            PagerAccess(api="https://api.pagerduty.com", api_key="", author="", secrets=0), catalogue
        )
        assert named(found, "PagerDuty signing secret").state == "problem"
        assert named(found, "PagerDuty key").state == "not checked"
        assert "PAGERUNNER_PAGERDUTY_API_KEY" in named(found, "PagerDuty key").fix

    async def test_a_key_that_is_refused_stops_what_depends_on_it_and_is_not_shown(self, catalogue: Catalogue) -> None:
        async with whole(catalogue).serving() as url:
            found, _ = await pagerduty(pager(url, api_key="u+WrongWrongWrong"), catalogue)
        assert named(found, "PagerDuty key").state == "problem"
        assert {check.state for check in found[2:]} == {"not checked"}
        assert "WrongWrong" not in "".join(check.detail + check.fix for check in found)

    async def test_a_persons_key_needs_no_author(self, catalogue: Catalogue) -> None:
        async with whole(catalogue, owner="oncall@example.com").serving() as url:
            found, _ = await pagerduty(pager(url, author=""), catalogue)
        assert named(found, "PagerDuty author").detail == "the key is of Olga Oncall"

    @pytest.mark.parametrize("author", ["", "nobody@example.com", "oncall@example.co"])
    async def test_an_accounts_key_needs_the_address_of_a_user(self, author: str, catalogue: Catalogue) -> None:
        async with whole(catalogue).serving() as url:
            found, _ = await pagerduty(pager(url, author=author), catalogue)
        told = named(found, "PagerDuty author")
        assert (told.state, "pagerduty_from" in told.fix) == ("problem", True)

    async def test_a_missing_subscription_is_told_with_how_to_make_it(self, catalogue: Catalogue) -> None:
        account = whole(catalogue)
        account.subscriptions[0]["delivery_method"]["url"] = "https://elsewhere.example/hook"
        async with account.serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        told = named(found, "PagerDuty webhook")
        assert (told.state, "Generic Webhooks (v3)" in told.fix) == ("problem", True)
        assert "none of 1 subscriptions" in told.detail

    async def test_it_is_found_on_a_later_page(self, catalogue: Catalogue) -> None:
        others = [subscription(f"P{n}", delivery_method={"type": "http_delivery_method", "url": "https://x.example"})
                  for n in range(5)]  # fmt: skip
        account = whole(catalogue, subscriptions=[*others, *[subscription()] * 95, subscription("PLAST")])
        async with account.serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        assert named(found, "PagerDuty webhook PLAST").state == "ok"

    async def test_one_for_another_address_is_not_ours(self, catalogue: Catalogue) -> None:
        async with whole(catalogue).serving() as url:
            found, _ = await pagerduty(pager(url, address="https://other.example.com"), catalogue)
        assert named(found, "PagerDuty webhook").state == "problem"

    @pytest.mark.parametrize(
        ("change", "said"),
        [
            ({"active": False}, "not active"),
            ({"events": ["incident.triggered"]}, "incident.acknowledged"),
            ({"delivery_method": {"type": "http_delivery_method", "temporarily_disabled": True,
                                  "url": "https://a.example/webhooks/pagerduty"}}, "deliveries failed"),
        ],
    )  # fmt: skip
    async def test_a_subscription_that_would_not_deliver_is_a_problem(
        self, change: dict[str, Any], said: str, catalogue: Catalogue
    ) -> None:
        async with whole(catalogue, subscriptions=[subscription(**change)]).serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        told = named(found, "PagerDuty webhook PWEBHOOK")
        assert (told.state, said in told.detail) == ("problem", True)

    async def test_a_password_in_its_address_is_not_shown(self, catalogue: Catalogue) -> None:
        method = {"type": "http_delivery_method", "url": "https://me:hunter2@a.example/webhooks/pagerduty?key=hunter2"}
        async with whole(catalogue, subscriptions=[subscription(delivery_method=method)]).serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        assert named(found, "PagerDuty webhook PWEBHOOK").state == "ok"
        assert "hunter2" not in "".join(check.detail for check in found)

    async def test_services_outside_the_subscriptions_scope_are_named(self, catalogue: Catalogue) -> None:
        ids = sorted({one for service in catalogue.services for one in service.pagerduty_services})
        scoped = [subscription(f"P{one}", filter={"type": "service_reference", "id": one}) for one in ids[1:]]
        async with whole(catalogue, subscriptions=scoped).serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
            everything, _ = await pagerduty(pager(url), catalogue.model_copy(update={"services": ()}))
        told = named(found, "PagerDuty webhook scope")
        assert (told.state, told.detail) == ("problem", f"pages of {ids[0]} are not sent to us")
        assert named(everything, "PagerDuty webhook scope").state == "ok"

    async def test_a_scope_by_team_is_left_to_pagerduty(self, catalogue: Catalogue) -> None:
        scoped = [subscription(filter={"type": "team_reference", "id": "PTEAM"})]
        async with whole(catalogue, subscriptions=scoped).serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        assert named(found, "PagerDuty webhook scope").state == "not checked"

    async def test_ids_that_do_not_exist_are_named(self, catalogue: Catalogue) -> None:
        account = whole(catalogue)
        account.services.discard("PSVCCHAT")
        account.policies.clear()
        async with account.serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        assert "PSVCCHAT" in named(found, "PagerDuty services").detail
        assert "PEPASSIST, PEPTRUST, PEPCREATOR" in named(found, "PagerDuty escalation policies").detail

    async def test_what_the_key_may_not_read_is_not_checked(self, catalogue: Catalogue) -> None:
        account = whole(catalogue, statuses={"/webhook_subscriptions": 403, "/users": 403})
        async with account.serving() as url:
            found, _ = await pagerduty(pager(url), catalogue)
        assert named(found, "PagerDuty webhook").state == "not checked"
        assert named(found, "PagerDuty author").state == "not checked"

    async def test_nobody_there_is_a_problem(self, catalogue: Catalogue) -> None:
        found, readings = await pagerduty(pager("http://127.0.0.1:1"), catalogue)
        assert "cannot be reached" in named(found, "PagerDuty key").detail
        assert readings == []

    def test_every_event_that_moves_an_incident_is_needed(self) -> None:
        def moves(event: str) -> bool:
            page = Page(event_id="e", kind=KINDS[event], occurred_at=NOW, received_at=NOW, source="t", incident_ref="Q")
            return pager_status(page) is not None

        assert {event for event in KINDS if moves(event)} <= NEEDED <= set(KINDS)


# --- targets and the clock -------------------------------------------------------------------------------------------


class TestTargets:
    async def test_each_step_of_the_way_can_be_the_one_that_fails(self) -> None:
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
            declared = {
                "nowhere": {"base_url": "http://127.0.0.1:1", "allow_http": True, "allow_private": ["127.0.0.0/8"]},
                "private": {"base_url": f"http://127.0.0.1:{port}", "allow_http": True},
                "plain": {"base_url": "http://api.example.com"},
                "unknown": {"base_url": "https://pagerunner.invalid"},
            }
            catalogue = _with_targets(declared)
            found, readings = await targets(catalogue, {})
        assert set(states(found).values()) == {"problem"}
        assert "tcp" in named(found, "target nowhere").detail
        assert "allow_http" in named(found, "target plain").detail
        assert "dns" in named(found, "target unknown").detail
        assert all(check.fix for check in found)
        assert readings == []

    async def test_a_provider_is_asked_for_its_models_with_our_key(self) -> None:
        async with TestServer(_provider("sk-right", ["large"]), host="127.0.0.1") as server:
            url = str(server.make_url("")).rstrip("/")
            well, readings = await targets(_provider_catalogue(url, ["large"]), {"ACME_KEY": "sk-right"})
            wrong, _ = await targets(_provider_catalogue(url, ["large"]), {"ACME_KEY": "sk-wrong"})
            gone, _ = await targets(_provider_catalogue(url, ["large", "retired"]), {"ACME_KEY": "sk-right"})
            without, _ = await targets(_provider_catalogue(url, ["large"]), {})
        assert named(well, "provider acme").detail == "our key is accepted; knows large"
        assert [told.source for told in readings] == ["acme"]
        assert (named(wrong, "provider acme").state, named(gone, "provider acme").state) == ("problem", "problem")
        assert "retired" in named(gone, "provider acme").detail
        assert named(without, "provider acme").state == "not checked"
        assert not any("sk-" in check.detail for check in (*well, *wrong, *gone))

    def test_missing_credentials_are_named_with_their_targets(self, catalogue: Catalogue) -> None:
        told = credentials(catalogue, {"ACME_OPENAI_KEY": "sk-1", "BETA_ANTHROPIC_KEY": " "})
        assert (told.state, told.detail) == ("problem", "not in the environment: BETA_ANTHROPIC_KEY for beta-anthropic")
        assert credentials(catalogue, {"ACME_OPENAI_KEY": "sk-1", "BETA_ANTHROPIC_KEY": "k"}).state == "ok"

    def test_labels_of_a_judge_are_read(self, catalogue: Catalogue) -> None:
        document = catalogue.model_dump()
        document["judges"] = [{"name": "j", "provider": "beta-anthropic", "model": "m", "labels": "absent.jsonl"}]
        document["services"][0]["judge"] = "j"
        told = golden_sets(Catalogue.model_validate(document), ROOT / "config" / "example")
        assert told.state == "problem"
        assert "absent.jsonl:1: cannot be read" in told.detail

    def test_golden_sets_are_read(self, catalogue: Catalogue, tmp_path: Path) -> None:
        assert golden_sets(catalogue, ROOT / "config" / "example").state == "ok"
        told = golden_sets(catalogue, tmp_path)
        assert (told.state, "chat-assistant: " in told.detail) == ("problem", True)


def _with_targets(declared: dict[str, dict[str, Any]], **more: Any) -> Catalogue:
    named_targets = [{"name": name, **fields} for name, fields in declared.items()]
    return Catalogue.model_validate(
        {"targets": named_targets, "teams": [], "services": [], "fallback_channel": "C", **more}
    )


def _provider_catalogue(url: str, models: list[str]) -> Catalogue:
    target = {"base_url": url, "allow_http": True, "allow_private": ["127.0.0.0/8"], "auth_env": "ACME_KEY",
              "auth_prefix": "Bearer "}  # fmt: skip
    return _with_targets(
        {"acme": target},
        providers=[{"name": "acme", "api": "openai", "target": "acme", "models": models}],
        teams=[{"name": "web", "slack_channel": "C1"}],
        services=[{"name": "chat", "kind": "chat", "team": "web", "provider": "acme", "model": "large"}],
    )


def _provider(key: str, models: list[str]) -> web.Application:
    """An OpenAI-compatible list of models."""

    async def handle(request: web.Request) -> web.Response:
        if request.path == "/":
            return web.Response()
        if request.headers.get("Authorization") != f"Bearer {key}":
            error = {
                "message": "Incorrect API key provided",
                "type": "invalid_request_error",
                "code": "invalid_api_key",
            }
            return web.json_response({"error": error}, status=401)
        found = [{"id": name, "object": "model", "created": 1, "owned_by": "acme"} for name in models]
        if request.path == "/v1/models":
            return web.json_response({"object": "list", "data": found})
        one = next((model for model in found if request.path == f"/v1/models/{model['id']}"), None)
        if one is None:
            error = {"message": "The model does not exist", "type": "invalid_request_error", "code": "model_not_found"}
            return web.json_response({"error": error}, status=404)
        return web.json_response(one)

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    return app


class TestTheClock:
    def test_a_date_is_read_from_a_reply_that_was_not_cached(self) -> None:
        sent = format_datetime(NOW + timedelta(seconds=30), usegmt=True)
        told = reading("Slack", {"Date": sent}, NOW)
        assert told is not None
        assert told.ahead_s == pytest.approx(30.5)
        assert reading("Slack", {"Date": sent, "Age": "25"}, NOW) is None
        assert reading("Slack", {"Date": "yesterday"}, NOW) is None
        assert reading("Slack", {}, NOW) is None

    @pytest.mark.parametrize(("ahead", "state"), [(0.5, "ok"), (4.9, "ok"), (5.1, "problem"), (-3600.0, "problem")])
    def test_ours_is_wrong_when_most_others_disagree(self, ahead: float, state: str) -> None:
        told = clock([Reading(source=name, ahead_s=ahead) for name in ("Slack", "PagerDuty", "acme")])
        assert told.state == state
        assert ("NTP" in told.fix) == (state == "problem")

    def test_a_single_clock_that_is_odd_is_its_own_matter(self) -> None:
        told = clock([Reading(source="Slack", ahead_s=0.1), Reading(source="PagerDuty", ahead_s=0.2),
                      Reading(source="acme", ahead_s=90.0)])  # fmt: skip
        assert (told.state, "odd: acme by +90 s" in told.detail) == ("ok", True)

    def test_without_any_nothing_is_said(self) -> None:
        assert clock([]).state == "not checked"

    async def test_a_pagerduty_whose_clock_is_an_hour_ahead_is_noticed(self, catalogue: Catalogue) -> None:
        date = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)
        async with whole(catalogue, date=date).serving() as url:
            _, readings = await pagerduty(pager(url), catalogue)
        assert clock(readings).state == "problem"


# --- the command -----------------------------------------------------------------------------------------------------


async def doctor(*arguments: str, **environ: str) -> tuple[int, str]:
    """Run the command with nothing in the environment but this."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "doctor", *arguments, cwd=ROOT, env={"PATH": os.environ["PATH"], **environ},
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode is not None
    assert not err, err.decode()
    return process.returncode, out.decode()


async def configured(folder: Path) -> Path:
    """What `pagerunner init` writes."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "bot", "init", str(folder), cwd=ROOT, stdout=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    return folder / "pagerunner.yaml"


class TestTheCommand:
    async def test_settings_that_cannot_be_used_are_told_all_at_once_with_code_2(self, tmp_path: Path) -> None:
        path = tmp_path / "pagerunner.yaml"
        path.write_text("prot: 1\nport: x\n")
        code, out = await doctor("--json", PAGERUNNER_CONFIG=str(path), PAGERUNNER_PAGERDUTY_SECRET="s")
        found = json.loads(out)["checks"]
        told = [check["detail"] for check in found if check["name"] == "settings"]
        assert code == 2
        assert [one.split(": ", 1)[0] for one in told] == [f"{path}:2:1", f"{path}:1:1"]
        (variable,) = [check for check in found if check["name"] == "environment"]
        assert variable["fix"] == "did you mean PAGERUNNER_PAGERDUTY_SECRETS?"

    async def test_a_catalogue_that_cannot_be_used_is_code_2_and_the_rest_is_looked_at(self, tmp_path: Path) -> None:
        path = tmp_path / "catalogue.yaml"
        path.write_text("fallback_channel: C1\nteams: []\nservices: []\nteems: []\n")
        code, out = await doctor(
            "--offline", "--json", PAGERUNNER_CATALOGUE=str(path), PAGERUNNER_DATA=str(tmp_path / "d")
        )
        found = {check["name"]: check for check in json.loads(out)["checks"]}
        assert code == 2
        assert f"{path}:4:1: teems: unknown key" in found["catalogue"]["detail"]
        assert found["data folder"]["state"] == "ok"
        assert found["declared actions, runbooks, golden sets"]["state"] == "not checked"

    async def test_a_fresh_configuration_is_well_offline_and_nothing_is_made(self, tmp_path: Path) -> None:
        path = await configured(tmp_path)
        before = contents(tmp_path)
        code, out = await doctor("--offline", PAGERUNNER_CONFIG=str(path), PAGERUNNER_PORT="0")
        assert code == 0, out
        assert "PROBLEM" not in out
        assert "all in mode observe" in out
        assert contents(tmp_path) == before

    async def test_secrets_in_a_file_that_others_can_read_are_a_problem(self, tmp_path: Path) -> None:
        path = await configured(tmp_path)
        path.write_text(path.read_text() + "pagerduty_api_key: u+hunter2hunter2\n")
        arguments = {"PAGERUNNER_CONFIG": str(path), "PAGERUNNER_PORT": "0"}
        assert (await doctor("--offline", **arguments))[0] == 0
        path.chmod(0o644)
        code, out = await doctor("--offline", **arguments)
        assert code == 1
        assert "holds pagerduty_api_key, and others can read it" in out
        assert "hunter2" not in out

    async def test_broken_actions_and_runbooks_are_told_with_their_place(self, tmp_path: Path) -> None:
        path = await configured(tmp_path)
        books = tmp_path / "books"
        books.mkdir()
        (books / "mine.md").write_text(
            "---\ntitle: Mine\nowner: web\nevidence:\n  no_such_probe: {ok: usual}\n---\n# Mine\n"
        )
        arguments = {"PAGERUNNER_CONFIG": str(path), "PAGERUNNER_PORT": "0", "PAGERUNNER_RUNBOOKS": str(books)}
        code, out = await doctor("--offline", **arguments)
        assert code == 1
        assert f"PROBLEM      runbooks: {books}/mine.md:5:3: " in out
        actions = tmp_path / "http-actions.yaml"
        actions.write_text(actions.read_text().replace("target: ingestion", "target: ingestoin"))
        code, out = await doctor("--offline", **arguments)
        assert code == 1
        assert f"PROBLEM      declared actions: {actions}:" in out

    async def test_everything_set_up_is_code_0_and_asks_slack_and_pagerduty(
        self, workspace: LoopbackSlack, catalogue: Catalogue, tmp_path: Path
    ) -> None:
        path = await configured(tmp_path)
        account = whole(catalogue)
        async with account.serving() as url, TestServer(_anything(), host="127.0.0.1") as world:
            declared = tmp_path / "catalogue.yaml"
            text = declared.read_text().replace("http://127.0.0.1:8900", str(world.make_url("")).rstrip("/"))
            declared.write_text(text)
            code, out = await doctor(
                "--json", PAGERUNNER_CONFIG=str(path), PAGERUNNER_PORT="0", PAGERUNNER_SLACK="socket",
                PAGERUNNER_SLACK_API=f"{workspace.url}/api/", PAGERUNNER_SLACK_BOT_TOKEN="xoxb-loopback",
                PAGERUNNER_SLACK_APP_TOKEN="xapp-loopback", PAGERUNNER_PAGERDUTY_API=url,
                PAGERUNNER_PAGERDUTY_API_KEY=KEY, PAGERUNNER_PAGERDUTY_FROM="oncall@example.com",
                PAGERUNNER_PAGERDUTY_SECRETS="a-signing-secret", ACME_OPENAI_KEY="sk-acme",
                BETA_ANTHROPIC_KEY="sk-beta",
            )  # fmt: skip
        found = json.loads(out)
        wrong = [check["name"] for check in found["checks"] if check["state"] != "ok"]
        assert (code, wrong, found["ok"]) == (0, ["GitHub"], True)  # No team names a repository.
        names = {check["name"] for check in found["checks"]}
        assert {
            "Slack scopes",
            "PagerDuty webhook PWEBHOOK",
            "target prometheus",
            "provider beta-anthropic",
            "clock",
        } <= names
        assert not any(
            secret in out for secret in (KEY, "xoxb-loopback", "xapp-loopback", "sk-acme", "a-signing-secret")
        )


def contents(folder: Path) -> list[Path]:
    """All that is in a folder."""
    return sorted(folder.rglob("*"))


def _anything() -> web.Application:
    """Answers every path; knows every model."""

    async def handle(request: web.Request) -> web.Response:
        return web.json_response({"data": [], "id": request.path.rsplit("/", 1)[-1]})

    app = web.Application()
    app.router.add_get("/{path:.*}", handle)
    return app
