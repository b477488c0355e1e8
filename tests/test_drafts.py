"""Drafts of the postmortem: whole in every form when an incident closes, and again, debounced, when it changes."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from bot.bench.exports import long_incident
from bot.domain.incident import Status
from bot.domain.timeline import computed
from bot.edges import publisher as publishing
from bot.edges.database import Database
from bot.edges.drafts import AT_LATEST, QUIET, Drafter
from bot.edges.export import Export
from bot.edges.publisher import PAPER, QUICK, Publisher, on_paper
from bot.edges.redact import Redactor
from bot.ports import Drafted
from config.catalogue import Catalogue
from tests import postmortem_samples
from tests.conftest import FakeClock
from tests.flow_fakes import Rig
from tests.incident_samples import ANA, LOCAL, page, settle

ALL = (*QUICK, *PAPER)


@dataclass
class Case:
    """An incident, its drafter, and what it wrote."""

    rig: Rig
    database: Database
    clock: FakeClock
    drafter: Drafter
    written: list[str]
    incident: str

    async def note(self, text: str, incident: str = "") -> None:
        await self.rig.desk.note(incident or self.incident, "note_added", text, ANA)

    async def close(self) -> None:
        await self.rig.desk.command(self.incident, "resolve", LOCAL)
        await self.rig.flow.close(self.incident)

    async def looks(self, seconds: float, every: float = 2) -> None:
        """Time passes, and the clock calls."""
        for _ in range(int(seconds / every)):
            self.clock.advance(every)
            await self.drafter.look()

    def again(self, publish: object = None) -> Drafter:
        """The drafter of a new process."""
        return Drafter(self.database, publish or self.drafter._write_files, self.clock)  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def case(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[Case]:
    database = Database(tmp_path / "pagerunner.sqlite")
    database.open()
    rig = Rig(database, catalogue, FakeClock())
    written: list[str] = []

    async def publish(one: str) -> Drafted:
        view = await rig.records.view(one)
        assert view is not None
        written.append(one)
        return Drafted(files=(f"{one}.md",), upto=view.timeline[-1].seq)

    drafter = Drafter(database, publish, rig.clock)
    from dataclasses import replace

    from bot.flow import Flow

    rig.flow = Flow(replace(rig._parts, publish=drafter.publish))
    incident = await settle(rig.inbox, rig.casebook, page())
    await drafter.look()
    yield Case(rig=rig, database=database, clock=rig.clock, drafter=drafter, written=written, incident=incident)
    database.close()


class TestWhen:
    async def test_a_draft_is_ready_when_it_closes_and_is_not_made_again_for_nothing(self, case: Case) -> None:
        await case.note("before")
        await case.close()
        assert case.written == [case.incident]

        await case.looks(300)

        assert case.written == [case.incident]

    async def test_many_changes_are_one_rewrite_once_it_is_quiet(self, case: Case) -> None:
        await case.close()
        for number in range(5):
            await case.note(f"change {number}")
            await case.looks(4)
        assert len(case.written) == 1

        await case.looks(QUIET.total_seconds())

        assert len(case.written) == 2

    async def test_changes_that_never_end_are_written_at_the_latest(self, case: Case) -> None:
        await case.close()
        for number in range(int(AT_LATEST.total_seconds() / 4) + 2):
            await case.note(f"change {number}")
            await case.looks(4)

        assert len(case.written) >= 2

    async def test_a_crash_loses_no_change(self, case: Case) -> None:
        await case.close()
        await case.looks(20)
        await case.note("after closing")
        second = case.again()

        await second.look()
        case.clock.advance(QUIET.total_seconds())
        await second.look()
        await second.look()

        assert case.written == [case.incident, case.incident]

    async def test_what_is_open_is_not_drafted_and_holds_up_nobody(self, case: Case) -> None:
        other = await settle(case.rig.inbox, case.rig.casebook,
                             page("E2", incident_ref="Q2", incident_key="k2", title="Another thing"))  # fmt: skip
        await case.close()
        await case.note("still going on", other)
        await case.note("changed")
        await case.looks(30)

        assert case.written == [case.incident, case.incident]

    async def test_a_change_between_writing_and_closing_is_not_lost(self, case: Case) -> None:
        await case.rig.desk.command(case.incident, "resolve", LOCAL)
        await case.drafter.publish(case.incident)
        await case.note("in between")
        await case.looks(30)
        assert len(case.written) == 1

        await case.rig.casebook.move(case.incident, Status.CLOSED, [computed("incident_closed", {})], case.clock.now())
        await case.looks(30)

        assert len(case.written) == 2

    async def test_a_full_disk_is_tried_again_and_other_incidents_are_written(
        self, case: Case, caplog: pytest.LogCaptureFixture
    ) -> None:
        await case.close()
        await case.looks(20)
        broken = [True]

        async def publish(one: str) -> Drafted:
            await asyncio.sleep(0)
            if broken[0]:
                raise OSError(28, "No space left on device")
            case.written.append(one)
            return Drafted(files=(), upto=10**6)

        drafter = case.again(publish)
        await case.note("x")
        case.clock.advance(20)
        await drafter.look()
        await drafter.look()
        broken[0] = False
        await drafter.look()
        early = len(case.written)
        case.clock.advance(61)
        await drafter.look()

        assert (early, len(case.written)) == (1, 2)
        assert caplog.text.count("cannot be written, and will be tried again") == 1

    async def test_an_old_installation_does_not_write_everything_anew(self, case: Case) -> None:
        from sqlalchemy import delete

        from bot.edges.drafts import KEY
        from bot.edges.schema import meta

        await case.close()
        await case.note("long ago")
        await case.database.run(lambda c: c.execute(delete(meta).where(meta.c.key == KEY)))
        case.clock.advance(timedelta(days=1).total_seconds())

        await case.again().look()
        await case.again().look()

        assert len(case.written) == 1


class TestWhat:
    async def test_every_form_is_written_whole_and_replaced_in_one_step(self, case: Case, tmp_path: Path) -> None:
        folder = tmp_path / "out"
        publisher = Publisher(case.rig.records, folder, forms=ALL)

        first = await publisher.publish(case.incident)
        await case.note("one more thing")
        second = await publisher.publish(case.incident)

        names = {f"{case.incident}.{form}" for form in ALL}
        assert (set(first.files), first.problems) == (names, ())
        assert second.upto > first.upto
        assert _names(folder) == names
        assert b"one more thing" in _bytes(folder / f"{case.incident}.md")
        assert _bytes(folder / f"{case.incident}.pdf").startswith(b"%PDF")
        assert _bytes(folder / f"{case.incident}.docx").startswith(b"PK")

    async def test_secrets_that_people_wrote_are_in_no_form(self, case: Case, tmp_path: Path) -> None:
        await case.note("the key is hunter2hunter2")
        exporter = Export(Redactor({"key": "hunter2hunter2"}, b"k"))
        publisher = Publisher(case.rig.records, tmp_path / "out", forms=ALL, exporter=exporter)

        await publisher.publish(case.incident)

        for form in ALL:
            assert b"hunter2hunter2" not in _bytes(tmp_path / "out" / f"{case.incident}.{form}")

    def test_paper_is_what_the_exporter_makes(self) -> None:
        view = postmortem_samples.complete()

        made = on_paper(view, PAPER)

        assert made["pdf"] == Export(str).export(view, "pdf")
        assert isinstance(made["docx"], bytes)

    async def test_what_takes_too_much_is_said_and_the_other_forms_are_there(
        self, case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(publishing, "WALL_S", 0.01)

        drafted = await Publisher(case.rig.records, tmp_path / "out", forms=ALL).publish(case.incident)

        assert set(drafted.files) == {f"{case.incident}.{form}" for form in QUICK}
        assert drafted.problems[0] == f"{case.incident}.pdf could not be made: it did not end within 0.01 s"

    async def test_closing_says_what_could_not_be_made_and_closes_all_the_same(self, case: Case) -> None:
        async def publish(one: str) -> Drafted:
            await asyncio.sleep(0)
            return Drafted(files=(f"{one}.md",), problems=(f"{one}.pdf could not be made: too long",))

        from dataclasses import replace

        from bot.flow import Flow

        case.rig.flow = Flow(replace(case.rig._parts, publish=publish))
        await case.rig.desk.command(case.incident, "resolve", LOCAL)
        await case.rig.flow.close(case.incident)

        view = await case.rig.records.view(case.incident)
        assert view is not None
        assert view.incident.status is Status.CLOSED
        assert [e.fact.data["why"] for e in view.entries("alarm")] == [
            f"{case.incident}.pdf could not be made: too long"
        ]


def test_the_longest_incident_that_is_measured_fits_the_limits_of_the_worker() -> None:
    made = on_paper(long_incident(), PAPER)

    assert {form: type(content) for form, content in made.items()} == dict.fromkeys(PAPER, bytes), made


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def _bytes(path: Path) -> bytes:
    return path.read_bytes()
