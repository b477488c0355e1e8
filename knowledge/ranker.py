"""How much each feature speaks for a document: weights learned from the library when it is indexed, never shipped.

Each page phrase is taken out of the library and asked for; its runbook should come first. The nearest others are the
wrong answers, and the one that lists the phrase under ``not_pages`` counts double. A logistic regression over the
differences finds the weights; a feature that would count against a document for being alike is left out. Nothing is
drawn by chance, so the same library has the same weights.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from knowledge.features import BY_WORDS, NAMES, View, facts, standard, told
from knowledge.leaving_out import without
from knowledge.model import Chunk, Match, Query
from knowledge.profiles import Array, Asked, Left, Profiles
from knowledge.scoring import Corpus, Hits, Scored, considered, matches, rank

FEWEST_DOCUMENTS = 8
FEWEST_EXAMPLES = 30
"""Below these a library is too small to learn from, and is ranked by the fixed fusion."""
MOST_EXAMPLES = 600
"""Of a large library so many phrases are tried, chosen by their hash: indexing stays bounded."""
NEGATIVES = 12
STRENGTH = 1.0
"""Inverse of the regularisation, whatever the number of examples: weak evidence stays near zero."""
CAUTION = 1.5
"""A real page is further from a library than the library's own phrases, so belief is this much flatter than learned."""
_TEMPERATURES = tuple(0.2 * 1.1**step for step in range(25))

Search = Callable[[str, Sequence[float] | None], Hits]
"""Asks the indexes for a text and its vector."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Weights:
    """What was learned for one way of searching."""

    values: Mapping[str, float]
    floors: tuple[float, ...]
    """The least that counts as one standard deviation of each feature."""
    temperature: float
    """What scores are divided by to be logarithms of odds."""
    examples: int

    @property
    def array(self) -> Array:
        return np.array([self.values.get(name, 0.0) for name in NAMES])


@dataclass(frozen=True, kw_only=True, slots=True)
class Learned:
    """The weights of a library: with meaning, and for words alone. None where it is too small."""

    fused: Weights | None = None
    words: Weights | None = None

    def of(self, hits: Hits) -> Weights | None:
        return self.words if hits.meaning is None else self.fused


@dataclass(frozen=True, kw_only=True, slots=True)
class Lesson:
    """One phrase as it is ranked without itself."""

    phrase: str
    """SHA-256 of its text."""
    values: Array
    """Features of the candidates, a row each."""
    right: int
    doubled: frozenset[int]
    """Candidates that say that this phrase is not theirs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Study:
    """A library as it was learned."""

    corpus: Corpus
    profiles: Profiles | None
    """None for a library that is too small to learn from."""
    lessons: Sequence[Lesson]
    learned: Learned

    @classmethod
    def of(
        cls, corpus: Corpus, vectors: Mapping[str, Sequence[float]], search: Search, before: "Study | None" = None
    ) -> "Study":
        """``vectors``: SHA-256 of a text -> unit vector; empty without meaning. ``before``: keep what that one learned.
        A library that is too small learns nothing."""
        if len(corpus.documents) < FEWEST_DOCUMENTS:
            return cls(corpus=corpus, profiles=None, lessons=(), learned=Learned())
        profiles = Profiles(corpus, vectors)
        if before is not None:
            return cls(corpus=corpus, profiles=profiles, lessons=before.lessons, learned=before.learned)
        tried = lessons(corpus, profiles, vectors, search)
        return cls(corpus=corpus, profiles=profiles, lessons=tried, learned=learn(tried, meaning=bool(vectors)))

    def ranked(
        self, query: Query, text: str, vectors: Sequence[Sequence[float]], hits: Hits, *, alone: bool = False
    ) -> tuple[Match, ...]:
        """The documents that are looked at, best first. ``text`` and ``vectors``: what was searched for. ``alone``: the
        query is a phrase of the library, and is ranked as if it stood nowhere in it."""
        asked, left = Asked.of(text, vectors), None
        if alone:
            hits, owners = without(self.corpus, hits, query.title)
            if owners and self.profiles is not None:
                left = Left(row=self.profiles.rows[owners[0]], asked=asked, times=owners.count(owners[0]))
        weights = self.learned.of(hits)
        if weights is None or self.profiles is None:
            return rank(self.corpus, query, hits)
        view = View(corpus=self.corpus, profiles=self.profiles, query=query, asked=asked, hits=hits, left=left)
        return reranked(view, weights)


def reranked(view: View, weights: Weights) -> tuple[Match, ...]:
    """The documents that are looked at, ordered by what was learned, each with the reasons for its place."""
    names = considered(view.corpus, view.hits)
    found = facts(view, names)
    parts = np.round(standard(found.values, np.array(weights.floors)) * weights.array, 6)
    scored: list[Scored] = []
    for place, name in enumerate(names):
        reasons = told(view, found, place, dict(zip(NAMES, (float(part) for part in parts[place]), strict=True)))
        tally = found.meaning[name] if found.meaning else found.words[name]
        scored.append((name, tally.nearest, reasons))
    return matches(view.corpus, scored, weights.temperature)


def learn(lessons: Sequence[Lesson], *, meaning: bool, untried: Collection[str] = ()) -> Learned:
    """The weights under which the lessons come out right. ``untried``: SHA-256 of phrases not to learn from."""
    tried = [lesson for lesson in lessons if lesson.phrase not in untried]
    if len(tried) < FEWEST_EXAMPLES:
        return Learned()
    fused = _fitted(tried, NAMES) if meaning else None
    return Learned(fused=fused, words=_fitted(tried, BY_WORDS))


def lessons(
    corpus: Corpus, profiles: Profiles, vectors: Mapping[str, Sequence[float]], search: Search
) -> Sequence[Lesson]:
    """Every phrase asked for without itself; takes a second or two."""
    found = []
    phrases = (chunk for chunk in corpus.chunks.values() if chunk.kind == "page")
    for chunk in sorted(phrases, key=lambda one: (one.sha256, one.id))[:MOST_EXAMPLES]:
        owners = [place.document for place in corpus.places[chunk.id] if place.role in {"page", "borrowed"}]
        if owners:
            vector = vectors[chunk.sha256] if vectors else None
            asked = Asked.of(chunk.text, [] if vector is None else [vector])
            hits, same = without(corpus, search(chunk.text, vector), chunk.text)
            left = Left(row=profiles.rows[owners[0]], asked=asked, times=max(same.count(owners[0]), 1))
            view = View(
                corpus=corpus, profiles=profiles, query=Query(title=chunk.text), asked=asked, hits=hits, left=left
            )
            found.append(_lesson(view, chunk, owners[0]))
    return tuple(found)


def _lesson(view: View, chunk: Chunk, owner: str) -> Lesson:
    names = list(considered(view.corpus, view.hits))
    names = names if owner in names else [*names, owner]
    excluding = {place.document for place in view.corpus.places[chunk.id] if place.role == "excluded"}
    return Lesson(
        phrase=chunk.sha256, values=facts(view, names).values, right=names.index(owner),
        doubled=frozenset(place for place, name in enumerate(names) if name in excluding),
    )  # fmt: skip


def _fitted(tried: Sequence[Lesson], allowed: Collection[str]) -> Weights:
    floors = 0.5 * np.median([lesson.values.std(axis=0) for lesson in tried], axis=0) + 1e-6
    used = [place for place, name in enumerate(NAMES) if name in allowed]
    differences, importance = _pairs(tried, floors)
    while True:
        found = _regression(differences[:, used], importance)
        keep = [place for place, weight in zip(used, found, strict=True) if weight > 0]
        if len(keep) == len(used):
            break
        used = keep
    values = {NAMES[place]: round(float(weight), 6) for place, weight in zip(used, found, strict=True)}
    weights = np.array([values.get(name, 0.0) for name in NAMES])
    scores = [(standard(lesson.values, floors) @ weights, lesson.right) for lesson in tried]
    return Weights(values=values, floors=tuple(float(floor) for floor in floors),
                   temperature=round(CAUTION * min(_TEMPERATURES, key=lambda t: _surprise(scores, t)), 6),
                   examples=len(tried))  # fmt: skip


def _surprise(scores: Sequence[tuple[Array, int]], temperature: float) -> float:
    """Mean logarithmic loss of the right document's probability."""
    losses = []
    for values, right in scores:
        powers = (values - values.max()) / temperature
        losses.append(float(np.log(np.exp(powers).sum()) - powers[right]))
    return sum(losses) / len(losses)


def _pairs(tried: Sequence[Lesson], floors: Array) -> tuple[Array, Array]:
    """Right minus wrong, for the wrong ones that come nearest. Every phrase has the same say."""
    rows, importance = [], []
    for lesson in tried:
        values = standard(lesson.values, floors)
        order = np.argsort(-values.sum(axis=1), kind="stable")
        wrong = [int(place) for place in order if place != lesson.right][:NEGATIVES]
        wrong += [place for place in sorted(lesson.doubled) if place not in wrong]
        counts = [2.0 if place in lesson.doubled else 1.0 for place in wrong]
        rows += [values[lesson.right] - values[place] for place in wrong]
        importance += [count / sum(counts) for count in counts]
    return np.array(rows), np.array(importance)


def _regression(differences: Array, importance: Array) -> Array:
    """Weights under which right beats wrong. Both directions: there is nothing to explain but the difference."""
    if differences.shape[1] == 0:
        return np.zeros(0)
    from sklearn.linear_model import LogisticRegression  # noqa: PLC0415 - a second to import, and only to learn

    model = LogisticRegression(C=STRENGTH / float(importance.sum()), fit_intercept=False, max_iter=500, tol=1e-8)
    model.fit(
        np.vstack([differences, -differences]), np.repeat([1, 0], len(differences)),
        sample_weight=np.concatenate([importance, importance]),
    )  # fmt: skip
    return np.asarray(model.coef_[0])
