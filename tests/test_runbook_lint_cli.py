"""``runbooks lint``: a fix for every finding, hints about what could be earned, and annotations for GitHub."""

import re
from datetime import date
from pathlib import Path

import pytest

from bot.cli.runbook_lint import annotation
from bot.wiring import actions, specs
from runbooks.links import rotten
from runbooks.lint import lint
from runbooks.model import Problem
from runbooks.parse import parse
from tests.conftest import ROOT
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, run
from tests.runbooks_fakes import ACTIONS, PROBES, WHOLE, catalogue

TOP = "---\ntitle: x\nowner: assist\n"
END = "---\n# A\n"
BROKEN = [
    "---\ntitle: [a\n---\n", "---\n- a\n---\n", "---\ntitle: x\n", f"{TOP}severity: 9\n{END}",
    f"{TOP}reviewed: 3\n{END}",
    f"{TOP}review_every: x\n{END}", f"{TOP}pages: x\n{END}", f"{TOP}evidence: {{egress: ok}}\n{END}",
    f"{TOP}evidence: [ok]\n{END}", f"---\ntitle: ' '\nowner: assist\n{END}",
    f"---\ntitle: {'x' * 301}\nowner: assist\n{END}", f"---\ntitle: x\nowner: A B\n{END}", f"{TOP}drill: A B\n{END}",
    f"{TOP}kinds: [cat]\n{END}", f"{TOP}{END}```probe\n[\n```\n", f"{TOP}{END}```probe\n```\n",
    f"{TOP}{END}```probe\nstatus_page: [a]\n```\n", f"{TOP}{END}```action\nverify: x\n```\n",
    f"{TOP}{END}```action\nmanual: {{title: a, instructions: b}}\nrisk: R9\nlease: 900d\n```\n",
    f"{TOP}reviewed: 2030-01-01\nkinds: [code]\npages: [a, a]\nnot_pages: [{{text: a, belongs_to: me}}]\n{END}",
    "# Plain\n", f"---\nid: other\ntitle: x\nowner: nobody\n{END}", WHOLE.replace("n: 10", "n: many"),
    WHOLE.replace("percent: 100", "percent: 101"), WHOLE.replace("$service.fallback_provider", "$service.prompt"),
    WHOLE.replace("2026-11-20", "2020-01-01"), f"{TOP}{END}- a\n  ```probe\n  egress:\n  ```\n",
    f"{TOP}---\n```probe\n",
    f"{TOP}---\n# {'x' * 400}\n", "\0", "---\ntitle: &a x\nowner: *a\n---\n",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


@pytest.mark.parametrize("text", BROKEN, ids=range(len(BROKEN)))
def test_every_finding_comes_with_a_fix(text: str) -> None:
    problems = lint(
        parse(text.encode(), "library/me.md"), probes=PROBES, actions=ACTIONS, catalogue=catalogue(),
        runbook_ids={"me"}, today=date(2026, 11, 22),
    )  # fmt: skip

    assert problems
    assert [str(problem) for problem in problems if not problem.suggestion] == []


def test_a_wrong_value_is_answered_with_what_may_stand_there() -> None:
    spec = {name: action.spec for name, action in actions().items()}
    shift = "```action\nshift_traffic: {from: a, to: b, percent: 200}\nverify: egress is ok within 5m\n```\n"
    text = book(body=f"# A\n{shift}```action\npost_banner: {{text_key: hello}}\n```\n")

    problems = lint(parse(text.encode(), "me.md"), probes=specs(), actions=spec)

    told = {problem.rule: problem.suggestion for problem in problems if problem.severity == "error"}
    percent, words = (p.suggestion for p in problems if p.rule == "parameter")
    assert told.keys() == {"parameter"}
    assert percent == "write a whole number at least 1 and at most 100"
    assert "degraded or slow" in words


def test_hints_say_what_a_runbook_with_title_and_owner_alone_could_earn(tmp_path: Path) -> None:
    (tmp_path / "mine.md").write_text(book())

    result = run("lint", "--hints", "mine.md")

    assert result.exit_code == 0
    for prize in ("retrieval tests", "diagnosis", "automation", "reminders"):
        assert f"could earn {prize}" in result.stdout
    quiet = run("lint", "mine.md")
    assert (quiet.stdout, "5 hints" in quiet.stderr) == ("", True)


def test_a_dead_link_is_a_warning_with_the_nearest_name(tmp_path: Path) -> None:
    (tmp_path / "other.md").write_text("# Other\n\n## Call the vendor\n")
    (tmp_path / "mine.md").write_text(book(body=(
        "# Mine\nSee [it](other.md#call-the-vendro), [that](othr.md), ![p](none.png),\n"
        "[web](https://x.example/none), [here](#mine), [top](other.md) and [fine](other.md#call-the-vendor).\n"
    )))  # fmt: skip

    result = run("lint", "mine.md")

    assert result.exit_code == 0
    assert result.stdout.count("[dead-link]") == 3
    assert "'call-the-vendor'" in result.stdout
    assert "'other.md'" in result.stdout
    assert [p.line for p in rotten(tmp_path / "mine.md")] == [6, 6, 6]


class TestGitHub:
    def test_an_error_is_an_annotation_at_its_line_below_the_checkout(self, tmp_path: Path) -> None:
        path = tmp_path / "books" / "mine.md"
        path.parent.mkdir()
        path.write_text(book(front="evidence:\n  egres: {ok: usual}\n"))

        result = run("lint", "--format", "github", str(path), **WITH_CATALOGUE)

        assert result.exit_code == 1
        assert result.stdout.startswith(
            "::error file=books/mine.md,line=5,col=3,title=runbooks lint%3A unknown-probe::there is no probe 'egres'"
        )

    def test_nothing_in_a_file_can_end_an_annotation_or_begin_another(self) -> None:
        problem = Problem(
            file="/x/a,b:c%\n.md", line=1, column=2, rule="r", message="100%\r\n::error::pwned", suggestion="x\ny"
        )

        told = annotation(problem)

        assert "\n" not in told
        assert "\r" not in told
        assert told.startswith("::error file=/x/a%2Cb%3Ac%25%0A.md,line=1,col=2,")
        assert told.endswith("::100%25%0D%0A::error::pwned (x%0Ay)")

    def test_hints_are_notices_and_warnings_are_warnings(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book(front="services: [nobody]\n"))

        result = run("lint", "--format", "github", "--hints", "mine.md", **WITH_CATALOGUE)

        kinds = re.findall(r"^::(\w+) ", result.stdout, re.MULTILINE)
        assert set(kinds) == {"warning", "notice"}


def test_the_json_form_is_the_same_by_either_option() -> None:
    path = str(ROOT / "runbooks" / "library" / "stale-index.md")

    assert run("lint", "--json", path).stdout == run("lint", "--format", "json", path).stdout
