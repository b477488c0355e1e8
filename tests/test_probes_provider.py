"""The probes of providers, against a local server that plays them in health and in every failure."""

import json
import random
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest

from config.http import FailureStage, HttpError, ReachStep
from diagnostics import series
from diagnostics.model import AnyProbe
from diagnostics.probes.canary import GatewayCanary, ProviderCanary
from diagnostics.probes.canary_verdict import chance_of_noticing, failures_ask, surely_failing
from diagnostics.probes.egress import Egress
from diagnostics.probes.fingerprint import ModelFingerprint
from diagnostics.probes.golden_set import GoldenCounterfactual, GoldenSetProbe
from diagnostics.probes.headroom import RateLimitHeadroom
from diagnostics.probes.listing import ModelListing
from diagnostics.probes.status_page import StatusPageProbe
from diagnostics.probes.structured import StructuredOutput
from tests.provider_fakes import (
    NOW,
    Asked,
    Served,
    Stage,
    anthropic_stream,
    company_open,
    error,
    in_turn,
    openai_answer,
    openai_stream,
)

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
ALL: list[AnyProbe] = [
    ProviderCanary(), ProviderCanary(second=True), GatewayCanary(), RateLimitHeadroom(), ModelListing(),
    StatusPageProbe(), Egress(), GoldenSetProbe(), GoldenCounterfactual(), ModelFingerprint(), StructuredOutput(),
]  # fmt: skip


@pytest.fixture
async def stage() -> AsyncIterator[Stage]:
    async with company_open() as (company, http):
        yield Stage(company, http)


def spread(middle: float, n: int = 200) -> list[float]:
    """Log-normal values, the same every time."""
    rng = random.Random(3)
    return [middle * rng.lognormvariate(0, 0.25) for _ in range(n)]


def test_the_names_are_those_of_the_probe_table() -> None:
    assert {probe.spec.id: probe.spec.name for probe in ALL} == {
        "P01": "provider_canary",
        "P02": "gateway_canary",
        "P03": "rate_limit_headroom",
        "P04": "model_listing",
        "P05": "status_page",
        "P06": "egress",
        "P07": "second_provider_canary",
        "P10": "golden_set",
        "P11": "golden_counterfactual",
        "P12": "model_fingerprint",
        "P26": "structured_output",
    }


# --- P01, P07: canaries to a provider ----------------------------------------------------------------------------


TTFT = "provider_canary.ttft_s:acme-openai/acme-large"


async def test_a_healthy_provider_is_ok_with_power_and_cost(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_stream(first_byte_s=0.4))
    stage.baselines.series[TTFT] = spread(0.4)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == "ok"
    assert reading.value == 0.0
    assert reading.n == 10
    assert reading.power is not None
    assert reading.power > 0.9
    assert reading.tokens == 10 * 24
    assert reading.usd == pytest.approx(10 * (20 * 0.5 + 4 * 1.0) / 1000)
    assert reading.details[series.RECORD][TTFT] == [0.4] * 10


async def test_canaries_are_tiny_tagged_and_all_different(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_stream())
    await stage.ask(ProviderCanary())
    calls = stage.company.calls("acme", CHAT)

    assert all(call.headers["x-pagerunner-canary"] == "1" for call in calls)
    assert all(call.body["max_tokens"] == 16 and call.body["stream"] for call in calls)
    assert len({call.body["messages"][-1]["content"] for call in calls}) == len(calls)


@pytest.mark.parametrize(
    ("served", "word"),
    [
        (error(500, "server_error", None), "server_error"),
        (error(503, "service_unavailable_error", "server_is_overloaded"), "overloaded"),
        (error(429, "tokens", "rate_limit_exceeded"), "rate_limited"),
        (error(429, None, "slow_down"), "capacity"),
        (error(429, "insufficient_quota", "project_spend_limit_exceeded"), "quota_exhausted"),
        (error(401, "invalid_request_error", "invalid_api_key"), "unauthorized"),
        (error(404, "invalid_request_error", "model_not_found"), "model_missing"),
        (error(400, "invalid_request_error", "invalid_value", param="messages"), "bad_request"),
        (Served(status=200, body="<html>welcome</html>"), "server_error"),
        (Served(status=200, body='{"choices": []}'), "server_error"),
        (openai_stream(end=False), "server_error"),
    ],
)
async def test_a_failing_provider_is_named_by_its_errors(stage: Stage, served: Served, word: str) -> None:
    stage.company.play("acme", CHAT, served)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == word
    assert (reading.n, reading.value) == (5, 1.0)
    assert reading.p_value is not None
    assert reading.p_value < 1e-6
    assert reading.evidence[0].source == f"POST acme {CHAT}"
    assert reading.evidence[0].excerpt.startswith(f"HTTP {served.status}\n{served.body[:40]}")


@pytest.mark.parametrize(
    ("stage_of_failure", "word"), [("dns", "connect_error"), ("tls", "connect_error"), ("timeout", "timeout")]
)
async def test_a_provider_out_of_reach_is_named_so(stage: Stage, stage_of_failure: FailureStage, word: str) -> None:
    stage.company.failing["acme"] = stage_of_failure
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == word


async def test_a_canary_that_we_may_not_send_is_no_finding_about_the_provider(stage: Stage) -> None:
    stage.company.failing["acme"] = "refused"

    with pytest.raises(HttpError):
        await stage.ask(ProviderCanary())


@pytest.mark.parametrize("seed", range(20))
async def test_a_partial_failure_is_noticed(stage: Stage, seed: int) -> None:
    """Three calls in ten fail: over twenty seeds, all are seen that show two failures to whoever asks fifteen times."""
    rng = random.Random(seed)
    draws = [rng.random() < 0.3 for _ in range(15)]
    turn = iter(draws)
    bad, good = error(500, "server_error", None), openai_stream()
    stage.company.play("acme", CHAT, lambda asked: bad if next(turn) else good)
    reading = await stage.ask(ProviderCanary())
    asked = len(stage.company.calls("acme", CHAT))

    assert reading.outcome == ("server_error" if sum(draws[:asked]) >= 2 else "ok")
    assert asked == 15 or sum(draws[:10]) in (0, *range(3, 16))


async def test_where_many_failures_are_allowed_it_asks_until_it_is_sure(stage: Stage) -> None:
    bad, good = error(500, "server_error", None), openai_stream()
    stage.company.play("acme", CHAT, in_turn(bad, good, good, bad, good, good, bad, good, good, good))
    reading = await stage.ask(ProviderCanary(), error_slo=0.05)

    assert (reading.outcome, reading.n) == ("server_error", 15)
    assert reading.power is not None
    assert 0.5 < reading.power < 0.95


async def test_several_failures_that_may_be_allowed_are_neither_an_incident_nor_health(stage: Stage) -> None:
    bad, good = error(500, "server_error", None), openai_stream()
    plays = iter([bad, good, good, good, good] * 3)
    stage.company.play("acme", CHAT, lambda asked: next(plays, good))
    reading = await stage.ask(ProviderCanary(), error_slo=0.05)

    assert (reading.outcome, reading.n) == ("inconclusive", 30)
    assert "3 of 30 calls failed" in reading.summary


@pytest.mark.parametrize(("n", "slo"), [(5, 0.01), (5, 0.05), (5, 0.1), (10, 0.05)])
def test_the_power_of_a_canary_is_what_the_procedure_finds(n: int, slo: float) -> None:
    rng = random.Random(7)

    def noticed() -> bool:
        failed = waves = 0
        while waves == 0 or failures_ask(failed, waves * n, waves, slo):
            failed += sum(rng.random() < max(0.3, 3 * slo) for _ in range(n))
            waves += 1
        return surely_failing(failed, waves * n, slo)

    assert sum(noticed() for _ in range(1500)) / 1500 == pytest.approx(chance_of_noticing(n, slo), abs=0.04)


async def test_no_failure_says_how_many_may_have_been_missed(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_stream())
    reading = await stage.ask(ProviderCanary())

    assert "10 of 10 calls answered (so at most 26 % fail)" in reading.summary


async def test_a_single_failure_is_not_an_incident(stage: Stage) -> None:
    plays = iter([error(500, "server_error", None)])
    stage.company.play("acme", CHAT, lambda asked: next(plays, openai_stream()))
    reading = await stage.ask(ProviderCanary())

    assert (reading.outcome, reading.n) == ("ok", 15)
    assert reading.details["failed"] == 1


async def test_the_commonest_failure_gives_the_name(stage: Stage) -> None:
    slow, over = error(500, "server_error", None), error(503, None, "server_is_overloaded")
    stage.company.play("acme", CHAT, in_turn(over, over, slow, over, over))
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == "overloaded"
    assert reading.details["words"] == {"overloaded": 4, "server_error": 1}


async def test_throttling_does_not_hide_the_failures_whose_retries_brought_it(stage: Stage) -> None:
    throttled, failed = error(429, "tokens", "rate_limit_exceeded"), error(500, "server_error", None)
    over = error(503, None, "server_is_overloaded")
    for plays, word in (((throttled, failed, throttled, failed, throttled), "server_error"),
                        ((throttled, throttled, over, throttled, failed), "overloaded"),
                        ((throttled, throttled, throttled, throttled, failed), "rate_limited")):  # fmt: skip
        stage.company.play("acme", CHAT, in_turn(*plays))
        assert (await stage.ask(ProviderCanary())).outcome == word


async def test_a_slow_provider_is_slow_by_its_own_history(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_stream(first_byte_s=1.1, elapsed_s=1.3))
    stage.baselines.series[TTFT] = spread(0.4)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == "slow"
    assert reading.value == pytest.approx(1.1 / 0.4, rel=0.1)
    assert reading.p_value is not None
    assert reading.p_value < 0.01
    assert reading.baseline_n == 200


async def test_a_short_history_that_is_used_is_not_called_missing(stage: Stage) -> None:
    stage.baselines.series["provider_canary.ttft_s:acme-openai/acme-large"] = spread(0.4, 50)
    stage.company.play("acme", CHAT, openai_stream(first_byte_s=0.4, elapsed_s=0.5))
    reading = await stage.ask(ProviderCanary())

    assert "(by 50 canaries so far)" in reading.summary
    assert "no baseline yet" not in reading.summary


async def test_a_long_answer_is_not_a_slow_provider(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_stream("pong " * 40, first_byte_s=0.4, elapsed_s=9.0))
    stage.baselines.series[TTFT] = spread(0.4)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == "ok"


@pytest.mark.parametrize(("ttft", "outcome"), [(6.0, "slow"), (0.4, "ok"), (3.0, "inconclusive")])
async def test_without_a_baseline_the_objective_decides_and_the_reading_says_so(
    stage: Stage, ttft: float, outcome: str
) -> None:
    stage.company.play("acme", CHAT, openai_stream(first_byte_s=ttft, elapsed_s=ttft))
    stage.baselines.series[TTFT] = spread(0.4, 12)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == outcome
    assert "no baseline yet, 12 of 200" in reading.summary


async def test_a_parameter_that_a_model_does_not_take_is_left_out(stage: Stage) -> None:
    def reply(asked: Asked) -> Served:
        if "max_tokens" in asked.body:
            return error(400, "invalid_request_error", "unsupported_parameter", param="max_tokens")
        if "temperature" in asked.body:
            return error(400, "invalid_request_error", "unsupported_value", param="temperature")
        return openai_stream()

    stage.company.play("acme", CHAT, reply)
    reading = await stage.ask(ProviderCanary())

    assert reading.outcome == "ok"
    assert stage.company.calls("acme", CHAT)[-1].body["max_completion_tokens"] == 16


async def test_the_second_provider_is_asked_in_its_own_dialect(stage: Stage) -> None:
    stage.company.play("beta", MESSAGES, anthropic_stream())
    reading = await stage.ask(ProviderCanary(second=True))
    call = stage.company.calls("beta", MESSAGES)[0]

    assert reading.outcome == "ok"
    assert reading.tokens == 10 * 24
    assert (call.headers["anthropic-version"], call.body["model"]) == ("2023-06-01", "beta-sonnet")
    assert stage.company.calls("acme", CHAT) == []


async def test_an_error_inside_a_successful_stream_is_a_failure(stage: Stage) -> None:
    broken = anthropic_stream("po", error={"type": "overloaded_error", "message": "Overloaded"})
    stage.company.play("beta", MESSAGES, broken)
    reading = await stage.ask(ProviderCanary(second=True))

    assert reading.outcome == "overloaded"


async def test_an_unknown_provider_is_an_error_with_the_fix(stage: Stage) -> None:
    with pytest.raises(LookupError, match="declare it under 'providers'"):
        await stage.ask(ProviderCanary(), params={"provider": "nobody"})


# --- P02: through the gateway ------------------------------------------------------------------------------------


def routed(deployment: str, *, model: str, fallbacks: int = 0, **more: Any) -> Served:
    headers = {
        "x-litellm-model-id": deployment,
        "x-litellm-attempted-fallbacks": str(fallbacks),
        "x-litellm-num-retries": "1",
    }
    return openai_stream(model=model, headers=headers, **more)


async def test_a_healthy_gateway_is_ok_and_says_who_answered(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, routed("acme-openai-zone-a", model="acme-large-2026-08-01"))
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "ok"
    assert reading.details["deployments"] == {"acme-large-2026-08-01 on acme-openai-zone-a": 10}
    assert reading.details["repeated_by_gateway"] == 10
    assert stage.company.calls("gateway", CHAT)[0].body["model"] == "support"


async def test_a_gateway_without_deployments_is_told_from_a_rate_limit(stage: Stage) -> None:
    body = "No deployments available for selected model, Try again in 5 seconds. Passed model=support"
    stage.company.play("gateway", CHAT, error(429, None, "429", body))
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "no_deployment"
    assert reading.details["answered_by"] == {"gateway": 5}


async def test_a_refusal_by_the_gateway_is_not_worked_around(stage: Stage) -> None:
    refused = error(400, "invalid_request_error", "unsupported_parameter", param="max_tokens")
    stage.company.play("gateway", CHAT, refused)
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "bad_request"


@pytest.mark.parametrize(
    ("served", "outcome"),
    [
        (routed("acme-openai-zone-a", model="acme-small"), "wrong_model"),
        (routed("acme-openai-zone-a", model="acme-small", fallbacks=1), "wrong_model"),
        (routed("beta-anthropic-us", model="beta-sonnet"), "wrong_model"),
        (routed("beta-anthropic-us", model="beta-sonnet", fallbacks=1), "ok"),
        (routed("7f3a", model="support"), "ok"),
        (routed("7f3a", model="openai/acme-large"), "ok"),
    ],
)
async def test_answers_from_elsewhere_are_strays_unless_declared(stage: Stage, served: Served, outcome: str) -> None:
    stage.company.play("gateway", CHAT, served)
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == outcome


async def test_an_approved_shift_is_not_a_stray(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, routed("beta-anthropic-us", model="beta-sonnet"))
    weights = {"version": 2, "weights": {"acme-openai": 0, "beta-anthropic": 100}}
    stage.company.play("gateway-admin", "/routes/support", Served(body=json.dumps(weights)))
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "ok"
    assert reading.details["configured"] == {"weights": weights["weights"]}


async def test_weights_do_not_excuse_a_smaller_model(stage: Stage) -> None:
    stage.company.play("gateway", CHAT, routed("acme-openai-zone-a", model="acme-small"))
    stage.company.play("gateway-admin", "/routes/support", Served(body='{"weights": {"acme-openai": 100}}'))
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "wrong_model"
    assert reading.value == 1.0
    assert "acme-small" in reading.summary


async def test_a_call_that_the_gateway_repeated_is_not_a_slow_one(stage: Stage) -> None:
    repeated = routed("acme-openai-zone-a", model="acme-large", first_byte_s=4.0, elapsed_s=4.1)
    headers = {"x-litellm-model-id": "acme-openai-zone-a", "x-litellm-num-retries": "0"}
    first_go = openai_stream(headers=headers, first_byte_s=0.4)
    stage.company.play("gateway", CHAT, in_turn(repeated, first_go, repeated, first_go, repeated))
    stage.baselines.series["gateway_canary.ttft_s:support"] = spread(0.4)
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "ok"
    assert "6 of the answers needed a retry" in reading.summary


async def test_a_slow_sample_with_a_failure_is_looked_at_again(stage: Stage) -> None:
    slow = openai_stream(first_byte_s=2.0, elapsed_s=2.1)
    stage.company.play("acme", CHAT, in_turn(slow, slow, error(500, "server_error", None), slow, slow))
    stage.baselines.series[TTFT] = spread(0.4)
    reading = await stage.ask(ProviderCanary())

    assert (reading.outcome, reading.n) == ("server_error", 15)


async def test_one_stray_among_many_is_not_yet_a_misrouting(stage: Stage) -> None:
    plays = iter([routed("x", model="acme-small")])
    fine = routed("acme-openai-zone-a", model="acme-large")
    stage.company.play("gateway", CHAT, lambda asked: next(plays, fine))
    reading = await stage.ask(GatewayCanary())

    assert reading.outcome == "ok"


# --- P03: headroom -----------------------------------------------------------------------------------------------


def openai_limits(left: int, limit: int = 100_000, **more: str) -> dict[str, str]:
    return {
        "x-ratelimit-limit-tokens": str(limit),
        "x-ratelimit-remaining-tokens": str(left),
        "x-ratelimit-reset-tokens": "42s",
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "900",
        **more,
    }


@pytest.mark.parametrize(
    ("left", "limit", "outcome"),
    [
        (60_000, 100_000, "ample"),
        (2_000, 100_000, "exhausted"),
        (40_000, 50_000, "limit_reduced"),
        (0, 50_000, "limit_reduced"),
    ],
)
async def test_headroom_is_read_from_a_free_request(stage: Stage, left: int, limit: int, outcome: str) -> None:
    stage.company.play("acme", "/v1/models/acme-large", Served(headers=openai_limits(left, limit)))
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == outcome
    assert reading.details["reset_s"] == 42.0
    assert stage.company.calls("acme", CHAT) == []


async def test_headroom_falls_back_to_one_token(stage: Stage) -> None:
    stage.company.play("acme", "/v1/models/acme-large", Served(body="{}"))
    stage.company.play("acme", CHAT, openai_answer(headers=openai_limits(1_000), tokens=1))
    reading = await stage.ask(RateLimitHeadroom())
    (call,) = stage.company.calls("acme", CHAT)

    assert reading.outcome == "exhausted"
    assert call.body["max_tokens"] == 1
    assert reading.tokens == 21


async def test_headroom_reads_the_headers_of_a_refusal(stage: Stage) -> None:
    refusal = error(429, "tokens", "rate_limit_exceeded", headers=openai_limits(0))
    stage.company.play("acme", CHAT, refusal)
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "exhausted"


async def test_headroom_reads_every_dimension_of_the_second_vendor(stage: Stage) -> None:
    reset = (NOW + timedelta(seconds=17)).isoformat()
    headers = {
        "anthropic-ratelimit-tokens-limit": "100000",
        "anthropic-ratelimit-tokens-remaining": "70000",
        "anthropic-ratelimit-output-tokens-limit": "8000",
        "anthropic-ratelimit-output-tokens-remaining": "0",
        "anthropic-ratelimit-output-tokens-reset": reset,
    }
    stage.company.play("beta", "/v1/models/beta-sonnet", Served(headers=headers))
    reading = await stage.ask(RateLimitHeadroom(), params={"provider": "beta-anthropic"})

    assert reading.outcome == "exhausted"
    assert (reading.details["dimension"], reading.details["reset_s"]) == ("output-tokens", 17.0)


async def test_a_recorded_limit_is_what_a_smaller_one_is_compared_with(stage: Stage) -> None:
    stage.company.play("acme", "/v1/models/acme-large", Served(headers=openai_limits(30_000, 50_000)))
    stage.baselines.series["rate_limit.tokens_limit:acme-openai"] = [50_000.0] * 6
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "ample"


async def test_headroom_looks_again_when_little_is_left(stage: Stage) -> None:
    lefts = iter([10_000, 8_000, 1_000])
    stage.company.play("acme", "/v1/models/acme-large", lambda asked: Served(headers=openai_limits(next(lefts))))
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "exhausted"


async def test_headroom_falls_back_to_the_gateways_gauge(stage: Stage) -> None:
    stage.company.play("acme", CHAT, openai_answer())
    result = {"data": {"result": [{"metric": {}, "value": [1, "3000"]}, {"metric": {}, "value": [1, "NaN"]}]}}
    stage.company.play("prometheus", "/api/v1/query", Served(body=json.dumps(result)))
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "exhausted"
    assert reading.details["source"] == "gauge"


async def test_no_headers_anywhere_is_absent_and_not_ample(stage: Stage) -> None:
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "absent"


async def test_headroom_of_an_unreachable_provider_sends_no_canary(stage: Stage) -> None:
    stage.company.failing["acme"] = "dns"
    reading = await stage.ask(RateLimitHeadroom())

    assert reading.outcome == "absent"


# --- P04: listing ------------------------------------------------------------------------------------------------


def models(*names: str, **more: Any) -> Served:
    return Served(body=json.dumps({"object": "list", "data": [{"id": name} for name in names], **more}))


async def test_a_listed_model_is_ok(stage: Stage) -> None:
    stage.company.play("acme", "/v1/models", models("acme-large", "acme-small"))
    stage.company.play("acme", "/v1/models/acme-large", Served(body='{"id": "acme-large"}'))

    assert (await stage.ask(ModelListing())).outcome == "ok"


async def test_a_model_beyond_the_first_page_is_ok(stage: Stage) -> None:
    stage.company.play("beta", "/v1/models", models("beta-haiku", has_more=True))
    stage.company.play("beta", "/v1/models/beta-sonnet", Served(body='{"id": "beta-sonnet"}'))
    reading = await stage.ask(ModelListing(), params={"provider": "beta-anthropic"})

    assert reading.outcome == "ok"
    assert all(call.headers["anthropic-version"] == "2023-06-01" for call in stage.company.asked)


async def test_a_retired_model_is_absent_with_its_likely_successor(stage: Stage) -> None:
    stage.company.play("acme", "/v1/models", models("acme-large-2", "other"))
    missing = error(404, "invalid_request_error", "model_not_found", "The model does not exist")
    stage.company.play("acme", "/v1/models/acme-large", missing)
    reading = await stage.ask(ModelListing())

    assert reading.outcome == "absent"
    assert reading.details["nearest"] == ["acme-large-2"]


async def test_a_refused_key_is_unauthorized(stage: Stage) -> None:
    refused = error(401, "invalid_request_error", "invalid_api_key")
    stage.company.play("acme", "/v1/models", refused)
    stage.company.play("acme", "/v1/models/acme-large", refused)

    assert (await stage.ask(ModelListing())).outcome == "unauthorized"


@pytest.mark.parametrize("served", [error(500, "server_error", None), Served(body="<html>"), Served(body="[]")])
async def test_an_unreadable_list_is_an_error(stage: Stage, served: Served) -> None:
    stage.company.play("acme", "/v1/models", served)
    stage.company.play("acme", "/v1/models/acme-large", served)

    assert (await stage.ask(ModelListing())).outcome == "error"


async def test_a_list_out_of_reach_is_an_error(stage: Stage) -> None:
    stage.company.failing["acme"] = "connect"

    assert (await stage.ask(ModelListing())).outcome == "error"


# --- P05: status pages -------------------------------------------------------------------------------------------


def page(component: str, status: str = "operational", **more: Any) -> dict[str, Any]:
    return {
        "page": {"id": "p"},
        "status": {"indicator": "major", "description": "Partial System Outage"},
        "components": [{"name": component, "status": status}, {"name": "Dashboard", "status": "major_outage"}],
        **more,
    }


def incident(name: str, *components: str, status: str = "investigating", **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "status": status,
        "impact": "major",
        "started_at": (NOW - timedelta(minutes=12)).isoformat(),
        "components": [{"name": component} for component in components],
        "incident_updates": [{"body": "We are looking into it.", "status": status}],
        **more,
    }


def publish(stage: Stage, target: str, summary: Any, incidents: Any = None) -> None:
    stage.company.play(target, "/api/v2/summary.json", Served(body=json.dumps(summary)))
    if incidents is not None:
        stage.company.play(target, "/api/v2/incidents.json", Served(body=json.dumps({"incidents": incidents})))


ACME: dict[str, Any] = {}
BETA: dict[str, Any] = {"provider": "beta-anthropic"}


@pytest.mark.parametrize(
    ("incidents", "outcome"),
    [
        ([], "clear"),
        ([incident("Elevated errors", "Chat API")], "incident"),
        ([incident("Elevated errors", "Chat API (eu)")], "incident"),
        ([incident("Elevated errors", "Chat API", status="resolved")], "clear"),
        ([incident("Elevated errors", "Chat API", resolved_at="2026-11-22T09:00:00Z")], "clear"),
        ([incident("Uploads fail", "Files")], "clear"),
        ([incident("Elevated errors on Acme Small", "Chat API")], "clear"),
        ([incident("Elevated errors on Acme Large", "Other")], "incident"),
        ([incident("Errors on acme-small and acme-large", "Chat API")], "incident"),
        ([{"name": 7}, "junk", None], "clear"),
    ],
)
async def test_an_incident_counts_only_for_our_component_and_model(
    stage: Stage, incidents: list[Any], outcome: str
) -> None:
    publish(stage, "acme-status", page("Chat API", incidents=incidents))
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == outcome


async def test_a_missing_list_of_incidents_is_looked_up_elsewhere(stage: Stage) -> None:
    publish(
        stage, "acme-status", page("Chat API"), [incident("Errors", "Chat API"), incident("Old", status="resolved")]
    )
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == "incident"
    assert reading.details["incidents"][0]["minutes_old"] == 12


async def test_a_missing_list_of_incidents_is_not_no_incident(stage: Stage) -> None:
    publish(stage, "acme-status", page("Chat API"))
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == "inconclusive"


async def test_a_component_that_is_not_there_is_not_clear(stage: Stage) -> None:
    publish(stage, "acme-status", page("Images API", incidents=[]))
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == "inconclusive"
    assert "'Chat API'" in reading.summary


async def test_a_degraded_component_is_an_incident_without_any_post(stage: Stage) -> None:
    publish(stage, "beta-status", page("Messages API", "partial_outage", incidents=[]))
    reading = await stage.ask(StatusPageProbe(), params=BETA)

    assert reading.outcome == "incident"


async def test_a_component_degraded_by_another_model_is_clear(stage: Stage) -> None:
    haiku = incident("Beta Haiku is slow", "Messages API")
    publish(stage, "beta-status", page("Messages API", "degraded_performance", incidents=[haiku]))
    reading = await stage.ask(StatusPageProbe(), params=BETA)

    assert reading.outcome == "clear"
    assert reading.details["unrelated_incidents"] == ["Beta Haiku is slow"]


async def test_the_native_shape_of_the_other_vendor_is_read(stage: Stage) -> None:
    native = {
        "summary": {
            "components": [{"name": "Chat API", "status": "full_outage"}],
            "ongoing_incidents": [incident("Errors", status="identified", affected_components=[{"name": "Chat API"}])],
        }
    }
    publish(stage, "acme-status", native)
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == "incident"
    assert reading.details["component_status"] == "full_outage"


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"components": 7, "incidents": 7}'])
async def test_a_broken_status_page_is_inconclusive(stage: Stage, body: str) -> None:
    stage.company.play("acme-status", "/api/v2/summary.json", Served(body=body))
    reading = await stage.ask(StatusPageProbe())

    assert reading.outcome == "inconclusive"


# --- P06: egress -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("step", "outcome"),
    [("dns", "dns_failed"), ("tcp", "connect_failed"), ("tls", "tls_failed"), ("http", "http_failed")],
)
async def test_egress_names_the_step_that_fails(stage: Stage, step: Any, outcome: str) -> None:
    failed = ReachStep(step=step, ok=False, detail="no", elapsed_s=0.1)
    stage.company.unreachable["acme"] = [failed] * 8
    reading = await stage.ask(Egress())

    assert reading.outcome == outcome
    assert reading.details["contrast"] == {"provider": "beta-anthropic", "ok": True}


async def test_egress_that_fails_now_and_then_is_noticed(stage: Stage) -> None:
    down = ReachStep(step="dns", ok=False, detail="SERVFAIL", elapsed_s=0.1)
    up = ReachStep(step="http", ok=True, detail="", elapsed_s=0.1)
    stage.company.unreachable["acme"] = [up, down, *[up] * 9, down, *[up] * 4]
    reading = await stage.ask(Egress())

    assert (reading.outcome, reading.n) == ("dns_failed", 16)


async def test_one_failed_attempt_of_many_is_ok(stage: Stage) -> None:
    stage.company.unreachable["acme"] = [ReachStep(step="dns", ok=False, detail="", elapsed_s=0.1)]
    reading = await stage.ask(Egress())

    assert (reading.outcome, reading.n) == ("ok", 16)
