"""The search behind the knowledge base: vectors of hashed words, exact and approximate, and a plain word search.

Pure: the same settings and question give the same hits. How well a setting finds what it should is worked out once,
over all questions of the support set, and is what users feel.
"""

import hashlib
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from drills.corpus import FRESH, SET, Paper, paper_id, papers
from drills.draws import Floats, generator, uniform
from drills.golden import items

SIZE = 256
STORED_MODEL = "acme-embed"
"""What the vectors in the index were made with."""
SETTINGS: Mapping[str, Any] = {
    "revision": "s31", "mode": "vector", "embedding_model": STORED_MODEL, "top_k": 8, "ef_search": 128, "filter": "",
}  # fmt: skip
"""How the index is searched on an ordinary day."""
FILTERS = ("", "region:eu", "tenant:internal")
_WORD = re.compile(r"[\w$-]+")
_EF_ALL = 128.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """A document that was found, with its score."""

    paper: Paper
    score: float


def vector(text: str, model: str) -> Floats:
    """The unit vector of a text, up to the jitter of one call. Another model of the same size means something else."""
    found = np.zeros(SIZE)
    for word in _WORD.findall(text.lower()):
        place = int.from_bytes(hashlib.blake2b(f"{model}/{word}".encode(), digest_size=4).digest(), "big")
        found[place % SIZE] += 1.0 if place & 0x10000 else -1.0
    found += generator(0, "embedding", model, text).normal(0.0, 0.05, SIZE)
    unit: Floats = found / np.linalg.norm(found)
    return unit


@lru_cache(maxsize=4)
def _stored(added: tuple[Paper, ...]) -> tuple[tuple[Paper, ...], Floats]:
    everything = (*papers(), *added)
    return everything, np.stack([vector(paper.text, STORED_MODEL) for paper in everything])


@lru_cache(maxsize=4)
def _words(added: tuple[Paper, ...]) -> tuple[tuple[Paper, ...], tuple[Counter[str], ...], Mapping[str, float]]:
    everything = (*papers(), *added)
    # Handbook titles count twice, as in any word search with a field for the title.
    counted = tuple(Counter(_WORD.findall(f"{p.title} {p.text}".lower())) for p in everything)
    seen = Counter(word for words in counted for word in words)
    return everything, counted, {word: math.log(1 + len(everything) / count) for word, count in seen.items()}


def find(
    question: str, settings: Mapping[str, Any], *, added: tuple[Paper, ...] = (), without: Sequence[str] = (),
    exact: bool = False, unfiltered: bool = False,
) -> list[Hit]:  # fmt: skip
    """The best documents for a question, best first."""
    left = frozenset(without)
    if settings["mode"] == "keyword":
        ranked = _by_words(question, added)
    else:
        ranked = _by_vectors(question, settings, added, exact=exact)
    chosen = [hit for hit in ranked if hit.paper.id not in left]
    if not unfiltered:
        chosen = [hit for hit in chosen if passes(hit.paper, str(settings["filter"]))]
    return chosen[: int(settings["top_k"])]


def _by_vectors(question: str, settings: Mapping[str, Any], added: tuple[Paper, ...], *, exact: bool) -> list[Hit]:
    everything, stored = _stored(added)
    scores = stored @ vector(question, str(settings["embedding_model"]))
    reach = 1.0 if exact else min(1.0, float(settings["ef_search"]) / _EF_ALL) ** 0.25
    order = np.argsort(-scores, kind="stable")[:60]
    hits = [Hit(paper=everything[n], score=round(float(scores[n]), 4)) for n in order]
    # A narrow search of the graph never reaches some of the neighbours.
    return [hit for hit in hits if reach >= 1.0 or uniform(7, "graph", hit.paper.id, question) < reach]


def _by_words(question: str, added: tuple[Paper, ...]) -> list[Hit]:
    everything, counted, weight = _words(added)
    asked = set(_WORD.findall(question.lower()))
    hits = []
    for paper, words in zip(everything, counted, strict=True):
        score = sum(weight[word] * (1.0 + math.log(words[word])) for word in asked if word in words)
        if score > 0.0:
            hits.append(Hit(paper=paper, score=round(score / math.sqrt(sum(words.values())), 4)))
    return sorted(hits, key=lambda hit: (-hit.score, hit.paper.id))[:60]


def passes(paper: Paper, name: str) -> bool:
    """Whether a metadata filter lets a document through: not every document carries every field."""
    if name == "":
        return True
    return name == "region:eu" and uniform(7, "region", paper.id) < 0.55


@lru_cache(maxsize=64)
def _recall(key: tuple[tuple[str, Any], ...]) -> float:
    settings = dict(key)
    asked = [item for item in items(SET) if FRESH not in item.tags]
    found = sum(any(hit.paper.id == paper_id(item) for hit in find(item.input, settings)) for item in asked)
    return found / len(asked)


def recall(settings: Mapping[str, Any]) -> float:
    """Share of questions whose document is found with these settings, 0 to 1."""
    return _recall(tuple(sorted(settings.items())))


@lru_cache(maxsize=64)
def _reached(added: tuple[Paper, ...], key: tuple[tuple[str, Any], ...], held: tuple[str, ...]) -> float:
    mine = {paper.id for paper in added}
    asked = items(SET)
    hit = sum(any(h.paper.id in mine for h in find(item.input, dict(key), added=added, without=held)) for item in asked)
    return hit / len(asked)


def reached(added: tuple[Paper, ...], settings: Mapping[str, Any], held: tuple[str, ...]) -> float:
    """Share of questions for which one of these documents is found, with some kept out."""
    return _reached(added, tuple(sorted(settings.items())), held)


def lost(settings: Mapping[str, Any]) -> float:
    """Share of what is found on an ordinary day that is not found with these settings."""
    return max(0.0, 1.0 - recall(settings) / recall(SETTINGS))
