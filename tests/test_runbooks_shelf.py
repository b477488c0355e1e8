"""Runbooks on disk: found, bounded, picked up when edited, and never lost to a broken edit."""

import os
from collections.abc import Sequence
from pathlib import Path

from runbooks.lint import lint
from runbooks.model import Problem
from runbooks.parse import Parsed
from runbooks.shelf import Folder, Shelf
from tests.runbooks_fakes import ACTIONS, PROBES, WHOLE

SMALL = "---\ntitle: {title}\nowner: assist\n---\n# {title}\n"


def write(folder: Path, name: str, text: str | None = None) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / name
    path.write_text(SMALL.format(title=path.stem) if text is None else text)
    return path


def ids(shelf: Shelf) -> list[str]:
    return [book.id for book in shelf.all()]


def rules(problems: Sequence[Problem]) -> set[str]:
    return {problem.rule for problem in problems}


def test_nothing_is_read_before_the_first_refresh(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    shelf = Shelf([tmp_path])
    assert shelf.all() == ()

    change = shelf.refresh()
    assert change.changed == ("a",)
    assert ids(shelf) == ["a"]


def test_subfolders_are_read_hidden_files_and_readme_are_not(tmp_path: Path) -> None:
    write(tmp_path / "team", "b.md")
    write(tmp_path, "README.md")
    write(tmp_path, ".draft.md")
    write(tmp_path / ".git", "c.md")
    write(tmp_path, "notes.txt")
    shelf = Shelf([tmp_path])
    shelf.refresh()

    assert ids(shelf) == ["b"]


def test_an_edit_is_picked_up_and_only_that(tmp_path: Path) -> None:
    write(tmp_path, "a.md")
    write(tmp_path, "b.md")
    shelf = Shelf([tmp_path])
    shelf.refresh()
    assert not shelf.refresh()
    before = shelf.get("a")
    assert before is not None

    write(tmp_path, "a.md", SMALL.format(title="New"))
    assert shelf.refresh().changed == ("a",)
    after = shelf.get("a")
    assert after is not None
    assert (after.title, after.revision != before.revision) == ("New", True)


def test_an_edit_of_the_same_length_in_the_same_second_is_picked_up(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md", SMALL.format(title="One"))
    shelf = Shelf([tmp_path])
    shelf.refresh()
    times = path.stat()

    path.write_text(SMALL.format(title="Two"))
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert shelf.refresh().changed == ("a",)


def test_a_touched_file_with_the_same_text_is_no_change(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md")
    shelf = Shelf([tmp_path])
    shelf.refresh()

    path.write_text(path.read_text())
    assert not shelf.refresh()


def test_a_broken_edit_keeps_the_last_good_version_and_says_so(tmp_path: Path) -> None:
    write(tmp_path, "provider-outage.md", WHOLE)
    write(tmp_path, "b.md")
    shelf = Shelf([tmp_path])
    shelf.refresh()
    good = shelf.get("provider-outage")

    write(tmp_path, "provider-outage.md", WHOLE.replace("within 5m", "soon"))
    change = shelf.refresh()
    assert shelf.get("provider-outage") == good
    assert (change.changed, change.removed, change.kept) == ((), (), ("provider-outage",))
    assert rules(change.problems) == {"verify"}
    assert shelf.refresh().problems == change.problems

    write(tmp_path, "provider-outage.md", WHOLE.replace("within 5m", "within 6m"))
    assert shelf.refresh().changed == ("provider-outage",)
    assert shelf.problems == ()


def test_a_broken_file_takes_no_other_down(tmp_path: Path) -> None:
    write(tmp_path, "good.md")
    write(tmp_path, "bad.md", "---\ntitle: [\n---\n")
    (tmp_path / "worse.md").write_bytes(b"\xff\xfe\x00")
    shelf = Shelf([tmp_path])
    change = shelf.refresh()

    assert ids(shelf) == ["good"]
    assert rules(change.problems) == {"front-matter-yaml", "not-utf-8"}


def test_a_deleted_file_is_removed(tmp_path: Path) -> None:
    path = write(tmp_path, "a.md")
    shelf = Shelf([tmp_path])
    shelf.refresh()

    path.unlink()
    assert shelf.refresh().removed == ("a",)
    assert ids(shelf) == []


def test_a_folder_that_goes_away_keeps_its_runbooks(tmp_path: Path) -> None:
    folder = tmp_path / "mounted"
    write(folder, "a.md")
    shelf = Shelf([folder])
    shelf.refresh()

    folder.rename(tmp_path / "gone")
    change = shelf.refresh()
    assert ids(shelf) == ["a"]
    assert rules(change.problems) == {"unreadable-folder"}


def test_a_later_folder_takes_precedence(tmp_path: Path) -> None:
    write(tmp_path / "built-in", "a.md", SMALL.format(title="Built in"))
    path = write(tmp_path / "team", "a.md", SMALL.format(title="Ours"))
    shelf = Shelf([tmp_path / "built-in", tmp_path / "team"])
    change = shelf.refresh()
    book = shelf.get("a")
    assert book is not None
    assert book.title == "Ours"
    assert [(p.rule, p.severity) for p in change.problems] == [("shadows", "hint")]

    path.unlink()
    assert shelf.refresh().changed == ("a",)
    book = shelf.get("a")
    assert book is not None
    assert book.title == "Built in"


def test_two_files_of_a_folder_with_one_id_are_named_and_the_one_in_use_stays(tmp_path: Path) -> None:
    first = write(tmp_path / "x", "a.md", SMALL.format(title="First"))
    shelf = Shelf([tmp_path])
    shelf.refresh()

    second = write(tmp_path / "b", "a.md", SMALL.format(title="Second"))
    (problem,) = shelf.refresh().problems
    book = shelf.get("a")
    assert book is not None
    assert book.title == "First"
    assert problem.rule == "duplicate-id"
    assert str(first) in problem.message
    assert str(second) in problem.message


def test_two_files_with_one_id_from_the_start_are_both_left_out(tmp_path: Path) -> None:
    write(tmp_path / "x", "a.md")
    write(tmp_path / "y", "a.md")
    write(tmp_path, "b.md")
    shelf = Shelf([tmp_path])
    change = shelf.refresh()

    assert ids(shelf) == ["b"]
    assert len(change.problems) == 2


def test_names_that_differ_only_in_case_collide(tmp_path: Path) -> None:
    write(tmp_path, "Gpu Box.md", "# One\n")
    write(tmp_path, "gpu-box.md", "# Two\n")
    shelf = Shelf([tmp_path])

    assert rules(shelf.refresh().problems) == {"duplicate-id"}


def test_links_out_of_the_folder_and_pipes_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    write(folder, "good.md")
    secret = write(tmp_path, "secret.md")
    (folder / "passwd.md").symlink_to("/etc/passwd")
    (folder / "up.md").symlink_to(secret)
    (folder / "gone.md").symlink_to(tmp_path / "nowhere.md")
    (folder / "dir.md").mkdir()
    os.mkfifo(folder / "pipe.md")
    (folder / "sub").symlink_to(tmp_path)
    shelf = Shelf([folder])
    change = shelf.refresh()

    assert ids(shelf) == ["good"]
    assert {(Path(p.file).name, p.rule) for p in change.problems} == {
        ("passwd.md", "outside-folder"),
        ("up.md", "outside-folder"),
        ("gone.md", "unreadable"),
        ("pipe.md", "not-a-file"),
    }


def test_links_within_the_folder_work_as_kubernetes_mounts_them(tmp_path: Path) -> None:
    write(tmp_path / "..2026_11_22", "a.md")
    (tmp_path / "..data").symlink_to("..2026_11_22")
    (tmp_path / "a.md").symlink_to("..data/a.md")
    shelf = Shelf([tmp_path])
    change = shelf.refresh()

    assert (ids(shelf), change.problems) == (["a"], ())


def test_a_huge_file_is_refused_and_the_rest_loads(tmp_path: Path) -> None:
    write(tmp_path, "good.md")
    with (tmp_path / "huge.md").open("wb") as file:
        file.truncate(50_000_000)
    shelf = Shelf([tmp_path])

    assert rules(shelf.refresh().problems) == {"too-large"}
    assert ids(shelf) == ["good"]


def test_lint_errors_keep_a_file_out_and_its_last_good_version_in(tmp_path: Path) -> None:
    def check(parsed: Parsed) -> Sequence[Problem]:
        return lint(parsed, probes=PROBES, actions=ACTIONS)

    write(tmp_path, "provider-outage.md", WHOLE)
    shelf = Shelf([tmp_path], check=check)
    shelf.refresh()
    good = shelf.get("provider-outage")
    assert good is not None

    write(tmp_path, "provider-outage.md", WHOLE.replace("shift_traffic:", "drop_tables:"))
    change = shelf.refresh()
    assert "unknown-action" in rules(change.problems)
    assert shelf.get("provider-outage") == good


def test_a_folder_that_may_not_act_informs_and_never_authorises(tmp_path: Path) -> None:
    write(tmp_path / "library", "known.md", SMALL.format(title="Agreed"))
    write(tmp_path / "wiki", "provider-outage.md", WHOLE)
    write(tmp_path / "wiki", "known.md", SMALL.format(title="Takeover"))
    shelf = Shelf([Folder(path=tmp_path / "library"), Folder(path=tmp_path / "wiki", may_act=False)])
    change = shelf.refresh()
    book, known = shelf.get("provider-outage"), shelf.get("known")
    assert book is not None
    assert known is not None

    assert (book.executable, book.actions, book.probes) == (False, (), ())
    assert known.title == "Agreed"
    assert rules(change.problems) == {"shadows"}
