"""From demand to what users feel: the expected rates of everything, for a stretch of moments at once.

These are means; ``metrics.py`` draws the counts. Nothing here depends on a draw or on who looks, so the same moments
and the same settings give the same rates in real and in virtual time.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.special import ndtr

from drills.answers import PRIMARY, SECOND, PromptEffects, spoilt
from drills.answers import quality as answer_quality
from drills.company import (
    APPS,
    ERRORS,
    MODELS,
    NOISY_TENANT,
    TENANTS,
    TOKENS_PER_MINUTE,
    diurnal,
    shares,
)  # fmt: skip
from drills.controls import Controls
from drills.draws import Floats, uniform
from drills.faults import MODEL_ORDER, Effects
from drills.path import PathEffects
from drills.path_flow import delayed, priced, refused_on_the_way, without_model, worse
from drills.stack import Around, Stack
from drills.topics import TopicState

TOP_TENANT = 0
NO_STACK = Stack()
_WAVES = 2.0 * np.pi / np.array([5400.0, 1500.0, 420.0])
LOOP_STEPS = 400.0
"""Steps after which a looping agent stops by itself."""
LOOP_GROWTH, CONTEXT_WINDOW = 450.0, 10_000.0
"""Tokens by which each step of a loop lengthens the next one, up to the window that the agent keeps."""
RETRY_WAIT_S = 0.6
_AT_EASE = 0.4
"""Below this load a limit turns nobody away."""
STICKY = np.array([0.0, 0.5, 0.5, 0.5, 0.6, 1.0, 0.6, 0.35, 1.0, 0.5, 1.0, 1.0])
"""For each error: share of failures that a retry meets again, because the same shard, bucket or connection answers."""
_BURST = 0.15
"""Spread (log) of a moment's tokens around the minute's mean: a limit bites before the mean reaches it."""

_USERS = np.array([app.users for app in APPS], dtype=np.float64)
_TASKS = np.array([app.tasks for app in APPS], dtype=np.float64)
_CALLS = np.array([app.calls for app in APPS], dtype=np.float64)
_TOKENS_IN = np.array([app.tokens_in for app in APPS], dtype=np.float64)
_TOKENS_OUT = np.array([app.tokens_out for app in APPS], dtype=np.float64)
_LIMITS = np.array([TOKENS_PER_MINUTE[name] for name in MODEL_ORDER])
_TTFT = np.array([MODELS[name].ttft_s for name in MODEL_ORDER])
_TOKEN_S = np.array([MODELS[name].token_s for name in MODEL_ORDER])
_SHARES = shares()
NO_DEPLOYMENT = ERRORS.index("503")


@dataclass(frozen=True, kw_only=True, slots=True)
class Flow:
    """Expected rates a second and levels: the first axis is moments, the second services unless said otherwise."""

    users: Floats
    tasks: Floats
    """By tenant and class, as admitted."""
    calls: Floats
    """By tenant."""
    ok: Floats
    """Successful user-facing calls a second, by provider."""
    failed: Floats
    """Failed ones, by provider and error type."""
    attempts: Floats
    """Attempts for a call."""
    tokens_in: Floats
    tokens_out: Floats
    ttft: Floats
    """Median seconds, by provider."""
    duration: Floats
    """Median seconds, by provider."""
    quality: Floats
    """Share of answers that are good."""
    good: Floats
    """The same, were the questions as usual."""
    topics: TopicState
    """What users ask about."""
    spend: Floats
    """Tokens a minute."""
    length_share: Floats
    loop_calls: Floats
    """Share of the calls that a looping task makes."""
    util: Floats
    """Tokens asked for against the limit: moments x models."""
    rejected: Floats
    """Share of attempts that the limit turns away: moments x models."""
    attempt_failures: Floats
    """Chance that an attempt fails for another reason: moments x models x errors, egress left out."""
    slow: Floats
    """Factor on the time to the first token, load included: moments x models."""
    dns: Floats
    """As in the effects: moments x zones."""
    offered: Floats
    """Tasks a second that arrived, before shedding and throttling."""
    around: Around
    """What stands around the model, and what it spoils."""
    tenant_tokens: Floats
    """Tokens a minute by tenant, over all services: moments x tenants."""
    path: PathEffects
    """What our own side did to the calls."""


def flow(
    seed: int,
    times: Floats,
    effects: Effects,
    controls: Controls,
    *,
    index_lag: Floats,
    prompts: PromptEffects,
    stack: Stack = NO_STACK,
) -> Flow:
    """The rates at these moments. ``index_lag`` is how old the newest indexed document is, in seconds."""
    around = stack.around(times, controls)
    users = _USERS * diurnal(times)[:, None] * _wobble(seed, times) * effects.demand
    tokens_in, tokens_out, calls_per_task, loop_calls, length_share = _task_shape(effects, controls)
    path = effects.path
    tokens_in = tokens_in * path.grown
    calls_per_task = calls_per_task * (1.0 + around.calls)
    tokens_out, length_share = tokens_out * (1.0 - around.shorter), np.maximum(length_share, around.cut)
    tokens = tokens_in + tokens_out
    tasks, offered = _admitted(seed, times, users, effects, controls, calls_per_task * tokens)
    calls = tasks.sum(axis=3) * calls_per_task[:, :, None]
    total = calls.sum(axis=2)

    zone_share, blocked = _zones(controls)
    rejected, util, failures = _limits(effects, controls, total * tokens * 60.0, zone_share, blocked)
    slow = effects.slow * (1.0 + 0.6 * np.clip(util - 0.75, 0.0, 0.5))
    ok, failed, attempts = _outcomes(total, failures, rejected, controls)
    ok, failed = without_model(path, controls.pinned, ok, failed)
    ttft, duration = delayed(path, *_latency(slow, attempts, tokens_out, controls))
    ttft, duration = (part + around.wait_s[:, :, None] for part in (ttft, duration))
    ok, failed, attempts = refused_on_the_way(path, ok, failed, attempts)
    quality = answer_quality(effects, controls, index_lag, prompts.at(times, controls), length_share)
    good = worse(path, spoilt(quality, around))
    return Flow(
        users=users, tasks=tasks, calls=calls, ok=ok, failed=failed, attempts=attempts, tokens_in=tokens_in,
        tokens_out=tokens_out, ttft=ttft, duration=duration, quality=good * effects.topics.harder(), good=good,
        topics=effects.topics,
        spend=total * tokens * 60.0 * priced(path),
        length_share=length_share, loop_calls=loop_calls, util=util, rejected=rejected,
        attempt_failures=effects.fail, slow=slow, dns=effects.dns, offered=offered,
        tenant_tokens=(calls * tokens[:, :, None]).sum(axis=1) * 60.0, around=around, path=path,
    )  # fmt: skip


def _wobble(seed: int, times: Floats) -> Floats:
    """Slow ups and downs of each service's activity: a few per cent, smooth in time."""
    angles = times[:, None, None] * _WAVES + _phases(seed)
    result: Floats = 1.0 + 0.02 * np.sin(angles).sum(axis=2)
    return result


@lru_cache(maxsize=8)
def _phases(seed: int) -> Floats:
    waves = range(len(_WAVES))
    return 2.0 * np.pi * np.array([[uniform(seed, "wobble", app.name, wave) for wave in waves] for app in APPS])


def _burst(seed: int, times: Floats) -> Floats:
    """Factor on the noisy tenant's work: twice as much in some ten-minute slots."""
    slots = np.floor(times / 600.0)
    result = np.ones(len(times))
    for slot in np.unique(slots):
        if uniform(seed, "burst", int(slot)) < 0.25:
            result[slots == slot] = 1.5 + uniform(seed, "burst-by", int(slot))
    return result


def _task_shape(effects: Effects, controls: Controls) -> tuple[Floats, Floats, Floats, Floats, Floats]:
    """Tokens in and out of a call, calls of a task, share of calls made by loops, share of answers cut short."""
    rows = effects.loop.shape[0]
    calls = np.tile(_CALLS, (rows, 1))
    tokens_in = np.tile(_TOKENS_IN, (rows, 1))
    tokens_out = np.tile(_TOKENS_OUT, (rows, 1))
    length = np.tile(np.array([app.finish[1] for app in APPS]), (rows, 1))
    loop_calls = np.zeros((rows, len(APPS)))
    for number in range(len(APPS)):
        cap_tokens = controls.max_tokens[number]
        if cap_tokens is not None:
            cut = np.clip(1.0 - cap_tokens / (3.0 * _TOKENS_OUT[number]), 0.0, 0.95)
            length[:, number] = np.maximum(length[:, number], cut)
            tokens_out[:, number] = np.minimum(tokens_out[:, number], cap_tokens)
        if not effects.loop[:, number].any():
            continue
        steps = min(LOOP_STEPS, controls.max_steps[number] or LOOP_STEPS)
        window = min(CONTEXT_WINDOW, controls.max_context[number] or CONTEXT_WINDOW)
        context = np.minimum(_TOKENS_IN[number] + LOOP_GROWTH * np.arange(steps), window).mean()
        extra = effects.loop[:, number] * steps
        calls[:, number] += extra
        loop_calls[:, number] = extra / calls[:, number]
        tokens_in[:, number] += loop_calls[:, number] * (context - tokens_in[:, number])
    return tokens_in, tokens_out, calls, loop_calls, length


def _admitted(
    seed: int, times: Floats, users: Floats, effects: Effects, controls: Controls, tokens_per_task: Floats
) -> tuple[Floats, Floats]:
    """Tasks a second by tenant and class, after shedding and throttling, and how many arrived."""
    parts = np.tile(_SHARES, (len(times), 1, 1))
    parts[:, TENANTS.index(NOISY_TENANT), :] *= _burst(seed, times)[:, None]
    tasks = (users * _TASKS / 60.0)[:, :, None, None] * parts[:, None, :, :]
    surge = effects.surge_tpm / tokens_per_task / 60.0
    tasks[:, :, TOP_TENANT, 0] += surge * (1.0 - effects.surge_batch)
    tasks[:, :, TOP_TENANT, 1] += surge * effects.surge_batch
    offered = tasks.sum(axis=(2, 3))
    tasks = tasks * controls.admit[:, None, :]
    for number, limits in enumerate(controls.tenant_limit):
        for tenant, limit in enumerate(limits):
            if limit is not None:
                asked = tasks[:, number, tenant, :].sum(axis=1) * tokens_per_task[:, number] * 60.0
                tasks[:, number, tenant, :] *= np.minimum(1.0, limit / np.maximum(asked, 1e-9))[:, None]
    return tasks, offered


def _zones(controls: Controls) -> tuple[Floats, Floats]:
    """Share of each provider's traffic in each zone, and 1.0 for a provider that has none left."""
    share = np.zeros((2, 3))
    for number, provider in enumerate((0, 0, 1)):
        share[provider, number] = 0.0 if controls.drained[number] else 1.0
    total = share.sum(axis=1)
    return share / np.maximum(total, 1.0)[:, None], (total == 0.0).astype(np.float64)


def weights_by_model(controls: Controls) -> Floats:
    """Share of each service's calls that each model gets: services x models."""
    result = np.zeros((len(APPS), len(MODEL_ORDER)))
    for number, (first, second) in enumerate(zip(PRIMARY, SECOND, strict=True)):
        result[number, first] += controls.weights[number, 0]
        if second >= 0:
            result[number, second] += controls.weights[number, 1]
    return result


def _limits(
    effects: Effects, controls: Controls, tokens: Floats, zone_share: Floats, blocked: Floats
) -> tuple[Floats, Floats, Floats]:
    """Share rejected by the limits, utilisation, and the chance that an attempt fails otherwise, egress included."""
    provider = np.array([0, 0, 1, 1])
    failures = effects.fail.copy()
    failures[:, :, ERRORS.index("connection_error")] += (effects.dns[:, None, :] * zone_share).sum(axis=2)[:, provider]
    for model in np.flatnonzero(blocked[provider]):
        failures[:, model, :] = 0.0
        failures[:, model, NO_DEPLOYMENT] = 1.0
    passing = np.clip(1.0 - failures.sum(axis=2), 0.0, 1.0)
    demand = (tokens[:, :, None] * weights_by_model(controls)).sum(axis=1)
    demand[:, 0] *= effects.path.storm
    rejected = np.zeros_like(passing)
    util = demand / _LIMITS
    for _ in range(8):
        missed = 1.0 - passing * (1.0 - rejected)
        tries = 1.0 + missed * 0.6 * np.array(controls.max_retries)
        util = demand * tries * passing / _LIMITS
        # Each moment by itself, so that how many are worked out together changes nothing.
        tight = util.max(axis=1) >= _AT_EASE
        if not tight.any():
            break
        rejected = np.where(tight[:, None], 0.5 * rejected + 0.5 * turned_away(util), rejected)
    return turned_away(util), util, failures


def turned_away(util: Floats) -> Floats:
    """Share of tokens above a limit when the moment's demand is lognormal around ``util`` times that limit."""
    mean = np.log(np.maximum(util, 1e-9)) - 0.5 * _BURST**2
    share = ndtr(mean / _BURST) - np.exp(-mean + 0.5 * _BURST**2) * ndtr(mean / _BURST - _BURST)
    clipped: Floats = np.clip(share, 0.0, 1.0)
    return clipped


def _outcomes(total: Floats, failures: Floats, rejected: Floats, controls: Controls) -> tuple[Floats, Floats, Floats]:
    """Successful and failed calls a second after retries, and attempts for a call."""
    chance = failures * (1.0 - rejected[:, :, None])
    chance[:, :, ERRORS.index("429")] += rejected
    missed = np.clip(chance.sum(axis=2), 0.0, 1.0)
    retries = np.array(controls.max_retries, dtype=np.float64)
    again = missed**retries
    series = np.where(missed < 0.999, (1.0 - again) / np.maximum(1.0 - missed, 1e-9), retries)
    final = chance * (STICKY + (1.0 - STICKY) * again[:, :, None])
    tries = 1.0 + (chance * (STICKY * retries[:, None] + (1.0 - STICKY) * series[:, :, None])).sum(axis=2)

    rows = len(total)
    ok, failed = np.zeros((rows, len(APPS), 2)), np.zeros((rows, len(APPS), 2, len(ERRORS)))
    attempts = np.zeros((rows, len(APPS)))
    for number, models in enumerate(zip(PRIMARY, SECOND, strict=True)):
        for provider, model in enumerate(models):
            share = controls.weights[number, provider]
            if share > 0.0 and model >= 0:
                lost = final[:, model, :]
                failed[:, number, provider, :] = total[:, number, None] * share * lost
                ok[:, number, provider] = total[:, number] * share * np.clip(1.0 - lost.sum(axis=1), 0.0, 1.0)
                attempts[:, number] += share * tries[:, model]
    return ok, failed, attempts


def _latency(slow: Floats, attempts: Floats, tokens_out: Floats, controls: Controls) -> tuple[Floats, Floats]:
    rows = len(slow)
    ttft, duration = np.ones((rows, len(APPS), 2)), np.ones((rows, len(APPS), 2))
    for number, models in enumerate(zip(PRIMARY, SECOND, strict=True)):
        for provider, model in enumerate(models):
            if model < 0 or controls.weights[number, provider] <= 0.0:
                continue
            first = _TTFT[model] * slow[:, model] + RETRY_WAIT_S * (attempts[:, number] - 1.0)
            ttft[:, number, provider] = first
            duration[:, number, provider] = first + tokens_out[:, number] * _TOKEN_S[model]
    return ttft, duration
