"""A posterior over failure modes, and the arguments that made it."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from diagnostics import likelihood
from diagnostics.model import NO_FAULT, OTHER, Argument, Finding, Hypothesis, Mode, ProbeSpec, Weight

Specs = Mapping[str, ProbeSpec]
SHARPNESS = 1.2
"""Power to which the posterior is raised, so that it says 0.9 where it is right nine times in ten. The words of the
runbooks have round strengths and related readings are discounted, which together is too careful. Chosen by
`pagerunner eval drills --calibrate` on seeds below 5 (``docs/calibration.md``); never on others."""


@dataclass(frozen=True, slots=True)
class Belief:
    """A posterior and what it was made from."""

    prior: Mapping[str, float]
    posterior: Mapping[str, float]
    modes: Mapping[str, Mode]
    specs: Specs
    findings: Sequence[Finding]
    exponents: Sequence[float]
    seen: Sequence[Mapping[str, float]]
    """How likely each finding is under each hypothesis."""

    @classmethod
    def of(cls, findings: Sequence[Finding], prior: Mapping[str, float], modes: Mapping[str, Mode],
           specs: Specs) -> "Belief":  # fmt: skip
        """What these findings, all conclusive, make of the chances before them."""
        drop = likelihood.quality_drop(findings)
        seen = [{h: likelihood.chance(modes.get(h, h), specs[f.probe], f, drop) for h in prior} for f in findings]
        exponents = likelihood.exponents(findings, specs)
        scores = {h: math.log(chance) if chance > 0 else -math.inf for h, chance in prior.items()}
        for chances, exponent in zip(seen, exponents, strict=True):
            scores = {h: score + exponent * math.log(chances[h]) for h, score in scores.items()}
        told = {h: SHARPNESS * score for h, score in scores.items()}
        return cls(prior, normalised(told), modes, specs, findings, exponents, seen)

    def ranked(self) -> list[str]:
        """Most probable first; ties in alphabetical order."""
        return sorted(self.posterior, key=lambda h: (-self.posterior[h], h))

    def chances(self, probe: str) -> dict[str, likelihood.Outcomes]:
        """What the probe would show, under each hypothesis."""
        return {h: likelihood.distribution(self.modes.get(h, h), self.specs[probe]) for h in self.posterior}

    def hypotheses(self) -> tuple[Hypothesis, ...]:
        """With their arguments, most probable first."""
        sums = self._sums()
        titles = {NO_FAULT: "No fault, or already over", OTHER: "A cause that no runbook describes"}
        return tuple(
            Hypothesis(
                mode=h,
                title=self.modes[h].title if h in self.modes else titles[h],
                probability=self.posterior[h],
                arguments=self._arguments(h, sums),
            )
            for h in self.ranked()
        )

    def narrowed(self, most: int) -> "Belief":
        """With the hypotheses that the page or the findings speak for most, and no other; as it is, if there are no
        more than ``most``. What it costs to look ahead then does not grow with the library."""
        if len(self.posterior) <= most:
            return self
        weighed = sorted(self.posterior, key=lambda h: (-max(self.posterior[h], self.prior[h]), h))
        kept = {*weighed[:most], NO_FAULT, OTHER}
        total = sum(self.posterior[h] for h in self.posterior if h in kept)
        return replace(
            self,
            prior={h: share for h, share in self.prior.items() if h in kept},
            posterior={h: share / total for h, share in self.posterior.items() if h in kept},
            modes={h: mode for h, mode in self.modes.items() if h in kept},
        )

    def _sums(self) -> tuple[float, list[float]]:
        """The chances before the findings added up, and how likely each finding is by them: once for all hypotheses."""
        expected = [math.fsum(share * likely[h] for h, share in self.prior.items()) for likely in self.seen]
        return math.fsum(self.prior.values()), expected

    def _arguments(self, h: str, sums: tuple[float, list[float]]) -> tuple[Argument, ...]:
        own, (total, expected) = self.prior[h], sums
        others = total - own or 1.0
        arguments = []
        for finding, exponent, likely, all_ in zip(self.findings, self.exponents, self.seen, expected, strict=True):
            average = (all_ - own * likely[h]) / others
            bits = exponent * math.log2(likely[h] / average) if average > 0 else 0.0
            word = self._word(h, finding, bits)
            arguments.append(
                Argument(finding_id=finding.id, probe=finding.probe, outcome=finding.outcome, weight=word, bits=bits)
            )
        return tuple(sorted(arguments, key=lambda a: (-abs(a.bits), a.probe)))

    def _word(self, h: str, finding: Finding, bits: float) -> Weight:
        listed = self.modes[h].evidence.get(finding.probe, {}) if h in self.modes else {}
        if finding.outcome in listed:
            return listed[finding.outcome]
        if bits > 0.5:
            return Weight.WEAKLY_FOR
        return Weight.AGAINST if bits < -0.5 else Weight.NEUTRAL


def normalised(scores: Mapping[str, float]) -> dict[str, float]:
    """Log scores as probabilities."""
    top = max(scores.values())
    shares = {h: math.exp(score - top) for h, score in scores.items()}
    total = sum(shares.values())
    return {h: share / total for h, share in shares.items()}
