"""From chunk similarities and word scores to a ranking of documents with a reason for each place. Pure functions.

The weights below were set once on the labelled public incidents and on page phrases left out one by one; the figures
are flat around them, so they are round numbers and not a fit.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from knowledge.ingest import text_digest
from knowledge.model import Chunk, Document, Match, Query, Reason

PAGES_SHARE = 0.4
"""Of the meaning of a document: its page phrases; the rest are its sections."""
PART_MISSING = 0.9
"""A document with page phrases alone, or sections alone, is judged by what it has, and a little lower."""
WORDS_WEIGHT = 0.1
"""What the best match by words adds to a cosine similarity."""
WORDS_HALF = 3.0
"""BM25 score that counts as half a match: a poor best match by words must not count as a good one."""
EXCLUSION_WEIGHT = 0.5
PAST_WEIGHT = 0.25
"""What being like a past incident adds; it is about one runbook, and there are few."""
PAST_FROM = 0.3
"""Below this cosine a past incident says nothing."""
SMALL = 60
"""Documents that are looked at for one page: a library of so many is looked at whole."""
KIND_MATCH, SCOPE_MISMATCH = 0.02, -0.15
TEMPERATURE, WORDS_TEMPERATURE = 0.05, 0.13
UNIFORM_SHARE = 0.1
"""Part of the prior that is spread evenly: no page rules a cause out by its words alone."""

Role = Literal["page", "section", "borrowed", "excluded"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """What a chunk is to a document. The phrase of a ``not_pages`` is ``excluded`` to its own document, and
    ``borrowed`` by the one that it belongs to."""

    document: str
    role: Role
    other: str = ""
    """For a phrase of ``not_pages``: the document on the other end of it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Corpus:
    """The documents as they are searched: all chunks, and what each is to whom."""

    documents: Mapping[str, Document] = field(default_factory=dict)
    chunks: Mapping[str, Chunk] = field(default_factory=dict)
    places: Mapping[str, tuple[Place, ...]] = field(default_factory=dict)
    roles: Mapping[str, frozenset[Role]] = field(default_factory=dict)
    """What roles a document has chunks in."""

    @classmethod
    def of(cls, documents: Iterable[Document]) -> "Corpus":
        by_id = {document.id: document for document in documents}
        chunks: dict[str, Chunk] = {}
        places: dict[str, tuple[Place, ...]] = {}
        for document in by_id.values():
            for chunk in document.chunks:
                chunks[chunk.id] = chunk
                role: Role = "section" if chunk.kind == "section" else "page"
                places[chunk.id] = (Place(document=document.id, role=role),)
            for number, (phrase, owner) in enumerate(document.not_pages.items()):
                name = f"{document.id}!not-{number}"
                chunks[name] = Chunk(
                    id=name, document=document.id, section="", kind="page", text=phrase, sha256=text_digest(phrase)
                )
                own = Place(document=document.id, role="excluded", other=owner)
                borrowed = Place(document=owner, role="borrowed", other=document.id)
                places[name] = (own, borrowed) if owner in by_id else (own,)
        roles: dict[str, set[Role]] = {name: set() for name in by_id}
        for place in (place for several in places.values() for place in several):
            roles[place.document].add(place.role)
        frozen = {name: frozenset(found) for name, found in roles.items()}
        return cls(documents=by_id, chunks=chunks, places=places, roles=frozen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Hits:
    """What the two indexes answered, by chunk id. ``meaning`` is None when only words were searched."""

    words: Mapping[str, tuple[float, Sequence[str]]]
    meaning: Mapping[str, float] | None = None
    past: Mapping[str, tuple[float, str]] = field(default_factory=dict)
    """Document -> how close the nearest incident is that it was confirmed for, and which one that is."""


@dataclass(slots=True)
class Tally:
    """Everything found for one document: scores with their chunk, best first, by role."""

    scores: dict[Role, list[tuple[float, str]]] = field(
        default_factory=lambda: {"page": [], "section": [], "borrowed": [], "excluded": []}
    )

    def best(self, *roles: Role) -> list[tuple[float, str]]:
        return sorted((hit for role in roles for hit in self.scores[role]), reverse=True)

    @property
    def nearest(self) -> str:
        """The chunk of its own that was found best."""
        best = self.best("page", "section")
        return best[0][1] if best else ""


def rank(corpus: Corpus, query: Query, hits: Hits) -> tuple[Match, ...]:
    """The documents that are looked at, best first: all of a small library."""
    chosen = considered(corpus, hits)
    words = tallied(corpus, {name: score for name, (score, _) in hits.words.items()}, chosen)
    by_words = {name: word_score(tally.best("page", "section", "borrowed")) for name, tally in words.items()}
    most = max(by_words.values(), default=0.0)
    meaning = None if hits.meaning is None else tallied(corpus, hits.meaning, chosen)
    floor = min(hits.meaning.values(), default=0.0) if hits.meaning else 0.0
    scored: list[Scored] = []
    for name in chosen:
        share = by_words[name] / (most + WORDS_HALF)
        reasons = [*scope(corpus.documents[name], query)]
        if meaning is None:
            reasons += [*_words(hits, words[name], share), *exclusion(corpus, words[name], 1 / (most + WORDS_HALF))]
        else:
            reasons += [*_meaning(corpus, name, meaning[name], floor), *exclusion(corpus, meaning[name], 1.0)]
            reasons += [*_words(hits, words[name], WORDS_WEIGHT * share), *past(hits, name, PAST_WEIGHT)]
        scored.append((name, (meaning or words)[name].nearest, reasons))
    return matches(corpus, scored, WORDS_TEMPERATURE if meaning is None else TEMPERATURE)


Scored = tuple[str, str, list[Reason]]
"""A document, its nearest chunk, and its reasons."""


def matches(corpus: Corpus, scored: Sequence[Scored], temperature: float) -> tuple[Match, ...]:
    """Best first by the sum of their reasons."""
    sums = [sum(reason.contribution for reason in reasons) for _, _, reasons in scored]
    found = [
        Match(document=name, title=corpus.documents[name].title, score=score, prior=prior, best_chunk=best,
              reasons=tuple(sorted(reasons, key=lambda reason: -abs(reason.contribution))))
        for (name, best, reasons), score, prior in zip(
            scored, sums, _priors(sums, temperature, len(corpus.documents)), strict=True)
    ]  # fmt: skip
    found.sort(key=lambda match: (-match.score, match.document))
    return tuple(found)


def unexamined(corpus: Corpus, found: Sequence[Match]) -> Iterable[Match]:
    """The rest of a large library, about which nothing is known but that it is not among the nearest."""
    known = {match.document for match in found}
    last = min((match.score for match in found), default=0.0)
    reason = Reason(source="words", text="neither its words nor its meaning are among the nearest", contribution=last)
    for name, document in sorted(corpus.documents.items()):
        if name not in known:
            prior = UNIFORM_SHARE / len(corpus.documents)
            yield Match(document=name, title=document.title, score=last, prior=prior, best_chunk="", reasons=(reason,))


def considered(corpus: Corpus, hits: Hits) -> Sequence[str]:
    """The documents that are looked at: all of a small library; of a large one those nearest by their best chunk, so
    that a query costs what it finds and not what there is."""
    if len(corpus.documents) <= SMALL:
        return tuple(corpus.documents)
    most = max((score for score, _ in hits.words.values()), default=1.0)
    best: dict[str, tuple[float, float]] = {}
    for chunk in {*hits.words, *(hits.meaning or ())}:
        close = hits.meaning.get(chunk, 0.0) if hits.meaning else 0.0
        shared = hits.words[chunk][0] / most if chunk in hits.words else 0.0
        for place in corpus.places.get(chunk, ()):
            if place.role != "excluded":
                before = best.get(place.document, (0.0, 0.0))
                best[place.document] = (max(close, before[0]), max(shared, before[1]))
    names = sorted(best, key=lambda name: (-sum(best[name]), name))[:SMALL]
    return tuple(dict.fromkeys((*names, *(name for name in hits.past if name in corpus.documents)))) or tuple(
        sorted(corpus.documents)[:SMALL]
    )


def tallied(corpus: Corpus, scores: Mapping[str, float], documents: Iterable[str]) -> dict[str, Tally]:
    """What was found for each of these documents."""
    tallies = {name: Tally() for name in documents}
    for chunk, score in scores.items():
        for place in corpus.places.get(chunk, ()):
            if place.document in tallies:
                tallies[place.document].scores[place.role].append((score, chunk))
    return tallies


def _meaning(corpus: Corpus, document: str, tally: Tally, floor: float) -> Iterable[Reason]:
    """One reason that carries the whole similarity, and quotes its best part. What the index did not return was at most
    as similar as ``floor``."""
    roles = corpus.roles[document]
    pages, sections = tally.best("page", "borrowed"), tally.best("section")
    by_pages = typical(pages, floor) if roles & {"page", "borrowed"} else None
    by_sections = typical(sections, floor) if "section" in roles else None
    if by_pages is None or by_sections is None:
        value = PART_MISSING * (by_pages or by_sections or floor)
    else:
        value = PAGES_SHARE * by_pages + (1 - PAGES_SHARE) * by_sections
    best = max((*pages[:1], *sections[:1]), default=None)
    text = f"{called(corpus, best[1])} ({best[0]:.2f})" if best else "nothing in it is close in meaning"
    yield Reason(source="meaning", text=text, contribution=value)


def called(corpus: Corpus, name: str) -> str:
    chunk = corpus.chunks[name]
    if chunk.section:
        return f"close in meaning to {chunk.document}#{chunk.section}"
    borrowed = next((p for p in corpus.places[name] if p.role == "borrowed"), None)
    if borrowed is not None:
        return f"close in meaning to “{_short(chunk.text)}”, which {chunk.document} says belongs here"
    return f"close in meaning to the page phrase “{_short(chunk.text)}”"


def _words(hits: Hits, tally: Tally, contribution: float) -> Iterable[Reason]:
    best = tally.best("page", "section", "borrowed")
    shared = dict.fromkeys(word for _, name in best[:3] for word in hits.words[name][1])
    if shared:
        text = f"shares the words {', '.join(telling(shared))}"
        yield Reason(source="words", text=text, contribution=contribution)


def telling(words: Iterable[str]) -> list[str]:
    """At most six, those that say most to a reader: numbers and long words, and one of each family."""
    chosen: dict[str, str] = {}
    for word in sorted(words, key=lambda word: (not any(c.isdigit() for c in word), -len(word), word)):
        chosen.setdefault(word[:5], word)
    return list(chosen.values())[:6]


def exclusion(corpus: Corpus, tally: Tally, scale: float) -> Iterable[Reason]:
    """Closer to a phrase that the runbook says is not its own than to any that is."""
    excluded, own = tally.best("excluded"), tally.best("page")
    if not excluded:
        return
    score, name = excluded[0]
    gap = score - (own[0][0] if own else 0.0)
    if gap > 0:
        owner = next(p.other for p in corpus.places[name] if p.role == "excluded")
        text = f"reads more like “{_short(corpus.chunks[name].text)}”, which belongs to {owner}"
        yield Reason(source="exclusion", text=text, contribution=-EXCLUSION_WEIGHT * gap * scale)


def scope(document: Document, query: Query) -> Iterable[Reason]:
    if document.kinds and query.service_kind:
        fits = query.service_kind in document.kinds
        kinds = ", ".join(document.kinds)
        yield Reason(
            source="service",
            text=f"is about {kinds}" + ("" if fits else f", and this service is {query.service_kind}"),
            contribution=KIND_MATCH if fits else SCOPE_MISMATCH,
        )
    names = {query.service, *query.service_tags, *(f"tag:{tag}" for tag in query.service_tags), "*"}
    if query.service and not names.intersection(document.services):
        text = f"is for {', '.join(document.services)}, not for {query.service}"
        yield Reason(source="service", text=text, contribution=SCOPE_MISMATCH)


def typical(hits: Sequence[tuple[float, str]], floor: float) -> float:
    """Mostly the best, a little of the best three: one lucky phrase is weaker than several."""
    scores = [score for score, _ in hits[:3]] or [floor]
    return 0.6 * scores[0] + 0.4 * sum(scores) / len(scores)


def word_score(hits: Sequence[tuple[float, str]]) -> float:
    return sum(score for score, _ in hits[:3]) / 3


def past(hits: Hits, document: str, weight: float) -> Iterable[Reason]:
    """Like an incident whose cause a person confirmed. It informs the order; what may be done is the runbook's."""
    near = hits.past.get(document)
    if near is not None and near[0] > PAST_FROM:
        text = f"like {near[1]}, for which this was confirmed ({near[0]:.2f})"
        yield Reason(source="past", text=text, contribution=weight * (near[0] - PAST_FROM))


def _priors(scores: Sequence[float], temperature: float, documents: int) -> list[float]:
    """Softmax, mixed with an even share for every document of the library."""
    if not scores:
        return []
    top = max(scores)
    powers = [math.exp((score - top) / temperature) for score in scores]
    total = sum(powers)
    even = UNIFORM_SHARE / documents
    return [(1 - UNIFORM_SHARE) * power / total + even for power in powers]


def _short(text: str) -> str:
    return text if len(text) <= 80 else text[:79].rstrip() + "…"
