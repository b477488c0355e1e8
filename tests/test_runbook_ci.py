"""The pre-commit hooks and the GitHub Action: they call commands that exist, and what they run works."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from bot.cli.runbooks import command as group
from tests.conftest import ROOT
from tests.runbook_cli_fakes import GIT, book, git

HOOKS: list[dict[str, Any]] = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
ACTION: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text("utf-8"))
STEPS: dict[str, dict[str, Any]] = {step["name"]: step for step in ACTION["runs"]["steps"] if "name" in step}
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.timeout(300)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """A repository with a good and a broken runbook, and a Pagerunner of this source on the PATH."""
    (tmp_path / "bin").mkdir()
    script = tmp_path / "bin" / "pagerunner"
    script.write_text(f'#!/bin/sh\nPYTHONPATH="{ROOT}" exec "{sys.executable}" -m bot "$@"\n')
    script.chmod(0o755)
    repo = tmp_path / "repo"
    (repo / "books").mkdir(parents=True)
    git(repo, "init", "--quiet", "--initial-branch=main")
    (repo / "books" / "good.md").write_text(book("Zebras", front='pages: ["zebra on the crossing"]\n'))
    git(repo, "add", "-A")
    git(repo, "commit", "--quiet", "-m", "first")
    (repo / "books" / "bad.md").write_text(book(front="evidence: {egres: {ok: usual}}\n"))
    return repo


def bash(step: str, place: Path, **variables: str) -> "subprocess.CompletedProcess[str]":
    """A step's script as the runner starts it; variables the step declares and the test does not set are empty."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PAGERUNNER_")}
    environment |= {
        **GIT,
        "PATH": f"{place.parent / 'bin'}:{os.environ['PATH']}",
        "GITHUB_STEP_SUMMARY": str(place.parent / "summary"),
    }
    environment |= {**dict.fromkeys(STEPS[step].get("env", {}), ""), **variables}
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEPS[step]["run"]], cwd=place, env=environment,
        capture_output=True, text=True, check=False, timeout=280,
    )  # fmt: skip


@pytest.mark.parametrize("hook", HOOKS, ids=lambda hook: hook["id"])
def test_a_hook_calls_a_command_with_options_that_exist(hook: dict[str, Any]) -> None:
    program, sub, name, *options = hook["entry"].split()

    command = group.get_command(None, name)  # type: ignore[attr-defined, arg-type]
    known = {option for parameter in command.params for option in parameter.opts}
    assert (program, sub) == ("pagerunner", "runbooks")
    assert {option for option in options if option.startswith("--")} <= known


def test_pre_commit_itself_stops_a_commit_with_a_broken_runbook(place: Path) -> None:
    # With `language: system`, as the comment in the file says: installing from source needs a network.
    (lint,) = [{**hook, "language": "system"} for hook in HOOKS if hook["id"] == "pagerunner-runbooks-lint"]
    (place / ".pre-commit-config.yaml").write_text(yaml.safe_dump({"repos": [{"repo": "local", "hooks": [lint]}]}))
    git(place, "add", "-A")
    environment = {**os.environ, **GIT, "PATH": f"{place.parent / 'bin'}:{os.environ['PATH']}",
                   "PRE_COMMIT_HOME": str(place.parent / "cache")}  # fmt: skip
    tool = BIN / "pre-commit"
    if not tool.exists():
        tool = Path(shutil.which("pre-commit") or pytest.skip("pre-commit is not installed"))

    def commit() -> "subprocess.CompletedProcess[str]":
        return subprocess.run([str(tool), "run", "--all-files"], cwd=place, env=environment, capture_output=True,
                              text=True, check=False, timeout=280)  # fmt: skip

    stopped = commit()
    (place / "books" / "bad.md").write_text(book())
    git(place, "add", "-A")

    assert (stopped.returncode, "books/bad.md:4:12: error: there is no probe 'egres'" in stopped.stdout) == (1, True)
    passed = commit()
    assert passed.returncode == 0, passed.stdout + passed.stderr


def test_the_action_annotates_the_line_and_fails(place: Path) -> None:
    done = bash("runbooks lint", place, PATHS="books\n\n", HINTS="true")

    assert done.returncode == 1
    assert "::error file=books/bad.md,line=4,col=12,title=runbooks lint%3A unknown-probe::" in done.stdout
    assert "::notice file=books/good.md" in done.stdout


def test_no_input_of_the_action_becomes_a_command_or_an_option(place: Path) -> None:
    done = bash("runbooks lint", place, PATHS="$(touch pwned)\n--help\n`touch pwned`; touch pwned")

    assert done.returncode == 2
    assert "cannot be read" in done.stderr
    assert not (place / "pwned").exists()
    for step in ACTION["runs"]["steps"]:
        assert "${{ inputs." not in step.get("run", "")


def test_the_action_lists_the_pages_that_moved_in_the_summary(place: Path) -> None:
    (place / "books" / "bad.md").write_text(book("Horses", front='pages: ["zebra on the crossing"]\n'))

    done = bash("runbooks diff", place, PATHS="books\nbooks/good.md", BASE="main")

    assert done.returncode == 0, done.stderr
    assert "added: bad" in (place.parent / "summary").read_text()
    assert bash("runbooks diff", place, PATHS="books", BASE="no-such").returncode != 0


def test_the_action_runs_the_retrieval_tests(place: Path) -> None:
    (place / "books" / "bad.md").unlink()

    done = bash("runbooks test", place, PATHS="books", WITHIN="10")

    assert "good: ok" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
