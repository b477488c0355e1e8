"""Which text of a runbook an incident used: recorded once for an investigation, and shown where people read of it."""

import json
from dataclasses import replace
from datetime import date
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from bot.domain.incident import Incident
from bot.domain.presentation import Presentation
from bot.domain.provenance import libraries, used_fact, used_texts
from bot.edges.database import Database
from bot.edges.export import Export
from bot.flow import Flow
from bot.ports import Investigated
from bot.triage import nodes
from bot.wiring import actions, open_shelf
from config.catalogue import Catalogue
from config.library import GitSource
from diagnostics.model import Diagnosis, Hypothesis
from runbooks.folder import Folder
from runbooks.model import Runbook
from tests import postmortem_samples, view_samples
from tests.conftest import FakeClock
from tests.flow_fakes import Rig, ScriptedTriage
from tests.incident_samples import page, settle
from tests.library_fakes import book, git, made
from tests.runbook_cli_fakes import GIT

COMMIT = "1a2b3c4d5e6f" + 28 * "0"
LINK = f"https://github.com/acme/oncall/blob/{COMMIT}/books/provider-outage.md"


def of_git(text: Runbook) -> Runbook:
    source = GitSource(git="git@github.com:acme/oncall.git", revision="main", path="books")
    return replace(text, origin=Folder(path=Path("x"), name="company", git=source).origin(f"{text.id}.md", COMMIT))


@pytest.fixture
def outage(catalogue: Catalogue) -> Runbook:
    found = open_shelf([], actions(), catalogue, date(2026, 11, 22)).get("provider-outage")
    assert found is not None
    return found


class UsingTriage(ScriptedTriage):
    """Says which runbooks it rested on."""

    used: tuple[Runbook, ...] = ()

    async def investigate(self, incident: Incident, number: int) -> Investigated:
        return replace(await super().investigate(incident, number), used=self.used)


async def test_each_investigation_records_the_text_that_it_used(
    database: Database, catalogue: Catalogue, clock: FakeClock, outage: Runbook
) -> None:
    rig = Rig(database, catalogue, clock)
    triage = UsingTriage(rig.casebook, [])
    triage.used = (of_git(outage),)
    rig._parts = replace(rig._parts, triage=triage)
    rig.flow = Flow(rig._parts)
    incident = await settle(rig.inbox, rig.casebook, page())
    await rig.tick()
    view = await rig.records.view(incident)
    assert view is not None

    (text,) = used_texts(view)
    assert (text.runbook, text.library, text.file) == ("provider-outage", "company", "books/provider-outage.md")
    assert (text.commit, text.sha256, text.link) == (COMMIT, outage.revision, LINK)
    assert text.short == "company@1a2b3c4d5e6f"


def test_of_a_folder_the_hash_of_the_text_tells(outage: Runbook) -> None:
    told = used_fact(outage).data

    assert (told["library"], told["file"], told["commit"]) == ("built-in", "provider-outage.md", "")
    assert told["sha256"] == outage.revision


def test_the_runbook_is_the_one_that_the_service_has(tmp_path: Path, catalogue: Catalogue) -> None:
    (tmp_path / "provider-outage.md").write_text(book("Ours"))
    shelf = open_shelf([Folder(path=tmp_path, team="creator", name="creator")], actions(), catalogue, None)
    ranked = (Hypothesis(mode="provider-outage", title="x", probability=0.9),)
    sure = Diagnosis(conclusion="cause", ranked=ranked, causes=("provider-outage",), reason="sure")
    tools: Any = SimpleNamespace(library=shelf)

    def library(service: str, diagnosis: Diagnosis = sure) -> list[str]:
        found = catalogue.service(service)
        assert found is not None
        return [one.origin.library for one in nodes.used(diagnosis, found, tools) if one.origin]

    assert library("image-generation") == ["creator"]
    assert library("chat-assistant") == ["built-in"]
    assert library("chat-assistant", replace(sure, conclusion="inconclusive")) == []


def test_every_library_that_was_searched_is_recorded_with_a_hash_over_its_texts(
    tmp_path: Path, catalogue: Catalogue, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    origin = made(tmp_path / "origin")
    library = origin.library(tmp_path / "data")
    library.update(FakeClock().now())
    folder = Folder(path=library.current, name="company", git=library.source)
    first = libraries(open_shelf([folder], actions(), catalogue, None).all())
    origin.push({"books/zebra.md": book("Zebras 2")})
    library.update(FakeClock().now())
    second = libraries(open_shelf([folder], actions(), catalogue, None).all())

    assert [one["library"] for one in first] == ["built-in", "company"]
    assert first[0] == second[0]
    assert second[1]["commit"] == git(origin.path, "rev-parse", "HEAD") != first[1]["commit"]
    assert second[1]["texts"] != first[1]["texts"]


def test_the_postmortem_and_the_json_name_it_and_the_public_form_does_not() -> None:
    view = replace(view_samples.verified(), timeline=postmortem_samples.chained(postmortem_samples.FACTS))
    written = Export().export(view, "md").decode()
    told = json.loads(Export().export(view, "json"))["runbooks"]
    public = Export().export(view, "md", Presentation(redaction="public")).decode()

    plain = written.replace("\\", "")
    assert "company@1a2b3c4d5e6f" in plain
    assert "oncall/provider-outage.md" in plain
    assert "https://git.internal.example/sre/runbooks/blob/1a2b3c4d5e6f/oncall/provider-outage.md" in plain
    assert [(one["runbook"], one["library"], one["commit"][:12]) for one in told] == [
        ("provider-outage", "company", "1a2b3c4d5e6f")
    ]
    assert "git.internal" not in public
    assert "1a2b3c4d5e6f" not in public
