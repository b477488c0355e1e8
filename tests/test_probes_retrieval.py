"""P13 and P14 against a retrieval service on a real socket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from diagnostics import series
from diagnostics.known_questions import KnownQuestionsError, load
from diagnostics.probes.embedding import EmbeddingCanary
from diagnostics.probes.retrieval import RetrievalCanary
from tests.provider_fakes import Served
from tests.retrieval_fakes import KNOWN, Stage, retrieval_open, vector, write_known

ITEMS = "retrieval.items:kb"


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with retrieval_open(tmp_path) as opened:
        opened.baselines.documents[ITEMS] = dict.fromkeys(KNOWN, True)
        yield opened


# --- P14 -------------------------------------------------------------------------------------------------------------


async def test_a_search_that_finds_what_it_used_to_is_ok_and_says_what_it_could_have_seen(stage: Stage) -> None:
    stage.library.missed = {"q3"}
    reading = await stage.ask(RetrievalCanary())

    assert (reading.outcome, reading.n, reading.value) == ("ok", 50, 0.98)
    assert reading.power is not None
    assert reading.power > 0.7
    assert reading.details[series.RECORD_DOCUMENTS][ITEMS]["q3"] is False
    assert len(reading.details[series.RECORD]["retrieval.elapsed_s:kb"]) == 50


@pytest.mark.parametrize(
    ("helps", "told"),
    [("exact_helps", "the approximate search loses them"), ("open_helps", "a filter hides them"), ("", "Neither")],
)
async def test_lost_documents_are_told_with_what_lost_them(stage: Stage, helps: str, told: str) -> None:
    stage.library.missed = set(KNOWN[:14])
    if helps:
        setattr(stage.library, helps, True)
    reading = await stage.ask(RetrievalCanary())

    assert reading.outcome == "low"
    assert told in reading.summary
    assert reading.p_value is not None
    assert reading.p_value < 0.001


async def test_few_lost_ones_are_no_regression(stage: Stage) -> None:
    stage.library.missed = set(KNOWN[:3])
    assert (await stage.ask(RetrievalCanary())).outcome == "ok"


async def test_a_store_that_fails_is_an_error_and_the_rest_is_not_asked(stage: Stage) -> None:
    stage.library.failing = set(KNOWN)
    reading = await stage.ask(RetrievalCanary())

    assert (reading.outcome, reading.n) == ("error", 12)
    assert "12 x HTTP 503" in reading.summary


async def test_a_part_of_the_searches_failing_is_an_error(stage: Stage) -> None:
    stage.library.failing = set(KNOWN[:6])
    assert (await stage.ask(RetrievalCanary())).outcome == "error"


async def test_one_failed_search_is_chance(stage: Stage) -> None:
    stage.library.failing = {"q7"}
    assert (await stage.ask(RetrievalCanary())).outcome == "ok"


async def test_searches_without_any_hit_are_empty(stage: Stage) -> None:
    stage.library.empty = set(KNOWN[:20])
    assert (await stage.ask(RetrievalCanary())).outcome == "empty"


async def test_the_right_documents_too_late_are_slow(stage: Stage) -> None:
    stage.baselines.series["retrieval.elapsed_s:kb"] = [0.03 + 0.0002 * n for n in range(100)]
    stage.library.took = 0.4
    reading = await stage.ask(RetrievalCanary())

    assert reading.outcome == "slow"
    assert "10 times the usual" in reading.summary


async def test_searches_that_take_some_milliseconds_longer_keep_nobody_waiting(stage: Stage) -> None:
    stage.baselines.series["retrieval.elapsed_s:kb"] = [0.03 + 0.0002 * n for n in range(100)]
    stage.library.took = 0.12

    assert (await stage.ask(RetrievalCanary())).outcome == "ok"


async def test_without_a_baseline_only_the_obvious_is_said(stage: Stage) -> None:
    stage.baselines.documents.clear()
    assert (await stage.ask(RetrievalCanary())).outcome == "inconclusive"
    stage.library.missed = set(KNOWN[:45])
    assert (await stage.ask(RetrievalCanary())).outcome == "low"


async def test_an_index_without_a_declared_service_is_inconclusive(stage: Stage) -> None:
    reading = await stage.ask(RetrievalCanary(), search=None)
    assert reading.outcome == "inconclusive"
    assert "no retrieval service" in reading.summary


async def test_a_malformed_file_is_refused_whole_with_line_and_field(stage: Stage) -> None:
    good = json.dumps({"id": "a", "question": "x", "expects": ["d"]})
    write_known(stage.root, lines=[good, '{"id": "b", "question": "", "expects": []}', "{", good])

    with pytest.raises(KnownQuestionsError) as refused:
        load(stage.root / "known.jsonl")
    assert [problem.split("known.jsonl:")[1].split(":")[:2] for problem in refused.value.problems] == [
        ["2", " question"], ["2", " expects"], ["3", " not JSON"], ["4", " id"],
    ]  # fmt: skip
    reading = await stage.ask(RetrievalCanary())
    assert reading.outcome == "inconclusive"
    assert "known.jsonl:2" in reading.summary


# --- P13 -------------------------------------------------------------------------------------------------------------


async def test_the_jitter_of_one_model_is_the_same_model(stage: Stage) -> None:
    stage.library.embed = lambda text: [value + 0.0003 for value in vector(text)]
    reading = await stage.ask(EmbeddingCanary())

    assert reading.outcome == "same"
    assert reading.n == 20


async def test_another_model_of_the_same_size_is_changed(stage: Stage) -> None:
    stage.library.embed = lambda text: vector(text, turn=1.0)
    reading = await stage.ask(EmbeddingCanary())

    assert reading.outcome == "changed"
    assert "stored chunks" in reading.summary


async def test_a_few_servers_with_another_model_are_enough(stage: Stage) -> None:
    stage.library.embed = lambda text: vector(text, turn=1.0 if text in ("chunk 3", "chunk 8", "chunk 11") else 0.0)
    assert (await stage.ask(EmbeddingCanary())).outcome == "changed"


async def test_another_size_is_told_with_both(stage: Stage) -> None:
    stage.library.embed = lambda text: vector(text, size=6)
    reading = await stage.ask(EmbeddingCanary())

    assert (reading.outcome, reading.value, reading.baseline) == ("dimension", 6.0, 4.0)


async def test_the_provider_having_moved_is_told_apart(stage: Stage) -> None:
    from diagnostics.baseline import SENTENCES

    key = "embedding.sentences:acme-openai/acme-embed"
    stage.baselines.documents[key] = {"dimension": 4, "vectors": [vector(text) for text in SENTENCES]}
    moved = {"data": [{"embedding": vector(text, turn=1.0)} for text in SENTENCES], "usage": {"total_tokens": 90}}
    stage.http._company.play("acme", "/v1/embeddings", Served(body=json.dumps(moved)))
    reading = await stage.ask(EmbeddingCanary())

    assert reading.outcome == "changed"
    assert "fixed sentences" in reading.summary
    assert reading.details["stored_chunks"]["elsewhere"] == 0
    assert reading.tokens >= 90


async def test_without_anything_to_compare_with_it_says_so(stage: Stage) -> None:
    stage.library.stored = lambda _: []
    assert (await stage.ask(EmbeddingCanary())).outcome == "inconclusive"


async def test_an_embedder_that_gives_no_vectors_is_an_error(stage: Stage) -> None:
    stage.library.embed = lambda _: [float("nan")] * 4
    assert (await stage.ask(EmbeddingCanary())).outcome == "error"
