"""The figures of retrieval: what is counted, and that labels never reach the search."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path
from typing import Literal

import pytest

from knowledge.evaluation import EvaluationError, evaluate, phrase_figures
from knowledge.model import Match, PastIncident, Query, Retrieval
from knowledge.phrase_tests import PhraseResult

ROWS: list[dict[str, object]] = [
    {"id": "1", "title": "a", "body": "x", "class": "outage", "secondary_classes": [], "root_cause": "secret"},
    {"id": "2", "title": "b", "body": "x", "class": "limit", "secondary_classes": ["outage"]},
    {"id": "3", "title": "c", "body": "x", "class": "outage"},
    {"id": "4", "title": "d", "body": "x", "class": "leak"},
]
LABELS = {"outage": ["r-outage", "r-capacity"], "limit": ["r-limit"], "leak": ["r-leak"]}
RANKS = {
    "a": ["r-outage", "r-limit"],
    "b": ["r-outage", "r-limit"],
    "c": ["r-limit", "r-slow", "r-outage"],
    "d": ["r-slow"],
}


class Scripted:
    """A librarian that answers from a table, and keeps what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Query] = []
        self.told: list[tuple[PastIncident, ...]] = []

    def search(self, query: Query, *, limit: int = 5) -> Retrieval:
        self.asked.append(query)
        names = RANKS[query.title]
        rest = [name for name in ("r-outage", "r-limit", "r-slow") if name not in names]
        matches = [Match(document=n, title=n, score=0, prior=0, best_chunk="") for n in (names + rest)[:limit]]
        return Retrieval(matches=tuple(matches), mode="fused")

    def remember(self, incidents: Iterable[PastIncident]) -> None:
        self.told.append(tuple(incidents))

    def priors(self, query: Query) -> Mapping[str, float]:
        return dict.fromkeys(("r-outage", "r-limit", "r-slow"), 1 / 3)


def ticking(step: float) -> Iterator[float]:
    return (n * step for n in count())


def files(folder: Path, rows: Iterable[object] = ROWS, labels: object = LABELS) -> tuple[Path, Path]:
    (folder / "cases.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows) + "\n")
    (folder / "labels.json").write_text(json.dumps(labels))
    return folder / "cases.jsonl", folder / "labels.json"


def test_the_figures_are_those_of_the_whole_set_and_of_what_is_covered(tmp_path: Path) -> None:
    clock = ticking(0.002)
    figures = evaluate(Scripted(), *files(tmp_path), timer=lambda: next(clock))

    assert figures == {
        "n": 4,
        "top1": 0.25,
        "top3": 0.75,
        "mrr": round((1 + 1 / 2 + 1 / 3 + 0) / 4, 4),
        "top1_lenient": 0.5,
        "per_class": {"limit": {"n": 1, "top1": 0.0, "top3": 1.0}, "outage": {"n": 2, "top1": 0.5, "top3": 1.0}},
        "p50_ms": 2.0,
        "p95_ms": 2.0,
        "n_covered": 3,
        "top1_covered": round(1 / 3, 4),
        "top3_covered": 1.0,
        "top1_interval": [0.0456, 0.6994],
        "top3_interval": [0.3006, 0.9544],
        "top1_covered_interval": [0.0615, 0.7923],
        "top3_covered_interval": [0.4385, 1.0],
    }


def test_only_title_and_body_reach_the_search(tmp_path: Path) -> None:
    librarian = Scripted()
    evaluate(librarian, *files(tmp_path), timer=lambda: 0.0)

    assert librarian.asked == [Query(title=str(row["title"]), body="x") for row in ROWS]


def test_with_folds_each_case_is_ranked_once_with_all_others_remembered(tmp_path: Path) -> None:
    librarian = Scripted()
    figures = evaluate(librarian, *files(tmp_path), timer=lambda: 0.0, folds=4)

    assert sorted(query.title for query in librarian.asked) == ["a", "b", "c", "d"]
    for query, told in zip(librarian.asked, librarian.told, strict=True):
        assert {one.text[0] for one in told} == {"a", "b", "c", "d"} - {query.title}
        assert all(one.confirmed == tuple(LABELS[str(ROWS[int(one.id) - 1]["class"])]) for one in told)
    assert (figures["n"], figures["top1"]) == (4, 0.25)


def test_a_memory_file_is_remembered_but_for_the_cases_themselves(tmp_path: Path) -> None:
    librarian, seen = Scripted(), tmp_path / "memory.jsonl"
    seen.write_text("".join(json.dumps(row) + "\n" for row in [*ROWS, {**ROWS[0], "id": "9", "title": "old"}]))
    evaluate(librarian, *files(tmp_path), timer=lambda: 0.0, memory=seen)

    assert [[one.id for one in told] for told in librarian.told] == [["9"]]


def test_the_figures_of_phrases_count_by_role_and_by_the_runbook_they_should_find() -> None:
    def result(role: Literal["page", "not_page"], expected: str, rank: int) -> PhraseResult:
        return PhraseResult(runbook="one", role=role, text="t", expected=expected, found="x", rank=rank, first=None,
                            wanted=None, also_in_prose=False)  # fmt: skip

    figures = phrase_figures([result("page", "one", 1), result("page", "one", 3), result("not_page", "two", 0)])

    assert (figures["n"], figures["top1"], figures["top3"]) == (3, 0.3333, 0.6667)
    assert figures["by_role"]["page"] == {"n": 2, "top1": 0.5, "top3": 1.0}
    assert figures["by_runbook"] == {"one": {"n": 2, "top1": 0.5, "top3": 1.0}, "two": {"n": 1, "top1": 0, "top3": 0}}


def test_no_cases_no_figures(tmp_path: Path) -> None:
    figures = evaluate(Scripted(), *files(tmp_path, rows=()), timer=lambda: 0.0)

    assert (figures["n"], figures["top1"], figures["p95_ms"]) == (0, 0.0, 0.0)


@pytest.mark.parametrize(("row", "says"), [({"title": "a"}, "1: expected"), ([], "1: expected"), ("x", "1: expected")])
def test_a_bad_case_is_named_by_its_line(tmp_path: Path, row: object, says: str) -> None:
    with pytest.raises(EvaluationError, match=says):
        evaluate(Scripted(), *files(tmp_path, rows=[row]), timer=lambda: 0.0)


@pytest.mark.parametrize("labels", [[], {"a": "b"}, "x"])
def test_bad_labels_are_named(tmp_path: Path, labels: object) -> None:
    with pytest.raises(EvaluationError, match=r"labels\.json"):
        evaluate(Scripted(), *files(tmp_path, labels=labels), timer=lambda: 0.0)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(EvaluationError, match="cannot be read"):
        evaluate(Scripted(), tmp_path / "none.jsonl", tmp_path / "none.json", timer=lambda: 0.0)
