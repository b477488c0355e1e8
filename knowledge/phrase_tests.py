"""Retrieval tests that runbooks carry themselves: each page phrase has to find its runbook without being in the index.
A report, which people write at length and vaguely, has to bring it among those that an investigation looks at.

A phrase that is searched for while it stands in the index finds itself and proves nothing. So it is left out of what
is found, wherever it stands, and of what was learned about its runbook; the rest of the library has to be enough, as it
must be for a real page in other words. Nor may the ranker have learned from it: its weights are learned again without a
fifth of the phrases, for each fifth. Nothing is indexed again for it, so a phrase costs what a search costs.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, Protocol

from knowledge.ingest import folded, text_digest
from knowledge.model import Document, Match, Query, Retrieval

FOLDS = 5
RANKS = 1000
"""Enough for every document to have its place."""


class Searcher(Protocol):
    """What can be searched as if a phrase stood nowhere."""

    def relearn(self, untried: Collection[str]) -> None: ...

    def search_without(self, query: Query, *, limit: int = 5) -> Retrieval: ...


Role = Literal["page", "report", "not_page"]
WITHIN: Mapping[Role, int] = {"page": 1, "report": 3, "not_page": 1}
"""How far down the right document of a phrase may stand. An investigation asks the probes of the first three."""

_Case = tuple[Role, str, str, str]
"""Role, the document whose file has it, its text, and the document that is right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PhraseResult:
    """What a phrase found while it was out of the index."""

    runbook: str
    """Whose file carries the phrase."""
    role: Role
    text: str
    expected: str
    """The runbook that is right."""
    found: str
    """The runbook that came first."""
    rank: int
    """Place of the expected one; 0 when it is not in the library."""
    first: Match | None
    wanted: Match | None
    also_in_prose: bool
    """The phrase stands word for word in a section too, which stays in the index: a weaker test."""

    @property
    def passed(self) -> bool:
        return 0 < self.rank <= WITHIN[self.role]

    @property
    def why(self) -> str:
        """What spoke for the first, and for the expected one, each with its strongest reason."""
        if self.passed:
            return ""
        if not self.rank:
            return f"there is no runbook {self.expected!r} in the library"
        told = [f"{_strongest(self.first)} for {self.found}"]
        return "; ".join([*told, f"{_strongest(self.wanted)} for {self.expected}"])


def check_phrases(
    searcher: Searcher, documents: Sequence[Document], tested: Sequence[str], pages: Mapping[str, Sequence[str]],
    reports: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> Iterator[PhraseResult]:  # fmt: skip
    """Try every ``pages``, ``reports`` and ``not_pages`` phrase of the documents named by ``tested``, each out of the
    index.

    ``documents``: what the searcher has. ``pages``, ``reports``: document id -> its phrases (a document has them, and
    its title, among its chunks). The searcher has its own weights again when this ends.
    """
    by_id = {document.id: document for document in documents}
    cases: list[_Case] = []
    for name in tested:
        cases += [("page", name, text, name) for text in pages.get(name, ())]
        cases += [("report", name, text, name) for text in reports.get(name, ())]
        cases += [("not_page", name, text, owner) for text, owner in by_id[name].not_pages.items()]
    found: dict[int, PhraseResult] = {}
    try:
        for fold in range(min(FOLDS, len(cases))):
            held = range(fold, len(cases), FOLDS)
            searcher.relearn({text_digest(cases[number][2]) for number in held})
            found.update({number: _tried(searcher, by_id, cases[number]) for number in held})
    finally:
        searcher.relearn(())
    yield from (found[number] for number in sorted(found))


def _tried(searcher: Searcher, by_id: Mapping[str, Document], case: _Case) -> PhraseResult:
    role, name, text, expected = case
    # A page comes from a service of some kind; a failure that only one kind can have is only asked of that one.
    kinds = by_id[expected].kinds if expected in by_id else ()
    matches = searcher.search_without(Query(title=text, service_kind=kinds[0] if kinds else ""), limit=RANKS).matches
    rank = next((n for n, match in enumerate(matches, start=1) if match.document == expected), 0)
    prose = (chunk.text for chunk in by_id[name].chunks if chunk.kind == "section")
    return PhraseResult(
        runbook=name, role=role, text=text, expected=expected, found=matches[0].document if matches else "", rank=rank,
        first=matches[0] if matches else None, wanted=matches[rank - 1] if rank else None,
        also_in_prose=any(folded(text) in folded(part) for part in prose),
    )  # fmt: skip


def _strongest(match: Match | None) -> str:
    reasons = match.reasons if match else ()
    return f"{reasons[0].text} ({match.score:.2f})" if match and reasons else "nothing speaks"
