"""The real model, checked before it is loaded, offline; and retrieval over it with the real index."""

import hashlib
import json
import os
import shutil
import socket
from pathlib import Path

import pytest

from knowledge.chroma_index import ChromaIndex
from knowledge.embedder import (
    PACKAGED_SUMS,
    SUMS,
    EmbedderError,
    SentenceTransformerEmbedder,
    packaged_folder,
    verify_model,
)
from knowledge.evaluation import index_agreement
from knowledge.ingest import documents
from knowledge.lexical_index import LexicalIndex
from knowledge.model import Query
from knowledge.retrieval import HybridLibrarian
from runbooks.parse import parse
from tests.runbooks_fakes import WHOLE

OTHER = """\
---
title: Tokens of the minute are used up
owner: assist
pages:
  - "429 rate_limit_exceeded on the chat route"
  - "remaining tokens at zero, retry-after 20"
---
# Tokens of the minute are used up
## Is it this?
The provider counts tokens for each minute, and refuses what is above.
"""


@pytest.fixture(scope="module")
def embedder() -> SentenceTransformerEmbedder:
    embedder = SentenceTransformerEmbedder()
    embedder.load()
    return embedder


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A directory that looks like a model and is covered by its own sums."""
    folder = tmp_path / "model"
    (folder / "1_Pooling").mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(b"weights")
    (folder / "config.json").write_text('{"model_type": "bert"}')
    (folder / "1_Pooling" / "config.json").write_text("{}")
    (folder / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.Transformer"}]))
    write_sums(folder)
    return folder


def write_sums(folder: Path) -> None:
    lines = [
        f"{hashlib.sha256(path.read_bytes()).hexdigest()}  ./{path.relative_to(folder)}\n"
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != SUMS
    ]
    (folder / SUMS).write_text("".join(lines))


def test_vectors_are_unit_vectors_that_know_meaning(embedder: SentenceTransformerEmbedder) -> None:
    same, other, far = embedder.embed(["the model is slow", "answers take too long", "a cake with strawberries"])

    assert embedder.dimension == len(same) == 384
    assert sum(value * value for value in same) == pytest.approx(1.0, abs=1e-4)
    assert (
        sum(a * b for a, b in zip(same, other, strict=True)) > sum(a * b for a, b in zip(same, far, strict=True)) + 0.2
    )


def test_the_same_text_has_the_same_vector(embedder: SentenceTransformerEmbedder) -> None:
    alone = embedder.embed(["529 overloaded_error"])[0]
    among = embedder.embed(["x " * 300, "529 overloaded_error", "y"])[1]

    assert alone == pytest.approx(among, abs=1e-5)
    assert embedder.embed([]) == []


def test_the_name_tells_the_weights(embedder: SentenceTransformerEmbedder) -> None:
    assert SentenceTransformerEmbedder().name == embedder.name


def test_nothing_is_asked_of_the_network(
    embedder: SentenceTransformerEmbedder, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*args: object) -> None:
        raise AssertionError(f"a connection was tried: {args}")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)
    fresh = SentenceTransformerEmbedder()
    fresh.load()

    assert fresh.embed(["offline"]) == embedder.embed(["offline"])
    assert os.environ["HF_HUB_OFFLINE"] == "1"


def test_real_parts_together_find_runbooks_and_start_again_from_disk(
    embedder: SentenceTransformerEmbedder, tmp_path: Path
) -> None:
    books = [parse(WHOLE.encode(), "provider-outage.md"), parse(OTHER.encode(), "rate-limit-exceeded.md")]
    docs = documents(book.runbook for book in books if book.runbook)
    query = Query(title="Users get no answers, the vendor returns server errors")
    for _ in range(2):
        index = ChromaIndex(tmp_path / "index", embedder)
        librarian = HybridLibrarian(docs, words=LexicalIndex(), embedder=embedder, vectors=index)
        assert librarian.search(query).mode == "lexical"

        assert librarian.warm() == ""
        answer = librarian.search(query)
        assert (answer.mode, answer.matches[0].document) == ("fused", "provider-outage")
        assert "close in meaning" in answer.matches[0].reasons[0].text
        chunks = [chunk for doc in docs for chunk in doc.chunks]
        vectors = dict(zip([c.id for c in chunks], embedder.embed([c.text for c in chunks]), strict=True))
        assert set(index.known()) >= {chunk.sha256 for chunk in chunks}
        index.close()

    exact = ChromaIndex(tmp_path / "exact", embedder)
    exact.replace(chunks, [vectors[c.id] for c in chunks])
    phrases = [vectors[c.id] for c in chunks if c.kind == "page"]
    assert index_agreement(exact, vectors, phrases) == 1.0
    exact.close()


class TestTheModelDirectory:
    def test_the_packaged_model_is_the_pinned_one(self) -> None:
        assert verify_model(packaged_folder(), PACKAGED_SUMS) == PACKAGED_SUMS
        assert PACKAGED_SUMS["model.safetensors"].startswith("53aa51172d142c89")

    def test_a_covered_directory_is_accepted(self, model: Path) -> None:
        assert set(verify_model(model)) == {"model.safetensors", "config.json", "modules.json", "1_Pooling/config.json"}

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "modeling.py", "x.pkl", "x.pt", "lib.so", "1_Pooling/x.py"])
    def test_what_could_run_code_is_refused(self, model: Path, name: str) -> None:
        (model / name).write_bytes(b"")
        write_sums(model)

        with pytest.raises(EmbedderError, match="only safetensors, JSON and text"):
            verify_model(model)

    @pytest.mark.parametrize(
        ("name", "document"),
        [
            ("config.json", {"auto_map": {"AutoModel": "evil--modeling.Evil"}}),
            ("config.json", {"text_config": {"_attn_implementation_internal": "evil/kernel"}}),
            ("tokenizer_config.json", {"auto_map": {"AutoTokenizer": ["evil", None]}}),
            ("modules.json", [{"type": "evil.module.Transformer"}]),
            ("modules.json", [{"type": "sentence_transformers"}]),
        ],
    )
    def test_configuration_that_names_code_is_refused(self, model: Path, name: str, document: object) -> None:
        (model / name).write_text(json.dumps(document))
        write_sums(model)

        with pytest.raises(EmbedderError, match=r"would run code|not part of sentence-transformers"):
            verify_model(model)

    def test_a_changed_file_is_refused(self, model: Path) -> None:
        (model / "model.safetensors").write_bytes(b"swapped")

        with pytest.raises(EmbedderError, match="SHA-256 is"):
            verify_model(model)

    def test_a_file_that_the_sums_do_not_cover_is_refused(self, model: Path) -> None:
        (model / "tokenizer.json").write_text("{}")

        with pytest.raises(EmbedderError, match=r"does not cover tokenizer\.json"):
            verify_model(model)

    def test_a_directory_without_sums_says_how_to_write_them(self, model: Path) -> None:
        (model / SUMS).unlink()

        with pytest.raises(EmbedderError, match="sha256sum"):
            verify_model(model)

    def test_a_missing_file_is_refused(self, model: Path) -> None:
        (model / "config.json").unlink()

        with pytest.raises(EmbedderError, match="missing"):
            verify_model(model)

    def test_links_are_refused(self, model: Path, tmp_path: Path) -> None:
        target = tmp_path / "elsewhere.json"
        target.write_text("{}")
        (model / "vocab.json").symlink_to(target)

        with pytest.raises(EmbedderError, match="symbolic link"):
            verify_model(model)

    def test_swapped_weights_of_the_packaged_model_are_refused(self, tmp_path: Path) -> None:
        copy = tmp_path / "copy"
        shutil.copytree(packaged_folder(), copy, ignore=shutil.ignore_patterns("model.safetensors"))
        (copy / "model.safetensors").write_bytes(b"other weights")

        with pytest.raises(EmbedderError, match="SHA-256 is"):
            verify_model(copy, PACKAGED_SUMS)

    def test_a_missing_directory_is_said_and_words_still_work(self, tmp_path: Path) -> None:
        absent = SentenceTransformerEmbedder(tmp_path / "absent")
        book = parse(WHOLE.encode(), "provider-outage.md").runbook
        assert book is not None
        librarian = HybridLibrarian(
            documents([book]), words=LexicalIndex(), embedder=absent, vectors=ChromaIndex(tmp_path / "index", absent)
        )

        assert "does not exist" in librarian.warm()
        answer = librarian.search(Query(title="529 overloaded_error"))
        assert (answer.mode, answer.matches[0].document) == ("lexical", "provider-outage")
        assert answer.notice.startswith("meaning search unavailable")
