"""What one more reading is worth: the information it should bring, and the chance that it changes the verdict."""

import math
from collections.abc import Mapping, Sequence

from diagnostics import likelihood
from diagnostics.belief import Belief, Specs
from diagnostics.model import NO_FAULT, Finding, Mode, NextProbe, ProbeSpec, Verdict, Weight

SURE = 0.75
"""Posterior from which a leading mode is called the cause."""
SURE_NO_FAULT = 0.80
SECONDS_PER_TOKEN = 0.01
"""What a token costs beside time: a thousand tokens weigh like ten seconds."""
ASKING_S = 5.0
"""What asking costs beside that, free or not: a call to somebody's system, and a line that somebody reads."""
MOST = 64
"""Hypotheses that are looked at: of a larger library, those that the page or the findings speak for most."""
INFORMATIVE = 0.01
"""Bits below which one more probe is not worth asking."""
CRUMB = 0.1
"""Bits below which a probe comes after all that tell more, however cheap it is."""
FURTHER = 0.25
"""Share of incidents with a second cause, where the page or the change log speaks of one."""
AS_TELLING = 0.1
"""A probe is as telling about a mode as another if it would show something of the mode's own as often, but for this."""


def next_probes(belief: Belief, findings: Sequence[Finding], specs: Specs) -> tuple[NextProbe, ...]:
    """Probes that were not asked yet, by expected information for their cost, best first."""
    asked = {f.probe for f in findings}
    belief = belief.narrowed(MOST)
    further = _further(belief)
    answered = {m: max((_shows(belief, m, other) for other in asked if other in belief.specs), default=0.0)
                for m in further}  # fmt: skip
    candidates = []
    for name, spec in specs.items():
        if name in asked:
            continue
        bits, changes = _expected(belief, name)
        changes += FURTHER * sum(share * _beyond(_shows(belief, m, name), answered[m]) for m, share in further.items())
        cost = ASKING_S + spec.expected_s + SECONDS_PER_TOKEN * spec.expected_tokens
        if bits >= INFORMATIVE or changes >= INFORMATIVE:
            candidates.append(NextProbe(probe=name, bits=bits, bits_per_cost=bits / cost, changes=min(1.0, changes)))
    return tuple(sorted(candidates, key=lambda c: (c.bits < CRUMB, -c.bits_per_cost, c.probe)))


def _further(belief: Belief) -> dict[str, float]:
    """Modes besides the leader -> how much the page and the change log speak of each, as a share."""
    leader = belief.ranked()[0]
    told = dict(belief.prior)
    for finding, exponent, likely in zip(belief.findings, belief.exponents, belief.seen, strict=True):
        if likelihood.neutral(belief.specs[finding.probe]):
            told = {h: share * likely[h] ** exponent for h, share in told.items()}
    total = sum(told.values())
    return {m: told[m] / total for m in belief.modes if m != leader}


def _beyond(shows: float, answered: float) -> float:
    """Chance that a probe shows something of a mode's own; 0 if a reading would have done so about as surely."""
    return shows if shows > answered + AS_TELLING else 0.0


def _shows(belief: Belief, mode: str, probe: str) -> float:
    """Chance that the probe shows something of this mode's own."""
    spec = belief.specs[probe]
    chances = likelihood.distribution(belief.modes[mode], spec)
    return sum(chances[outcome] for outcome in _usual(belief.modes[mode], spec))


def _usual(mode: Mode, spec: ProbeSpec) -> list[str]:
    """The abnormal outcomes that are usual for a mode; what users notice is no mode's own."""
    if spec.name == likelihood.SYMPTOM:
        return []
    listed = mode.evidence.get(spec.name, {})
    return [o for o, w in listed.items() if w is Weight.USUAL and spec.outcomes.get(o) is Verdict.ABNORMAL]


def _expected(belief: Belief, probe: str) -> tuple[float, float]:
    """Entropy that one reading of the probe is expected to take away, and the chance that it changes the verdict."""
    chances = belief.chances(probe)
    spec = belief.specs[probe]
    exponent = likelihood.CONTEXT_EXPONENT if likelihood.neutral(spec) else 1.0
    now = _called(belief.posterior)
    left = changes = 0.0
    for outcome in next(iter(chances.values())):
        seen = sum(belief.posterior[h] * chances[h][outcome] for h in chances)
        updated = {h: belief.posterior[h] * chances[h][outcome] ** exponent for h in chances}
        total = sum(updated.values())
        if total > 0:
            after = {h: value / total for h, value in updated.items()}
            left += seen * _entropy(list(after.values()))
            changes += seen * (_called(after) != now)
    return max(0.0, _entropy(list(belief.posterior.values())) - left), changes


def _called(posterior: Mapping[str, float]) -> str:
    """The hypothesis that is probable enough to be called; empty if none is."""
    leader = max(posterior, key=lambda h: posterior[h])
    return leader if posterior[leader] >= (SURE_NO_FAULT if leader == NO_FAULT else SURE) else ""


def _entropy(shares: Sequence[float]) -> float:
    return -sum(share * math.log2(share) for share in shares if share > 0)
