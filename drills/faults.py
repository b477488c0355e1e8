"""What can go wrong, and what each fault does to providers, models, tenants and zones at any moment.

A fault is a function of time with parameters; a scenario is a tuple of faults, so compound ones need nothing new.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from drills.company import ACME_LARGE, ACME_SMALL, APPS, BETA_HAIKU, BETA_SONNET, ERRORS, INDEX_OF, ZONES
from drills.draws import Floats, uniform
from drills.engine_state import ENGINE_APPLY
from drills.path import APPLY, Cure, PathEffects, PathKind
from drills.topics import TOPIC_APPLY, TopicKind, TopicState

MODEL_ORDER = (ACME_LARGE, ACME_SMALL, BETA_SONNET, BETA_HAIKU)
MODEL_INDEX = {name: number for number, name in enumerate(MODEL_ORDER)}
PROVIDER_OF_MODEL = (0, 0, 1, 1)

FaultKind = Literal[
    "outage", "overload", "key_revoked", "slow_model", "tenant_surge", "spend_limit", "zone_dns", "ability_shift",
    "prompt", "agent_loop", "ingestion_stall", "demand_surge", "vector_store", "embedder_swap", "tool_down",
    "tool_drift", "poison",
    "guard_strict", "guard_slow", "cache_loose", "judge_change", "metrics_gap",
    "ungrounded", "unapproved", "bad_package", "stolen_key",
] | PathKind | TopicKind  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Fault:
    """One thing that is wrong from ``start`` to ``end`` (unix seconds)."""

    kind: FaultKind
    start: float
    end: float
    service: str = ""
    models: tuple[str, ...] = ()
    services: tuple[str, ...] = ()
    """Services that a fault on the way to the provider touches; empty: all."""
    values: Mapping[str, float] = field(default_factory=dict)
    cures: tuple[Cure, ...] = ()
    """Settings that end it before its time."""

    def active(self, times: Floats) -> Floats:
        """1.0 where it is at work."""
        return ((times >= self.start) & (times < self.end)).astype(np.float64)


@dataclass(slots=True)
class Effects:
    """What the faults and the ambient noise do, one row for each moment."""

    fail: Floats
    """Chance that one attempt fails: moments x models x error types."""
    slow: Floats
    """Factor on the time to the first token: moments x models."""
    dns: Floats
    """Chance that an attempt through a zone's egress finds no address: moments x zones."""
    shift: Floats
    """Loss of ability in logits for the affected part of the traffic: moments x models."""
    shifted: Floats
    """The affected part of the traffic, 0 to 1: moments x models."""
    surge_tpm: Floats
    """Further tokens a minute that the largest tenant asks of a service: moments x services."""
    surge_batch: float
    """How much of that is batch work."""
    demand: Floats
    """Factor on active users: moments x services."""
    loop: Floats
    """Share of tasks that run in a loop until they are stopped: moments x services."""
    path: PathEffects
    """What our own side does to calls."""
    topics: TopicState
    """What users ask about."""


def effects(seed: int, faults: Sequence[Fault], times: Floats, *, noise: float = 1.0) -> Effects:
    """Everything that acts at these moments, with so many times the usual ``noise``. Neither state nor order matter."""
    rows, models, services = len(times), len(MODEL_ORDER), len(APPS)
    result = Effects(
        fail=np.zeros((rows, models, len(ERRORS))),
        slow=np.ones((rows, models)),
        dns=np.zeros((rows, len(ZONES))),
        shift=np.zeros((rows, models)),
        shifted=np.zeros((rows, models)),
        surge_tpm=np.zeros((rows, services)),
        surge_batch=0.0,
        demand=np.ones((rows, services)),
        loop=np.zeros((rows, services)),
        path=PathEffects.none(rows),
        topics=TopicState.usual(rows),
    )
    if noise:
        _ambient(result, seed, times, noise)
    for fault in faults:
        apply = _APPLY.get(fault.kind)
        if apply is not None:
            apply(result, fault, fault.active(times))
    return result


_AMBIENT = {"500": 0.0014, "503": 0.0004, "timeout": 0.0002}
"""0.2 % of attempts fail on an ordinary day."""
_SPIKE_SLOT_S, _SPIKE_S, _SPIKE_CHANCE = 900.0, 60.0, 0.10


def _ambient(result: Effects, seed: int, times: Floats, level: float) -> None:
    for name, chance in _AMBIENT.items():
        result.fail[:, :, ERRORS.index(name)] += chance * level
    slots = np.floor(times / _SPIKE_SLOT_S)
    for slot in np.unique(slots):
        for number, model in enumerate(MODEL_ORDER):
            if uniform(seed, "spike", model, int(slot)) >= _SPIKE_CHANCE * level:
                continue
            begin = slot * _SPIKE_SLOT_S + uniform(seed, "spike-at", model, int(slot)) * (_SPIKE_SLOT_S - _SPIKE_S)
            inside = (times >= begin) & (times < begin + _SPIKE_S)
            result.slow[inside, number] *= 1.3 + 0.4 * uniform(seed, "spike-by", model, int(slot))


def _models(fault: Fault) -> list[int]:
    return [MODEL_INDEX[name] for name in fault.models]


OUTAGE_MIX = {"500": 0.45, "503": 0.42, "timeout": 0.13}


def _outage(result: Effects, fault: Fault, active: Floats) -> None:
    for model in _models(fault):
        for name, part in OUTAGE_MIX.items():
            column = ERRORS.index(name)
            worse = np.maximum(result.fail[:, model, column], fault.values["share"] * part)
            result.fail[:, model, column] = np.where(active > 0, worse, result.fail[:, model, column])


def _overload(result: Effects, fault: Fault, active: Floats) -> None:
    _refuse(result, fault, "503", active * fault.values["share"])


def _key_revoked(result: Effects, fault: Fault, active: Floats) -> None:
    _refuse(result, fault, "401", active * fault.values["share"])


def _refuse(result: Effects, fault: Fault, error: str, share: Floats) -> None:
    for model in _models(fault):
        column = result.fail[:, model, ERRORS.index(error)]
        np.maximum(column, share, out=column)


def _slow_model(result: Effects, fault: Fault, active: Floats) -> None:
    for model in _models(fault):
        result.slow[:, model] *= 1.0 + active * (fault.values["factor"] - 1.0)


def _tenant_surge(result: Effects, fault: Fault, active: Floats) -> None:
    result.surge_tpm[:, INDEX_OF[fault.service]] += active * fault.values["tokens_per_minute"]
    result.surge_batch = fault.values["batch_share"]


def _spend_limit(result: Effects, fault: Fault, active: Floats) -> None:
    for model in _models(fault):
        keep = 1.0 - active
        result.fail[:, model, :] *= keep[:, None]
        result.fail[:, model, ERRORS.index("insufficient_quota")] += active


def _zone_dns(result: Effects, fault: Fault, active: Floats) -> None:
    result.dns[:, 0] = np.maximum(result.dns[:, 0], active * fault.values["share"])


def _ability_shift(result: Effects, fault: Fault, active: Floats) -> None:
    for model in _models(fault):
        result.shift[:, model] += active * fault.values["logits"]
        result.shifted[:, model] = np.maximum(result.shifted[:, model], active * fault.values["share"])


def _agent_loop(result: Effects, fault: Fault, active: Floats) -> None:
    result.loop[:, INDEX_OF[fault.service]] += active * fault.values["share"]


def _demand_surge(result: Effects, fault: Fault, active: Floats) -> None:
    result.demand[:, INDEX_OF[fault.service]] *= 1.0 + active * (fault.values["factor"] - 1.0)


_APPLY: dict[str, Callable[[Effects, Fault, Floats], None]] = {
    "outage": _outage,
    "overload": _overload,
    "key_revoked": _key_revoked,
    "slow_model": _slow_model,
    "tenant_surge": _tenant_surge,
    "spend_limit": _spend_limit,
    "zone_dns": _zone_dns,
    "ability_shift": _ability_shift,
    "agent_loop": _agent_loop,
    "demand_surge": _demand_surge,
    **APPLY,
    **ENGINE_APPLY,
    **TOPIC_APPLY,
}
"""``prompt`` acts through the prompt version in use and ``ingestion_stall`` through the watermark: both have state.
What stands around the model (``drills/stack.py``) has settings of its own."""
