"""P10 and P11: the golden set on what production runs now, and on what was last known to be good.

P10 asks through the gateway, with nothing of our own in between: prompt, parameters and retrieval are production's. P11
asks the provider directly, with the last known good prompt, model and parameters: if answers are worse even so, it is
not our own change; if they are fine and several things of ours have changed, the same questions name the one that did
it. Both compare item by item with the recorded results of the last good version where there are any.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from config.catalogue import Provider
from diagnostics import series
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.golden import GoldenItem, load
from diagnostics.marking import described, marker_for
from diagnostics.model import Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.probes.golden_bisect import Asked, bisected
from diagnostics.probes.golden_verdict import Reference, judge, stop_when_sure
from diagnostics.prompt_store import Configuration, PromptReader, PromptVersions, configurations
from diagnostics.replay import Replay, chosen, replay
from diagnostics.setups import MAX_TOKENS, Setup
from diagnostics.subjects import gateway_of, model_of, provider_of
from diagnostics.tool_calls import said

CALL_TIMEOUT_S: Final = 30.0
_OUTCOMES: Final = {"ok": Verdict.NORMAL, "drop": Verdict.ABNORMAL, "error": Verdict.ABNORMAL}
_DIRECT: Final = "/direct"
"""Ends the subject under which results of P11 are recorded: without retrieval and tools other answers are normal."""


class GoldenParams(Params):
    """How many items of the set to ask."""

    n: int = Field(default=60, ge=10, le=500)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Lane:
    """Which way the questions go, and under which names results are compared and recorded."""

    api: ChatApi
    model: str
    subject: str
    """The prompt's name, as the recorded series carry it."""
    version: str
    """The version that answers now: what the results are recorded under."""
    reference: Reference
    price: Provider | None
    system: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    max_tokens: int | None = None
    temperature: float | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    evidence: tuple[Evidence, ...] = ()


class GoldenSetProbe:
    """P10."""

    spec = ProbeSpec(
        id="P10",
        name="golden_set",
        title="Golden set on production",
        outcomes=_OUTCOMES,
        params=GoldenParams,
        unit="share passed",
        tier=Tier.GOLDEN,
        expected_s=60.0,
        timeout_s=300.0,
        expected_tokens=9000,
        applies=("golden_set",),
    )

    async def run(self, context: ProbeContext, params: GoldenParams) -> Reading:
        """Ask what production would be asked, the way production is asked."""
        reading, _ = await _ask_and_judge(context, await self._lane(context), params.n)
        return reading

    async def _lane(self, context: ProbeContext) -> _Lane:
        service = context.service
        prompts = PromptReader(context)
        versions = await prompts.versions()
        subject, version = _subject(context), versions.production if versions else "current"
        provider = provider_of(context, None)
        reference = _reference(context, subject, _candidates(context, versions), pooled=subject)
        facts = {"prompt": subject, "prompt_version": version, "compared_with_version": reference.version}
        if service.gateway:
            gateway = gateway_of(context, None)
            return _Lane(
                api=ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway)),
                model=service.route,
                subject=subject,
                version=version,
                reference=reference,
                price=provider,
                facts={**facts, "gateway": gateway.name, "route": service.route},
                evidence=tuple(prompts.evidence),
            )
        # Without a gateway the application itself joins prompt and question; so does this.
        text = await prompts.text(version) if versions else None
        return _Lane(
            api=ChatApi(http=context.http, endpoint=Endpoint.of_provider(provider)),
            model=service.model,
            subject=subject,
            version=version,
            reference=reference,
            price=provider,
            system=text or "",
            facts={**facts, "provider": provider.name, "model": service.model},
            evidence=tuple(prompts.evidence),
        )


class GoldenCounterfactual:
    """P11."""

    spec = ProbeSpec(
        id="P11",
        name="golden_counterfactual",
        title="Golden set on the last known good prompt and parameters",
        outcomes=_OUTCOMES,
        params=GoldenParams,
        unit="share passed",
        tier=Tier.GOLDEN,
        expected_s=60.0,
        timeout_s=300.0,
        expected_tokens=12_000,
        applies=("golden_set",),
    )

    async def run(self, context: ProbeContext, params: GoldenParams) -> Reading:
        """Ask the provider directly, as when all was well. ``moved`` in the details says what differs from now, and
        ``bisect`` which of several differences makes the answers worse."""
        prompts = PromptReader(context)
        versions = await prompts.versions()
        now, then, read = await configurations(context)
        provider = provider_of(context, None)
        then = then or Configuration(model=model_of(context, provider, None))
        version = _last_good(context, versions)
        text = await prompts.text(version) if versions else ""
        evidence = (*prompts.evidence, *read)
        if text is None:
            why = f"version {version} of prompt {context.service.prompt} cannot be read from its store"
            return Reading(outcome="inconclusive", summary=why, evidence=evidence[-3:])
        moved = _moved(versions, version, now, then)
        subject = _subject(context) + _DIRECT
        good = Setup(
            prompt=f"version {version}", text=text, provider=provider.name, params=then.params,
            model=then.model if _served(then.model, provider, context) else context.service.model,
        )  # fmt: skip
        lane = _Lane(
            api=ChatApi(http=context.http, endpoint=Endpoint.of_provider(provider)),
            model=good.model,
            subject=subject,
            version=version,
            reference=_direct_reference(context, subject, version),
            price=provider,
            system=text,
            params=then.params,
            max_tokens=MAX_TOKENS,
            temperature=0.0,
            facts={"provider": provider.name, "model": then.model, "prompt_version": version, "moved": moved},
            evidence=evidence,
        )
        reading, done = await _ask_and_judge(context, lane, params.n)
        if reading.outcome != "ok" or len(moved) < 2 or now is None or versions is None:
            return reading
        text = await prompts.text(versions.production)
        bad = replace(
            good, prompt=f"version {versions.production}", text=text or "", model=now.model, params=now.params
        )
        return reading if text is None else await bisected(context, reading, done, good=good, bad=bad)


def _served(model: str, provider: Provider, context: ProbeContext) -> bool:
    return model in provider.models or model == context.service.model


async def _ask_and_judge(context: ProbeContext, lane: _Lane, n: int) -> tuple[Reading, Asked]:
    golden = load(Path(context.golden_root) / context.service.golden_set)
    marker = await marker_for(golden, context)

    async def ask(item: GoldenItem) -> Answer:
        request = ChatRequest(
            model=lane.model,
            prompt=item.input,
            system=lane.system,
            max_tokens=lane.max_tokens,
            temperature=lane.temperature,
            params=lane.params,
        )
        return await lane.api.complete(request, timeout_s=CALL_TIMEOUT_S)

    items = chosen(golden, n)
    done = await replay(items, ask, stop=stop_when_sure(lane.reference, len(items)), marker=marker)
    calibrated = marker.calibration
    judging = sum(result.mark.usd for result in done.results) + (calibrated.usd if calibrated else 0.0)
    reading = judge(
        done,
        lane.reference,
        asked_of=len(items),
        tokens=sum(result.tokens for result in done.results) + (calibrated.tokens if calibrated else 0),
        usd=round(cost_usd(lane.price, [result.answer for result in done.results]) + judging, 6),
        details={
            **lane.facts, **described(marker), series.RECORD: _record(lane, done),
            series.RECORD_DOCUMENTS: _documents(lane, done),
        },
        evidence=(*_examples(lane, done), *lane.evidence)[:6],
    )  # fmt: skip
    return reading, Asked(replay=done, marker=marker)


def _record(lane: _Lane, done: Replay) -> dict[str, list[float]]:
    name = series.name("golden.pass:{prompt}", prompt=lane.subject)
    return {name: [float(result.passed) for result in done.judged]}


def _documents(lane: _Lane, done: Replay) -> dict[str, dict[str, bool]]:
    if done.stopped or done.failing:
        return {}
    name = series.name("golden.items:{prompt}@{version}", prompt=lane.subject, version=lane.version)
    return {name: {result.item.id: result.passed for result in done.judged}}


def _examples(lane: _Lane, done: Replay) -> Sequence[Evidence]:
    """Answers that passed before and fail now come first; calls that failed before all."""
    failed = [result for result in done.results if not result.answered][:2]
    wrong = [result for result in done.judged if not result.passed]
    wrong.sort(key=lambda result: not lane.reference.items.get(result.item.id, False))
    found = [result.answer.evidence(lane.api.endpoint) for result in failed]
    for result in wrong[:3]:
        answer = said(result.answer.completion) if result.answer.completion else ""
        checks = ", ".join(result.failed_checks)
        excerpt = f"item {result.item.id} fails {checks}\nquestion: {result.item.input[:500]}\nanswer: {answer[:1200]}"
        found.append(Evidence(source=f"POST {lane.api.endpoint.target} {lane.api.endpoint.path}", excerpt=excerpt))
    return found


def _subject(context: ProbeContext) -> str:
    return context.service.prompt or context.service.name


def _last_good(context: ProbeContext, versions: PromptVersions | None) -> str:
    return versions.last_good(context.started_at) if versions else "current"


def _candidates(context: ProbeContext, versions: PromptVersions | None) -> tuple[str, ...]:
    """Versions whose recorded results may be compared with, best first."""
    if versions is None:
        return ("current",)
    return tuple(dict.fromkeys((_last_good(context, versions), versions.previous, versions.production)))


def _reference(context: ProbeContext, subject: str, candidates: Sequence[str], *, pooled: str) -> Reference:
    for version in candidates:
        name = series.name("golden.items:{prompt}@{version}", prompt=subject, version=version)
        document = context.baselines.document(context.service.name, name, before=context.started_at)
        if isinstance(document, dict) and document:
            items = {str(key): value for key, value in document.items() if isinstance(value, bool)}
            return Reference(items=items, version=version, passes=_passes(context, pooled))
    return Reference(items={}, version="", passes=_passes(context, pooled))


def _direct_reference(context: ProbeContext, subject: str, version: str) -> Reference:
    """Without retrieval and tools the way through production is the same as the direct one, and so is its record."""
    direct = _reference(context, subject, (version,), pooled=subject)
    service = context.service
    if direct.items or direct.passes or service.index or service.tools:
        return direct
    return _reference(context, _subject(context), (version,), pooled=_subject(context))


def _passes(context: ProbeContext, subject: str) -> tuple[bool, ...]:
    name = series.name("golden.pass:{prompt}", prompt=subject)
    samples = context.baselines.samples(context.service.name, name, before=context.started_at)
    return tuple(sample.value >= 0.5 for sample in samples)


def _moved(
    versions: PromptVersions | None, version: str, now: Configuration | None, then: Configuration
) -> dict[str, Any]:
    """What production has changed since it was last known to be good."""
    moved: dict[str, Any] = {}
    if versions and versions.production != version:
        moved["prompt"] = {"now": versions.production, "then": version}
    if now and now.model != then.model:
        moved["model"] = {"now": now.model, "then": then.model}
    if now:
        names = sorted({*now.params, *then.params})
        changed = [name for name in names if now.params.get(name) != then.params.get(name)]
        if changed:
            moved["params"] = {n: {"now": now.params.get(n), "then": then.params.get(n)} for n in changed[:10]}
    return moved
