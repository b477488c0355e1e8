"""What the runbook parser makes of a file, and how it says what is wrong with one."""

import hashlib
from datetime import date

import pytest

from diagnostics.model import Weight
from runbooks.front_matter import EVIDENCE_WORDS, seconds
from runbooks.model import NotPage, Problem, VerifyStep
from runbooks.parse import Parsed, id_of, parse, slug
from tests.runbooks_fakes import BODY, FRONT, WHOLE

FILE = "library/provider-outage.md"


def parsed(text: str | bytes, file: str = FILE) -> Parsed:
    return parse(text.encode() if isinstance(text, str) else text, file)


def only_problem(text: str | bytes, file: str = FILE) -> Problem:
    result = parsed(text, file)

    assert result.runbook is None
    assert len(result.problems) == 1, [str(p) for p in result.problems]
    return result.problems[0]


def test_a_whole_runbook_becomes_its_parts() -> None:
    result = parsed(WHOLE)
    book = result.runbook
    assert book is not None
    assert result.problems == ()

    assert (book.id, book.title, book.owner, book.severity) == (
        "provider-outage", "Model provider is failing", "assist", "sev1",
    )  # fmt: skip
    assert book.executable
    assert book.path == FILE
    assert book.revision == hashlib.sha256(WHOLE.encode()).hexdigest()
    assert (book.reviewed, book.review_every_days) == (date(2026, 11, 20), 90)
    assert len(book.pages) == 3
    assert book.not_pages == (
        NotPage(text="429 Too Many Requests, remaining tokens 0", belongs_to="rate-limit-exceeded"),
    )
    assert book.evidence["provider_canary"] == {"server_error": "usual", "ok": "rules_out"}
    assert [s.anchor for s in book.sections] == [
        "model-provider-is-failing",
        "is-it-this",
        "stop-the-bleeding",
        "1-fail-over-to-the-second-provider",
        "afterwards",
    ]


def test_probe_steps_carry_parameters_as_written_their_section_and_line() -> None:
    book = parsed(WHOLE).runbook
    assert book is not None
    canary, status = book.probes

    assert (canary.probe, canary.params, canary.section) == (
        "provider_canary", {"provider": "$service.provider", "n": "10"}, "is-it-this",
    )  # fmt: skip
    assert WHOLE.split("\n")[canary.line - 1] == "provider_canary:"
    assert (status.probe, status.params) == ("status_page", {})


def test_an_action_step_carries_verify_lease_title_without_number_and_its_prose() -> None:
    book = parsed(WHOLE).runbook
    assert book is not None
    (step,) = book.actions

    assert step.title == "Fail over to the second provider"
    assert step.prose == "Users get other wording."
    assert step.params == {"from": "$service.provider", "to": "$service.fallback_provider", "percent": "100"}
    assert step.verify == VerifyStep(probe="provider_canary", outcome="ok", within_s=300)
    assert step.lease_s == 3600
    assert step.min_risk is None
    assert WHOLE.split("\n")[step.line - 1] == "shift_traffic:"


def test_prose_is_the_markdown_without_the_blocks() -> None:
    book = parsed(WHOLE).runbook
    assert book is not None
    section = book.section("is-it-this")
    assert section is not None

    assert section.prose == "Look at the canary."
    assert section.title == "Is it this?"


def test_only_title_and_owner_are_required() -> None:
    book = parsed("---\ntitle: T\nowner: assist\n---\nText.\n").runbook
    assert book is not None

    assert (book.id, book.services, book.pages, book.executable) == ("provider-outage", ("*",), (), True)
    assert [(s.anchor, s.prose) for s in book.sections] == [("top", "Text.")]


def test_places_of_everything_named_are_known() -> None:
    result = parsed(WHOLE)
    lines = WHOLE.split("\n")
    assert result.runbook is not None
    step = result.runbook.actions[0]

    line, column = result.place(("evidence", "status_page", "incident"))
    assert lines[line - 1][column - 1 :].startswith("incident")
    line, column = result.place(("block", step.line, "percent"))
    assert lines[line - 1][column - 1 :].startswith("percent")
    line, column = result.place(("block", step.line, "@verify"))
    assert lines[line - 1].startswith("verify")


class TestPlainMarkdown:
    def test_is_kept_for_quoting_and_never_executable(self) -> None:
        book = parsed(
            "# Restart the GPU box\n\nText.\n\n```action\nshift_traffic:\n```\n", "docs/Restart GPU.md"
        ).runbook
        assert book is not None

        assert (book.id, book.title, book.executable) == ("restart-gpu", "Restart the GPU box", False)
        assert (book.probes, book.actions) == ((), ())
        assert "shift_traffic" in book.sections[0].prose

    def test_without_a_heading_has_one_section(self) -> None:
        book = parsed("Just text.\n", "a.md").runbook
        assert book is not None

        assert [(s.anchor, s.prose) for s in book.sections] == [("top", "Just text.")]

    def test_empty_file_is_an_empty_document(self) -> None:
        book = parsed("", "a.md").runbook
        assert book is not None

        assert (book.title, book.sections) == ("a", ())


class TestAnchors:
    @pytest.mark.parametrize(
        ("heading", "anchor"),
        [
            ("Is it this?", "is-it-this"),
            ("1. Clamp retries", "1-clamp-retries"),
            ("P01: `provider_canary` & more", "p01-provider_canary--more"),
            ("Über alles", "über-alles"),
        ],
    )
    def test_are_those_of_github(self, heading: str, anchor: str) -> None:
        assert slug(heading.replace("`", "")) == anchor

    def test_are_unique(self) -> None:
        book = parsed("# A\n## A\n## A-1\n## A\n").runbook
        assert book is not None
        anchors = [s.anchor for s in book.sections]

        assert len(set(anchors)) == 4
        assert anchors[:2] == ["a", "a-1"]

    def test_markup_in_a_heading_is_read_as_text(self) -> None:
        book = parsed("## See [the **docs**](https://x.example) of `it`\n").runbook
        assert book is not None

        assert book.sections[0].title == "See the docs of it"

    def test_headings_inside_code_and_quotes_are_no_sections(self) -> None:
        book = parsed("# A\n\n```\n# not one\n```\n\n> # nor this\n").runbook
        assert book is not None

        assert [s.title for s in book.sections] == ["A"]


class TestFrontMatterIsStrict:
    @pytest.mark.parametrize(
        ("change", "line", "says", "suggests"),
        [
            (("owner: assist", "ovner: assist"), None, "unknown key", "'owner'"),
            (("severity: sev1", "severity: high"), 5, "'high'", "sev1"),
            (('services: ["*"]', "services: all"), 6, "expected a list", "[a, b]"),
            (("reviewed: 2026-11-20", "reviewed: 20"), 7, "2026-11-20", ""),
            (("review_every: 90d", "review_every: 90"), 8, "90d", ""),
            (("belongs_to: rate", "belongs: rate"), None, "unknown key", "'belongs_to'"),
            (("server_error: usual", "server_error: usuall"), 17, "'usuall'", "'usual'"),
            (("title: Model provider is failing", "title: ''"), 3, "empty", ""),
        ],
    )
    def test_a_wrong_value_is_named_with_its_place(
        self, change: tuple[str, str], line: int | None, says: str, suggests: str
    ) -> None:
        text = WHOLE.replace(*change)
        assert text != WHOLE
        result = parsed(text)

        assert result.runbook is None
        hit = [p for p in result.problems if says in p.message and suggests in p.suggestion + p.message]
        assert hit, [str(p) for p in result.problems]
        assert line is None or hit[0].line == line

    def test_a_missing_title_is_said(self) -> None:
        problem = only_problem("---\nowner: assist\n---\n")

        assert "title: missing" in problem.message
        assert problem.suggestion == "add 'title: …'"

    @pytest.mark.parametrize(
        "line",
        [
            "title: !!python/object/apply:os.system [id]",
            "title: !!python/name:os.system",
            "title: &a x",
            "title: [1, 2]",
            "title: x\ntitle: y",
            "<<: {title: x}",
        ],
    )
    def test_tags_anchors_duplicates_and_merges_are_refused(self, line: str) -> None:
        result = parsed(f"---\nowner: assist\n{line}\n---\n")

        assert result.runbook is None
        assert all(p.line >= 2 for p in result.problems)

    def test_scalars_stay_text(self) -> None:
        book = parsed('---\ntitle: "on"\nowner: assist\npages: [on, 017, "12:30:45", .inf]\n---\n').runbook
        assert book is not None

        assert book.pages == ("on", "017", "12:30:45", ".inf")

    def test_an_alias_bomb_is_refused_without_being_built(self) -> None:
        bomb = "a: &a [x,x]\n" + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}]\n" for i in range(8))

        assert "anchors and aliases" in only_problem(f"---\n{bomb}---\n").message

    def test_depth_and_size_are_bounded(self) -> None:
        assert "deeper than 8" in only_problem(f"---\ntitle: {'[' * 3000}\n---\n").message
        assert "16384 bytes" in only_problem(f"---\ntitle: x\nowner: {'y' * 17_000}\n---\n").message

    def test_front_matter_that_never_ends_is_an_error(self) -> None:
        assert "never ends" in only_problem("---\ntitle: T\n").message

    def test_an_id_must_be_the_file_name(self) -> None:
        problem = only_problem(WHOLE, "library/provider-outrage.md")

        assert problem.rule == "id-mismatch"
        assert (problem.line, problem.column) == (2, 1)

    def test_every_problem_of_a_file_is_reported_at_once(self) -> None:
        broken = WHOLE.replace("severity: sev1", "severity: bad").replace("within 5m", "in 5m")
        rules = {p.rule for p in parsed(broken).problems}

        assert rules == {"front-matter", "verify"}


class TestBlocks:
    @pytest.mark.parametrize(
        ("old", "new", "rule"),
        [
            ("verify: provider_canary is ok within 5m", "verify: provider_canary ok", "verify"),
            ("verify: provider_canary is ok within 5m", "verify:", "verify"),
            ("within 5m", "within 9d", "verify"),
            ("lease: 60m  ", "lease: an hour", "lease"),
            ("lease: 60m  ", "lease: 60  ", "lease"),
            ("lease: 60m  ", "lease: 30d  ", "lease"),
            ("lease: 60m  ", "risk: R9  ", "risk"),
            ("lease: 60m  ", "other: {a: b}  ", "one-action"),
            ("  percent: 100", "  percent: *x", "block-yaml"),
            ("  percent: 100", "  to: twice", "block-yaml"),
            ("shift_traffic:\n", "shift_traffic: now\nother:\n", "one-action"),
        ],
    )
    def test_a_mistake_in_an_action_is_named(self, old: str, new: str, rule: str) -> None:
        text = WHOLE.replace(old, new)
        assert text != WHOLE
        result = parsed(text)

        assert result.runbook is None
        assert rule in {p.rule for p in result.problems}, [str(p) for p in result.problems]

    def test_problems_point_at_their_line_and_column(self) -> None:
        text = WHOLE.replace("within 5m", "in 5m")
        (problem,) = parsed(text).problems

        assert text.split("\n")[problem.line - 1] == "verify: provider_canary is ok in 5m"
        assert problem.column == 1

    def test_a_stricter_risk_is_kept(self) -> None:
        book = parsed(WHOLE.replace("lease: 60m", "risk: R3")).runbook
        assert book is not None

        assert book.actions[0].min_risk == "R3"

    def test_an_empty_block_is_an_error(self) -> None:
        assert only_problem(FRONT + "# A\n```probe\n```\n").rule == "empty-block"

    def test_a_block_that_never_ends_is_an_error(self) -> None:
        assert only_problem(FRONT + "# A\n```probe\nstatus_page:\n").rule == "unclosed-block"

    def test_a_block_inside_a_list_is_an_error(self) -> None:
        assert only_problem(FRONT + "# A\n1. Do:\n   ```probe\n   status_page:\n   ```\n").rule == "nested-block"

    def test_a_misspelt_block_is_a_warning(self) -> None:
        result = parsed(FRONT + "# A\n```actoin\npost_banner:\n```\n")

        assert result.runbook is not None
        assert [(p.rule, p.severity) for p in result.problems] == [("misspelt-block", "warning")]

    def test_other_code_is_prose(self) -> None:
        book = parsed(FRONT + "# A\n```bash\nls\n```\n").runbook
        assert book is not None

        assert book.sections[0].prose == "```bash\nls\n```"

    def test_a_block_above_every_heading_belongs_to_the_top(self) -> None:
        book = parsed(FRONT + "```probe\nstatus_page\n```\n# A\n").runbook
        assert book is not None

        assert book.probes[0].section == "top"
        assert book.section("top") is not None

    def test_template_syntax_of_any_kind_is_literal(self) -> None:
        texts = ["{{ ''.__class__ }}", "${env:X}", "%(x)s", "x; touch /tmp/p"]
        block = "".join(
            f"  p{n}: {text!r}\n" if "'" not in text else f'  p{n}: "{text}"\n' for n, text in enumerate(texts)
        )
        book = parsed(FRONT + f"# A\n```probe\nstatus_page:\n{block}```\n").runbook
        assert book is not None

        assert list(book.probes[0].params.values()) == texts


class TestHostileFiles:
    def test_a_byte_order_mark_and_crlf_are_tolerated(self) -> None:
        book = parsed(b"\xef\xbb\xbf" + WHOLE.replace("\n", "\r\n").encode()).runbook
        assert book is not None

        assert len(book.actions) == 1
        assert book.sections[1].prose == "Look at the canary."

    def test_invalid_utf8_is_refused_with_its_position(self) -> None:
        problem = only_problem("# Ä\nab".encode() + b"\xff" + b"c\n")

        assert (problem.rule, problem.line, problem.column) == ("not-utf-8", 2, 3)

    def test_nul_is_refused_with_its_position(self) -> None:
        problem = only_problem(b"# A\nab\0c\n")

        assert (problem.rule, problem.line, problem.column) == ("control-character", 2, 3)

    def test_invisible_direction_controls_are_refused(self) -> None:
        assert only_problem("# A\nab\u202ec\n").rule == "control-character"

    @pytest.mark.parametrize(
        ("data", "rule"),
        [
            (b"x" * 1_000_001, "too-large"),
            (b"x" * 70_000, "line-too-long"),
            (b"a\n" * 30_000, "too-many-lines"),
            (b"# a\n" * 15_000, "too-many-parts"),
        ],
    )
    def test_what_no_person_wrote_is_refused(self, data: bytes, rule: str) -> None:
        assert only_problem(data).rule == rule

    def test_an_overlong_heading_is_refused(self) -> None:
        assert only_problem("# " + "[" * 5_000 + "\n").rule == "heading-too-long"

    def test_random_bytes_never_raise(self) -> None:
        for n in range(200):
            noise = hashlib.sha512(str(n).encode()).digest()
            parsed(b"---\n" + noise + b"\n---\n```action\n" + noise)
            parsed(FRONT.encode() + b"```action\n" + noise.hex().encode() + b": [\n```\n")


def test_evidence_words_are_those_of_the_differential() -> None:
    assert set(EVIDENCE_WORDS) == {word.value for word in Weight}


@pytest.mark.parametrize(("text", "value"), [("90s", 90), ("5m", 300), ("2h", 7200), ("90d", 7_776_000)])
def test_durations(text: str, value: int) -> None:
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "5", "0m", "-5m", "5 m", "1.5h", "5w", "9999999s"])
def test_other_durations_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="duration"):
        seconds(text)


def test_ids_come_from_file_names() -> None:
    assert id_of("x/Provider Outage.md") == "provider-outage"
    assert id_of("x/--.md") == "untitled"


def test_a_body_alone_is_plain_markdown() -> None:
    book = parsed(BODY).runbook
    assert book is not None

    assert not book.executable
