"""Texts that say the same in other words, put together by the words they share. Pure and deterministic."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

ALIKE = 0.34
"""Share of their words that two texts have in common from which they are about the same."""
SHOWN = 5
_WORD = re.compile(r"[^\W\d_][^\W_]{2,}")
_COMMON = frozenset({
    "the", "and", "for", "with", "from", "this", "that", "was", "are", "has", "have", "not", "its", "into", "over",
    "than", "more", "less", "been", "were", "but", "all", "any", "firing", "resolved", "triggered", "alert", "alerts",
    "incident", "critical", "warning", "error", "high", "low", "last", "min", "minutes", "sev", "prod", "production",
})  # fmt: skip
"""Words that say nothing of what a page is about."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cluster:
    """Texts that are alike: their numbers in the input, and the words that most of them share."""

    members: tuple[int, ...]
    words: tuple[str, ...]


def clusters(texts: Sequence[str]) -> list[Cluster]:
    """Each text joins the first cluster that it is like; the largest first."""
    bags = [_words(text) for text in texts]
    groups: list[tuple[Counter[str], list[int]]] = []
    for number, bag in enumerate(bags):
        best = max(groups, key=lambda group: _alike(bag, group), default=None)
        if best is not None and _alike(bag, best) >= ALIKE:
            best[0].update(bag)
            best[1].append(number)
        else:
            groups.append((Counter(bag), [number]))
    found = [Cluster(members=tuple(members), words=_label(count, len(members))) for count, members in groups]
    return sorted(found, key=lambda one: (-len(one.members), one.members))


def _words(text: str) -> frozenset[str]:
    return frozenset(word.lower() for word in _WORD.findall(text)) - _COMMON


def _alike(bag: frozenset[str], group: tuple[Counter[str], list[int]]) -> float:
    """Share of all words that are in the text and in at least half of the group."""
    count, members = group
    core = {word for word, times in count.items() if 2 * times >= len(members)}
    union = bag | core
    return len(bag & core) / len(union) if union else 1.0


def _label(count: Counter[str], members: int) -> tuple[str, ...]:
    shared = [word for word, times in sorted(count.items(), key=lambda item: (-item[1], item[0]))
              if 2 * times >= members]  # fmt: skip
    return tuple(shared[:SHOWN])
