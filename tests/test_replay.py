"""``pagerunner replay``: the record answers in place of the world, honestly, and nothing is opened or written."""

import json
import os
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli import main
from bot.cli.evaluate import EXAMPLE
from bot.cli.evaluate import START as BEGIN
from bot.cli.replay_shown import compare
from bot.domain.hindsight import Proposed, Said, Then, judge
from bot.domain.timeline import Fact, Provenance
from bot.domain.view import IncidentView
from bot.edges.export import Export
from bot.rehearsal import Stage, World, rehearse
from bot.triage.replay import Today
from bot.wiring import actions, open_librarian, open_shelf, specs
from config.catalogue import Catalogue
from diagnostics.differential import diagnose
from diagnostics.model import Verdict
from diagnostics.order import next_calls
from runbooks.resolve import resolve
from tests.conftest import ROOT, START
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, git
from tests.runbook_incidents import installation

FAST = "--words-only"
NO_NETWORK = """
import json, os, sys

def refuse(event, arguments):
    if event in ("socket.connect", "socket.bind", "socket.sendto", "socket.getaddrinfo"):
        raise AssertionError(f"a socket: {event} {arguments}")

sys.addaudithook(refuse)
from bot.cli import main
main(json.loads(sys.argv[1]), prog_name="pagerunner")
"""


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


@pytest.fixture(scope="module")
def recorded() -> Iterator[dict[str, IncidentView]]:
    """Two incidents as the whole product recorded them against the simulated world."""
    os.environ["LANGGRAPH_STRICT_MSGPACK"] = "true"
    world = World.start(secrets.token_hex(16))
    try:
        folder = ROOT / "config" / "example"
        text = EXAMPLE.read_text("utf-8").replace("http://127.0.0.1:8900", world.url)
        catalogue = _catalogue(text)
        shelf = open_shelf([], actions(), catalogue, START.date())
        seen: list[IncidentView] = []
        librarian = open_librarian(shelf, None)
        librarian.warm()  # as the command does: before it has learned, it ranks otherwise
        stage = Stage(world=world, catalogue=catalogue, library=shelf, librarian=librarian,
                      golden_root=str(folder), seen=seen.append)  # fmt: skip
        found = {}
        for scenario in ("S01", "N33"):
            rehearse(stage, scenario, 1, BEGIN)
            found[scenario] = seen[-1]
        yield found
    finally:
        world.stop()


def _catalogue(text: str) -> Catalogue:
    from config import strict_yaml

    return Catalogue.model_validate(strict_yaml.load(text).value)


@pytest.fixture
def today(catalogue: Catalogue) -> Today:
    shelf = open_shelf([], actions(), catalogue, START.date())
    librarian = open_librarian(shelf, None)
    librarian.warm()
    return Today(catalogue=catalogue, library=shelf, librarian=librarian, specs=specs(),
                 diagnose=diagnose, next_calls=next_calls, resolve=resolve)  # fmt: skip


def run(*words: str, **environ: str) -> Result:
    result = CliRunner().invoke(main, ["replay", *words], env={**WITH_CATALOGUE, **environ}, prog_name="pagerunner")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def told(*words: str, **environ: str) -> Any:
    result = run("--format", "json", FAST, *words, **environ)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def said_by_people(view: IncidentView, verdict: str, runbook: str = "provider-outage") -> IncidentView:
    data = {"verdict": verdict, "by": "Ana Ruiz", "runbook": runbook}
    fact = Fact(kind="verdict_given", provenance=Provenance.HUMAN, actor="slack:T0/U0ANA", data=data)
    return replace(view, timeline=(*view.timeline, replace(view.timeline[-1], fact=fact)))


def exported(view: IncidentView, path: Path) -> Path:
    path.write_bytes(Export().export(view, "json"))
    return path


class TestTheSameCode:
    """With nothing changed since, a replay must come to what was said: otherwise it tells of itself."""

    @pytest.mark.parametrize("scenario", ["S01", "N33"])
    def test_it_comes_to_what_was_said_then(
        self, recorded: dict[str, IncidentView], today: Today, scenario: str
    ) -> None:
        one = compare(recorded[scenario], today)

        assert [match["runbook"] for match in one.then.matches] == [m.document for m in one.now.retrieval.matches]
        assert (one.said.conclusion, one.said.causes) == (one.then.said.conclusion, one.then.said.causes)
        assert [(mode, min(round(share, 4), 0.9999)) for mode, share in one.said.ranked[:5]] == list(
            one.then.said.ranked
        )
        assert (one.now.unread, one.now.otherwise, one.now.unasked) == ((), (), ())
        assert one.judgement.answer == "same"
        assert "nobody said whether that was right" in one.judgement.why

    def test_it_would_propose_what_was_proposed(self, recorded: dict[str, IncidentView], today: Today) -> None:
        one = compare(recorded["S01"], today)

        assert one.then.proposed is not None
        step = one.now.steps[0]
        assert one.then.proposed.action == step.action
        assert {k: str(v) for k, v in one.then.proposed.params.items()} == {k: str(v) for k, v in step.params.items()}
        assert one.then.proposed.outcome == "it helped"


class TestWhatIsNotOnRecord:
    def test_a_probe_that_was_not_read_is_named_and_nothing_is_said_of_it(
        self, recorded: dict[str, IncidentView], today: Today
    ) -> None:
        whole = recorded["S01"]
        lost = "provider_canary"
        view = replace(whole, findings=tuple(f for f in whole.findings if f.probe != lost))

        one = compare(view, today)

        assert (lost, "it was not read then") in [(unread.probe, unread.why) for unread in one.now.unread]
        assert lost not in {finding.probe for finding in one.now.used}

    def test_with_a_probe_unread_nothing_is_called_worse(self, recorded: dict[str, IncidentView], today: Today) -> None:
        whole = said_by_people(recorded["S01"], "right_cause")
        nothing = compare(replace(whole, findings=()), today)

        assert nothing.said.conclusion == "inconclusive"
        assert nothing.judgement.answer == "cannot tell"
        assert "had not been read then" in nothing.judgement.why
        assert len(nothing.now.unread) > 5

    def test_a_reading_of_another_subject_is_not_taken_for_it(
        self, recorded: dict[str, IncidentView], today: Today
    ) -> None:
        whole = recorded["S01"]
        other = {"provider": "beta-anthropic"}
        moved = tuple(
            replace(f, params={**f.params, **other}) if f.probe == "provider_canary" else f for f in whole.findings
        )  # fmt: skip
        numbers = tuple(
            replace(f, params={**f.params, "n": 3}) if f.probe == "second_provider_canary" else f for f in moved
        )  # fmt: skip

        one = compare(replace(whole, findings=numbers), today)

        assert "about something else" in {u.probe: u.why for u in one.now.unread}["provider_canary"]
        assert [(o.probe, o.then["n"]) for o in one.now.otherwise] == [("second_provider_canary", 3)]

    def test_what_was_read_after_a_change_does_not_count(self, recorded: dict[str, IncidentView], today: Today) -> None:
        whole = recorded["S01"]
        applied = next(pv.apply for pv in whole.proposals if pv.apply is not None)
        assert applied.claimed_at is not None
        late = replace(next(f for f in whole.findings if f.probe == "provider_canary"), id="ev-late", outcome="timeout",
                       verdict=Verdict.ABNORMAL, started_at=whole.timeline[-1].at)  # fmt: skip
        view = replace(whole, findings=(*(f for f in whole.findings if f.probe != "provider_canary"), late))

        one = compare(view, today)

        assert late.started_at > applied.claimed_at
        assert "provider_canary" in [unread.probe for unread in one.now.unread]

    def test_a_word_that_a_probe_does_not_have_any_more_is_said(
        self, recorded: dict[str, IncidentView], today: Today
    ) -> None:
        whole = recorded["S01"]
        view = replace(whole, findings=tuple(
            replace(f, outcome="went_away") if f.probe == "provider_canary" else f for f in whole.findings
        ))  # fmt: skip

        one = compare(view, today)

        assert "'went_away'" in {u.probe: u.why for u in one.now.unread}["provider_canary"]

    def test_pages_that_came_after_the_search_are_not_searched_for(
        self, recorded: dict[str, IncidentView], today: Today
    ) -> None:
        whole = recorded["S01"]
        later = replace(whole.pages[0], body="the index is stale, ingestion has stopped " * 20,
                        received_at=datetime(2030, 1, 1, tzinfo=UTC))  # fmt: skip

        one = compare(replace(whole, pages=(*whole.pages, later)), today)

        assert one.now.retrieval.matches[0].document == "provider-outage"

    def test_a_service_that_nobody_knows_is_found_runbooks_for_and_no_more(
        self, recorded: dict[str, IncidentView], today: Today
    ) -> None:
        whole = recorded["S01"]
        gone = replace(whole, service=None, incident=replace(whole.incident, service="elsewhere"))

        one = compare(gone, today)

        assert one.now.retrieval.matches
        assert one.judgement.answer == "cannot tell"
        assert any("elsewhere is in no catalogue here" in gap for gap in one.now.gaps)


CAUSE = Said(conclusion="cause", causes=("provider-outage",), ranked=(("provider-outage", 0.9),))
OTHER = Said(conclusion="cause", causes=("egress-failure",), ranked=(("egress-failure", 0.9),))
UNSURE = Said(conclusion="inconclusive", ranked=(("provider-outage", 0.4),))
HEALTHY = Said(conclusion="no_fault")
RIGHT = ("Ana", "right_cause", "provider-outage")
WRONG = ("Ana", "wrong_cause", "provider-outage")
NOISE = ("Ana", "noise", "")


@pytest.mark.parametrize(
    ("was", "now", "verdicts", "unread", "answer"),
    [
        (CAUSE, CAUSE, [], 0, "same"),
        (CAUSE, OTHER, [], 0, "cannot tell"),
        (CAUSE, CAUSE, [RIGHT], 0, "same"),
        (UNSURE, CAUSE, [RIGHT], 3, "better"),
        (OTHER, CAUSE, [RIGHT], 0, "better"),
        (OTHER, UNSURE, [RIGHT], 0, "better"),
        (CAUSE, OTHER, [RIGHT], 0, "worse"),
        (CAUSE, UNSURE, [RIGHT], 0, "worse"),
        (CAUSE, UNSURE, [RIGHT], 1, "cannot tell"),
        (CAUSE, CAUSE, [WRONG], 0, "same"),
        (CAUSE, UNSURE, [WRONG], 0, "better"),
        (CAUSE, OTHER, [WRONG], 0, "cannot tell"),
        (CAUSE, HEALTHY, [NOISE], 0, "better"),
        (HEALTHY, HEALTHY, [NOISE], 0, "same"),
        (HEALTHY, CAUSE, [NOISE], 0, "worse"),
        (CAUSE, CAUSE, [RIGHT, ("Ben", "noise", "")], 0, "cannot tell"),
        (Said(conclusion=""), CAUSE, [RIGHT], 0, "cannot tell"),
        (CAUSE, Said(conclusion=""), [RIGHT], 0, "cannot tell"),
    ],
)  # fmt: skip
def test_only_the_word_of_people_makes_better_or_worse(
    was: Said, now: Said, verdicts: list[tuple[str, str, str]], unread: int, answer: str
) -> None:
    proposed = Proposed(runbook="provider-outage", action="shift_traffic", params={}, outcome="it helped")
    record = Then(matches=(), said=was, reason="", proposed=proposed, investigations=1, verdicts=tuple(verdicts))

    judged = judge(record, now, unread)

    assert judged.answer == answer
    assert judged.why


class TestTheCommand:
    def test_an_exported_incident_is_told_for_people_and_for_programs(
        self, recorded: dict[str, IncidentView], tmp_path: Path
    ) -> None:
        file = str(exported(said_by_people(recorded["S01"], "right_cause"), tmp_path / "one.json"))

        shown = run(FAST, "--from", file)
        report = told("--from", file)

        assert shown.exit_code == 0
        assert "Would we have done better? Same: people said: right cause (provider-outage)." in shown.stdout
        assert "Would be proposed now: the same, shift_traffic" in shown.stdout
        assert report["better"] == "same"
        assert report["then"]["verdicts"] == [["Ana Ruiz", "right_cause", "provider-outage"]]
        assert report["now"]["runbooks"][0]["reasons"]
        assert report["now"]["cannot_say"] == []

    def test_several_are_a_table_with_totals(self, recorded: dict[str, IncidentView], tmp_path: Path) -> None:
        files = [str(exported(view, tmp_path / f"{name}.json")) for name, view in recorded.items()]
        words = [word for file in files for word in ("--from", file)]

        shown = run(FAST, *words).stdout
        report = told(*words)

        assert "2 incidents: 0 better, 2 same, 0 worse, 0 cannot tell" in shown
        assert "With a verdict of people: 0." in shown
        assert report["totals"]["same"] == 2
        assert len(report["incidents"]) == 2

    def test_text_of_a_foreign_incident_cannot_drive_the_terminal(
        self, recorded: dict[str, IncidentView], tmp_path: Path
    ) -> None:
        view = recorded["S01"]
        bad = replace(view, incident=replace(view.incident, title="\x1b[2J\u202egone", service="x\x1b[31m"))

        assert "\x1b" not in run(FAST, "--from", str(exported(bad, tmp_path / "bad.json"))).stdout

    def test_incidents_of_the_database_are_replayed_and_it_is_left_as_it_was(self, tmp_path: Path) -> None:
        with installation(tmp_path) as made:
            made.path.rename(tmp_path / "pagerunner.sqlite")
        with installation(tmp_path / "again") as made:
            one = made.incident("E1", "LLM error rate 18 percent on chat")
            made.finding(one, "user_signal", "ok")
            made.concluded(one, "no_fault")
            ended = Fact(kind="investigation_ended", provenance=Provenance.COMPUTED, actor="pagerunner", data={})
            import asyncio

            asyncio.run(made.casebook.record(one, [ended], datetime.now(UTC)))
            made.incident("E2", "never investigated")
        data = tmp_path / "again"
        made.path.rename(data / "pagerunner.sqlite")
        before = (data / "pagerunner.sqlite").read_bytes()

        report = told("--since", "30d", PAGERUNNER_DATA=str(data))
        single = told(one, PAGERUNNER_DATA=str(data))

        assert [each["incident"] for each in report["incidents"]] == [one]
        assert single["incident"] == one
        assert (data / "pagerunner.sqlite").read_bytes() == before

    def test_an_empty_history_says_so(self, tmp_path: Path) -> None:
        with installation(tmp_path) as made:
            pass
        made.path.rename(tmp_path / "pagerunner.sqlite")

        assert "nothing to replay" in run(FAST, "--since", "7d", PAGERUNNER_DATA=str(tmp_path)).stdout

    def test_another_library_is_a_revision_or_a_folder(self, recorded: dict[str, IncidentView], tmp_path: Path) -> None:
        folder = tmp_path / "repo" / "books"
        folder.mkdir(parents=True)
        title = recorded["S01"].incident.title
        page = " ".join(recorded["S01"].pages[0].body.split())[:150].replace('"', "")
        git(tmp_path / "repo", "init", "--quiet", "--initial-branch=main")
        (folder / "ours.md").write_text(book("Ours", front=f'pages: ["{title} {page}"]\n'))
        git(tmp_path / "repo", "add", "-A")
        git(tmp_path / "repo", "commit", "--quiet", "-m", "first")
        (folder / "ours.md").write_text(book("Nothing of it any more"))
        file = str(exported(recorded["S01"], tmp_path / "one.json"))
        own = {"PAGERUNNER_RUNBOOKS": str(folder)}

        def found(*words: str) -> list[str]:
            return [m["document"] for m in told("--from", file, *words, **own)["now"]["runbooks"]]

        assert "ours" not in found()[:1]
        assert found("--runbooks", "main")[0] == "ours"
        assert "ours" not in found("--runbooks", str(folder))[:1]
        wrong = run(FAST, "--from", file, "--runbooks", "no-such", **own)
        assert wrong.exit_code == 2
        assert "there is no revision 'no-such'" in wrong.output
        assert "no folder either" in wrong.output

    def test_what_cannot_be_replayed_is_said_with_what_to_do(
        self, recorded: dict[str, IncidentView], tmp_path: Path
    ) -> None:
        from bot.domain.presentation import Presentation

        (tmp_path / "text.json").write_text("not json")
        (tmp_path / "other.json").write_text('{"format": "something"}')
        (tmp_path / "broken.json").write_text('{"format": "pagerunner-incident/1", "view": {"incident": 1}}')
        public = Export().export(recorded["S01"], "json", Presentation(redaction="public"))
        (tmp_path / "public.json").write_bytes(public)
        for name, word in (("text", "not JSON"), ("other", "not an incident of the format"), ("gone", "cannot be read"),
                           ("broken", "this version cannot read"), ("public", "redacted for the public")):  # fmt: skip
            ended = run(FAST, "--from", str(tmp_path / f"{name}.json"))
            assert (ended.exit_code, word in ended.output) == (2, True), ended.output
        assert "Name one incident" in run().output
        assert "Name one incident" in run("inc-1", "--since", "30d").output

    def test_a_company_export_is_replayed_with_the_title_alone_and_says_so(
        self, recorded: dict[str, IncidentView], tmp_path: Path
    ) -> None:
        from bot.domain.presentation import Presentation

        content = Export().export(recorded["S01"], "json", Presentation(redaction="company"))
        (tmp_path / "company.json").write_bytes(content)

        assert "the search had the title alone" in run(FAST, "--from", str(tmp_path / "company.json")).stdout

    def test_no_socket_is_opened_and_no_file_is_left(self, recorded: dict[str, IncidentView], tmp_path: Path) -> None:
        file = exported(recorded["S01"], tmp_path / "one.json")
        home = tmp_path / "empty"
        home.mkdir()
        words = json.dumps(["replay", FAST, "--from", str(file)])
        environ = {**WITH_CATALOGUE, "PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]}

        done = subprocess.run([sys.executable, "-B", "-c", NO_NETWORK, words], env=environ, cwd=home,
                              capture_output=True, text=True, check=False)  # fmt: skip

        assert (done.returncode, done.stderr.count("AssertionError")) == (0, 0), done.stderr[-2000:]
        assert "Would we have done better?" in done.stdout
        assert list(home.iterdir()) == []
