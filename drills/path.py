"""What goes wrong on the way between users and providers: in our gateway, in what we send, and in what comes back.

These faults are mostly the company's own: a document that somebody set is behind them, and setting it back ends them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from drills.company import APPS, ERRORS, INDEX_OF
from drills.draws import Floats
from drills.engine_state import EngineKind, EngineState

if TYPE_CHECKING:
    from drills.documents import Documents
    from drills.faults import Effects, Fault

PathKind = Literal[
    "contract_break", "worker_loss", "misrouting", "retry_storm", "capacity_cut", "stream_cut", "cold_prefix",
    "context_growth", "loose_schema", "dear_model", "dependency_crash", "model_gone",
] | EngineKind  # fmt: skip
FULL_WORKERS = 8
"""Workers of the gateway on an ordinary day."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cure:
    """A fault ends while a document's key has this value, or lies on this side of it."""

    path: str
    key: str
    equals: Any = None
    at_least: float | None = None
    at_most: float | None = None

    def holds(self, documents: "Documents") -> bool:
        """Whether it is set so."""
        value = documents.get(self.path).keys[self.key]
        if self.at_least is not None:
            return value is not None and value >= self.at_least
        if self.at_most is not None:
            return value is not None and value <= self.at_most
        return bool(value == self.equals)


def standing(faults: tuple["Fault", ...], documents: "Documents") -> tuple["Fault", ...]:
    """The faults that nobody has ended: any one of its cures is enough."""
    return tuple(fault for fault in faults if not any(cure.holds(documents) for cure in fault.cures))


@dataclass(slots=True)
class PathEffects:
    """What these faults do, one row for each moment."""

    refused: Floats
    """Share of calls that our own side fails, retried by nobody: moments x services x error types."""
    contract: Floats
    """Share of calls whose parameters the provider refuses: moments x services."""
    busy: Floats
    """Share of calls that no worker of the gateway takes: moments."""
    queue_s: Floats
    """Seconds that a call waits in the gateway: moments."""
    astray: Floats
    """Share of answers that come from the first provider's small model: moments x services."""
    storm: Floats
    """Factor on the attempts at the first provider's large model: moments."""
    limit: Floats
    """Advertised limit of that model against the agreed one: moments."""
    cut: Floats
    """Share of streams that pass a proxy that cuts: moments x services."""
    cut_after: float = 0.0
    """Tokens after which it cuts."""
    cold: Floats = field(default_factory=lambda: np.ones(0))
    """Factor on the time to the first token of production prompts: moments x services."""
    cached: Floats = field(default_factory=lambda: np.ones(0))
    """Share of the usual cached prompt tokens that are still cached: moments x services."""
    grown: Floats = field(default_factory=lambda: np.ones(0))
    """Factor on prompt tokens: moments x services."""
    dulled: Floats = field(default_factory=lambda: np.zeros(0))
    """Share of answers that lack what was cut out of their prompt: moments x services."""
    misshapen: Floats = field(default_factory=lambda: np.zeros(0))
    """Share of structured answers that do not fit their schema: moments x services."""
    dearer: Floats = field(default_factory=lambda: np.ones(0))
    """Factor on the price of the answers of :data:`~drills.company.DEAR_FEATURE`: moments x services."""
    crashed: Floats = field(default_factory=lambda: np.zeros(0))
    """Share of calls that end in an exception of the gateway's own: moments x services."""

    gone: Floats = field(default_factory=lambda: np.zeros(0))
    """1.0 while the first provider does not know the alias of its large model any more: moments."""
    held_s: Floats = field(default_factory=lambda: np.zeros(0))
    """Seconds that a call waits in the engine: moments x services."""
    garbled: Floats = field(default_factory=lambda: np.zeros(0))
    """Share of answers that a sick replica has turned into rubbish: moments x services."""
    engine_lost: Floats = field(default_factory=lambda: np.zeros(0))
    """Share of the calls through the engine that end there: moments."""
    engine: EngineState = field(default_factory=lambda: EngineState.well(0))

    @classmethod
    def none(cls, rows: int) -> "PathEffects":
        """An ordinary day."""
        services = len(APPS)
        flat = (rows, services)
        return cls(
            refused=np.zeros((rows, services, len(ERRORS))), contract=np.zeros(flat),
            busy=np.zeros(rows), queue_s=np.zeros(rows), astray=np.zeros(flat),
            storm=np.ones(rows), limit=np.ones(rows), cut=np.zeros(flat), cold=np.ones(flat), cached=np.ones(flat),
            grown=np.ones(flat), dulled=np.zeros(flat), misshapen=np.zeros(flat), dearer=np.ones(flat),
            crashed=np.zeros(flat), gone=np.zeros(rows),
            held_s=np.zeros(flat), garbled=np.zeros(flat), engine_lost=np.zeros(rows), engine=EngineState.well(rows),
        )  # fmt: skip


def _rows(fault: "Fault") -> list[int]:
    """The services that a fault touches; all without a list."""
    return [INDEX_OF[name] for name in fault.services] or list(range(len(APPS)))


def _refuse(path: PathEffects, rows: list[int], error: str, share: Floats) -> None:
    place = ERRORS.index(error)
    for number in rows:
        path.refused[:, number, place] = np.maximum(path.refused[:, number, place], share)


def _contract_break(result: "Effects", fault: "Fault", active: Floats) -> None:
    share = active * fault.values["share"]
    _refuse(result.path, _rows(fault), "400", share)
    for number in _rows(fault):
        result.path.contract[:, number] = np.maximum(result.path.contract[:, number], share)


def _worker_loss(result: "Effects", fault: "Fault", active: Floats) -> None:
    result.path.queue_s += active * fault.values["queue_s"]
    share = active * fault.values["share"]
    result.path.busy = np.maximum(result.path.busy, share)
    _refuse(result.path, _rows(fault), "503", share)


def _misrouting(result: "Effects", fault: "Fault", active: Floats) -> None:
    for number in _rows(fault):
        result.path.astray[:, number] = np.maximum(result.path.astray[:, number], active * fault.values["share"])


def _retry_storm(result: "Effects", fault: "Fault", active: Floats) -> None:
    result.path.storm *= 1.0 + active * (fault.values["factor"] - 1.0)


def _capacity_cut(result: "Effects", fault: "Fault", active: Floats) -> None:
    result.path.limit *= 1.0 + active * (fault.values["limit"] - 1.0)
    place = ERRORS.index("slow_down")
    from drills.faults import MODEL_INDEX  # noqa: PLC0415 - faults are made of these

    for model in fault.models:
        row = MODEL_INDEX[model]
        result.fail[:, row, place] = np.maximum(result.fail[:, row, place], active * fault.values["share"])


def _stream_cut(result: "Effects", fault: "Fault", active: Floats) -> None:
    """What is longer than the proxy's patience ends in the middle; the client notices, the gateway does not."""
    path, after = result.path, fault.values["after"]
    path.cut_after = after
    for number in _rows(fault):
        share = active * fault.values["share"]
        path.cut[:, number] = np.maximum(path.cut[:, number], share)
        longer = 1.0 - np.exp(-APPS[number].tokens_out / after)
        _refuse(path, [number], "connection_error", share * longer)


def _cold_prefix(result: "Effects", fault: "Fault", active: Floats) -> None:
    for number in _rows(fault):
        result.path.cached[:, number] *= 1.0 - active * (1.0 - fault.values["left"])
        result.path.cold[:, number] *= 1.0 + active * (fault.values["factor"] - 1.0)


def _context_growth(result: "Effects", fault: "Fault", active: Floats) -> None:
    for number in _rows(fault):
        result.path.grown[:, number] *= 1.0 + active * (fault.values["factor"] - 1.0)
        result.path.dulled[:, number] = np.maximum(result.path.dulled[:, number], active * fault.values["lost"])
    _refuse(result.path, _rows(fault), "400", active * fault.values["share"])


def _loose_schema(result: "Effects", fault: "Fault", active: Floats) -> None:
    for number in _rows(fault):
        result.path.misshapen[:, number] = np.maximum(result.path.misshapen[:, number], active * fault.values["share"])


def _dear_model(result: "Effects", fault: "Fault", active: Floats) -> None:
    """One feature is answered by a model of another price; its answers are as good as before."""
    for number in _rows(fault):
        result.path.dearer[:, number] *= 1.0 + active * (fault.values["factor"] - 1.0)


def _dependency_crash(result: "Effects", fault: "Fault", active: Floats) -> None:
    share = active * fault.values["share"]
    _refuse(result.path, _rows(fault), "500", share)
    for number in _rows(fault):
        result.path.crashed[:, number] = np.maximum(result.path.crashed[:, number], share)


def _model_gone(result: "Effects", _fault: "Fault", active: Floats) -> None:
    result.path.gone = np.maximum(result.path.gone, active)


APPLY: Mapping[str, Callable[["Effects", "Fault", Floats], None]] = {
    "contract_break": _contract_break,
    "worker_loss": _worker_loss,
    "misrouting": _misrouting,
    "retry_storm": _retry_storm,
    "capacity_cut": _capacity_cut,
    "stream_cut": _stream_cut,
    "cold_prefix": _cold_prefix,
    "context_growth": _context_growth,
    "loose_schema": _loose_schema,
    "dear_model": _dear_model,
    "dependency_crash": _dependency_crash,
    "model_gone": _model_gone,
}
