"""How good retrieval is, measured: on labelled pages, and of the vector index against exact search."""

import json
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, get_args

from knowledge.ingest import text_digest
from knowledge.model import KnowledgeError, Librarian, PastIncident, Query, VectorIndex
from knowledge.phrase_tests import PhraseResult, Role

Timer = Callable[[], float]
"""Seconds on a clock that only runs forward, such as ``time.perf_counter``."""


class EvaluationError(KnowledgeError):
    """Cases or labels cannot be read: which file and line, and what was expected."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A labelled page. Only ``title`` and ``body`` are ever shown to retrieval."""

    id: str
    title: str
    body: str
    label: str
    others: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Result:
    case: Case
    ranks: tuple[str, ...]
    seconds: float


class Remembering(Librarian, Protocol):
    """A librarian that can be told of closed incidents."""

    def remember(self, incidents: Iterable[PastIncident]) -> None: ...


def evaluate(
    librarian: Remembering, cases_path: Path, labels_path: Path, *, timer: Timer, memory: Path | None = None,
    folds: int = 0,
) -> dict[str, Any]:  # fmt: skip
    """Rank every case from its title and body alone.

    ``top1``, ``top3`` and ``mrr`` are over all ``n`` cases; ``*_covered`` over those whose class has a runbook among
    the documents; ``*_interval`` is the 95 % interval of Wilson. ``top1_lenient``: the first document is right for the
    class or a secondary class. ``memory``: labelled cases that count as confirmed past incidents; with ``folds``, each
    part of the cases is ranked with the other parts as memory. No case is in the memory that it is asked with.
    Raises :class:`EvaluationError`.
    """
    cases = read_cases(cases_path)
    labels = read_labels(labels_path)
    known = set(librarian.priors(Query(title="warm up")))
    told = read_cases(memory) if memory else []
    results: list[_Result] = []
    for part in _parts(cases, folds):
        asked = {case.id for case in part}
        others = [case for case in (*told, *(cases if folds else ())) if case.id not in asked]
        librarian.remember(_past(case, labels) for case in others)
        results += [_ranked(librarian, case, max(1, len(known)), timer) for case in part]
    covered = [result for result in results if known.intersection(_right(labels, result.case.label))]
    first = [_first_right(result.ranks, _right(labels, result.case.label)) for result in results]
    of_covered = [_first_right(result.ranks, _right(labels, result.case.label)) for result in covered]
    lenient = [_first_right(r.ranks, _right(labels, r.case.label, *r.case.others)) for r in results]
    times = sorted(result.seconds for result in results)
    return {
        "n": len(results),
        "top1": _within(first, 1),
        "top3": _within(first, 3),
        "mrr": _share([1 / rank if rank else 0.0 for rank in first]),
        "top1_lenient": _within(lenient, 1),
        "per_class": _per_class(results, labels, known),
        "p50_ms": _percentile(times, 0.50),
        "p95_ms": _percentile(times, 0.95),
        "n_covered": len(covered),
        "top1_covered": _within(of_covered, 1),
        "top3_covered": _within(of_covered, 3),
        "top1_interval": _interval(first, 1),
        "top3_interval": _interval(first, 3),
        "top1_covered_interval": _interval(of_covered, 1),
        "top3_covered_interval": _interval(of_covered, 3),
    }


def phrase_figures(results: Sequence[PhraseResult]) -> dict[str, Any]:
    """Shares of phrases that find their runbook, overall, by role and by runbook."""
    ranks = {role: [one.rank for one in results if one.role == role] for role in get_args(Role)}
    every = [one.rank for one in results]
    by_runbook: dict[str, list[int]] = {}
    for one in results:
        by_runbook.setdefault(one.expected, []).append(one.rank)
    return {
        "n": len(every),
        "top1": _within(every, 1),
        "top3": _within(every, 3),
        "top1_interval": _interval(every, 1),
        "top3_interval": _interval(every, 3),
        "by_role": {role: {"n": len(some), "top1": _within(some, 1), "top3": _within(some, 3)}
                    for role, some in ranks.items()},
        "by_runbook": {name: {"n": len(some), "top1": _within(some, 1), "top3": _within(some, 3)}
                       for name, some in sorted(by_runbook.items())},
    }  # fmt: skip


def read_cases(path: Path) -> list[Case]:
    """One JSON object a line, with at least title, body and class. Raises :class:`EvaluationError`."""
    cases = []
    for number, line in enumerate(_text(path).splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            case = Case(
                id=str(row.get("id", number)),
                title=str(row["title"]),
                body=str(row["body"]),
                label=str(row["class"]),
                others=tuple(str(other) for other in row.get("secondary_classes", ())),
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise EvaluationError(
                f"{path}:{number}: expected an object with title, body and class ({error})"
            ) from error
        cases.append(case)
    return cases


def read_labels(path: Path) -> Mapping[str, Collection[str]]:
    """Class -> the runbook ids that count as right. Raises :class:`EvaluationError`."""
    try:
        labels = json.loads(_text(path))
    except ValueError as error:
        raise EvaluationError(f"{path}: not JSON: {error}") from error
    if not isinstance(labels, dict) or not all(isinstance(ids, list) for ids in labels.values()):
        raise EvaluationError(f"{path}: expected an object of class -> list of runbook ids")
    return {str(label): tuple(str(name) for name in ids) for label, ids in labels.items()}


class ExactSearch:
    """The true nearest by cosine among unit vectors: what an approximate index is compared with."""

    def __init__(self, vectors: Mapping[str, Sequence[float]]) -> None:
        import numpy as np  # noqa: PLC0415 - heavy, and only for measuring

        self._names = sorted(vectors)
        self._matrix = np.asarray([vectors[name] for name in self._names], dtype=np.float64)

    def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
        """Ids and cosine similarities, best first; of equal ones the smaller id first."""
        import numpy as np  # noqa: PLC0415

        similarities = self._matrix @ np.asarray(vector)
        return [(self._names[i], float(similarities[i])) for i in np.argsort(-similarities, kind="stable")[:k]]


def index_agreement(
    index: VectorIndex, vectors: Mapping[str, Sequence[float]], queries: Sequence[Sequence[float]], *, k: int = 5
) -> float:
    """Share of queries whose first ``k`` from the index are those of exact search; equally similar ones count as the
    same."""
    truth = ExactSearch(vectors)
    agreeing = 0
    for query in queries:
        exact = [similarity for _, similarity in truth.nearest(query, k)]
        found = [similarity for _, similarity in index.nearest(query, k)]
        agreeing += len(exact) == len(found) and all(abs(a - b) < 1e-5 for a, b in zip(exact, found, strict=True))
    return agreeing / len(queries) if queries else 1.0


def _parts(cases: Sequence[Case], folds: int) -> Sequence[Sequence[Case]]:
    """The same parts on every run: by the hash of what was told, never by place in the file."""
    if folds < 2:
        return [cases]
    ordered = sorted(cases, key=lambda case: text_digest(f"{case.id}\n{case.title}\n{case.body}"))
    return [ordered[part::folds] for part in range(folds)]


def _past(case: Case, labels: Mapping[str, Collection[str]]) -> PastIncident:
    confirmed = tuple(labels.get(case.label, ()))
    return PastIncident(id=case.id, text=f"{case.title}\n{case.body}", confirmed=confirmed)


def _ranked(librarian: Librarian, case: Case, documents: int, timer: Timer) -> _Result:
    start = timer()
    answer = librarian.search(Query(title=case.title, body=case.body), limit=documents)
    elapsed = timer() - start
    return _Result(case=case, ranks=tuple(match.document for match in answer.matches), seconds=elapsed)


def _right(labels: Mapping[str, Collection[str]], *classes: str) -> set[str]:
    return {name for label in classes for name in labels.get(label, ())}


def _first_right(ranked: Sequence[str], right: Collection[str]) -> int:
    """1-based rank of the first right document; 0 if there is none."""
    return next((rank for rank, name in enumerate(ranked, start=1) if name in right), 0)


def _per_class(
    results: Sequence[_Result], labels: Mapping[str, Collection[str]], known: Collection[str]
) -> dict[str, dict[str, float]]:
    table: dict[str, dict[str, float]] = {}
    for label in sorted({result.case.label for result in results}):
        right = _right(labels, label)
        if not right.intersection(known):
            continue  # no runbook yet: it could only be wrong
        ranks = [_first_right(result.ranks, right) for result in results if result.case.label == label]
        table[label] = {"n": len(ranks), "top1": _within(ranks, 1), "top3": _within(ranks, 3)}
    return table


def _within(ranks: Sequence[int], most: int) -> float:
    return _share([1.0 if 0 < rank <= most else 0.0 for rank in ranks])


def _interval(ranks: Sequence[int], most: int) -> list[float]:
    """Where the true share lies with 95 % confidence (Wilson)."""
    count = len(ranks)
    if not count:
        return [0.0, 1.0]
    share, z = sum(0 < rank <= most for rank in ranks) / count, 1.96
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    reach = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return [round(max(0.0, centre - reach), 4), round(min(1.0, centre + reach), 4)]


def _share(values: Sequence[float]) -> float:
    return round(sum(values) / len(values), 4) if values else 0.0


def _percentile(ordered: Sequence[float], share: float) -> float:
    """In milliseconds; 0 without values."""
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 3) if ordered else 0.0


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise EvaluationError(f"{path}: cannot be read: {error}") from error
