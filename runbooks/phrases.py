"""Whether the phrases of a runbook say different things. Of two that are nearly alike each finds its runbook by the
other one, so that neither is a test of it."""

import re
from collections.abc import Iterator, Sequence

from runbooks.parse import Key

ALIKE = 0.6
"""Share of their words that two phrases have in common, from which they are nearly alike."""
_WORD = re.compile(r"[a-z0-9]+")
_COMMON = frozenset(
    _WORD.findall(
        "a an and are as at be by for from has have he i in is it no not of on or our she that the they this to was we "
        "were with you"
    )
)


def alike(phrases: Sequence[tuple[Key, str]]) -> Iterator[tuple[Key, str]]:
    """Where a phrase stands that is nearly alike to an earlier one, and that one."""
    seen: list[tuple[str, frozenset[str]]] = []
    for place, text in phrases:
        words = frozenset(_WORD.findall(text.casefold())) - _COMMON
        twin = next((known for known, those in seen if _share(words, those) >= ALIKE), None)
        if twin is not None:
            yield place, twin
        seen.append((text, words))


def _share(one: frozenset[str], other: frozenset[str]) -> float:
    every = one | other
    return len(one & other) / len(every) if every else 0.0
