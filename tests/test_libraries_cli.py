"""Libraries at the command line: listed with their revisions, synced, examined, and compared with another revision."""

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bot.cli import main
from bot.cli.git_folders import GitError
from bot.cli.installed import Installed
from bot.cli.runbook_revisions import library_at
from tests.library_fakes import Origin, book, git, made
from tests.runbook_cli_fakes import CATALOGUE, GIT, alone, run

FAST = ("--words-only",)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    """A company library in Git, and a team's own in a folder; both have a runbook that is built in, too."""
    alone(tmp_path, monkeypatch)
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    origin = made(tmp_path / "origin")
    origin.push({"books/provider-outage.md": book("The company's")})
    text = CATALOGUE.read_text().replace("slack_channel: C0ASSIST\n", "slack_channel: C0ASSIST\n    runbooks: own\n")
    (tmp_path / "catalogue.yaml").write_text(text)
    (tmp_path / "own").mkdir()
    (tmp_path / "own" / "provider-outage.md").write_text(book("The team's"))
    library = "{git: origin, revision: main, path: books, name: company}"
    (tmp_path / "p.yaml").write_text(f"data: data\ncatalogue: catalogue.yaml\nrunbooks:\n  - {library}\n")
    monkeypatch.setenv("PAGERUNNER_CONFIG", str(tmp_path / "p.yaml"))
    return origin


def told(*words: str, code: int = 0) -> Any:
    result = run(*words, "--json")
    assert result.exit_code == code, result.output
    return json.loads(result.stdout)


def doctor() -> dict[str, Any]:
    result = CliRunner().invoke(main, ["doctor", "--offline", "--json"], prog_name="pagerunner")
    return {check["name"]: check for check in json.loads(result.stdout)["checks"]}


def test_a_library_that_was_not_loaded_is_said_and_sync_loads_it(origin: Origin) -> None:
    before = told("list", code=1)
    assert {one["name"]: one["trouble"] for one in before["libraries"]}["company"] == "it was not loaded yet"
    assert doctor()["runbook library company"]["state"] == "problem"
    linted = run("lint")
    assert "company: left out, it was not loaded yet; `pagerunner runbooks sync` does" in linted.stderr

    assert run("sync").stdout.startswith("company: now at ")
    assert "nothing new on main" in run("sync").stdout

    listed = told("list")
    company = next(one for one in listed["libraries"] if one["name"] == "company")
    assert company["commit"] == git(origin.path, "rev-parse", "HEAD")
    assert company["runbooks"] == ["provider-outage", "zebra"]
    assert [one["name"] for one in listed["libraries"]] == ["built-in", "company", "assist"]
    assert doctor()["runbook library company"]["state"] == "ok"
    assert "Zebras" in run("search", *FAST, "zebras").stdout


def test_it_says_what_takes_the_place_of_what(origin: Origin) -> None:
    run("sync")

    assert [(one["runbook"], one["of"], one["taken_by"], one["team"]) for one in told("list")["shadowed"]] == [
        ("provider-outage", "built-in", "company", ""),
        ("provider-outage", "built-in", "assist", "assist"),
        ("provider-outage", "company", "assist", "assist"),
    ]
    shown = run("list").stdout
    assert "provider-outage: company takes the place of built-in\n" in shown
    assert "provider-outage: assist takes the place of company, for services of assist" in shown


def test_a_broken_push_is_told_and_what_was_good_stays(origin: Origin) -> None:
    run("sync")
    origin.push({"books/zebra.md": "---\ntitle: [\n---\n"})
    assert run("sync").exit_code == 0

    result = run("list")
    assert result.exit_code == 1
    assert "zebra.md:" in result.stderr
    assert "provider-outage, zebra" in result.stdout


def test_an_unreachable_repository_is_told_with_the_age_of_what_is_in_use(origin: Origin) -> None:
    run("sync")
    origin.path.rename(origin.path.with_name("away"))

    result = run("sync")
    assert result.exit_code == 1
    assert "cannot be reached" in result.stdout
    assert "stays in use, " in result.stdout
    check = doctor()["runbook library company"]
    assert (check["state"], check["fix"]) == ("problem", "mend it, then `pagerunner runbooks sync`")
    assert run("sync", "nothing").exit_code == 2


def test_a_variable_that_a_library_names_is_known_and_must_be_set(
    origin: Origin, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = (tmp_path / "p.yaml").read_text()
    named = text.replace("git: origin", "git: 'https://127.0.0.1:1/x.git', token_env: PAGERUNNER_BOOKS")
    (tmp_path / "p.yaml").write_text(named)
    result = CliRunner().invoke(main, ["doctor", "--offline", "--json"], prog_name="pagerunner")
    checks = json.loads(result.stdout)["checks"]
    assert "PAGERUNNER_BOOKS is not set" in [one["detail"] for one in checks]

    monkeypatch.setenv("PAGERUNNER_BOOKS", "hunter2")
    result = CliRunner().invoke(main, ["doctor", "--offline", "--json"], prog_name="pagerunner")
    assert "PAGERUNNER_BOOKS" not in result.stdout
    assert "hunter2" not in run("sync").output


def test_a_library_is_compared_with_another_revision_of_its_own(origin: Origin, tmp_path: Path) -> None:
    first = git(origin.path, "rev-parse", "HEAD")
    origin.push({"books/horse.md": book("Horses"), "books/zebra.md": book("Zebras 2")})
    run("sync")

    report = told("diff", *FAST, f"company={first}")
    assert (report["added"], report["removed"], report["changed"]) == (["horse"], [], ["zebra"])
    assert told("diff", *FAST, first)["added"] == ["horse"]  # the only one that stands in a repository
    wrong = run("diff", *FAST, "company=no-such")
    assert (wrong.exit_code, "has no branch or tag 'no-such'" in wrong.stderr) == (2, True)
    assert run("diff", *FAST, "company=--output=x").exit_code == 2


def test_the_libraries_of_an_incident_are_read_again_at_the_commits_that_it_recorded(
    origin: Origin, tmp_path: Path
) -> None:
    first = git(origin.path, "rev-parse", "HEAD")
    origin.push({"books/zebra.md": book("Zebras 2")})
    run("sync")
    shelf = library_at(Installed(None), {"company": first}, tmp_path / "out")
    zebra = shelf.get("zebra")

    assert zebra is not None
    assert zebra.origin is not None
    assert (zebra.title, zebra.origin.commit, zebra.origin.library) == ("Zebras", first, "company")
    with pytest.raises(GitError, match="there are: company"):
        library_at(Installed(None), {"assist": first}, tmp_path / "none")


def test_new_runbooks_are_written_to_a_folder_and_never_into_what_was_fetched(origin: Origin, tmp_path: Path) -> None:
    run("sync")
    result = run("new", "--title", "Cows", "--owner", "@U0ANA", "--failure", "cows")

    assert result.exit_code == 0, result.output
    assert (tmp_path / "own" / "cows.md").read_text().splitlines()[2] == 'owner: "@U0ANA"'
    assert run("lint", "own/cows.md").exit_code == 0
