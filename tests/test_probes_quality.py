"""The probes of quality: golden sets, fingerprint and structured output, against a local provider and gateway."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from diagnostics import power, series, statistics
from diagnostics.chat_api import ChatRequest, build
from diagnostics.probes.fingerprint import CALLS, ModelFingerprint
from diagnostics.probes.golden_set import GoldenCounterfactual, GoldenSetProbe
from diagnostics.probes.structured import StructuredOutput
from diagnostics.prompt_store import PromptReader
from tests.provider_fakes import NOW, Asked, Served, Stage, answered, company_open, error, in_turn, openai_answer

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


# --- P10, P11: golden sets ---------------------------------------------------------------------------------------


@pytest.fixture
def golden(tmp_path: Path) -> str:
    lines = [
        json.dumps({"id": f"i{n}", "input": f"question {n}", "checks": [{"contains": "right"}], "tags": ["t"]})
        for n in range(60)
    ]
    (tmp_path / "golden.jsonl").write_text("\n".join(lines), encoding="utf-8")
    return str(tmp_path)


def versions(stage: Stage, *, production: int = 13, days_old: float = 0.1) -> None:
    entries = [
        {"version": 12, "created_at": (NOW - timedelta(days=30)).isoformat()},
        {"version": 13, "created_at": (NOW - timedelta(days=days_old)).isoformat()},
    ]
    document = {"version": 4, "aliases": {"production": production}, "versions": entries}
    stage.company.play("prompts", "/support", Served(body=json.dumps(document)))
    for number in (12, 13):
        text = json.dumps({"version": number, "text": f"[prompt support v{number}]"})
        stage.company.play("prompts", f"/support/versions/{number}", Served(body=text))


def pupil(wrong: set[int]) -> Callable[[Asked], Served]:
    """Answers the numbered questions, and these wrongly."""

    def reply(asked: Asked) -> Served:
        number = int(asked.body["messages"][-1]["content"].removeprefix("question "))
        return answered(asked, "wrong" if number in wrong else "right")

    return reply


ALL_RIGHT = {f"i{n}": True for n in range(60)}
ITEMS_12, DIRECT_12 = "golden.items:support@12", "golden.items:support/direct@12"


async def test_production_as_good_as_recorded_is_ok_with_power(stage: Stage, golden: str) -> None:
    versions(stage)
    stage.baselines.documents[ITEMS_12] = ALL_RIGHT
    stage.company.play("gateway", CHAT, pupil({7}))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "ok"
    assert (reading.n, reading.value) == (60, 59 / 60)
    assert reading.power is not None
    assert reading.power > 0.8
    assert reading.details["compared_with_version"] == "12"
    assert reading.details[series.RECORD_DOCUMENTS]["golden.items:support@13"]["i7"] is False


async def test_production_is_asked_without_parameters_of_our_own(stage: Stage, golden: str) -> None:
    stage.company.play("gateway", CHAT, pupil(set()))
    await stage.ask(GoldenSetProbe(), golden_root=golden)
    call = stage.company.calls("gateway", CHAT)[0]

    assert set(call.body) == {"model", "messages"}
    assert call.body["model"] == "support"
    assert len(call.body["messages"]) == 1


async def test_a_drop_is_found_item_by_item_and_early(stage: Stage, golden: str) -> None:
    versions(stage)
    stage.baselines.documents[ITEMS_12] = ALL_RIGHT
    stage.company.play("gateway", CHAT, pupil(set(range(0, 60, 2))))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "drop"
    assert reading.p_value is not None
    assert reading.p_value <= 0.01
    assert reading.n < 60
    assert reading.details["stopped"] == "sure"
    assert series.RECORD_DOCUMENTS in reading.details
    assert reading.details[series.RECORD_DOCUMENTS] == {}
    assert "question:" in reading.evidence[0].excerpt


async def test_a_drop_against_pooled_results_is_found(stage: Stage, golden: str) -> None:
    stage.baselines.series["golden.pass:support"] = [1.0] * 190 + [0.0] * 10
    stage.company.play("gateway", CHAT, pupil(set(range(0, 60, 3))))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "drop"
    assert reading.test.startswith("Fisher")


async def test_a_drop_that_is_neither_sure_nor_excluded_is_inconclusive(stage: Stage, golden: str) -> None:
    versions(stage)
    stage.baselines.documents[ITEMS_12] = ALL_RIGHT
    stage.company.play("gateway", CHAT, pupil({1, 2, 3, 4, 5}))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "inconclusive"
    assert reading.p_value == pytest.approx(1 / 32)


async def test_many_pooled_results_are_a_second_opinion(stage: Stage, golden: str) -> None:
    """The one recorded run was a poor one; two hundred further answers say what is usual."""
    versions(stage)
    stage.baselines.documents[ITEMS_12] = {f"i{n}": n % 8 != 0 for n in range(60)}
    stage.baselines.series["golden.pass:support"] = [1.0] * 285 + [0.0] * 15
    stage.company.play("gateway", CHAT, pupil(set(range(0, 60, 5))))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "drop"
    assert "p doubled" in reading.test


async def test_without_a_record_there_is_no_verdict(stage: Stage, golden: str) -> None:
    stage.company.play("gateway", CHAT, pupil(set()))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "inconclusive"
    assert "no baseline yet, 0 of 200" in reading.summary


async def test_failing_calls_are_not_bad_answers(stage: Stage, golden: str) -> None:
    stage.baselines.documents[ITEMS_12] = ALL_RIGHT
    stage.company.play("gateway", CHAT, error(500, "server_error", None))
    reading = await stage.ask(GoldenSetProbe(), golden_root=golden)

    assert reading.outcome == "error"
    assert len(stage.company.calls("gateway", CHAT)) == 8


async def test_the_counterfactual_asks_the_provider_with_the_last_good_prompt(stage: Stage, golden: str) -> None:
    versions(stage)
    params = {
        "model": "acme-large", "revision": "r2", "params": {"max_tokens": 64},
        "history": [
            {"revision": "r1", "model": "acme-large", "params": {"max_tokens": 900},
             "at": (NOW - timedelta(days=9)).isoformat()},
            {"revision": "r2", "model": "acme-large", "params": {"max_tokens": 64},
             "at": (NOW - timedelta(hours=2)).isoformat()},
        ],
    }  # fmt: skip
    stage.company.play("gateway-admin", "/params/support", Served(body=json.dumps(params)))
    stage.baselines.documents[DIRECT_12] = ALL_RIGHT
    stage.company.play("acme", CHAT, pupil(set()))
    reading = await stage.ask(GoldenCounterfactual(), golden_root=golden)
    body = stage.company.calls("acme", CHAT)[0].body

    assert reading.outcome == "ok"
    assert reading.details["moved"] == {
        "prompt": {"now": "13", "then": "12"},
        "params": {"max_tokens": {"now": 64, "then": 900}},
    }
    assert body["messages"][0] == {"role": "system", "content": "[prompt support v12]"}
    assert (body["model"], body["max_tokens"]) == ("acme-large", 900)
    assert stage.company.calls("gateway", CHAT) == []


async def test_an_old_prompt_is_its_own_counterfactual(stage: Stage, golden: str) -> None:
    versions(stage, days_old=20)
    stage.baselines.documents["golden.items:support/direct@13"] = ALL_RIGHT
    stage.company.play("acme", CHAT, pupil(set(range(0, 60, 2))))
    reading = await stage.ask(GoldenCounterfactual(), golden_root=golden)

    assert reading.outcome == "drop"
    assert reading.details["moved"] == {}


async def test_without_retrieval_the_record_of_production_serves_the_counterfactual(stage: Stage, golden: str) -> None:
    versions(stage)
    stage.baselines.documents[ITEMS_12] = ALL_RIGHT
    stage.company.play("acme", CHAT, pupil(set()))

    assert (await stage.ask(GoldenCounterfactual(), golden_root=golden)).outcome == "ok"


async def test_an_unreadable_prompt_leaves_the_counterfactual_open(stage: Stage, golden: str) -> None:
    versions(stage)
    stage.company.play("prompts", "/support/versions/12", Served(status=500))
    reading = await stage.ask(GoldenCounterfactual(), golden_root=golden)

    assert reading.outcome == "inconclusive"
    assert stage.company.calls("acme", CHAT) == []


async def test_an_mlflow_prompt_registry_is_read(stage: Stage) -> None:
    newest = {"version": "3", "creation_timestamp": (NOW - timedelta(hours=1)).timestamp() * 1000}
    stage.company.play(
        "prompts", "/api/2.0/mlflow/registered-models/alias", Served(body=json.dumps({"model_version": newest}))
    )

    def version(asked: Asked) -> Served:
        tags = [{"key": "other", "value": "x"}, {"key": "mlflow.prompt.text", "value": f"v{asked.query['version']}"}]
        return Served(body=json.dumps({"model_version": {"tags": tags}}))

    stage.company.play("prompts", "/api/2.0/mlflow/model-versions/get", version)
    context = stage.context()
    store = context.catalogue.prompt_stores[0].model_copy(update={"kind": "mlflow"})
    catalogue = context.catalogue.model_copy(update={"prompt_stores": (store,)})
    reader = PromptReader(replace(context, catalogue=catalogue))
    found = await reader.versions()

    assert found is not None
    assert (found.production, found.previous, found.last_good(NOW)) == ("3", "2", "2")
    assert await reader.text("2") == "v2"


@pytest.mark.parametrize("body", ["", "[]", '{"aliases": 7}', '{"aliases": {"production": null}}', '{"versions": {}}'])
async def test_a_broken_prompt_store_is_no_prompt(stage: Stage, body: str) -> None:
    stage.company.play("prompts", "/support", Served(body=body))

    assert await PromptReader(stage.context()).versions() is None


def test_parameters_of_record_are_written_in_each_dialect() -> None:
    request = ChatRequest(
        model="m",
        prompt="q",
        system="s",
        params={"max_completion_tokens": 90, "stop": "END", "tools": ["rm"], "top_p": 1},
    )

    assert build("openai", request) == {
        "model": "m",
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
        "temperature": 0.0,
        "max_completion_tokens": 90,
        "stop": "END",
        "top_p": 1,
    }
    assert build("anthropic", request) == {
        "model": "m",
        "system": "s",
        "messages": [{"role": "user", "content": "q"}],
        "temperature": 0.0,
        "max_tokens": 90,
        "stop_sequences": ["END"],
        "top_p": 1,
    }


# --- P12: fingerprint --------------------------------------------------------------------------------------------


LOGPROB = "model_fingerprint.logprob:acme-openai/acme-large"
IDENTITY = "model_fingerprint.identity:acme-openai/acme-large"


def voice(means: Callable[[], float], *, model: str = "acme-large", fingerprint: str = "fp_1") -> Callable[..., Served]:
    def reply(asked: Asked) -> Served:
        document = {
            "model": model,
            "system_fingerprint": fingerprint,
            "choices": [
                {
                    "message": {"content": "Spoons"},
                    "finish_reason": "stop",
                    "logprobs": {"content": [{"token": "Spoons", "logprob": means(), "top_logprobs": []}]},
                }
            ],
            "usage": {"prompt_tokens": 20, "completion_tokens": 1},
        }
        return Served(body=json.dumps(document))

    return reply


def around(mean: float, seed: int = 1) -> Callable[[], float]:
    rng = random.Random(seed)
    return lambda: min(-0.0001, rng.gauss(mean, 0.02))


@pytest.fixture
def known_model(stage: Stage) -> Stage:
    draw = around(-0.3, seed=2)
    stage.baselines.series[LOGPROB] = [draw() for _ in range(100)]
    stage.baselines.documents[IDENTITY] = {"model": "acme-large", "system_fingerprint": ["fp_1"]}
    return stage


async def test_the_same_model_is_the_same(known_model: Stage) -> None:
    known_model.company.play("acme", CHAT, voice(around(-0.3)))
    reading = await known_model.ask(ModelFingerprint())

    assert reading.outcome == "same"
    assert (reading.n, reading.baseline_n) == (CALLS, 100)
    assert len(reading.details[series.RECORD][LOGPROB]) == CALLS


async def test_a_shifted_model_is_changed_only_after_a_second_look(known_model: Stage) -> None:
    known_model.company.play("acme", CHAT, voice(around(-0.42)))
    reading = await known_model.ask(ModelFingerprint())

    assert reading.outcome == "changed"
    assert reading.n == 2 * CALLS
    assert reading.p_value is not None
    assert reading.p_value < 1e-3


async def test_one_striking_round_is_not_enough(known_model: Stage) -> None:
    odd, usual = around(-0.42), around(-0.3)
    count = itertools.count()
    known_model.company.play("acme", CHAT, voice(lambda: odd() if next(count) < CALLS else usual()))
    reading = await known_model.ask(ModelFingerprint())

    assert reading.outcome == "inconclusive"


@pytest.mark.parametrize(("model", "fingerprint"), [("acme-large-v2", "fp_1"), ("acme-large", "fp_2")])
async def test_another_name_is_a_change(known_model: Stage, model: str, fingerprint: str) -> None:
    known_model.company.play("acme", CHAT, voice(around(-0.3), model=model, fingerprint=fingerprint))
    reading = await known_model.ask(ModelFingerprint())

    assert reading.outcome == "changed"
    assert "used to" in reading.summary


async def test_a_dialect_without_log_probabilities_proves_nothing(stage: Stage) -> None:
    answer = {"model": "beta-sonnet", "content": [{"type": "text", "text": "Spoons"}], "usage": {"input_tokens": 9}}
    stage.company.play("beta", MESSAGES, Served(body=json.dumps(answer)))
    reading = await stage.ask(ModelFingerprint(), params={"provider": "beta-anthropic"})

    assert reading.outcome == "inconclusive"


async def test_without_a_baseline_the_model_is_not_the_same(stage: Stage) -> None:
    stage.company.play("acme", CHAT, voice(around(-0.3)))
    reading = await stage.ask(ModelFingerprint())

    assert reading.outcome == "inconclusive"
    assert reading.details[series.RECORD_DOCUMENTS][IDENTITY]["model"] == "acme-large"


async def test_a_failing_model_has_no_fingerprint(known_model: Stage) -> None:
    known_model.company.play("acme", CHAT, error(500, "server_error", None))
    reading = await known_model.ask(ModelFingerprint())

    assert reading.outcome == "error"


# --- P26: structured output --------------------------------------------------------------------------------------


FACTS = '{"city": "Oslo", "country": "Norway", "population_millions": 0.7, "is_capital": true}'


async def test_answers_that_fit_are_valid(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, openai_answer(FACTS))
    reading = await stage.ask(StructuredOutput())
    body = stage.company.calls("gateway", CHAT)[0].body

    assert (reading.outcome, reading.n, reading.value) == ("valid", 20, 0.0)
    assert body["response_format"]["type"] == "json_schema"
    assert body["model"] == "support"


@pytest.mark.parametrize(
    ("text", "kind"),
    [
        (FACTS.replace("country", "nation"), "required:$.country"),
        (f"```json\n{FACTS}\n```", "fenced:$"),
        (FACTS[:-5], "not_json:$"),
        (FACTS.replace("0.7", '"0.7"'), "type:$.population_millions"),
    ],
)
async def test_answers_that_do_not_fit_are_invalid_and_say_where(stage: Stage, text: str, kind: str) -> None:
    stage.company.play("gateway", CHAT, openai_answer(text))
    reading = await stage.ask(StructuredOutput())

    assert reading.outcome == "invalid"
    assert reading.details["problems"] == {kind: 20}
    assert reading.details["one_place"]


async def test_a_few_misshapen_answers_are_looked_into(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, in_turn(openai_answer("{"), *[openai_answer(FACTS)] * 5))
    reading = await stage.ask(StructuredOutput())

    assert (reading.outcome, reading.n) == ("invalid", 20)


async def test_one_misshapen_answer_is_chance(stage: Stage) -> None:
    plays = iter([openai_answer("{")])
    stage.company.play("gateway", CHAT, lambda asked: next(plays, openai_answer(FACTS)))
    reading = await stage.ask(StructuredOutput())

    assert (reading.outcome, reading.n) == ("valid", 60)


async def test_the_power_is_of_the_test_that_was_used(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, openai_answer(FACTS))
    alone = await stage.ask(StructuredOutput())
    stage.baselines.series["structured_output.valid:support"] = [1.0] * 50 + [0.0] * 10
    compared = await stage.ask(StructuredOutput())

    assert compared.test == statistics.FISHER
    assert compared.power == pytest.approx(power.fisher(50 / 60, 60, 0.7, 20), abs=1e-3)
    assert alone.power is not None
    assert compared.power < alone.power


async def test_failing_calls_are_not_misshapen_answers(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, error(503, None, "server_is_overloaded"))
    reading = await stage.ask(StructuredOutput())

    assert reading.outcome == "error"


async def test_without_a_gateway_the_provider_is_asked(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_answer(FACTS))
    reading = await stage.ask(StructuredOutput(), gateway=None)

    assert reading.outcome == "valid"
    assert stage.company.calls("acme", CHAT)[0].body["model"] == "acme-large"
