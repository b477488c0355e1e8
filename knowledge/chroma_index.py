"""Chunks by meaning, in an embedded Chroma: a cache that can be rebuilt at any time, and is checked before opening.

Chroma would construct whatever embedding function its database names, with code of an attacker's choice; so the
database is read as plain SQLite first. Its directory belongs to one process, is private, and its content is compared
with a manifest.
"""

import fcntl
import hashlib
import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

from knowledge.index_check import Manifest, chunks_digest, persisted_function
from knowledge.model import Chunk, Embedder, KnowledgeError

FORMAT = 2
"""Raised when an index has to be built anew."""
EXACT = 4_000
"""Up to so many chunks every one is compared: the graph is built with chance in it, so an index that misses some misses
others the next time, and what is learned from it is never the same twice."""
_BATCH = 2_000


class IndexUnavailableError(KnowledgeError):
    """The index cannot be used now: why, and what to do. Search goes on by words."""


class ChromaIndex:
    """Implements :class:`knowledge.retrieval.VectorStore` in ``folder``. Opened on first use; what another embedder
    made is thrown away. Every method may raise :class:`IndexUnavailableError`, and what the embedder raises on loading.
    """

    def __init__(self, folder: Path, embedder: Embedder) -> None:
        self._folder = folder
        self._data = folder / "chroma"
        self._embedder = embedder
        self._client: Any = None
        self._collection: Any = None
        self._manifest: Manifest | None = None
        self._handle: IO[bytes] | None = None
        self._lock = threading.RLock()
        self.notice = ""
        """What a person should know of the last opening, such as that a foreign index was moved aside."""

    def known(self) -> Mapping[str, Sequence[float]]:
        """Vectors that need not be computed again, by SHA-256 of their text."""
        with self._lock, _chroma_errors(self._folder):
            self._open()
            if self._collection is None:
                return {}
            return {
                str(meta["sha256"]): vector
                for rows in _pages(self._collection, ["embeddings", "metadatas"])
                for meta, vector in zip(rows["metadatas"], rows["embeddings"], strict=True)
            }

    def replace(self, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None:
        """Make these the whole index. Readers see the one before until it is finished; if nothing differs, nothing is
        written."""
        with self._lock, _chroma_errors(self._folder):
            self._open()
            digest = chunks_digest(chunks)
            if self._manifest is not None and self._manifest.chunks == digest:
                return
            before = self._manifest.collection if self._manifest else ""
            name = "chunks-b" if before == "chunks-a" else "chunks-a"
            collection = self._filled(name, chunks, vectors)
            manifest = Manifest(
                format=FORMAT, model=self._embedder.name, chunks=digest, vectors=_vectors_digest(collection),
                collection=name, count=len(chunks),
            )  # fmt: skip
            manifest.write(self._folder / "manifest.json")
            self._collection, self._manifest = collection, manifest
            if before:
                self._client.delete_collection(before)
            _make_private(self._folder)

    def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
        """Chunk ids and cosine similarities, best first."""
        with self._lock, _chroma_errors(self._folder):
            self._open()
            if self._manifest is None or self._manifest.count == 0 or k < 1:
                return []
            found = self._collection.query(
                query_embeddings=[list(vector)], n_results=min(k, self._manifest.count), include=["distances"]
            )
        return [(str(i), 1.0 - float(d)) for i, d in zip(found["ids"][0], found["distances"][0], strict=True)]

    def close(self) -> None:
        """Let go of the directory."""
        with self._lock:
            if self._client is not None:
                self._client.close()
            if self._handle is not None:
                self._handle.close()
            self._client = self._collection = self._manifest = self._handle = None

    def _open(self) -> None:
        if self._client is not None:
            return
        self._claim()
        try:
            fault = persisted_function(self._data / "chroma.sqlite3")
            if fault:
                self.notice = f"{fault}; moved aside to {self._move_aside()} and rebuilt"
            manifest = Manifest.read(self._folder / "manifest.json")
            if manifest is None or (manifest.format, manifest.model) != (FORMAT, self._embedder.name):
                self._start_anew()
            else:
                self._connect(manifest)
        except BaseException:
            self.close()
            raise
        _make_private(self._folder)

    def _claim(self) -> None:
        """One process for a directory: another would not see what this one adds."""
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)
        handle = (self._folder / "lock").open("ab")
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            handle.close()
            raise IndexUnavailableError(f"{self._folder} is in use by another process") from error
        self._handle = handle

    def _connect(self, manifest: Manifest) -> None:
        try:
            self._client = _client(self._data)
            names = {collection.name for collection in self._client.list_collections()}
            if manifest.collection in names:
                collection = self._client.get_collection(manifest.collection, embedding_function=None)
                if collection.count() == manifest.count and _vectors_digest(collection) == manifest.vectors:
                    self._collection, self._manifest = collection, manifest
        except _vendor_errors() as error:
            self.notice = f"the search index was damaged ({error}); rebuilt"
        if self._manifest is None:
            # Nothing that can be trusted: start from an empty directory rather than repair.
            self._start_anew()

    def _start_anew(self) -> None:
        if self._client is not None:
            self._client.close()
        shutil.rmtree(self._data, ignore_errors=True)
        (self._folder / "manifest.json").unlink(missing_ok=True)
        self._client = _client(self._data)

    def _filled(self, name: str, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> Any:
        settings = {
            "space": "cosine",
            "max_neighbors": 48,
            "ef_construction": 200,
            # A fixed width misses true neighbours as the index grows: measured against exact search.
            "ef_search": len(chunks) if len(chunks) <= EXACT else min(max(256, len(chunks) // 8), 5_000),
            "num_threads": 1,
        }
        if name in {collection.name for collection in self._client.list_collections()}:  # an unfinished rebuild
            self._client.delete_collection(name)
        collection = self._client.create_collection(name, embedding_function=None, configuration={"hnsw": settings})
        for start in range(0, len(chunks), _BATCH):
            part = chunks[start : start + _BATCH]
            collection.add(
                ids=[chunk.id for chunk in part],
                embeddings=[list(vector) for vector in vectors[start : start + _BATCH]],
                metadatas=[{"sha256": chunk.sha256, "document": chunk.document} for chunk in part],
            )
        return collection

    def _move_aside(self) -> Path:
        """Out of the way, for whoever wants to know how it came there; one is kept."""
        target = self._folder / "refused"
        shutil.rmtree(target, ignore_errors=True)
        self._data.rename(target)
        return target


def _client(folder: Path) -> Any:
    import chromadb  # noqa: PLC0415 - 1.7 s to import, and not needed to receive a page
    from chromadb.config import Settings  # noqa: PLC0415

    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    # No .env file and no environment variable of somebody else's may choose another implementation.
    own: dict[str, Any] = {"_env_file": None, "chroma_api_impl": "chromadb.api.rust.RustBindingsAPI"}
    settings = Settings(**own, anonymized_telemetry=False, allow_reset=False)
    return chromadb.PersistentClient(path=str(folder), settings=settings)


def _vendor_errors() -> tuple[type[Exception], ...]:
    """What Chroma, its Rust core or the disk raise for a damaged index or a wrong argument."""
    own = (OSError, ValueError, TypeError, KeyError, RuntimeError, sqlite3.Error)
    try:
        from chromadb.errors import ChromaError  # noqa: PLC0415 - with chromadb, and as late
    except ImportError:
        return own
    return (ChromaError, *own)


def _vectors_digest(collection: Any) -> str:
    import numpy as np  # noqa: PLC0415 - with chromadb, and as late

    ids: list[str] = []
    parts: list[Any] = []
    for rows in _pages(collection, ["embeddings"]):
        ids += rows["ids"]
        parts.append(np.asarray(rows["embeddings"], dtype=np.float32))
    if not ids:
        return ""
    return hashlib.sha256(np.concatenate(parts)[np.argsort(np.asarray(ids))].tobytes()).hexdigest()


def _pages(collection: Any, include: Sequence[str]) -> Iterator[Any]:
    """All rows, some at a time: Chroma asks its database for each by name, and that takes 32,766 names at most."""
    for start in range(0, collection.count(), _BATCH):
        yield collection.get(include=list(include), limit=_BATCH, offset=start)


def _make_private(folder: Path) -> None:
    """Chroma writes its files readable for everybody."""
    for here, folders, names in os.walk(folder):
        for name, mode in (*((n, 0o700) for n in folders), *((n, 0o600) for n in names)):
            with suppress(FileNotFoundError):  # SQLite's journal comes and goes
                (Path(here) / name).chmod(mode)


@contextmanager
def _chroma_errors(folder: Path) -> Iterator[None]:
    """Whatever Chroma, its Rust core or the disk raise becomes our error, with the place."""
    try:
        yield
    except ImportError as error:
        raise IndexUnavailableError(f"chromadb is not installed: {error}; run 'make install'") from error
    except _vendor_errors() as error:
        raise IndexUnavailableError(f"the search index in {folder} failed: {error}; delete it to rebuild it") from error
