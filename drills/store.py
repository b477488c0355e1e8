"""Where the samples are kept: running sums and levels of all raw columns, at increasing moments."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from drills.columns import COLUMNS, COUNTERS
from drills.draws import Floats

SCRAPE_S = 15.0


@dataclass(frozen=True, slots=True)
class Series:
    """One exported time series: its labels, and the raw columns it is the sum of."""

    name: str
    labels: Mapping[str, str]
    columns: tuple[int, ...]


@dataclass(slots=True)
class Store:
    """Samples of all raw columns at increasing moments."""

    times: Floats = field(default_factory=lambda: np.zeros(0))
    rows: Floats = field(default_factory=lambda: np.zeros((0, COLUMNS)))
    _carry: Floats = field(default_factory=lambda: np.zeros(COUNTERS))
    _length: int = 0

    def append(self, times: Floats, counts: Floats, gauges: Floats, keep: Floats) -> None:
        """Add increments and levels of consecutive steps; samples are kept where ``keep`` is true (a scrape)."""
        # Added up one by one from the carry on, so that the last bit does not depend on how many come at once.
        running = np.cumsum(np.concatenate([self._carry[None, :], counts]), axis=0)[1:]
        self._carry = running[-1].copy()
        chosen = keep.astype(bool)
        fresh = int(chosen.sum())
        self._reserve(fresh)
        block = slice(self._length, self._length + fresh)
        self.times[block] = times[chosen]
        self.rows[block, :COUNTERS] = running[chosen]
        self.rows[block, COUNTERS:] = gauges[chosen]
        self._length += fresh

    def _reserve(self, more: int) -> None:
        if self._length + more > len(self.times):
            room = max(more, 512)
            self.times = np.concatenate([self.times[: self._length], np.zeros(room)])
            self.rows = np.concatenate([self.rows[: self._length], np.zeros((room, COLUMNS))])

    def seen(self) -> Floats:
        """Times of all samples."""
        return self.times[: self._length]

    def at(self, series: Series, places: NDArray[np.intp]) -> Floats:
        """One series at these samples."""
        if len(series.columns) == 1:
            single: Floats = self.rows[places, series.columns[0]]
            return single
        total: Floats = self.rows[places[:, None], _index(series.columns)].sum(axis=1)
        return total


@lru_cache(maxsize=8192)
def _index(columns: tuple[int, ...]) -> NDArray[np.intp]:
    return np.array(columns, dtype=np.intp)
