"""How good the answers of each service are: over providers, affected traffic, prompt versions and fresh matters."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from drills.company import APPS, MODELS
from drills.controls import Controls
from drills.draws import Floats
from drills.faults import MODEL_INDEX, MODEL_ORDER, Effects
from drills.quality import STALE_SUCCESS, UNRESOLVED, mean_success
from drills.stack import Around

PRIMARY = [MODEL_INDEX[app.model] for app in APPS]
SECOND = [MODEL_INDEX[app.fallback] if app.fallback else -1 for app in APPS]
"""For each service: the model it uses at the first and at the second provider; -1: none."""
_ABILITY = np.array([MODELS[name].ability for name in MODEL_ORDER])
_FRESH = np.array([app.fresh_share for app in APPS])


@dataclass(frozen=True, kw_only=True, slots=True)
class PromptEffects:
    """What prompt versions do to the answers, from the moment a new version went live."""

    by_version: Mapping[str, Mapping[int, tuple[float, float]]]
    """Prompt -> version -> effect in logits, and share of requests with an unfilled placeholder."""
    since: float

    def at(self, times: Floats, controls: Controls) -> Mapping[str, tuple[Floats, float]]:
        """For each prompt: the effect of the version in production, and the share with an unfilled placeholder."""
        live = (times >= self.since).astype(np.float64)
        found = {}
        for prompt, versions in self.by_version.items():
            effect, unresolved = versions.get(controls.prompt_version.get(prompt, 0), (0.0, 0.0))
            found[prompt] = (effect * live, unresolved)
        return found


def quality(
    effects: Effects,
    controls: Controls,
    index_lag: Floats,
    prompts: Mapping[str, tuple[Floats, float]],
    length_share: Floats,
) -> Floats:
    """Share of good answers, over providers, affected traffic, prompt versions and questions about fresh matters."""
    result = np.zeros(effects.loop.shape)
    for number, app in enumerate(APPS):
        effect, unresolved = prompts.get(app.prompt, (np.zeros(len(result)), 0.0))
        for provider, model in enumerate((PRIMARY[number], SECOND[number])):
            weight = controls.weights[number, provider]
            if weight <= 0.0 or model < 0:
                continue
            base = _ABILITY[model] + effect
            part = np.zeros(len(result)) if controls.pinned[number] and provider == 0 else effects.shifted[:, model]
            lower = base + UNRESOLVED * (effect < 0.0)
            for level, share in ((base, 1.0 - unresolved), (lower, unresolved)):
                if share > 0.0:
                    good = mean_success(level)
                    if part.any():
                        good = (1.0 - part) * good + part * mean_success(level - effects.shift[:, model])
                    result[:, number] += weight * share * good
    stale = _FRESH * stale_share(index_lag)[:, None]
    result = result * (1.0 - stale) + STALE_SUCCESS * stale
    normal = np.array([app.finish[1] for app in APPS])
    cut: Floats = result * (1.0 - 0.7 * np.clip(length_share - normal, 0.0, 1.0))
    return cut


def spoilt(good: Floats, around: Around) -> Floats:
    """Share of good answers after what stands around the model has had its part in them."""
    found = good * (1.0 - around.lost) + np.minimum(STALE_SUCCESS, good) * around.lost
    result: Floats = found * (1.0 - around.misled) * (1.0 - around.refused)
    return result


def stale_share(lag_s: Floats) -> Floats:
    """Share of questions about fresh matters whose answer is not indexed: none within two hours, most after a day."""
    result: Floats = 1.0 - np.exp(-np.maximum(lag_s - 7200.0, 0.0) / 36_000.0)
    return result
