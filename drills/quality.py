"""How well the synthetic model answers: item response theory, so that one ability serves users, judges and golden sets.

An item of difficulty ``d`` is answered well with probability ``sigma(1.7 * (2.0 - d + effects))``; difficulties are
normal around 0.3. 1.7 is the usual scaling between the normal and the logistic curve.
"""

import math

import numpy as np

from drills.draws import Floats

SLOPE = 1.7
EASE = 2.0
DIFFICULTY_MEAN, DIFFICULTY_SPREAD = 0.3, 0.6

# Probabilist's Gauss-Hermite nodes: the mean over items in seven evaluations.
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(7)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def success(difficulty: float, effect: float) -> float:
    """Chance that one item is answered well."""
    return 1.0 / (1.0 + math.exp(-SLOPE * (EASE - difficulty + effect)))


def mean_success(effect: Floats) -> Floats:
    """The same, on average over all questions that users ask."""
    logits = EASE - DIFFICULTY_MEAN + np.asarray(effect)[..., None] + DIFFICULTY_SPREAD * _NODES
    # Not a matrix product: its last bits depend on how many rows there are.
    result: Floats = ((1.0 / (1.0 + np.exp(-SLOPE * logits))) * _WEIGHTS).sum(axis=-1)
    return result


STALE_SUCCESS = 0.10
"""Chance of a right answer to a question whose answer is not in the index yet."""
UNRESOLVED = -1.0
"""Effect of a placeholder that nobody filled in, on the requests it stands in."""
