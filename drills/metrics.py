"""Drawing what is counted: from expected rates to the counts and levels of each step."""

from collections.abc import Sequence

import numpy as np
from scipy.special import ndtr, ndtri

from drills.columns import AT, DRAWN, DRAWS, GAUGES, LE, MORE, NOISY, SUMS, TOPIC_COUNTS
from drills.company import (
    ACME,
    ACME_LARGE,
    APPS,
    BETA_SONNET,
    DEPLOYMENT_PROVIDER,
    FEATURE_SHARE,
    FINISH,
    FIRST_ERRORS,
    PRICE,
    TOKENS_PER_MINUTE,
)
from drills.draws import Floats, poisson
from drills.faults import MODEL_INDEX
from drills.queues import QueueFlow
from drills.topics import grades
from drills.traffic import Flow

TTFT_SPREAD, DURATION_SPREAD = 0.40, 0.45
OVERHEAD_S = 0.012
"""What the gateway itself adds to a call."""
_S = len(APPS)
CACHED = np.array([app.cached for app in APPS])
"""Share of prompt tokens that the provider has cached, by service."""


def bucket_shares(median: Floats, spread: float) -> Floats:
    """Chance of each bucket for a lognormal duration; the last axis is buckets."""
    return shares_below(median, spread, LE)


def shares_below(median: Floats, spread: float, bounds: Sequence[float]) -> Floats:
    """The same for a histogram with other bounds, the last of them infinite."""
    edges = np.log(np.array(bounds[:-1]))
    reached = ndtr((edges - np.log(median)[..., None]) / spread)
    full = np.concatenate([reached, np.ones((*median.shape, 1))], axis=-1)
    return np.diff(full, axis=-1, prepend=0.0)


def record(flow: Flow, queue: QueueFlow, uniforms: Floats, step_s: float, watermark: Floats) -> tuple[Floats, Floats]:
    """Counts and levels of these steps: counters, gauges. ``uniforms`` has :data:`DRAWS` columns, then those of
    :data:`MORE`."""
    rows = len(flow.users)
    means = _means(flow, queue)
    flat = np.concatenate([means[name].reshape(rows, -1) for name in DRAWN], axis=1) * step_s
    drawn = poisson(uniforms[:, : flat.shape[1]], flat)
    further = np.concatenate([means[name].reshape(rows, -1) for name in MORE], axis=1) * step_s
    more = poisson(uniforms[:, DRAWS:], further)
    noise = ndtri(np.clip(uniforms[:, flat.shape[1] : DRAWS], 1e-12, 1 - 1e-12)).reshape(rows, len(NOISY), _S)
    counts = np.concatenate([drawn, _sums(flow, drawn), more], axis=1)
    return counts, _levels(flow, queue, noise, watermark)


def record_topics(flow: Flow, uniforms: Floats, step_s: float) -> Floats:
    """Counts of graded answers by topic in these steps."""
    means = {"graded": grades(flow.topics, flow.ok.sum(axis=2), flow.good, flow.around.score)}
    rows = len(flow.users)
    flat = np.concatenate([means[name].reshape(rows, -1) for name in TOPIC_COUNTS], axis=1) * step_s
    return poisson(uniforms, flat)


def _part(drawn: Floats, family: str) -> Floats:
    start, shape = AT[family]
    return drawn[:, start : start + int(np.prod(shape))].reshape(len(drawn), *shape)


def _means(flow: Flow, queue: QueueFlow) -> dict[str, Floats]:
    rows = len(flow.users)
    error = flow.failed.sum(axis=(2, 3)) / np.maximum(flow.calls.sum(axis=2), 1e-9)
    loss = np.clip(1.0 - flow.good - 0.077, 0.0, 1.0)
    # Who asks for something hard complains of a bad answer as often as others do, and gets more of them.
    harder = np.maximum(1.0 - flow.quality, 1e-9) / np.maximum(1.0 - flow.good, 1e-9)
    finish = np.tile(np.array([app.finish for app in APPS]), (rows, 1, 1))
    finish[:, :, 1] = flow.length_share
    tools = flow.loop_calls
    finish = finish * (1.0 - tools[:, :, None])
    finish[:, :, FINISH.index("tool_calls")] += tools
    finish = finish * (1.0 - flow.around.refused[:, :, None])
    finish[:, :, FINISH.index("content_filter")] += flow.around.refused
    finish /= finish.sum(axis=2, keepdims=True)
    missed = 1.0 - (1.0 - flow.attempt_failures.sum(axis=2)) * (1.0 - flow.rejected)
    broken = np.stack([missed[:, MODEL_INDEX[ACME_LARGE]], missed[:, 2]], axis=1)
    cooled = np.where(broken > 0.5, 0.2, 0.0)[:, None, :] * np.ones((rows, _S, 1)) / _S
    return {
        "ok": flow.ok[..., None] * bucket_shares(flow.duration, DURATION_SPREAD),
        "ttft": flow.ok[..., None] * bucket_shares(flow.ttft, TTFT_SPREAD),
        "failed": flow.failed[..., :FIRST_ERRORS],
        "failed_more": flow.failed[..., FIRST_ERRORS:],
        "finish": flow.ok.sum(axis=2)[:, :, None] * finish,
        "tasks": flow.tasks,
        "calls": flow.calls,
        "retries": flow.calls * (flow.attempts - 1.0)[:, :, None],
        "reports": flow.tasks.sum(axis=(2, 3)) * (0.004 * harder + 0.25 * loss + 0.06 * error) + queue.complaints,
        "decisions": queue.decisions,
        "cooled": cooled,
        "fallbacks": 0.0003 + flow.ok.sum(axis=2) * flow.path.astray,
    }


def _sums(flow: Flow, drawn: Floats) -> Floats:
    rows = len(drawn)
    ok = _part(drawn, "ok").sum(axis=3)
    first = _part(drawn, "ttft").sum(axis=3)
    answered = ok.sum(axis=2)
    sums = {
        "ok_sum": ok * (flow.duration - flow.path.queue_s[:, None, None]) * np.exp(DURATION_SPREAD**2 / 2),
        "ttft_sum": first * flow.ttft * np.exp(TTFT_SPREAD**2 / 2),
        "tokens_in": answered * flow.tokens_in,
        "tokens_out": answered * flow.tokens_out,
        "tenant_tokens": _part(drawn, "calls") * (flow.tokens_in + flow.tokens_out)[:, :, None],
        "overhead_sum": answered * (OVERHEAD_S + flow.path.queue_s[:, None]),
        "cached_in": answered * flow.tokens_in * CACHED * flow.path.cached,
        "guard": np.stack([answered * (1.0 - flow.around.unguarded), answered * flow.around.unguarded], axis=2),
        "spend": _spend(flow, _part(drawn, "calls")),
    }
    return np.concatenate([sums[name].reshape(rows, -1) for name in SUMS], axis=1)


def _spend(flow: Flow, calls: Floats) -> Floats:
    """US dollars: moments x services x tenants x features x (the route's model, the dear one)."""
    price_in, price_out = PRICE[ACME]
    of_a_call = (flow.tokens_in * price_in + flow.tokens_out * price_out) / 1000.0
    usd = calls[..., None] * of_a_call[:, :, None, None] * np.array(FEATURE_SHARE)
    split = np.stack([usd, np.zeros_like(usd)], axis=-1)
    dear = flow.path.dearer[:, :, None] > 1.0
    titles = usd[..., 1] * flow.path.dearer[:, :, None]
    split[..., 1, 0] = np.where(dear, 0.0, titles)
    split[..., 1, 1] = np.where(dear, titles, 0.0)
    return split


def _levels(flow: Flow, queue: QueueFlow, noise: Floats, watermark: Floats) -> Floats:
    rows = len(flow.users)
    calls = flow.calls.sum(axis=2)
    busy = (flow.ok * flow.duration).sum(axis=2) + flow.failed.sum(axis=(2, 3)) * 0.5
    busy = busy * storm_load(flow)
    left = np.clip(1.0 - flow.util, 0.0, 1.0)
    limit = np.array([TOKENS_PER_MINUTE[ACME_LARGE], TOKENS_PER_MINUTE[BETA_SONNET]])
    remaining = np.stack([left[:, MODEL_INDEX[ACME_LARGE]], left[:, MODEL_INDEX[BETA_SONNET]]], axis=1) * limit
    spread = np.sqrt(0.05 / np.maximum(calls * 3.0, 1.0))
    levels = {
        "users": np.round(np.maximum(flow.users * (1.0 + 0.01 * noise[:, 0]), 0.0)),
        "quality": np.clip(flow.quality - flow.around.score + np.minimum(spread, 0.02) * noise[:, 1], 0.0, 1.0),
        "in_flight": np.round(np.maximum(busy + np.sqrt(np.maximum(busy, 0.1)) * noise[:, 2], 0.0)),
        "remaining": np.tile(remaining[:, None, :], (1, _S, 1)),
        "state": np.tile(deployment_states(flow)[:, None, :], (1, _S, 1)),
        "queue": queue.depth,
        "judge": np.clip(0.93 - flow.around.agreement + 0.006 * noise[:, 3], 0.0, 1.0),
        "up": np.ones((rows, _S)),
        "watermark": watermark[:, None],
    }
    return np.concatenate([levels[name].reshape(rows, -1) for name in GAUGES], axis=1)


def storm_load(flow: Flow) -> Floats:
    """Factor on what is in flight while clients and gateway ask again and again: moments x services."""
    return np.where(np.array([app.model == ACME_LARGE for app in APPS]), flow.path.storm[:, None], 1.0)


def deployment_errors(flow: Flow) -> Floats:
    """Share of attempts that fail at each deployment, as the gateway sees it: moments x deployments."""
    model = [MODEL_INDEX[ACME_LARGE] if provider == 0 else MODEL_INDEX[BETA_SONNET] for provider in DEPLOYMENT_PROVIDER]
    own = flow.attempt_failures[:, model, :].sum(axis=2)
    passing = (1.0 - own) * (1.0 - flow.rejected[:, model]) * (1.0 - flow.dns)
    broken: Floats = np.clip(1.0 - passing, 0.0, 1.0)
    return broken


def deployment_states(flow: Flow) -> Floats:
    """0 healthy, 1 partial, 2 complete outage, as LiteLLM counts."""
    broken = deployment_errors(flow)
    return np.where(broken > 0.9, 2.0, np.where(broken > 0.15, 1.0, 0.0))
