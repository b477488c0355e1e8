"""Commands that need no server: what they print, what they write, how they fail, and the codes they end with."""

import asyncio
import json
import os
import stat
import time
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from bot.cli import _COMMANDS, main
from bot.cli.demo import SCENARIOS
from bot.cli.init import FILES
from bot.cli.tables import document
from bot.domain.drills import SEEN
from bot.wiring import LIBRARY, PROBES, actions, specs
from config.settings import load, load_catalogue
from runbooks.actions.http_action_file import load_http_actions
from tests.conftest import ROOT
from tests.world_fakes import running

EXAMPLE = ROOT / "config" / "example"


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every command runs in an empty folder, with no settings of this machine."""
    monkeypatch.chdir(tmp_path)
    for name in list(os.environ):
        if name.startswith("PAGERUNNER_"):
            monkeypatch.delenv(name)


def run(*words: str, stdin: str | None = None, **environ: str) -> Result:
    """One command, as typed; what it raised by mistake fails the test."""
    result = CliRunner().invoke(main, list(words), input=stdin, env=environ, prog_name="pagerunner")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def contents(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


def event(service: str = "PSVCCHAT", **more: Any) -> str:
    """A PagerDuty V3 event, such as one keeps on file."""
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    data = {"id": "Q1", "type": "incident", "number": 7, "status": "triggered", "incident_key": "k",
            "title": "Chat assistant: LLM error rate 34% over 5 minutes",
            "service": {"id": service, "type": "service_reference", "summary": "Chat"}, **more}  # fmt: skip
    return json.dumps({"event": {"id": "01E", "event_type": "incident.triggered", "resource_type": "incident",
                                 "occurred_at": now, "data": data}})  # fmt: skip


class TestEveryCommand:
    def test_help_lists_all_of_them_with_one_line_each(self) -> None:
        result = run("--help")
        assert result.exit_code == 0
        for name in _COMMANDS:
            assert f"\n  {name} " in result.output

    def test_what_does_not_exist_is_wrong_usage(self) -> None:
        result = run("resurrect")
        assert (result.exit_code, "No such command" in result.output) == (2, True)

    def test_the_version_is_told(self) -> None:
        assert run("--version").output.startswith("pagerunner 0.")

    @pytest.mark.parametrize("words", [("ack", "inc-1"), ("approve", "pr-1"), ("freeze",), ("resolve", "inc-1")])
    def test_without_a_server_what_changes_state_ends_with_3(self, words: tuple[str, ...]) -> None:
        result = run(*words)
        assert (result.exit_code, "pagerunner serve" in result.output) == (3, True)

    @pytest.mark.parametrize("words", [("serve",), ("ack", "inc-1"), ("runbooks", "lint"), ("audit", "verify")])
    def test_wrong_settings_end_with_2_and_name_the_place(self, words: tuple[str, ...], tmp_path: Path) -> None:
        path = tmp_path / "pagerunner.yaml"
        path.write_text("prot: 1\n")
        result = run(*words, PAGERUNNER_CONFIG=str(path))
        assert (result.exit_code, f"{path}:1:1: prot: unknown key" in result.output) == (2, True)


class TestInit:
    def test_it_writes_what_loads_and_tells_what_comes_next(self, tmp_path: Path) -> None:
        result = run("init", "here")
        folder = tmp_path / "here"
        assert result.exit_code == 0
        assert contents(folder) == {*FILES, "golden"}
        settings = load({}, folder / "pagerunner.yaml")
        catalogue = load_catalogue(settings.catalogue)
        path = settings.http_actions
        assert path is not None
        assert load_http_actions(path.read_text(), str(path), targets=[target.name for target in catalogue.targets])
        assert (settings.catalogue.parent / catalogue.services[0].golden_set).exists()
        assert "pagerunner doctor" in result.output

    def test_nothing_of_it_may_act(self, tmp_path: Path) -> None:
        run("init")
        assert {service.mode for service in load_catalogue(tmp_path / "catalogue.yaml").services} == {"observe"}

    def test_what_may_hold_secrets_is_the_owners_alone(self, tmp_path: Path) -> None:
        run("init")
        assert stat.S_IMODE((tmp_path / "pagerunner.yaml").stat().st_mode) == 0o600

    def test_it_never_overwrites_and_says_so(self, tmp_path: Path) -> None:
        (tmp_path / "catalogue.yaml").write_text("mine")
        first = run("init")
        assert "kept   catalogue.yaml" in first.output
        assert "wrote  pagerunner.yaml" in first.output
        assert (tmp_path / "catalogue.yaml").read_text() == "mine"
        again = run("init")
        assert "wrote" not in again.output
        assert again.exit_code == 0

    def test_it_writes_through_no_link(self, tmp_path: Path) -> None:
        (tmp_path / "pagerunner.yaml").symlink_to(tmp_path / "elsewhere")
        run("init")
        assert not (tmp_path / "elsewhere").exists()

    def test_a_folder_that_cannot_be_written_is_told(self, tmp_path: Path) -> None:
        (tmp_path / "golden").write_text("a file")
        result = run("init")
        assert (result.exit_code, "golden: cannot be written" in result.output) == (1, True)


class TestProbes:
    def test_the_document_is_current(self) -> None:
        path = ROOT / "docs" / "probes-and-actions.md"
        assert path.read_text("utf-8") == document(), "run: pagerunner probes --markdown > docs/probes-and-actions.md"

    def test_every_probe_outcome_and_action_stands_in_it(self) -> None:
        text = run("probes", "--markdown").output
        for probe in PROBES:
            (row,) = [line for line in text.splitlines() if line.startswith(f"| {probe.spec.id} |")]
            assert all(word in row for word in probe.spec.outcomes)
        assert all(f"`{name}`" in text for name in actions())

    def test_the_table_is_json_too(self) -> None:
        told = json.loads(run("probes", "--json").output)
        assert [row["name"] for row in told["probes"]] == list(specs())
        assert [row["name"] for row in told["actions"]] == list(actions())
        shift = next(row for row in told["actions"] if row["name"] == "shift_traffic")
        assert shift["params"]["from"] == "text, required"
        assert shift["params"]["percent"] == "whole number, 1 to 100, default: 100"

    def test_the_short_form_has_a_line_for_each(self) -> None:
        assert "P00  user_signal" in run("probes").output


class TestRunbooksLint:
    def test_the_library_is_sound_against_the_example_company(self) -> None:
        result = run("runbooks", "lint", PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert result.exit_code == 0, result.output

    def test_an_error_is_told_with_file_line_and_column_and_ends_with_1(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.md"
        path.write_text("---\ntitle: Mine\nowner: web\nevidence:\n  egres: {ok: usual}\n---\n# Mine\n")
        result = run("runbooks", "lint", str(path))
        assert result.exit_code == 1
        assert f"{path}:5:3: error: there is no probe 'egres'" in result.output
        assert "'egress'" in result.output

    def test_json_has_the_same(self, tmp_path: Path) -> None:
        path = tmp_path / "mine.md"
        path.write_text("---\ntitle: Mine\nowner: web\nevidence:\n  egres: {ok: usual}\n---\n# Mine\n")
        result = run("runbooks", "lint", "--json", str(tmp_path))
        told = json.loads(result.stdout)
        assert (result.exit_code, told["files"], told["errors"], told["catalogue"]) == (1, 1, 1, False)
        assert (told["problems"][0]["line"], told["problems"][0]["column"]) == (5, 3)

    def test_a_runbook_alone_may_name_those_of_the_library(self, tmp_path: Path) -> None:
        other = "not_pages:\n  - {text: it is slow, belongs_to: RUNBOOK}\n"
        text = f"---\ntitle: Mine\nowner: web\npages: [it is broken]\n{other}---\n# Mine\n"
        path = tmp_path / "mine.md"
        path.write_text(text.replace("RUNBOOK", "provider-latency"))
        assert run("runbooks", "lint", str(path)).exit_code == 0
        path.write_text(text.replace("RUNBOOK", "provider-latncy"))
        result = run("runbooks", "lint", str(path))
        assert "provider-latncy" in result.output
        assert "'provider-latency'" in result.output

    def test_two_of_one_id_in_a_folder_are_an_error_and_one_that_takes_the_librarys_place_is_not(
        self, tmp_path: Path
    ) -> None:
        for name in ("a", "b"):
            (tmp_path / "books" / name).mkdir(parents=True)
            (tmp_path / "books" / name / "mine.md").write_text("---\ntitle: Mine\nowner: web\n---\n# Mine\n")
        assert run("runbooks", "lint", str(tmp_path / "books")).exit_code == 1
        (tmp_path / "books" / "b" / "mine.md").unlink()
        (tmp_path / "books" / "a" / "egress-failure.md").write_text((LIBRARY / "egress-failure.md").read_text())
        assert run("runbooks", "lint", PAGERUNNER_RUNBOOKS=str(tmp_path / "books")).exit_code == 0

    def test_plain_markdown_is_no_error_and_hints_are_shown_when_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "plain.md").write_text("# What we do\n\nCall Ana.\n")
        quiet, talkative = run("runbooks", "lint", str(tmp_path)), run("runbooks", "lint", "--hints", str(tmp_path))
        assert (quiet.exit_code, quiet.stdout) == (0, "")
        assert "never executed" in talkative.stdout

    def test_what_is_not_there_is_wrong_usage(self, tmp_path: Path) -> None:
        result = run("runbooks", "lint", str(tmp_path / "none"))
        assert (result.exit_code, "cannot be read" in result.output) == (2, True)


class TestRunbooksSearch:
    def test_by_words_it_answers_at_once_with_reasons(self, tmp_path: Path) -> None:
        result = run("runbooks", "search", "--words-only", "503 on every call, status page of the provider red")
        assert result.exit_code == 0
        assert result.stdout.splitlines()[0].split()[1] == "provider-outage"
        assert "words: shares the words" in result.stdout
        assert "by words alone" in result.stderr
        assert contents(tmp_path) == set()

    def test_as_json_with_the_services_kind(self) -> None:
        result = run("runbooks", "search", "--json", "--words-only", "--service", "text-moderation", "--limit", "2",
                     "queue is growing", PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))  # fmt: skip
        told = json.loads(result.stdout)
        assert (told["mode"], len(told["matches"])) == ("lexical", 2)
        assert told["matches"][0]["document"] == "moderation-backlog"

    def test_a_service_that_is_not_in_the_catalogue_is_wrong_usage(self) -> None:
        result = run("runbooks", "search", "--words-only", "--service", "nobody", "x")
        assert result.exit_code == 2

    def test_by_meaning_it_uses_an_index_that_is_thrown_away(self, tmp_path: Path) -> None:
        result = run("runbooks", "search", "--json", "our vendor's endpoint keeps answering with server faults")
        told = json.loads(result.stdout)
        assert (told["mode"], told["notice"]) == ("fused", "")
        assert told["matches"][0]["document"] == "provider-outage"
        assert "meaning" in {reason["source"] for match in told["matches"] for reason in match["reasons"]}
        assert contents(tmp_path) == set()


class TestTriage:
    def words(self, *more: str) -> tuple[str, ...]:
        return ("triage", "--words-only", *more)

    def test_a_page_on_file_is_worked_out_without_asking_anybody(self, tmp_path: Path) -> None:
        (tmp_path / "page.json").write_text(event())
        result = run(*self.words("page.json"), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert result.exit_code == 0
        assert "Service: chat-assistant, team assist, channel C0ASSIST, mode act" in result.stdout
        assert "shift_traffic gateway=llm-gateway, route=chat, from=acme-openai, to=beta-anthropic" in result.stdout
        assert "approvals: 1 of team assist; verified by: gateway_canary is ok within 300 s" in result.stdout
        assert "index_freshness  (not run: the service has no index)" in result.stdout
        assert contents(tmp_path) == {"page.json"}

    def test_as_json_probes_come_tier_by_tier_and_steps_that_cannot_be_have_their_reason(self, tmp_path: Path) -> None:
        (tmp_path / "page.json").write_text(event("PSVCVOICE"))
        words = self.words("--json", "--service", "voice-moderation", "page.json")
        result = run(*words, PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        told = json.loads(result.stdout)
        assert (told["service"], told["mode"], told["measured"]) == ("voice-moderation", "observe", None)
        assert [tier["tier"] for tier in told["asked"]] == ["FREE", "CANARY", "QUALITY", "GOLDEN"]
        asked = {probe["probe"] for tier in told["asked"] for probe in tier["probes"]}
        assert asked == set(specs())
        shift = [step for step in told["steps"] if step["action"] == "shift_traffic"]
        assert shift
        assert all("declares no 'fallback_provider'" in step["not_proposed"] for step in shift)
        possible = [step for step in told["steps"] if not step["not_proposed"]]
        assert possible
        assert all("observe" in step["approvals"] for step in possible)

    def test_a_page_may_come_from_standard_input(self) -> None:
        words = self.words("--json", "-")
        result = run(*words, stdin=event(), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert json.loads(result.stdout)["page"]["title"].startswith("Chat assistant: LLM error rate")

    def test_a_service_that_nobody_owns_is_told(self) -> None:
        words = self.words("-")
        result = run(*words, stdin=event("PUNKNOWN"), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert result.exit_code == 0
        assert "PUNKNOWN is not in the catalogue: a person is told in C0INCIDENTS" in result.stdout

    def test_secrets_in_a_page_are_not_shown(self) -> None:
        body = {"type": "incident_body", "details": {"log": "Authorization: Bearer sk-live-0123456789abcdefghij"}}
        words = self.words("--json", "-")
        result = run(*words, stdin=event(body=body), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"),
                     PAGERUNNER_CHANGES_TOKEN="hunter2-changes-token")  # fmt: skip
        assert result.exit_code == 0
        assert "0123456789abcdefghij" not in result.output

    @pytest.mark.parametrize(
        ("text", "code", "said"),
        [
            ("{", 2, "not a PagerDuty V3 event"),
            ("[]", 2, "not a PagerDuty V3 event"),
            ('{"event": {"id": "1"}}', 2, "no event type"),
            ('{"event": {"id": "1", "event_type": "pagey.ping", "data": {}}}', 1, "kind ping"),
            (" " * 300_000, 2, "larger than"),
        ],
    )
    def test_what_is_no_page_says_why(self, text: str, code: int, said: str) -> None:
        result = run(*self.words("-"), stdin=text, PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert (result.exit_code, said in result.output) == (code, True), result.output

    def test_a_file_or_catalogue_that_is_not_there_is_wrong_usage(self, tmp_path: Path) -> None:
        assert run(*self.words("none.json"), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml")).exit_code == 2
        (tmp_path / "page.json").write_text(event())
        result = run(*self.words("page.json"))
        assert (result.exit_code, "pagerunner init" in result.output) == (2, True)

    def test_probes_need_a_service(self) -> None:
        words = self.words("--probe", "-")
        result = run(*words, stdin=event("PUNKNOWN"), PAGERUNNER_CATALOGUE=str(EXAMPLE / "catalogue.yaml"))
        assert (result.exit_code, "--service" in result.output) == (2, True)

    async def test_with_probe_the_free_probes_really_look_and_nothing_is_changed(self, tmp_path: Path) -> None:
        async with running() as world:
            born = await world.make("S01", mode="real", start=time.time())
            text = (EXAMPLE / "catalogue.yaml").read_text("utf-8").replace("http://127.0.0.1:8900", world.base)
            (tmp_path / "catalogue.yaml").write_text(text)
            (tmp_path / "page.json").write_text(json.dumps(born["page"]))
            words = self.words("--json", "--probe", "page.json")
            result = await asyncio.to_thread(run, *words, ACME_OPENAI_KEY="k", BETA_ANTHROPIC_KEY="k")
            state = await world.referee("GET", "/state")
        told = json.loads(result.stdout)["measured"]
        found = {finding["probe"]: finding for finding in told["findings"]}
        assert set(found) == {name for name, spec in specs().items() if spec.tier.name == "FREE"}
        assert found["user_signal"]["outcome"] == "errors"
        assert found["egress"]["outcome"] == "ok"
        assert all(finding["reading"]["tokens"] == 0 for finding in told["findings"])
        assert {"conclusion", "ranked"} <= set(told["diagnosis"])
        assert "effects" not in state or not state["effects"]
        assert contents(tmp_path) == {"catalogue.yaml", "page.json"}


class TestDrill:
    def test_every_scenario_is_listed_and_the_list_gives_no_answers(self) -> None:
        result = run("drill", "list")
        assert result.exit_code == 0
        assert set(SEEN) == set(SCENARIOS)
        answers = ("rollback", "roll back", "shift", "clamp", "hold_for_review", "throttle", "provider's", "S01", "N39")
        assert not any(answer in seen for seen in SEEN.values() for answer in answers)
        assert all(name in result.output for name in SCENARIOS)

    def test_as_json(self) -> None:
        assert [one["name"] for one in json.loads(run("drill", "list", "--json").output)] == list(SEEN)

    def test_one_that_does_not_exist_is_wrong_usage(self) -> None:
        result = run("drill", "run", "earthquake")
        assert (result.exit_code, "pagerunner drill list" in result.output) == (2, True)
