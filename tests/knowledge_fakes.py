"""Small documents, an embedder that needs no model, and an exact vector index, for retrieval tests."""

import hashlib
import math
import re
from collections.abc import Mapping, Sequence

from knowledge.ingest import text_digest
from knowledge.model import Chunk, Document, KnowledgeError


def document(name: str, pages: Sequence[str], *, sections: Mapping[str, str] | None = None, **more: object) -> Document:
    """A document with page phrases and sections."""
    chunks = [
        Chunk(id=f"{name}!page-{n}", document=name, section="", kind="page", text=text, sha256=text_digest(text))
        for n, text in enumerate(pages)
    ]
    chunks += [
        Chunk(id=f"{name}#{anchor}", document=name, section=anchor, kind="section", text=text, sha256=text_digest(text))
        for anchor, text in (sections or {}).items()
    ]
    return Document(id=name, title=name, chunks=tuple(chunks), **more)  # type: ignore[arg-type]


class WordHashEmbedder:
    """Deterministic unit vectors from hashed words: texts that share words are close. Fails when told to."""

    dimension = 2048

    def __init__(self, name: str = "word-hash") -> None:
        self.name = name
        self.embedded: list[str] = []
        self.broken = ""

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if self.broken:
            raise KnowledgeError(self.broken)
        self.embedded += texts
        return [self._vector(text) for text in texts]

    def _vector(self, text: str) -> list[float]:
        vector = [1e-6] * self.dimension
        for word in re.findall(r"\w+", text.lower()):
            digest = hashlib.sha256(word.encode()).digest()
            vector[int.from_bytes(digest[:4], "big") % self.dimension] += 1.0
        length = math.sqrt(sum(value * value for value in vector))
        return [value / length for value in vector]


class ExactStore:
    """A vector index in memory that searches exactly. Fails when told to."""

    notice = ""

    def __init__(self) -> None:
        self.broken = ""
        self.closed = 0
        self.held: dict[str, Sequence[float]] = {}
        self._digests: dict[str, str] = {}

    def known(self) -> Mapping[str, Sequence[float]]:
        self._check()
        return {self._digests[name]: vector for name, vector in self.held.items()}

    def replace(self, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None:
        self._check()
        self.held = {chunk.id: vector for chunk, vector in zip(chunks, vectors, strict=True)}
        self._digests = {chunk.id: chunk.sha256 for chunk in chunks}

    def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
        self._check()
        scored = [(name, sum(a * b for a, b in zip(vector, held, strict=True))) for name, held in self.held.items()]
        return sorted(scored, key=lambda hit: (-hit[1], hit[0]))[:k]

    def close(self) -> None:
        self.closed += 1

    def _check(self) -> None:
        if self.broken:
            raise KnowledgeError(self.broken)
