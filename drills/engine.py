"""What the replicas of the company's own inference engine tell: vLLM's metrics, and the list of its admin API."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import ndtri

from drills.columns import ENGINE_COUNTS, ENGINE_DRAWS, ENGINE_LE, ENGINE_LEVELS, width
from drills.controls import Controls
from drills.draws import Floats, poisson
from drills.engine_state import CRASH_FAILS, ENGINE_REPLICAS, MODEL, REPLICAS, USED_BY, EngineState
from drills.metrics import shares_below
from drills.traffic import Flow

CAPACITY_PER_MIN = 60.0
"""Requests that one replica carries."""
_FIRST_S, _SPREAD, _SERVICE_S = 0.12, 0.5, 1.8
_RESTART_EVERY_S, _DEAD_S = 100.0, 40.0
"""A replica that crashes again and again lives and loads its weights in turn."""
_STARTED = 1_700_000_000.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Replicas:
    """How many there are, and 1.0 for each that takes requests."""

    scale: int
    open: Floats


def serving(controls: Controls) -> Floats:
    """1.0 for each replica that takes requests."""
    shut = controls.engine_drained
    return np.array([1.0 if n < controls.engine_scale and not shut[n] else 0.0 for n in range(ENGINE_REPLICAS)])


def load(flow: Flow, open_: Floats) -> Floats:
    """Requests a second at each replica: moments x replicas."""
    calls = flow.calls[:, USED_BY].sum(axis=1)
    result: Floats = calls[:, None] * open_ / max(float(open_.sum()), 1.0)
    return result


def record(
    flow: Flow, replicas_: Replicas, times: Floats, uniforms: Floats, step_s: float
) -> tuple[Floats, Floats]:  # fmt: skip
    """Counts and levels of these steps, as vLLM's replicas export them."""
    state, rows, open_, scale = flow.path.engine, len(flow.users), replicas_.open, replicas_.scale
    rate = load(flow, open_)
    taken = rate * (1.0 - CRASH_FAILS * state.crashed)
    first = _FIRST_S + np.tile(state.full_s[:, None], (1, ENGINE_REPLICAS))
    full = (state.full_s > 0.0)[:, None] * (open_ > 0.0)
    means = {
        "engine_ttft": (taken * (1.0 - state.fails))[..., None] * shares_below(first, _SPREAD, ENGINE_LE),
        "engine_failed": taken * (0.001 + state.fails),
        "engine_corrupted": taken * state.garbage,
        "engine_preempted": rate * np.where(full, 0.12, 0.0004),
    }
    flat = np.concatenate([means[name].reshape(rows, -1) for name in ENGINE_COUNTS], axis=1) * step_s
    drawn = width(ENGINE_COUNTS)
    noise = ndtri(np.clip(uniforms[:, drawn:ENGINE_DRAWS], 1e-12, 1 - 1e-12)).reshape(rows, 2, ENGINE_REPLICAS)
    waiting = np.round(np.maximum(rate * state.full_s[:, None] * (1.0 + 0.15 * noise[:, 0]), full * 1.0))
    running = np.round(taken * _SERVICE_S * (1.0 + full))
    cache = np.clip(np.where(full, 0.97, 0.22 + 0.5 * rate * 60.0 / CAPACITY_PER_MIN) + 0.012 * noise[:, 1], 0.0, 1.0)
    age = np.mod(times, _RESTART_EVERY_S)[:, None]
    started = np.where(state.crashed > 0.0, times[:, None] - age, _STARTED)
    up = np.where((state.crashed > 0.0) & (age < _DEAD_S), 0.0, 1.0)
    levels = {"engine_waiting": waiting, "engine_running": running, "engine_kv": cache, "engine_started": started,
              "engine_up": up}  # fmt: skip
    gone = np.array([number >= scale for number in range(ENGINE_REPLICAS)])
    dead = (up == 0.0) & (np.array(list(levels))[:, None, None] != "engine_up")
    kept = np.stack([levels[name] for name in ENGINE_LEVELS])
    kept = np.where(dead | gone, np.nan, kept)
    return poisson(uniforms[:, :drawn], flat), np.concatenate(list(kept), axis=1)


def replicas(state: EngineState, rate: Floats, scale: int, drained: tuple[bool, ...]) -> list[dict[str, Any]]:
    """The replicas as the engine's admin API lists them at one moment. ``rate``: requests a second at each."""
    full = bool(state.full_s[0] > 0.0)
    result = []
    for number in range(scale):
        crashed = float(state.crashed[0, number]) > 0.0
        broken = float(state.fails[0, number]) + (CRASH_FAILS if crashed else 0.0)
        used = 1.0 if full else min(1.0, float(rate[number]) * 60.0 / CAPACITY_PER_MIN)
        result.append({
            "id": REPLICAS[number], "model": MODEL, "drained": drained[number],
            "state": "restarting" if crashed else "ready",
            "requests_per_min": round(float(rate[number]) * 60.0, 1),
            "error_share": round(0.001 + broken, 4), "corrupted_share": round(float(state.garbage[0, number]), 4),
            "headroom_percent": round((1.0 - used) * 100.0, 1),
        })  # fmt: skip
    return result
