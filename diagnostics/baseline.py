"""Records what is normal, so that there is something to compare with: due probes run on a healthy service, and what
they hand over goes into the tables of ``diagnostics/series.py``.

Nothing here decides whether a service is healthy: the caller leaves out services with an open incident, and a reading
that is abnormal by itself is not recorded either. Free reads come first; what costs tokens follows while tokens and
money last, cheapest first, and what had to be left out is told.
"""

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from config.catalogue import Provider
from config.http import HttpError
from diagnostics import series
from diagnostics.model import Finding, ProbeCall, ProbeContext, ProbeRegistry, Sample, Verdict
from diagnostics.runner import ProbeRunner, TokenBudget, questions

EVERY: Mapping[str, timedelta] = {
    "user_signal": timedelta(minutes=5),
    "token_profile": timedelta(minutes=5),
    "demand_profile": timedelta(minutes=5),
    "gateway_health": timedelta(minutes=5),
    "telemetry_check": timedelta(minutes=5),
    "rate_limit_headroom": timedelta(minutes=30),
    "provider_canary": timedelta(minutes=15),
    "second_provider_canary": timedelta(minutes=30),
    "gateway_canary": timedelta(minutes=15),
    "model_fingerprint": timedelta(hours=6),
    "structured_output": timedelta(hours=6),
    "stream_canary": timedelta(hours=6),
    "prompt_cache": timedelta(minutes=5),
    "spend": timedelta(minutes=5),
    "embeddings": timedelta(hours=24),
    "retrieval_canary": timedelta(hours=6),
    "tool_check": timedelta(hours=24),
    "dependency_audit": timedelta(hours=6),
    "key_audit": timedelta(hours=6),
    "guardrail_canary": timedelta(hours=24),
    "grounding_canary": timedelta(hours=24),
    "golden_set": timedelta(hours=24),
    "golden_counterfactual": timedelta(hours=24),
}
"""What is recorded how often. ``embeddings`` are the vectors of fixed sentences; the rest are probes."""
EMBEDDINGS = "embeddings"
SENTENCES = (
    "The order was delivered on Tuesday and the customer is happy.",
    "How do I reset the password of my account?",
    "A refund takes between three and five working days.",
    "The train to the coast leaves at half past nine.",
    "Water boils at a lower temperature high up in the mountains.",
    "def add(a, b): return a + b",
    "Please summarise the attached contract in two sentences.",
    "Das Paket ist noch nicht angekommen.",
)
"""Never to be changed: their vectors are compared over years."""
EMBEDDING_TOKENS = 160
DOUBTFUL = 0.2
"""A p-value up to this leaves it open whether something has changed."""
LONGEST_VECTOR = 8192


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one recording may spend."""

    tokens: int
    usd: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What was recorded, what it cost, and what was left out with the reason."""

    samples: tuple[tuple[str, Sample], ...] = ()
    """Series name and value."""
    documents: tuple[tuple[str, Any], ...] = ()
    """Key and plain JSON."""
    done: tuple[str, ...] = ()
    """What was run, whatever came of it: not due again before its time."""
    left_out: Mapping[str, str] = field(default_factory=dict)
    tokens: int = 0
    usd: float = 0.0


def due(now: datetime, last: Mapping[str, datetime]) -> tuple[str, ...]:
    """What is to be recorded again, given when each was last."""
    return tuple(name for name, every in EVERY.items() if name not in last or now - last[name] >= every)


async def record(context: ProbeContext, registry: ProbeRegistry, names: Sequence[str], limits: Limits) -> Recording:
    """Run what is named, within the limits, and return what to store. Never raises for a probe that failed."""
    free = [name for name in names if name in registry and registry[name].spec.expected_tokens == 0]
    paid = [name for name in names if name in registry and registry[name].spec.expected_tokens > 0]
    paid.sort(key=lambda name: registry[name].spec.expected_tokens)
    runner = ProbeRunner(
        registry, new_id=lambda: "baseline", budget=TokenBudget(limit=limits.tokens, only_expected=True)
    )
    findings = list(await runner.run([ProbeCall(probe=name) for name in free], context))
    left_out = {name: "no such probe" for name in names if name not in registry and name != EMBEDDINGS}
    for name in paid:
        spent = sum(finding.reading.usd for finding in findings)
        expected = _price(context, runner.expected_tokens(ProbeCall(probe=name), context))
        if spent + expected > limits.usd:
            left_out[name] = f"budget: about {expected:.4f} USD more than the {limits.usd:.2f} USD that are allowed"
            continue
        findings += await runner.run([ProbeCall(probe=name)], context)
    recording = _collected(context, findings, left_out, _spent(findings, registry))
    if EMBEDDINGS in names:
        recording = await _with_embeddings(context, recording, limits)
    return recording


def _collected(
    context: ProbeContext, findings: Sequence[Finding], left_out: Mapping[str, str], spent: Mapping[str, float]
) -> Recording:
    """What the findings hand over under known names; nothing of abnormal, failed or absent ones."""
    now = context.clock.now()
    samples = [(series.name(series.TOKENS, probe=name), Sample(at=now, value=value)) for name, value in spent.items()]
    documents: list[tuple[str, Any]] = []
    reasons = dict(left_out)
    for finding in findings:
        if not _may_be_normal(finding):
            reasons[finding.probe] = f"{finding.verdict.value}: {finding.reading.summary}"
            continue
        record = finding.reading.details.get(series.RECORD, {})
        samples += [
            (name, Sample(at=now, value=float(value)))
            for name, values in record.items()
            if series.known(name)
            for value in values
            if math.isfinite(value)
        ]
        kept = finding.reading.details.get(series.RECORD_DOCUMENTS, {})
        documents += [(key, value) for key, value in kept.items() if series.known(key)]
    return Recording(
        samples=tuple(samples),
        documents=tuple(documents),
        done=tuple(finding.probe for finding in findings if finding.verdict is not Verdict.NOT_RUN),
        left_out=reasons,
        tokens=sum(finding.reading.tokens for finding in findings),
        usd=sum(finding.reading.usd for finding in findings),
    )


def _may_be_normal(finding: Finding) -> bool:
    """Healthy, or nothing there yet to compare with. What a comparison leaves in doubt is not recorded: a slow drift
    would move its own baseline along, and hide."""
    reading = finding.reading
    if finding.verdict is Verdict.INCONCLUSIVE:
        return reading.power is None if reading.p_value is None else reading.p_value > DOUBTFUL
    return finding.verdict is Verdict.NORMAL


def _spent(findings: Sequence[Finding], registry: ProbeRegistry) -> dict[str, float]:
    """Probe -> tokens for each question, of those that went well."""
    return {
        finding.probe: finding.reading.tokens / questions(registry[finding.probe].spec, finding.params)
        for finding in findings
        if finding.verdict is Verdict.NORMAL and finding.reading.tokens > 0
    }


def _price(context: ProbeContext, tokens: int) -> float:
    """What so many tokens cost at most at the service's provider."""
    provider = context.catalogue.provider(context.service.provider)
    dearest = max(provider.usd_per_1k_input, provider.usd_per_1k_output) if provider else 0.0
    return tokens / 1000 * dearest


# --- Vectors of fixed sentences ----------------------------------------------------------------------------------


async def _with_embeddings(context: ProbeContext, recording: Recording, limits: Limits) -> Recording:
    provider = context.catalogue.provider(context.service.provider)
    model = next((name for name in provider.models if "embed" in name), None) if provider else None
    if provider is None or model is None or provider.api != "openai":
        return _without(recording, "the service's provider declares no embedding model")
    price = EMBEDDING_TOKENS / 1000 * provider.usd_per_1k_input
    if recording.tokens + EMBEDDING_TOKENS > limits.tokens or recording.usd + price > limits.usd:
        return _without(recording, "budget")
    vectors, tokens = await embed_sentences(context, provider, model)
    if not vectors:
        return _without(recording, f"{provider.name} gave no vectors for {model}")
    key = series.name("embedding.sentences:{provider}/{model}", provider=provider.name, model=model)
    return replace(
        recording,
        documents=(*recording.documents, (key, {"dimension": len(vectors[0]), "vectors": vectors})),
        done=(*recording.done, EMBEDDINGS),
        tokens=recording.tokens + tokens,
        usd=recording.usd + tokens / 1000 * provider.usd_per_1k_input,
    )


def _without(recording: Recording, reason: str) -> Recording:
    return replace(recording, left_out={**recording.left_out, EMBEDDINGS: reason})


async def embed_sentences(context: ProbeContext, provider: Provider, model: str) -> tuple[list[list[float]], int]:
    """Vectors of :data:`SENTENCES` and the tokens they cost; no vectors if the answer is not what was asked for."""
    body = {"model": model, "input": list(SENTENCES)}
    try:
        reply = await context.http.request(provider.target, "POST", "/v1/embeddings", purpose="canary", body=body)
        document = json.loads(reply.text) if reply.status == 200 else {}
        vectors = [[round(float(x), 6) for x in item["embedding"]] for item in document["data"]]
        tokens = int(document.get("usage", {}).get("total_tokens", EMBEDDING_TOKENS))
    except (HttpError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return [], 0
    lengths = {len(vector) for vector in vectors}
    fine = len(vectors) == len(SENTENCES) and len(lengths) == 1 and 0 < lengths.pop() <= LONGEST_VECTOR
    return (vectors, tokens) if fine and all(math.isfinite(x) for vector in vectors for x in vector) else ([], tokens)
