"""Ready is said when pages are not only kept, but looked into."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

from bot.cli.assembly import _checks
from bot.domain.faults import no_fault
from bot.edges.database import Database
from bot.edges.git_library import GitLibrary
from bot.edges.inbox import SqlInbox
from bot.edges.jobs import DurableJobs
from bot.edges.library_sync import LibrarySync
from bot.edges.metrics import Metrics
from config.library import GitSource
from tests.conftest import START, FakeClock
from tests.web_fakes import site


async def test_a_library_that_cannot_be_brought_up_to_date_is_told_and_does_not_make_it_unready(
    database: Database, tmp_path: Path
) -> None:
    library = GitLibrary(GitSource(git=str(tmp_path / "nowhere")), "company", tmp_path / "data")
    sync = LibrarySync([library], Metrics())
    sync.look(START)
    assistant = SimpleNamespace(inbox=SqlInbox(database), parts=SimpleNamespace(clock=FakeClock()))
    checks = _checks(assistant, SimpleNamespace(started=True), sync)  # type: ignore[arg-type]
    async with site(ready_checks=checks) as here:
        answer = await here.client.get("/readyz")
        told = answer.json()["checks"]["runbook libraries"]
        assert (answer.status_code, told["ready"], told["required"]) == (200, False, False)
        assert told["reason"].startswith("company: ")


async def test_it_is_not_ready_before_jobs_are_taken(database: Database, tmp_path: Path) -> None:
    async def nothing(*_: Any) -> None:
        """No job runs here."""

    jobs = DurableJobs(tmp_path / "jobs.sqlite", nothing, no_fault)
    checks = _checks(SimpleNamespace(inbox=SqlInbox(database)), jobs)  # type: ignore[arg-type]
    async with site(ready_checks=checks) as here:
        answer = await here.client.get("/readyz")
        assert (answer.status_code, answer.json()["checks"]["storage"]["ready"]) == (503, True)
        assert "still starting" in answer.json()["checks"]["jobs"]["reason"]
        await jobs.start()
        try:
            assert (await here.client.get("/readyz")).status_code == 200
        finally:
            jobs.stop()
