"""``pagerunner export`` and ``pagerunner incidents``: the same with a server and without one."""

import asyncio
import json
import stat
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from bot.cli.export import command as export
from bot.cli.export import file_name
from bot.cli.incidents import command as incidents
from bot.domain import codec
from bot.domain.view import IncidentView
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.records import SqlRecords
from bot.edges.views_json import view_json
from config.catalogue import Catalogue
from diagnostics.model import Verdict
from tests import view_samples
from tests.conftest import ROOT, FakeClock
from tests.flow_fakes import Rig, finding
from tests.incident_samples import LOCAL, page, settle
from tests.web_fakes import TOKEN, site

FORMS = ("md", "html", "json", "csv")


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    monkeypatch.setenv("PAGERUNNER_DATA", str(folder))
    monkeypatch.setenv("PAGERUNNER_CATALOGUE", str(ROOT / "config/example/catalogue.yaml"))
    return folder


def recorded(folder: Path, catalogue: Catalogue) -> IncidentView:
    """A database with a mitigated incident and a resolved one, written by the flow; no server runs."""

    async def write() -> IncidentView:
        rig = Rig(database, catalogue, FakeClock())
        incident_id = await settle(rig.inbox, rig.casebook, page())
        user = finding("user_signal", "ok", Verdict.NORMAL)
        await rig.casebook.found(incident_id, 1, "user_signal:{}", user, rig.clock.now())
        await rig.tick()
        found = await rig.records.view(incident_id)
        assert found is not None
        one = found.proposals[-1].proposal
        from bot.ports import VoteContext

        await rig.desk.vote(one.id, one.plan_hash, "approve", LOCAL, VoteContext())
        await rig.jobs.idle()
        await rig.tick(3)
        other = page("E2", incident_ref="Q2", incident_key="other", title="Another one")
        over = await settle(rig.inbox, rig.casebook, other, service="support-bot")
        await rig.desk.command(over, "resolve", LOCAL)
        view = await SqlRecords(database, catalogue).view(incident_id)
        assert view is not None
        return view

    database = Database(folder / "pagerunner.sqlite")
    database.open()
    try:
        return asyncio.run(write())
    finally:
        database.close()


@contextmanager
def served(folder: Path, view: IncidentView) -> Iterator[None]:
    """A server of this data folder, over real HTTP, in a thread of its own."""
    ready, stop = threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        async with site(view=view, exporter=Export()) as here:
            (folder / "address").write_text(f"http://127.0.0.1:{here.port}", "ascii")
            (folder / "token").write_text(TOKEN, "ascii")
            loops.append(asyncio.get_running_loop())
            ready.set()
            await stop.wait()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    assert ready.wait(30)
    try:
        yield
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def run(command: object, *arguments: str) -> Result:
    return CliRunner().invoke(command, list(arguments))  # type: ignore[arg-type]


class TestWithoutAServer:
    def test_each_form_is_what_the_exporter_makes(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        for form in FORMS:
            ended = run(export, view.incident.id, "--format", form)
            assert ended.exit_code == 0, ended.output
            assert ended.stdout_bytes == Export().export(view, form)  # type: ignore[arg-type]
        assert run(export, "Q1").stdout_bytes == Export().export(view, "md")  # By the pager's reference; md by itself.

    def test_the_flows_own_timeline_is_told_without_a_gap(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        told = run(export, view.incident.id).output
        assert "(not recorded)" not in told
        assert "approved" in told
        assert "it helped" in told
        whole = json.loads(run(export, view.incident.id, "--format", "json").output)
        assert codec.load(IncidentView, whole["view"]) == view

    def test_a_file_is_whole_private_and_named_by_us_in_a_folder(
        self, data: Path, catalogue: Catalogue, tmp_path: Path
    ) -> None:
        view = recorded(data, catalogue)
        out = tmp_path / "out"
        out.mkdir()
        assert run(export, "Q1", "--format", "html", "--output", str(out)).exit_code == 0
        (written,) = out.iterdir()
        assert written.name == f"{view.incident.id}.html"
        assert written.read_bytes() == Export().export(view, "html")
        assert stat.S_IMODE(written.stat().st_mode) == 0o600
        assert run(export, "Q1", "--output", str(out / "mine.md")).exit_code == 0
        assert (out / "mine.md").exists()

    def test_a_link_in_the_way_is_replaced_and_never_followed(
        self, data: Path, catalogue: Catalogue, tmp_path: Path
    ) -> None:
        recorded(data, catalogue)
        victim, link = tmp_path / "victim", tmp_path / "out.md"
        victim.write_text("precious")
        link.symlink_to(victim)
        assert run(export, "Q1", "--output", str(link)).exit_code == 0
        assert victim.read_text() == "precious"
        assert not link.is_symlink()

    def test_what_cannot_be_written_says_where(self, data: Path, catalogue: Catalogue, tmp_path: Path) -> None:
        recorded(data, catalogue)
        ended = run(export, "Q1", "--output", str(tmp_path / "no" / "such" / "folder.md"))
        assert ended.exit_code == 2
        assert "folder.md: No such file or directory" in ended.output

    def test_the_list_has_active_ones_and_all_of_them_if_asked(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        active, everything = run(incidents).output, run(incidents, "--all").output
        assert active.splitlines()[0].split()[:3] == ["INCIDENT", "STATUS", "SERVICE"]
        assert view.incident.id in active
        assert "mitigated" in active
        assert "Another one" not in active
        assert "Another one" in everything
        listed = json.loads(run(incidents, "--all", "--json").output)
        assert {one["status"] for one in listed} == {"mitigated", "resolved"}

    def test_one_incident_is_shown_with_its_evidence_and_proposals(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        shown = run(incidents, view.incident.id).output
        assert "chat-assistant" in shown
        assert "mitigated" in shown
        assert view.proposals[0].proposal.id in shown
        assert "done, it helped" in shown
        assert "approve by root" in shown
        assert "ev-again-0" in shown, "the reading after the mitigation is the newest"
        assert "Next: " in shown
        assert json.loads(run(incidents, "Q1", "--json").output) == view_json(view)

    def test_nothing_yet_says_so(self, data: Path) -> None:
        database = Database(data / "pagerunner.sqlite")
        database.open()
        database.close()
        assert run(incidents).output == "No active incident. `pagerunner incidents --all` lists all.\n"
        assert run(incidents, "--all").output == "There is no incident yet.\n"
        assert run(incidents, "--json").output == "[]\n"
        for command in (incidents, export):
            ended = run(command, "inc-none")
            assert ended.exit_code == 1
            assert "There is no incident inc-none" in ended.output

    @pytest.mark.parametrize("name", ["../../etc/passwd", "a b", "", "x" * 65, "inc-1/../2", "-x-"])
    def test_what_names_no_incident_is_refused(self, data: Path, name: str) -> None:
        ended = run(export, "--", name)
        assert ended.exit_code == 2
        assert "is no incident's name" in ended.output

    def test_another_file_in_its_place_is_not_read(self, data: Path) -> None:
        (data / "pagerunner.sqlite").write_bytes(b"not a database" * 100)
        ended = run(incidents)
        assert ended.exit_code == 1
        assert "pagerunner.sqlite" in ended.output

    def test_reading_changes_nothing(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        before = (data / "pagerunner.sqlite").read_bytes()
        run(incidents, view.incident.id)
        run(export, view.incident.id)
        assert (data / "pagerunner.sqlite").read_bytes() == before


class TestWithAServer:
    def test_it_is_asked_over_its_api(self, data: Path) -> None:
        view = view_samples.verified()
        with served(data, view):
            for form in FORMS:
                assert run(export, view.incident.id, "--format", form).stdout_bytes == Export().export(view, form)  # type: ignore[arg-type]
            listed, shown = run(incidents).output, run(incidents, view.incident.id).output
            as_json = json.loads(run(incidents, view.incident.id, "--json").output)
            missing = run(export, "inc-none")
        assert view.incident.id in listed
        assert "Mitigated: Model provider is failing (97 % sure)" in shown
        assert "provider_canary server_error" in shown
        assert "[ev-00000002" in shown
        assert as_json == view_json(view)
        assert (missing.exit_code, missing.output.startswith("No such incident.")) == (1, True)

    def test_an_address_left_by_a_killed_server_is_not_believed(self, data: Path, catalogue: Catalogue) -> None:
        view = recorded(data, catalogue)
        for left in ("http://127.0.0.1:9", "nonsense", "http://127.0.0.1:99999", ""):
            (data / "address").write_text(left)
            (data / "token").write_text("t")
            assert view.incident.id in run(incidents).output, left

    def test_hostile_text_moves_no_cursor(self, data: Path) -> None:
        view = view_samples.hostile()
        with served(data, view):
            shown, listed = run(incidents, view.incident.id).output, run(incidents).output
        assert not {c for c in shown + listed if not c.isprintable()} - {"\n"}


def test_a_file_name_is_made_of_safe_characters() -> None:
    assert file_name("inc-7f3a2c", "md") == "inc-7f3a2c.md"
    assert file_name("../../etc/cron.d/x\0\n" + "y" * 200, "md") == f"{'------etc-cron-d-x--' + 'y' * 44}.md"
