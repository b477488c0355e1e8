"""The runbooks of the library, checked against the probes, the actions and the example catalogue."""

import itertools
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from bot.wiring import specs
from config.catalogue import Catalogue
from config.strict_yaml import load
from diagnostics.differential import diagnose
from diagnostics.model import NO_FAULT, Finding, Mode, Reading, Verdict, Weight
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.lint import lint_all
from runbooks.model import Runbook
from runbooks.parse import Parsed, parse
from runbooks.resolve import applies, resolve

ROOT = Path(__file__).parent.parent
LIBRARY = ROOT / "runbooks" / "library"
IDS = {
    "provider-outage", "provider-latency", "rate-limit-exceeded", "quota-exhausted", "egress-failure", "model-drift",
    "prompt-regression", "agent-runaway", "stale-index", "traffic-surge", "credential-failure", "model-retired",
    "moderation-backlog", "streaming-break", "request-contract-break", "gateway-overload", "gateway-misrouting",
    "retry-storm", "provider-capacity", "prompt-cache-loss", "context-overflow", "structured-output-break",
    "vector-store-outage", "retrieval-regression", "embedding-mismatch",
    "tool-backend-down", "tool-contract-drift", "guardrail-overblocking", "guardrail-bypass",
    "generation-config-regression", "response-cache-crosstalk", "prompt-injection", "telemetry-failure",
    "ungrounded-answers", "agent-destructive-action", "data-leak", "safety-escalation", "cost-spike",
    "key-or-supply-chain-compromise", "dependency-break", "inference-saturation", "inference-bad-replica",
    "generation-queue-backlog",
}  # fmt: skip
SIGNATURES = specs()
ACTIONS = {action.spec.name: action.spec for action in BUILT_IN}
CATALOGUE = Catalogue.model_validate(load((ROOT / "config/example/catalogue.yaml").read_text(encoding="utf-8")).value)
PARSED: list[Parsed] = [parse(file.read_bytes(), file.name) for file in sorted(LIBRARY.glob("*.md"))]
BOOKS: dict[str, Runbook] = {p.runbook.id: p.runbook for p in PARSED if p.runbook}

each = pytest.mark.parametrize("book", BOOKS.values(), ids=BOOKS.keys())


def test_the_first_library_is_complete() -> None:
    assert set(BOOKS) == IDS


def test_lint_has_nothing_to_say_but_that_some_steps_do_not_apply_to_some_services() -> None:
    problems = lint_all(PARSED, probes=SIGNATURES, actions=ACTIONS, catalogue=CATALOGUE, today=date(2026, 11, 22))

    assert [str(problem) for problem in problems if problem.rule != "undeclared-field"] == []
    assert all(problem.severity == "hint" for problem in problems if problem.rule == "undeclared-field")


@each
def test_a_runbook_speaks_in_several_voices_and_names_its_neighbours(book: Runbook) -> None:
    assert len(book.pages) >= 8
    assert len(book.not_pages) >= 2
    assert {page.belongs_to for page in book.not_pages} <= IDS - {book.id}


def test_no_page_phrase_is_claimed_twice() -> None:
    claims = [phrase.casefold() for book in BOOKS.values() for phrase in book.pages]

    assert len(claims) == len(set(claims))


@each
def test_a_runbook_tells_what_it_is_what_users_notice_what_to_do_and_what_comes_after(book: Runbook) -> None:
    titles = [section.title for section in book.sections if section.level == 2]

    assert titles == [
        "Is it this?", "What users notice", "Stop the bleeding", "If that did not help", "Afterwards",
    ]  # fmt: skip
    assert all(section.prose.strip() for section in book.sections if section.title != "Stop the bleeding")


@each
def test_every_probe_in_the_evidence_has_something_usual_or_speaks_at_all(book: Runbook) -> None:
    assert any("usual" in outcomes.values() for outcomes in book.evidence.values())
    for probe, outcomes in book.evidence.items():
        assert set(outcomes.values()) - {"neutral"}, f"{probe} says nothing"


@each
def test_every_step_says_why_and_how_it_is_verified(book: Runbook) -> None:
    assert book.actions
    for step in book.actions:
        assert (step.verify is None) == bool(step.unverified)
        assert len(step.prose) > 80


@pytest.mark.parametrize("name", ["data-leak", "safety-escalation"])
def test_where_people_decide_nothing_is_automated_and_nothing_claims_to_check_them(name: str) -> None:
    book = BOOKS[name]

    assert [(step.action, step.min_risk, step.verify) for step in book.actions] == [("manual", "R3", None)] * 3
    assert not any(
        weight in ("usual", "weakly_for") and SIGNATURES[probe].outcomes[word] is Verdict.ABNORMAL
        for probe, outcomes in book.evidence.items()
        for word, weight in outcomes.items()
    )


@each
def test_what_is_hard_to_reverse_comes_after_all_that_is_not(book: Runbook) -> None:
    hard = [(step.min_risk or ACTIONS[step.action].risk) == "R3" for step in book.actions]

    assert hard == sorted(hard)


@each
def test_every_step_resolves_to_valid_parameters_for_a_service_it_is_meant_for(book: Runbook) -> None:
    service = next(
        s
        for s in CATALOGUE.services
        if applies(book, s)
        and (s.fallback_provider or s.kind.startswith(("mod", "gen")))
        and (s.engine or "engine_health" not in book.evidence)
    )

    for step in book.actions:
        ACTIONS[step.action].params.model_validate(resolve(step.params, service, CATALOGUE))


def test_a_title_can_be_told_from_every_other() -> None:
    for one, other in itertools.combinations(BOOKS.values(), 2):
        assert one.title != other.title


def test_money_and_secrets_take_the_strictest_risk() -> None:
    by_hand = {book.id: step.min_risk for book in BOOKS.values() for step in book.actions if step.action == "manual"}

    assert by_hand == {
        "quota-exhausted": "R3", "credential-failure": "R3", "egress-failure": None, "streaming-break": None,
        "retry-storm": "R2", "context-overflow": None, "structured-output-break": None,
        "vector-store-outage": "R2",
        "embedding-mismatch": "R3", "tool-backend-down": None, "tool-contract-drift": "R2",
        "guardrail-overblocking": "R3", "guardrail-bypass": "R3", "prompt-injection": "R3",
        "response-cache-crosstalk": "R3", "telemetry-failure": None, "cost-spike": None, "ungrounded-answers": "R2",
        "agent-destructive-action": "R3", "data-leak": "R3", "safety-escalation": "R3", "dependency-break": "R3",
        "key-or-supply-chain-compromise": "R3", "inference-bad-replica": None,
    }  # fmt: skip


def test_moderation_never_fails_open() -> None:
    book = BOOKS["moderation-backlog"]

    assert [step.action for step in book.actions] == ["hold_for_review", "cap_generation"]
    assert "never the other way round" in book.actions[0].prose.casefold()


def test_a_failure_of_one_kind_of_service_is_asked_of_that_kind_alone() -> None:
    kinds = {book.id: book.kinds for book in BOOKS.values() if book.kinds}

    assert kinds == {
        "agent-runaway": ("agent", "code"),
        "stale-index": ("rag",),
        "moderation-backlog": ("moderation-text", "moderation-voice"),
        "generation-queue-backlog": ("generation-image", "generation-material"),
        "vector-store-outage": ("rag",),
        "retrieval-regression": ("rag",),
        "embedding-mismatch": ("rag",),
        "tool-backend-down": ("agent",),
        "tool-contract-drift": ("agent",),
        "prompt-injection": ("rag",),
        "ungrounded-answers": ("rag",),
        "agent-destructive-action": ("agent", "code"),
    }


# --- The evidence, read together: what each failure ordinarily shows has to lead to it and to nothing else ------------

MODES = tuple(
    Mode(
        id=book.id, title=book.title, kinds=book.kinds,
        evidence={p: {o: Weight(w) for o, w in outcomes.items()} for p, outcomes in book.evidence.items()},
    )
    for book in BOOKS.values()
)  # fmt: skip
QUALITY = (
    "golden_set", "golden_counterfactual", "model_fingerprint", "structured_output", "stream_canary",
    "guardrail_canary", "cache_check", "grounding_canary",
)  # fmt: skip
ONLY_OF = {
    "index_freshness": "rag", "retrieval_canary": "rag", "embedding_canary": "rag", "context_scan": "rag",
    "tool_check": "agent", "agent_audit": "agent", "grounding_canary": "rag",
}  # fmt: skip
FAILING = dict.fromkeys(QUALITY[:5], "error")
SHOWN = {
    "provider-outage, all of it": ("chat", "provider-outage", {
        "user_signal": "errors", "provider_canary": "server_error", "gateway_canary": "server_error",
        "gateway_health": "cooldown", "demand_profile": "retries_up",
    }),
    "provider-outage, a third of it, behind retries": ("chat", "provider-outage", {
        "user_signal": "errors", "provider_canary": "server_error", "demand_profile": "retries_up",
    }),
    "provider-outage, with an incident on the page": ("rag", "provider-outage", {
        "user_signal": "errors", "provider_canary": "overloaded", "gateway_canary": "overloaded",
        "status_page": "incident", "change_log": "prompt",
    }),
    "inference-saturation": ("code", "inference-saturation", {
        "user_signal": "slow", "engine_health": "saturated", "gateway_canary": "slow", "change_log": "deploy",
    }),
    "inference-saturation, with refusals and a load on the gateway": ("code", "inference-saturation", {
        "user_signal": "errors", "engine_health": "saturated", "gateway_canary": "server_error",
        "gateway_health": "inflight_up", "structured_output": "error",
    }),
    "inference-bad-replica, that a canary does not meet": ("code", "inference-bad-replica", {
        "user_signal": "errors", "engine_health": "bad_replica",
    }),
    "inference-bad-replica, garbled": ("code", "inference-bad-replica", {
        "user_signal": "quality_drop", "engine_health": "corrupted", "structured_output": "invalid",
    }),
    "provider-latency": ("chat", "provider-latency", {
        "user_signal": "slow", "provider_canary": "slow", "gateway_canary": "slow", "change_log": "config",
    }),
    "provider-latency, everything in flight": ("code", "provider-latency", {
        "user_signal": "slow", "provider_canary": "slow", "gateway_canary": "timeout", "gateway_health": "inflight_up",
    }),
    "rate-limit-exceeded, one tenant": ("chat", "rate-limit-exceeded", {
        "user_signal": "errors", "provider_canary": "rate_limited", "gateway_canary": "rate_limited",
        "rate_limit_headroom": "exhausted", "demand_profile": "tenant_surge",
    }),
    "rate-limit-exceeded, more users": ("chat", "rate-limit-exceeded", {
        "user_signal": "errors", "provider_canary": "rate_limited", "rate_limit_headroom": "exhausted",
        "demand_profile": "traffic_up",
    }),
    "quota-exhausted": ("agent", "quota-exhausted", {
        "user_signal": "errors", "provider_canary": "quota_exhausted", "gateway_canary": "quota_exhausted",
        "gateway_health": "cooldown", "demand_profile": "retries_up",
    }),
    "egress-failure, one zone": ("chat", "egress-failure", {
        "user_signal": "errors", "provider_canary": "connect_error", "gateway_health": "zone_failing",
        "egress": "dns_failed", "second_provider_canary": "connect_error",
    }),
    "egress-failure, a zone that is not ours": ("chat", "egress-failure", {
        "user_signal": "errors", "gateway_health": "zone_failing", "gateway_canary": "connect_error",
    }),
    "egress-failure, all zones": ("rag", "egress-failure", {
        "user_signal": "errors", "provider_canary": "connect_error", "gateway_canary": "connect_error",
        "second_provider_canary": "connect_error", "egress": "tls_failed", "model_listing": "error", **FAILING,
    }),
    "model-drift, seen in the fingerprint": ("rag", "model-drift", {
        "user_signal": "quality_drop", "golden_set": "drop", "golden_counterfactual": "drop",
        "model_fingerprint": "changed", "token_profile": "shift",
    }),
    "model-drift, under the same fingerprint": ("rag", "model-drift", {
        "user_signal": "quality_drop", "golden_set": "drop", "golden_counterfactual": "drop", "change_log": "deploy",
    }),
    "prompt-regression": ("rag", "prompt-regression", {
        "user_signal": "quality_drop", "golden_set": "drop", "change_log": "prompt",
    }),
    "agent-runaway": ("agent", "agent-runaway", {
        "demand_profile": "calls_per_task_up", "token_profile": "prompt_tokens_up",
    }),
    "stale-index": ("rag", "stale-index", {
        "user_signal": "quality_drop", "index_freshness": "stale", "golden_set": "drop",
    }),
    "stale-index, before anybody complains": ("rag", "stale-index", {"index_freshness": "stale"}),
    "traffic-surge": ("chat", "traffic-surge", {
        "user_signal": "slow", "demand_profile": "traffic_up", "gateway_canary": "slow",
        "gateway_health": "inflight_up",
    }),
    "credential-failure": ("chat", "credential-failure", {
        "user_signal": "errors", "provider_canary": "unauthorized", "gateway_canary": "no_deployment",
        "model_listing": "unauthorized", "change_log": "secret", "gateway_health": "cooldown",
    }),
    "model-retired": ("chat", "model-retired", {
        "user_signal": "errors", "provider_canary": "model_missing", "gateway_canary": "model_missing",
        "model_listing": "absent",
    }),
    "moderation-backlog": ("moderation-text", "moderation-backlog", {
        "user_signal": "slow", "demand_profile": "queue_backlog", "provider_canary": "slow", "gateway_canary": "slow",
    }),
    "vector-store-outage, failing": ("rag", "vector-store-outage", {
        "user_signal": "quality_drop", "retrieval_canary": "error", "golden_set": "drop",
    }),
    "vector-store-outage, crawling": ("rag", "vector-store-outage", {
        "user_signal": "slow", "retrieval_canary": "slow",
    }),
    "retrieval-regression, a wrong setting": ("rag", "retrieval-regression", {
        "user_signal": "quality_drop", "retrieval_canary": "low", "golden_set": "drop", "change_log": "config",
    }),
    "retrieval-regression, a filter": ("rag", "retrieval-regression", {
        "user_signal": "quality_drop", "retrieval_canary": "empty", "golden_set": "drop",
    }),
    "embedding-mismatch, same size": ("rag", "embedding-mismatch", {
        "user_signal": "quality_drop", "retrieval_canary": "low", "embedding_canary": "changed", "golden_set": "drop",
        "change_log": "index",
    }),
    "embedding-mismatch, another size": ("rag", "embedding-mismatch", {
        "user_signal": "quality_drop", "retrieval_canary": "error", "embedding_canary": "dimension",
    }),
    "tool-backend-down": ("agent", "tool-backend-down", {"user_signal": "quality_drop", "tool_check": "down"}),
    "tool-backend-down, the agent tries again": ("agent", "tool-backend-down", {
        "tool_check": "down", "demand_profile": "calls_per_task_up", "golden_set": "drop",
    }),
    "tool-contract-drift": ("agent", "tool-contract-drift", {
        "user_signal": "quality_drop", "tool_check": "schema_changed", "golden_set": "drop", "change_log": "tool",
    }),
    "guardrail-overblocking": ("chat", "guardrail-overblocking", {
        "user_signal": "quality_drop", "guardrail_canary": "benign_blocked", "token_profile": "refusal_up",
        "change_log": "guardrail",
    }),
    "guardrail-overblocking, a golden set turned away": ("rag", "guardrail-overblocking", {
        "user_signal": "quality_drop", "guardrail_canary": "benign_blocked", "token_profile": "refusal_up",
        "golden_set": "drop",
    }),
    "guardrail-bypass, a test string through": ("chat", "guardrail-bypass", {"guardrail_canary": "malicious_passed"}),
    "guardrail-bypass, by its own counter": ("agent", "guardrail-bypass", {
        "guardrail_canary": "unchecked", "change_log": "guardrail",
    }),
    "generation-config-regression": ("chat", "generation-config-regression", {
        "user_signal": "quality_drop", "token_profile": "finish_length", "change_log": "config",
    }),
    "generation-config-regression, told by nobody": ("code", "generation-config-regression", {
        "user_signal": "quality_drop", "token_profile": "output_short",
    }),
    "response-cache-crosstalk": ("chat", "response-cache-crosstalk", {
        "user_signal": "quality_drop", "cache_check": "served_differs", "golden_set": "drop", "change_log": "config",
    }),
    "response-cache-crosstalk, between tenants": ("rag", "response-cache-crosstalk", {
        "user_signal": "quality_drop", "cache_check": "cross_tenant",
    }),
    "prompt-injection": ("rag", "prompt-injection", {"user_signal": "quality_drop", "context_scan": "hit"}),
    "prompt-injection, golden answers misled": ("rag", "prompt-injection", {
        "user_signal": "quality_drop", "context_scan": "hit", "golden_set": "drop",
    }),
    "ungrounded-answers": ("rag", "ungrounded-answers", {
        "user_signal": "quality_drop", "grounding_canary": "ungrounded", "change_log": "config",
    }),
    "ungrounded-answers, before anybody complains": ("rag", "ungrounded-answers", {"grounding_canary": "ungrounded"}),
    "ungrounded-answers, golden answers too": ("rag", "ungrounded-answers", {
        "user_signal": "quality_drop", "grounding_canary": "ungrounded", "golden_set": "drop", "change_log": "config",
    }),
    "prompt-injection, where the canaries obey as well": ("rag", "prompt-injection", {
        "user_signal": "quality_drop", "grounding_canary": "ungrounded", "context_scan": "hit",
    }),
    "agent-destructive-action": ("agent", "agent-destructive-action", {
        "user_signal": "quality_drop", "agent_audit": "unapproved", "change_log": "deploy",
    }),
    "agent-destructive-action, nobody has complained yet": ("agent", "agent-destructive-action", {
        "agent_audit": "unapproved",
    }),
    "agent-destructive-action, over by now": ("agent", "agent-destructive-action", {
        "user_signal": "ok", "agent_audit": "past", "change_log": "tool",
    }),
    "telemetry-failure, the judge": ("chat", "telemetry-failure", {
        "user_signal": "quality_drop", "telemetry_check": "judge_drift",
    }),
    "telemetry-failure, a gap": ("agent", "telemetry-failure", {"telemetry_check": "stale"}),
    "streaming-break": ("chat", "streaming-break", {
        "user_signal": "errors", "stream_canary": "truncated", "change_log": "gateway",
    }),
    "streaming-break, held back": ("code", "streaming-break", {
        "user_signal": "errors", "stream_canary": "buffered", "change_log": "network",
    }),
    "request-contract-break": ("chat", "request-contract-break", {
        "user_signal": "errors", "gateway_canary": "bad_request", "change_log": "gateway",
    }),
    "request-contract-break, on every path": ("rag", "request-contract-break", {
        "user_signal": "errors", "gateway_canary": "bad_request", "change_log": "dependency", "golden_set": "error",
        "structured_output": "error", "stream_canary": "error",
    }),
    "gateway-overload": ("chat", "gateway-overload", {
        "user_signal": "slow", "gateway_health": "overloaded", "gateway_canary": "slow", "change_log": "gateway",
    }),
    "gateway-overload, some fail": ("code", "gateway-overload", {
        "user_signal": "errors", "gateway_health": "overloaded", "gateway_canary": "server_error",
    }),
    "gateway-misrouting": ("rag", "gateway-misrouting", {
        "user_signal": "quality_drop", "gateway_canary": "wrong_model", "gateway_health": "fallback_up",
        "golden_set": "drop", "change_log": "gateway",
    }),
    "gateway-misrouting, nobody to ask": ("chat", "gateway-misrouting", {
        "user_signal": "errors", "gateway_canary": "no_deployment", "gateway_health": "fallback_up",
        "change_log": "config",
    }),
    "retry-storm": ("chat", "retry-storm", {
        "user_signal": "errors", "demand_profile": "retry_amplification", "provider_canary": "rate_limited",
        "gateway_canary": "rate_limited", "rate_limit_headroom": "exhausted", "gateway_health": "inflight_up",
    }),
    "retry-storm, the provider is well": ("rag", "retry-storm", {
        "user_signal": "errors", "demand_profile": "retry_amplification", "gateway_health": "inflight_up",
        "gateway_canary": "slow",
    }),
    "provider-capacity": ("chat", "provider-capacity", {
        "user_signal": "errors", "provider_canary": "capacity", "gateway_canary": "capacity",
        "rate_limit_headroom": "limit_reduced", "demand_profile": "retries_up",
    }),
    "provider-capacity, the limit is untouched": ("chat", "provider-capacity", {
        "user_signal": "errors", "provider_canary": "capacity", "gateway_canary": "capacity",
        "gateway_health": "cooldown", "demand_profile": "retries_up",
    }),
    "prompt-cache-loss": ("rag", "prompt-cache-loss", {
        "user_signal": "slow", "prompt_cache": "cached_ratio_down", "change_log": "prompt",
    }),
    "prompt-cache-loss, only the bill shows it": ("chat", "prompt-cache-loss", {
        "prompt_cache": "cached_ratio_down", "change_log": "config",
    }),
    "generation-queue-backlog": ("generation-image", "generation-queue-backlog", {
        "demand_profile": "queue_backlog", "user_signal": "slow",
    }),
    "generation-queue-backlog, the calls are quick": ("generation-material", "generation-queue-backlog", {
        "demand_profile": "queue_backlog", "gateway_health": "inflight_up",
    }),
    "cost-spike": ("chat", "cost-spike", {"spend": "price_up", "change_log": "config"}),
    "cost-spike, nobody told of the change": ("rag", "cost-spike", {"spend": "price_up"}),
    "context-overflow": ("chat", "context-overflow", {
        "user_signal": "quality_drop", "token_profile": "prompt_tokens_up", "change_log": "deploy",
    }),
    "context-overflow, of an agent": ("agent", "context-overflow", {
        "user_signal": "errors", "token_profile": "prompt_tokens_up", "change_log": "config",
    }),
    "structured-output-break": ("agent", "structured-output-break", {
        "user_signal": "quality_drop", "structured_output": "invalid", "change_log": "config",
    }),
    "structured-output-break, golden answers too": ("rag", "structured-output-break", {
        "user_signal": "quality_drop", "structured_output": "invalid", "golden_set": "drop",
        "change_log": "config",
    }),
    "a slow moderation service without a queue": ("moderation-text", "provider-latency", {
        "user_signal": "slow", "provider_canary": "slow", "gateway_canary": "slow",
    }),
}  # fmt: skip
UNHARMED = {
    "a blip that is over": {"user_signal": "recovered"},
    "a surge within capacity, a prompt just released": {"demand_profile": "traffic_up", "change_log": "prompt"},
    "somebody else's status incident": {"status_page": "incident"},
}


def findings(kind: str, shown: dict[str, str], *, quality: bool) -> list[Finding]:
    """What every probe shows, the healthy word where nothing is said; ``quality``: whether those were asked at all."""
    asked = [n for n in SIGNATURES if (quality or n not in QUALITY) and (n not in ONLY_OF or kind == ONLY_OF[n])]
    result = []
    for number, name in enumerate(asked):
        word = shown.get(name, SIGNATURES[name].normal)
        result.append(
            Finding(
                id=f"ev-{number}", probe=name, service="x", params={}, outcome=word,
                verdict=SIGNATURES[name].outcomes[word], reading=Reading(outcome=word, summary="."),
                started_at=datetime(2026, 11, 22, tzinfo=UTC), elapsed_s=1.0,
            )
        )  # fmt: skip
    return result


@pytest.mark.parametrize(("kind", "cause", "shown"), SHOWN.values(), ids=SHOWN.keys())
def test_what_a_failure_ordinarily_shows_leads_to_it_without_help_from_the_page(
    kind: str, cause: str, shown: dict[str, str]
) -> None:
    quality = bool(set(shown) & set(QUALITY)) or shown.get("user_signal") == "quality_drop"

    diagnosis = diagnose(findings(kind, shown, quality=quality), {}, MODES, SIGNATURES, kind, final=True)

    assert (diagnosis.conclusion, diagnosis.leader.mode) == ("cause", cause), diagnosis.reason
    assert diagnosis.residual == ()


@pytest.mark.parametrize("kind", ["chat", "rag", "agent"])
@pytest.mark.parametrize("shown", UNHARMED.values(), ids=UNHARMED.keys())
def test_what_harms_nobody_leads_to_no_fault(kind: str, shown: dict[str, str]) -> None:
    # An open incident at the vendor is reason enough to measure quality before saying that all is well.
    quality = "status_page" in shown

    diagnosis = diagnose(findings(kind, shown, quality=quality), {}, MODES, SIGNATURES, kind, final=True)

    assert (diagnosis.leader.mode, diagnosis.conclusion) == (NO_FAULT, "no_fault"), diagnosis.reason


@pytest.mark.parametrize(
    ("kind", "cause"),
    [("chat", "data-leak"), ("rag", "data-leak"), ("chat", "safety-escalation"), ("agent", "data-leak")],
)
def test_a_leak_or_harm_that_a_person_reports_is_never_closed_as_no_fault(kind: str, cause: str) -> None:
    """All is well by every number. The page says otherwise, and people decide."""
    prior = {cause: 0.4, "response-cache-crosstalk": 0.1, "guardrail-bypass": 0.1}

    diagnosis = diagnose(findings(kind, {}, quality=True), prior, MODES, SIGNATURES, kind, final=True)

    assert diagnosis.conclusion == "inconclusive", diagnosis.reason
    assert f"the page speaks of {cause}, which no probe can see: people decide" in diagnosis.reason


def test_a_page_about_worse_answers_is_not_closed_before_a_golden_set_has_passed() -> None:
    prior = {"ungrounded-answers": 0.4, "model-drift": 0.2, "telemetry-failure": 0.1, "provider-outage": 0.1}
    measured = findings("rag", {}, quality=True)
    unmeasured = [finding for finding in measured if finding.probe != "golden_set"]

    closed = diagnose(measured, prior, MODES, SIGNATURES, "rag", final=True)
    left = diagnose(unmeasured, prior, MODES, SIGNATURES, "rag", final=True)

    assert closed.conclusion == "no_fault", closed.reason
    assert left.conclusion == "inconclusive"
    assert "the page speaks of worse answers, and no golden set has passed as usual" in left.reason
    assert diagnose(unmeasured, {}, MODES, SIGNATURES, "rag", final=True).conclusion == "no_fault"


def test_a_leak_that_the_page_hardly_speaks_of_keeps_nobody_from_seeing_that_all_is_well() -> None:
    prior = {"data-leak": 0.1, "traffic-surge": 0.4, "provider-latency": 0.3}

    diagnosis = diagnose(findings("chat", {}, quality=True), prior, MODES, SIGNATURES, "chat", final=True)

    assert diagnosis.conclusion == "no_fault", diagnosis.reason


def test_what_a_probe_shows_is_the_cause_although_the_page_speaks_of_a_leak() -> None:
    shown = {"user_signal": "quality_drop", "cache_check": "cross_tenant"}
    prior = {"data-leak": 0.6, "response-cache-crosstalk": 0.1}

    diagnosis = diagnose(findings("rag", shown, quality=True), prior, MODES, SIGNATURES, "rag", final=True)

    assert (diagnosis.conclusion, diagnosis.leader.mode) == ("cause", "response-cache-crosstalk")
