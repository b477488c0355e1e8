"""Looks at a search index on disk before any library opens it: what made it, and whether it names code to run."""

import hashlib
import json
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path

from knowledge.model import Chunk

_HARMLESS = ({"type": "legacy"}, {"type": "unknown"})
"""How Chroma writes down that a collection has no embedding function."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Manifest:
    """What the index was built from, and what it held when it was finished."""

    format: int
    model: str
    chunks: str
    """SHA-256 over ids and texts of all chunks."""
    vectors: str
    """SHA-256 over all vectors as Chroma gives them back."""
    collection: str
    count: int

    @classmethod
    def read(cls, path: Path) -> "Manifest | None":
        """The manifest at ``path``, if there is one that can be read."""
        try:
            return cls(**json.loads(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def write(self, path: Path) -> None:
        """Put it at ``path``, whole or not at all."""
        part = path.with_suffix(".part")
        part.write_text(json.dumps(asdict(self)), encoding="utf-8")
        part.replace(path)


def persisted_function(database: Path) -> str:
    """What is wrong with a Chroma database, read as plain SQLite: empty if it may be opened."""
    if not database.exists():
        return ""
    try:
        with closing(sqlite3.connect(f"file:{database}?mode=ro", uri=True)) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(collections)")]
            texts = [
                column for column in columns if column in ("config_json_str", "schema_str", "configuration_json_str")
            ]
            rows = connection.execute(f"SELECT {', '.join(texts)} FROM collections").fetchall() if texts else []  # noqa: S608
        for text in (value for row in rows for value in row if value is not None):
            for function in _functions(json.loads(text)):
                if function is not None and function not in _HARMLESS:
                    return "the search index names an embedding function, which ours never does"
    except (sqlite3.Error, ValueError, RecursionError) as error:
        return f"the search index is damaged ({error})"
    return ""


def chunks_digest(chunks: Sequence[Chunk]) -> str:
    """SHA-256 of a set of chunks, whatever their order."""
    return hashlib.sha256("\n".join(sorted(f"{c.id}\0{c.sha256}" for c in chunks)).encode()).hexdigest()


def _functions(value: object) -> Iterator[object]:
    if isinstance(value, dict):
        for key, item in value.items():
            if key == "embedding_function":
                yield item
            else:
                yield from _functions(item)
    elif isinstance(value, list):
        for item in value:
            yield from _functions(item)
