"""How likely each outcome of a probe is under each cause: the published weights behind the differential.

A runbook says with a word what a probe shows if its failure mode is the cause. The words have fixed strengths, which
are relative frequencies; with the outcomes that it does not mention they are normalised to a distribution. Changing a
number here changes every diagnosis: the drills measure whether for the better.
"""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from statistics import NormalDist
from types import MappingProxyType

from diagnostics.model import NO_FAULT, OTHER, Finding, Mode, ProbeSpec, Verdict, Weight

STRENGTH_ABNORMAL: Mapping[Weight, float] = {
    Weight.USUAL: 8.0,
    Weight.WEAKLY_FOR: 2.0,
    Weight.NEUTRAL: 0.8,
    Weight.AGAINST: 0.08,
    Weight.RULES_OUT: 0.01,
}
"""For a symptom: how often it is seen under the mode, relative to the others of the same probe."""
STRENGTH_HEALTHY: Mapping[Weight, float] = {
    Weight.USUAL: 8.0,
    Weight.WEAKLY_FOR: 8.0,
    Weight.NEUTRAL: 6.0,
    Weight.AGAINST: 0.8,
    Weight.RULES_OUT: 0.02,
}
"""For the healthy outcome: a fault need not show everywhere, so ``neutral`` is nearly as frequent as ``usual``."""
STRENGTH_CONTEXT: Mapping[Weight, float] = {
    Weight.USUAL: 8.0,
    Weight.WEAKLY_FOR: 2.5,
    Weight.NEUTRAL: 1.0,
    Weight.AGAINST: 0.3,
    Weight.RULES_OUT: 0.05,
}
"""For a probe without abnormal outcomes, such as the change log."""
UNLISTED_ABNORMAL = 0.15
UNLISTED_CONTEXT = 0.6
UNLISTED_HEALTHY = 1.5
"""For outcomes that a mode does not mention although it mentions the probe: mildly against it. The healthy one counts
like ``usual`` instead when the mode calls nothing abnormal usual."""

STRAY = 0.25
"""All abnormal outcomes together that a mode does not mention, of a probe in which it expects nothing abnormal: as many
against a healthy one that counts 8 as :data:`NORMAL_IF_UNMENTIONED` leaves."""

NORMAL_IF_UNMENTIONED = 0.97
"""A probe that a mode does not mention most likely shows what it shows on a healthy service."""
NORMAL_IF_NO_FAULT = 0.995
NORMAL_IF_OTHER = 0.80
UNRELIABLE = 0.01
"""Share of readings that are simply wrong: one reading never rules anything out for good."""

BY_RULE = 0.3
"""What a test calls abnormal may be chance, and what a rule calls abnormal (a test string came through, a schema has
another hash) hardly: factor on its likelihood under no fault."""

SYMPTOM = "user_signal"
"""What users notice. It is the question rather than an answer: any fault may show in it, and mostly does."""
SYMPTOM_OF_A_FAULT = {"ok": 0.10, "recovered": 0.08, "mix_shift": 0.002}
SYMPTOM_OF_NO_FAULT = {"ok": 0.605, "recovered": 0.37, "mix_shift": 0.02}
RARE: Mapping[tuple[str, str], float] = {(SYMPTOM, "mix_shift"): 0.03}
"""Healthy outcomes that need a coincidence of their own, whatever else is wrong: factor on their strength."""

FOLLOWS: Mapping[tuple[str, str], float] = {
    ("demand_profile", "retries_up"): 0.10,
    ("demand_profile", "queue_backlog"): 0.04,
    ("gateway_health", "cooldown"): 0.10,
    ("gateway_health", "fallback_up"): 0.08,
    ("gateway_health", "inflight_up"): 0.06,
    ("golden_set", "error"): 0.20,
    ("golden_counterfactual", "error"): 0.20,
    ("model_fingerprint", "error"): 0.20,
    ("structured_output", "error"): 0.20,
    ("guardrail_canary", "error"): 0.20,
    ("grounding_canary", "error"): 0.20,
    ("cache_check", "error"): 0.20,
    ("stream_canary", "error"): 0.20,
}
"""Abnormal outcomes that follow from many faults, with their chance under a mode that does not mention the probe.
They need no cause of their own."""
FOLLOWS_STRENGTH = 10.0
"""The same as a strength, for a mode that mentions the probe but not this outcome."""

COINCIDES: Mapping[tuple[str, str], float] = {
    ("status_page", "incident"): 0.07,
    ("demand_profile", "traffic_up"): 0.15,
    ("demand_profile", "tenant_surge"): 0.08,
    ("gateway_health", "inflight_up"): 0.05,
}
"""Abnormal outcomes that happen with no fault at all, with their chance then: one in fourteen moments sees some open
incident on a vendor's page, and demand moves by itself, and the gateway's load with it. They need no cause either."""

CONTEXT_EXPONENT = 0.5
"""A probe that knows no abnormal outcome (the change log) is half a witness: coincidences are common."""
FAMILIES: Mapping[str, str] = {
    "provider_canary": "availability",
    "gateway_canary": "availability",
    "second_provider_canary": "availability",
    "model_listing": "availability",
    "egress": "availability",
    "golden_set": "answers",
    "structured_output": "answers",
    "demand_profile": "demand",
    "token_profile": "demand",
}
"""Probes that fail together for one reason. The counterfactual and the fingerprint are in none: they measure the model
apart from the stack, which is why they can tell causes apart."""
SECOND_PROVIDER = "second_provider_canary"
BROKEN = "error"
MEASURE_QUALITY = (
    "golden_set", "golden_counterfactual", "model_fingerprint", "structured_output", "stream_canary",
    "guardrail_canary", "cache_check", "grounding_canary",
)  # fmt: skip
BROKEN_EXPONENT = 0.3
"""That quality could not be measured says only that calls fail, which the canaries say better: a third of a voice,
shared by all probes that could not measure."""
FAMILY_EXPONENT = 1 / 3
"""Each of n findings of a family counts n to the power of minus this: five that agree weigh like three witnesses."""

POWER_FOR: Mapping[str, float] = {
    "golden_set": 0.20,
    "golden_counterfactual": 0.20,
    "structured_output": 0.30,
    "retrieval_canary": 0.20,
    "guardrail_canary": 0.15,
}
"""The drop that the power of these probes is stated for. If users lost less, they could hardly have seen it."""
DROPS = (("user_signal", "quality_drop"), ("golden_set", "drop"))
LOST = "quality_lost"
"""Findings that measure how far quality fell: under this key of their details, else as baseline minus value."""

Outcomes = Mapping[str, float]
Verdicts = Mapping[str, Verdict]


def distribution(hypothesis: Mode | str, spec: ProbeSpec) -> Outcomes:
    """Chance of every conclusive outcome of the probe under a mode, ``no-fault`` or ``other``; sums to 1."""
    listed = {} if isinstance(hypothesis, str) else hypothesis.evidence.get(spec.name, {})
    known = hypothesis if isinstance(hypothesis, str) else ""
    return _distribution(known, tuple(listed.items()), spec.name, tuple(spec.outcomes.items()))


@lru_cache(maxsize=65_536)
def _distribution(
    known: str, evidence: tuple[tuple[str, Weight], ...], probe: str, outcomes: tuple[tuple[str, Verdict], ...]
) -> Outcomes:
    """Asked for by every round of an investigation, and always the same: all that it depends on is its key."""
    listed, verdicts = dict(evidence), dict(outcomes)
    words = [word for word, verdict in outcomes if verdict in (Verdict.NORMAL, Verdict.ABNORMAL)]
    raw = _listed(listed, probe, verdicts, words) if listed else _expected(known, probe, verdicts, words)
    total = sum(raw.values())
    return MappingProxyType({word: (1 - UNRELIABLE) * raw[word] / total + UNRELIABLE / len(words) for word in words})


def chance(hypothesis: Mode | str, spec: ProbeSpec, finding: Finding, drop: float | None) -> float:
    """How likely this finding is under a hypothesis.

    A healthy outcome counts as far as the test could have shown something else: without power it says nothing.
    ``drop`` is how far quality has fallen elsewhere, as :func:`quality_drop` tells.
    """
    likely = distribution(hypothesis, spec)[finding.outcome]
    power = finding.reading.power
    if hypothesis == NO_FAULT and finding.reading.p_value is None and needs_a_cause(finding):
        return likely * BY_RULE
    if finding.verdict is not Verdict.NORMAL or power is None:
        return likely
    if drop is not None and finding.probe in POWER_FOR:
        power = _power_at(drop, power, POWER_FOR[finding.probe])
    shown = min(1.0, max(0.0, power))
    return shown * likely + (1 - shown) * distribution(NO_FAULT, spec)[finding.outcome]


def quality_drop(findings: Sequence[Finding]) -> float | None:
    """How many points (of 1) quality has fallen, by the probe that saw most of it; None if none did."""
    drops = [_lost(finding) for finding in findings if (finding.probe, finding.outcome) in DROPS]
    return max((drop for drop in drops if drop > 0), default=None)


def _lost(finding: Finding) -> float:
    told = finding.reading.details.get(LOST)
    if isinstance(told, int | float):
        return float(told)
    value, baseline = finding.reading.value, finding.reading.baseline
    return baseline - value if value is not None and baseline is not None else 0.0


def _power_at(effect: float, power: float, known_for: float) -> float:
    """Power for another effect than it is known for: what separates the two grows with the effect."""
    normal = NormalDist()
    critical = normal.inv_cdf(0.99)
    distance = critical + normal.inv_cdf(min(0.999, max(0.001, power)))
    return normal.cdf(max(0.0, distance) * effect / known_for - critical)


def _listed(listed: Mapping[str, Weight], probe: str, verdicts: Verdicts, words: Sequence[str]) -> dict[str, float]:
    if _neutral(verdicts):
        return {w: STRENGTH_CONTEXT[listed[w]] if w in listed else UNLISTED_CONTEXT for w in words}
    expects = any(w is Weight.USUAL and verdicts.get(o) is Verdict.ABNORMAL for o, w in listed.items())
    unlisted = UNLISTED_HEALTHY if expects else STRENGTH_HEALTHY[Weight.USUAL]
    strange = [w for w in words if w not in listed and verdicts[w] is Verdict.ABNORMAL]
    # A probe with many words is no likelier to show one that the mode does not know than if it were not mentioned.
    stray = UNLISTED_ABNORMAL if expects else min(UNLISTED_ABNORMAL, STRAY / max(1, len(strange)))
    strengths = {}
    for word in words:
        if verdicts[word] is Verdict.NORMAL:
            strength = STRENGTH_HEALTHY[listed[word]] if word in listed else unlisted
            strengths[word] = strength * RARE.get((probe, word), 1.0)
        else:
            follows = max(stray, FOLLOWS_STRENGTH * FOLLOWS.get((probe, word), 0.0))
            strengths[word] = STRENGTH_ABNORMAL[listed[word]] if word in listed else follows
    return strengths


def _expected(known: str, probe: str, verdicts: Verdicts, words: Sequence[str]) -> dict[str, float]:
    if _neutral(verdicts):
        return dict.fromkeys(words, 1.0)
    if probe == SYMPTOM:
        fixed = SYMPTOM_OF_NO_FAULT if known == NO_FAULT else SYMPTOM_OF_A_FAULT
    elif known == NO_FAULT:
        fixed = {word: COINCIDES[probe, word] for word in words if (probe, word) in COINCIDES}
    elif known == OTHER:
        fixed = {}
    else:
        fixed = {word: FOLLOWS[probe, word] for word in words if (probe, word) in FOLLOWS}
    fixed = {word: chance for word, chance in fixed.items() if word in words}
    return _spread(fixed, _normal_share(known), verdicts, words)


def _normal_share(known: str) -> float:
    if known == NO_FAULT:
        return NORMAL_IF_NO_FAULT
    return NORMAL_IF_OTHER if known == OTHER else NORMAL_IF_UNMENTIONED


def _spread(
    fixed: Mapping[str, float], normal_share: float, verdicts: Verdicts, words: Sequence[str]
) -> dict[str, float]:
    """Outcomes with a chance of their own keep it; the rest is shared among the others of either verdict."""
    others = [word for word in words if word not in fixed]
    normal = [word for word in others if verdicts[word] is Verdict.NORMAL]
    abnormal = [word for word in others if verdicts[word] is Verdict.ABNORMAL]
    rest = max(0.0, 1.0 - sum(fixed.values()))
    shares = (rest * normal_share, rest * (1 - normal_share)) if normal and abnormal else (rest, rest)
    return {
        **fixed,
        **{word: shares[0] / len(normal) for word in normal},
        **{word: shares[1] / len(abnormal) for word in abnormal},
    }


def neutral(spec: ProbeSpec) -> bool:
    """Whether the probe knows nothing abnormal: it gives context and no symptom."""
    return _neutral(spec.outcomes)


def _neutral(verdicts: Verdicts) -> bool:
    return Verdict.ABNORMAL not in verdicts.values()


def conclusive(finding: Finding, specs: Mapping[str, ProbeSpec]) -> bool:
    """Whether it says anything: inconclusive, not run and error say nothing, and so does an unknown probe."""
    spec = specs.get(finding.probe)
    return (
        spec is not None and finding.verdict in (Verdict.NORMAL, Verdict.ABNORMAL) and finding.outcome in spec.outcomes
    )


def exponents(findings: Sequence[Finding], specs: Mapping[str, ProbeSpec]) -> list[float]:
    """How much each finding counts, 0 to 1: less for repeated, related and merely contextual ones.

    Readings of one probe share one vote.
    """
    families = [family(finding.probe, finding.outcome) for finding in findings]
    result = []
    for finding, group in zip(findings, families, strict=True):
        members = {other.probe for other, theirs in zip(findings, families, strict=True) if theirs == group}
        repeats = sum(other.probe == finding.probe for other in findings)
        part = BROKEN_EXPONENT if group == BROKEN else CONTEXT_EXPONENT if neutral(specs[finding.probe]) else 1.0
        result.append(part * len(members) ** -FAMILY_EXPONENT / repeats)
    return result


def family(probe: str, outcome: str) -> str:
    """The group of findings that fail together with this one."""
    return BROKEN if probe in MEASURE_QUALITY and outcome == BROKEN else FAMILIES.get(probe, probe)


def needs_a_cause(finding: Finding) -> bool:
    """Whether an abnormal finding asks for an explanation of its own."""
    known = (finding.probe, finding.outcome)
    return finding.verdict is Verdict.ABNORMAL and known not in FOLLOWS and known not in COINCIDES


def explains(mode: Mode, finding: Finding) -> bool:
    """Whether a mode says that this outcome belongs to it. What users notice belongs to every mode that does not
    deny it."""
    listed = mode.evidence.get(finding.probe, {})
    if finding.outcome in listed:
        return listed[finding.outcome] in (Weight.USUAL, Weight.WEAKLY_FOR, Weight.NEUTRAL)
    return finding.probe == SYMPTOM


def accounts_for(mode: Mode, finding: Finding) -> bool:
    """Whether a mode says that it shows this by itself: what it merely does not contradict may have another cause."""
    listed = mode.evidence.get(finding.probe, {})
    if finding.outcome in listed:
        return listed[finding.outcome] in (Weight.USUAL, Weight.WEAKLY_FOR)
    return finding.probe == SYMPTOM


def elsewhere(finding: Finding) -> bool:
    """Whether it is about the other provider, so that it says nothing of what happens at the first, and neither way."""
    return finding.probe == SECOND_PROVIDER


def typical(mode: Mode, finding: Finding) -> bool:
    """Whether the mode itself names this outcome as its own: more than the symptom that every fault shares."""
    return (
        finding.probe != SYMPTOM and finding.outcome in mode.evidence.get(finding.probe, {}) and explains(mode, finding)
    )


def denies(mode: Mode, finding: Finding) -> bool:
    """Whether a mode is ruled out by this outcome, in its own words."""
    return mode.evidence.get(finding.probe, {}).get(finding.outcome) is Weight.RULES_OUT
