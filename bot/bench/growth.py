"""How the cost grows: search over more runbooks, and the differential over more causes. Ratios of one run count."""

import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

from bot.bench.figures import Figure, quantity
from bot.cli.runbook_library import vector_file
from bot.edges.clock import SystemClock
from bot.wiring import actions, open_shelf, specs
from diagnostics.differential import diagnose
from diagnostics.model import Finding, Mode, Reading, Verdict
from knowledge.chroma_index import ChromaIndex
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.ingest import documents, text_digest
from knowledge.lexical_index import LexicalIndex
from knowledge.model import Chunk, Document, Query
from knowledge.retrieval import HybridLibrarian
from knowledge.vector_cache import CachingEmbedder

SIZES = (40, 1_000, 10_000)
MODES = 400
ASKED = 60
ROUNDS = 7
CHUNKS = 4
"""Of a made document: a phrase and three shuffled pieces."""


def figures() -> list[Figure]:
    """The exponents of the cost of a search and of a differential: below 1 is less than in proportion."""
    return [_search(), _differential()]


def exponent(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Of the power law through two points of size and cost."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def _growth(what: str, costs: Mapping[int, float], detail: str) -> Figure:
    """The exponent between the two largest sizes, with what each size cost."""
    small, large = list(costs.items())[-2:]
    table = ", ".join(f"{size:,}: {quantity(1_000 * cost, 'ms')}" for size, cost in costs.items())
    return Figure(what=what, value=exponent(small, large), unit="", must=0.99,
                  detail=f"{table}; from {small[0]:,} to {large[0]:,}, below 1 is sub-linear; {detail}")  # fmt: skip


class _Known:
    """The model, with the vectors of made texts given; what is asked twice costs nothing, so that the search alone is
    measured."""

    def __init__(self) -> None:
        self._model = CachingEmbedder(SentenceTransformerEmbedder(), vector_file())
        self.given: dict[str, Sequence[float]] = {}

    @property
    def name(self) -> str:
        return self._model.name

    @property
    def dimension(self) -> int:
        return self._model.dimension

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        missing = [text for text in dict.fromkeys(texts) if text not in self.given]
        if missing:
            self.given.update(zip(missing, self._model.embed(missing), strict=True))
        return [self.given[text] for text in texts]


def _search() -> Figure:
    """The library, and made runbooks of its own words in another order, with vectors near those of the real ones."""
    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    real = documents(shelf.all())
    embedder = _Known()
    embedder.embed([chunk.text for document in real for chunk in document.chunks])
    phrases = [chunk.text for document in real for chunk in document.chunks if chunk.kind == "page"]
    draw = random.Random(1)  # noqa: S311 - no secret
    asked = [Query(title=text) for text in draw.sample(phrases, ASKED)]
    made = [_made(number, real, embedder, draw) for number in range(max(SIZES) - len(real))]
    costs = {}
    for size in SIZES:
        costs[size] = _p95([*real, *made][:size], embedder, asked)
    detail = f"p95 of {ASKED} phrases of the library, without embedding them"
    return _growth("Search over more runbooks: exponent of growth", costs, detail)


def _made(number: int, real: Sequence[Document], embedder: _Known, draw: random.Random) -> Document:
    import numpy as np  # noqa: PLC0415 - heavy, and only here

    name, chunks = f"made-{number}", []
    for part, chunk in enumerate(draw.sample(draw.choice(real).chunks, CHUNKS)):
        words = chunk.text.split()
        draw.shuffle(words)
        text = f"{' '.join(words)} {name}-{part}"
        vector = np.asarray(embedder.given[chunk.text]) + np.asarray([draw.gauss(0, 0.03) for _ in range(384)])
        embedder.given[text] = tuple((vector / np.linalg.norm(vector)).tolist())
        chunks.append(Chunk(id=f"{name}!{part}", document=name, section="", kind="page" if part == 0 else "section",
                            text=text, sha256=text_digest(text)))  # fmt: skip
    return Document(id=name, title=name, chunks=tuple(chunks))


def _p95(library: Sequence[Document], embedder: _Known, asked: Sequence[Query]) -> float:
    with tempfile.TemporaryDirectory() as folder, closing(ChromaIndex(Path(folder), embedder)) as index:
        librarian = HybridLibrarian(library, words=LexicalIndex(), embedder=embedder, vectors=index)
        librarian.warm()
        for query in asked:
            librarian.search(query)
        # Another service is another query, so that no answer is remembered; the vectors are.
        took = [_seconds(lambda one=query: librarian.search(replace(one, service="other"))) for query in asked]  # type: ignore[misc]
    return statistics.quantiles(took, n=20)[-1]


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _differential() -> Figure:
    """The causes of the library, and made ones that expect what others of them do, in another order."""
    from bot.triage.nodes import mode_of  # noqa: PLC0415

    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    real = [mode_of(book) for book in shelf.all() if book.executable and book.evidence]
    draw, known = random.Random(2), specs()  # noqa: S311 - no secret
    made = [_permuted(number, real, draw) for number in range(MODES - len(real))]
    findings = _findings()
    costs = {}
    for modes in (real, [*real, *made]):
        prior = {mode.id: 1.0 for mode in modes}
        diagnose(findings, prior, modes, known, "chat")  # what is worked out once for a mode is not counted
        took = [_seconds(lambda m=modes, p=prior: diagnose(findings, p, m, known, "chat")) for _ in range(ROUNDS)]  # type: ignore[misc]
        costs[len(modes)] = statistics.median(took)
    detail = f"median of {ROUNDS}, {len(findings)} findings"
    return _growth("Differential over more causes: exponent of growth", costs, detail)


def _permuted(number: int, real: Sequence[Mode], draw: random.Random) -> Mode:
    """As many probes as one of the library has, with what others of it expect of them."""
    like = draw.choice(real)
    evidence = {probe: draw.choice([mode for mode in real if probe in mode.evidence]).evidence[probe]
                for probe in like.evidence}  # fmt: skip
    return Mode(id=f"made-{number}", title=f"made {number}", evidence=evidence, kinds=like.kinds)


def _findings() -> list[Finding]:
    seen = {"user_signal": "errors", "provider_canary": "overloaded", "demand_profile": "retries_up",
            "status_page": "clear", "rate_limit_headroom": "ample", "egress": "ok"}  # fmt: skip
    now = SystemClock().now()
    return [
        Finding(id=f"ev-{probe}", probe=probe, service="support", params={}, outcome=outcome, started_at=now,
                elapsed_s=0.1,
                verdict=Verdict.NORMAL if outcome in ("clear", "ample", "ok") else Verdict.ABNORMAL,
                reading=Reading(outcome=outcome, summary=probe))
        for probe, outcome in seen.items()
    ]  # fmt: skip
