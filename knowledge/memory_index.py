"""Nearest chunks by exact cosine, in memory: for questions about a library that is on its way, not the one in use.

The vector of a text is computed once, however often the documents around it change.
"""

from collections.abc import Mapping, Sequence

from knowledge.model import Chunk, Embedder


class MemoryIndex:
    """Implements :class:`knowledge.retrieval.VectorStore`, without a folder and without approximation."""

    notice = ""

    def __init__(self) -> None:
        self._known: dict[str, Sequence[float]] = {}
        self._names: list[str] = []
        self._matrix: object = None

    def known(self) -> Mapping[str, Sequence[float]]:
        return self._known

    def replace(self, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None:
        import numpy as np  # noqa: PLC0415 - heavy, and only for measuring

        self._known.update({chunk.sha256: vector for chunk, vector in zip(chunks, vectors, strict=True)})
        self._names = [chunk.id for chunk in chunks]
        self._matrix = np.asarray(vectors, dtype=np.float64)

    def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
        import numpy as np  # noqa: PLC0415

        if not self._names:
            return []
        similarities = np.asarray(self._matrix) @ np.asarray(vector)
        return [(self._names[i], float(similarities[i])) for i in np.argsort(-similarities, kind="stable")[:k]]

    def close(self) -> None:
        """Nothing is held open."""


class RememberingEmbedder:
    """An embedder that computes the vector of a text once."""

    def __init__(self, embedder: Embedder) -> None:
        self._embedder = embedder
        self._seen: dict[str, Sequence[float]] = {}

    def know(self, text: str, vector: Sequence[float]) -> None:
        """The vector of a text that the model is not to be asked for."""
        self._seen[text] = vector

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        missing = [text for text in dict.fromkeys(texts) if text not in self._seen]
        self._seen.update(zip(missing, self._embedder.embed(missing), strict=True))
        return [self._seen[text] for text in texts]
