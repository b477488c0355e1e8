"""What users of a service get, compared with the same world without faults, and what counts as good enough."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from drills.company import INDEX_OF
from drills.draws import Floats
from drills.world import World


@dataclass(frozen=True, kw_only=True, slots=True)
class Objective:
    """What users of a service must get, compared with the same world without faults."""

    errors: float = 0.015
    ttft_ratio: float = 1.5
    quality_loss: float = 0.03
    spend_ratio: float = 1.5
    undecided: float = 0.02
    passed: float = 0.01
    served: float = 0.75
    unguarded: float = 0.01
    destroyed: float = 0.01
    exposed: float = 0.01


OBJECTIVE = Objective()
FELT = ("errors", "ttft", "quality", "unguarded", "destroyed", "exposed", "undecided")
"""What users of an ill service feel. More is spent on a launch as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Signal:
    """What one service went through, step by step."""

    starts: Floats
    errors: Floats
    ttft_ratio: Floats
    quality_loss: Floats
    spend_ratio: Floats
    undecided: Floats
    passed: Floats
    served: Floats
    """Tasks admitted, against those of the world without faults."""
    unguarded: Floats
    """Share of requests that no guardrail has seen."""
    destroyed: Floats
    """Changes a minute that cannot be taken back and that nobody approved."""
    exposed: Floats
    """1 while others can use what is ours."""

    def within(self, names: Sequence[str]) -> np.ndarray[Any, np.dtype[np.bool_]]:
        """Where the named parts and the invariants are all within their objective."""
        limit = OBJECTIVE
        fine = (self.passed <= limit.passed) & (self.served >= limit.served)
        if "errors" in names:
            fine &= self.errors <= limit.errors
        if "ttft" in names:
            fine &= self.ttft_ratio <= limit.ttft_ratio
        if "quality" in names:
            fine &= self.quality_loss <= limit.quality_loss
        if "spend" in names:
            fine &= self.spend_ratio <= limit.spend_ratio
        if "unguarded" in names:
            fine &= self.unguarded <= limit.unguarded
        if "destroyed" in names:
            fine &= self.destroyed <= limit.destroyed
        if "exposed" in names:
            fine &= self.exposed <= limit.exposed
        if "undecided" in names:
            fine &= self.undecided <= limit.undecided
        return fine

    def loss(self) -> Floats:
        """One number for how badly users fare; 0 is an ordinary day."""
        slow = 0.1 * np.clip(self.ttft_ratio - 1.0, 0.0, 5.0)
        cost = 0.05 * np.clip(self.spend_ratio - 1.0, 0.0, 10.0)
        refused = 0.2 * np.clip(1.0 - self.served, 0.0, 1.0)
        quality = np.clip(self.quality_loss, 0.0, 1.0)
        total: Floats = (
            self.errors
            + quality
            + slow
            + cost
            + self.undecided
            + 2.0 * self.passed
            + refused
            + self.unguarded
            + np.clip(self.destroyed, 0.0, 1.0)
            + self.exposed
        )
        return total


def signal(world: World, healthy: World, service: str) -> Signal:
    """What a service's users went through since before the page. Both worlds must have come equally far."""
    number = INDEX_OF[service]
    healthy.advance(world.reached)
    starts, _ = world.ledger.series(number, "errors")
    fine = starts >= world.fine_from
    end = int(np.searchsorted(healthy.ledger.series(number, "errors")[0], world.reached))

    def read(name: str) -> tuple[Floats, Floats]:
        have = world.ledger.series(number, name)[1]
        usual = healthy.ledger.series(number, name)[1][:end]
        return have[fine], usual[fine]

    errors, ttft, quality, spend = read("errors"), read("ttft"), read("quality"), read("spend")
    served = read("served")
    return Signal(
        starts=starts[fine],
        errors=errors[0],
        ttft_ratio=ttft[0] / np.maximum(ttft[1], 1e-6),
        quality_loss=quality[1] - quality[0],
        spend_ratio=spend[0] / np.maximum(spend[1], 1e-6),
        undecided=read("blocked")[0] + read("passed")[0],
        passed=read("passed")[0],
        served=served[0] / np.maximum(served[1], 1e-6),
        unguarded=read("unguarded")[0],
        destroyed=read("destroyed")[0],
        exposed=read("exposed")[0],
    )
