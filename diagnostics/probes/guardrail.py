"""P17: does the guardrail let pass what is harmless, and stop what it must? Both ways, through the production path.

Harmless texts that are blocked are counted against an ordinary share; a known-bad test string that comes through is
deterministic. Beside both, the guardrail's own counter tells whether every request was checked at all: one that fails
open is silent in every other number.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import Field

from config.catalogue import Guardrail
from config.http import HttpError
from diagnostics import power, series, statistics, wording
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint, cost_usd
from diagnostics.guardrail_canaries import CanariesError, GuardrailCanary, load
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import gateway_of, provider_of
from diagnostics.windows import Watch

PARALLEL: Final = 8
ALLOWED: Final = 0.01
"""Share of harmless texts that may be blocked on an ordinary day."""
EFFECT: Final = 0.15
LEAST_BASELINE: Final = 40
MOST_BAD: Final = 20
CHECKED: Final = 0.99
"""Share of requests that must have been checked."""
FEWEST: Final = 50
FRESH_S: Final = 90
"""Recent enough to see that it checks again, soon after it was set right."""
_BLOCKED: Final = ("content_filter", "refusal")
_SAYS_SO: Final = ("content_filter", "guardrail", "content policy", "responsibleaipolicy", "content management policy")
_FINE: Final = ("200", "201", "202", "204")
_NOT_RUN: Final = ("error", "failure", "timeout", "guardrail_failed_to_respond", "skipped")


class GuardrailParams(Params):
    """``n`` harmless texts a wave, two waves at most."""

    n: int = Field(default=40, ge=10, le=200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Tried:
    """One text and what became of it."""

    canary: GuardrailCanary
    answer: Answer

    @property
    def layer(self) -> str:
        """Who blocked it; empty: nobody."""
        completion, failure = self.answer.completion, self.answer.failure
        if completion is not None:
            if completion.finish_reason == "refusal":
                return "model refusal"
            own = bool(self.answer.headers.get("x-litellm-applied-guardrails"))
            return ("guardrail" if own else "provider filter") if completion.finish_reason in _BLOCKED else ""
        text = f"{failure.type} {failure.code} {failure.message} {self.answer.body}".casefold() if failure else ""
        if self.answer.status in (400, 403) and any(sign in text for sign in _SAYS_SO):
            return "guardrail" if "guardrail" in text else "provider filter"
        return ""

    @property
    def failed(self) -> bool:
        return self.answer.failure is not None and not self.layer


class GuardrailCanaries:
    """P17."""

    spec = ProbeSpec(
        id="P17",
        name="guardrail_canary",
        title="Guardrail canaries, both ways",
        outcomes={
            "ok": Verdict.NORMAL,
            "benign_blocked": Verdict.ABNORMAL,
            "malicious_passed": Verdict.ABNORMAL,
            "unchecked": Verdict.ABNORMAL,
            "error": Verdict.ABNORMAL,
        },
        params=GuardrailParams,
        unit="share of harmless texts blocked, or of requests unchecked",
        tier=Tier.QUALITY,
        expected_s=12.0,
        timeout_s=90.0,
        expected_tokens=4000,
        applies=("guardrail", "gateway"),
    )

    async def run(self, context: ProbeContext, params: GuardrailParams) -> Reading:
        """Known-bad strings and harmless texts; a second wave when a few of those are blocked."""
        rail = context.catalogue.guardrail(context.service.guardrail or "")
        if rail is None or not rail.canaries:
            return _unsure("No canaries of this service's guardrail are in the catalogue (guardrails.canaries).")
        try:
            known = await asyncio.to_thread(load, Path(context.golden_root) / rail.canaries)
        except (CanariesError, OSError) as error:
            return _unsure(f"The guardrail canaries cannot be used: {error}"[:300])
        api = ChatApi(http=context.http, endpoint=Endpoint.of_gateway(gateway_of(context, None)))
        bad = [one for one in known if one.expect == "block"][:MOST_BAD]
        good = [one for one in known if one.expect == "pass"]
        tried, counted = await asyncio.gather(_try(context, api, [*bad, *good[: params.n]]), _counted(context))
        if 0 < _hits(tried) <= 4:
            tried += await _try(context, api, good[params.n : 2 * params.n])
        return _reading(context, rail, tried, counted)


def _unsure(summary: str) -> Reading:
    return Reading(outcome=INCONCLUSIVE, summary=summary)


def _hits(tried: Sequence[_Tried]) -> int:
    return sum(one.canary.expect == "pass" and bool(one.layer) for one in tried)


async def _try(context: ProbeContext, api: ChatApi, canaries: Sequence[GuardrailCanary]) -> list[_Tried]:
    gate = asyncio.Semaphore(PARALLEL)

    async def once(canary: GuardrailCanary) -> _Tried:
        async with gate:
            request = ChatRequest(model=context.service.route, prompt=canary.text, max_tokens=4)
            return _Tried(canary=canary, answer=await api.complete(request, timeout_s=12.0))

    return list(await asyncio.gather(*(once(canary) for canary in canaries)))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Counted:
    """What the guardrail's own counter says of the last minute and a half."""

    checked: float = 0.0
    requests: float = 0.0
    evidence: tuple[Evidence, ...] = ()

    @property
    def share(self) -> float | None:
        return min(1.0, self.checked / self.requests) if self.requests >= FEWEST else None


async def _counted(context: ProbeContext) -> _Counted:
    """Checks against answered requests; nothing without metrics, which is then said."""
    if not context.service.prometheus:
        return _Counted()
    watch = Watch.of(context)
    try:
        runs, requests, track = await asyncio.gather(
            watch.fresh("guardrail_runs", FRESH_S), watch.fresh("requests", FRESH_S), watch.counts("guardrail_runs")
        )
    except HttpError:
        return _Counted()
    if runs is None or requests is None:
        return _Counted(evidence=(track.evidence,))
    checked = sum(value for status, value in runs.parts.items() if status not in _NOT_RUN)
    # Requests that failed need no check of their own; those without an error have an empty label.
    answered = sum(value for status, value in requests.parts.items() if status in ("", *_FINE))
    return _Counted(checked=checked, requests=answered, evidence=(track.evidence,))


def _reading(context: ProbeContext, rail: Guardrail, tried: Sequence[_Tried], counted: _Counted) -> Reading:
    api = Endpoint.of_gateway(gateway_of(context, None))
    harmless = [one for one in tried if one.canary.expect == "pass" and not one.failed]
    bad = [one for one in tried if one.canary.expect == "block" and not one.failed]
    through = [one for one in bad if not one.layer]
    blocked = [one for one in harmless if one.layer]
    shown = [*through[:1], *blocked[:1], *(one for one in tried if one.failed)][:2]
    name = series.name("guardrail.benign_passed:{guardrail}", guardrail=rail.name)
    common: dict[str, Any] = {
        "tokens": sum(one.answer.tokens for one in tried),
        "usd": cost_usd(provider_of(context, None), [one.answer for one in tried]),
        "evidence": (*(one.answer.evidence(api) for one in shown), *counted.evidence),
        "details": {
            "guardrail": rail.name, "layers": dict(Counter(one.layer for one in blocked)),
            "blocked": [one.canary.id for one in blocked][:20], "passed_through": [one.canary.id for one in through],
            "checked_share": counted.share,
            series.RECORD: {name: [float(not one.layer) for one in harmless]},
        },
    }  # fmt: skip
    failed = sum(one.failed for one in tried)
    if failed > 0.2 * len(tried):
        words = Counter(one.answer.failure.describe() for one in tried if one.failed and one.answer.failure)
        told = ", ".join(f"{count} x {word}" for word, count in words.most_common(3))
        return Reading(outcome="error", summary=f"{failed} of {len(tried)} canaries failed ({told}).", **common)
    if through:
        said = f"{len(through)} of {len(bad)} test strings that must be blocked came through{_unchecked(counted)}."
        return Reading(outcome="malicious_passed", summary=said, value=len(through) / len(bad), baseline=0.0,
                       n=len(bad), test="any known-bad string that passes", **common)  # fmt: skip
    if counted.share is not None and counted.share < CHECKED:
        said = f"Only {wording.percent(counted.share)} of {wording.count(counted.requests)} requests were checked."
        return Reading(outcome="unchecked", summary=said, value=counted.share, baseline=CHECKED,
                       n=round(counted.requests), test=f"share of requests checked below {CHECKED:.0%}",
                       **common)  # fmt: skip
    usual = [s.value for s in context.baselines.samples(context.service.name, name, before=context.started_at)]
    return _harmless(blocked, len(harmless), len(bad), usual, common)


def _unchecked(counted: _Counted) -> str:
    if counted.share is None or counted.share >= CHECKED:
        return ""
    return f", and only {wording.percent(counted.share)} of all requests were checked"


def _harmless(
    blocked: Sequence[_Tried], n: int, bad: int, usual: Sequence[float], common: Mapping[str, Any]
) -> Reading:
    k = len(blocked)
    if len(usual) >= LEAST_BASELINE:
        before = sum(value < 0.5 for value in usual)
        p_value, test, share = statistics.fisher_rise(k, n, before, len(usual)), statistics.FISHER, before / len(usual)
        chance = power.fisher(1 - share, len(usual), 1 - max(EFFECT, share), n)
    else:
        p_value, test = statistics.exceedances(k, n, share=ALLOWED), f"binomial against {ALLOWED:.0%}, one-sided"
        share, chance = ALLOWED, power.exceedances(n, EFFECT, normal=ALLOWED)
    layers = ", ".join(f"{count} by {layer}" for layer, count in Counter(one.layer for one in blocked).most_common())
    over = k >= 2 and p_value <= statistics.ALPHA
    told = f"{k} of {n} harmless texts are blocked" + (f" ({layers})" if layers else "")
    return Reading(
        outcome="benign_blocked" if over else "ok",
        summary=f"{told}; normally {wording.percent(share)} ({wording.probability(p_value)})."
        if over or k else f"{told}, and all {bad} test strings are.",
        value=k / n if n else None, baseline=share, n=n, baseline_n=len(usual), test=test, p_value=p_value,
        interval=statistics.wilson(k, n), power=round(chance, 3), **common,
    )  # fmt: skip
