"""``runbooks new``: a skeleton that lints clean, a page whose text stays as it is, and nothing overwritten."""

import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runbooks.parse import parse
from runbooks.skeleton import BOM, Facts, NotAPageError, on_top, phrases_in, scalar, skeleton, title_of
from tests.conftest import ROOT
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, run

NEW = ("new", "--title", "Gateway is down", "--owner", "assist")
LINES = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), min_size=1, max_size=80).filter(
    lambda text: bool(text.strip()) and text.isprintable()
)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


def test_title_and_owner_are_enough_and_the_result_lints_clean(tmp_path: Path) -> None:
    result = run(*NEW, **WITH_CATALOGUE)

    assert (result.exit_code, result.stdout) == (0, "Wrote gateway-is-down.md\n")
    linted = run("lint", "gateway-is-down.md", **WITH_CATALOGUE)
    assert (linted.exit_code, linted.stdout) == (0, "")


def test_every_answer_has_an_option_and_stands_in_the_file(tmp_path: Path) -> None:
    result = run(
        *NEW, "--failure", "llm-gateway-down", "--like", "provider-outage", "--severity", "sev1", "--service",
        "chat-assistant", "--kind", "chat", "--page", 'gateway: "502" # all', "--page", "no route", "--not-page",
        "429 from the vendor", "rate-limit-exceeded", "--out", "books", **WITH_CATALOGUE,
    )  # fmt: skip
    assert result.exit_code == 2  # a folder that is not there
    (tmp_path / "books").mkdir()
    result = run(
        *NEW, "--failure", "llm-gateway-down", "--like", "provider-outage", "--severity", "sev1", "--service",
        "chat-assistant", "--kind", "chat", "--page", 'gateway: "502" # all', "--page", "no route", "--not-page",
        "429 from the vendor", "rate-limit-exceeded", "--out", "books", **WITH_CATALOGUE,
    )  # fmt: skip

    assert result.exit_code == 0, result.output
    made = parse((tmp_path / "books" / "llm-gateway-down.md").read_bytes(), "llm-gateway-down.md").runbook
    assert made is not None
    assert (made.severity, made.services, made.kinds) == ("sev1", ("chat-assistant",), ("chat",))
    assert made.pages == ('gateway: "502" # all', "no route")
    assert made.not_pages[0].belongs_to == "rate-limit-exceeded"
    assert "provider_canary" in made.evidence
    assert made.probes[0].probe == "provider_canary"
    assert all(not section.prose for section in made.sections)
    assert run("lint", "books", **WITH_CATALOGUE).stdout == ""


def test_without_a_terminal_what_is_missing_is_named() -> None:
    result = run("new", "--title", "x")

    assert (result.exit_code, result.stderr) == (2, "Nobody can be asked without a terminal: give --owner.\n")


def test_a_file_that_is_there_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "gateway-is-down.md").write_text("mine")

    result = run(*NEW)

    assert (result.exit_code, "stays as it is" in result.stderr) == (1, True)
    assert (tmp_path / "gateway-is-down.md").read_text() == "mine"


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("new", "--title", "x", "--owner", "nobody"), "there are assist, trust, creator"),
        ((*NEW, "--failure", "Gateway Down"), "'gateway-down'"),
        ((*NEW, "--like", "provider-outge"), "'provider-outage'"),
        ((*NEW, "--page", "two\nlines"), "one printable line"),
        ((*NEW, "--from", "none.md"), "No such file"),
        (("new", "--title", "x" * 301, "--owner", "assist"), "at most 300"),
    ],
)
def test_a_bad_answer_is_told_with_what_to_write_and_writes_nothing(
    options: tuple[str, ...], told: str, tmp_path: Path
) -> None:
    result = run(*options, **WITH_CATALOGUE)

    assert (result.exit_code, told in result.stderr) == (2, True), result.stderr
    assert list(tmp_path.iterdir()) == []


class TestFromAPage:
    PAGE = "Old *wiki* page\n===\r\n\r\n- We saw `429 Too Many Requests` and RateLimitError.\n\n* see [x](y.md)\t\n"

    def test_its_text_stays_byte_for_byte_and_its_heading_is_the_title(self, tmp_path: Path) -> None:
        (tmp_path / "wiki.md").write_bytes(self.PAGE.encode())
        (tmp_path / "books").mkdir()

        result = run("new", "--from", "wiki.md", "--owner", "assist", "--out", "books", **WITH_CATALOGUE)

        made = (tmp_path / "books" / "wiki.md").read_bytes()
        assert result.exit_code == 0, result.output
        assert made.endswith(b"---\n" + self.PAGE.encode())
        runbook = parse(made, "wiki.md").runbook
        assert runbook is not None
        assert (runbook.title, runbook.pages) == ("Old wiki page", ())
        assert '#   - "We saw 429 Too Many Requests and RateLimitError."' in made.decode()
        assert (tmp_path / "wiki.md").read_bytes() == self.PAGE.encode()

    def test_in_its_own_place_it_is_not_overwritten(self, tmp_path: Path) -> None:
        (tmp_path / "wiki.md").write_text("# Wiki\n")

        assert run("new", "--from", "wiki.md", "--owner", "assist").exit_code == 1
        assert (tmp_path / "wiki.md").read_text() == "# Wiki\n"

    def test_front_matter_that_is_there_is_left_to_its_author(self, tmp_path: Path) -> None:
        (tmp_path / "wiki.md").write_text("---\nlayout: page\n---\n# Wiki\n")

        result = run("new", "--from", "wiki.md", "--owner", "assist", "--title", "x", "--out", "new.md")

        assert (result.exit_code, "front matter already" in result.stderr) == (1, True)

    def test_a_page_whose_blocks_would_be_errors_is_not_written(self, tmp_path: Path) -> None:
        (tmp_path / "wiki.md").write_text("# Wiki\n```action\nreboot: {}\n```\n")

        result = run("new", "--from", "wiki.md", "--owner", "assist", "--out", "new.md")

        assert (result.exit_code, "there is no action 'reboot'" in result.stderr) == (1, True)
        assert not (tmp_path / "new.md").exists()

    def test_without_a_heading_a_title_is_asked_for(self, tmp_path: Path) -> None:
        (tmp_path / "wiki.md").write_text("just text\n")

        result = run("new", "--from", "wiki.md", "--owner", "assist", "--out", "new.md")

        assert (result.exit_code, "--title" in result.stderr) == (2, True)

    @settings(deadline=None, max_examples=60)
    @given(st.text(max_size=300), st.booleans(), LINES)
    def test_whatever_a_page_says_it_follows_the_front_matter_unchanged(
        self, text: str, mark: bool, title: str
    ) -> None:
        page = (BOM if mark else b"") + text.encode("utf-8", "replace")
        try:
            made = on_top(page, Facts(title=title, owner="assist"))
        except NotAPageError:
            assert b"---" in page
            return
        rest = page.removeprefix(BOM)
        front = made.removesuffix(rest) if rest else made
        assert made.endswith(rest)
        assert made.startswith(BOM) is mark or page[3:].startswith(BOM)
        runbook = parse(front, "x.md").runbook
        assert runbook is not None
        assert (runbook.title, runbook.pages) == (title.strip(), ())

    def test_a_rule_at_the_top_is_no_front_matter(self) -> None:
        page = b"---\n\n# After a rule\n"

        assert on_top(page, Facts(title="x", owner="assist")).endswith(page)
        assert title_of(page, "x.md") == "After a rule"


@settings(deadline=None, max_examples=60)
@given(LINES, st.lists(LINES, max_size=3, unique_by=str.casefold))
def test_any_line_can_be_a_title_or_a_phrase(title: str, pages: list[str]) -> None:
    runbook = parse(skeleton(Facts(title=title, owner="assist", pages=tuple(pages))).encode(), "x.md").runbook

    assert runbook is not None
    assert runbook.title == title.strip()
    assert runbook.pages == tuple(page.strip() for page in pages)


def test_suggested_phrases_are_what_machines_say_in_the_text_and_nothing_else() -> None:
    text = (
        "Call Ana.\n\n> **529** overloaded_error again\nport 8080 and 99%\n$ curl x_y\n"
        + "x_y " * 60
        + "\nhttp_429\x1b[0m\n"
    )

    assert phrases_in(text) == ("529 overloaded_error again", "http_429 [0m")
    assert scalar('a "b" \\ # é') == '"a \\"b\\" \\\\ # é"'


def test_at_a_terminal_it_asks_for_what_no_option_said(tmp_path: Path) -> None:
    master, slave = pty.openpty()
    environment = {**os.environ, **WITH_CATALOGUE, "PYTHONPATH": str(ROOT)}
    process = subprocess.Popen(
        [sys.executable, "-m", "bot", "runbooks", "new"], stdin=slave, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        cwd=tmp_path, env=environment,
    )  # fmt: skip
    os.close(slave)
    answers = ["", "Our gateway is down", "assist", "egress-failure", "y", "sev2", "", "502 from the gateway", ""]
    os.write(master, "".join(f"{answer}\n" for answer in answers).encode())
    told = process.communicate(timeout=60)[0].decode()
    os.close(master)

    assert process.returncode == 0, told
    assert "This one is needed." in told
    made = parse((tmp_path / "egress-failure.md").read_bytes(), "egress-failure.md").runbook
    assert made is not None
    assert (made.title, made.severity, made.pages) == ("Our gateway is down", "sev2", ("502 from the gateway",))
    assert "egress" in made.evidence
