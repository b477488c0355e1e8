"""Finds the runbooks that fit a page: by meaning and by words, ranked, each with its reasons.

Words always work. Meaning needs a model and an index, is warmed up behind the start, and may fail at any time: then the
search goes on by words, and says so. The same holds for the ranker, which learns from the library behind the start:
until it has, and for a library of few runbooks, the two searches are fused with fixed weights.
"""

import re
import threading
from collections import OrderedDict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Literal, Protocol

from knowledge.ingest import pieces
from knowledge.leaving_out import without
from knowledge.memories import Memories
from knowledge.model import (
    Document,
    Embedder,
    KnowledgeError,
    Match,
    PastIncident,
    Query,
    Retrieval,
    Similar,
    VectorIndex,
    WordIndex,
)
from knowledge.scoring import UNIFORM_SHARE, Corpus, Hits, rank, unexamined

if TYPE_CHECKING:
    from knowledge.ranker import Study

Answer = tuple[tuple[Match, ...], tuple[Similar, ...]]
DEPTH = 400
"""Chunks that each index is asked for."""
MAX_QUERY = 8_000
MAX_PIECES = 4
"""Parts of a long page that are searched for by meaning."""
_REMEMBERED = 64
STUDIED = 2
"""Libraries of which is kept what was learned: a change that is taken back need not be learned again."""
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
        incidents: Iterable[PastIncident] = (),
    ) -> None:
        self._words = words
        self._embedder = embedder
        self._vectors = vectors
        self._corpus = Corpus()
        self._memories = Memories(incidents)
        self._study: Study | None = None
        self._studied: list[tuple[bool, Study]] = []
        """What was learned last, and whether with meaning."""
        self._warmed = False
        self._meaning = self._failed = False
        self._tried_at = 0.0
        off = embedder is None or vectors is None
        self._notice = "searched by words alone: meaning search is off" if off else "meaning search is warming up"
        self._remembered: OrderedDict[Query, Answer] = OrderedDict()
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

    def reload(self, documents: Iterable[Document], *, relearn: bool = True) -> None:
        """Make these the documents. Words know them at once; when meaning search is on, this returns once it does too.
        Only texts that are new are embedded. Without ``relearn`` the ranker keeps its weights, for a change that is
        only tried out."""
        corpus = Corpus.of(documents)
        with self._state:
            self._words.replace(tuple(corpus.chunks.values()))
            self._corpus = corpus
            self._remembered.clear()
        if self._warmed:
            self._build(relearn=relearn)

    def remember(self, incidents: Iterable[PastIncident]) -> None:
        """Make these the closed incidents that inform the ranking, newest first. May take seconds."""
        memories = Memories(incidents)
        if memories.incidents == self._memories.incidents:
            return
        if self._meaning and self._embedder is not None:
            try:
                memories.warm(self._embedder, self._memories)
            except KnowledgeError as error:
                self._degrade(error)
        with self._state:
            self._memories = memories
            self._remembered.clear()

    def relearn(self, untried: Collection[str]) -> None:
        """Learn the ranker's weights again without these phrases, named by their SHA-256; for measuring."""
        from knowledge.ranker import learn  # noqa: PLC0415 - see _learn

        with self._building:
            study = self._study
            if study is not None:
                learned = learn(study.lessons, meaning=self._meaning, untried=untried)
                with self._state:
                    self._study = replace(study, learned=learned)
                    self._remembered.clear()

    def warm(self) -> str:
        """Load the model, bring the vector index up to date and learn to rank: seconds, so run it in a thread of its
        own. Returns the notice; never raises for a model or an index that cannot be used. May be called again."""
        self._warmed = True
        return self._build(relearn=True)

    def _build(self, *, relearn: bool) -> str:
        with self._building:
            try:
                corpus = None
                while corpus is not self._corpus:  # documents may be reloaded meanwhile
                    corpus = self._corpus
                    vectors = self._index(corpus)
                    self._learn(corpus, vectors, relearn=relearn)
            except KnowledgeError as error:
                self._degrade(error)
                self._learn(self._corpus, {}, relearn=relearn)
        return self._notice

    def close(self) -> None:
        """Let go of the index; searching goes on, and opens it again if it has to."""
        if self._vectors is not None:
            with self._building:
                self._vectors.close()

    def search(self, query: Query, *, limit: int = 5) -> Retrieval:
        """The best documents."""
        corpus, (ranked, similar) = self._corpus, self._ranked(query)
        if limit > len(ranked):
            ranked = (*ranked, *unexamined(corpus, ranked))
        mode: Literal["fused", "lexical"] = "fused" if self._meaning else "lexical"
        return Retrieval(matches=ranked[:limit], mode=mode, notice=self._notice, similar=similar)

    def search_without(self, query: Query, *, limit: int = 5) -> Retrieval:
        """The best documents if the title of this query, a phrase of the library, stood nowhere in it."""
        corpus, ranked = self._corpus, self._rank(query, alone=True)[0]
        if limit > len(ranked):
            ranked = (*ranked, *unexamined(corpus, ranked))
        return Retrieval(matches=ranked[:limit], mode="fused" if self._meaning else "lexical", notice=self._notice)

    def priors(self, query: Query) -> Mapping[str, float]:
        """Every document's prior, summing to 1."""
        documents = self._corpus.documents
        even = dict.fromkeys(documents, UNIFORM_SHARE / max(len(documents), 1))
        return even | {match.document: match.prior for match in self._ranked(query)[0]}

    def _ranked(self, query: Query) -> Answer:
        with self._state:
            known = self._remembered.get(query)
            corpus = self._corpus
        if known is not None:
            return known
        ranked = self._rank(query)
        with self._state:
            if corpus is self._corpus:
                self._remembered[query] = ranked
                while len(self._remembered) > _REMEMBERED:
                    self._remembered.popitem(last=False)
        return ranked

    def _rank(self, query: Query, *, alone: bool = False) -> Answer:
        corpus = self._corpus
        text = _searchable(query.text)
        vectors = self._embedded(_searchable(query.title), text)
        hits, similar = self._hits(text, vectors), self._memories.alike(vectors)
        study = self._study
        if study is not None and study.corpus is corpus:
            meant = vectors if hits.meaning is not None else ()
            return study.ranked(query, text, meant, hits, alone=alone), similar
        return rank(corpus, query, without(corpus, hits, query.title)[0] if alone else hits), similar

    def _embedded(self, title: str, text: str) -> Sequence[Sequence[float]]:
        """The vectors of the parts of a page; none when there is no meaning search now."""
        if not self._meaning or self._embedder is None:
            return ()
        parts = list(pieces(text))[:MAX_PIECES]
        if len(parts) > 1 and title:  # a title must not drown in a body that is a whole log
            parts.append(title)
        try:
            return self._embedder.embed(parts)
        except KnowledgeError as error:
            self._degrade(error)
            return ()

    def _hits(self, text: str, vectors: Sequence[Sequence[float]]) -> Hits:
        words = {name: (score, matched) for name, score, matched in self._words.search(text, DEPTH)}
        if not self._meaning or self._vectors is None or not len(vectors):
            return Hits(words=words)
        found: dict[str, float] = {}
        try:
            for vector in vectors:
                for name, similarity in self._vectors.nearest(vector, DEPTH):
                    found[name] = max(similarity, found.get(name, -1.0))
        except KnowledgeError as error:
            self._degrade(error)
            return Hits(words=words)
        return Hits(words=words, meaning=found, past=self._memories.near(vectors))

    def _index(self, corpus: Corpus) -> Mapping[str, Sequence[float]]:
        """Bring the vector index up to date. Returns the vectors of all texts; none without meaning search."""
        if self._embedder is None or self._vectors is None:
            return {}
        chunks = tuple(corpus.chunks.values())
        known = dict(self._vectors.known())
        missing = list({chunk.sha256: chunk.text for chunk in chunks if chunk.sha256 not in known}.items())
        made = self._embedder.embed([text for _, text in missing])
        known.update(zip((digest for digest, _ in missing), made, strict=True))
        self._vectors.replace(chunks, [known[chunk.sha256] for chunk in chunks])
        if not self._memories.ready:
            self._memories.warm(self._embedder)
        with self._state:
            self._meaning, self._failed, self._notice = True, False, ""
            self._remembered.clear()
        return known

    def _learn(self, corpus: Corpus, vectors: Mapping[str, Sequence[float]], *, relearn: bool) -> None:
        from knowledge.ranker import Study  # noqa: PLC0415 - numpy, and only behind the start

        known = [study for meaning, study in self._studied if meaning == bool(vectors) and study.corpus == corpus]
        if relearn and known:
            study = replace(known[0], corpus=corpus)
        else:
            study = Study.of(corpus, vectors, self._lesson, None if relearn else self._study)
            if relearn:
                self._studied = [*self._studied, (bool(vectors), study)][-STUDIED:]
        with self._state:
            self._study = study
            self._remembered.clear()

    def _lesson(self, text: str, vector: Sequence[float] | None) -> Hits:
        return self._hits(_searchable(text), [] if vector is None else [vector])

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
