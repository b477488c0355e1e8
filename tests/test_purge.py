"""What nobody looks at again is forgotten; what makes a replay known, and what an incident is told by, is kept."""

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from bot.domain.faults import no_fault
from bot.domain.incident import Status
from bot.edges import purge, schema
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.history import SqlHistory
from bot.edges.inbox import SqlInbox
from bot.edges.jobs import DurableJobs
from bot.ports import Received
from bot.triage.checkpoint import forget, open_saver, signing_key
from diagnostics.model import Sample
from tests.conftest import START
from tests.incident_samples import page, settle


def received(key: str, at: datetime) -> Received:
    return Received(key=f"pagerduty:{key}", source="pagerduty", body=b'{"large": 1}', received_at=at)


async def test_old_deliveries_lose_their_bodies_and_stay_known(database: Database) -> None:
    inbox, casebook = SqlInbox(database), SqlCasebook(database)
    await settle(inbox, casebook, page("E1"), now=START)
    await inbox.accept(received("waits", START))
    now = START + timedelta(days=31)
    late = page("E2", incident_ref="Q2", incident_key="k2", title="something else", received_at=now)
    await settle(inbox, casebook, late, now=now)
    await purge.purge(database, now)

    rows = await database.run(lambda c: dict(c.execute(select(schema.inbox.c.key, schema.inbox.c.body)).tuples().all()))
    assert rows == {"pagerduty:E1": b"", "pagerduty:waits": b'{"large": 1}', "pagerduty:E2": b"{}"}
    assert not await inbox.accept(received("E1", now))
    assert len(await inbox.pending()) == 1


async def test_baselines_go_when_no_incident_can_be_compared_with_them(database: Database) -> None:
    history = SqlHistory(database)
    moments = [START - timedelta(days=days) for days in (90, 46, 44, 1)]
    samples = [("user_signal.error", Sample(at=at, value=0.01)) for at in moments]
    await history.record("chat-assistant", samples, [("fingerprint", at, {"v": 1}) for at in moments])
    await purge.purge(database, START)

    for table in (schema.sample, schema.document):
        assert await database.run(lambda c, t=table: c.execute(select(func.count()).select_from(t)).scalar()) == 2  # type: ignore[misc]


async def test_checkpoints_of_closed_incidents_go(database: Database, tmp_path: Path) -> None:
    casebook = SqlCasebook(database)
    one = await settle(SqlInbox(database), casebook, page())
    other = await settle(SqlInbox(database), casebook, page("E2", incident_ref="Q2"), service="support-bot")
    for status in (Status.RESOLVED, Status.CLOSED):
        await casebook.move(one, status, [], START)
    from langgraph.checkpoint.base import empty_checkpoint

    async with open_saver(tmp_path / "checkpoints.sqlite", signing_key(tmp_path / "key")) as saver:
        for thread in (f"{one}:1", f"{one}:2", f"{other}:1"):
            config = {"configurable": {"thread_id": thread, "checkpoint_ns": ""}}
            await saver.aput(config, empty_checkpoint(), {}, {})  # type: ignore[arg-type]
        await forget(saver, await purge.closed(database))
        left = [point.config["configurable"]["thread_id"] async for point in saver.alist(None)]  # type: ignore[typeddict-item]
    assert left == [f"{other}:1"]


async def test_jobs_that_have_ended_go(tmp_path: Path) -> None:
    ran: list[str] = []
    both, blocked = asyncio.Event(), asyncio.Event()

    async def handle(kind: str, arguments: Mapping[str, str]) -> None:
        ran.append(arguments["n"])
        if len(ran) == 2:  # in either order: both stood in the queue
            both.set()
        if arguments["n"] == "slow":
            await blocked.wait()

    jobs = DurableJobs(tmp_path / "jobs.sqlite", handle, no_fault, poll_s=0.01)
    assert not jobs.started
    await jobs.start()
    assert jobs.started
    try:
        await jobs.submit("close", "close:slow", None, {"n": "slow"})
        await jobs.submit("close", "close:quick", None, {"n": "quick"})
        async with asyncio.timeout(20):
            await both.wait()
            later = datetime.now(UTC) + timedelta(days=1)
            left = await known(jobs)
            while len(left) > 1:
                await jobs.forget(later)
                left = await known(jobs)
        assert left == ["close:slow"]
        blocked.set()
    finally:
        jobs.stop()


async def known(jobs: DurableJobs) -> list[str]:
    return [one.workflow_id for one in await jobs._dbos.list_workflows_async()]
