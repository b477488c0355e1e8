"""Randomness keyed by what is drawn, never by who asked first.

A draw belongs to (seed, component, key): two runs that ask in another order, or a run in real time and one in virtual
time, get the same numbers. Counts are made from uniforms by the inverse distribution function, so a mitigation that
lowers a rate lowers the very counts that would have been drawn without it.
"""

import hashlib
from collections.abc import Hashable
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

Floats = NDArray[np.float64]

_EXACT_BELOW = 30.0
"""Below this mean, Poisson counts are inverted exactly; above, by a Cornish-Fisher expansion."""


def digest(*parts: object) -> int:
    """128 bits that stand for these parts."""
    text = "\x1f".join(str(part) for part in parts)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=16).digest(), "big")


def generator(seed: int, component: str, *key: object) -> np.random.Generator:
    """The generator of one draw. Same arguments, same numbers, on every machine."""
    return np.random.Generator(np.random.Philox(key=digest(seed, component, *key)))


@lru_cache(maxsize=65_536)
def uniform(seed: int, component: str, *key: Hashable) -> float:
    """One number in [0, 1)."""
    return (digest(seed, component, *key) >> 75) / float(1 << 53)


@lru_cache(maxsize=16)
def chunk(seed: int, component: str, number: int, rows: int, columns: int) -> Floats:
    """Uniforms for a fixed stretch of steps: row = step of the chunk, column = what is counted."""
    drawn = generator(seed, component, number).random((rows, columns))
    drawn.setflags(write=False)
    return drawn


def poisson(uniforms: Floats, means: Floats) -> Floats:
    """Poisson counts, one for each uniform and mean; the same uniform and a larger mean give a larger count."""
    means = np.broadcast_to(means, uniforms.shape)
    counts = np.zeros(uniforms.shape)
    large = means >= _EXACT_BELOW
    if large.any():
        mean, z = means[large], ndtri(np.clip(uniforms[large], 1e-15, 1 - 1e-15))
        counts[large] = np.floor(np.maximum(mean + np.sqrt(mean) * z + (z * z - 1.0) / 6.0 + 0.5, 0.0))
    small = np.flatnonzero((~large) & (means > 0.0))
    if small.size:
        _invert(uniforms.reshape(-1), means.reshape(-1), small, counts.reshape(-1))
    return counts


def _invert(uniforms: Floats, means: Floats, where: NDArray[np.intp], counts: Floats) -> None:
    """Walk the distribution function up until it passes the uniform."""
    mean, target = means[where], uniforms[where]
    probability = np.exp(-mean)
    reached = probability.copy()
    number = 0.0
    open_ = target > reached
    while open_.any() and number < 120.0:
        where, mean, target = where[open_], mean[open_], target[open_]
        number += 1.0
        probability = probability[open_] * mean / number
        reached = reached[open_] + probability
        counts[where] = number
        open_ = target > reached
