"""``runbooks diff``: which pages find another runbook than at a revision, in real repositories."""

import json
from pathlib import Path
from typing import Any

import pytest

from bot.cli.git_folders import GitError, commit, place, write_out
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, git, run

FAST = ("--words-only",)


@pytest.fixture
def books(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A repository with one runbook, committed."""
    alone(tmp_path, monkeypatch)
    folder = tmp_path / "repo" / "books"
    folder.mkdir(parents=True)
    git(tmp_path / "repo", "init", "--quiet", "--initial-branch=main")
    (folder / "zebra.md").write_text(book("Zebras block the crossing", front='pages: ["zebra on the crossing"]\n'))
    git(tmp_path / "repo", "add", "-A")
    git(tmp_path / "repo", "commit", "--quiet", "-m", "first")
    return folder


def told(*words: str, **environ: str) -> Any:
    result = run("diff", "--json", *FAST, *words, **environ)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_without_a_change_no_page_moves(books: Path) -> None:
    report = told("HEAD", str(books))

    assert (report["moved"], report["added"], report["removed"], report["changed"]) == ([], [], [], [])
    assert report["pages"] > 100
    assert "No runbook differs from HEAD." in run("diff", *FAST, "HEAD", str(books)).stdout


def test_a_phrase_that_moves_is_better_or_worse_by_where_it_belongs(books: Path, tmp_path: Path) -> None:
    (books / "horse.md").write_text(book("Horses", front='pages: ["zebra on the crossing, stripes and hooves"]\n'))
    (books / "zebra.md").write_text(book("Zebras"))
    (tmp_path / "past.jsonl").write_text(
        '{"title": "Stripes, hooves", "body": "zebra crossing", "service": "chat-assistant", "class": "x"}\n\n'
    )

    report = told("main", str(books), "--cases", "past.jsonl", **WITH_CATALOGUE)

    assert (report["added"], report["changed"]) == (["horse"], ["zebra"])
    moved = {(one["source"], one["before"], one["now"], one["verdict"]) for one in report["moved"]}
    assert ("pages of horse", "zebra", "horse", "better") in moved
    assert ("pages of zebra", "zebra", "horse", "worse") in moved
    assert ("past.jsonl:1", "zebra", "horse", "other") in moved
    shown = run("diff", *FAST, "--exit-code", "main", str(books))
    assert shown.exit_code == 1
    assert shown.stdout.index("no longer") < shown.stdout.index("Find the right one now")


def test_a_folder_that_was_not_there_adds_all_of_its_runbooks(books: Path) -> None:
    more = books.parent / "more"
    more.mkdir()
    (more / "new.md").write_text(book("New"))

    assert told("HEAD", str(books), str(more))["added"] == ["new"]


def test_the_configured_folders_are_compared_and_others_are_the_same_on_both_sides(books: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "plain.md").write_text("# Plain\n")
    (books / "zebra.md").unlink()

    result = run("diff", *FAST, "HEAD", PAGERUNNER_RUNBOOKS=f"{books}:{outside}")

    assert result.exit_code == 0, result.output
    assert f"{outside}: not in a Git repository; taken as the same" in result.stderr
    assert "removed: zebra" in result.stdout


def test_a_file_that_is_broken_now_is_named(books: Path) -> None:
    (books / "zebra.md").write_text("---\ntitle: [\n---\n")

    result = run("diff", *FAST, "HEAD", str(books))

    assert (result.exit_code, "left out: " in result.stderr, "zebra.md:" in result.stderr) == (0, True, True)


def test_outside_a_repository_and_without_the_revision_it_says_so(books: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()

    nowhere, unknown = run("diff", "HEAD", str(outside)), run("diff", "no-such", str(books))
    option = run("diff", "--", "--output=/tmp/x", str(books))

    assert (nowhere.exit_code, "not in a Git repository" in nowhere.stderr) == (2, True)
    assert (unknown.exit_code, "there is no revision 'no-such'" in unknown.stderr) == (2, True)
    assert (option.exit_code, "there is no revision" in option.stderr) == (2, True)


@pytest.mark.parametrize("line", ["{", '{"body": "x"}', '{"title": 3}', "[]", '{"title": " "}'])
def test_a_bad_case_is_told_with_its_line(line: str, books: Path, tmp_path: Path) -> None:
    (tmp_path / "past.jsonl").write_text(f"\n{line}\n")

    result = run("diff", *FAST, "HEAD", str(books), "--cases", "past.jsonl")

    assert (result.exit_code, "past.jsonl:2: expected" in result.stderr) == (2, True)


def test_what_is_written_out_is_what_was_committed_and_links_are_left_out(books: Path, tmp_path: Path) -> None:
    (books / "link.md").symlink_to("/etc/passwd")
    (books / "deep").mkdir()
    (books / "deep" / "ümlaut name.md").write_bytes(b"# A\r\n\xff")
    (books / "note.txt").write_text("x")
    git(books, "add", "-A")
    git(books, "commit", "--quiet", "-m", "second")
    (books / "deep" / "ümlaut name.md").unlink()
    where = place(books)
    assert where is not None

    count = write_out(where, commit(where, "HEAD"), tmp_path / "out").files

    assert count == 2
    assert (tmp_path / "out" / "deep" / "ümlaut name.md").read_bytes() == b"# A\r\n\xff"
    assert place(tmp_path) is None
    with pytest.raises(GitError, match="no revision"):
        commit(where, "HEAD~9")
