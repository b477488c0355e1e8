"""What retrieval takes and gives. No I/O here."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol


class KnowledgeError(Exception):
    """Something that searching by meaning needs cannot be used: what, where, and what to do. Words still work."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A citable piece of a document: one section of a runbook, or one page phrase of it."""

    id: str
    """Unique in the index, such as ``provider-outage#stop-the-bleeding`` or ``provider-outage!page-3``."""
    document: str
    """Runbook id or past incident id."""
    section: str
    """Anchor of the section, empty for a page phrase."""
    kind: Literal["section", "page", "incident"]
    text: str
    sha256: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What a page says, for retrieval: untrusted text, plus what is known of its service."""

    title: str
    body: str = ""
    service: str = ""
    """Name of the service in the catalogue, if known."""
    service_kind: str = ""
    service_tags: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        return f"{self.title}\n{self.body}".strip()


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """Why a document stands where it stands, in words and in numbers."""

    source: Literal["meaning", "words", "topics", "names", "learned", "exclusion", "service", "past"]
    text: str
    """Such as ``"529 overloaded_error" is close in meaning (0.81)``."""
    contribution: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Match:
    """A document that fits a query."""

    document: str
    title: str
    score: float
    """Fused score, comparable within one answer only."""
    prior: float
    """Share of the belief, over all documents summing to 1: what the differential starts from."""
    best_chunk: str
    reasons: tuple[Reason, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Similar:
    """A past incident whose pages said much the same. For people to read; it moves no probability."""

    id: str
    title: str
    score: float
    """Cosine similarity."""
    service: str = ""
    at: datetime | None = None
    cause: str = ""
    """The runbook that people confirmed; empty: nobody did."""
    helped: str = ""
    origin: str = ""
    """Where it was imported from; empty: it was an incident here."""
    link: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Retrieval:
    """An answer: matches, best first, and how it was made."""

    matches: tuple[Match, ...]
    mode: Literal["fused", "lexical"]
    notice: str = ""
    """What a person should know, such as ``meaning search unavailable: model not found; searched by words alone``."""
    similar: tuple[Similar, ...] = ()
    """Past incidents that read alike, the nearest first."""


class Embedder(Protocol):
    """Text to unit vectors, offline and deterministic."""

    @property
    def name(self) -> str: ...
    @property
    def dimension(self) -> int: ...

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        """One unit vector for each text."""
        ...


class VectorIndex(Protocol):
    """Nearest chunks by cosine similarity."""

    def replace(self, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None:
        """Make these the whole index."""
        ...

    def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
        """Chunk ids and cosine similarities, best first."""
        ...


class WordIndex(Protocol):
    """Chunks by words, BM25."""

    def replace(self, chunks: Sequence[Chunk]) -> None:
        """Make these the whole index."""
        ...

    def search(self, text: str, k: int) -> Sequence[tuple[str, float, Sequence[str]]]:
        """Chunk ids, scores and the words that matched, best first."""
        ...


class Librarian(Protocol):
    """Finds the runbooks that fit a page. Always answers; says when it could only search by words."""

    def search(self, query: Query, *, limit: int = 5) -> Retrieval:
        """The best documents."""
        ...

    def priors(self, query: Query) -> Mapping[str, float]:
        """Every document's prior, summing to 1."""
        ...


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """A document as ingest hands it over: its chunks and the phrases that must not find it."""

    id: str
    title: str
    chunks: tuple[Chunk, ...]
    not_pages: Mapping[str, str] = field(default_factory=dict)
    """Phrase -> the document it belongs to instead."""
    services: tuple[str, ...] = ("*",)
    kinds: tuple[str, ...] = ()
    """Service kinds it can happen to; empty: all."""
    executable: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class PastIncident:
    """A closed incident. If a person confirmed its cause, it informs the ranking; it can authorise nothing."""

    id: str
    text: str
    """What its pages said."""
    confirmed: tuple[str, ...]
    """Ids of the runbooks that were right; usually one. None: it is only shown, and ranks nothing."""
    title: str = ""
    """Empty: it is not shown."""
    service: str = ""
    at: datetime | None = None
    helped: str = ""
    origin: str = ""
    link: str = ""
