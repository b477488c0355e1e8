"""Probe specs and failure modes as the published failure matrix has them, for tests of the differential."""

import itertools
from collections.abc import Mapping, Sequence

from diagnostics.model import Finding, Mode, ProbeSpec, Reading, Tier, Verdict, Weight
from tests.diagnosis_fakes import T0

_CANARY = (
    "ok | slow server_error overloaded rate_limited capacity quota_exhausted unauthorized model_missing bad_request "
    "connect_error timeout"
)
# id, name, "normal words | abnormal words | inconclusive words", tier, seconds, tokens
_TABLE: Sequence[tuple[str, str, str, Tier, float, int]] = (
    ("P00", "user_signal", "ok recovered | errors slow quality_drop", Tier.FREE, 2, 0),
    ("P01", "provider_canary", _CANARY, Tier.CANARY, 15, 300),
    ("P02", "gateway_canary", f"{_CANARY} no_deployment wrong_model", Tier.CANARY, 15, 300),
    ("P03", "rate_limit_headroom", "ample | exhausted limit_reduced | absent", Tier.FREE, 1, 0),
    ("P04", "model_listing", "ok | unauthorized absent error", Tier.FREE, 2, 0),
    ("P05", "status_page", "clear | incident", Tier.FREE, 2, 0),
    ("P06", "egress", "ok | dns_failed connect_failed tls_failed http_failed", Tier.FREE, 3, 0),
    ("P07", "second_provider_canary", _CANARY, Tier.CANARY, 15, 300),
    ("P08", "gateway_health", "ok | cooldown fallback_up inflight_up overloaded down zone_failing", Tier.FREE, 2, 0),
    ("P09", "change_log",
     "none prompt model config gateway index tool secret guardrail dependency deploy network other", Tier.FREE, 1, 0),
    ("P10", "golden_set", "ok | drop error", Tier.GOLDEN, 60, 30_000),
    ("P11", "golden_counterfactual", "ok | drop error", Tier.GOLDEN, 60, 30_000),
    ("P12", "model_fingerprint", "same | changed error", Tier.QUALITY, 20, 500),
    ("P13", "embedding_canary", "same | changed dimension error", Tier.CANARY, 3, 2600),
    ("P14", "retrieval_canary", "ok | slow error empty low", Tier.CANARY, 4, 800),
    ("P15", "index_freshness", "fresh | stale", Tier.FREE, 2, 0),
    ("P16", "tool_check", "ok | down unauthorized schema_changed", Tier.FREE, 2, 0),
    ("P17", "guardrail_canary", "ok | benign_blocked malicious_passed unchecked error", Tier.QUALITY, 12, 4000),
    ("P22", "engine_health", "ok | saturated bad_replica corrupted down", Tier.FREE, 1, 0),
    ("P24", "dependency_audit", "ok | known_bad tampered unlocked", Tier.FREE, 2, 0),
    ("P24k", "key_audit", "ok | unknown_source beyond_ours", Tier.FREE, 2, 0),
    ("P29", "spend", "ok volume_up | price_up", Tier.FREE, 1, 0),
    ("P28", "agent_audit", "ok | unapproved past surge", Tier.FREE, 1, 0),
    ("P27", "grounding_canary", "ok | ungrounded error", Tier.QUALITY, 15, 6000),
    ("P18", "token_profile", "ok | shift finish_length output_short prompt_tokens_up refusal_up", Tier.FREE, 2, 0),
    ("P19", "demand_profile",
     "ok | traffic_up retries_up retry_amplification calls_per_task_up tenant_surge queue_backlog", Tier.FREE, 2, 0),
    ("P20b", "cache_check", "ok | served_differs cross_tenant error", Tier.QUALITY, 15, 9000),
    ("P23", "telemetry_check", "ok | stale judge_drift", Tier.FREE, 2, 0),
    ("P25", "context_scan", "clean | hit | suspect", Tier.FREE, 3, 0),
    ("P26", "structured_output", "valid | invalid error", Tier.QUALITY, 15, 600),
)  # fmt: skip


def _outcomes(text: str) -> dict[str, Verdict]:
    verdicts = (Verdict.NORMAL, Verdict.ABNORMAL, Verdict.INCONCLUSIVE)
    return {word: verdict for part, verdict in zip(text.split("|"), verdicts, strict=False) for word in part.split()}


SPECS: Mapping[str, ProbeSpec] = {
    name: ProbeSpec(
        id=number,
        name=name,
        title=name,
        outcomes=_outcomes(words),
        tier=tier,
        expected_s=seconds,
        expected_tokens=tokens,
    )
    for number, name, words, tier, seconds, tokens in _TABLE
}

# Mode -> what each probe may show, as in the matrix; "+" joins outcomes any of which may be seen.
MATRIX: Mapping[str, Mapping[str, str]] = {
    "provider-outage": {
        "user_signal": "errors", "provider_canary": "server_error+overloaded+timeout",
        "gateway_canary": "server_error+ok+timeout", "status_page": "incident+clear", "gateway_health": "cooldown+ok",
        "golden_set": "error", "golden_counterfactual": "error", "model_fingerprint": "error",
        "demand_profile": "retries_up+ok", "structured_output": "error", "model_listing": "ok+error",
    },
    "provider-latency": {
        "user_signal": "slow", "provider_canary": "slow", "gateway_canary": "slow", "status_page": "incident+clear",
        "gateway_health": "ok+inflight_up", "demand_profile": "ok+retries_up",
    },
    "rate-limit-exceeded": {
        "user_signal": "errors", "provider_canary": "rate_limited", "gateway_canary": "rate_limited+ok",
        "rate_limit_headroom": "exhausted", "gateway_health": "cooldown+ok",
        "demand_profile": "ok+retries_up+tenant_surge", "golden_set": "error", "golden_counterfactual": "error",
        "model_fingerprint": "error", "structured_output": "error+valid",
    },
    "quota-exhausted": {
        "user_signal": "errors", "provider_canary": "quota_exhausted", "gateway_canary": "quota_exhausted",
        "gateway_health": "cooldown+ok", "golden_set": "error", "golden_counterfactual": "error",
        "model_fingerprint": "error", "structured_output": "error",
    },
    "credential-failure": {
        "user_signal": "errors", "provider_canary": "unauthorized", "gateway_canary": "unauthorized",
        "model_listing": "unauthorized", "gateway_health": "cooldown+ok", "change_log": "secret+none",
        "golden_set": "error", "golden_counterfactual": "error", "model_fingerprint": "error",
        "structured_output": "error",
    },
    "model-retired": {
        "user_signal": "errors", "provider_canary": "model_missing", "gateway_canary": "model_missing+ok",
        "model_listing": "absent", "gateway_health": "cooldown+ok", "change_log": "model+none", "golden_set": "error",
        "golden_counterfactual": "error", "model_fingerprint": "error", "structured_output": "error",
    },
    "egress-failure": {
        "user_signal": "errors", "provider_canary": "connect_error", "gateway_canary": "connect_error",
        "model_listing": "error", "egress": "dns_failed+connect_failed+tls_failed",
        "second_provider_canary": "connect_error+ok", "gateway_health": "ok+cooldown+zone_failing",
        "change_log": "network+none", "golden_set": "error", "golden_counterfactual": "error",
        "model_fingerprint": "error", "structured_output": "error",
    },
    "model-drift": {
        "user_signal": "quality_drop", "golden_set": "drop", "golden_counterfactual": "drop",
        "model_fingerprint": "changed+same", "status_page": "clear+incident", "token_profile": "ok+shift",
        "structured_output": "valid+invalid",
    },
    "prompt-regression": {
        "user_signal": "quality_drop", "change_log": "prompt", "golden_set": "drop", "golden_counterfactual": "ok",
        "token_profile": "ok+shift",
    },
    "agent-runaway": {
        "user_signal": "ok+slow", "rate_limit_headroom": "ample+exhausted", "golden_set": "ok+drop",
        "token_profile": "prompt_tokens_up", "demand_profile": "calls_per_task_up",
    },
    "stale-index": {"user_signal": "ok+quality_drop", "golden_set": "ok+drop", "index_freshness": "stale"},
    "vector-store-outage": {
        "user_signal": "quality_drop+slow", "retrieval_canary": "error+slow", "golden_set": "drop",
    },
    "retrieval-regression": {
        "user_signal": "quality_drop", "retrieval_canary": "low+empty", "golden_set": "drop",
        "change_log": "config+index+none",
    },
    "embedding-mismatch": {
        "user_signal": "quality_drop", "retrieval_canary": "low", "embedding_canary": "changed+dimension",
        "golden_set": "drop", "change_log": "index+model+none",
    },
    "tool-backend-down": {
        "user_signal": "quality_drop", "tool_check": "down", "golden_set": "drop+ok",
        "demand_profile": "ok+calls_per_task_up",
    },
    "tool-contract-drift": {
        "user_signal": "quality_drop", "tool_check": "schema_changed", "golden_set": "drop",
        "change_log": "tool+none", "demand_profile": "ok+calls_per_task_up",
    },
    "guardrail-overblocking": {
        "user_signal": "quality_drop", "guardrail_canary": "benign_blocked", "token_profile": "refusal_up",
        "golden_set": "drop", "change_log": "guardrail+none",
    },
    "guardrail-bypass": {
        "user_signal": "ok", "guardrail_canary": "malicious_passed+unchecked", "change_log": "guardrail+none",
    },
    "generation-config-regression": {
        "user_signal": "quality_drop", "token_profile": "finish_length+output_short", "golden_set": "drop+ok",
        "change_log": "config+none",
    },
    "response-cache-crosstalk": {
        "user_signal": "quality_drop", "cache_check": "served_differs+cross_tenant", "golden_set": "drop+ok",
        "change_log": "config+gateway+none",
    },
    "prompt-injection": {
        "user_signal": "quality_drop", "context_scan": "hit", "golden_set": "drop+ok", "change_log": "none",
    },
    "inference-saturation": {
        "user_signal": "slow+errors", "engine_health": "saturated", "gateway_canary": "slow+ok",
        "gateway_health": "inflight_up+ok", "demand_profile": "ok+traffic_up", "change_log": "none+deploy",
    },
    "inference-bad-replica": {
        "user_signal": "errors+quality_drop", "engine_health": "bad_replica", "golden_set": "drop+error",
        "change_log": "none",
    },
    "cost-spike": {"user_signal": "ok", "spend": "price_up", "change_log": "config+none"},
    "dependency-break": {
        "user_signal": "errors", "dependency_audit": "unlocked", "gateway_canary": "server_error",
        "golden_set": "error", "golden_counterfactual": "ok+error", "structured_output": "error",
        "change_log": "dependency+deploy",
    },
    "key-or-supply-chain-compromise": {
        "user_signal": "ok", "dependency_audit": "known_bad+tampered+ok", "key_audit": "unknown_source+beyond_ours",
        "change_log": "none+dependency",
    },
    "agent-destructive-action": {
        "user_signal": "quality_drop+ok", "agent_audit": "unapproved+past+surge", "golden_set": "ok+drop",
        "change_log": "deploy+tool+prompt+none",
    },
    "ungrounded-answers": {
        "user_signal": "quality_drop+ok", "grounding_canary": "ungrounded", "golden_set": "ok+drop",
        "change_log": "config+none",
    },
    "telemetry-failure": {
        "user_signal": "quality_drop+ok", "telemetry_check": "judge_drift+stale", "golden_set": "ok",
        "golden_counterfactual": "ok", "change_log": "none",
    },
    "traffic-surge": {
        "user_signal": "slow+errors", "demand_profile": "traffic_up", "rate_limit_headroom": "ample",
        "token_profile": "ok", "gateway_canary": "slow+ok+rate_limited", "provider_canary": "ok",
        "gateway_health": "inflight_up+ok",
    },
    "moderation-backlog": {
        "user_signal": "slow", "demand_profile": "queue_backlog", "provider_canary": "slow+ok",
        "gateway_canary": "slow+ok", "gateway_health": "ok+inflight_up",
    },
}  # fmt: skip

KINDS: Mapping[str, tuple[str, ...]] = {
    "moderation-backlog": ("moderation-text", "moderation-voice"),
    **dict.fromkeys(
        ("agent-runaway", "tool-backend-down", "tool-contract-drift", "agent-destructive-action"), ("agent",)
    ),
    **dict.fromkeys(
        (
            "stale-index",
            "vector-store-outage",
            "retrieval-regression",
            "embedding-mismatch",
            "prompt-injection",
            "ungrounded-answers",
        ),
        ("rag",),
    ),
}
MODES = tuple(
    Mode(
        id=mode,
        title=mode,
        kinds=KINDS.get(mode, ()),
        evidence={probe: dict.fromkeys(words.split("+"), Weight.USUAL) for probe, words in row.items()},
    )
    for mode, row in MATRIX.items()
)
_numbers = itertools.count(1)


def finding(probe: str, outcome: str, *, verdict: Verdict | None = None, round_number: int = 0) -> Finding:
    """A finding with this outcome, its verdict from the table."""
    spec = SPECS[probe]
    return Finding(
        id=f"ev-{next(_numbers)}",
        probe=probe,
        service="chat-assistant",
        params={},
        outcome=outcome,
        verdict=verdict or spec.outcomes.get(outcome, Verdict.INCONCLUSIVE),
        reading=Reading(outcome=outcome, summary="Looked."),
        started_at=T0,
        elapsed_s=1.0,
        round=round_number,
    )


def healthy(**outcomes: str) -> dict[str, str]:
    """The outcome of every probe on a healthy service, with exceptions."""
    return {**{name: spec.normal for name, spec in SPECS.items()}, **outcomes}


def findings(outcomes: Mapping[str, str], *, tiers: Sequence[Tier] = tuple(Tier)) -> list[Finding]:
    return [finding(probe, word) for probe, word in outcomes.items() if SPECS[probe].tier in tiers]
