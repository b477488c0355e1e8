"""What metrics are called: one table from what we want to know to the names it is exported under, and the only queries
that are ever sent.

Sources are the OpenTelemetry GenAI conventions (old and new names), LiteLLM, vLLM, and the application's own counters.
A name is asked for exactly as listed, so that ``_created`` series are never mistaken for the counter they belong to.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

LABEL_VALUE = re.compile(r"[A-Za-z0-9_.:/-]{1,80}")
LABEL_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]{0,60}")
LEAST_WINDOW_S = 30
MOST_WINDOW_S = 21_600
SERVICE_LABEL = "service"


class QueryError(ValueError):
    """A query was asked for that the table does not allow."""


@dataclass(frozen=True, slots=True)
class Alias:
    """One exported name of a metric."""

    name: str
    """Without ``_bucket``; counters with the suffix they are scraped under."""
    split: str = ""
    """Label that tells its parts from each other: what failed, which token type, which ``reason``."""
    good: tuple[str, ...] = ()
    """Values of ``split`` that mean success; empty text: the label is missing."""
    only: Mapping[str, str] = field(default_factory=dict)
    """Labels it must have to be this metric."""
    scale: float = 1.0
    """What its values are multiplied by to get the unit of the table."""


def _counter(name: str, *rest: object) -> tuple[Alias, ...]:
    """A counter as scraped by default, and as exporters that do not append ``_total`` name it."""
    return (Alias(f"{name}_total", *rest), Alias(name, *rest))  # type: ignore[arg-type]


_OK_STATUS = ("200", "201", "202", "204")

METRICS: Mapping[str, tuple[Alias, ...]] = {
    # User-facing requests, split by what went wrong with them.
    "requests": (
        Alias("gen_ai_client_operation_duration_seconds_count", "error_type", ("",)),
        Alias("gen_ai_client_operation_duration_count", "error_type", ("",)),
        *_counter("litellm_proxy_total_requests_metric", "status_code", _OK_STATUS),
        Alias("vllm:request_success_total", "finished_reason", ("stop", "length", "tool_calls")),
    ),
    # Histograms, s.
    "duration": (
        Alias("gen_ai_client_operation_duration_seconds"),
        Alias("gen_ai_client_operation_duration"),
        Alias("litellm_request_total_latency_metric"),
        Alias("vllm:e2e_request_latency_seconds"),
    ),
    "first_token": (
        Alias("gen_ai_client_operation_time_to_first_chunk_seconds"),
        Alias("gen_ai_server_time_to_first_token_seconds"),
        Alias("gen_ai_server_time_to_first_token"),
        Alias("litellm_llm_api_time_to_first_token_metric"),
        Alias("vllm:time_to_first_token_seconds"),
    ),
    # Tokens of answered calls, split by input and output, and how many calls those are.
    "tokens": (
        Alias("gen_ai_client_token_usage_sum", "gen_ai_token_type"),
        Alias("gen_ai_client_token_usage_tokens_sum", "gen_ai_token_type"),
    ),
    "token_calls": (
        Alias("gen_ai_client_token_usage_count", "gen_ai_token_type"),
        Alias("gen_ai_client_token_usage_tokens_count", "gen_ai_token_type"),
    ),
    "input_tokens": (*_counter("litellm_input_tokens_metric"), Alias("vllm:prompt_tokens_total")),
    "cached_tokens": (
        *_counter("litellm_input_cached_tokens_metric"),
        *_counter("litellm_provider_cache_read_input_tokens_metric"),
        Alias("gen_ai_client_token_usage_sum", only={"gen_ai_token_cache": "read"}),
    ),
    "output_tokens": (*_counter("litellm_output_tokens_metric"), Alias("vllm:generation_tokens_total")),
    "finish_reasons": (
        Alias("llm_finish_reasons_total", "reason"),
        Alias("vllm:request_success_total", "finished_reason"),
    ),
    # What the application itself counts.
    "users": (Alias("app_users_active"),),
    "tasks": (Alias("app_tasks_total"), Alias("gen_ai_workflow_duration_seconds_count"),
              Alias("gen_ai_invoke_agent_duration_seconds_count")),
    "calls": (Alias("app_llm_calls_total"), Alias("gen_ai_client_operation_duration_seconds_count")),
    "calls_by_tenant": (Alias("app_llm_calls_total", "tenant"),
                        *_counter("litellm_proxy_total_requests_metric", "end_user")),
    "attempts": (Alias("app_llm_attempts_total"), *_counter("litellm_deployment_total_requests")),
    "total_tokens": (Alias("app_tokens_total"), *_counter("litellm_total_tokens_metric")),
    # Money, USD, as the gateway counts it; and the tokens it is worked out from where it does not.
    "spend": _counter("litellm_spend_metric"),
    "spend_by_tenant": _counter("litellm_spend_metric", "end_user"),
    "spend_by_feature": _counter("litellm_spend_metric", "metadata_feature"),
    "spend_by_prompt": _counter("litellm_spend_metric", "metadata_prompt"),
    "spend_by_model": _counter("litellm_spend_metric", "model"),
    "input_by_model": (*_counter("litellm_input_tokens_metric", "model"),
                       Alias("gen_ai_client_token_usage_sum", "gen_ai_response_model",
                             only={"gen_ai_token_type": "input"}),
                       Alias("gen_ai_client_token_usage_sum", "gen_ai_request_model",
                             only={"gen_ai_token_type": "input"})),
    "output_by_model": (*_counter("litellm_output_tokens_metric", "model"),
                        Alias("gen_ai_client_token_usage_sum", "gen_ai_response_model",
                              only={"gen_ai_token_type": "output"}),
                        Alias("gen_ai_client_token_usage_sum", "gen_ai_request_model",
                              only={"gen_ai_token_type": "output"})),
    "quality": (Alias("app_quality_score"), Alias("gen_ai_evaluation_score_value")),
    # Answers that a judge graded, by what they were about; ``verdict`` is ``pass`` or ``fail``.
    "graded": (Alias("app_answers_graded_total", "topic"),),
    "graded_passed": (Alias("app_answers_graded_total", "topic", only={"verdict": "pass"}),),
    "reports": (Alias("app_user_reports_total"),),
    "queue_depth": (Alias("moderation_queue_depth"), Alias("generation_queue_depth"),
                    Alias("vllm:num_requests_waiting")),
    "judge_agreement": (Alias("llm_judge_agreement"),),
    "index_watermark": (Alias("index_watermark_timestamp_seconds", "index"),),
    "up": (Alias("up"),),
    # The gateway.
    "deployment_state": (Alias("litellm_deployment_state", "litellm_model_name"),),
    "cooldowns": _counter("litellm_deployment_cooled_down"),
    "fallbacks": _counter("litellm_deployment_successful_fallbacks"),
    "guardrail_runs": (Alias("litellm_guardrail_requests_total", "status"),),
    "in_flight": (Alias("litellm_in_flight_requests"), Alias("vllm:num_requests_running")),
    "gateway_latency_sum": (Alias("litellm_request_total_latency_metric_sum"),),
    "provider_latency_sum": (Alias("litellm_llm_api_latency_metric_sum"),),
    "gateway_latency_count": (Alias("litellm_request_total_latency_metric_count"),),
    "overhead_sum": (Alias("litellm_overhead_latency_metric_sum", scale=0.001),),
    # Self-hosted engines: by their scrape job, not by service. vLLM's server counts its HTTP replies by status class,
    # and leaves its health checks and its own metrics out of that.
    "engine_requests": (Alias("http_requests_total", "status", ("2xx",)),),
    "engine_first_token": (Alias("vllm:time_to_first_token_seconds"),),
    "engine_waiting": (Alias("vllm:num_requests_waiting"),),
    "engine_preemptions": _counter("vllm:num_preemptions"),
    "engine_corrupted": _counter("vllm:corrupted_requests"),
    "engine_started": (Alias("process_start_time_seconds"),),
    "kv_cache": (Alias("vllm:kv_cache_usage_perc"), Alias("vllm:gpu_cache_usage_perc")),
    "token_gap": (Alias("vllm:inter_token_latency_seconds"), Alias("vllm:time_per_output_token_seconds"),
                  Alias("gen_ai_client_operation_time_per_output_chunk_seconds")),
}  # fmt: skip
"""Logical metric -> the names it is known under, preferred first."""

Template = Literal["increase", "buckets", "level", "highest"]
_TEMPLATES: Mapping[Template, str] = {
    "increase": "sum{by}(increase({name}{{{matchers}}}[{window}s]))",
    "buckets": "sum by (le{also})(increase({name}_bucket{{{matchers}}}[{window}s]))",
    "level": "sum{by}({name}{{{matchers}}})",
    "highest": "max{by}({name}{{{matchers}}})",
}
"""Every PromQL text that can leave this program."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Query:
    """What to ask for: a template and a metric of the tables."""

    template: Template
    metric: str
    labels: Mapping[str, str] = field(default_factory=dict)
    window_s: int = 300
    by: Sequence[str] = ()
    """Labels to keep apart, beside the metric's own ``split``."""
    together: bool = False
    """Do not split, although the metric could."""


def promql(query: Query, alias: Alias) -> str:
    """The text of the query under one of the metric's names. Raises :class:`QueryError` for anything unusual."""
    if not LEAST_WINDOW_S <= query.window_s <= MOST_WINDOW_S:
        raise QueryError(f"window of {query.window_s} s: allowed are {LEAST_WINDOW_S} to {MOST_WINDOW_S} s")
    labels = {**query.labels, **alias.only}
    for name, value in labels.items():
        if not LABEL_NAME.fullmatch(name) or not LABEL_VALUE.fullmatch(value):
            raise QueryError(f"label {name[:40]!r}: value {value[:80]!r} is not allowed in a query")
    kept = [*query.by, *([alias.split] if alias.split and not query.together else [])]
    if any(not LABEL_NAME.fullmatch(name) for name in kept):
        raise QueryError(f"cannot group by {kept!r}")
    return _TEMPLATES[query.template].format(
        name=alias.name,
        matchers=",".join(f'{name}="{value}"' for name, value in sorted(labels.items())),
        window=query.window_s,
        by=f" by ({','.join(kept)})" if kept else "",
        also="".join(f",{name}" for name in query.by),
    )


def names_of(metric: str) -> tuple[Alias, ...]:
    """The aliases of a logical metric. Raises :class:`QueryError` for one that is not in the table."""
    if metric not in METRICS:
        raise QueryError(f"no such metric: {metric}; the table is diagnostics/metrics.py")
    return METRICS[metric]


def logical(exported: str) -> tuple[str, ...]:
    """The logical metrics that an exported name belongs to; none for ``_created`` series and strangers."""
    if exported.endswith("_created"):
        return ()
    bare = exported.removesuffix("_bucket")
    return tuple(metric for metric, aliases in METRICS.items() if _has(aliases, exported) or _has(aliases, bare))


def _has(aliases: Iterable[Alias], name: str) -> bool:
    return any(alias.name == name for alias in aliases)
