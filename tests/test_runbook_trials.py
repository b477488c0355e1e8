"""``runbooks test`` and ``record``: phrases out of the index, steps for every service, recordings, and the drill."""

import json
from collections import Counter
from pathlib import Path

import pytest

from bot.cli.runbook_trial import Trial, drill_fault
from bot.wiring import LIBRARY, actions, open_librarian, open_shelf, specs
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.ingest import documents
from knowledge.lexical_index import LexicalIndex
from knowledge.memory_index import MemoryIndex, RememberingEmbedder
from knowledge.model import Document, Query
from knowledge.phrase_tests import check_phrases
from knowledge.retrieval import HybridLibrarian
from runbooks.parse import parse
from runbooks.recorded import RecordedError, Recording, read_recordings
from runbooks.steps import check_steps
from tests.conftest import ROOT, START
from tests.knowledge_fakes import document
from tests.runbook_cli_fakes import WITH_CATALOGUE, alone, book, run
from tests.runbook_incidents import installation
from tests.runbooks_fakes import ACTIONS, PROBES, WHOLE, catalogue

HEALTHY = {name: spec.normal for name, spec in specs().items()}
FAST = ("--words-only",)
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(autouse=True)
def _alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    alone(tmp_path, monkeypatch)


def by_words(*docs: Document) -> HybridLibrarian:
    return HybridLibrarian(docs, words=LexicalIndex())


class TestPhrases:
    def test_a_phrase_does_not_find_itself(self) -> None:
        one = document("one", ["zebra crossing blocked", "horses on the road"])
        two = document("two", ["the crossing is closed", "trains late"])

        (zebra, horses) = check_phrases(by_words(one, two), [one, two], ["one"],
                                        {"one": ["zebra crossing blocked", "horses on the road"]})  # fmt: skip

        assert (zebra.found, zebra.rank, zebra.passed) == ("two", 2, False)
        assert "crossing" in zebra.why
        assert horses.rank != 1 or horses.first is None or horses.first.score == 0

    def test_it_is_left_out_wherever_it_stands_in_whatever_case(self) -> None:
        one = document("one", ["Zebra  crossing"])
        two = document("two", ["zebra"], not_pages={"zebra CROSSING": "one"})

        (found,) = check_phrases(by_words(one, two), [one, two], ["one"], {"one": ["zebra crossing"]})

        assert (found.found, found.rank) == ("two", 2)
        assert found.wanted is not None
        assert found.wanted.score == 0

    def test_what_belongs_elsewhere_has_to_find_that(self) -> None:
        one = document("one", ["horses on the road"], not_pages={"trains are late again": "two", "cows": "three"})
        two = document("two", ["trains late since morning"])

        right, nowhere = check_phrases(by_words(one, two), [one, two], ["one"], {})

        assert (right.role, right.expected, right.passed) == ("not_page", "two", True)
        assert (nowhere.rank, "no runbook 'three'" in nowhere.why) == (0, True)

    def test_a_report_has_to_be_among_the_first_three_and_a_page_has_to_be_the_first(self) -> None:
        docs = [document(name, [f"horses {name} {name}", "horses on the road"]) for name in ("a1", "b2", "c3", "d4")]
        told = {one.id: ["horses on the road"] for one in docs}

        pages = list(check_phrases(by_words(*docs), docs, [one.id for one in docs], told))
        reports = list(check_phrases(by_words(*docs), docs, [one.id for one in docs], {}, told))

        assert [(one.role, one.passed) for one in pages] == [("page", n == 0) for n in range(4)]
        assert [(one.role, one.rank, one.passed) for one in reports] == [("report", n + 1, n < 3) for n in range(4)]

    def test_afterwards_the_searcher_has_the_whole_library(self) -> None:
        one = document("one", ["zebra crossing blocked"])
        search = by_words(one)

        list(check_phrases(search, [one], ["one"], {"one": ["zebra crossing blocked"]}))

        assert search.search(Query(title="zebra")).matches[0].score > 0

    def test_a_phrase_that_its_own_prose_repeats_is_marked_as_a_weak_test(self) -> None:
        one = document("one", ["zebra crossing"], sections={"what": "Often a Zebra  Crossing is the reason."})

        assert [r.also_in_prose for r in check_phrases(by_words(one), [one], ["one"], {"one": ["zebra crossing"]})] == [
            True
        ]


def test_by_meaning_the_figures_are_those_of_the_docs_and_the_exact_index_ranks_as_chroma_does(tmp_path: Path) -> None:
    shelf = open_shelf([], actions(), None, START.date())
    docs = documents(shelf.all())
    embed = RememberingEmbedder(SentenceTransformerEmbedder())
    exact = HybridLibrarian(docs, words=LexicalIndex(), embedder=embed, vectors=MemoryIndex())
    assert exact.warm() == ""

    pages, reports = {b.id: b.pages for b in shelf.all()}, {b.id: b.reports for b in shelf.all()}
    results = list(check_phrases(exact, docs, [d.id for d in docs], pages, reports))

    tried, good = Counter(one.role for one in results), Counter(one.role for one in results if one.passed)
    doc = " ".join((ROOT / "docs" / "writing-runbooks.md").read_text("utf-8").split())
    assert (
        f"finds {good['page']} of its {tried['page']} page phrases first, all of its {tried['not_page']} `not_pages` "
        f"where they belong, and {good['report']} of its {tried['report']} reports among the first three"
    ) in doc
    assert good["page"] >= 0.9 * tried["page"]
    assert good["not_page"] == tried["not_page"], [one.text for one in results if not one.passed]
    assert good["report"] >= 0.9 * tried["report"]
    chroma = open_librarian(shelf, tmp_path / "index")
    assert chroma.warm() == ""
    for text in ("our vendor's endpoint keeps answering with server faults", "bot forgets its rules since the release"):
        one, other = (s.search(Query(title=text), limit=20).matches for s in (exact, chroma))
        assert [m.document for m in one] == [m.document for m in other]
        assert one[0].score == pytest.approx(other[0].score, abs=1e-4)
    chroma.close()


class TestSteps:
    def test_each_step_is_filled_in_for_each_service(self) -> None:
        runbook = parse(WHOLE.encode(), "provider-outage.md").runbook
        assert runbook is not None

        steps = list(check_steps(runbook, PROBES, ACTIONS, catalogue()))

        assert {(s.name, s.service) for s in steps if not s.fault and not s.lacks} >= {("shift_traffic", "chat")}
        (lonely,) = [s for s in steps if s.name == "shift_traffic" and s.service == "lonely"]
        assert "declares no 'fallback_provider'" in lonely.lacks
        shift = next(s for s in steps if s.name == "shift_traffic" and s.service == "chat")
        assert (shift.params["from"], shift.section, shift.title) == (
            "acme", "1-fail-over-to-the-second-provider", "Fail over to the second provider",
        )  # fmt: skip

    def test_what_can_never_run_is_a_fault(self) -> None:
        runbook = parse(
            WHOLE.replace("percent: 100", "percent: $service.provider").encode(), "provider-outage.md"
        ).runbook
        assert runbook is not None

        steps = check_steps(runbook, {}, ACTIONS, catalogue())

        faults = {step.fault for step in steps}
        assert "there is no probe 'provider_canary'" in faults
        assert any(fault.startswith("percent: ") for fault in faults)


class TestRecordings:
    @pytest.mark.parametrize(
        ("line", "told"),
        [
            ("{", "not JSON"),
            ('{"name": "x"}', "service: Field required"),
            ('{"name": "x", "service": "a", "shows": {"egres": "ok"}}', "did you mean 'egress'?"),
            ('{"name": "x", "service": "a", "shows": {"egress": "okay"}}', "did you mean 'ok'?"),
            ('{"name": "x", "service": "a", "shows": {}, "otherwise": "well"}', "'healthy'"),
            ('{"name": 3, "service": "a", "shows": {}}', "name: "),
            ("[1]", "expected"),
        ],
    )
    def test_a_bad_line_is_told_with_its_number(self, line: str, told: str, tmp_path: Path) -> None:
        path = tmp_path / "a.recorded.jsonl"
        path.write_text(f"\n{line}\n")

        with pytest.raises(RecordedError) as caught:
            read_recordings(path, specs(), HEALTHY)

        assert str(caught.value).startswith(f"{path}:2: ")
        assert told in str(caught.value)

    def test_what_was_not_asked_stays_unasked_unless_it_was_healthy(self, tmp_path: Path) -> None:
        path = tmp_path / "a.recorded.jsonl"
        row = Recording(name="é", service="chat-assistant", shows={"egress": "dns_failed"})
        path.write_text(row.as_line() + row.as_line().replace("}}", '}, "otherwise": "healthy"}'))

        alone_, healthy = read_recordings(path, specs(), HEALTHY)

        assert alone_ == row
        assert healthy.shows == {**HEALTHY, "egress": "dns_failed"}
        assert read_recordings(tmp_path / "none.jsonl", specs(), HEALTHY) == []


class TestCommand:
    def test_a_sound_runbook_passes_and_says_what_was_tried(self) -> None:
        result = run("test", *FAST, "cost-spike", "--within", "10", **WITH_CATALOGUE)

        assert result.exit_code == 0, result.output
        assert "cost-spike: ok" in result.stdout
        assert "find the right one first" in result.stdout
        assert "can run for at least one service" in result.stdout
        assert "cost-spike (not run: --drill)" in result.stdout

    def test_a_miss_says_what_was_found_and_why_and_ends_with_1(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book(front='pages: ["429 Too Many Requests on every call"]\n'))

        result = run("test", *FAST, "mine.md")
        told = json.loads(run("test", *FAST, "--json", "mine.md").stdout)

        assert result.exit_code == 1
        assert "missed: “429 Too Many Requests on every call” found rate-limit-exceeded" in result.stdout
        assert "for rate-limit-exceeded; " in result.stdout
        assert "not_pages" in result.stderr
        phrase = told["runbooks"][0]["phrases"][0]
        assert (told["passed"], phrase["passed"], phrase["found"]) == (False, False, "rate-limit-exceeded")
        assert phrase["rank"] > 1

    def test_a_broken_file_fails_with_what_lint_says(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book(body="# A\n```probe\negres:\n```\n"))

        result = run("test", *FAST, "mine.md", **WITH_CATALOGUE)

        assert (result.exit_code, "mine.md:7:1: error: there is no probe 'egres'" in result.stdout) == (1, True)

    def test_a_step_for_no_service_fails(self, tmp_path: Path) -> None:
        body = "# A\n```probe\nindex_freshness: {index: $service.index}\n```\n"
        (tmp_path / "mine.md").write_text(book(front="services: [code-assistant]\n", body=body))

        result = run("test", *FAST, "mine.md", **WITH_CATALOGUE)

        assert result.exit_code == 1
        assert "fails: index_freshness (line 8), code-assistant" in result.stdout

    def test_a_recording_has_to_lead_here_and_tells_what_would_be_proposed(self, tmp_path: Path) -> None:
        path = tmp_path / "rate-limit-exceeded.md"
        path.write_bytes((LIBRARY / "rate-limit-exceeded.md").read_bytes())
        good = {"user_signal": "errors", "provider_canary": "rate_limited", "gateway_canary": "rate_limited",
                "rate_limit_headroom": "exhausted", "demand_profile": "tenant_surge"}  # fmt: skip
        bad = {"user_signal": "errors", "provider_canary": "quota_exhausted", "gateway_canary": "quota_exhausted"}
        rows = [{"name": name, "service": "chat-assistant", "shows": shows, "otherwise": "healthy"}
                for name, shows in (("one tenant", good), ("no money", bad))]  # fmt: skip
        rows.append({"name": "lost", "service": "nobody", "shows": {}})
        path.with_name("rate-limit-exceeded.recorded.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))

        result = run("test", *FAST, "--within", "10", str(path), **WITH_CATALOGUE)

        assert result.exit_code == 1
        assert "1 of 3 lead here" in result.stdout
        assert "“one tenant” would propose rate-limit-exceeded#1-" in result.stdout
        assert "“no money” leads to " in result.stdout
        assert "there is no service 'nobody' in the catalogue" in result.stdout

    def test_a_bad_recording_is_wrong_usage(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book())
        (tmp_path / "mine.recorded.jsonl").write_text("nonsense\n")

        result = run("test", *FAST, "mine.md", **WITH_CATALOGUE)

        assert (result.exit_code, "mine.recorded.jsonl:1: not JSON" in result.stderr) == (2, True)

    def test_a_drill_that_is_not_there_fails(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book(front="drill: provider-outge\n"))

        result = run("test", *FAST, "mine.md")

        assert (result.exit_code, "there is no drill 'provider-outge'" in result.stdout) == (1, True)

    def test_nothing_there_and_nothing_to_test_are_said(self, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book())
        (tmp_path / "empty").mkdir()

        assert "none to test" in run("test", *FAST, "mine.md").stdout
        assert run("test", *FAST, "mine.md").exit_code == 0
        assert (run("test", "empty").exit_code, run("test", "none").exit_code) == (2, 2)

    def test_a_runbook_is_played_in_the_drill_that_it_names(self, tmp_path: Path) -> None:
        text = (LIBRARY / "prompt-regression.md").read_text("utf-8").replace("id: prompt-regression\n", "")
        (tmp_path / "our-prompt.md").write_text(text.replace("owner:", "drill: prompt-regression\nowner:", 1))

        result = run("test", *FAST, "--within", "10", "--drill", "our-prompt.md", **WITH_CATALOGUE)

        assert "drill      prompt-regression: cause found, restored" in result.stdout, result.output

    @pytest.mark.parametrize(
        ("score", "told"),
        [
            ({"abstained_on_solvable": True, "top1": False}, "no cause was concluded"),
            ({"top1": False}, "another cause was concluded"),
            ({"mitigation_success": False}, "its steps did not restore the service"),
            ({}, ""),
        ],
    )
    def test_a_drill_that_goes_wrong_says_how(self, score: dict[str, bool], told: str) -> None:
        runbook = parse((LIBRARY / "stale-index.md").read_bytes(), "stale-index.md").runbook
        assert runbook is not None
        well = {"abstained_on_solvable": False, "top1": True, "solvable": True, "mitigation_success": True}
        trial = Trial(runbook=runbook, phrases=(), steps=(), recordings=(), drill="stale-index", drilled=well | score)

        assert told in drill_fault(trial)
        assert bool(trial.faults) is bool(told)


class TestRecord:
    def test_what_the_probes_showed_becomes_a_line_once(self, tmp_path: Path) -> None:
        with installation(tmp_path) as made:
            incident = made.incident("E1", "LLM errors")
            made.finding(incident, "egress", "dns_failed")
            made.finding(incident, "status_page", "clear")
            made.finding(incident, "egress", "ok", round=1)
            silent = made.incident("E2", "Something else")
        (tmp_path / "mine.md").write_text(book())
        words = ("record", incident, "mine.md", "--database", str(made.path))

        result, again = run(*words, **WITH_CATALOGUE), run(*words, **WITH_CATALOGUE)

        assert result.exit_code == 0, result.output
        assert "Wrote 2 probe outputs" in result.stdout
        (row,) = read_recordings(tmp_path / "mine.recorded.jsonl", specs(), HEALTHY)
        assert row == Recording(
            name=incident, service="chat-assistant", shows={"egress": "dns_failed", "status_page": "clear"}
        )
        assert (again.exit_code, "recorded already" in again.stderr) == (1, True)
        nothing = run("record", silent, "mine.md", "--database", str(made.path), **WITH_CATALOGUE)
        assert (nothing.exit_code, "nothing to record" in nothing.stderr) == (1, True)

    @pytest.mark.parametrize(
        ("words", "code", "told"),
        [
            (("inc-0", "mine.md", "--database", "none.sqlite"), 1, "--database"),
            (("inc-0", "none.md"), 2, "name its Markdown file"),
        ],
    )
    def test_what_is_not_there_is_named(self, words: tuple[str, ...], code: int, told: str, tmp_path: Path) -> None:
        (tmp_path / "mine.md").write_text(book())

        result = run("record", *words, **WITH_CATALOGUE)

        assert (result.exit_code, told in result.stderr) == (code, True), result.stderr
