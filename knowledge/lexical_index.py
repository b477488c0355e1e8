"""Chunks by words: BM25 in an SQLite FTS5 table in memory. Needs no model, and is always there."""

import re
import sqlite3
import threading
from collections.abc import Sequence
from functools import lru_cache

from knowledge.model import Chunk

MAX_WORDS = 96
"""Distinct words of a query that are searched for; a page with a whole log in its body is cut here."""
ENTITY_WEIGHT = 2.0
"""How much more a shared status code, error name or header counts than a shared word."""

_WORD = re.compile(r"[^\W_]+", re.UNICODE)
_ENTITY = re.compile(
    r"""
    (?<![\w.])[1-5]\d\d(?![\w%]|\.\d)              # HTTP status codes
    | \b[a-z0-9]+(?:_[a-z0-9]+)+\b                 # insufficient_quota, remaining_tokens
    | \b[a-z]+(?:-[a-z0-9]+)*-(?:after|tokens|requests|limit|reset|id|version)\b   # retry-after, x-ratelimit-...
    | \b[A-Z][A-Za-z]+(?:Error|Exception|Timeout|Failure)\b   # RateLimitError, JSONDecodeError
    """,
    re.VERBOSE,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
_STOP = frozenset(
    """a about after all also an and any are as at be because been before being but by can could did do does for from
    had has have he her his how i if in into is it its just may me more most my no not of off on one only or other our
    out over she so some such than that the their them then there these they this those through to too under up was we
    were what when where which while who will with would you your""".split()  # noqa: SIM905 - a list of words, as one reads it
)
_OPEN, _CLOSE = "\x02", "\x03"
_MARKED = re.compile(f"{_OPEN}([^{_CLOSE}]*){_CLOSE}")


class LexicalIndex:
    """Implements :class:`knowledge.model.WordIndex`. Safe to use from several threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._database = sqlite3.connect(":memory:", check_same_thread=False)
        self._database.execute(
            "CREATE VIRTUAL TABLE chunk USING fts5(id UNINDEXED, words, entities, "
            "tokenize = 'porter unicode61 remove_diacritics 2')"
        )
        self._rows: dict[tuple[str, str], int] = {}
        """Row by id and text."""

    def replace(self, chunks: Sequence[Chunk]) -> None:
        """Make these the whole index. Only what differs is written."""
        wanted = {(chunk.id, chunk.text): chunk for chunk in chunks}
        with self._lock, self._database:
            gone = [key for key in self._rows if key not in wanted]
            self._database.executemany("DELETE FROM chunk WHERE rowid = ?", [(self._rows.pop(key),) for key in gone])
            for key, chunk in wanted.items():
                if key not in self._rows:
                    row = (chunk.id, _clean(chunk.text), " ".join(entity_tokens(chunk.text)))
                    added = self._database.execute("INSERT INTO chunk (id, words, entities) VALUES (?, ?, ?)", row)
                    self._rows[key] = int(added.lastrowid or 0)

    def search(self, text: str, k: int) -> Sequence[tuple[str, float, Sequence[str]]]:
        """Chunk ids, scores and the words of the chunk that matched, best first. No text can be query syntax: it is
        taken apart into words, and each is quoted."""
        match = _match(text)
        if not match or k < 1:
            return []
        with self._lock:
            found = self._database.execute(
                "SELECT id, -rank, highlight(chunk, 1, ?, ?) FROM chunk WHERE chunk MATCH ? AND rank MATCH ? "
                "ORDER BY rank LIMIT ?",  # by ``rank``, so that only what is returned is marked
                (_OPEN, _CLOSE, match, f"bm25(0, 1.0, {ENTITY_WEIGHT})", k),
            ).fetchall()
        ranked = sorted((-float(score), str(name), str(text)) for name, score, text in found)
        return [(name, -score, _marked(text)) for score, name, text in ranked]

    def close(self) -> None:
        self._database.close()


def entities(text: str) -> list[str]:
    """What in a text is a name that machines give: status codes, error codes and classes, header names."""
    return list(dict.fromkeys(_ENTITY.findall(text)))


def words(text: str) -> list[str]:
    """The words of a text that say something, in lower case, each once, in order. Names with capitals in the middle
    or with underscores count by their parts."""
    parts = (part.lower() for part in _WORD.findall(_CAMEL.sub(" ", text)))
    return list(dict.fromkeys(part for part in parts if part not in _STOP and (len(part) > 1 or part.isdigit())))


def _match(text: str) -> str:
    terms = [f'words : "{word}"' for word in words(text)[:MAX_WORDS]]
    terms += [f'entities : "{token}"' for token in entity_tokens(text)[:MAX_WORDS]]
    return " OR ".join(terms)


@lru_cache(maxsize=4096)
def entity_tokens(text: str) -> tuple[str, ...]:
    """One letters-and-digits token for an entity, whatever its spelling: ``rate_limit_error`` is ``RateLimitError``.
    The porter stemmer must not touch it, hence the digit at its end."""
    return tuple(dict.fromkeys("x" + "".join(_WORD.findall(entity)).lower() + "0" for entity in entities(text)))


def _clean(text: str) -> str:
    """What is stored: names split at capitals as in a query, without the two characters that mark matches."""
    return _CAMEL.sub(" ", text.replace(_OPEN, " ").replace(_CLOSE, " ").replace("\0", " "))


def _marked(highlighted: str) -> Sequence[str]:
    pieces = dict.fromkeys(_MARKED.findall(highlighted))
    return list(dict.fromkeys(word for piece in pieces for word in _plain(piece)))


@lru_cache(maxsize=16_384)
def _plain(piece: str) -> tuple[str, ...]:
    """The words of a matched piece, in lower case."""
    return tuple(word for word in map(str.lower, _WORD.findall(piece)) if word not in _STOP)
