"""How faults on the way to the provider change rates and times: applied after retries, because nobody retries them."""

from collections.abc import Sequence

import numpy as np

from drills.company import ACME_LARGE, ACME_SMALL, APPS, ERRORS, FEATURE_SHARE, MODELS
from drills.draws import Floats
from drills.path import PathEffects
from drills.quality import mean_success

_LARGE = np.array([app.model == ACME_LARGE for app in APPS])
SMALL_LEFT = float(mean_success(np.array(MODELS[ACME_SMALL].ability)) / mean_success(np.array(0.0)))
"""What is left of the good answers when the small model writes them."""
CUT_LEFT = 0.35
"""What is left of them when a part of the prompt was cut out."""


def refused_on_the_way(
    path: PathEffects, ok: Floats, failed: Floats, attempts: Floats
) -> tuple[Floats, Floats, Floats]:
    """Answered and failed calls a second, and attempts for a call, with what our own side refuses or repeats.

    The axes are moments x services (x providers (x error types)).
    """
    share = path.refused.sum(axis=2)
    storm = np.where(_LARGE, path.storm[:, None], 1.0)
    if not share.any() and (storm == 1.0).all():
        return ok, failed, attempts
    total = ok + failed.sum(axis=3)
    kept = 1.0 - share
    failed = failed * kept[:, :, None, None] + total[..., None] * path.refused[:, :, None, :]
    return ok * kept[:, :, None], failed, attempts * storm


def without_model(path: PathEffects, pinned: Sequence[bool], ok: Floats, failed: Floats) -> tuple[Floats, Floats]:
    """The same where the provider no longer has the large model's alias: whoever asks for its snapshot is served."""
    share = path.gone[:, None] * (_LARGE & np.logical_not(pinned))
    if not share.any():
        return ok, failed
    ok, failed = ok.copy(), failed.copy()
    lost = (ok[:, :, 0] + failed[:, :, 0].sum(axis=2)) * share
    ok[:, :, 0] *= 1.0 - share
    failed[:, :, 0] *= (1.0 - share)[..., None]
    failed[:, :, 0, ERRORS.index("404")] += lost
    return ok, failed


def delayed(path: PathEffects, ttft: Floats, duration: Floats) -> tuple[Floats, Floats]:
    """Median seconds to the first token and to the end: moments x services x providers."""
    first = ttft * path.cold[:, :, None] + path.queue_s[:, None, None] + path.held_s[:, :, None]
    return first, duration + (first - ttft)


def worse(path: PathEffects, good: Floats) -> Floats:
    """Share of good answers, where some come from the small model, lack a part of their prompt, or cannot be read."""
    astray, dulled = path.astray * (1.0 - SMALL_LEFT), path.dulled * (1.0 - CUT_LEFT)
    mixed: Floats = good * (1.0 - astray) * (1.0 - dulled) * (1.0 - path.misshapen) * (1.0 - path.garbled)
    return mixed


def priced(path: PathEffects) -> Floats:
    """What a token costs, against the ordinary mixture of models: moments x services."""
    factor: Floats = FEATURE_SHARE[0] + FEATURE_SHARE[1] * path.dearer
    return factor
