"""The order of asking: what users feel and what was changed first, then always what tells most for its cost, a few at a
time; quality and golden sets only with a reason. It ends when the verdict stands and no reading is likely to change it.
"""

from collections.abc import Mapping, Sequence

from diagnostics.likelihood import SYMPTOM, family
from diagnostics.model import (
    NO_FAULT,
    Diagnosis,
    Finding,
    Mode,
    NextProbe,
    ProbeCall,
    ProbeSpec,
    Tier,
    Verdict,
    Weight,
)  # fmt: skip

FIRST = (SYMPTOM, "change_log", "telemetry_check", "demand_profile")
"""Asked before anything else, whatever the page says: is it real, what was changed, do we see at all, and what is asked
of us. They cost no tokens."""
AT_ONCE = 3
"""Probes of one turn. More at a time end sooner and ask in vain more often: what the first tells makes the next."""
NEARLY_AS_GOOD = 0.4
"""A further probe goes along in the same turn if it tells at least this part of the best one's information for cost."""
CHANGES = 0.02
"""Chance of another verdict below which one more reading is not worth it, once the verdict stands."""
QUALITY_MASS = 0.10
"""Posterior of all quality modes together from which quality is worth measuring."""
QUALITY_DROP = "quality_drop"
MOST_CALLS_OF_A_PROBE = 2
PROVE_HEALTH = ("provider_canary", "gateway_canary", "second_provider_canary")
"""They show that the model itself answers: one of them must have come through before all is called well."""
SECOND_PROVIDER = "second_provider_canary"
"""Read whenever another canary failed: is it them, us, or both; and could anybody be sent there."""


def next_calls(diagnosis: Diagnosis | None, findings: Sequence[Finding], specs: Mapping[str, ProbeSpec],
               runbook_calls: Sequence[ProbeCall] = (), *, modes: Sequence[Mode] = (),
               tier_limit: Tier = Tier.GOLDEN, wider: bool = False) -> list[ProbeCall]:  # fmt: skip
    """The probes to run now, in parallel; empty when nothing is left that is worth asking.

    ``runbook_calls`` are the retrieved runbooks' own probe blocks, resolved: their parameters are used in place of the
    defaults. ``diagnosis`` is None before the first probe. ``modes`` tell which hypotheses are about quality.
    ``wider``: a mitigation of what was found did not help, so a verdict that stands is no reason to stop asking.
    """
    asked = {finding.probe for finding in findings}
    unread = {n: s for n, s in specs.items() if n not in asked and s.tier <= tier_limit}
    first = [name for name in FIRST if name in unread]
    if first:
        return calls_of(first, runbook_calls)
    if diagnosis is None:
        return []
    decided = diagnosis.conclusion != "inconclusive" and not wider
    if not decided and diagnosis.leader.mode == NO_FAULT:
        proving = _proving(unread, findings)
        if proving:
            return calls_of(proving, runbook_calls)
    telling = [
        probe for probe in diagnosis.next_probes
        if probe.probe in unread and (probe.changes >= CHANGES or not decided)
        and _allowed(unread[probe.probe], diagnosis, findings, modes, decided=decided)
    ]  # fmt: skip
    wanted = _together(telling, unread)
    if SECOND_PROVIDER in unread and any(f.probe in PROVE_HEALTH and f.verdict is Verdict.ABNORMAL for f in findings):
        wanted = [SECOND_PROVIDER, *(name for name in wanted if unread[name].tier is Tier.CANARY)]
    if not wanted and (_dropped(findings) or _unjudged(findings)):
        wanted = [name for name, spec in unread.items() if spec.tier is Tier.GOLDEN][:1]
    if not wanted and not decided:
        wanted = _proving(unread, findings)
    return calls_of(wanted, runbook_calls)


def _proving(unread: Mapping[str, ProbeSpec], findings: Sequence[Finding]) -> list[str]:
    """The next canary that may show that the model answers; none once one has come through. Health is never assumed."""
    if any(f.probe in PROVE_HEALTH and f.verdict is Verdict.NORMAL for f in findings):
        return []
    return [name for name in PROVE_HEALTH if name in unread][:1]


def _together(telling: Sequence[NextProbe], specs: Mapping[str, ProbeSpec]) -> list[str]:
    """The best, and those that cost no more by tier, tell nearly as much, and would not fail together with it."""
    together: list[NextProbe] = []
    for probe in telling:
        best = telling[0]
        alike = {family(one.probe, "") for one in together}
        fits = specs[probe.probe].tier is specs[best.probe].tier and family(probe.probe, "") not in alike
        if fits and probe.bits_per_cost >= NEARLY_AS_GOOD * best.bits_per_cost:
            together.append(probe)
    most = 1 if together and specs[together[0].probe].tier is Tier.GOLDEN else AT_ONCE
    return [probe.probe for probe in together[:most]]


def _allowed(
    spec: ProbeSpec, diagnosis: Diagnosis, findings: Sequence[Finding], modes: Sequence[Mode], *, decided: bool
) -> bool:
    """Whether there is a reason for a probe of this tier."""
    if spec.tier is Tier.GOLDEN:
        return _wants_golden(diagnosis, findings, modes, decided=decided)
    # Only these probes see a second cause of worse answers.
    return spec.tier is not Tier.QUALITY or not decided or _symptom(findings) is not None


def _wants_golden(diagnosis: Diagnosis, findings: Sequence[Finding], modes: Sequence[Mode], *, decided: bool) -> bool:
    """After a drop always, because the counterfactual tells whose it is. Otherwise only while unsure, and only for a
    quality symptom, a quality mode with mass, or when users are served and nothing else can tell: while calls fail, a
    golden set fails with them and costs what others need."""
    if _dropped(findings):
        return True
    if decided:
        return False
    if _symptom(findings) is not None or _quality_mass(diagnosis, modes) >= QUALITY_MASS:
        return True
    signal = next((f for f in reversed(findings) if f.probe == SYMPTOM), None)
    return signal is None or signal.outcome not in ("errors", "slow")


def _dropped(findings: Sequence[Finding]) -> bool:
    return any(f.probe == "golden_set" and f.outcome == "drop" for f in findings)


def _unjudged(findings: Sequence[Finding]) -> bool:
    """Whether answers look worse and the judge who says so is wrong itself: then only checks without a judge can tell
    whether they are worse all the same."""
    drifted = any(f.probe == "telemetry_check" and f.outcome == "judge_drift" for f in findings)
    return drifted and _symptom(findings) is not None and not any(f.probe == "golden_set" for f in findings)


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


def calls_of(names: Sequence[str], runbook_calls: Sequence[ProbeCall]) -> list[ProbeCall]:
    """How these probes are asked: as the runbooks say, at most twice each, or with their defaults."""
    calls: list[ProbeCall] = []
    for name in names:
        own: list[ProbeCall] = []
        for call in runbook_calls:
            if call.probe == name and call not in own:
                own.append(call)
        calls += own[:MOST_CALLS_OF_A_PROBE] or [ProbeCall(probe=name)]
    return calls
