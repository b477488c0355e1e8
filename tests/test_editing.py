"""Editing a timeline: only by new facts, honoured by every document, and never against what was decided or done."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
import pytest_asyncio

from bot.domain.edits import edits_of
from bot.domain.measures import measures
from bot.domain.presentation import Presentation
from bot.domain.proposal import Principal
from bot.domain.view import IncidentView
from bot.edges import chain
from bot.edges.database import Database
from bot.edges.export import Export
from bot.edges.redact import Redactor
from bot.editing import TimelineScribe
from bot.ports import TimelineEdit, Told
from config.catalogue import Catalogue
from diagnostics.model import Verdict
from tests.conftest import FakeClock
from tests.flow_fakes import Rig, finding
from tests.incident_samples import LOCAL, page, settle

ANA = Principal(id="slack:T0/U0ANA", name="Ana Ruiz", via="slack")


@dataclass
class Case:
    """A recorded incident and whoever edits its timeline."""

    rig: Rig
    scribe: TimelineScribe
    incident: str

    async def view(self) -> IncidentView:
        found = await self.rig.records.view(self.incident)
        assert found is not None
        return found

    async def seq(self, kind: str) -> int:
        return (await self.view()).entries(kind)[-1].seq

    async def edit(self, kind: str, entry: int, **what: object) -> Told:
        return await self.scribe.edit(self.incident, entry, TimelineEdit(kind=kind, **what), ANA)  # type: ignore[arg-type]

    async def told(self, form: str = "md", **how: object) -> str:
        return Export().export(await self.view(), form, Presentation(**how)).decode()  # type: ignore[arg-type]


@pytest_asyncio.fixture
async def case(tmp_path: Path, catalogue: Catalogue) -> AsyncIterator[Case]:
    database = Database(tmp_path / "pagerunner.sqlite")
    database.open()
    rig = Rig(database, catalogue, FakeClock())
    incident = await settle(rig.inbox, rig.casebook, page())
    await rig.casebook.found(
        incident, 1, "user_signal:{}", finding("user_signal", "ok", Verdict.NORMAL), rig.clock.now()
    )
    await rig.desk.note(incident, "note_added", "customers were told", LOCAL)
    redact = Redactor({"slack": "hunter2hunter2"}, b"k")
    scribe = TimelineScribe(rig.records, rig.casebook, rig.clock, redact=redact)
    yield Case(rig=rig, scribe=scribe, incident=incident)
    database.close()


async def test_every_edit_is_a_new_fact_and_the_chain_holds(case: Case) -> None:
    before = (await case.view()).timeline
    note = await case.seq("note_added")
    await case.edit("entry_annotated", note, text="by mail")
    await case.edit("key_moment", note, text="told them")
    await case.edit("entry_hidden", note, text="internal")
    await case.edit("entry_hidden", note, undo=True)
    after = (await case.view()).timeline
    assert after[: len(before)] == before
    assert [entry.fact.kind for entry in after[len(before) :]] == [
        "entry_annotated", "key_moment", "entry_hidden", "entry_hidden"]  # fmt: skip
    assert chain.verify(await case.rig.records.whole_chain()) == ""


async def test_a_hidden_entry_is_counted_with_who_hid_it_and_only_the_internal_json_has_it(case: Case) -> None:
    note = await case.seq("note_added")
    assert (await case.edit("entry_hidden", note, text="wrong incident")).ok
    for form in ("md", "html", "csv"):
        assert "customers were told" not in await case.told(form), form
    assert "1 entry hidden by Ana Ruiz" in await case.told()
    assert "customers were told" in await case.told("json")
    redacted = json.loads(await case.told("json", redaction="company"))
    assert "customers were told" not in json.dumps(redacted)
    assert redacted["hidden"] == {"Ana Ruiz": 1}
    assert (await case.edit("entry_hidden", note, undo=True)).ok
    assert "customers were told" in await case.told()


async def test_annotations_and_key_moments_stand_beside_their_entry(case: Case) -> None:
    note = await case.seq("note_added")
    await case.edit("entry_annotated", note, text="the secret is hunter2hunter2")
    await case.edit("key_moment", note, text="customers knew")
    told = await case.told()
    assert "hunter2" not in await case.told("json")
    row = next(line for line in told.splitlines() if line.startswith(f"| #{note} |"))
    assert "**★** “customers knew”" in row
    assert "**Note** by Ana Ruiz:" in row
    assert "| ★ Key moment: “customers knew” |" in told


async def test_an_entry_is_shown_at_its_true_time(case: Case) -> None:
    note = await case.seq("note_added")
    opened = (await case.view()).incident.opened_at
    truly = (opened - timedelta(minutes=5)).astimezone(ZoneInfo("Europe/Berlin"))
    assert (await case.edit("entry_placed", note, at=truly, text="mail log")).ok
    rows = [line for line in (await case.told()).split("## Timeline")[1].splitlines() if line.startswith("| #")]
    assert rows[0].startswith(f"| #{note} | {opened - timedelta(minutes=5):%Y-%m-%d %H:%M:%S} |")
    assert "placed here afterwards" in rows[0]
    await case.edit("entry_placed", note, undo=True)
    assert "placed here afterwards" not in await case.told()


async def test_a_person_can_mark_when_users_were_first_affected_and_time_to_detect_follows(case: Case) -> None:
    note = await case.seq("note_added")
    opened = (await case.view()).incident.opened_at
    await case.edit("entry_placed", note, at=opened - timedelta(minutes=7))
    await case.edit("key_moment", note, text="first complaint", began=True)
    told = await case.told()
    assert "| Time to detect (MTTD) | 7 min" in told
    assert "as “Ana Ruiz” marked it" in told
    await case.edit("key_moment", note, undo=True)
    assert "| Time to detect (MTTD) | none" in await case.told()
    assert next(m for m in measures(await case.view()) if m.key == "detect").seconds is None


@pytest.mark.parametrize(
    ("kind", "on", "what", "why"),
    [
        ("entry_hidden", "vote_cast", {}, "stays visible; annotate it instead"),
        ("entry_placed", "probe_finished", {"at": datetime(2020, 1, 1, tzinfo=UTC)}, "by the clock"),
        ("entry_placed", "note_added", {}, "Say when"),
        ("entry_placed", "note_added", {"at": datetime(2099, 1, 1, tzinfo=UTC)}, "in the future"),
        ("entry_placed", "note_added", {"at": datetime(2001, 1, 1, tzinfo=UTC)}, "more than 31 days before"),
        ("entry_annotated", "note_added", {"text": "  "}, "needs a text"),
        ("entry_annotated", "note_added", {"text": "x" * 3_001}, "at most 3,000"),
        ("entry_annotated", "note_added", {"text": "x", "undo": True}, "An annotation stays"),
        ("entry_hidden", "note_added", {"undo": True}, "nothing to undo"),
    ],
)
async def test_an_edit_that_may_not_be_says_why_and_records_nothing(
    case: Case, kind: str, on: str, what: dict[str, object], why: str
) -> None:
    from bot.domain.timeline import Fact, Provenance

    if on == "vote_cast":
        fact = Fact(
            kind=on, provenance=Provenance.HUMAN, actor=ANA.id, data={"proposal": "pr-1", "decision": "approve"}
        )
        await case.rig.casebook.record(case.incident, [fact], case.rig.clock.now())
    before = (await case.view()).timeline
    answer = await case.edit(kind, await case.seq(on), **what)
    assert not answer.ok
    assert why in answer.text
    assert (await case.view()).timeline == before


async def test_an_edit_cannot_be_edited_and_an_entry_of_nothing_is_named(case: Case) -> None:
    note = await case.seq("note_added")
    await case.edit("entry_annotated", note, text="x")
    assert "is itself an edit" in (await case.edit("entry_hidden", note + 1)).text
    assert "has no entry #999" in (await case.edit("entry_hidden", 999)).text
    missing = await case.scribe.edit("inc-none", 1, TimelineEdit(kind="entry_hidden"), ANA)
    assert "There is no incident inc-none" in missing.text


async def test_of_a_closed_incident_the_postmortem_is_written_again(case: Case) -> None:
    note = await case.seq("note_added")
    await case.edit("entry_annotated", note, text="early")
    await case.rig.desk.command(case.incident, "resolve", LOCAL)
    await case.rig.desk.command(case.incident, "close", LOCAL)
    answer = await case.edit("entry_annotated", note, text="late")
    assert answer.text.endswith("The postmortem is written again in a moment.")


def test_nonsense_in_recorded_edits_is_no_edit() -> None:
    from bot.domain.timeline import Provenance
    from tests.postmortem_samples import chained, told

    odd = [
        told(1, "entry_hidden", Provenance.HUMAN, ANA.id, entry="12", state="hidden"),
        told(2, "entry_placed", Provenance.HUMAN, ANA.id, entry=41, state="placed", at="yesterday"),
        told(3, "key_moment", Provenance.HUMAN, ANA.id),
    ]
    edits = edits_of(chained(odd))
    assert not edits.hidden
    assert not edits.placed
    assert not edits.moments
