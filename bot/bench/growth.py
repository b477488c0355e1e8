"""How the cost of search grows with more documents, and that of the differential with more causes. Ratios of one run
count."""

import math
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path

from bot.bench.figures import Figure, quantity
from bot.edges.clock import SystemClock
from bot.wiring import actions, open_shelf, specs
from diagnostics.differential import diagnose
from diagnostics.model import Finding, Mode, Reading, Verdict
from knowledge.chroma_index import ChromaIndex
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.ingest import documents, text_digest
from knowledge.lexical_index import LexicalIndex
from knowledge.memory_index import RememberingEmbedder
from knowledge.model import Chunk, Document, Embedder, Query
from knowledge.retrieval import HybridLibrarian

MODES = 400
ROUNDS = 7
DOCUMENTS = (1_000, 10_000)
"""Sizes of a library beside the built-in one."""
PHRASES, ASKED = 5, 100
_OTHER_WORDS, _AWAY = 0.3, 0.6
"""Of a made phrase: the share of its words that come from elsewhere, and how far its vector lies from its model's."""


def figures() -> list[Figure]:
    """The exponents of the costs of a search and of a differential: below 1 is less than in proportion."""
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


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _search() -> Figure:
    """The library's documents, then made ones beside them: phrases of the library with other words among theirs, and
    vectors that far away. Every query is another one, so that none is remembered."""
    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    real, draw = documents(shelf.all()), random.Random(2)  # noqa: S311 - no secret
    embedder = RememberingEmbedder(SentenceTransformerEmbedder())
    phrases = [chunk.text for one in real for chunk in one.chunks if chunk.kind == "page"]
    vectors = dict(zip(phrases, embedder.embed(phrases), strict=True))
    words = sorted({word for phrase in phrases for word in phrase.split()})
    made: list[Document] = []
    costs = {}
    for size in (len(real), *DOCUMENTS):
        made += [_made(number, vectors, words, draw, embedder) for number in range(len(made), size - len(real))]
        costs[size] = _slow_search(
            [*real, *made], embedder, [f"{text} in {size}" for text in draw.sample(phrases, ASKED)]
        )
    detail = f"95th percentile of {ASKED} searches; a made document has {PHRASES} phrases"
    return _growth("Search in more documents, p95: exponent of growth", costs, detail)


def _slow_search(found: Sequence[Document], embedder: Embedder, asked: Sequence[str]) -> float:
    """Seconds that 95 of 100 searches stay below, when the library is learned."""
    with tempfile.TemporaryDirectory() as folder, closing(ChromaIndex(Path(folder), embedder)) as index:
        librarian = HybridLibrarian(found, words=LexicalIndex(), embedder=embedder, vectors=index)
        if notice := librarian.warm():
            raise RuntimeError(notice)
        librarian.search(Query(title="the first search opens what is needed"))
        took = [_seconds(partial(librarian.search, Query(title=text))) for text in asked]
    return statistics.quantiles(took, n=20)[-1]


def _made(
    number: int,
    vectors: Mapping[str, Sequence[float]],
    words: Sequence[str],
    draw: random.Random,
    into: RememberingEmbedder,
) -> Document:
    name, chunks = f"made-{number}", []
    for place, like in enumerate(draw.sample(list(vectors), PHRASES)):
        parts = [draw.choice(words) if draw.random() < _OTHER_WORDS else word for word in like.split()]
        text = " ".join([*parts, str(number)])
        away = [draw.gauss(0.0, _AWAY / math.sqrt(into.dimension)) for _ in range(into.dimension)]
        moved = [value + step for value, step in zip(vectors[like], away, strict=True)]
        length = math.hypot(*moved)
        into.know(text, [value / length for value in moved])
        chunks.append(Chunk(id=f"{name}!page-{place}", document=name, section="", text=text, kind="page",
                            sha256=text_digest(text)))  # fmt: skip
    return Document(id=name, title=chunks[0].text, chunks=tuple(chunks))


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
        took = [_seconds(partial(diagnose, findings, prior, modes, known, "chat")) for _ in range(ROUNDS)]
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
