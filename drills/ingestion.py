"""The ingestion that feeds the retrieval index: how far it has come, when it stands still, how it catches up."""

import bisect
from dataclasses import dataclass, field

import numpy as np

from drills.draws import Floats, uniform

CATCH_UP_SPEED = 900.0
"""Seconds of backlog indexed in a second when catching up."""
PLAIN_SPEED = 4.0
"""The same when only new documents have priority."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From ``start`` on: standing still, or moving on from ``mark`` at a speed."""

    start: float
    running: bool
    mark: float
    speed: float = CATCH_UP_SPEED


@dataclass(slots=True)
class Ingestion:
    """Piecewise: a stretch for every change of state."""

    seed: int
    stretches: list[Stretch] = field(default_factory=lambda: [Stretch(-1e18, running=True, mark=0.0, speed=1e18)])

    def stand_still(self, at: float) -> None:
        """The worker hangs, or somebody paused it."""
        self.stretches.append(Stretch(at, running=False, mark=float(self.watermark(np.array([at]))[0])))

    def resume(self, at: float, *, catch_up: bool) -> None:
        """A new worker starts where the old one stopped."""
        mark = float(self.watermark(np.array([at]))[0])
        speed = CATCH_UP_SPEED if catch_up else PLAIN_SPEED
        self.stretches.append(Stretch(at, running=True, mark=mark, speed=speed))

    def running(self, at: float) -> bool:
        return self._at(at).running

    def _at(self, at: float) -> Stretch:
        return self.stretches[bisect.bisect_right([stretch.start for stretch in self.stretches], at) - 1]

    def ordinary_lag(self, times: Floats) -> Floats:
        """Seconds behind on an ordinary day: a batch every quarter of an hour."""
        phase = uniform(self.seed, "ingestion") * 900.0
        result: Floats = 240.0 + (times + phase) % 900.0
        return result

    def watermark(self, times: Floats) -> Floats:
        """Time of the newest indexed document, unix seconds."""
        newest = times - self.ordinary_lag(times)
        result = newest.copy()
        for stretch in self.stretches:
            here = times >= stretch.start
            if not stretch.running:
                result[here] = stretch.mark
            elif stretch.speed < 1e17:
                moved = stretch.mark + (times[here] - stretch.start) * stretch.speed
                result[here] = np.minimum(newest[here], moved)
            else:
                result[here] = newest[here]
        return result

    def lag(self, times: Floats) -> Floats:
        """How old the newest indexed document is, in seconds."""
        return times - self.watermark(times)
