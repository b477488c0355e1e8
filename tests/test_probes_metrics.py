"""Probes that read metrics, the change log and ingestion: what they answer, with the numbers that decided it."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from diagnostics import metrics, series
from diagnostics.metrics import Query, QueryError
from diagnostics.model import Change
from diagnostics.probes.changes import ChangeLog, ChangeParams
from diagnostics.probes.demand import DemandProfile
from diagnostics.probes.gateway_health import GatewayHealth
from diagnostics.probes.index import IndexFreshness
from diagnostics.probes.signal import UserSignal
from diagnostics.probes.telemetry import TelemetryCheck
from diagnostics.probes.tokens import TokenProfile
from diagnostics.prometheus import Prometheus, PrometheusError
from diagnostics.windows import histogram_quantile, without_incidents
from tests.diagnosis_fakes import T0, KeptBaselines, KeptChanges, NoHttp, context
from tests.metrics_fakes import World, deployments, ends, healthy, look, serving, step

DURATION = "gen_ai_client_operation_duration_seconds"
FIRST = "gen_ai_client_operation_time_to_first_chunk_seconds"


# --- What users notice -------------------------------------------------------------------------------------------


def failing(share: float, *, at: float = -5.0, until: float = 1e9) -> World:
    """Healthy, until this share of 250 requests a minute fails."""
    world = healthy()
    world.drop(f"{DURATION}_count")
    world.counter(f"{DURATION}_count", step(249.25, 250 * (1 - share), at=at, until=until))
    world.counter(f"{DURATION}_count", step(0.75, 250 * share, at=at, until=until), error_type="529")
    return world


async def test_a_healthy_service_is_ok_with_the_numbers_that_say_so() -> None:
    reading = await look(UserSignal(), healthy())

    assert reading.outcome == "ok"
    assert reading.summary.startswith("0.30 % of 1,250 requests failed in 5 min, as usual (0.30 %)")
    assert reading.n == 1250
    assert reading.power is not None
    assert reading.power > 0.9
    assert reading.evidence


async def test_failing_requests_are_errors_with_baseline_test_and_p_value() -> None:
    reading = await look(UserSignal(), failing(0.184))

    assert reading.outcome == "errors"
    assert reading.summary == "18.4 % of 1,250 requests failed in 5 min; normally 0.30 % (p < 1e-9)."
    assert reading.value == pytest.approx(0.184)
    assert reading.baseline == pytest.approx(0.003)
    assert reading.interval is not None
    assert reading.interval[0] < 0.184 < reading.interval[1]
    assert reading.test == "conditional binomial of two rates, one-sided"
    assert reading.details["by_error"] == {"529": 230.0, "ok": 1020.0}


async def test_the_onset_is_found_to_the_slice() -> None:
    reading = await look(UserSignal(), failing(0.3, at=-20))

    assert reading.details["onset"] == (T0 - timedelta(minutes=20)).isoformat()


async def test_a_rise_within_what_is_allowed_is_not_an_error_but_is_told() -> None:
    reading = await look(UserSignal(), failing(0.008))

    assert reading.outcome == "ok"
    assert "0.80 % of 1,250 requests failed" in reading.summary
    assert "1.0 % are allowed" in reading.summary


async def test_a_failure_that_has_ended_before_the_window_is_recovered() -> None:
    reading = await look(UserSignal(), failing(0.4, at=-20, until=-10))

    assert reading.outcome == "recovered"
    assert "40.0 % failed in the 5 min to" in reading.summary


async def test_a_blip_inside_the_window_is_recovered_once_fresh_requests_are_well() -> None:
    reading = await look(UserSignal(), failing(0.6, at=-3.5, until=-2.75))

    assert reading.outcome == "recovered"
    assert "in the last 90 s" in reading.summary


async def test_a_failure_that_goes_on_is_not_called_over() -> None:
    assert (await look(UserSignal(), failing(0.05, at=-3.5))).outcome == "errors"


async def test_a_failure_is_not_called_over_by_the_few_requests_that_are_left() -> None:
    def curve(before: float, failing: float, left: float) -> Callable[[float], float]:
        return lambda minute: before if minute < -25 else failing if minute < -6 else left

    world = healthy()
    world.drop(f"{DURATION}_count")
    world.counter(f"{DURATION}_count", curve(249.25, 100, 0.4))
    world.counter(f"{DURATION}_count", curve(0.75, 150, 0.2), error_type="529")

    reading = await look(UserSignal(), world)

    assert reading.outcome == "inconclusive"
    assert "too few to tell" in reading.summary


async def test_traffic_that_collapsed_after_a_failure_is_no_recovery() -> None:
    world = healthy()
    world.drop(f"{DURATION}_count")
    world.counter(f"{DURATION}_count", lambda minute: 8 if minute >= -1.5 else 150 if -20 <= minute < -10 else 249.25)
    world.counter(f"{DURATION}_count", step(0.75, 100, at=-20, until=-10), error_type="529")

    reading = await look(UserSignal(), world)

    assert reading.outcome == "inconclusive"
    assert "in 90 s, too few to tell" in reading.summary


async def test_failures_that_turned_into_slowness_are_not_over() -> None:
    world = failing(0.6, at=-3.5, until=-2.0)
    world.drop(DURATION)
    for bound, usual, now in (("0.64", 5, 0), ("1.28", 60, 0), ("2.56", 180, 5), ("5.12", 240, 20),
                              ("10.24", 249, 60), ("+Inf", 250, 250)):  # fmt: skip
        world.counter(f"{DURATION}_bucket", step(usual, now, at=-3.5), le=bound)

    assert (await look(UserSignal(), world)).outcome == "slow"


async def test_slow_answers_are_slow_by_tail_and_ratio() -> None:
    world = healthy()
    world.drop(DURATION)
    for bound, usual, now in (("0.64", 5, 0), ("1.28", 60, 0), ("2.56", 180, 20), ("5.12", 240, 80),
                              ("10.24", 249, 200), ("+Inf", 250, 250)):  # fmt: skip
        world.counter(f"{DURATION}_bucket", step(usual, now), le=bound)

    reading = await look(UserSignal(), world)

    assert reading.outcome == "slow"
    assert reading.value is not None
    assert reading.baseline is not None
    assert reading.value / reading.baseline > 1.5


async def test_a_late_first_token_alone_is_slow() -> None:
    world = healthy()
    world.drop(FIRST)
    for bound, usual, now in (
        ("0.16", 5, 0),
        ("0.32", 60, 0),
        ("0.64", 200, 10),
        ("1.28", 246, 100),
        ("+Inf", 250, 250),
    ):
        world.counter(f"{FIRST}_bucket", step(usual, now), le=bound)

    reading = await look(UserSignal(), world)

    assert reading.outcome == "slow"
    assert "of first tokens took" in reading.summary


async def test_errors_come_before_slowness() -> None:
    world = failing(0.3)
    world.drop(DURATION)
    for bound, usual, now in (("2.56", 240, 10), ("5.12", 249, 60), ("+Inf", 250, 250)):
        world.counter(f"{DURATION}_bucket", step(usual, now), le=bound)

    assert (await look(UserSignal(), world)).outcome == "errors"


async def test_a_falling_score_is_a_quality_drop() -> None:
    world = healthy()
    world.drop("app_quality_score")
    world.gauge("app_quality_score", lambda m: (0.84 if m >= -30 else 0.92) + 0.004 * (int(m) % 3 - 1))

    reading = await look(UserSignal(), world)

    assert reading.outcome == "quality_drop"
    assert reading.summary.startswith("The quality score fell to 0.84; normally 0.92")
    assert reading.looks_back_s == 600


async def test_a_score_that_sank_for_hours_is_compared_with_what_was_recorded() -> None:
    world = healthy()
    world.drop("app_quality_score")
    world.gauge("app_quality_score", lambda m: 0.85 + 0.004 * (int(m) % 3 - 1))
    recorded = KeptBaselines({"user_signal.quality": [0.92 + 0.004 * (i % 3 - 1) for i in range(200)]})

    assert (await look(UserSignal(), world)).outcome == "ok"
    assert (await look(UserSignal(), world, baselines=recorded)).outcome == "quality_drop"


async def test_complaints_are_a_quality_drop() -> None:
    world = healthy()
    world.drop("app_user_reports_total")
    world.counter("app_user_reports_total", step(1, 9, at=-10))

    reading = await look(UserSignal(), world)

    assert reading.outcome == "quality_drop"
    assert reading.looks_back_s == 1500, "ten minutes, and as people complain late, a quarter of an hour more"
    assert reading.summary.startswith("Users complain about 3.6 %")


@pytest.mark.parametrize(
    ("build", "said"),
    [
        (World, "No request metric of this service was found"),
        (lambda: only_requests(ends(250, at=-30)), "Request metrics stopped at 11:3"),
        (lambda: only_requests(step(250, 0)), "No request in 5 min, where 1,250 are usual"),
        (lambda: only_requests(step(250, 0, at=-2)), "No request in the last 90 s"),
        (lambda: only_requests(0.4), "no baseline yet, 74 of 200 requests"),
        (lambda: only_requests(step(250, 8)), "Only 40 requests in 5 min, too few to tell"),
    ],
)
async def test_missing_telemetry_and_missing_traffic_are_not_health(build: object, said: str) -> None:
    assert callable(build)
    reading = await look(UserSignal(), build())

    assert reading.outcome == "inconclusive"
    assert said in reading.summary


def only_requests(curve: object) -> World:
    world = World()
    world.counter(f"{DURATION}_count", curve)  # type: ignore[arg-type]
    return world


async def test_a_cold_start_says_how_much_baseline_there_is() -> None:
    world = World()
    world.counter(f"{DURATION}_count", lambda m: 250.0 if m > -30 else None)

    reading = await look(UserSignal(), world)

    assert reading.outcome == "inconclusive"
    assert reading.summary == "Failures: no baseline yet, 0 of 200 requests."


async def test_a_recorded_baseline_replaces_missing_history() -> None:
    world = World()
    world.counter(f"{DURATION}_count", lambda m: 150.0 if m > -30 else None)
    world.counter(f"{DURATION}_count", lambda m: 100.0 if m > -30 else None, error_type="500")
    recorded = KeptBaselines({"user_signal.requests": [1200.0] * 50, "user_signal.error_share": [0.002] * 50})

    reading = await look(UserSignal(), world, baselines=recorded)

    assert reading.outcome == "errors"
    assert reading.baseline == pytest.approx(0.002)


async def test_an_earlier_incident_does_not_become_the_normal() -> None:
    clean = [(3.0, 1250.0)] * 30
    events, n = without_incidents([*clean, (600.0, 1250.0), (400.0, 1250.0)])

    assert (events, n) == (90.0, 37_500.0)


async def test_rare_errors_stay_in_the_baseline() -> None:
    pairs = [(0.0, 100.0)] * 20 + [(3.0, 100.0)] * 3

    assert without_incidents(pairs) == (9.0, 2300.0)


async def test_what_was_seen_is_handed_over_for_the_baseline() -> None:
    reading = await look(UserSignal(), healthy())
    record = reading.details[series.RECORD]

    assert record["user_signal.requests"] == [pytest.approx(1250)]
    assert record["user_signal.error_share"] == [pytest.approx(0.003)]
    assert all(series.known(name) for name in record)


async def test_litellm_names_are_found_when_opentelemetry_is_not_there() -> None:
    world = World()
    total = "litellm_proxy_total_requests_metric"
    world.counter(f"{total}_total", step(249, 200), status_code="200")
    world.counter(f"{total}_total", step(1, 50), status_code="429")
    world.counter(f"{total}_created", 1.7e9)

    reading = await look(UserSignal(), world)

    assert reading.outcome == "errors"
    assert reading.value == pytest.approx(0.2)
    assert not any("_created" in query for query in world.asked)


# --- The gateway -------------------------------------------------------------------------------------------------


async def test_a_healthy_gateway_is_ok() -> None:
    reading = await look(GatewayHealth(), healthy())

    assert reading.outcome == "ok"
    assert "3 deployments in service" in reading.summary


async def test_a_gateway_that_does_not_answer_is_down() -> None:
    reading = await look(GatewayHealth(), healthy(), refuse=("llm-gateway", "llm-gateway-admin"))

    assert reading.outcome == "down"


async def test_a_gateway_that_lives_and_is_not_ready_is_overloaded() -> None:
    world = healthy()
    world.pages["llm-gateway/health/readiness"] = (503, {"status": "db unreachable"})

    assert (await look(GatewayHealth(), world)).outcome == "overloaded"


async def test_a_gateway_that_takes_the_time_itself_is_overloaded() -> None:
    world = healthy()
    world.drop("litellm_request_total_latency_metric_sum")
    world.counter("litellm_request_total_latency_metric_sum", step(250 * 2.1, 250 * 5.0))

    reading = await look(GatewayHealth(), world)

    assert reading.outcome == "overloaded"
    assert reading.value == pytest.approx(0.584)


async def test_one_failing_zone_of_a_provider_is_named() -> None:
    world = healthy()
    world.pages["llm-gateway-admin/deployments"] = (200, {"deployments": deployments(zone_a=("failing", 0.42))})

    reading = await look(GatewayHealth(), world)

    assert reading.outcome == "zone_failing"
    assert reading.details["failing"] == "acme-openai-zone-a"
    assert reading.details["healthy"] == ["acme-openai-zone-b"]


async def test_all_zones_of_a_provider_failing_is_no_zones_fault() -> None:
    world = healthy()
    broken = deployments(zone_a=("failing", 0.42), zone_b=("failing", 0.4))
    world.pages["llm-gateway-admin/deployments"] = (200, {"deployments": broken})

    assert (await look(GatewayHealth(), world)).outcome == "cooldown"


async def test_cooldowns_beyond_the_usual_are_seen_in_the_counter() -> None:
    world = healthy()
    world.counter("litellm_deployment_cooled_down_total", step(0.0, 3.0))
    world.pages.pop("llm-gateway-admin/deployments")

    assert (await look(GatewayHealth(), world)).outcome == "cooldown"


async def test_answers_by_a_fallback_are_seen() -> None:
    world = healthy()
    world.counter("litellm_deployment_successful_fallbacks_total", step(0.0, 30.0, at=-10))

    reading = await look(GatewayHealth(), world)

    assert reading.outcome == "fallback_up"
    assert reading.value == pytest.approx(0.12, abs=0.01)


async def test_requests_piling_up_are_seen() -> None:
    world = healthy()
    world.drop("litellm_in_flight_requests")
    world.gauge("litellm_in_flight_requests", lambda m: 60.0 if m >= -10 else 12 + int(m) % 4)

    assert (await look(GatewayHealth(), world)).outcome == "inflight_up"


async def test_a_gateway_about_which_nothing_is_known_is_inconclusive() -> None:
    world = World()
    world.broken = (503, "no")

    reading = await look(GatewayHealth(), world)

    assert reading.outcome == "inconclusive"


# --- Tokens ------------------------------------------------------------------------------------------------------


async def test_ordinary_answers_are_ok() -> None:
    reading = await look(TokenProfile(), healthy())

    assert reading.outcome == "ok"
    assert "2.0 % cut at the limit (normally 2.0 %)" in reading.summary


@pytest.mark.parametrize(
    ("reason", "outcome"), [("length", "finish_length"), ("refusal", "refusal_up"), ("content_filter", "refusal_up")]
)
async def test_a_rising_share_of_endings_is_named(reason: str, outcome: str) -> None:
    world = healthy()
    world.counter("llm_finish_reasons_total", step(0, 40, at=-15), reason=reason)

    reading = await look(TokenProfile(), world)

    assert reading.outcome == outcome
    assert reading.p_value is not None
    assert reading.p_value < 1e-9


@pytest.mark.parametrize(
    ("kind", "factor", "outcome"),
    [("input", 2.5, "prompt_tokens_up"), ("output", 0.5, "output_short"), ("output", 2.0, "shift")],
)
async def test_longer_prompts_and_shorter_answers_are_named(kind: str, factor: float, outcome: str) -> None:
    world = healthy()
    world.drop("gen_ai_client_token_usage_sum")
    for name, tokens in (("input", 1150), ("output", 260)):
        after = tokens * (factor if name == kind else 1)
        world.counter("gen_ai_client_token_usage_sum", step(tokens * 250, after * 250, at=-20), gen_ai_token_type=name)

    reading = await look(TokenProfile(), world)

    assert reading.outcome == outcome
    assert reading.value == pytest.approx(factor, rel=0.02)


async def test_another_mix_of_endings_is_a_shift() -> None:
    world = healthy()
    world.counter("llm_finish_reasons_total", step(0, 120, at=-15), reason="tool_calls")

    assert (await look(TokenProfile(), world)).outcome == "shift"


async def test_too_few_answers_say_nothing() -> None:
    world = World()
    world.counter("llm_finish_reasons_total", 0.5, reason="stop")

    assert (await look(TokenProfile(), world)).outcome == "inconclusive"


# --- Demand ------------------------------------------------------------------------------------------------------


def with_demand(**curves: object) -> World:
    """Healthy, with other curves for ``tasks``, ``calls``, ``attempts``, all made by one tenant beside the usual."""
    world = healthy()
    for name, curve in curves.items():
        world.counter(f"app_{name}", curve, tenant="hooli")  # type: ignore[arg-type]
    return world


async def test_ordinary_demand_is_ok_with_all_factors_told() -> None:
    reading = await look(DemandProfile(), healthy())

    assert reading.outcome == "ok"
    assert set(reading.details["ratios"]) == {
        "users", "tasks", "tasks_per_user", "calls_per_task", "attempts_per_call", "tokens_per_call",
    }  # fmt: skip
    assert all(ratio == pytest.approx(1.0, abs=0.05) for ratio in reading.details["ratios"].values())


async def test_more_users_everywhere_is_traffic_up() -> None:
    world = healthy()
    for name in ("app_tasks_total", "app_llm_calls_total", "app_llm_attempts_total", "app_tokens_total"):
        for one in world.series[name]:
            usual = one.curve
            one.curve = lambda m, usual=usual: (usual(m) or 0) * (1.8 if m >= -20 else 1)  # type: ignore[misc]

    reading = await look(DemandProfile(), world)

    assert reading.outcome == "traffic_up"
    assert reading.value == pytest.approx(1.8, rel=0.05)


async def test_one_tenant_that_asks_for_much_more_is_named() -> None:
    extra = step(0, 300, at=-20)

    reading = await look(
        DemandProfile(), with_demand(tasks_total=extra, llm_calls_total=extra, llm_attempts_total=extra)
    )

    assert reading.outcome == "tenant_surge"
    assert reading.summary.startswith("Tenant hooli makes 63.")
    assert reading.details["top_tenant"]["tenant"] == "hooli"


async def test_more_calls_for_a_task_are_told_from_more_tasks() -> None:
    world = healthy()
    for name in ("app_llm_calls_total", "app_llm_attempts_total"):
        for one in world.series[name]:
            usual = one.curve
            one.curve = lambda m, usual=usual: (usual(m) or 0) * (1.3 if m >= -25 else 1)  # type: ignore[misc]

    reading = await look(DemandProfile(), world)

    assert reading.outcome == "calls_per_task_up"
    assert reading.value == pytest.approx(1.3, rel=0.06)


@pytest.mark.parametrize(("attempts", "outcome"), [(2.0, "retries_up"), (6.0, "retry_amplification")])
async def test_retries_are_told_from_layers_that_multiply(attempts: float, outcome: str) -> None:
    world = healthy()
    for one in world.series["app_llm_attempts_total"]:
        usual = one.curve
        one.curve = lambda m, usual=usual: (usual(m) or 0) * (attempts if m >= -15 else 1)  # type: ignore[misc]

    assert (await look(DemandProfile(), world)).outcome == outcome


async def test_ordinary_retries_do_not_hide_what_drives_them() -> None:
    world = healthy()
    for name, factor in (("app_llm_calls_total", 1.3), ("app_llm_attempts_total", 2.6)):
        for one in world.series[name]:
            usual = one.curve
            one.curve = lambda m, usual=usual, f=factor: (usual(m) or 0) * (f if m >= -25 else 1)  # type: ignore[misc]

    assert (await look(DemandProfile(), world)).outcome == "calls_per_task_up"


async def test_a_queue_far_above_a_busy_day_is_a_backlog() -> None:
    world = healthy("text-moderation")
    world.gauge("moderation_queue_depth", lambda m: 900.0 if m >= -6 else 4 + int(m) % 3, service="text-moderation")

    reading = await look(DemandProfile(), world, service="text-moderation")

    assert reading.outcome == "queue_backlog"
    assert reading.summary.startswith("900 items are waiting; on a busy day 6 are")


async def test_a_shift_that_has_ended_is_no_longer_told() -> None:
    world = healthy()
    for name in ("app_tasks_total", "app_llm_calls_total", "app_llm_attempts_total", "app_tokens_total"):
        for one in world.series[name]:
            usual = one.curve
            one.curve = lambda m, usual=usual: (usual(m) or 0) * (1.8 if -30 <= m < -5 else 1)  # type: ignore[misc]

    assert (await look(DemandProfile(), world)).outcome == "ok"


async def test_demand_without_counters_is_inconclusive() -> None:
    assert (await look(DemandProfile(), World())).outcome == "inconclusive"


# --- Telemetry ---------------------------------------------------------------------------------------------------


async def test_metrics_that_arrive_and_a_steady_judge_are_ok() -> None:
    reading = await look(TelemetryCheck(), healthy())

    assert reading.outcome == "ok"
    assert (
        reading.summary
        == "Metrics arrive; the judge agrees with the frozen labels in 93.0 % of cases; normally 93.0 %."
    )


@pytest.mark.parametrize(
    ("name", "curve"),
    [("up", step(1, 0)), ("up", ends(1, at=-10)), (f"{DURATION}_count", ends(250, at=-10))],
)
async def test_metrics_that_stopped_are_stale(name: str, curve: object) -> None:
    world = healthy()
    world.drop(name)
    (world.gauge if name == "up" else world.counter)(name, curve)  # type: ignore[arg-type]

    assert (await look(TelemetryCheck(), world)).outcome == "stale"


async def test_a_judge_that_changed_its_mind_is_drift() -> None:
    world = healthy()
    world.drop("llm_judge_agreement")
    world.gauge("llm_judge_agreement", lambda m: (0.8 if m > -40 else 0.93) + 0.003 * (int(m) % 3 - 1))

    assert (await look(TelemetryCheck(), world)).outcome == "judge_drift"


async def test_a_service_that_was_never_seen_is_inconclusive_rather_than_stale() -> None:
    assert (await look(TelemetryCheck(), World())).outcome == "inconclusive"


# --- The index ---------------------------------------------------------------------------------------------------


def indexed(age_s: float, **more: object) -> World:
    world = World()
    watermark = (T0 - timedelta(seconds=age_s)).isoformat()
    document = {"version": 3, "state": "running", "watermark": watermark, "catch_up": False, "queue_depth": 0, **more}
    world.pages["ingestion/support-kb"] = (200, document)
    return world


async def test_an_index_that_keeps_up_is_fresh() -> None:
    reading = await look(IndexFreshness(), indexed(900), service="support-bot")

    assert reading.outcome == "fresh"
    assert reading.summary == "support-kb: the newest document is 15 min old; 2 h are promised, ingestion is running."


async def test_an_index_that_stopped_is_stale() -> None:
    reading = await look(IndexFreshness(), indexed(9 * 3600, state="stalled", queue_depth=700), service="support-bot")

    assert reading.outcome == "stale"
    assert reading.value == 9 * 3600
    assert "ingestion is stalled, 700 documents are waiting" in reading.summary


async def test_a_quiet_source_is_said_to_be_possible() -> None:
    reading = await look(IndexFreshness(), indexed(9 * 3600), service="support-bot")

    assert "its source may simply be quiet" in reading.summary
    assert reading.details["maybe_quiet"]


async def test_the_watermark_metric_answers_when_ingestion_does_not() -> None:
    world = World()
    world.gauge(
        "index_watermark_timestamp_seconds", T0.timestamp() - 7 * 3600, service="support-bot", index="support-kb"
    )

    reading = await look(IndexFreshness(), world, service="support-bot", refuse=("ingestion",))

    assert reading.outcome == "stale"


async def test_an_index_nobody_can_tell_of_is_inconclusive() -> None:
    assert (await look(IndexFreshness(), World(), service="support-bot")).outcome == "inconclusive"


# --- Changes -----------------------------------------------------------------------------------------------------


def change(number: int, kind: str, minutes_before: float, service: str = "chat-assistant") -> Change:
    at = T0 - timedelta(minutes=minutes_before)
    return Change(id=f"c{number}", at=at, kind=kind, service=service, summary="<script>", before="v12", after="v13")


async def test_the_change_nearest_before_the_onset_is_suspected_and_never_abnormal() -> None:
    reading = await ChangeLog().run(
        context(changes=KeptChanges(change(1, "config", 600), change(2, "prompt", 12), change(3, "deploy", 70))),
        ChangeParams(),
    )

    assert reading.outcome == "prompt"
    assert reading.details["change_id"] == "c2"
    assert [told["id"] for told in reading.details["changes"]] == ["c2", "c3", "c1"]
    assert "may be a coincidence" in reading.summary
    assert ChangeLog.spec.outcomes[reading.outcome].value == "normal"


async def test_only_the_window_is_looked_at_a_little_after_the_onset_included() -> None:
    far, after, late = change(1, "prompt", 25 * 60), change(2, "secret", -4), change(3, "model", -6)

    assert (await ChangeLog().run(context(changes=KeptChanges(far, late)), ChangeParams())).outcome == "none"
    assert (await ChangeLog().run(context(changes=KeptChanges(far, after)), ChangeParams())).outcome == "secret"


async def test_the_base_rate_of_changes_is_told() -> None:
    habit = [change(i, "deploy", 24 * 60 * (1 + i / 4)) for i in range(1, 29)]

    reading = await ChangeLog().run(context(changes=KeptChanges(change(0, "prompt", 10), *habit)), ChangeParams())

    assert reading.details["usual_in_window"] == pytest.approx(4.0, abs=0.6)
    assert "are usual" in reading.summary


async def test_a_change_to_this_service_is_suspected_before_one_to_all() -> None:
    reading = await ChangeLog().run(
        context(changes=KeptChanges(change(1, "gateway", 20, "*"), change(2, "prompt", 25))), ChangeParams()
    )

    assert reading.outcome == "prompt"


async def test_an_unknown_kind_of_change_is_other() -> None:
    reading = await ChangeLog().run(context(changes=KeptChanges(change(1, "moon phase", 5))), ChangeParams())

    assert reading.outcome == "other"


# --- Queries and the client --------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ['"} or vector(1)#', "a b", "", "x" * 81, "a\nb", "ü"])
def test_a_label_value_that_could_leave_its_quotes_is_refused(value: str) -> None:
    with pytest.raises(QueryError, match="not allowed"):
        metrics.promql(Query(template="level", metric="up", labels={"service": value}), metrics.METRICS["up"][0])


@pytest.mark.parametrize("window", [0, 29, 21_601, 2_592_000])
def test_windows_are_capped(window: int) -> None:
    with pytest.raises(QueryError, match="window"):
        metrics.promql(Query(template="increase", metric="requests", window_s=window), metrics.METRICS["requests"][0])


def test_only_metrics_of_the_table_can_be_asked_for() -> None:
    with pytest.raises(QueryError, match="no such metric"):
        metrics.names_of('{__name__=~".+"}')


def test_exported_names_are_recognised_and_created_series_are_not() -> None:
    assert "requests" in metrics.logical("litellm_proxy_total_requests_metric_total")
    assert "requests" in metrics.logical("litellm_proxy_total_requests_metric")
    assert metrics.logical("litellm_proxy_total_requests_metric_created") == ()
    assert metrics.logical("gen_ai_client_operation_duration_seconds_bucket") == ("duration",)
    assert metrics.logical("vllm:gpu_cache_usage_perc") == metrics.logical("vllm:kv_cache_usage_perc") == ("kv_cache",)
    assert metrics.logical("node_cpu_seconds_total") == ()


async def test_no_data_is_not_zero() -> None:
    world = World()
    world.gauge("app_users_active", 0.0)

    async with serving(world) as http:
        client = Prometheus(http, "prometheus")
        zero = await client.at(Query(template="level", metric="users"), T0)
        nothing = await client.at(Query(template="level", metric="judge_agreement"), T0)

    assert zero.has_data
    assert zero.lines[0].last == 0.0
    assert not nothing.has_data


async def test_the_first_known_name_that_has_data_wins_and_units_are_converted() -> None:
    world = World()
    world.counter("litellm_overhead_latency_metric_sum", 6000.0)
    world.gauge("vllm:gpu_cache_usage_perc", 0.7)

    async with serving(world) as http:
        client = Prometheus(http, "prometheus")
        overhead = await client.at(Query(template="increase", metric="overhead_sum"), T0)
        cache = await client.at(Query(template="level", metric="kv_cache"), T0)

    assert overhead.lines[0].last == pytest.approx(30.0)
    assert (cache.alias.name, cache.lines[0].last) == ("vllm:gpu_cache_usage_perc", 0.7)


@pytest.mark.parametrize(
    "broken", [(503, "busy"), (200, "<html>"), (200, "[]"), (200, '{"status":"error"}'), (200, "[" * 50_000)]
)
async def test_a_prometheus_that_does_not_make_sense_is_an_error_and_not_health(broken: tuple[int, str]) -> None:
    world = healthy()
    world.broken = broken

    with pytest.raises(PrometheusError):
        await look(UserSignal(), world)


async def test_an_unreachable_prometheus_is_an_error_that_names_it() -> None:
    with pytest.raises(PrometheusError, match="prometheus"):
        await UserSignal().run(context(http=NoHttp()), UserSignal.spec.params())


async def test_a_range_of_too_many_points_is_refused() -> None:
    with pytest.raises(PrometheusError, match="at most"):
        await Prometheus(NoHttp(), "prometheus").over(
            Query(template="level", metric="up"), T0 - timedelta(days=30), T0, 60
        )


def test_a_histogram_quantile_is_linear_inside_a_bucket() -> None:
    buckets = {"1": 50.0, "2": 90.0, "4": 100.0, "+Inf": 100.0}

    assert histogram_quantile(buckets, 0.5) == pytest.approx(1.0)
    assert histogram_quantile(buckets, 0.7) == pytest.approx(1.5)
    assert histogram_quantile({"1": 10.0, "+Inf": 100.0}, 0.99) == 1.0
    assert histogram_quantile({}, 0.5) is None
