"""Recording what is normal: what is due, what it may cost, and that nothing abnormal becomes the normal."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any

import pytest

from config.http import Purpose, Reply
from diagnostics import baseline, series
from diagnostics.baseline import EMBEDDINGS, EVERY, SENTENCES, Limits, due, record
from diagnostics.model import INCONCLUSIVE, NoParams, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.probes.demand import DemandProfile
from diagnostics.probes.gateway_health import GatewayHealth
from diagnostics.probes.signal import UserSignal
from diagnostics.probes.telemetry import TelemetryCheck
from diagnostics.probes.tokens import TokenProfile
from tests.diagnosis_fakes import T0, NoHttp, context
from tests.metrics_fakes import healthy, serving

PLENTY = Limits(tokens=100_000, usd=10.0)
OUTCOMES = {"ok": Verdict.NORMAL, "bad": Verdict.ABNORMAL}


@dataclass
class Fixed:
    """A probe that always reads the same."""

    name: str
    reading: Reading
    tokens: int = 0

    @property
    def spec(self) -> ProbeSpec:
        return ProbeSpec(id="P99", name=self.name, title=self.name, outcomes=OUTCOMES, expected_tokens=self.tokens)

    async def run(self, context: ProbeContext, params: NoParams) -> Reading:
        return self.reading


def reading(outcome: str = "ok", tokens: int = 0, usd: float = 0.0, **recorded: list[float]) -> Reading:
    details = {series.RECORD: {name.replace("__", "."): values for name, values in recorded.items()}}
    return Reading(outcome=outcome, summary="Read.", tokens=tokens, usd=usd, details=details)


def registry(*probes: Fixed) -> dict[str, Any]:
    return {probe.name: probe for probe in probes}


async def test_what_metrics_show_is_recorded_under_known_names() -> None:
    probes = [UserSignal(), TokenProfile(), DemandProfile(), GatewayHealth(), TelemetryCheck()]
    names = [probe.spec.name for probe in probes]
    async with serving(healthy()) as http:
        recording = await record(replace(context(), http=http), {p.spec.name: p for p in probes}, names, PLENTY)
    values = {name: sample.value for name, sample in recording.samples}

    assert values["user_signal.error_share"] == pytest.approx(0.003)
    assert values["token_profile.input_tokens"] == pytest.approx(1150)
    assert values["demand_profile.attempts_per_call"] == pytest.approx(1.004)
    assert values["telemetry_check.judge_agreement"] == pytest.approx(0.93, abs=0.01)
    assert {key for key, _ in recording.documents} == {"token_profile.finish_reasons", "demand_profile.tenant_shares"}
    assert all(series.known(name) for name in values)
    assert all(sample.at == T0 for _, sample in recording.samples)
    assert (recording.tokens, recording.left_out) == (0, {})
    assert recording.done == tuple(names)


async def test_a_first_reading_without_any_baseline_is_recorded_too() -> None:
    cold = Fixed("user_signal", reading(INCONCLUSIVE, user_signal__requests=[1200.0]))

    recording = await record(context(), registry(cold), ["user_signal"], PLENTY)

    assert [name for name, _ in recording.samples] == ["user_signal.requests"]


@pytest.mark.parametrize(("p_value", "power", "kept"), [(0.03, 0.9, 0), (0.6, 0.3, 1), (None, 0.1, 0)])
async def test_a_reading_in_doubt_does_not_move_its_own_baseline(
    p_value: float | None, power: float, kept: int
) -> None:
    told = replace(reading(INCONCLUSIVE, user_signal__p95_s=[2.0]), p_value=p_value, power=power)

    recording = await record(context(), registry(Fixed("p", told)), ["p"], PLENTY)

    assert len(recording.samples) == kept


async def test_what_a_question_costs_is_recorded() -> None:
    asked = Fixed("gateway_canary", reading(tokens=700), tokens=1000)

    recording = await record(context(), registry(asked), ["gateway_canary"], PLENTY)

    assert [(name, one.value) for name, one in recording.samples] == [("probe.tokens:gateway_canary", 700)]


async def test_what_is_abnormal_by_itself_does_not_become_normal() -> None:
    bad = Fixed("user_signal", reading("bad", user_signal__requests=[3.0]))

    recording = await record(context(), registry(bad), ["user_signal"], PLENTY)

    assert recording.samples == ()
    assert recording.left_out["user_signal"].startswith("abnormal")
    assert recording.done == ("user_signal",)


async def test_unknown_names_and_impossible_numbers_are_not_recorded() -> None:
    odd = Fixed("p", reading(invented__series=[1.0], user_signal__p95_s=[float("nan"), 2.0]))

    recording = await record(context(), registry(odd), ["p"], PLENTY)

    assert [(name, sample.value) for name, sample in recording.samples] == [("user_signal.p95_s", 2.0)]


async def test_tokens_and_money_are_kept_to_cheapest_first() -> None:
    cheap = Fixed("cheap", reading(tokens=100, usd=0.001), tokens=100)
    dear = Fixed("dear", reading(tokens=9000, usd=0.09), tokens=9000)
    free = Fixed("free", reading())
    probes = registry(dear, cheap, free)

    by_tokens = await record(context(), probes, ["dear", "cheap", "free"], Limits(tokens=500, usd=10.0))
    by_money = await record(context(), probes, ["dear", "cheap", "free"], Limits(tokens=100_000, usd=0.05))

    assert by_tokens.done == by_money.done == ("free", "cheap")
    assert "budget" in by_tokens.left_out["dear"]
    assert "USD" in by_money.left_out["dear"]
    assert (by_tokens.tokens, by_money.usd) == (100, 0.001)


async def test_a_name_without_a_probe_is_told() -> None:
    assert (await record(context(), {}, ["golden_set"], PLENTY)).left_out == {"golden_set": "no such probe"}


def test_each_thing_is_due_at_its_own_pace() -> None:
    everything = due(T0, {})
    last = dict.fromkeys(EVERY, T0)
    later = due(T0 + timedelta(minutes=16), last)

    assert everything == tuple(EVERY)
    assert due(T0 + timedelta(minutes=4), last) == ()
    assert "provider_canary" in later
    assert "golden_set" not in later
    assert due(T0 + timedelta(days=1), last) == everything


class Embedding(NoHttp):
    """A provider that embeds, or says something else."""

    def __init__(self, status: int, document: object) -> None:
        self.reply = Reply(status=status, body=json.dumps(document).encode())
        self.asked: list[object] = []

    async def request(self, target: str, method: str, path: str, *, purpose: Purpose = "read",
                      query: Mapping[str, str] | None = None, body: object = None,
                      headers: Mapping[str, str] | None = None, timeout_s: float = 8.0) -> Reply:  # fmt: skip
        self.asked.append((target, method, path, purpose, body))
        return self.reply


def vectors(count: int = len(SENTENCES), length: int = 4) -> dict[str, object]:
    return {"data": [{"index": i, "embedding": [0.5] * length} for i in range(count)], "usage": {"total_tokens": 88}}


async def test_fixed_sentences_are_embedded_by_the_declared_model() -> None:
    http = Embedding(200, vectors())

    recording = await record(replace(context(), http=http), {}, [EMBEDDINGS], PLENTY)
    ((key, document),) = recording.documents

    assert key == "embedding.sentences:acme-openai/acme-embed"
    assert document["dimension"] == 4
    assert len(document["vectors"]) == len(SENTENCES)
    assert http.asked[0][:4] == ("acme-openai", "POST", "/v1/embeddings", "canary")  # type: ignore[index]
    assert (recording.tokens, recording.done) == (88, (EMBEDDINGS,))
    assert recording.usd == pytest.approx(0.00022)


@pytest.mark.parametrize(
    ("status", "document"),
    [(500, {}), (200, {"data": "x"}), (200, vectors(count=3)), (200, vectors(length=0)), (200, []),
     (200, {"data": [{"embedding": ["a"]}]}), (200, vectors(length=9000))],
)  # fmt: skip
async def test_an_answer_that_is_no_vectors_is_not_recorded(status: int, document: object) -> None:
    recording = await record(replace(context(), http=Embedding(status, document)), {}, [EMBEDDINGS], PLENTY)

    assert recording.documents == ()
    assert "no vectors" in recording.left_out[EMBEDDINGS]


async def test_embeddings_keep_to_the_budget_and_to_providers_that_have_them() -> None:
    tight = await record(context(), {}, [EMBEDDINGS], Limits(tokens=10, usd=1.0))
    service = context().service
    other = replace(context(), service=service.model_copy(update={"provider": "beta-anthropic"}))

    assert tight.left_out == {EMBEDDINGS: "budget"}
    assert "no embedding model" in (await record(other, {}, [EMBEDDINGS], PLENTY)).left_out[EMBEDDINGS]


def test_series_names_are_filled_only_from_the_table() -> None:
    assert series.name("gateway_canary.failed:{route}", route="chat") == "gateway_canary.failed:chat"
    assert series.known("golden.items:support@13")
    assert not series.known("golden.items:support 13")
    assert not series.known("user_signal.requests:extra")
    with pytest.raises(KeyError, match="no such series"):
        series.name("gateway_canary.invented:{route}", route="chat")
    assert baseline.SENTENCES[0].startswith("The order")
