"""The figures of retrieval: what is counted, and that labels never reach the search."""

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from pathlib import Path

import pytest

from knowledge.evaluation import EvaluationError, evaluate
from knowledge.model import Match, Query, Retrieval

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

    def search(self, query: Query, *, limit: int = 5) -> Retrieval:
        self.asked.append(query)
        names = RANKS[query.title]
        rest = [name for name in ("r-outage", "r-limit", "r-slow") if name not in names]
        matches = [Match(document=n, title=n, score=0, prior=0, best_chunk="") for n in (names + rest)[:limit]]
        return Retrieval(matches=tuple(matches), mode="fused")

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
    }


def test_only_title_and_body_reach_the_search(tmp_path: Path) -> None:
    librarian = Scripted()
    evaluate(librarian, *files(tmp_path), timer=lambda: 0.0)

    assert librarian.asked == [Query(title=str(row["title"]), body="x") for row in ROWS]


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
