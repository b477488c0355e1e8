"""Runs probes: in parallel, each under its own deadline, all under one incident's token budget.

Make one runner for an investigation: it remembers what was spent and whether the provider's rate limit is used up.
A probe that fails is a finding that says so; nothing here turns the absence of a result into health.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Literal

from pydantic import ValidationError

from diagnostics import series, statistics
from diagnostics.model import (
    INCONCLUSIVE,
    AnyProbe,
    Evidence,
    Finding,
    Params,
    ProbeCall,
    ProbeContext,
    ProbeRegistry,
    ProbeSpec,
    Reading,
    Tier,
    Verdict,
)

HEADROOM_PROBE = "rate_limit_headroom"
HEADROOM_GONE = "exhausted"
SECOND_PROBE = "second_provider_canary"
LEAST_LEFT = 0.05
"""Share of a provider's rate limit below which nothing is asked of it: a canary would worsen what users have."""
LEAST_LEFT_FOR_MANY = 0.20
"""The same for probes of many calls: fingerprint, structured output, golden sets."""
LEAST_RECORDED = 3
EXCERPT_LIMIT = 2_000
SUMMARY_LIMIT = 300


@dataclass(slots=True)
class TokenBudget:
    """Tokens that probes of one incident may spend. ``spent`` carries over a restart: the sum of what findings cost."""

    limit: int = 200_000
    spent: int = 0
    reserved: int = 0
    only_expected: bool = False
    """Whether calls get nothing beyond what they are expected to spend."""

    def reserve(self, tokens: int) -> bool:
        """Set tokens aside; False if they are not there."""
        if tokens > self.left:
            return False
        self.reserved += tokens
        return True

    @property
    def left(self) -> int:
        """What nobody has spent or set aside."""
        return max(0, self.limit - self.spent - self.reserved)

    def settle(self, reserved: int, spent: int) -> None:
        """Turn a reservation into what was really spent."""
        self.reserved -= reserved
        self.spent += spent


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeEvent:
    """A probe has started or finished: what a card ticks by."""

    kind: Literal["started", "finished"]
    call: ProbeCall
    at: datetime
    round: int
    finding: Finding | None = None


OnEvent = Callable[[ProbeEvent], Awaitable[None]]


async def _silent(_: ProbeEvent) -> None:
    """Nobody watches."""


class ProbeRunner:
    """The :class:`diagnostics.model.Runner`.

    ``new_id`` makes a unique evidence id that tells nothing of the content. ``redact`` removes secrets from text.
    ``known`` are findings of before a restart, of which only the newest rate-limit readings matter here.
    """

    def __init__(self, registry: ProbeRegistry, *, new_id: Callable[[], str], redact: Callable[[str], str] = str,
                 on_event: OnEvent = _silent, budget: TokenBudget | None = None, parallel: int = 8,
                 known: Iterable[Finding] = ()) -> None:  # fmt: skip
        self._registry = registry
        self._new_id = new_id
        self._redact = redact
        self._on_event = on_event
        self.budget = budget or TokenBudget()
        self._slots = asyncio.Semaphore(parallel)
        self._headroom: dict[str, tuple[int, float]] = {}
        """Provider -> round and share left, as last read; the name is empty for whatever the service uses."""
        for finding in known:
            self._note_headroom(finding)

    async def run(self, calls: Sequence[ProbeCall], context: ProbeContext, *, round: int = 0) -> Sequence[Finding]:  # noqa: A002 - the port's name
        """One finding for each call, in order; never raises for a probe that failed.

        The rate limit is read before anything that spends tokens, when both are asked for at once.
        """
        results: dict[int, Finding] = {}
        asks_headroom = any(call.probe == HEADROOM_PROBE for call in calls)
        first = [i for i, call in enumerate(calls) if not (asks_headroom and self._spends(call))]
        then = [i for i in range(len(calls)) if i not in set(first)]
        for batch in (first, then):
            found = await self._together([calls[i] for i in batch], context, round)
            results.update(zip(batch, found, strict=True))
        return [results[i] for i in range(len(calls))]

    def expected_tokens(self, call: ProbeCall, context: ProbeContext) -> int:
        """About what a call will spend: for each of its ``n`` questions what was recorded, else what its spec says."""
        probe = self._registry.get(call.probe)
        if probe is None or probe.spec.expected_tokens == 0:
            return 0
        n = questions(probe.spec, call.params)
        name = series.name(series.TOKENS, probe=call.probe)
        recorded = context.baselines.samples(context.service.name, name, before=context.started_at, limit=20)
        if len(recorded) >= LEAST_RECORDED:
            return math.ceil(n * statistics.quantile([sample.value for sample in recorded], 0.95))
        return math.ceil(n * probe.spec.expected_tokens / questions(probe.spec, {}))

    async def _together(
        self, calls: Sequence[ProbeCall], context: ProbeContext, round_number: int
    ) -> Sequence[Finding]:
        """All at once; when what they tell cannot be kept, none goes on spending."""
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._one(call, context, round_number)) for call in calls]
        except BaseExceptionGroup as broken:
            raise broken.exceptions[0] from None
        return [task.result() for task in tasks]

    def _spends(self, call: ProbeCall) -> bool:
        probe = self._registry.get(call.probe)
        return probe is not None and probe.spec.expected_tokens > 0

    async def _one(self, call: ProbeCall, context: ProbeContext, round_number: int) -> Finding:
        attempt = _Attempt(call=call, context=context, round=round_number, started_at=context.clock.now())
        probe = self._registry.get(call.probe)
        if probe is None:
            return await self._finish(attempt, Verdict.ERROR, _nothing(f"There is no probe named {call.probe!r}."))
        try:
            params = probe.spec.params.model_validate(dict(call.params))
        except ValidationError as error:
            return await self._finish(attempt, Verdict.ERROR, _nothing(_invalid(probe.spec, error)))
        attempt = replace(attempt, call=replace(call, params=params.model_dump(mode="json")))
        missing = [field for field in probe.spec.applies if not getattr(context.service, field, None)]
        if missing:
            reason = f"{context.service.name} has no {' and no '.join(missing)}."
            return await self._finish(attempt, Verdict.NOT_RUN, _nothing(reason))
        if probe.spec.expected_tokens == 0:
            finding = await self._watched(attempt, probe, params)
            self.budget.settle(0, finding.reading.tokens)  # a free read may need a canary after all
            return finding
        return await self._spending(attempt, probe, params)

    async def _spending(self, attempt: "_Attempt", probe: AnyProbe, params: Params) -> Finding:
        reason = self._too_tight(attempt, probe.spec)
        if reason:
            return await self._finish(attempt, Verdict.NOT_RUN, _nothing(reason))
        tokens = self.expected_tokens(attempt.call, attempt.context)
        if not self.budget.reserve(tokens):
            about, left, limit = f"{tokens:,} tokens", f"{self.budget.left:,}", f"{self.budget.limit:,}"
            reason = f"Not run: budget. It would spend about {about}; {left} of {limit} are left."
            return await self._finish(attempt, Verdict.NOT_RUN, _nothing(reason))
        reserved = [tokens]

        def more(further: int) -> bool:
            granted = not self.budget.only_expected and self.budget.reserve(further)
            reserved[0] += further if granted else 0
            return granted

        spent: int | None = None
        try:
            asking = replace(attempt, context=replace(attempt.context, more_tokens=more))
            finding = await self._watched(asking, probe, params)
            # A probe that broke off may have spent all the same.
            spent = finding.reading.tokens if finding.verdict is not Verdict.ERROR else None
        finally:
            self.budget.settle(reserved[0], reserved[0] if spent is None else spent)
        return finding

    async def _watched(self, attempt: "_Attempt", probe: AnyProbe, params: Params) -> Finding:
        async with self._slots:
            started = replace(attempt, started_at=attempt.context.clock.now())
            await self._on_event(
                ProbeEvent(kind="started", call=started.call, at=started.started_at, round=started.round)
            )
            verdict, reading = await self._reading(started, probe, params)
            return await self._finish(started, verdict, reading)

    async def _reading(self, attempt: "_Attempt", probe: AnyProbe, params: Params) -> tuple[Verdict, Reading]:
        spec = probe.spec
        try:
            async with asyncio.timeout(spec.timeout_s) as deadline:
                return _judged(spec, await probe.run(attempt.context, params))
        except TimeoutError as error:
            if deadline.expired():
                return Verdict.ERROR, _nothing(f"No result within {spec.timeout_s:g} s.")
            return Verdict.ERROR, _nothing(_crash(error))
        except Exception as error:  # noqa: BLE001 - the one place where any failure of a probe becomes a finding
            return Verdict.ERROR, _nothing(_crash(error))

    async def _finish(self, attempt: "_Attempt", verdict: Verdict, reading: Reading) -> Finding:
        now = attempt.context.clock.now()
        finding = Finding(
            id=self._new_id(),
            probe=attempt.call.probe,
            service=attempt.context.service.name,
            params=attempt.call.params,
            outcome=reading.outcome,
            verdict=verdict,
            reading=self._clean(reading),
            started_at=attempt.started_at,
            elapsed_s=(now - attempt.started_at).total_seconds(),
            round=attempt.round,
        )
        self._note_headroom(finding)
        event = ProbeEvent(kind="finished", call=attempt.call, at=now, round=attempt.round, finding=finding)
        await self._on_event(event)
        return finding

    def _note_headroom(self, finding: Finding) -> None:
        if finding.probe != HEADROOM_PROBE or finding.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL):
            return
        details = finding.reading.details
        shares = [share for share in dict(details.get("shares") or {}).values() if isinstance(share, int | float)]
        left = min(shares, default=0.0 if finding.outcome == HEADROOM_GONE else 1.0)
        self._headroom[str(details.get("provider") or "")] = (finding.round, left)

    def _too_tight(self, attempt: "_Attempt", spec: ProbeSpec) -> str:
        """Why a provider's rate limit forbids a call, if so."""
        service = attempt.context.service
        own = service.fallback_provider if spec.name == SECOND_PROBE else service.provider
        provider = str(attempt.call.params.get("provider") or own)
        unnamed = self._headroom.get("") if provider == service.provider else None
        read_in, left = self._headroom.get(provider) or unnamed or (attempt.round, 1.0)
        least = LEAST_LEFT_FOR_MANY if spec.tier >= Tier.QUALITY else LEAST_LEFT
        if read_in != attempt.round or left >= least:
            return ""
        return (
            f"Not run: {provider} has {100 * left:.0f} % of its rate limit left, and this would worsen the rate limit."
        )

    def _clean(self, reading: Reading) -> Reading:
        evidence = tuple(
            Evidence(source=self._redact(item.source), excerpt=self._redact(item.excerpt)[:EXCERPT_LIMIT])
            for item in reading.evidence
        )
        summary = self._redact(reading.summary)[: 2 * SUMMARY_LIMIT]
        return replace(reading, summary=summary, evidence=evidence, details=_redacted(reading.details, self._redact))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Attempt:
    call: ProbeCall
    context: ProbeContext
    round: int
    started_at: datetime


def questions(spec: ProbeSpec, params: Mapping[str, Any]) -> int:
    """How many questions a call asks: its ``n``, or 1 for a probe without one."""
    field = spec.params.model_fields.get("n")
    return int(params.get("n", field.default)) if field else 1


def _judged(spec: ProbeSpec, reading: Reading) -> tuple[Verdict, Reading]:
    if reading.outcome == INCONCLUSIVE:
        return Verdict.INCONCLUSIVE, reading
    if reading.outcome not in spec.outcomes:
        return Verdict.ERROR, _nothing(f"{spec.name} reported {reading.outcome!r}, which is not one of its outcomes.")
    return spec.outcomes[reading.outcome], reading


def _nothing(summary: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary)


def _crash(error: BaseException) -> str:
    return f"The probe failed: {type(error).__name__}: {error}"[:SUMMARY_LIMIT]


def _invalid(spec: ProbeSpec, error: ValidationError) -> str:
    """What is wrong with the parameters, without the values: they may come from outside."""
    wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'parameters'}: {e['msg']}" for e in error.errors()[:3])
    return f"{spec.name} cannot run with these parameters: {wrong}"[:SUMMARY_LIMIT]


def _redacted(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, Mapping):
        return {key: _redacted(item, redact) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_redacted(item, redact) for item in value]
    return value
