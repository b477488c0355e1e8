"""A library in Git: pinned, followed, bounded, and never lost to a push, a network or an attacker."""

import contextlib
import json
import os
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from bot.edges import git as running
from bot.edges import git_library
from bot.edges.git import GitError, Remote, remote
from bot.edges.git_library import GitLibrary
from bot.edges.library_sync import LibrarySync, standing
from bot.edges.metrics import Metrics
from config.library import GitSource
from runbooks.source import MAX_BYTES
from tests.conftest import ROOT, START
from tests.library_fakes import Origin, book, git, made, shelf_of
from tests.runbook_cli_fakes import GIT

BROKEN = "---\ntitle: [\n---\n# Broken\n"
HOUR = timedelta(hours=1)


@pytest.fixture
def origin(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Origin:
    for name, value in GIT.items():
        monkeypatch.setenv(name, value)
    return made(tmp_path / "origin")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return tmp_path / "data"


def names(library: GitLibrary) -> list[str]:
    root = library.current.resolve()
    return sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if not path.is_dir())


# --- following -------------------------------------------------------------------------------------------------------


def test_a_branch_is_followed_and_only_its_markdown_below_the_path_is_written(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    first = library.update(START)
    assert (first.problem, names(library)) == ("", ["zebra.md"])

    pushed = origin.push({"books/deep/horse.md": book("Horses"), "books/run.sh": "#!/bin/sh\n", "books/zebra.md": None})
    second = library.update(START + HOUR)

    assert (second.commit, second.loaded_at) == (pushed, (START + HOUR).isoformat())
    assert names(library) == ["deep/horse.md"]
    assert library.update(START + 2 * HOUR).loaded_at == second.loaded_at
    assert (library.folder / "trees" / first.commit).is_dir()


def test_a_tag_is_followed_to_its_commit_also_when_it_is_annotated_and_moved(origin: Origin, data: Path) -> None:
    git(origin.path, "tag", "-a", "v1", "-m", "one")
    at = git(origin.path, "rev-parse", "HEAD")
    library = origin.library(data, revision="v1")
    assert library.update(START).commit == at

    newer = origin.push({"books/horse.md": book("Horses")})
    assert library.update(START).commit == at
    git(origin.path, "tag", "--force", "-a", "v1", "-m", "two")
    assert library.update(START).commit == newer


def test_a_commit_stays_and_needs_no_repository_once_it_is_here(origin: Origin, data: Path) -> None:
    at = git(origin.path, "rev-parse", "HEAD")
    origin.push({"books/horse.md": book("Horses")})
    library = origin.library(data, revision=at)
    assert library.update(START).commit == at
    assert names(library) == ["zebra.md"]

    origin.path.rename(origin.path.with_name("gone"))
    assert library.update(START).problem == ""


def test_a_force_push_is_followed(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    library.update(START)
    git(origin.path, "commit", "--quiet", "--amend", "-m", "rewritten")
    now = git(origin.path, "rev-parse", "HEAD")

    assert library.update(START).commit == now


def test_a_name_that_is_a_branch_and_a_tag_is_refused_and_what_is_in_use_stays(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    before = library.update(START)
    git(origin.path, "tag", "main")
    origin.push({"books/zebra.md": book("Another")})
    after = library.update(START + HOUR)

    assert after.commit == before.commit
    assert "write refs/heads/main or refs/tags/main" in after.problem
    assert origin.library(data, revision="refs/heads/main").update(START).problem == ""


def test_the_repository_that_moves_between_look_and_fetch_gives_its_newest(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    wanted = library.look()
    pushed = origin.push({"books/horse.md": book("Horses")})
    library.folder.mkdir(parents=True)

    assert wanted.commit != pushed
    assert library._fetch(wanted) == pushed


def test_a_push_while_runbooks_are_read_is_seen_whole_or_not_at_all(origin: Origin, data: Path) -> None:
    """Readers go through ``current`` once; what they read is of one commit, whatever is taken into use meanwhile."""
    for number in range(30):
        origin.push({f"books/r{number}.md": book("Edition 0")})
    library = origin.library(data)
    library.update(START)
    shelf, over = shelf_of(library), threading.Event()
    mixed: list[set[str]] = []

    def read() -> None:
        while not over.is_set():
            shelf.refresh()
            commits = {one.origin.commit for one in shelf.all() if one.origin}
            if len(commits) > 1:
                mixed.append(commits)

    reader = threading.Thread(target=read)
    reader.start()
    for edition in range(1, 4):
        origin.push({f"books/r{number}.md": book(f"Edition {edition}") for number in range(30)})
        library.update(START)
    over.set()
    reader.join()

    assert mixed == []
    assert {one.title for one in shelf.all() if one.id != "zebra"} <= {f"Edition {n}" for n in range(4)}


# --- keeping ---------------------------------------------------------------------------------------------------------


def test_an_unreachable_repository_keeps_the_last_tree_and_says_how_old_it_is(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    good = library.update(START)
    away = origin.path.rename(origin.path.with_name("away"))

    first, later = library.update(START + HOUR), library.update(START + 3 * HOUR)

    assert later.commit == good.commit
    assert "cannot be reached" in later.problem
    assert later.problem_since == first.problem_since == (START + HOUR).isoformat()
    assert standing(library, START + 3 * HOUR).trouble.endswith(f"{good.commit[:12]} stays in use, 3 h old")
    away.rename(origin.path)
    assert library.update(START + 4 * HOUR).problem == ""


def test_a_start_without_a_network_uses_the_last_tree(origin: Origin, data: Path) -> None:
    at = origin.library(data).update(START).commit
    origin.path.rename(origin.path.with_name("away"))
    (zebra,) = shelf_of(origin.library(data)).all()

    assert zebra.origin is not None
    assert (zebra.origin.library, zebra.origin.commit, zebra.origin.file) == ("company", at, "books/zebra.md")


def test_a_broken_push_keeps_the_last_good_version_of_that_runbook_also_after_a_restart(
    origin: Origin, data: Path
) -> None:
    library = origin.library(data)
    good = library.update(START).commit
    shelf = shelf_of(library)
    broken = origin.push({"books/zebra.md": BROKEN, "books/horse.md": book("Horses")})
    library.update(START)
    change = shelf.refresh()

    assert (change.kept, change.changed) == (("zebra",), ("horse",))
    assert [(one.file, one.kept.title if one.kept else "") for one in change.broken] == [("zebra.md", "Zebras")]
    for seen in (shelf, shelf_of(library)):
        zebra, horse = seen.get("zebra"), seen.get("horse")
        assert zebra is not None
        assert horse is not None
        assert zebra.origin is not None
        assert horse.origin is not None
        assert (zebra.title, zebra.origin.commit, horse.origin.commit) == ("Zebras", good, broken)


def test_trees_of_long_ago_are_removed_but_never_one_that_something_in_use_comes_from(
    origin: Origin, data: Path
) -> None:
    library = origin.library(data)
    good = library.update(START).commit
    origin.push({"books/zebra.md": BROKEN})
    for number in range(8):
        origin.push({"books/horse.md": book(f"Horses {number}")})
        library.update(START)
        shelf = shelf_of(library)
        library.forget({one.origin.commit for one in shelf.all() if one.origin})

    kept = shelf.get("zebra")
    assert kept is not None
    assert kept.title == "Zebras"
    trees = {path.name for path in (library.folder / "trees").iterdir()}
    assert {good, library.state().commit} <= trees
    assert len(trees) <= git_library.TREES_KEPT + 2


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"path": "bokks"}, "has no folder 'bokks'"),
        ({"path": "books/zebra.md"}, "has no folder 'books/zebra.md'"),
        ({"revision": "mian"}, "has no branch or tag 'mian'"),
        ({"revision": "d" * 40}, "does not give away commit dddddddddddd"),
        ({"git": "/nowhere/at/all"}, "cannot be reached"),
    ],
)
def test_what_is_not_there_is_told(changes: dict[str, str], told: str, origin: Origin, data: Path) -> None:
    state = origin.library(data, **changes).update(START)

    assert told in state.problem
    assert state.commit == ""


def test_a_revision_without_runbooks_does_not_take_those_in_use_away(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    good = library.update(START)
    origin.push({"books/zebra.md": None, "books/note.txt": "moved"})
    after = library.update(START)

    assert (after.commit, names(library)) == (good.commit, ["zebra.md"])
    assert "has no Markdown file below 'books'" in after.problem


def test_another_repository_serves_nothing_of_the_one_before(origin: Origin, data: Path, tmp_path: Path) -> None:
    origin.library(data).update(START)
    other = origin.library(data, git=str(tmp_path / "other"))

    assert other.folder != origin.library(data).folder
    assert shelf_of(other).all() == ()


def test_a_crash_between_the_steps_leaves_a_whole_tree(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    first = library.update(START)
    (library.folder / "trees" / ".new-left").mkdir()
    (library.folder / ".current").symlink_to("trees/nowhere")
    (library.folder / "state.json").write_text("{")
    (library.folder / "repository.git" / "shallow.lock").write_text("")
    pushed = origin.push({"books/horse.md": book("Horses")})

    assert library.state().commit == first.commit
    assert library.update(START).commit == pushed
    assert not (library.folder / "trees" / ".new-left").exists()
    (library.folder / "repository.git" / "HEAD").unlink()
    origin.push({"books/cow.md": book("Cows")})
    assert library.update(START).problem == ""


def test_two_processes_do_not_work_on_one_library_at_once(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    before = library.update(START)
    origin.push({"books/horse.md": book("Horses")})
    with library._alone() as alone:
        assert alone
        assert origin.library(data).update(START) == before

    assert library.update(START).commit != before.commit


def test_another_revision_is_written_beside_what_is_in_use(origin: Origin, data: Path, tmp_path: Path) -> None:
    first = git(origin.path, "rev-parse", "HEAD")
    origin.push({"books/horse.md": book("Horses")})
    library = origin.library(data)
    library.update(START)

    at = library.write_at(first, tmp_path / "out")
    again = library.write_at("main", tmp_path / "again")

    assert (at.name, [path.name for path in at.iterdir()]) == (first, ["zebra.md"])
    assert sorted(path.name for path in again.iterdir()) == ["horse.md", "zebra.md"]
    assert names(library) == ["horse.md", "zebra.md"]
    with pytest.raises(GitError, match="name a branch, a tag"):
        library.write_at("--output=x", tmp_path / "bad")


# --- attacks ---------------------------------------------------------------------------------------------------------


def test_links_submodules_large_files_and_lfs_are_left_out_and_said(origin: Origin, data: Path, tmp_path: Path) -> None:
    (origin.path / "books" / "passwd.md").symlink_to("/etc/passwd")
    (origin.path / "books" / "up.md").symlink_to("../other/secret.md")
    git(origin.path, "update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},books/module.md")
    lfs = "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 5\n"
    origin.push({"books/lfs.md": lfs, "books/huge.md": b"x" * (MAX_BYTES + 1), "books/new\x1b[2Jline.md": "# x\n"})
    library = origin.library(data)
    state = library.update(START)
    shelf = shelf_of(library)

    told = "\n".join(state.left_out)
    for line in ("passwd.md: a symbolic link", "up.md: a symbolic link", "lfs.md: kept in Git LFS",
                 "new [2Jline.md: its name has characters"):  # fmt: skip
        assert line in told, told
    assert "\x1b" not in told
    assert names(library) == ["huge.md", "lfs.md", "zebra.md"]
    assert [(Path(one.file).name, one.rule) for one in shelf.problems if one.severity == "error"] == [
        ("huge.md", "too-large")
    ]
    assert not any(path.is_symlink() for path in library.current.resolve().rglob("*"))


def test_a_runbook_that_becomes_too_large_keeps_its_last_good_version(origin: Origin, data: Path) -> None:
    library = origin.library(data)
    library.update(START)
    shelf = shelf_of(library)
    origin.push({"books/zebra.md": b"x" * 5_000_000})
    library.update(START)

    assert shelf.refresh().kept == ("zebra",)


def tree(path: Path, *rows: tuple[str, str, bytes]) -> str:
    """A tree object with any names, as an attacker makes it."""
    raw = b"".join(mode.encode() + b" " + name + b"\0" + bytes.fromhex(id_) for mode, id_, name in rows)
    done = subprocess.run(
        ["git", "-C", str(path), "hash-object", "-t", "tree", "-w", "--literally", "--stdin"],
        input=raw, capture_output=True, check=True, env={**os.environ, **GIT},
    )  # fmt: skip
    return done.stdout.decode().strip()


@pytest.mark.parametrize(
    "name",
    [b"../../../../escaped.md", b"/tmp/escaped-from-a-tree.md", b"a/../../escaped.md", b".git", b"..", b"x//y.md"],
)
def test_a_tree_whose_names_lead_out_writes_nothing_outside(
    name: bytes, origin: Origin, data: Path, tmp_path: Path
) -> None:
    blob = git(origin.path, "rev-parse", "HEAD:books/zebra.md")
    good = git(origin.path, "rev-parse", "HEAD:books")
    if name in (b".git", b".."):
        inner = tree(origin.path, ("100644", blob, b"hook.md"))
        books = tree(origin.path, ("40000", inner, name), ("100644", blob, b"zebra.md"))
    else:
        books = tree(origin.path, ("100644", blob, name), ("100644", blob, b"zebra.md"))
    top = tree(origin.path, ("40000", books, b"books"))
    evil = git(origin.path, "commit-tree", top, "-m", "evil")
    git(origin.path, "update-ref", "refs/heads/main", evil)
    assert good != books
    library = origin.library(data)
    state = library.update(START)

    assert names(library) == ["zebra.md"] if state.commit else state.problem
    assert not list(tmp_path.rglob("escaped*.md"))
    assert not list(tmp_path.rglob("hook.md"))
    assert not Path("/tmp/escaped-from-a-tree.md").exists()


def test_nothing_that_a_repository_says_is_run(origin: Origin, data: Path, tmp_path: Path) -> None:
    mark = tmp_path / "ran"
    script = f"#!/bin/sh\ntouch {mark}\n"
    for hook in ("post-checkout", "post-merge", "reference-transaction", "pre-auto-gc", "post-index-change"):
        path = origin.path / ".git" / "hooks" / hook
        path.parent.mkdir(exist_ok=True)
        path.write_text(script)
        path.chmod(0o755)
    git(origin.path, "config", "core.fsmonitor", f"touch {mark}")
    git(origin.path, "config", "uploadpack.packObjectsHook", f"touch {mark}; cat")
    template = tmp_path / "template"
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "reference-transaction").write_text(script)
    (template / "hooks" / "reference-transaction").chmod(0o755)
    os.environ["GIT_TEMPLATE_DIR"] = str(template)
    try:
        origin.push({
            "books/.gitattributes": "*.md filter=evil\n", ".gitattributes": "*.md filter=lfs diff=lfs\n",
            ".gitmodules": f'[submodule "x"]\n\tpath = books/x\n\turl = ext::sh -c touch% {mark}\n',
            "books/zebra.md": book("Zebras 2"),
        })  # fmt: skip
        mark.unlink(missing_ok=True)
        state = origin.library(data).update(START)
    finally:
        del os.environ["GIT_TEMPLATE_DIR"]

    assert (state.problem, mark.exists()) == ("", False)


@pytest.mark.parametrize("name", ["--upload-pack=touch ran", "ext::sh -c 'touch ran'", "-c", "fd::3"])
def test_an_address_that_got_past_the_settings_is_still_no_option_and_no_command(
    name: str, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = remote(None, Remote(address=name, transport="file"), "ls-remote", "--", name, "HEAD")

    assert done.code != 0
    assert not (tmp_path / "ran").exists()


def test_only_the_transport_of_the_address_is_allowed(origin: Origin, data: Path) -> None:
    done = remote(None, Remote(address="https://x/y", transport="https"), "ls-remote", "--", str(origin.path))

    assert "transport 'file' not allowed" in done.told


def test_a_repository_larger_than_the_bound_is_refused_and_what_is_in_use_stays(
    origin: Origin, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library = origin.library(data)
    good = library.update(START)
    origin.push({"books/horse.md": book("Horses"), "model.bin": os.urandom(3_000_000)})
    monkeypatch.setattr(remote, "__kwdefaults__", {**(remote.__kwdefaults__ or {}), "most": 1_000_000})
    after = library.update(START)

    assert after.commit == good.commit
    assert "larger than" in after.problem
    packs = library.folder / "repository.git" / "objects" / "pack"
    assert sum(path.stat().st_size for path in packs.iterdir()) < 2_000_000


def test_too_many_or_too_much_markdown_is_refused(origin: Origin, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bot.edges.git_tree.MAX_FILES", 3)
    origin.push({f"books/r{number}.md": book() for number in range(5)})

    assert "name the folder with the runbooks as 'path'" in origin.library(data).update(START).problem


def test_a_repository_that_never_answers_is_given_up(tmp_path: Path) -> None:
    """Git and what it started end, too: the helper that hangs is of another process than Git itself."""
    helper, pid = tmp_path / "ssh", tmp_path / "pid"
    helper.write_text(f"#!/bin/sh\necho $$ > {pid}\nexec sleep 1000\n")
    helper.chmod(0o755)
    os.environ["GIT_SSH"] = str(helper)
    try:
        with pytest.raises(GitError, match=r"git ls-remote did not answer within 0\.5 s"):
            remote(None, Remote(address="git@host:x", transport="ssh"), "ls-remote", "--", "git@host:x", seconds=0.5)
    finally:
        del os.environ["GIT_SSH"]

    while pid.exists() and "sleep" in alive(int(pid.read_text())):  # The test's own timeout bounds it.
        time.sleep(0.01)


def alive(pid: int) -> str:
    """What this process runs; empty if it has ended."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_a_token_is_in_no_argument_and_variables_of_ours_stay_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A program in Git's place writes down what it is given."""
    shown = tmp_path / "shown.json"
    stand_in = tmp_path / "bin" / "git"
    stand_in.parent.mkdir()
    stand_in.write_text(
        "#!/usr/bin/env python3\nimport json, os, sys\n"
        f"json.dump([sys.argv, dict(os.environ)], open({str(shown)!r}, 'w'))\n"
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{stand_in.parent}:{os.environ['PATH']}")
    for name in ("PAGERUNNER_SLACK_BOT_TOKEN", "ACME_OPENAI_KEY", "GIT_DIR", "GIT_INDEX_FILE", "GIT_CONFIG_COUNT",
                 "GIT_TRACE_CURL", "LD_PRELOAD", "DISPLAY", "SSH_ASKPASS", "GIT_EXTERNAL_DIFF"):  # fmt: skip
        monkeypatch.setenv(name, "" if name == "LD_PRELOAD" else "0")
    where = "https://git.example/acme/oncall.git"
    remote(None, Remote(address=where, transport="https", token="hunter2"), "ls-remote", "--", where)

    arguments, environment = json.loads(shown.read_text())
    assert "hunter2" not in " ".join(arguments)
    assert environment["GIT_CONFIG_KEY_0"] == f"http.{where}.extraHeader"
    assert environment["GIT_CONFIG_VALUE_0"] == "Authorization: Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg=="
    assert environment["GIT_TERMINAL_PROMPT"] == "0"
    assert not {"PAGERUNNER_SLACK_BOT_TOKEN", "ACME_OPENAI_KEY", "GIT_DIR", "GIT_INDEX_FILE", "GIT_TRACE_CURL",
                "LD_PRELOAD", "DISPLAY", "SSH_ASKPASS", "GIT_EXTERNAL_DIFF"} & set(environment)  # fmt: skip
    assert "http.followRedirects=false" in arguments
    assert arguments[-3:] == ["ls-remote", "--", where]


class Seen(BaseHTTPRequestHandler):
    """Writes down what is asked, and sends everybody elsewhere."""

    asked: list[tuple[str, str]]
    elsewhere: str

    def do_GET(self) -> None:
        type(self).asked.append((self.path, self.headers.get("authorization", "")))
        self.send_response(302)
        self.send_header("location", self.elsewhere + self.path)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name in the base class
        """Nothing on the terminal."""


@contextlib.contextmanager
def https(elsewhere: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """A real TLS server that redirects; its address and what it was asked."""
    asked: list[tuple[str, str]] = []
    handler = type("Handler", (Seen,), {"asked": asked, "elsewhere": elsewhere})
    server = HTTPServer(("127.0.0.1", 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(
        ROOT / "tests" / "data" / "tls" / "server.pem", ROOT / "tests" / "data" / "tls" / "server.key"
    )
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"https://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_a_token_is_sent_to_its_own_address_and_follows_no_redirect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "gitconfig").write_text("[http]\n\tsslVerify = false\n")  # the test's certificate is for another name
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    with https() as (there, stolen), https(there) as (here, asked):
        where = f"{here}/acme/oncall.git"
        done = remote(None, Remote(address=where, transport="https", token="hunter2"), "ls-remote", "--", where)
        other = f"{there}/acme/oncall.git"
        remote(None, Remote(address=where, transport="https", token="hunter2"), "ls-remote", "--", other)

    assert asked == [("/acme/oncall.git/info/refs?service=git-upload-pack", "Basic eC1hY2Nlc3MtdG9rZW46aHVudGVyMg==")]
    assert [token for _, token in stolen] == [""]  # what was asked of it directly; the redirect was not followed
    assert "hunter2" not in done.told
    assert done.code != 0


def test_a_certificate_that_is_not_trusted_is_refused(data: Path) -> None:
    with https() as (here, asked):
        library = GitLibrary(GitSource(git=f"{here}/x.git"), "company", data)
        state = library.update(START)

    assert (asked, "cannot be reached" in state.problem) == ([], True)
    assert "certificate" in state.problem


def test_without_git_it_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(GitError, match="git is not installed"):
        running.local(tmp_path, "status")


def test_everything_is_readable_by_its_owner_alone(origin: Origin, data: Path) -> None:
    origin.library(data).update(START)

    open_ = [path for path in [data, *data.rglob("*")] if not path.is_symlink() and path.lstat().st_mode & 0o077]
    assert open_ == []


# --- telling ---------------------------------------------------------------------------------------------------------


def test_trouble_is_logged_once_counted_while_it_lasts_and_told_when_it_is_over(
    origin: Origin, data: Path, caplog: pytest.LogCaptureFixture
) -> None:
    library, metrics = origin.library(data), Metrics()
    sync = LibrarySync([library], metrics)
    assert sync.look(START)
    away = origin.path.rename(origin.path.with_name("away"))
    for hour in (1, 2):
        assert not sync.look(START + hour * HOUR)
        sync.show(START + hour * HOUR)
    shown = metrics.exposition().decode()

    assert len([one for one in caplog.records if "cannot be reached" in one.message]) == 1
    assert 'pagerunner_library_age_seconds{library="company"} 7200.0' in shown
    assert 'pagerunner_library_ill{library="company"} 1.0' in shown
    assert sync.why_not(START + 2 * HOUR).startswith("company: ")
    away.rename(origin.path)
    with caplog.at_level("INFO", "pagerunner.runbooks"):
        sync.look(START + 3 * HOUR)
    assert "well again" in caplog.text
    assert sync.why_not(START) == ""


def test_a_library_that_was_never_loaded_says_so(origin: Origin, data: Path) -> None:
    library = origin.library(data)

    assert standing(library, START).trouble == "it was not loaded yet"
    assert [(one.rule, one.message) for one in shelf_of(library).problems] == [
        ("unreadable-folder", "was not loaded yet")
    ]
