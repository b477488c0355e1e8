"""The order of asking: everything free first and at once, then the small canaries that could change the answer, then
quality, and golden sets only with a reason; within a tier most expected information for seconds and tokens first."""

from collections.abc import Collection, Mapping, Sequence

from diagnostics.likelihood import SYMPTOM, explains
from diagnostics.model import Diagnosis, Finding, Mode, ProbeCall, ProbeSpec, Tier, Weight

QUALITY_MASS = 0.10
"""Posterior of all quality modes together from which quality is worth measuring."""
QUALITY_DROP = "quality_drop"
MOST_CALLS_OF_A_PROBE = 2
PROVE_HEALTH = ("provider_canary", "gateway_canary", "second_provider_canary")
"""They show that the model itself answers: one of them must have come through before all is called well."""


def next_calls(diagnosis: Diagnosis | None, findings: Sequence[Finding], specs: Mapping[str, ProbeSpec],
               runbook_calls: Sequence[ProbeCall] = (), *, modes: Sequence[Mode] = (),
               tier_limit: Tier = Tier.GOLDEN) -> list[ProbeCall]:  # fmt: skip
    """The probes to run now, in parallel; empty when nothing is left that is worth asking.

    ``runbook_calls`` are the retrieved runbooks' own probe blocks, resolved: their parameters are used in place of the
    defaults. ``diagnosis`` is None before the first probe. ``modes`` tell which hypotheses are about quality.
    """
    asked = {finding.probe for finding in findings}
    waiting = {tier: [n for n, s in specs.items() if s.tier is tier and n not in asked] for tier in Tier}
    if waiting[Tier.FREE]:
        return _calls(waiting[Tier.FREE], runbook_calls)
    if tier_limit >= Tier.CANARY:
        canaries = waiting[Tier.CANARY] if diagnosis is None else _canaries(diagnosis, waiting[Tier.CANARY], asked)
        if canaries:
            return _calls(canaries, runbook_calls)
    if diagnosis is None:
        return []
    for tier, wanted in ((Tier.QUALITY, _wants_quality), (Tier.GOLDEN, _wants_golden)):
        informative = _informative(diagnosis, waiting[tier])
        if tier is Tier.GOLDEN and _dropped(findings):
            informative = waiting[tier]
        if tier <= tier_limit and informative and wanted(diagnosis, findings, modes):
            once = tier is Tier.GOLDEN and not _symptom(findings)
            return _calls(informative[:1] if once else informative, runbook_calls)
    return []


def _canaries(diagnosis: Diagnosis, waiting: Sequence[str], asked: Collection[str]) -> list[str]:
    """Those that could change the conclusion. While it is open, one must have come through: health is never assumed."""
    telling = _informative(diagnosis, waiting)
    unproven = diagnosis.conclusion == "inconclusive" and not any(name in PROVE_HEALTH for name in asked)
    proving = [name for name in waiting if name in PROVE_HEALTH]
    return proving if unproven and not telling else telling


def _wants_quality(diagnosis: Diagnosis, findings: Sequence[Finding], modes: Sequence[Mode]) -> bool:
    if diagnosis.conclusion == "inconclusive":
        return True
    leader = next((mode for mode in modes if mode.id == diagnosis.leader.mode), None)
    symptom = _symptom(findings)
    return symptom is not None and (leader is None or not explains(leader, symptom))


def _wants_golden(diagnosis: Diagnosis, findings: Sequence[Finding], modes: Sequence[Mode]) -> bool:
    """After a drop always, because the counterfactual tells whose it is. Otherwise only while unsure, and only for a
    quality symptom, a quality mode with mass, or when users are served and nothing else can tell: while calls fail, a
    golden set fails with them and costs what others need."""
    if _dropped(findings):
        return True
    if diagnosis.conclusion != "inconclusive":
        return False
    if _symptom(findings) is not None or _quality_mass(diagnosis, modes) >= QUALITY_MASS:
        return True
    signal = next((f for f in reversed(findings) if f.probe == SYMPTOM), None)
    return signal is None or signal.outcome not in ("errors", "slow")


def _dropped(findings: Sequence[Finding]) -> bool:
    return any(f.probe == "golden_set" and f.outcome == "drop" for f in findings)


def _symptom(findings: Sequence[Finding]) -> Finding | None:
    return next((f for f in findings if f.probe == SYMPTOM and f.outcome == QUALITY_DROP), None)


def _quality_mass(diagnosis: Diagnosis, modes: Sequence[Mode]) -> float:
    quality = {mode.id for mode in modes if _speaks_of_quality(mode)}
    return sum(h.probability for h in diagnosis.ranked if h.mode in quality)


def _speaks_of_quality(mode: Mode) -> bool:
    return any(
        mode.evidence.get(probe, {}).get("drop") in (Weight.USUAL, Weight.WEAKLY_FOR)
        for probe in ("golden_set", "golden_counterfactual")
    )


def _informative(diagnosis: Diagnosis, names: Sequence[str]) -> list[str]:
    """Those that could change the answer, most information for their cost first."""
    return [probe.probe for probe in diagnosis.next_probes if probe.probe in names]


def _calls(names: Sequence[str], runbook_calls: Sequence[ProbeCall]) -> list[ProbeCall]:
    calls: list[ProbeCall] = []
    for name in names:
        own: list[ProbeCall] = []
        for call in runbook_calls:
            if call.probe == name and call not in own:
                own.append(call)
        calls += own[:MOST_CALLS_OF_A_PROBE] or [ProbeCall(probe=name)]
    return calls
