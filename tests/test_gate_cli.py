"""``pagerunner gate`` against the simulated company: verdicts, exit codes, reports, refusals, and the documentation."""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest
import yaml
from click.testing import CliRunner, Result

from bot.cli import main
from bot.cli.gate_files import document, junit
from bot.cli.gate_report import Told, markdown, points, text
from bot.rehearsal import World
from config.settings import without_settings
from diagnostics import paired
from diagnostics.golden import load, parse
from diagnostics.marking import Marker
from diagnostics.purse import Purse
from diagnostics.regression import Plan, compare
from diagnostics.setups import Asker
from tests.conftest import ROOT
from tests.golden_fakes import CHAT, GOOD, answer, context, system_of
from tests.provider_fakes import company_open

EXAMPLE = ROOT / "config" / "example"
DOC = (ROOT / "docs" / "gate.md").read_text("utf-8")
KEY = "sk-secret-of-the-provider-0123456789"

pytestmark = pytest.mark.timeout(300)


@dataclass(frozen=True, kw_only=True)
class Place:
    """A folder as a repository would have it, in front of a company whose newest support prompt is a bad one."""

    folder: Path
    config: Path

    def run(self, *words: str, config: Path | None = None) -> Result:
        environ = {"ACME_OPENAI_KEY": KEY, "BETA_ANTHROPIC_KEY": "k", "PAGERUNNER_CONFIG": str(config or self.config)}
        return CliRunner().invoke(main, ["gate", *words], env=environ, prog_name="pagerunner")

    def with_catalogue(self, name: str, *changes: tuple[str, str]) -> Path:
        """Settings beside a catalogue in which these texts are replaced."""
        catalogue = (self.folder / "catalogue.yaml").read_text("utf-8")
        for old, new in changes:
            assert old in catalogue
            catalogue = catalogue.replace(old, new)
        (self.folder / f"{name}-catalogue.yaml").write_text(catalogue, "utf-8")
        settings = self.folder / f"{name}.yaml"
        settings.write_text(f"catalogue: {name}-catalogue.yaml\n", "utf-8")
        return settings


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    world = World.start("for-the-referee")
    try:
        world.ask("POST", "/worlds", {"scenario": "S15", "seed": 1, "baselines": "none", "mode": "virtual"})
        folder = tmp_path_factory.mktemp("gate")
        catalogue = (EXAMPLE / "catalogue.yaml").read_text("utf-8").replace("http://127.0.0.1:8900", world.url)
        (folder / "catalogue.yaml").write_text(catalogue, "utf-8")
        (folder / "pagerunner.yaml").write_text("catalogue: catalogue.yaml\n", "utf-8")
        shutil.copytree(EXAMPLE / "golden", folder / "golden")
        yield Place(folder=folder, config=folder / "pagerunner.yaml")
    finally:
        world.stop()


SUPPORT = ("--service", "support-bot")


# --- Verdicts ----------------------------------------------------------------------------------------------------


def test_a_worse_candidate_fails_the_pipeline_and_what_moved_is_named(place: Place, tmp_path: Path) -> None:
    files = [tmp_path / "gate.xml", tmp_path / "gate.json", tmp_path / "summary.md"]
    result = place.run(
        *SUPPORT, "--baseline", "prompt=12", "--candidate", "prompt=13,params.temperature=0.9", "--junit",
        str(files[0]), "--json-file", str(files[1]), "--markdown", str(files[2]),
    )  # fmt: skip
    assert result.exit_code == 1, result.output
    assert "WORSE. The candidate answers worse: a drop of " in result.output
    assert "What moved: prompt; it alone makes the answers worse." in result.output
    assert "prompt version 12 -> version 13" in result.output
    told = json.loads(files[1].read_text("utf-8"))
    assert (told["verdict"], told["moved"]["named"], told["format"]) == ("worse", ["prompt"], 1)
    assert told["test"]["p_value"] <= 0.01
    assert told["drop"]["interval"][0] > 0
    assert told["cost"]["tokens"] > 0
    suite = ET.parse(files[0]).getroot()[0]
    lost = [case for case in suite if case.find("failure") is not None]
    assert int(suite.attrib["failures"]) == len(lost) == told["items"]["lost"] + 1
    assert int(suite.attrib["tests"]) == len(suite) == told["items"]["asked"] + 1
    assert files[2].read_text("utf-8").startswith("## Gate: WORSE\n")


def test_the_same_is_no_worse_even_where_single_items_differ(place: Place, tmp_path: Path) -> None:
    report = tmp_path / "gate.xml"
    result = place.run("--service", "chat-assistant", "--candidate", "production", "--junit", str(report), "--json")
    told = json.loads(result.stdout)

    assert (result.exit_code, told["verdict"], told["moved"]) == (0, "no_worse", None)
    assert ET.parse(report).getroot()[0].attrib["failures"] == "0"


def test_an_index_that_finds_the_wrong_documents_is_named(place: Place) -> None:
    result = place.run(*SUPPORT, "--baseline", "prompt=12", "--candidate",
                       "prompt=12,index=support-kb-next,params.top_p=0.9", "--json")  # fmt: skip
    told = json.loads(result.stdout)

    assert (result.exit_code, told["moved"]["differ"], told["moved"]["named"]) == (1, ["params", "index"], ["index"])


def test_what_ran_before_the_newest_change_can_be_the_baseline(place: Place) -> None:
    result = place.run(*SUPPORT, "--baseline", "last-good", "--candidate", "production", "--no-bisect", "--json")
    told = json.loads(result.stdout)

    assert (result.exit_code, told["baseline"]["prompt"], told["candidate"]["prompt"]) == (
        1,
        "version 12",
        "version 13",
    )
    assert told["moved"] is None


def test_too_few_items_cannot_tell_unless_that_is_allowed(place: Place, tmp_path: Path) -> None:
    words = ("--service", "chat-assistant", "--candidate", "prompt=11", "--items", "8", "--smallest-drop", "0.05")
    report = tmp_path / "gate.xml"
    first = place.run(*words, "--junit", str(report))
    assert first.exit_code == 4, first.output
    assert "CANNOT TELL." in first.output
    assert "items would show 5 points" in first.output
    assert ET.parse(report).getroot()[0].attrib["errors"] == "1"

    assert place.run(*words, "--allow-undecided", "--junit", str(report)).exit_code == 0
    assert ET.parse(report).getroot()[0].attrib["errors"] == "0"


def test_the_budget_is_kept(place: Place) -> None:
    words = ("--service", "chat-assistant", "--candidate", "production", "--smallest-drop", "0.05", "--json")
    told = json.loads(place.run(*words, "--max-tokens", "2500").stdout)
    assert (told["verdict"], told["stopped"], told["reason"]) == ("undecided", "budget", "the budget is used up")
    assert 0 < told["cost"]["tokens"] <= 2500
    dear = json.loads(place.run(*words, "--max-usd", "0.02").stdout)
    assert 0 < dear["cost"]["usd"] <= 0.02


def test_a_provider_that_cannot_be_reached_is_no_verdict(place: Place) -> None:
    away = place.with_catalogue("away", ("/providers/acme-openai", "/nobody-here"))
    (place.folder / "p.md").write_text("Be brief.", "utf-8")
    candidate = place.folder / "away-candidate.yaml"
    candidate.write_text("prompt_file: p.md\n", "utf-8")
    result = place.run("--service", "chat-assistant", "--candidate", str(candidate), config=away)

    assert result.exit_code == 5, result.output
    assert "NO ANSWERS. No comparison: too many calls failed" in result.output


def test_only_items_with_a_tag_are_asked(place: Place) -> None:
    result = place.run("--service", "chat-assistant", "--candidate", "production", "--tag", "facts", "--json")
    told = json.loads(result.stdout)

    assert told["items"]["chosen"] == 20
    assert {tuple(item["tags"]) for item in told["results"]} == {("facts",)}


# --- Refusals ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--candidate", "prompt=13"], "--service: name one; there are chat-assistant, support-bot"),
        (["--service", "nope", "--candidate", "prompt=13"], "--service: no service 'nope'"),
        ([*SUPPORT, "--candidate", "prodution"], "did you mean 'production'?"),
        ([*SUPPORT, "--candidate", "promt=13"], "--candidate: promt: no such key; did you mean prompt?"),
        ([*SUPPORT, "--candidate", "prompt="], "--candidate: 'prompt=' is not KEY=VALUE"),
        ([*SUPPORT, "--candidate", "params=1"], "write params.NAME=VALUE"),
        ([*SUPPORT, "--candidate", "prompt=99"], "version 99 of support cannot be read from prompt-registry"),
        ([*SUPPORT, "--candidate", "absent.yaml"], "--candidate: absent.yaml: cannot be read: No such file"),
        ([*SUPPORT, "--candidate", "route=x,prompt=3"], "a route is asked whole, so prompt cannot be set"),
        ([*SUPPORT, "--candidate", "route=support"], "name a route for both, or for neither"),
        ([*SUPPORT, "--candidate", "provider=beta-anthropic"], "name the model of 'beta-anthropic' too"),
        ([*SUPPORT, "--candidate", "provider=x,model=y"], "no provider named 'x' in the catalogue"),
        (["--service", "code-assistant", "--candidate", "production"], "give one with --set"),
        ([*SUPPORT, "--candidate", "production", "--tag", "nope"], "0 items with tag nope; a comparison needs 8"),
        ([*SUPPORT, "--candidate", "production", "--set", "absent.jsonl"], "absent.jsonl:1: cannot be read"),
        ([*SUPPORT, "--candidate", "production", "--junit", "no/such/x.xml"], "its folder does not exist"),
        (SUPPORT, "Missing option '--candidate'"),
        ([*SUPPORT, "--candidate", "production", "--smallest-drop", "3"], "3.0 is not in the range"),
    ],
)
def test_bad_input_is_refused_before_anything_is_asked(place: Place, words: list[str], said: str) -> None:
    result = place.run(*words)

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("promt: 3\n", "candidate.yaml:1:1: promt: no such key; did you mean prompt?"),
        ("model: m\nbase: yesterday\n", "candidate.yaml:2:1: base: expected production or last-good"),
        ("model: [a]\n", "candidate.yaml:1:1: model: expected one word or text"),
        ("params: 3\n", "candidate.yaml:1:1: params: expected names and values"),
        ("- a\n", "candidate.yaml:1:1: expected keys and values"),
        ("model: a\nmodel: b\n", "candidate.yaml:2:1: key 'model' stands here twice"),
        ("prompt: 3\nprompt_file: p.md\n", "name a version or a file, not both"),
        ("prompt_file: nowhere.md\n", "nowhere.md: cannot be read"),
        ("tools_file: nowhere.json\n", "nowhere.json: cannot be read"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_its_place(place: Place, written: str, said: str) -> None:
    path = place.folder / "candidate.yaml"
    path.write_text(written, "utf-8")
    result = place.run(*SUPPORT, "--candidate", str(path))

    assert result.exit_code == 2
    assert said in " ".join(result.output.split())


def test_a_golden_set_with_mistakes_is_refused_whole(place: Place) -> None:
    path = place.folder / "bad.jsonl"
    good = '{"id": "i%d", "input": "q", "checks": [{"contains": "x"}]}'
    path.write_text(
        "\n".join([good % n for n in range(20)] + ['{"id": "x", "input": "q", "checks": [{"regex": "("}]}'])
    )
    result = place.run(*SUPPORT, "--candidate", "production", "--set", str(path))

    assert result.exit_code == 2
    assert "bad.jsonl:21: checks.0: regex: not a regular expression" in result.output


def test_a_missing_credential_is_named(place: Place) -> None:
    environ = {"ACME_OPENAI_KEY": "", "PAGERUNNER_CONFIG": str(place.config)}
    words = ["gate", "--service", "chat-assistant", "--candidate", "production"]
    result = CliRunner().invoke(main, words, env=environ, prog_name="pagerunner")

    assert result.exit_code == 2
    assert "set the environment variable ACME_OPENAI_KEY" in result.output


def test_money_cannot_be_limited_without_a_price(place: Place) -> None:
    free = place.with_catalogue("free", ("    usd_per_1k_input: 0.0025\n", ""), ("    usd_per_1k_output: 0.01\n", ""))
    result = place.run("--service", "chat-assistant", "--candidate", "production", "--max-usd", "1", config=free)

    assert result.exit_code == 2
    assert "--max-usd: provider acme-openai declares no price; set usd_per_1k_input" in result.output


def test_a_gateway_that_takes_no_index_is_said(place: Place) -> None:
    other = place.with_catalogue("other", ("kind: litellm", "kind: generic"))
    result = place.run(*SUPPORT, "--candidate", "production", config=other)

    assert result.exit_code == 2
    assert "only a litellm gateway takes an index with a request; name a route" in result.output


# --- Reports -----------------------------------------------------------------------------------------------------

HOSTILE = "\x1b[31m\n::error::pwned\x00 <b>]]></failure> | `x` [l](http://e.x) \u202e @channel"


async def hostile() -> Told:
    items = [{"id": f"i{n}", "input": f"question {n} {HOSTILE}", "checks": [{"contains": "fine"}], "weight": 1 + n % 2}
             for n in range(24)]  # fmt: skip
    golden = parse("\n".join(map(json.dumps, items)), "golden.jsonl")
    async with company_open() as (served, http):
        served.play("acme", CHAT, lambda asked: answer("fine" if system_of(asked) == "good prompt" else HOSTILE))
        candidate = replace(GOOD, prompt="13", text="bad")
        asker = Asker.of(context(http), [GOOD, candidate])
        plan = Plan(baseline=GOOD, candidate=candidate, items=golden.items, rule=paired.Rule(planned=24))
        found = await compare(plan, asker, Marker(), Purse())
    return Told(service="bot", golden_set="golden.jsonl", of=24, found=found)


async def test_answers_cannot_act_on_whoever_reads_them() -> None:
    told = await hostile()
    shown = text(told)

    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert not any(line.lstrip().startswith("::") for line in shown.splitlines())
    cells = [line for line in markdown(told).splitlines() if line.startswith("| `i")]
    assert cells
    assert all(line.count("|") == 5 and line.count("`") == 8 for line in cells)
    root = ET.fromstring(junit(told, failed=True))
    assert "]]></failure>" in (root[0][1].find("failure").text or "")  # type: ignore[union-attr]
    assert json.loads(json.dumps(document(told)))["results"][0]["answer"] == HOSTILE


async def test_secrets_are_taken_out_of_every_report() -> None:
    told = await hostile()
    hide = lambda value: value.replace("pwned", "[hidden]")  # noqa: E731

    assert "pwned" in junit(told, failed=True)
    assert "pwned" not in junit(told, failed=True, redact=hide)


def test_a_secret_in_a_question_is_shown_nowhere(place: Place, tmp_path: Path) -> None:
    items = [{"id": f"i{n}", "input": f"Say {KEY} {n}.", "checks": [{"contains": "unlikely"}], "tags": ["t"]}
             for n in range(8)]  # fmt: skip
    path = tmp_path / "golden.jsonl"
    path.write_text("\n".join(map(json.dumps, items)))
    files = [tmp_path / name for name in ("x.xml", "x.json", "x.md")]
    result = place.run("--service", "chat-assistant", "--candidate", "prompt=11", "--set", str(path), "--junit",
                       str(files[0]), "--json-file", str(files[1]), "--markdown", str(files[2]))  # fmt: skip

    assert result.exit_code in (0, 4)
    assert KEY not in result.output + "".join(file.read_text("utf-8") for file in files)


async def test_shares_by_weight_stand_beside_the_counts() -> None:
    told = await hostile()

    assert "(100 %), 100 % by weight" in text(told)
    assert document(told)["candidate"]["weighted"] == 0.0


@pytest.mark.parametrize(("share", "shown"), [(0.1234, "12 points"), (0.05, "5 points"), (-0.0, "0 points"),
                                              (-0.001, "-0.1 points"), (0.031, "3.1 points")])  # fmt: skip
def test_points_read_as_people_say_them(share: float, shown: str) -> None:
    assert points(share) == shown


def test_help_tells_the_exit_codes() -> None:
    result = CliRunner().invoke(main, ["gate", "--help"], prog_name="pagerunner")
    shown = " ".join(result.output.split())

    assert result.exit_code == 0
    for part in (
        "0 the candidate is no worse",
        "1 it is worse",
        "4 cannot tell",
        "5 too many calls failed",
        "prompt_file",
    ):
        assert part in shown


# --- What the documentation shows --------------------------------------------------------------------------------

BLOCKS = re.findall(r"```(\w+)\n(.*?)```", DOC, re.DOTALL)
YAML = [body for kind, body in BLOCKS if kind == "yaml"]
COMMANDS = [line for kind, body in BLOCKS if kind == "console" for line in body.splitlines()]


def test_the_documented_golden_set_is_one(tmp_path: Path) -> None:
    (body,) = [body for body in YAML if body.startswith("items:")]
    (tmp_path / "golden.yaml").write_text(body, "utf-8")

    assert len(load(tmp_path / "golden.yaml").items) == 3


def test_the_documented_label_and_judge_are_valid(place: Place) -> None:
    from config.catalogue import Judge
    from diagnostics.judge import Label

    (label,) = [body for kind, body in BLOCKS if kind == "json"]
    (judges,) = [body for body in YAML if body.startswith("judges:")]
    assert Label.model_validate_json(label).meets
    assert Judge.model_validate(yaml.safe_load(judges)["judges"][0]).model == "beta-sonnet"


def test_the_commands_of_the_documentation_and_of_the_readme_work(place: Place) -> None:
    readme = re.findall(r"`(pagerunner gate [^`]+)`", (ROOT / "README.md").read_text("utf-8"))
    assert readme
    for command in {*readme, COMMANDS[0]}:
        assert place.run(*command.split()[2:]).exit_code in (0, 4), command


def test_the_documented_workflow_runs(place: Place, tmp_path: Path) -> None:
    """The script of its step, as the runner starts it, with the files that the page shows."""
    (workflow,) = [yaml.safe_load(body) for body in YAML if body.startswith("on:")]
    (step,) = [step for step in workflow["jobs"]["gate"]["steps"] if step.get("name") == "Gate"]
    repo, programs = tmp_path / "repo", tmp_path / "bin"
    shutil.copytree(place.folder, repo / "oncall", ignore=shutil.ignore_patterns("*candidate*"))
    (candidate,) = [body for body in YAML if body.startswith("# candidate.yaml")]
    (repo / "candidate.yaml").write_text(candidate, "utf-8")
    (repo / "prompts").mkdir()
    (repo / "prompts" / "support.md").write_text("[prompt support v12]\nAnswer from the documents.", "utf-8")
    tools: list[dict[str, Any]] = [
        {"type": "function", "function": {"name": "refund", "parameters": {"type": "object"}}}
    ]
    (repo / "tools.json").write_text(json.dumps(tools), "utf-8")
    programs.mkdir()
    (programs / "pagerunner").write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m bot "$@"\n')
    (programs / "pagerunner").chmod(0o755)
    environ = {**without_settings(os.environ), "PATH": f"{programs}:{os.environ['PATH']}", "ACME_OPENAI_KEY": KEY,
               "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md")}  # fmt: skip
    done = subprocess.run(["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]], cwd=repo,
                          env=environ, capture_output=True, text=True, check=False, timeout=200)  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    told = json.loads((repo / "gate.json").read_text("utf-8"))
    assert told["candidate"]["prompt"] == "prompts/support.md"
    assert told["candidate"]["params"] == {"temperature": 0.2, "max_tokens": 400}
    assert (tmp_path / "summary.md").read_text("utf-8").startswith("## Gate: NO WORSE")
    assert ET.parse(repo / "gate.xml").getroot()[0].attrib["failures"] == "0"


async def test_the_judge_and_how_far_it_can_be_trusted_are_reported() -> None:
    told = await hostile()
    judged = {"name": "referee (p/m)", "labels": 30, "agreed": 28, "kappa": 0.87, "labels_digest": "abc"}
    told = replace(told, found=replace(told.found, marking={"judge": judged}))

    assert "judge       referee (p/m): agrees with people in 28 of 30 labels, kappa 0.87" in text(told)
    assert document(told)["judge"]["labels_digest"] == "abc"
