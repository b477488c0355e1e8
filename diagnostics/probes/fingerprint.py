"""P12: is the model that answers still the one that used to answer? By its name and fingerprint, and by its numbers.

One fixed question is asked many times; the mean log probability of each answer's tokens is a sample. Two models, or one
model before and after a change, differ in that mean long before anybody sees it in the answers. Requests are spread
over back ends, so many small ones find a change that only a part of them meets.
"""

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from config.catalogue import Provider
from diagnostics import series, statistics
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import model_of, provider_of

PROMPT: Final = "Name one thing that people often keep in a kitchen drawer. Answer in a few words."
MAX_TOKENS: Final = 8
CALLS: Final = 30
"""In each of two rounds; the second is asked only if the first is striking."""
PARALLEL: Final = 6
ALPHA: Final = 1e-3
STRIKING: Final = 0.05
ROUNDS: Final = 5000
"""Permutations: enough to tell a thousandth, few enough to take no noticeable time."""
LEAST_BASELINE: Final = 20
LEAST_ANSWERS: Final = 10
LOGPROB_SERIES: Final = "model_fingerprint.logprob:{provider}/{model}"
IDENTITY: Final = "model_fingerprint.identity:{provider}/{model}"


class FingerprintParams(Params):
    """Which provider and model; None: the service's."""

    provider: str | None = None
    model: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    """What was recorded when all was well."""

    model: str
    fingerprints: tuple[str, ...]
    logprobs: tuple[float, ...]

    @classmethod
    def read(cls, context: ProbeContext, subject: Mapping[str, str]) -> "_Known":
        service, before = context.service.name, context.started_at
        found = context.baselines.document(service, series.name(IDENTITY, **subject), before=before)
        document = found if isinstance(found, dict) else {}
        samples = context.baselines.samples(service, series.name(LOGPROB_SERIES, **subject), before=before)
        told = document.get("system_fingerprint")
        prints = told if isinstance(told, list) else [told]
        recorded = document.get("logprobs")
        values = [sample.value for sample in samples]
        if len(values) < LEAST_BASELINE and isinstance(recorded, list):
            values = [float(value) for value in recorded if isinstance(value, (int, float))]
        return cls(
            model=str(document.get("model") or ""),
            fingerprints=tuple(value for value in prints if isinstance(value, str) and value),
            logprobs=tuple(values),
        )


class ModelFingerprint:
    """P12."""

    spec = ProbeSpec(
        id="P12",
        name="model_fingerprint",
        title="Model fingerprint",
        outcomes={"same": Verdict.NORMAL, "changed": Verdict.ABNORMAL, "error": Verdict.ABNORMAL},
        params=FingerprintParams,
        unit="mean log probability",
        tier=Tier.QUALITY,
        expected_s=15.0,
        timeout_s=90.0,
        expected_tokens=2500,
    )

    async def run(self, context: ProbeContext, params: FingerprintParams) -> Reading:
        """A changed name is enough; changed numbers count only if two rounds agree."""
        provider = provider_of(context, params.provider)
        model = model_of(context, provider, params.model)
        subject = {"provider": provider.name, "model": model}
        known = _Known.read(context, subject)
        rounds = [await _ask(context, provider, model)]
        p_values = [_compare(rounds[0], known, subject)]
        first = p_values[0]
        if first is not None and first <= STRIKING:
            rounds.append(await _ask(context, provider, model))
            p_values.append(_compare(rounds[1], known, subject))
        return _reading(provider, subject, known, rounds, [p for p in p_values if p is not None])


async def _ask(context: ProbeContext, provider: Provider, model: str) -> list[Answer]:
    api = ChatApi(http=context.http, endpoint=Endpoint.of_provider(provider))
    gate = asyncio.Semaphore(PARALLEL)
    logprobs = 5 if provider.api == "openai" else 0

    async def once() -> Answer:
        request = ChatRequest(model=model, prompt=PROMPT, max_tokens=MAX_TOKENS, top_logprobs=logprobs)
        async with gate:
            return await api.complete(request, timeout_s=15.0)

    # A dialect without log probabilities has only its name to show, which a few calls do.
    return list(await asyncio.gather(*(once() for _ in range(CALLS if logprobs else 5))))


def _values(answers: Sequence[Answer]) -> list[float]:
    """The mean log probability of each answer's tokens."""
    tokens = [answer.completion.logprobs for answer in answers if answer.completion and answer.completion.logprobs]
    return [round(sum(value for _, value in found) / len(found), 6) for found in tokens]


def _compare(answers: Sequence[Answer], known: _Known, subject: Mapping[str, str]) -> float | None:
    """P-value of the permutation test; None without enough numbers on either side."""
    values = _values(answers)
    if len(values) < LEAST_ANSWERS or len(known.logprobs) < LEAST_BASELINE:
        return None
    seed = int.from_bytes(hashlib.sha256("/".join(sorted(subject.values())).encode()).digest()[:4], "big")
    return statistics.permutation_means(values, known.logprobs, seed=seed, rounds=ROUNDS)


def _reading(
    provider: Provider,
    subject: Mapping[str, str],
    known: _Known,
    rounds: Sequence[Sequence[Answer]],
    p_values: Sequence[float],
) -> Reading:
    answers = [answer for batch in rounds for answer in batch]
    good = [answer for answer in answers if answer.completion]
    endpoint = Endpoint.of_provider(provider)
    label = f"{provider.name} {subject['model']}"
    failed = [answer for answer in answers if answer.failure]
    common: dict[str, Any] = {
        "n": len(good),
        "tokens": sum(answer.tokens for answer in answers),
        "usd": cost_usd(provider, answers),
        "evidence": tuple(answer.evidence(endpoint) for answer in (*failed[:1], *good[:1])),
    }
    if len(good) <= len(answers) / 2:
        words = sorted({answer.failure.describe() for answer in failed if answer.failure})[:3]
        summary = f"{label}: {len(failed)} of {len(answers)} calls failed ({', '.join(words)})"
        return Reading(outcome="error", summary=summary, value=None, details=dict(subject), **common)
    values, models, prints = _values(answers), _names(good, "model"), _names(good, "fingerprint")
    common["details"] = {
        **subject,
        "served_model": models,
        "system_fingerprint": prints,
        "p_values": list(p_values),
        "mean_logprob": round(sum(values) / len(values), 5) if values else None,
        series.RECORD: {series.name(LOGPROB_SERIES, **subject): values} if values else {},
        series.RECORD_DOCUMENTS: {
            series.name(IDENTITY, **subject): {
                "model": models[0] if models else "",
                "system_fingerprint": prints,
                "logprobs": values[:CALLS],
            }
        },
    }
    renamed = _renamed(known, models, prints)
    if renamed:
        return Reading(outcome="changed", summary=f"{label}: {renamed}", test="served name", **common)
    return _by_numbers(label, known, values, p_values, common)


def _by_numbers(
    label: str, known: _Known, values: Sequence[float], p_values: Sequence[float], common: dict[str, Any]
) -> Reading:
    if not p_values:
        why = "reports no log probabilities" if not values else (
            f"has no baseline yet, {len(known.logprobs)} of {series.ENOUGH} recorded answers"
        )  # fmt: skip
        return Reading(outcome=INCONCLUSIVE, summary=f"{label} {why}; its name is as before or unknown", **common)
    mean, before = sum(values) / len(values), sum(known.logprobs) / len(known.logprobs)
    chances = ", ".join(f"{p:.2g}" for p in p_values)
    told = f"{label}: mean log probability {mean:.3f}, usually {before:.3f} (p = {chances})"
    outcome = "same"
    if len(p_values) == 2:
        # One striking round is chance or a change that few requests meet: neither the same nor surely changed.
        outcome = "changed" if max(p_values) < ALPHA else INCONCLUSIVE if min(p_values) < ALPHA else "same"
    return Reading(
        outcome=outcome,
        summary=told,
        value=round(mean, 5),
        baseline=round(before, 5),
        baseline_n=len(known.logprobs),
        test=f"{statistics.PERMUTATION}, twice below {ALPHA:g}",
        p_value=max(p_values),
        **common,
    )


def _renamed(known: _Known, models: Sequence[str], prints: Sequence[str]) -> str:
    """How the names differ from the recorded ones; empty if they do not, or nothing was recorded."""
    if known.model and models and known.model not in models:
        return f"answers as {models[0]}, and used to as {known.model}"
    if known.fingerprints and prints and not set(known.fingerprints) & set(prints):
        return f"answers with fingerprint {prints[0]}, and used to with {known.fingerprints[0]}"
    return ""


def _names(answers: Sequence[Answer], what: str) -> list[str]:
    """Different non-empty names, the commonest first."""
    names = [getattr(answer.completion, what) for answer in answers if answer.completion]
    return sorted({name for name in names if name}, key=lambda name: -names.count(name))[:5]
