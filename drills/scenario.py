"""What a scenario is: one incident as it will happen, and the numbers it is drawn from."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from drills.documents import Setting
from drills.draws import generator
from drills.faults import Fault
from drills.missing import Missing

Good = tuple[str, Mapping[str, Any]]
"""An action and the parameters that make it a good one (others do not matter)."""
PAGE_AFTER_START_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """An entry of the change log."""

    at: float
    kind: str
    service: str
    summary: str
    before: str = ""
    after: str = ""
    actor: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scenario:
    """One incident as it will happen. Ground truth: the referee's alone."""

    id: str
    truth: tuple[str, ...]
    """Failure modes, by runbook id; ``no-fault`` when nothing is wrong."""
    service: str
    started_at: float
    page_at: float
    onset: float
    ends: float
    faults: tuple[Fault, ...]
    good: tuple[Good, ...]
    tempting: tuple[str, ...] = ()
    solvable: bool = True
    """Whether there is a cause to find and an action that helps."""
    undecidable: bool = False
    """Whether too little can be read to say what is wrong: the right answer is that it is not known."""
    sli: tuple[str, ...] = ("errors", "ttft", "quality")
    """What users must get back."""
    prompt_in_production: Mapping[str, int] = field(default_factory=dict)
    prompt_deployed_at: float = 0.0
    prompt_effects: Mapping[str, Mapping[int, tuple[float, float]]] = field(default_factory=dict)
    placeholder: tuple[str, int] | None = None
    """Prompt and version in which ``{{tone}}`` stands."""
    settings: Mapping[str, Setting] = field(default_factory=dict)
    """What the change that broke it has set, by path of the document."""
    changes: tuple[Change, ...] = ()
    status_lag_s: float | None = None
    """How long after the onset the provider's status page tells of it; None: never."""
    status_elsewhere: bool = False
    """Whether a status page tells of an incident that has nothing to do with it, for certain."""
    injected: bool = False
    """Whether text in logs, status posts, changes and errors tries to give orders."""
    figures: Mapping[str, float] = field(default_factory=dict)
    """Sampled parameters, for the page and the report."""
    page_of: str = ""
    """The scenario whose page is sent; empty: its own."""
    page_text: tuple[str, str] | None = None
    """Title and body of the page, where a scenario file has its own."""
    missing: tuple[Missing, ...] = ()
    """Telemetry that is not there."""
    decides: str = "prompt"
    """How people decide: see :data:`drills.definition.APPROVERS`."""


class Draw:
    """The sampled numbers of one scenario, and its times. What has a name may be given by a scenario file; everything
    else, and what was not given, is drawn as ever."""

    def __init__(
        self, scenario_id: str, seed: int, start: float, given: Mapping[str, float | str] | None = None, key: str = ""
    ) -> None:
        self.id = scenario_id
        self.random = generator(seed, "scenario", key or scenario_id)
        self.start = start
        self.page = float(np.ceil(start / 5.0) * 5.0 + PAGE_AFTER_START_S)
        self._given = given or {}
        self.usual: dict[str, tuple[float, float] | tuple[str, ...]] = {}
        """Name -> what it is drawn from when it is not given."""

    def between(self, low: float, high: float, name: str = "") -> float:
        drawn = float(self.random.uniform(low, high))
        if name:
            self.usual[name] = (low, high)
        return float(self._given.get(name, drawn))

    def pick(self, *options: str, name: str = "") -> str:
        drawn = options[int(self.random.integers(len(options)))]
        if name:
            self.usual[name] = options
        return str(self._given.get(name, drawn))

    def told(self, name: str, usual: str) -> str:
        """What was given under this name; nothing is drawn without it."""
        self.usual[name] = (usual,)
        return str(self._given.get(name, usual))

    def before_page(self, low: float, high: float) -> float:
        """A moment so many seconds before the page, on the grid of steps; its name is ``onset_s``."""
        return self.page - float(np.ceil(self.between(low, high, "onset_s") / 5.0) * 5.0)

    def change(self, **values: Any) -> Change:
        return Change(**values)

    def make(self, **values: Any) -> Scenario:
        return Scenario(id=self.id, started_at=self.start, page_at=self.page, **values)
