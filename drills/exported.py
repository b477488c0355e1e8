"""The series that the world exports: names and labels as OpenTelemetry, LiteLLM and the application have them, and
the raw columns each is the sum of.
"""

from collections.abc import Callable, Mapping
from functools import lru_cache

from drills.columns import ENGINE_LE, LE, column, failed_column
from drills.company import (
    APPS,
    CLASSES,
    DEAR_MODEL,
    DEPLOYMENT_PROVIDER,
    DEPLOYMENTS,
    ERRORS,
    FEATURES,
    FINISH,
    PROVIDERS,
    TENANTS,
    App,
)
from drills.engine_state import MODEL as ENGINE_MODEL
from drills.engine_state import NAME as ENGINE
from drills.engine_state import REPLICAS
from drills.queues import OUTCOMES
from drills.stack import GUARDED
from drills.store import Series
from drills.topics import GRADES, TOPICAL, TOPICS

Add = Callable[[str, Mapping[str, str], tuple[int, ...]], None]
"""(metric, labels, columns)"""
_ERROR_S = {"500": 0.6, "503": 0.35, "529": 0.3, "429": 0.2, "insufficient_quota": 0.2, "timeout": 60.0,
            "connection_error": 3.0, "400": 0.15, "slow_down": 0.2, "401": 0.1, "404": 0.1}  # fmt: skip
_STATUS = {"": "200", "500": "500", "503": "503", "529": "529", "429": "429", "insufficient_quota": "429",
           "timeout": "408", "connection_error": "500", "400": "400", "slow_down": "429", "401": "401",
           "404": "404"}  # fmt: skip
_CLASS = {"500": "InternalServerError", "503": "ServiceUnavailableError", "529": "InternalServerError",
          "429": "RateLimitError", "insufficient_quota": "RateLimitError", "timeout": "Timeout",
          "connection_error": "APIConnectionError", "400": "BadRequestError",
          "slow_down": "RateLimitError", "401": "AuthenticationError", "404": "NotFoundError"}  # fmt: skip


@lru_cache(maxsize=1)
def catalogue() -> Mapping[str, tuple[Series, ...]]:
    """All exported series by metric name."""
    found: dict[str, dict[tuple[str, ...], Series]] = {}

    def add(name: str, labels: Mapping[str, str], columns: tuple[int, ...]) -> None:
        # Two errors can have one status and one exception: then they are one series.
        key = tuple(f"{label}={value}" for label, value in sorted(labels.items()))
        known = found.setdefault(name, {}).get(key)
        both = (*known.columns, *columns) if known else columns
        found[name][key] = Series(name, {"__name__": name, **labels}, both)

    for number, app in enumerate(APPS):
        _requests(add, number, app)
        _application(add, number, app)
        _failures(add, number, app)
        _gateway(add, number, app)
        if app.name in TOPICAL:
            _grades(add, app)
        if app.index:
            labels = {"service": app.name, "index": app.index}
            add("index_watermark_timestamp_seconds", labels, (column("watermark", 0),))
    _engine(add)
    return {name: tuple(series.values()) for name, series in found.items()}


def _le(value: float) -> str:
    return "+Inf" if value == float("inf") else f"{value:g}"


def _requests(add: Add, number: int, app: App) -> None:
    duration, first = "gen_ai_client_operation_duration_seconds", "gen_ai_client_operation_time_to_first_chunk_seconds"
    for place, provider in enumerate(PROVIDERS):
        asked = app.model if place == 0 else app.fallback
        if not asked:
            continue
        labels = {"service": app.name, "gen_ai_provider_name": provider, "gen_ai_request_model": asked}
        for family, name, extra in (("ok", duration, {"error_type": ""}), ("ttft", first, {})):
            buckets = [column(family, number, place, edge) for edge in range(len(LE))]
            for edge, limit in enumerate(LE):
                add(f"{name}_bucket", {**labels, **extra, "le": _le(limit)}, tuple(buckets[: edge + 1]))
            add(f"{name}_count", {**labels, **extra}, tuple(buckets))
            add(f"{name}_sum", {**labels, **extra}, (column(f"{family}_sum", number, place),))
        for kind, error in enumerate(ERRORS[1:], start=1):
            raw = (failed_column(number, place, kind),)
            for limit in LE:
                inside = raw if _ERROR_S[error] <= limit else ()
                add(f"{duration}_bucket", {**labels, "error_type": error, "le": _le(limit)}, inside)
            add(f"{duration}_count", {**labels, "error_type": error}, raw)


def _application(add: Add, number: int, app: App) -> None:
    label = {"service": app.name}
    answered = tuple(column("ok", number, place, edge) for place in range(len(PROVIDERS)) for edge in range(len(LE)))
    for kind, family in (("input", "tokens_in"), ("output", "tokens_out")):
        add("gen_ai_client_token_usage_sum", {**label, "gen_ai_token_type": kind}, (column(family, number),))
        add("gen_ai_client_token_usage_count", {**label, "gen_ai_token_type": kind}, answered)
    add("litellm_input_cached_tokens_metric_total", label, (column("cached_in", number),))
    for place, reason in enumerate(FINISH):
        add("llm_finish_reasons_total", {**label, "reason": reason}, (column("finish", number, place),))
    for place, tenant in enumerate(TENANTS):
        who = {**label, "tenant": tenant}
        for rank, traffic_class in enumerate(CLASSES):
            add("app_tasks_total", {**who, "traffic_class": traffic_class}, (column("tasks", number, place, rank),))
        calls, retries = column("calls", number, place), column("retries", number, place)
        add("app_llm_calls_total", who, (calls,))
        add("app_llm_attempts_total", who, (calls, retries))
        add("app_tokens_total", who, (column("tenant_tokens", number, place),))
        for use, feature in enumerate(FEATURES):
            for dear, model in enumerate((app.model, DEAR_MODEL)):
                payer = {**label, "end_user": tenant, "model": model, "metadata_feature": feature}
                payer |= {"metadata_prompt": app.prompt} if app.prompt else {}
                add("litellm_spend_metric_total", payer, (column("spend", number, place, use, dear),))
    gauges = (
        ("app_users_active", "users"), ("app_quality_score", "quality"), ("app_user_reports_total", "reports"),
        ("llm_judge_agreement", "judge"), ("up", "up"),
    )  # fmt: skip
    for name, family in gauges:
        add(name, label, (column(family, number),))
    if app.workers:
        add(f"{app.kind.split('-')[0]}_queue_depth", label, (column("queue", number),))
        for place, outcome in enumerate(OUTCOMES):
            add("moderation_decisions_total", {**label, "outcome": outcome}, (column("decisions", number, place),))


def _grades(add: Add, app: App) -> None:
    for place, topic in enumerate(TOPICS):
        for grade, verdict in enumerate(GRADES):
            labels = {"service": app.name, "topic": topic, "verdict": verdict}
            add("app_answers_graded_total", labels, (column("graded", TOPICAL.index(app.name), place, grade),))


def _answered(number: int) -> tuple[int, ...]:
    """Columns of all answered calls of a service."""
    return tuple(column("ok", number, place, edge) for place in range(len(PROVIDERS)) for edge in range(len(LE)))


def _failures(add: Add, number: int, app: App) -> None:
    total = "litellm_proxy_total_requests_metric_total"
    asked = {"service": app.name, "requested_model": app.model}
    add(total, {**asked, "status_code": "200"}, _answered(number))
    for place, provider in enumerate(PROVIDERS):
        for kind, error in enumerate(ERRORS[1:], start=1):
            raw = (failed_column(number, place, kind),)
            labels = {"service": app.name, "exception_status": _STATUS[error], "exception_class": _CLASS[error]}
            add("litellm_proxy_failed_requests_metric_total", {**labels, "api_provider": provider}, raw)
            add(total, {**asked, "status_code": _STATUS[error]}, raw)


def _gateway(add: Add, number: int, app: App) -> None:
    label = {"service": app.name}
    for place, provider in enumerate(PROVIDERS):
        own = {**label, "api_provider": provider}
        add("litellm_remaining_tokens_metric", own, (column("remaining", number, place),))
        own["exception_status"] = "500"
        add("litellm_deployment_cooled_down_total", own, (column("cooled", number, place),))
    for place, deployment in enumerate(DEPLOYMENTS):
        model = app.model if DEPLOYMENT_PROVIDER[place] == 0 else app.fallback
        if model:
            labels = {**label, "model_id": deployment, "api_provider": PROVIDERS[DEPLOYMENT_PROVIDER[place]]}
            labels["litellm_model_name"] = model
            add("litellm_deployment_state", labels, (column("state", number, place),))
    if app.name in GUARDED:
        for place, status in enumerate(("success", "timeout")):
            own = {**label, "guardrail_name": "content-rail", "hook_type": "pre_call", "status": status}
            add("litellm_guardrail_requests_total", own, (column("guard", number, place),))
    labels = {**label, "requested_model": app.model, "fallback_model": app.fallback or "none"}
    add("litellm_deployment_successful_fallbacks_total", labels, (column("fallbacks", number),))
    add("litellm_in_flight_requests", label, (column("in_flight", number),))
    for name in ("litellm_request_total_latency_metric", "litellm_llm_api_latency_metric"):
        _latency(add, name, number, {**label, "requested_model": app.model})


def _engine(add: Add) -> None:
    """What vLLM's replicas export, as scraped under their job."""
    for number, pod in enumerate(REPLICAS):
        scraped = {"job": ENGINE, "pod": pod}
        own = {**scraped, "model_name": ENGINE_MODEL, "engine": "0"}
        answered = [column("engine_ttft", number, edge) for edge in range(len(ENGINE_LE))]
        failed = (column("engine_failed", number),)
        for status, raw in (("2xx", tuple(answered)), ("5xx", failed)):
            labels = {**scraped, "handler": "/v1/chat/completions", "method": "POST", "status": status}
            add("http_requests_total", labels, raw)
        add("vllm:request_success_total", {**own, "finished_reason": "stop"}, tuple(answered))
        for edge, limit in enumerate(ENGINE_LE):
            inside = tuple(answered[: edge + 1])
            add("vllm:time_to_first_token_seconds_bucket", {**own, "le": _le(limit)}, inside)
        add("vllm:time_to_first_token_seconds_count", own, tuple(answered))
        add("vllm:corrupted_requests_total", own, (column("engine_corrupted", number),))
        add("vllm:num_preemptions_total", own, (column("engine_preempted", number),))
        add("vllm:num_requests_waiting", own, (column("engine_waiting", number),))
        add("vllm:num_requests_running", own, (column("engine_running", number),))
        add("vllm:kv_cache_usage_perc", own, (column("engine_kv", number),))
        add("process_start_time_seconds", scraped, (column("engine_started", number),))
        add("up", scraped, (column("engine_up", number),))


def _latency(add: Add, name: str, number: int, labels: Mapping[str, str]) -> None:
    for edge, limit in enumerate(LE):
        inside = tuple(column("ok", number, p, b) for p in range(len(PROVIDERS)) for b in range(edge + 1))
        add(f"{name}_bucket", {**labels, "le": _le(limit)}, inside)
    add(f"{name}_count", labels, _answered(number))
    own = (column("overhead_sum", number),) if name == "litellm_request_total_latency_metric" else ()
    add(f"{name}_sum", labels, (*own, *(column("ok_sum", number, p) for p in range(len(PROVIDERS)))))
