"""P27 against a RAG application on a real socket: answers with their source, without one, and with the wrong one."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from config.catalogue import Catalogue
from diagnostics import series
from diagnostics.chat_api import Answer
from diagnostics.chat_replies import Completion
from diagnostics.grounding_questions import GroundingQuestion, load
from diagnostics.item_file import ItemFileError
from diagnostics.model import ProbeContext, Reading
from diagnostics.probes.grounding import GroundingCanary, GroundingParams, _Asked, _citations
from tests.provider_fakes import (
    CATALOGUE,
    NOW,
    Asked,
    Company,
    KeptBaselines,
    LocalHttp,
    NoChanges,
    Served,
    StillClock,
    company_open,
    error,
    openai_answer,
)

CHAT = "/v1/chat/completions"
GROUNDED = "grounding.grounded:kb"
NOTHING = "I could not find this in our documents."


class Bot:
    """Keeps to its documents, but for the questions named."""

    def __init__(self) -> None:
        self.invents: set[str] = set()
        self.astray: set[str] = set()
        self.misses: set[str] = set()
        self.fails: set[str] = set()
        self.beside = False
        """Whether sources stand beside the answer instead of in it."""
        self.asked: list[Asked] = []

    def answer(self, asked: Asked) -> Served:
        self.asked.append(asked)
        text = asked.body["messages"][-1]["content"]
        kind, number = text.split()
        if text in self.fails:
            return error(503, "server_error", "", "no")
        if kind == "unwritten":
            return openai_answer("Yes, within 14 days [kb-3]." if text in self.invents else NOTHING)
        if text in self.misses:
            return openai_answer(NOTHING)
        source = "kb-999" if text in self.astray else f"kb-{number}"
        if not self.beside:
            return openai_answer(f"It is so [{source}].")
        message = {"content": "It is so.", "annotations": [{"type": "file_citation", "file_id": source}]}
        document = {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]}
        return Served(body=json.dumps(document))


class Stage:
    def __init__(self, company: Company, http: LocalHttp, root: Path) -> None:
        self.http, self.root, self.baselines, self.bot = http, root, KeptBaselines(), Bot()
        lines = [{"id": f"c{n}", "question": f"written {n}", "expect": "cite", "documents": [f"kb-{n}"]}
                 for n in range(32)]  # fmt: skip
        lines += [{"id": f"r{n}", "question": f"unwritten {n}", "expect": "refuse"} for n in range(48)]
        (root / "grounding.jsonl").write_text("\n".join(map(json.dumps, lines)), encoding="utf-8")
        company.play("gateway", CHAT, self.bot.answer)

    async def ask(self, **own: Any) -> Reading:
        targets = [*CATALOGUE["targets"], {"name": "ingestion", "base_url": "http://127.0.0.1:1"}]
        service = {**CATALOGUE["services"][0], "kind": "rag", "index": "kb"}
        index = {"name": "kb", "admin": "ingestion", "grounding": "grounding.jsonl", **own}
        catalogue = Catalogue.model_validate(
            {**CATALOGUE, "targets": targets, "indexes": [index], "services": [service]}
        )
        context = ProbeContext(
            service=catalogue.services[0], catalogue=catalogue, http=self.http, clock=StillClock(),
            baselines=self.baselines, changes=NoChanges(), started_at=NOW, golden_root=str(self.root),
        )  # fmt: skip
        return await GroundingCanary().run(context, GroundingParams())


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http, tmp_path)


async def test_sources_named_and_gaps_admitted_are_ok_with_the_power_to_see_otherwise(stage: Stage) -> None:
    reading = await stage.ask()

    assert (reading.outcome, reading.n, reading.value) == ("ok", 40, 0.0)
    assert reading.power is not None
    assert reading.power > 0.7
    assert len(stage.bot.asked) == 40
    assert reading.details[series.RECORD] == {GROUNDED: [1.0] * 40}


async def test_questions_go_the_production_way_and_past_the_cache(stage: Stage) -> None:
    await stage.ask()

    assert all(asked.body["cache"] == {"no-cache": True} for asked in stage.bot.asked)
    assert all(asked.headers["x-pagerunner-canary"] == "1" for asked in stage.bot.asked)


async def test_answers_to_what_no_document_answers_are_ungrounded(stage: Stage) -> None:
    stage.bot.invents = {f"unwritten {n}" for n in range(0, 24, 2)}
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ungrounded", 40)
    assert (reading.details["made_up"], reading.details["wrong_source"]) == (12, 0)
    assert reading.summary.startswith("12 of 24 questions without an answer in kb are answered all the same")
    assert reading.p_value is not None
    assert reading.p_value < 0.001
    assert "Yes, within 14 days" in reading.evidence[0].excerpt


async def test_a_source_that_does_not_say_so_counts_like_none(stage: Stage) -> None:
    stage.bot.astray = {f"written {n}" for n in range(12)}
    reading = await stage.ask()

    assert reading.outcome == "ungrounded"
    assert (reading.details["made_up"], reading.details["wrong_source"]) == (0, 12)


async def test_an_id_that_only_begins_alike_is_another_document(stage: Stage) -> None:
    stage.bot.astray = {"written 9"}  # kb-999 is cited where kb-9 would be right

    assert (await stage.ask()).details["wrong_source"] == 1


async def test_sources_beside_the_text_count_as_well(stage: Stage) -> None:
    stage.bot.beside = True

    assert (await stage.ask()).outcome == "ok"


async def test_finding_nothing_is_no_invention(stage: Stage) -> None:
    stage.bot.misses = {f"written {n}" for n in range(16)}
    reading = await stage.ask()

    assert (reading.outcome, reading.details["not_found"], reading.value) == ("ok", 16, 0.0)
    assert "16 say that they found nothing" in reading.summary


async def test_a_few_slips_are_asked_after_once_more_and_are_then_chance(stage: Stage) -> None:
    stage.bot.invents = {"unwritten 1", "unwritten 2", "unwritten 3"}
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ok", 80)
    assert len(stage.bot.asked) == 80


async def test_a_suspicion_that_the_second_wave_confirms_is_a_finding(stage: Stage) -> None:
    stage.bot.invents = {f"unwritten {n}" for n in range(5)} | {f"unwritten {n}" for n in range(24, 34)}
    reading = await stage.ask()

    assert (reading.outcome, reading.n, reading.details["made_up"]) == ("ungrounded", 80, 15)


async def test_it_is_compared_with_its_own_past_where_there_is_one(stage: Stage) -> None:
    stage.baselines.series[GROUNDED] = [0.0] * 60 + [1.0] * 180
    stage.bot.invents = {f"unwritten {n}" for n in range(8)}
    reading = await stage.ask()

    # 8 of 40 would be far too many for a bot that invents in 5 of 100, and is usual for one that does in 25.
    assert (reading.outcome, reading.baseline, reading.baseline_n) == ("ok", 0.25, 240)


async def test_calls_that_fail_are_an_error_and_no_verdict(stage: Stage) -> None:
    stage.bot.fails = {f"unwritten {n}" for n in range(20)}
    reading = await stage.ask()

    assert reading.outcome == "error"
    assert reading.value is None


async def test_a_few_failed_calls_only_make_the_sample_smaller(stage: Stage) -> None:
    stage.bot.fails = {"unwritten 1", "written 2"}

    assert ((await stage.ask()).outcome, (await stage.ask()).n) == ("ok", 38)


async def test_without_questions_nothing_is_asked(stage: Stage) -> None:
    for own in ({"grounding": ""}, {"grounding": "gone.jsonl"}):
        assert (await stage.ask(**own)).outcome == "inconclusive"
    assert stage.bot.asked == []


@pytest.mark.parametrize(
    ("text", "admits"),
    [
        ("I could not find this in our documents.", True),
        ("I don't have any information about that.", True),
        ("Sorry, I was not able to find an answer.", True),
        ("The documents do not mention parental leave.", True),
        ("There is no information on this in the handbook.", True),
        ("That is not covered in our help pages.", True),
        ("There is nothing about dogs in our documents.", True),
        ("I can't say.", True),
        ("You cannot return it after 30 days.", False),
        ("No, refunds are not possible on this plan.", False),
        ("Yes, that is included and takes 3 working days [kb-003].", False),
        ("You do not need to do anything.", False),
    ],
)
def test_what_counts_as_saying_that_one_does_not_know(text: str, *, admits: bool) -> None:
    question = GroundingQuestion(id="r", question="?", expect="refuse")

    assert _Asked(question=question, answer=Answer(completion=Completion(text=text))).ungrounded is not admits


def test_citations_are_read_wherever_they_stand_and_nowhere_else() -> None:
    document = {
        "choices": [{"message": {"content": "x", "annotations": [{"file_id": "kb-1"}]}}],
        "citations": ["https://help.example/kb-2"], "hits": ["kb-3"],
    }  # fmt: skip

    assert list(_citations(document)) == ["kb-1", "https://help.example/kb-2"]


# --- the file ---------------------------------------------------------------------------------------------------------


def write(folder: Path, *rows: dict[str, Any]) -> Path:
    path = folder / "q.jsonl"
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ({"id": "a", "question": "?", "expect": "cite"}, "names the documents"),
        ({"id": "a", "question": "?", "expect": "refuse", "documents": ["d"]}, "has no documents"),
        ({"id": "a", "question": "?", "expect": "guess"}, "expect"),
        ({"id": "a", "question": "", "expect": "refuse"}, "question"),
        ({"id": "a", "question": "?", "expect": "refuse", "extra": 1}, "no such field"),
    ],
)
def test_a_file_with_a_mistake_is_refused_with_line_and_field(tmp_path: Path, row: dict[str, Any], said: str) -> None:
    with pytest.raises(ItemFileError, match=rf"q\.jsonl:1: .*{said}"):
        load(write(tmp_path, row))


def test_too_few_of_a_kind_are_refused(tmp_path: Path) -> None:
    rows = [{"id": f"r{n}", "question": "?", "expect": "refuse"} for n in range(12)]

    with pytest.raises(ItemFileError, match="0 questions that expect 'cite'; at least 5"):
        load(write(tmp_path, *rows))


def test_the_example_file_can_be_used() -> None:
    known = load(Path(__file__).parent.parent / "config/example/golden/support-kb-grounding.jsonl")

    assert sum(one.expect == "cite" for one in known) >= 16
    assert sum(one.expect == "refuse" for one in known) >= 24
