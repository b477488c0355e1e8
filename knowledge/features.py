"""What speaks for a document, as numbers and as words: the features that the ranker weighs.

=============  =======================================================================================================
``phrases``    how close in meaning the page is to the page phrases: mostly the best one, a little the best three
``sections``   the same for its sections
``whole``      how close in meaning the page is to the average of the page phrases
``learned``    what a linear classifier says that has read all phrases and sections of the library
``words``      BM25 over everything, stemmed, with machine-given names counted double
``prose``      BM25 over its sections alone
``topics``     how much more than others it speaks of the concepts that the page speaks of
``rare``       how alike both are in concepts that few runbooks speak of
``names``      status codes, error codes, metric, header and class names in both, by how few runbooks have them
=============  =======================================================================================================

Each is compared among the candidates of one page: as many standard deviations above the weakest candidate. Without an
embedder the first four are absent. Three more are not learned, since a library has no example of them: ``exclusion``
(closer to a ``not_pages`` phrase than to any of its own), ``service`` (its scope) and ``past`` (like an incident whose
cause a person confirmed).
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from knowledge.model import Query, Reason
from knowledge.profiles import Array, Asked, Left, Profiles
from knowledge.scoring import Corpus, Hits, Tally, called, exclusion, past, scope, tallied, telling, typical, word_score

BY_MEANING = ("phrases", "sections", "whole", "learned")
BY_WORDS = ("words", "prose", "topics", "rare", "names")
NAMES = (*BY_MEANING, *BY_WORDS)

EXCLUSION = 4.0
"""What being one unit of cosine closer to a ``not_pages`` phrase costs. The other fixed weights are in the same unit:
the logarithm of how much more likely a document is."""
SCOPE = 20.0
"""Turns a share of the fused score into that unit."""
PAST = 3.0


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """One page and what the indexes answered to it."""

    corpus: Corpus
    profiles: Profiles
    query: Query
    asked: Asked
    hits: Hits
    left: Left | None = None
    """A phrase to rank as if it were not in the library."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """The candidates of a page with their features, one row each."""

    documents: Sequence[str]
    values: Array
    meaning: Mapping[str, Tally] | None
    words: Mapping[str, Tally]


def facts(view: View, documents: Sequence[str]) -> Facts:
    """The features of these documents."""
    hits, rows = view.hits, [view.profiles.rows[name] for name in documents]
    words = tallied(view.corpus, {name: score for name, (score, _) in hits.words.items()}, documents)
    meaning = None if hits.meaning is None else tallied(view.corpus, hits.meaning, documents)
    floor = min(hits.meaning.values(), default=0.0) if hits.meaning else 0.0
    topics, rare = view.profiles.topics(view.asked, rows, view.left)
    columns: list[Any] = [np.zeros(len(rows))] * len(BY_MEANING)
    if meaning is not None:
        columns = [
            [typical(meaning[name].best("page", "borrowed"), floor) for name in documents],
            [typical(meaning[name].best("section"), floor) for name in documents],
            view.profiles.whole(view.asked, rows, view.left),
            view.profiles.learned(view.asked, rows, view.left),
        ]
    columns += [
        [word_score(words[name].best("page", "section", "borrowed")) for name in documents],
        [word_score(words[name].best("section")) for name in documents],
        topics,
        rare,
        view.profiles.names(view.asked, rows, view.left),
    ]
    return Facts(documents=documents, values=np.column_stack(columns), meaning=meaning, words=words)


def standard(values: Array, floors: Array) -> Array:
    """Standard deviations above the weakest candidate. A feature that hardly differs among them is not blown up:
    ``floors`` is the least that counts as one standard deviation."""
    spread = np.maximum(values.std(axis=0), floors)
    return np.asarray((values - values.min(axis=0)) / spread)


def told(view: View, found: Facts, place: int, parts: Mapping[str, float]) -> list[Reason]:
    """The reasons for one candidate. ``parts``: what each learned feature contributes."""
    name = found.documents[place]
    meaning, words = found.meaning[name] if found.meaning else None, found.words[name]
    reasons = [*_by_meaning(view, meaning, parts)] if meaning is not None else []
    reasons += _by_words(view, name, words, parts)
    tally, unit = (meaning, EXCLUSION) if meaning is not None else (words, EXCLUSION / 10.0)
    for reason in exclusion(view.corpus, tally, 1.0):
        reasons.append(Reason(source="exclusion", text=reason.text, contribution=unit * 2.0 * reason.contribution))
    for reason in scope(view.corpus.documents[name], view.query):
        reasons.append(Reason(source="service", text=reason.text, contribution=SCOPE * reason.contribution))
    return [*reasons, *past(view.hits, name, PAST)]


def _by_meaning(view: View, tally: Tally, parts: Mapping[str, float]) -> Iterator[Reason]:
    pages, sections = tally.best("page", "borrowed"), tally.best("section")
    for feature, hits, absent in (
        ("phrases", pages, "no page phrase is close in meaning"),
        ("sections", sections, "no section is close in meaning"),
    ):
        text = f"{called(view.corpus, hits[0][1])} ({hits[0][0]:.2f})" if hits else absent
        yield Reason(source="meaning", text=text, contribution=parts[feature])
    yield Reason(source="meaning", text="close in meaning to its page phrases taken together",
                 contribution=parts["whole"])  # fmt: skip
    yield Reason(source="learned", text="told apart from the others by all phrases and sections of the library",
                 contribution=parts["learned"])  # fmt: skip


def _by_words(view: View, name: str, tally: Tally, parts: Mapping[str, float]) -> Iterator[Reason]:
    best = tally.best("page", "section", "borrowed")
    shared = dict.fromkeys(word for _, chunk in best[:3] for word in view.hits.words[chunk][1])
    text = f"shares the words {', '.join(telling(shared))}" if shared else "shares no words"
    yield Reason(source="words", text=text, contribution=parts["words"] + parts["prose"])
    row = view.profiles.rows[name]
    topics = view.profiles.shared(view.asked, row)[:3]
    spoken = ", ".join(f"{topic} (“{view.asked.said[topic]}”)" for topic in topics)
    yield Reason(source="topics", text=f"speaks of {spoken}" if topics else "speaks of nothing that the page speaks of",
                 contribution=parts["topics"] + parts["rare"])  # fmt: skip
    if parts["names"]:
        yield Reason(source="names", text="has the same codes and names", contribution=parts["names"])
