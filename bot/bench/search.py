"""The approximate index against exact search."""

import tempfile
from contextlib import closing
from pathlib import Path

from bot.bench.figures import Figure
from bot.edges.clock import SystemClock
from bot.wiring import actions, open_shelf
from knowledge.chroma_index import ChromaIndex
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.evaluation import index_agreement
from knowledge.ingest import documents

NEAREST = 5


def figures() -> list[Figure]:
    """Every page phrase of the library is asked for; the index must give the five that are truly nearest."""
    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    chunks = [chunk for document in documents(shelf.all()) for chunk in document.chunks]
    embedder = SentenceTransformerEmbedder()
    vectors = embedder.embed([chunk.text for chunk in chunks])
    phrases = [vector for chunk, vector in zip(chunks, vectors, strict=True) if chunk.kind == "page"]
    with tempfile.TemporaryDirectory() as folder, closing(ChromaIndex(Path(folder), embedder)) as index:
        index.replace(chunks, vectors)
        known = {chunk.id: vector for chunk, vector in zip(chunks, vectors, strict=True)}
        agreement = index_agreement(index, known, phrases, k=NEAREST)
    what = f"Chroma's first {NEAREST} equal exact search"
    detail = f"{len(phrases)} page phrases asked of {len(chunks)} chunks of {len(shelf.all())} runbooks"
    return [Figure(what=what, value=100 * agreement, unit="%", must=99, at="least", detail=detail)]
