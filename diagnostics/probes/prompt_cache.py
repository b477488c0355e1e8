"""P20, the prompt cache: how much of what we send the provider still has from earlier prompts.

A prompt is cached by its head. Whatever changes near the top (a time, an id, a reordered tool) makes every prompt new:
answers are as good as ever, begin later, and cost more. The counters of the gateway or the client say it for free.
"""

import asyncio
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from diagnostics import series, statistics, wording
from diagnostics.model import INCONCLUSIVE, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.usual import Moved, moved, usual_values
from diagnostics.windows import SLICE_S, Track, Watch

DOWN_TO = 0.5
"""Lost once at most this part of the usual share is cached."""
LEAST_SHARE = 0.05
"""Below this usual share there is no cache to lose."""
FEWEST_TOKENS = 10_000
"""Prompt tokens in the window below which nothing is said: a quiet service lets its cache run out."""


class PromptCacheParams(Params):
    """``window_s``: what counts as now; whole slices of five minutes."""

    window_s: int = Field(default=900, ge=SLICE_S, le=7200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cache:
    """Cached share in each slice."""

    now: list[float]
    before: list[float]
    tokens: float
    """Prompt tokens of the window."""


class PromptCache:
    """P20."""

    spec = ProbeSpec(
        id="P20",
        name="prompt_cache",
        title="Prompt tokens the provider has cached",
        outcomes={"ok": Verdict.NORMAL, "cached_ratio_down": Verdict.ABNORMAL},
        params=PromptCacheParams,
        unit="share of prompt tokens cached",
        expected_s=1.0,
        timeout_s=15.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, params: PromptCacheParams) -> Reading:
        """Cached over all prompt tokens, against what this service usually shows."""
        watch, slices = Watch.of(context), params.window_s // SLICE_S
        cached, prompts = await asyncio.gather(watch.counts("cached_tokens", together=True), _prompts(watch))
        evidence = tuple(track.evidence for track in (cached, prompts) if track.has_data)
        if not cached.has_data or not prompts.has_data:
            return Reading(
                outcome=INCONCLUSIVE, summary="Nobody counts cached prompt tokens for this service.", evidence=evidence
            )
        cache = _cache(cached, prompts, slices)
        usual = usual_values(context, "prompt_cache.cached_share", cache.before)
        record = {"prompt_cache.cached_share": [round(cache.now[-1], 4)]} if cache.now else {}
        details: dict[str, Any] = {"prompt_tokens": round(cache.tokens), series.RECORD: record}
        return _judge(cache, moved(cache.now, usual), evidence=evidence, details=details)


async def _prompts(watch: Watch) -> Track:
    """Input tokens: split from all by the client's counter, or the gateway's own counter."""
    tokens = await watch.counts("tokens")
    return tokens if tokens.has_data else await watch.counts("input_tokens", together=True)


def _cache(cached: Track, prompts: Track, slices: int) -> _Cache:
    asked = {one.end: one.parts.get("input", one.total) for one in prompts.slices}

    def shares(track: tuple[Any, ...]) -> list[float]:
        return [min(1.0, one.total / asked[one.end]) for one in track if asked.get(one.end, 0.0) >= 1]

    latest = cached.latest(slices)
    return _Cache(
        now=shares(latest), before=shares(cached.baseline), tokens=sum(asked.get(one.end, 0.0) for one in latest)
    )


def _judge(cache: _Cache, share: Moved | None, **common: Any) -> Reading:
    if share is None or cache.tokens < FEWEST_TOKENS:
        why = wording.no_baseline(0, series.ENOUGH) if cache.tokens >= FEWEST_TOKENS else "too few prompts to tell"
        return Reading(outcome=INCONCLUSIVE, summary=f"Cached prompt tokens: {why}.", **common)
    numbers: dict[str, Any] = {
        "value": round(share.now, 4), "baseline": round(share.usual, 4), "n": len(cache.now),
        "baseline_n": share.n, "test": statistics.MANN_WHITNEY, "p_value": share.p_fall,
    }  # fmt: skip
    told = f"{wording.percent(share.now)} of prompt tokens come from the provider's cache"
    if share.usual >= LEAST_SHARE and share.down(DOWN_TO):
        return Reading(
            outcome="cached_ratio_down",
            summary=f"{told}; normally {wording.percent(share.usual)} ({wording.probability(share.p_fall)}).",
            **numbers,
            **common,
        )
    return Reading(outcome="ok", summary=f"{told}, as usual ({wording.percent(share.usual)}).", **numbers, **common)
