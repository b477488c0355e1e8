"""The names under which normal behaviour is recorded: one table, for whoever records and whoever compares.

A probe hands over what it measured as plain numbers in its reading's details, under :data:`RECORD` (series name ->
list of values) and :data:`RECORD_DOCUMENTS` (key -> plain JSON). The recorder (``diagnostics/baseline.py``) takes
only names that :func:`known` accepts; the probe reads them back through ``context.baselines``.
"""

import re

RECORD = "record"
"""Key in ``Reading.details``: ``{"provider_canary.ttft_s:acme-openai/acme-large": [0.41, 0.39]}``."""
RECORD_DOCUMENTS = "record_documents"
"""Key in ``Reading.details``: ``{"golden.items:support@13": {"support-001": true}}``."""

ENOUGH = 200
"""Observations a pooled baseline of a rate or of canaries needs: "no baseline yet, 12 of 200"."""

# What -> unit and meaning. ``{...}`` is the subject that follows the colon.
TOKENS = "probe.tokens:{probe}"
"""What a probe spends for each question it asks; recorded by the recorder itself."""
SERIES: dict[str, str] = {
    TOKENS: "tokens a probe spends for each of its n questions",
    "provider_canary.ttft_s:{provider}/{model}": "s to the first token of a canary straight to the provider",
    "provider_canary.elapsed_s:{provider}/{model}": "s to the end of such a canary",
    "provider_canary.failed:{provider}/{model}": "0 or 1 for each such canary",
    "gateway_canary.ttft_s:{route}": "s to the first token of a canary through the gateway",
    "gateway_canary.elapsed_s:{route}": "s to the end of such a canary",
    "gateway_canary.failed:{route}": "0 or 1 for each such canary",
    "structured_output.valid:{route}": "0 or 1 for each structured answer",
    "stream_canary.whole:{route}": "0 or 1 for each long stream",
    "prompt_cache.cached_share": "share of prompt tokens that the provider had cached, 0 to 1",
    "spend.usd": "USD a minute that the service's calls cost",
    "spend.price": "USD for a million tokens, over all models",
    "golden.pass:{prompt}": "0 or 1 for each golden item answered",
    "model_fingerprint.logprob:{provider}/{model}": "mean log probability of one fixed answer",
    "rate_limit.tokens_limit:{provider}": "tokens a minute, as the provider reports its limit",
    "retrieval.elapsed_s:{index}": "s for one search of the retrieval canary",
    "guardrail.benign_passed:{guardrail}": "0 or 1 for each harmless text that passed the guardrail",
    "grounding.grounded:{index}": "0 or 1 for each answer that rests on its document, or is rightly refused",
    "user_signal.requests": "user-facing requests in five minutes",
    "user_signal.error_share": "share of them that failed",
    "user_signal.p50_s": "s, median duration in five minutes",
    "user_signal.p95_s": "s, 95th percentile of the duration in five minutes",
    "user_signal.ttft_p95_s": "s, 95th percentile to the first token in five minutes",
    "user_signal.quality": "mean judge score, 0 to 1",
    "user_signal.reports": "complaints by users in five minutes",
    "token_profile.length_share": "share of answers cut at the token limit",
    "token_profile.refusal_share": "share of answers refused or filtered",
    "token_profile.input_tokens": "tokens in a prompt, mean",
    "token_profile.output_tokens": "tokens in an answer, mean",
    "token_profile.answers": "answers in five minutes",
    "demand_profile.users": "active users",
    "demand_profile.tasks": "tasks a minute",
    "demand_profile.calls_per_task": "model calls for a task",
    "demand_profile.attempts_per_call": "attempts for a call",
    "demand_profile.tokens_per_call": "tokens for a call",
    "demand_profile.top_tenant_share": "share of all calls that the largest tenant makes, 0 to 1",
    "demand_profile.queue_depth": "items waiting for moderation or generation",
    "gateway_health.in_flight": "requests in flight in the gateway",
    "gateway_health.overhead_share": "share of the gateway's latency that is its own, 0 to 1",
    "telemetry_check.judge_agreement": "agreement of the judge with frozen human labels, 0 to 1",
}
DOCUMENTS: dict[str, str] = {
    "golden.items:{prompt}@{version}": "item id -> whether it passed with that prompt version",
    "model_fingerprint.identity:{provider}/{model}": "served model, system fingerprint and top log probabilities",
    "embedding.sentences:{provider}/{model}": "vectors of the fixed sentences",
    "retrieval.items:{index}": "known question -> whether its document was found",
    "tool.schema:{tool}": "hash, arguments and required arguments of a tool",
    "dependency.inventory:{gateway}": "package -> version and hash, and what runs at every start",
    "key.sources:{gateway}": "alias of a key -> networks and regions that it is used from",
    "token_profile.finish_reasons": "finish reason -> share",
    "demand_profile.tenant_shares": "tenant -> share of all calls",
}

_SUBJECT = r"[A-Za-z0-9_.:/@-]{1,160}"


def name(template: str, **subject: str) -> str:
    """Fill a template of the table, such as ``name("gateway_canary.failed:{route}", route="chat")``.

    Raises :class:`KeyError` for a template that is not in the table: nothing else is recorded.
    """
    if template not in SERIES and template not in DOCUMENTS:
        raise KeyError(f"no such series: {template}; the table is diagnostics/series.py")
    return template.format(**subject)


def known(series: str) -> bool:
    """Whether a filled name belongs to a template of either table."""
    return _KNOWN.fullmatch(series) is not None


def _pattern(template: str) -> str:
    head, colon, _ = template.partition(":")
    return re.escape(head) + (f":{_SUBJECT}" if colon else "")


_KNOWN = re.compile("|".join(_pattern(template) for template in (*SERIES, *DOCUMENTS)))
