"""Commands that act, as typed, against a served API: freeze, approve, and what they show."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from bot.cli.local import person
from bot.domain.proposal import VoteResult
from bot.domain.untrusted import REPLACEMENT
from bot.edges.database import Database
from config.catalogue import Catalogue
from tests import view_samples
from tests.conftest import FakeClock
from tests.flow_fakes import Rig
from tests.test_flow import opened
from tests.web_fakes import TOKEN, site


@asynccontextmanager
async def typed(folder: Path, port: int) -> AsyncIterator[Callable[..., "asyncio.Future[Result]"]]:
    """Commands of a person whose data folder belongs to the server on this port."""
    (folder / "address").write_text(f"http://127.0.0.1:{port}")
    (folder / "token").write_text(TOKEN)

    def run(*words: str, stdin: str | None = None) -> "asyncio.Future[Result]":
        environ = {"PAGERUNNER_DATA": str(folder)}
        task = asyncio.to_thread(CliRunner().invoke, main, list(words), input=stdin, env=environ)
        return asyncio.ensure_future(task)

    yield run


@pytest.fixture
def rig(database: Database, catalogue: Catalogue, clock: FakeClock) -> Rig:
    return Rig(database, catalogue, clock)


async def test_the_emergency_stop_needs_no_reason_and_stands_in_the_audit_log(rig: Rig, tmp_path: Path) -> None:
    async with site(desk=rig.desk, records=rig.records) as here, typed(tmp_path, here.port) as run:
        stopped = await run("freeze")
        why = await rig.gate.frozen("chat-assistant")
        allowed = await run("unfreeze")
        after = await rig.gate.frozen("chat-assistant")
        log = (await here.client.get("/api/v1/audit", headers=here.api())).json()
        told = await run("audit", "log", "--database", str(tmp_path / "pagerunner.sqlite"))
        listed = await run("audit", "log", "--json", "--database", str(tmp_path / "pagerunner.sqlite"))

    assert (stopped.exit_code, stopped.output) == (0, "Execution is frozen for everything.\n")
    assert "frozen for everything" in why
    assert (allowed.exit_code, after) == (0, "")
    assert [entry["fact"]["kind"] for entry in log] == ["frozen", "unfrozen"]
    assert "All execution was stopped for *" in told.output
    assert [entry["fact"]["kind"] for entry in json.loads(listed.output)] == ["frozen", "unfrozen"]


async def test_a_reason_and_a_service_are_passed_on(rig: Rig, tmp_path: Path) -> None:
    async with site(desk=rig.desk, records=rig.records) as here, typed(tmp_path, here.port) as run:
        await run("freeze", "chat-assistant", "--reason", "vendor storm")

    assert "vendor storm" in await rig.gate.frozen("chat-assistant")
    assert await rig.gate.frozen("support-bot") == ""


async def test_a_proposal_is_approved_as_shown(rig: Rig, tmp_path: Path) -> None:
    incident_id = await opened(rig)
    async with site(desk=rig.desk, records=rig.records) as here, typed(tmp_path, here.port) as run:
        refused = await run("approve", incident_id, stdin="n\n")
        unmoved = list(rig.target.effects)
        rig.people.ids.add(f"local:{person()}")
        approved = await run("approve", incident_id, stdin="y\n")
        await rig.jobs.idle()

    assert (refused.exit_code, unmoved) == (1, [])
    assert approved.exit_code == 0, approved.output
    assert rig.target.effects == ["apply shift_traffic"]


async def test_everything_that_the_card_shows_is_shown_before_the_question(tmp_path: Path) -> None:
    one = view_samples.provider_outage()
    evil = "back\x1b[2J\x1b]0;owned\x07 \u202eedirrevo"
    plan = replace(
        view_samples.PLAN, undo=evil, params={"gateway": "llm-gateway", "mode": "gentle"}, lease_s=3600,
        instructions="PUT https://flags.internal/x\ndeclaration 00", min_approvers=2,
    )  # fmt: skip
    pv = replace(one.proposals[0], proposal=replace(one.proposals[0].proposal, plan=plan, plan_hash=plan.hash))
    async with site(view=replace(one, proposals=(pv,))) as here, typed(tmp_path, here.port) as run:
        shown = (await run("approve", "inc-7f3a2c", stdin="n\n")).output

    for text in ("mode = gentle", "PUT https://flags.internal/x\n", "60 min", "0 of 2 approvals", "until", plan.target,
                 "Who notices", "CANNOT BE APPROVED", plan.hash[:8], *plan.diff[0]):  # fmt: skip
        assert text in shown, (text, shown)
    assert not {"\x1b", "\x07", "\u202e"} & set(shown)
    assert REPLACEMENT in shown


async def test_a_vote_that_does_not_count_says_what_to_do(tmp_path: Path) -> None:
    async with site() as here, typed(tmp_path, here.port) as run:
        here.desk.result = VoteResult.LOCAL_PERSON
        result = await run("approve", "inc-7f3a2c", "--yes")

    assert result.exit_code == 1
    assert "several people" in result.output
    assert "in Slack" in result.output
