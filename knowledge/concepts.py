"""What a text speaks of, whatever words it uses: concepts from one list of terms, ``concepts.yaml``.

A page says "throttled", a runbook "429 rate_limit_exceeded": both speak of a rate limit. The list knows how people,
monitoring and vendors call things. It knows no runbook: which concepts a runbook is about is read from its own text.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

import yaml

TABLE = Path(__file__).resolve().parent / "concepts.yaml"
_PREFIX = 3
"""Letters by which terms with an open end are looked up."""
_TOKEN = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

_Term = tuple[tuple[str, ...], bool, int]
"""Its tokens, whether the last one may go on, and the number of its concept."""


@cache
def names() -> tuple[str, ...]:
    """All concepts, in the order of the list."""
    return tuple(_lists())


@lru_cache(maxsize=4096)
def spoken_of(text: str) -> Mapping[str, str]:
    """The concepts of a text, each with the words that say so."""
    exact, open_ended = _terms()
    found: dict[str, str] = {}
    for tokens in (_tokens(text.lower()), _tokens(_CAMEL.sub(" ", text).lower())):
        for start, token in enumerate(tokens):
            for term in (*exact.get(token, ()), *open_ended.get(token[:_PREFIX], ())):
                words, is_open, number = term
                if _matches(tokens[start : start + len(words)], words, is_open=is_open):
                    found.setdefault(names()[number], " ".join(tokens[start : start + len(words)]))
    return found


def _matches(tokens: Sequence[str], words: Sequence[str], *, is_open: bool) -> bool:
    if len(tokens) != len(words) or tokens[:-1] != list(words[:-1]):
        return False
    return tokens[-1].startswith(words[-1]) if is_open else tokens[-1] == words[-1]


def _tokens(text: str) -> list[str]:
    return _TOKEN.findall(text)


@cache
def _terms() -> tuple[Mapping[str, Sequence[_Term]], Mapping[str, Sequence[_Term]]]:
    """Terms by their whole first token, and, if that is their only one and has an open end, by how it begins."""
    exact: dict[str, list[_Term]] = {}
    open_ended: dict[str, list[_Term]] = {}
    for words, is_open, number in _all_terms():
        if is_open and len(words) == 1:
            # Whoever writes a shorter one than this asks for half of the dictionary.
            open_ended.setdefault(words[0][:_PREFIX], []).append((words, is_open, number))
        else:
            exact.setdefault(words[0], []).append((words, is_open, number))
    return exact, open_ended


def _all_terms() -> Iterator[_Term]:
    for number, terms in enumerate(_lists().values()):
        for term in terms:
            yield tuple(_tokens(term.lower())), term.endswith("*"), number


@cache
def _lists() -> Mapping[str, Sequence[str]]:
    table = yaml.safe_load(TABLE.read_text("utf-8"))
    return {str(concept): tuple(str(term) for term in terms) for concept, terms in table.items()}
