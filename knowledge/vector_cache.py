"""Vectors that were computed before, on disk: a command about a library need not load a model for what has not changed.

A vector is kept under the model's name and the SHA-256 of its text, never with the text. The file may be deleted at any
time; one that cannot be read or written is done without.
"""

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path

from knowledge.ingest import text_digest
from knowledge.model import Embedder

MOST = 20_000
"""Vectors that are kept, the latest made: thirty megabytes."""
_SCHEMA = "CREATE TABLE IF NOT EXISTS vector (model TEXT, text TEXT, bytes BLOB, PRIMARY KEY (model, text))"


class CachingEmbedder:
    """An embedder that asks ``embedder`` only for texts that ``file`` does not know."""

    def __init__(self, embedder: Embedder, file: Path) -> None:
        self._embedder = embedder
        self._file = file
        self._known: dict[str, Sequence[float]] | None = None

    @property
    def name(self) -> str:
        return self._embedder.name

    @property
    def dimension(self) -> int:
        return self._embedder.dimension

    def embed(self, texts: Sequence[str]) -> Sequence[Sequence[float]]:
        if not texts:
            return []
        if self._known is None:
            self._known = self._read()
        wanted = {text: text_digest(text) for text in texts}
        missing = {digest: text for text, digest in wanted.items() if digest not in self._known}
        if missing:
            made = dict(zip(missing, self._embedder.embed(list(missing.values())), strict=True))
            self._known.update(made)
            self._write(made)
        return [self._known[wanted[text]] for text in texts]

    def _read(self) -> dict[str, Sequence[float]]:
        import numpy as np  # noqa: PLC0415 - heavy, and help must not wait for it

        name = self.name
        try:
            with closing(sqlite3.connect(self._file)) as database:
                rows = database.execute("SELECT text, bytes FROM vector WHERE model = ?", (name,)).fetchall()
        except sqlite3.Error:
            return {}
        return {str(digest): np.frombuffer(data, dtype="<f4").tolist() for digest, data in rows}

    def _write(self, made: Mapping[str, Sequence[float]]) -> None:
        import numpy as np  # noqa: PLC0415

        name = self.name
        rows = [(name, digest, np.asarray(vector, dtype="<f4").tobytes()) for digest, vector in made.items()]
        # A cache that cannot be kept costs time and nothing else.
        with suppress(sqlite3.Error, OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            with closing(sqlite3.connect(self._file, timeout=5.0)) as database, database:
                database.execute(_SCHEMA)
                database.executemany("INSERT OR REPLACE INTO vector VALUES (?, ?, ?)", rows)
                database.execute(
                    "DELETE FROM vector WHERE rowid NOT IN (SELECT rowid FROM vector ORDER BY rowid DESC LIMIT ?)",
                    (MOST,),
                )
