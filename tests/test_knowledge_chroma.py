"""The embedded Chroma index: exact enough, private, one process a directory, rebuilt rather than trusted."""

import fcntl
import json
import shutil
import sqlite3
import stat
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from knowledge.chroma_index import ChromaIndex, IndexUnavailableError
from knowledge.evaluation import ExactSearch, index_agreement
from knowledge.index_check import persisted_function
from knowledge.ingest import text_digest
from knowledge.model import Chunk
from tests.knowledge_fakes import WordHashEmbedder

EMBEDDER = WordHashEmbedder("model-a")
EVIL = {
    "embedding_function": {
        "type": "known",
        "name": "sentence_transformer",
        "config": {"model_name": "attacker/evil", "device": "cpu", "kwargs": {"trust_remote_code": True}},
    }
}


def chunk(name: str, text: str = "") -> Chunk:
    return Chunk(id=name, document="doc", section="", kind="page", text=text or name, sha256=text_digest(text or name))


def unit_vectors(count: int, dimension: int, seed: int) -> list[list[float]]:
    """Without any structure: the hardest case for an approximate index."""
    rows = np.random.default_rng(seed).normal(size=(count, dimension))
    vectors: list[list[float]] = (rows / np.linalg.norm(rows, axis=1, keepdims=True)).tolist()
    return vectors


THREE = (chunk("a"), chunk("b"), chunk("c"))
VECTORS = ([1.0, 0.0], [0.0, 1.0], [0.6, 0.8])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "index"


@pytest.fixture
def index(folder: Path) -> Iterator[ChromaIndex]:
    index = ChromaIndex(folder, EMBEDDER)
    yield index
    index.close()


def filled(folder: Path, chunks: Sequence[Chunk] = THREE, embedder: WordHashEmbedder = EMBEDDER) -> None:
    """Build an index and let go of it."""
    index = ChromaIndex(folder, embedder)
    index.replace(chunks, VECTORS[: len(chunks)])
    index.close()


def names(index: ChromaIndex) -> list[str]:
    return [name for name, _ in index.nearest([1.0, 0.0], 10)]


def test_it_gives_cosines_best_first(index: ChromaIndex) -> None:
    index.replace(THREE, VECTORS)
    found = index.nearest([1.0, 0.0], 10)

    assert [name for name, _ in found] == ["a", "c", "b"]
    assert [similarity for _, similarity in found] == pytest.approx([1.0, 0.6, 0.0], abs=1e-5)


def test_an_empty_index_finds_nothing(index: ChromaIndex) -> None:
    assert index.nearest([1.0, 0.0], 5) == []
    index.replace((), ())
    assert index.nearest([1.0, 0.0], 5) == []


def test_replace_makes_it_the_whole_index(index: ChromaIndex) -> None:
    index.replace(THREE, VECTORS)
    index.replace((chunk("d"), chunk("b")), ([0.8, 0.6], [0.0, 1.0]))

    assert names(index) == ["d", "b"]
    index.replace(THREE, VECTORS)
    assert names(index) == ["a", "c", "b"]


def test_the_first_five_are_those_of_exact_search_at_thousands_of_vectors(index: ChromaIndex) -> None:
    vectors = unit_vectors(4_000, 384, seed=1)
    chunks = [chunk(f"c{number}") for number in range(len(vectors))]
    index.replace(chunks, vectors)
    held = {c.id: vector for c, vector in zip(chunks, vectors, strict=True)}

    assert index_agreement(index, held, unit_vectors(150, 384, seed=2)) >= 0.99


def test_the_comparison_with_exact_search_notices_a_difference() -> None:
    class Forgetful:
        def replace(self, chunks: Sequence[Chunk], vectors: Sequence[Sequence[float]]) -> None: ...
        def nearest(self, vector: Sequence[float], k: int) -> Sequence[tuple[str, float]]:
            return ExactSearch(dict(zip("abc", VECTORS, strict=True))).nearest(vector, k + 1)[1:]

    assert index_agreement(Forgetful(), dict(zip("abc", VECTORS, strict=True)), [[1.0, 0.0]], k=2) == 0.0


class TestFromOneStartToTheNext:
    def test_what_was_indexed_is_known_again(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)

        assert set(index.known()) == {c.sha256 for c in THREE}
        assert index.known()[text_digest("c")] == pytest.approx([0.6, 0.8])
        assert names(index) == ["a", "c", "b"]
        assert index.notice == ""

    def test_the_same_chunks_again_write_nothing(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)
        before = (folder / "manifest.json").stat().st_mtime_ns

        index.replace(THREE, VECTORS)
        assert (folder / "manifest.json").stat().st_mtime_ns == before

    def test_vectors_of_another_model_are_thrown_away(self, folder: Path) -> None:
        filled(folder)
        index = ChromaIndex(folder, WordHashEmbedder("model-b"))

        assert index.known() == {}
        index.close()

    @pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}'])
    def test_a_manifest_that_cannot_be_read_means_a_new_index(
        self, folder: Path, index: ChromaIndex, text: str
    ) -> None:
        filled(folder)
        (folder / "manifest.json").write_text(text)

        assert index.known() == {}
        index.replace(THREE, VECTORS)
        assert names(index) == ["a", "c", "b"]

    def test_vectors_edited_on_disk_are_noticed(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "vectors": "0" * 64}))

        assert index.known() == {}

    def test_a_rebuild_that_a_crash_interrupted_is_started_again(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)
        manifest = json.loads((folder / "manifest.json").read_text())
        (folder / "manifest.json").write_text(json.dumps({**manifest, "collection": "chunks-b"}))
        index.replace(THREE[:2], VECTORS[:2])

        assert names(index) == ["a", "b"]


class TestADamagedIndex:
    @pytest.mark.parametrize("offset", [0, 4096 * 3])
    def test_a_broken_database_is_rebuilt(self, folder: Path, index: ChromaIndex, offset: int) -> None:
        filled(folder)
        with (folder / "chroma" / "chroma.sqlite3").open("r+b") as file:
            file.seek(offset)
            file.write(b"\xff" * 4096 * 20)

        assert index.known() == {}
        assert "damaged" in index.notice
        index.replace(THREE, VECTORS)
        assert names(index) == ["a", "c", "b"]

    def test_broken_vectors_are_rebuilt(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)
        for file in (folder / "chroma").glob("*/*"):
            file.unlink()

        assert names(index) in ([], ["a", "c", "b"])
        index.replace(THREE, VECTORS)
        assert names(index) == ["a", "c", "b"]

    def test_a_deleted_directory_is_rebuilt(self, folder: Path, index: ChromaIndex) -> None:
        filled(folder)
        shutil.rmtree(folder)

        assert index.known() == {}

    def test_a_path_that_cannot_be_a_directory_is_said(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        index = ChromaIndex(tmp_path / "file" / "index", EMBEDDER)

        with pytest.raises(IndexUnavailableError, match="delete it to rebuild"):
            index.known()

    def test_a_vector_of_the_wrong_size_is_our_error(self, index: ChromaIndex) -> None:
        index.replace(THREE, VECTORS)

        with pytest.raises(IndexUnavailableError):
            index.nearest([1.0, 0.0, 0.0], 5)
        assert names(index) == ["a", "c", "b"]


class TestAForeignEmbeddingFunction:
    """DS-07: opening must not construct what the database names."""

    def poison(self, folder: Path, column: str, value: object) -> None:
        with closing(sqlite3.connect(folder / "chroma" / "chroma.sqlite3")) as database, database:
            database.execute(f"UPDATE collections SET {column} = ?", (json.dumps(value),))

    @pytest.mark.parametrize("column", ["config_json_str", "schema_str"])
    def test_it_is_moved_aside_and_never_constructed(
        self, folder: Path, index: ChromaIndex, column: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        filled(folder)
        self.poison(folder, column, EVIL)
        mark = tmp_path / "constructed"
        trap = tmp_path / "trap" / "sentence_transformers"
        trap.mkdir(parents=True)
        (trap / "__init__.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass SentenceTransformer: ...\n")
        monkeypatch.syspath_prepend(str(tmp_path / "trap"))
        monkeypatch.delitem(sys.modules, "sentence_transformers", raising=False)

        assert index.known() == {}
        assert "embedding function" in index.notice
        index.replace(THREE, VECTORS)
        assert names(index) == ["a", "c", "b"]
        assert not mark.exists()
        assert (folder / "refused" / "chroma.sqlite3").exists()

    @pytest.mark.parametrize(
        "value", [{"a": [{"embedding_function": {"type": "known"}}]}, {"embedding_function": "x"}, "not json at all {"]
    )
    def test_anything_but_none_is_refused_wherever_it_stands(self, folder: Path, value: object) -> None:
        filled(folder)
        assert persisted_function(folder / "chroma" / "chroma.sqlite3") == ""

        with closing(sqlite3.connect(folder / "chroma" / "chroma.sqlite3")) as database, database:
            text = value if isinstance(value, str) else json.dumps(value)
            database.execute("UPDATE collections SET schema_str = ?", (text,))
        assert persisted_function(folder / "chroma" / "chroma.sqlite3") != ""


def test_its_files_are_private(folder: Path, index: ChromaIndex) -> None:
    index.replace(THREE, VECTORS)
    modes = {path: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.rglob("*"))}

    assert {path.name: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}


def test_a_directory_belongs_to_one_process(folder: Path, index: ChromaIndex) -> None:
    folder.mkdir()
    with (folder / "lock").open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        with pytest.raises(IndexUnavailableError, match="in use by another process"):
            index.known()

    assert index.known() == {}


def test_after_close_the_next_call_opens_it_again(index: ChromaIndex) -> None:
    index.replace(THREE, VECTORS)
    index.close()

    assert names(index) == ["a", "c", "b"]


def test_more_chunks_than_the_database_takes_names_for_are_all_known_again(tmp_path: Path) -> None:
    embedder = WordHashEmbedder()
    embedder.dimension = 2
    texts = [f"word{n}" for n in range(33_000)]
    chunks = [Chunk(id=t, document="d", section="", kind="page", text=t, sha256=text_digest(t)) for t in texts]
    index = ChromaIndex(tmp_path / "index", embedder)
    index.replace(chunks, [[1.0, n / len(texts)] for n in range(len(texts))])
    index.close()
    again = ChromaIndex(tmp_path / "index", embedder)

    assert len(again.known()) == len(texts)
    again.close()


def test_a_small_index_answers_exactly_so_that_every_build_answers_alike(tmp_path: Path) -> None:
    chunks, vectors = [chunk(f"c{n}") for n in range(900)], unit_vectors(900, 64, seed=3)
    exact = ExactSearch({one.id: vector for one, vector in zip(chunks, vectors, strict=True)})
    for build in ("first", "second"):
        index = ChromaIndex(tmp_path / build, EMBEDDER)
        index.replace(chunks, vectors)
        for vector in unit_vectors(20, 64, seed=4):
            assert [name for name, _ in index.nearest(vector, 400)] == [name for name, _ in exact.nearest(vector, 400)]
        index.close()
