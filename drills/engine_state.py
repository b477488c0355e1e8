"""What can be wrong with the company's own inference engine, and what it does to the calls that pass it.

The engine's replicas run one small model that the code assistant's calls pass on their way. On an ordinary day it adds
nothing that anybody would notice. When it is full, calls wait in it; when one replica is sick, its share of the calls
fails, or comes back as rubbish.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from drills.company import ERRORS, INDEX_OF
from drills.draws import Floats

if TYPE_CHECKING:
    from drills.faults import Effects, Fault

EngineKind = Literal["engine_full", "engine_replica"]
NAME, MODEL = "own-coder", "own-coder-7b"
ENGINE_REPLICAS = 6
"""Most replicas that the engine can have."""
USED_BY = INDEX_OF["code-assistant"]
REPLICAS = tuple(f"coder-{number}" for number in range(ENGINE_REPLICAS))
USUAL_REPLICAS = 4
SCALE = "engine/scale"
CRASH_FAILS = 0.4
"""Share of its requests that such a replica does not take."""


@dataclass(slots=True)
class EngineState:
    """What is wrong with the engine: moments, or moments x replicas."""

    full_s: Floats
    """Seconds that a request waits for a place in the batch."""
    fails: Floats
    garbage: Floats
    crashed: Floats

    @classmethod
    def well(cls, rows: int) -> "EngineState":
        """An ordinary day."""
        flat = (rows, ENGINE_REPLICAS)
        return cls(full_s=np.zeros(rows), fails=np.zeros(flat), garbage=np.zeros(flat), crashed=np.zeros(flat))


def _full(result: "Effects", fault: "Fault", active: Floats) -> None:
    path = result.path
    path.engine.full_s = np.maximum(path.engine.full_s, active * fault.values["wait_s"])
    path.held_s[:, USED_BY] += active * fault.values["wait_s"]
    _lose(result, active * fault.values["share"], "503")


def _replica(result: "Effects", fault: "Fault", active: Floats) -> None:
    """One of the replicas is sick: the others carry as much as ever, so its part of the calls is one in so many."""
    path, values = result.path, fault.values
    number, part = int(values["replica"]), 1.0 / USUAL_REPLICAS
    for kind, known in (("fails", path.engine.fails), ("garbage", path.engine.garbage)):
        known[:, number] = np.maximum(known[:, number], active * values.get(kind, 0.0))
    path.engine.crashed[:, number] = np.maximum(path.engine.crashed[:, number], active * values.get("crashes", 0.0))
    spoilt = active * part * values.get("garbage", 0.0)
    path.garbled[:, USED_BY] = np.maximum(path.garbled[:, USED_BY], spoilt)
    _lose(result, active * part * (values.get("fails", 0.0) + CRASH_FAILS * values.get("crashes", 0.0)), "500")


def _lose(result: "Effects", share: Floats, error: str) -> None:
    path, place = result.path, ERRORS.index(error)
    path.refused[:, USED_BY, place] = np.maximum(path.refused[:, USED_BY, place], share)
    path.engine_lost = np.maximum(path.engine_lost, share)


ENGINE_APPLY: Mapping[str, Callable[["Effects", "Fault", Floats], None]] = {
    "engine_full": _full,
    "engine_replica": _replica,
}
