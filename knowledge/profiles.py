"""What each document is about as a whole: learned from its own phrases and sections each time the index is built.

A profile has the mean of a document's page phrases, the concepts it speaks of, the machine-given names it mentions, and
what a linear classifier over all documents' texts (ridge regression, solved in closed form) says of a text. All of it
can be asked *without* one page phrase, as if that phrase had never been written: this is what the ranker learns from.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from knowledge import concepts
from knowledge.lexical_index import entity_tokens
from knowledge.model import Chunk
from knowledge.scoring import Corpus

Array = npt.NDArray[np.float64]

RIDGE = 3.0
"""How much the classifier distrusts few texts; the measured figures are flat between 1 and 10."""
CONCEPT_SCALE = 0.25
"""What one concept weighs beside a unit vector of meaning, for the classifier."""
SECTION_SHARE = 0.5
"""A concept in a section counts half of one in a page phrase, and sections count twice at most."""
BACKGROUND = 0.9
"""Weight of the library's average in a document's concepts, in page phrases: a few phrases prove little."""
SMALLEST = 0.02
"""A concept that a document has never used is still possible."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """A text as profiles see it. ``vector`` is None when only words are searched."""

    vector: Array | None
    topics: Array
    """One number for each concept, 1 when the text speaks of it."""
    said: Mapping[str, str]
    """Concept -> the words of the text that say so."""
    names: frozenset[str]
    """Entity tokens: status codes, error codes, header names."""

    @classmethod
    def of(cls, text: str, vectors: Sequence[Sequence[float]] = ()) -> "Asked":
        """``vectors``: of its parts; their mean direction stands for the whole."""
        said = concepts.spoken_of(text)
        vector = None
        if len(vectors):
            total = np.asarray(vectors, dtype=np.float64).sum(axis=0)
            vector = total / max(float(np.linalg.norm(total)), 1e-9)
        return cls(vector=vector, topics=_topics(said), said=said, names=frozenset(entity_tokens(text)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Left:
    """A page phrase that a profile is to be without."""

    row: int
    """Its document."""
    asked: Asked
    times: int = 1
    """How often that document has it: as its own, and from others that say it belongs there."""


@dataclass(slots=True)
class _Sums:
    """Everything that is added up over the texts of each document."""

    pages: Array
    """How many page phrases."""
    page_vectors: Array
    page_topics: Array
    section_topics: Array
    names: dict[str, Counter[int]]
    weights: Array
    """What one text counts for the classifier: a document of many texts is not likelier for it."""
    texts: Array
    """How many texts, phrases and sections, so weighed."""
    inputs: Array
    """What the classifier reads, added up."""
    gram: Array
    """Of all inputs."""


class Profiles:
    """The profiles of a corpus. ``vectors``: SHA-256 of a text -> its unit vector; empty when only words are
    searched. Memory: about two kilobytes for each document and kilobyte of vector; texts are not kept."""

    def __init__(self, corpus: Corpus, vectors: Mapping[str, Sequence[float]]) -> None:
        self.rows: Mapping[str, int] = {name: row for row, name in enumerate(corpus.documents)}
        size = len(next(iter(vectors.values()))) if vectors else 0
        self._sums = _summed(corpus, self.rows, vectors, size)
        sums = self._sums
        self._sections = np.minimum(sums.section_topics, 2.0) * SECTION_SHARE
        texts = max(float(sums.pages.sum()), 1.0)
        self._background = BACKGROUND * sums.page_topics.sum(axis=0) / texts
        self._about = (sums.page_topics + self._sections + self._background) / (sums.pages[:, None] + 2.0)
        average = self._about.mean(axis=0) if len(self.rows) else self._background
        self._average = average + SMALLEST
        spread = (self._about > 0.12).mean(axis=0) if len(self.rows) else self._background
        self._rarity = np.log(1.0 + 1.0 / (spread + 0.05))
        self._fit()

    def whole(self, asked: Asked, rows: Sequence[int], left: Left | None) -> Array:
        """Cosine to the mean of a document's page phrases."""
        sums = self._sums.page_vectors[list(rows)].copy()
        if asked.vector is None:
            return np.zeros(len(rows))
        if left is not None and left.asked.vector is not None:
            sums[_own(rows, left)] -= left.times * left.asked.vector
        lengths = np.linalg.norm(sums, axis=1)
        return np.where(lengths > 1e-6, sums @ asked.vector / np.maximum(lengths, 1e-6), 0.0)

    def learned(self, asked: Asked, rows: Sequence[int], left: Left | None) -> Array:
        """What the classifier says; without a phrase by the exact leave-one-out formula of ridge regression."""
        text = _joined(asked) - self._mean
        said: Array = text @ self._weights[:, list(rows)]
        if left is None:
            return said
        weight = left.times * float(self._sums.weights[left.row])
        lever = min(weight * float(text @ self._inverse @ text), 0.99)
        target = -self._share[list(rows)]
        target[_own(rows, left)] += 1.0
        return np.asarray((said - lever * target) / (1.0 - lever))

    def topics(self, asked: Asked, rows: Sequence[int], left: Left | None) -> tuple[Array, Array]:
        """How much more a document speaks of these concepts than others do, and how alike it is in rare ones."""
        about = self._about[list(rows)]
        if left is not None:
            own, one = _own(rows, left), left.row
            pages = max(float(self._sums.pages[one]) - left.times, 0.0)
            counted = np.maximum(self._sums.page_topics[one] - left.times * left.asked.topics, 0.0)
            about[own] = (counted + self._sections[one] + self._background) / (pages + 2.0)
        more = np.maximum(np.log((about + SMALLEST) / self._average), -1.0) @ asked.topics
        weighed = np.sqrt(about) * self._rarity
        wanted = asked.topics * self._rarity
        lengths = np.linalg.norm(weighed, axis=1) * max(float(np.linalg.norm(wanted)), 1e-9)
        return more / max(float(asked.topics.sum()), 1.0) ** 0.5, (weighed @ wanted) / np.maximum(lengths, 1e-9)

    def shared(self, asked: Asked, row: int) -> list[str]:
        """The concepts that speak for this document, most telling first."""
        weights = np.log((self._about[row] + SMALLEST) / self._average) * asked.topics
        order = np.argsort(-weights, kind="stable")
        return [concepts.names()[i] for i in order if weights[i] > 0.0]

    def names(self, asked: Asked, rows: Sequence[int], left: Left | None) -> Array:
        """Shared machine-given names, each by how few documents have it."""
        places = {row: place for place, row in enumerate(rows)}
        found = np.zeros(len(rows))
        for name in sorted(asked.names):
            holders = dict(self._sums.names.get(name, {}))
            if left is not None and name in left.asked.names and left.row in holders:
                holders[left.row] -= left.times
            having = [row for row, count in holders.items() if count > 0]
            for row in having:
                if row in places:
                    found[places[row]] += np.log(1.0 + len(self.rows) / len(having))
        return found

    def _fit(self) -> None:
        """Ridge regression from texts to documents, from sums alone: there is never one number for each pair of text
        and document."""
        sums = self._sums
        number = max(float(sums.texts.sum()), 1.0)
        total = sums.inputs.sum(axis=0)
        self._mean, self._share = total / number, sums.texts / number
        centred = sums.gram - number * np.outer(self._mean, self._mean)
        self._inverse = np.linalg.inv(centred + RIDGE * np.eye(len(total)))
        self._weights = self._inverse @ (sums.inputs.T - np.outer(total, self._share))


def _summed(corpus: Corpus, rows: Mapping[str, int], vectors: Mapping[str, Sequence[float]], size: int) -> _Sums:
    count, topics = len(rows), len(concepts.names())
    width = size + topics
    each = np.zeros(count)
    for row, _, _ in _items(corpus, rows):
        each[row] += 1.0
    sums = _Sums(
        pages=np.zeros(count), page_vectors=np.zeros((count, size)), page_topics=np.zeros((count, topics)),
        section_topics=np.zeros((count, topics)), names={}, weights=each.mean() / np.maximum(each, 1.0),
        texts=np.zeros(count), inputs=np.zeros((count, width)), gram=np.zeros((width, width)),
    )  # fmt: skip
    for batch in _batches(_items(corpus, rows)):
        inputs, weights = [], []
        for row, chunk, is_page in batch:
            asked = Asked.of(chunk.text, [vectors[chunk.sha256]] if vectors else ())
            _add(sums, row, asked, is_page=is_page)
            inputs.append(_joined(asked))
            weights.append(sums.weights[row])
            sums.inputs[row] += weights[-1] * inputs[-1]
        stacked = np.stack(inputs)
        sums.gram += stacked.T @ (stacked * np.array(weights)[:, None])
    return sums


def _add(sums: _Sums, row: int, asked: Asked, *, is_page: bool) -> None:
    sums.texts[row] += sums.weights[row]
    for name in asked.names:
        sums.names.setdefault(name, Counter())[row] += 1
    if not is_page:
        sums.section_topics[row] += asked.topics
        return
    sums.pages[row] += 1.0
    sums.page_topics[row] += asked.topics
    if asked.vector is not None:
        sums.page_vectors[row] += asked.vector


def _items(corpus: Corpus, rows: Mapping[str, int]) -> Iterator[tuple[int, Chunk, bool]]:
    """Every text that is a document's own or was given to it by another one: row, text, whether it is a phrase."""
    for name, chunk in corpus.chunks.items():
        for place in corpus.places[name]:
            if place.role in {"page", "borrowed", "section"}:
                yield rows[place.document], chunk, place.role != "section"


def _batches(items: Iterable[tuple[int, Chunk, bool]], size: int = 512) -> Iterator[list[tuple[int, Chunk, bool]]]:
    batch: list[tuple[int, Chunk, bool]] = []
    for item in items:
        batch.append(item)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch


def _joined(asked: Asked) -> Array:
    parts: list[Any] = [] if asked.vector is None else [asked.vector]
    return np.concatenate([*parts, CONCEPT_SCALE * asked.topics])


def _topics(said: Mapping[str, str]) -> Array:
    known = concepts.names()
    return np.array([1.0 if name in said else 0.0 for name in known])


def _own(rows: Sequence[int], left: Left) -> list[int]:
    return [place for place, row in enumerate(rows) if row == left.row]
