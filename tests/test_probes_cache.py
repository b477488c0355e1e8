"""P20b against a gateway with a cache of answers, on a real socket."""

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from diagnostics.model import Reading
from diagnostics.probes.cache import PAST, TENANTS, CacheCheck, CacheParams
from tests.provider_fakes import (
    Asked,
    Company,
    KeptBaselines,
    LocalHttp,
    Served,
    company_open,
    context_of,
    openai_answer,
)

CHAT = "/v1/chat/completions"


class Cache:
    """What the gateway's cache gives back: questions answered by another's answer, and tenants mixed up."""

    def __init__(self) -> None:
        self.wrong: set[str] = set()
        self.right_hits: set[str] = set()
        self.failing: set[str] = set()
        self.mixes_tenants = False
        self.model_fails = False
        self.asked: list[dict[str, Any]] = []
        self._noted: set[tuple[str, str]] = set()

    def answer(self, asked: Asked) -> Served:
        body = asked.body
        self.asked.append(body)
        text, fresh = body["messages"][-1]["content"], body.get("cache") == PAST["cache"]
        if text in self.failing:
            return Served(status=503, body='{"error": {"message": "no", "type": "server_error"}}')
        if "user" in body:
            place = (text, "" if self.mixes_tenants else body["user"])
            known = place in self._noted
            self._noted.add(place)
            return openai_answer("Noted.", headers={"x-litellm-cache-key": "k"} if known else {})
        right = "nonsense" if self.model_fails else f"answer {text.removeprefix('question ')}"
        if fresh or text not in self.wrong | self.right_hits:
            return openai_answer(right)
        return openai_answer("answer of somebody else" if text in self.wrong else right,
                             headers={"x-litellm-cache-key": "k"})  # fmt: skip


class Stage:
    def __init__(self, company: Company, http: LocalHttp, root: Path) -> None:
        self.http, self.root, self.cache = http, root, Cache()
        lines = [
            json.dumps({"id": f"g{n:03d}", "input": f"question {n}", "checks": [{"exact": f"answer {n}"}]})
            for n in range(40)
        ]
        (root / "golden.jsonl").write_text("\n".join(lines), encoding="utf-8")
        company.play("gateway", CHAT, self.cache.answer)

    async def ask(self) -> Reading:
        context = context_of(self.http, KeptBaselines(), golden_root=str(self.root))
        return await CacheCheck().run(context, CacheParams())


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http, tmp_path)


def questions(*numbers: int) -> set[str]:
    return {f"question {number}" for number in numbers}


async def test_answers_of_its_own_are_ok_and_hits_alone_prove_nothing(stage: Stage) -> None:
    stage.cache.right_hits = questions(*range(25))
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ok", 40)
    assert reading.details["hits"] == 25
    assert reading.details["cached_for_one_tenant"]
    assert reading.power is not None
    assert reading.power > 0.9


async def test_another_questions_answer_from_the_cache_is_told_with_both_answers(stage: Stage) -> None:
    stage.cache.wrong = questions(*range(6))
    reading = await stage.ask()

    assert reading.outcome == "served_differs"
    assert reading.value == pytest.approx(6 / 40)
    assert reading.details["wrong"] == [f"g{n:03d}" for n in range(6)]
    assert reading.p_value is not None
    assert reading.p_value < 0.001
    assert "somebody else" in reading.evidence[0].excerpt
    assert "answer 0" in reading.evidence[1].excerpt


async def test_one_wrong_hit_may_be_chance(stage: Stage) -> None:
    stage.cache.wrong = questions(3)

    assert (await stage.ask()).outcome == "ok"


async def test_a_question_of_one_tenant_answered_to_another_needs_no_statistics(stage: Stage) -> None:
    stage.cache.mixes_tenants = True
    reading = await stage.ask()

    assert reading.outcome == "cross_tenant"
    assert reading.p_value is None
    users = [body["user"] for body in stage.cache.asked if "user" in body]
    assert users == [TENANTS[0], TENANTS[0], TENANTS[1]]


async def test_what_the_model_itself_gets_wrong_is_not_the_caches_doing(stage: Stage) -> None:
    stage.cache.wrong, stage.cache.model_fails = questions(*range(10)), True

    assert (await stage.ask()).outcome == "ok"


async def test_questions_without_an_answer_are_an_error_and_prove_nothing(stage: Stage) -> None:
    stage.cache.failing = questions(*range(12))
    reading = await stage.ask()

    assert reading.outcome == "error"
    assert "12 of 40" in reading.summary


async def test_without_a_golden_set_there_is_nothing_to_compare_with(stage: Stage) -> None:
    (stage.root / "golden.jsonl").unlink()

    assert (await stage.ask()).outcome == "inconclusive"


async def test_half_of_the_questions_ask_past_the_cache(stage: Stage) -> None:
    await stage.ask()

    past = [body for body in stage.cache.asked if body.get("cache") == {"no-cache": True}]
    assert len(past) == 40
