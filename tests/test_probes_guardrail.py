"""P17 against a gateway with a guardrail on a real socket, and beside its counter."""

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from config.catalogue import Catalogue
from diagnostics import series
from diagnostics.guardrail_canaries import CanariesError, load
from diagnostics.model import ProbeContext, Reading
from diagnostics.probes.guardrail import GuardrailCanaries
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

CHAT, QUERY, RANGE = "/v1/chat/completions", "/api/v1/query", "/api/v1/query_range"
PASSED = "guardrail.benign_passed:rail"


def filtered(**headers: str) -> Served:
    document = {
        "choices": [{"index": 0, "message": {"content": "No."}, "finish_reason": "content_filter"}],
        "usage": {"prompt_tokens": 3, "completion_tokens": 1},
    }
    return Served(body=json.dumps(document), headers=headers)


OWN = filtered(**{"x-litellm-applied-guardrails": "rail"})


def rail(blocked: set[str], *, how: Served = OWN) -> Callable[[Asked], Served]:
    """Blocks these texts."""
    return lambda asked: how if asked.body["messages"][-1]["content"] in blocked else openai_answer("Fine.")


class Stage:
    def __init__(self, company: Company, http: LocalHttp, root: Path) -> None:
        self.company, self.http, self.root, self.baselines = company, http, root, KeptBaselines()
        lines = [json.dumps({"id": f"p{n}", "text": f"harmless {n}", "expect": "pass"}) for n in range(80)]
        lines += [json.dumps({"id": f"b{n}", "text": f"test {n}", "expect": "block"}) for n in range(8)]
        (root / "rail.jsonl").write_text("\n".join(lines), encoding="utf-8")
        self.bad = {f"test {n}" for n in range(8)}
        self.counter(1000.0, 1000.0)

    def counter(self, checked: float, requests: float) -> None:
        """What Prometheus says of the last minutes."""

        def answer(asked: Asked) -> Served:
            query = asked.query["query"]
            known = {"litellm_guardrail_requests_total": ("status", "success", checked),
                     "gen_ai_client_operation_duration_seconds_count": ("error_type", "", requests)}  # fmt: skip
            found = next(((*row,) for name, row in known.items() if f"{name}{{" in query), None)
            metric = {} if found is None or not found[1] else {found[0]: found[1]}
            at = float(asked.query.get("time") or asked.query.get("end") or 0)
            value = [at, str(found[2])] if found else None
            kind = "matrix" if "end" in asked.query else "vector"
            rows = [] if value is None else [{"metric": metric, "values" if kind == "matrix" else "value":
                                              [value] if kind == "matrix" else value}]  # fmt: skip
            return Served(body=json.dumps({"status": "success", "data": {"resultType": kind, "result": rows}}))

        for path in (QUERY, RANGE):
            self.company.play("prometheus", path, answer)

    async def ask(self, **own: Any) -> Reading:
        service = {**CATALOGUE["services"][0], "guardrail": "rail"}
        rails = [{"name": "rail", "canaries": "rail.jsonl", **own}]
        catalogue = Catalogue.model_validate({**CATALOGUE, "guardrails": rails, "services": [service]})
        context = ProbeContext(
            service=catalogue.services[0], catalogue=catalogue, http=self.http, clock=StillClock(),
            baselines=self.baselines, changes=NoChanges(), started_at=NOW, golden_root=str(self.root),
        )  # fmt: skip
        return await GuardrailCanaries().run(context, GuardrailCanaries.spec.params.model_validate({}))


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        opened = Stage(company, http, tmp_path)
        company.play("gateway", CHAT, rail(opened.bad))
        yield opened


async def test_harmless_texts_through_and_test_strings_stopped_is_ok(stage: Stage) -> None:
    reading = await stage.ask()

    assert (reading.outcome, reading.n) == ("ok", 40)
    assert reading.details["checked_share"] == 1.0
    assert reading.details[series.RECORD][PASSED] == [1.0] * 40
    assert reading.power is not None
    assert reading.power > 0.85


@pytest.mark.parametrize(
    ("how", "layer"),
    [
        (OWN, "guardrail"), (filtered(), "provider filter"),
        (error(400, None, "content_filter", "The response was filtered"), "provider filter"),
        (error(400, None, "400", "Violated guardrail policy rail"), "guardrail"),
    ],
)  # fmt: skip
async def test_harmless_texts_blocked_are_counted_by_who_said_no(stage: Stage, how: Served, layer: str) -> None:
    stage.baselines.series[PASSED] = [1.0] * 240
    stage.company.play("gateway", CHAT, rail(stage.bad | {f"harmless {n}" for n in range(10)}, how=how))
    reading = await stage.ask()

    assert reading.outcome == "benign_blocked"
    assert reading.details["layers"] == {layer: 10}


async def test_a_few_blocked_ones_are_asked_further_before_they_count(stage: Stage) -> None:
    stage.baselines.series[PASSED] = [1.0] * 240
    stage.company.play("gateway", CHAT, rail(stage.bad | {f"harmless {n}" for n in (3, 17, 44, 51, 60, 71)}))
    reading = await stage.ask()
    assert (reading.outcome, reading.n) == ("benign_blocked", 80)

    stage.company.play("gateway", CHAT, rail(stage.bad | {"harmless 3"}))
    reading = await stage.ask()
    assert (reading.outcome, reading.n) == ("ok", 80)


async def test_one_test_string_that_comes_through_is_enough(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, rail(stage.bad - {"test 4"}))
    reading = await stage.ask()

    assert reading.outcome == "malicious_passed"
    assert reading.details["passed_through"] == ["b4"]


async def test_requests_without_a_check_are_seen_in_the_counter_alone(stage: Stage) -> None:
    stage.counter(600.0, 1000.0)
    reading = await stage.ask()

    assert reading.outcome == "unchecked"
    assert "60.0 % of 1,000 requests" in reading.summary


async def test_without_the_counter_only_the_canaries_speak(stage: Stage) -> None:
    stage.counter(10.0, 12.0)
    reading = await stage.ask()
    assert (reading.outcome, reading.details["checked_share"]) == ("ok", None)


async def test_calls_that_fail_are_no_blocks(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, error(500, "server_error", None, "boom"))
    assert (await stage.ask()).outcome == "error"


async def test_a_malformed_file_is_refused_whole(stage: Stage) -> None:
    (stage.root / "rail.jsonl").write_text('{"id": "a", "text": "x", "expect": "maybe"}\n{\n', encoding="utf-8")
    with pytest.raises(CanariesError) as refused:
        load(stage.root / "rail.jsonl")
    assert "rail.jsonl:1: expect" in refused.value.problems[0]
    assert "rail.jsonl:2: not JSON" in refused.value.problems[1]
    assert (await stage.ask()).outcome == "inconclusive"


async def test_a_file_without_test_strings_cannot_be_used(stage: Stage) -> None:
    (stage.root / "rail.jsonl").write_text(
        "\n".join(json.dumps({"id": f"p{n}", "text": "x", "expect": "pass"}) for n in range(20)), encoding="utf-8"
    )
    reading = await stage.ask()
    assert "texts that must block; at least 3 are needed" in reading.summary
