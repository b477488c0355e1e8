"""Finds the runbooks that fit a page: by meaning and by words, fused, each with its reasons.

Words always work. Meaning needs a model and an index, is warmed up behind the start, and may fail at any time: then the
search goes on by words, and says so.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from knowledge.ingest import pieces
from knowledge.model import Document, Embedder, KnowledgeError, Match, Query, Retrieval, VectorIndex, WordIndex
from knowledge.scoring import Corpus, Hits, rank

DEPTH = 400
"""Chunks that each index is asked for."""
MAX_QUERY = 8_000
MAX_PIECES = 4
"""Parts of a long page that are searched for by meaning."""
_REMEMBERED = 64
RETRY_S = 300.0
"""How long meaning search is left alone after it failed."""
_NOISE = re.compile(
    r"""https?://\S+
    | \b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b
    | \b\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}\S*
    | \b(?=[0-9a-f]*\d)(?=[0-9a-f]*[a-f])[0-9a-f]{16,}\b
    """,
    re.VERBOSE | re.IGNORECASE,
)


class VectorStore(VectorIndex, Protocol):
    """A vector index that remembers what it holds from one start to the next."""

    notice: str

    def known(self) -> Mapping[str, Sequence[float]]:
        """Vectors that need not be computed again, by SHA-256 of their text."""
        ...

    def close(self) -> None:
        """Let go of it; the next call opens it again."""
        ...


class HybridLibrarian:
    """Implements :class:`knowledge.model.Librarian`. Searches by words from the start, and by meaning too once
    :meth:`warm` has run. Safe to use from several threads."""

    def __init__(
        self,
        documents: Iterable[Document] = (),
        *,
        words: WordIndex,
        embedder: Embedder | None = None,
        vectors: VectorStore | None = None,
    ) -> None:
        self._words = words
        self._embedder = embedder
        self._vectors = vectors
        self._corpus = Corpus()
        self._meaning = self._failed = False
        self._tried_at = 0.0
        off = embedder is None or vectors is None
        self._notice = "searched by words alone: meaning search is off" if off else "meaning search is warming up"
        self._remembered: OrderedDict[Query, tuple[Match, ...]] = OrderedDict()
        self._state = threading.Lock()
        self._building = threading.Lock()
        self.reload(documents)

    @property
    def embedder(self) -> Embedder | None:
        """The model that meaning search uses, for whoever needs vectors too; None without one."""
        return self._embedder

    @property
    def notice(self) -> str:
        """What a person should know of the next search; empty when both ways work."""
        return self._notice

    def reload(self, documents: Iterable[Document]) -> None:
        """Make these the documents. Words know them at once; when meaning search is on, this returns once it does too.
        Only texts that are new are embedded."""
        corpus = Corpus.of(documents)
        with self._state:
            self._words.replace(tuple(corpus.chunks.values()))
            self._corpus = corpus
            self._remembered.clear()
        if self._meaning:
            self.warm()

    def warm(self) -> str:
        """Load the model and bring the vector index up to date: seconds, so run it in a thread of its own. Returns the
        notice; never raises for a model or an index that cannot be used. May be called again."""
        if self._embedder is None or self._vectors is None:
            return self._notice
        with self._building:
            try:
                corpus = None
                while corpus is not self._corpus:  # documents may be reloaded meanwhile
                    corpus = self._corpus
                    self._index(corpus, self._embedder, self._vectors)
            except KnowledgeError as error:
                self._degrade(error)
            else:
                with self._state:
                    self._meaning, self._failed, self._notice = True, False, ""
                    self._remembered.clear()
        return self._notice

    def close(self) -> None:
        """Let go of the index; searching goes on, and opens it again if it has to."""
        if self._vectors is not None:
            with self._building:
                self._vectors.close()

    def search(self, query: Query, *, limit: int = 5) -> Retrieval:
        """The best documents."""
        ranked = self._ranked(query)
        return Retrieval(matches=ranked[:limit], mode="fused" if self._meaning else "lexical", notice=self._notice)

    def priors(self, query: Query) -> Mapping[str, float]:
        """Every document's prior, summing to 1."""
        return {match.document: match.prior for match in self._ranked(query)}

    def _ranked(self, query: Query) -> tuple[Match, ...]:
        with self._state:
            known = self._remembered.get(query)
            corpus = self._corpus
        if known is not None:
            return known
        title, text = _searchable(query.title), _searchable(query.text)
        words = {name: (score, matched) for name, score, matched in self._words.search(text, DEPTH)}
        ranked = rank(corpus, query, Hits(words=words, meaning=self._by_meaning(title, text)))
        with self._state:
            if corpus is self._corpus:
                self._remembered[query] = ranked
                while len(self._remembered) > _REMEMBERED:
                    self._remembered.popitem(last=False)
        return ranked

    def _by_meaning(self, title: str, text: str) -> Mapping[str, float] | None:
        """Best similarity of each chunk to any part of the text; None when there is no meaning search now."""
        if not self._meaning or self._embedder is None or self._vectors is None:
            return None
        found: dict[str, float] = {}
        try:
            parts = list(pieces(text))[:MAX_PIECES]
            if len(parts) > 1 and title:  # a title must not drown in a body that is a whole log
                parts.append(title)
            for vector in self._embedder.embed(parts):
                for name, similarity in self._vectors.nearest(vector, DEPTH):
                    found[name] = max(similarity, found.get(name, -1.0))
        except KnowledgeError as error:
            self._degrade(error)
            return None
        return found

    def _index(self, corpus: Corpus, embedder: Embedder, vectors: VectorStore) -> None:
        chunks = tuple(corpus.chunks.values())
        known = dict(vectors.known())
        missing = list({chunk.sha256: chunk.text for chunk in chunks if chunk.sha256 not in known}.items())
        known.update(zip((digest for digest, _ in missing), embedder.embed([text for _, text in missing]), strict=True))
        vectors.replace(chunks, [known[chunk.sha256] for chunk in chunks])

    def retry(self, now: float) -> None:
        """Try meaning search again if it failed some minutes ago: a model that could not be read may be there now.
        ``now``: seconds of any clock that only goes forward. May take seconds, as :meth:`warm`."""
        if self._failed and now - self._tried_at >= RETRY_S:
            self._tried_at = now
            self.warm()

    def _degrade(self, error: KnowledgeError) -> None:
        if self._vectors is not None:
            self._vectors.close()
        with self._state:
            self._meaning, self._failed = False, True
            self._notice = f"meaning search unavailable: {error}; searched by words alone"
            self._remembered.clear()


def _searchable(text: str) -> str:
    """Without addresses, ids and times, which say nothing about the failure."""
    lines = (" ".join(_NOISE.sub(" ", line).split()) for line in text[:MAX_QUERY].splitlines())
    return "\n".join(line for line in lines if line)
