"""From findings to causes: a posterior over failure modes, its arguments, the causes that explain everything abnormal,
and what to ask next. Pure: the same findings always give the same answer."""

import itertools
import math
from collections.abc import Mapping, Sequence

from diagnostics import likelihood, unseen
from diagnostics.belief import Belief, Specs
from diagnostics.model import (
    NO_FAULT,
    OTHER,
    Conclusion,
    Diagnosis,
    Finding,
    Mode,
    Verdict,
    Weight,
)
from diagnostics.statistics import ALPHA, benjamini_hochberg
from diagnostics.worth import SURE, SURE_NO_FAULT, next_probes

PRIOR_NO_FAULT = 0.10
PRIOR_OTHER = 0.06
RETRIEVAL_TRUST = 0.80
"""Share of the prior that follows retrieval; the rest is even: a page's wording never rules a mode out."""
MOST_CAUSES = 3

TELEMETRY = "telemetry_check"
CANARIES = ("gateway_canary", "provider_canary")


def diagnose(findings: Sequence[Finding], prior: Mapping[str, float], modes: Sequence[Mode], specs: Specs,
             service_kind: str, *, final: bool = False, superseding: bool = False) -> Diagnosis:  # fmt: skip
    """What the findings say together.

    ``prior`` is the retrieval's weight of each mode, in any unit; ``no-fault`` and ``other`` may be in it. ``modes``
    that cannot happen to this kind of service are left out. Modes that no probe can see (a leak that a person reports)
    compete with none; but where the page speaks of one, nothing is called well. ``final``: nothing more will be asked.
    ``superseding``: of each probe and its parameters, only the reading of the latest round counts (after a mitigation).
    """
    meant = {mode.id: mode for mode in modes if not mode.kinds or service_kind in mode.kinds}
    possible = {name: mode for name, mode in meant.items() if unseen.seen(mode, specs)}
    read = [f for f in (_latest(findings) if superseding else findings) if likelihood.conclusive(f, specs)]
    chance = _by_chance(read)
    sure = [f for f in read if f.id not in chance]
    belief = Belief.of(sure, _priors(prior, list(possible), list(meant)), possible, specs)
    leader = belief.ranked()[0]
    abnormal = [f for f in read if f.verdict is Verdict.ABNORMAL]
    explained = {f.id for f in abnormal if leader in possible and likelihood.explains(possible[leader], f)}
    conclusion, reason = _conclude(belief, sure, findings, specs)
    spoken = unseen.spoken_of(prior, meant, possible)
    if conclusion == "no_fault" and spoken:
        conclusion, reason = "inconclusive", f"the page speaks of {spoken}, which no probe can see: people decide"
    if conclusion == "no_fault" and unseen.unmeasured_answers(prior, possible, sure, specs):
        conclusion, reason = "inconclusive", "the page speaks of worse answers, and no golden set has passed as usual"
    if chance:
        reason += f"; {len(chance)} of {len(_tested(read))} tests may have struck by chance"
    unasked = () if final else next_probes(belief, findings, specs)
    if conclusion == "inconclusive" and not unasked and not final:
        reason = f"nothing informative left: {reason}"
    return Diagnosis(
        conclusion=conclusion,
        ranked=belief.hypotheses(),
        causes=_causes(leader, belief, [f for f in abnormal if f.id not in chance]) if conclusion == "cause" else (),
        residual=tuple(f.id for f in abnormal if f.id not in explained),
        next_probes=unasked,
        reason=reason,
    )


def _by_chance(findings: Sequence[Finding]) -> set[str]:
    """Ids of abnormal findings that so many tests at once would show without a cause: they argue for nothing, and stay
    among what is left unexplained."""
    tested = _tested(findings)
    held = benjamini_hochberg([p_value for _, p_value in tested])
    return {f.id for (f, _), holds in zip(tested, held, strict=True) if f.verdict is Verdict.ABNORMAL and not holds}


def _tested(findings: Sequence[Finding]) -> list[tuple[Finding, float]]:
    """Those that a test decided, with its p-value; an abnormal one with a large one was decided by another rule."""
    known = ((f, f.reading.p_value) for f in findings)
    return [(f, p) for f, p in known if p is not None and (f.verdict is not Verdict.ABNORMAL or p <= ALPHA)]


def _latest(findings: Sequence[Finding]) -> list[Finding]:
    newest: dict[tuple[str, str], Finding] = {}
    for finding in findings:
        key = (finding.probe, repr(sorted(finding.params.items())))
        if key not in newest or finding.round >= newest[key].round:
            newest[key] = finding
    return list(newest.values())


def _priors(prior: Mapping[str, float], modes: Sequence[str], meant: Sequence[str]) -> dict[str, float]:
    """Chances before any finding: ``no-fault`` and ``other`` as given or as usual, the rest by retrieval, as far as it
    found ``modes`` and not others that are ``meant``."""
    weights = {mode: max(0.0, prior.get(mode, 0.0)) for mode in modes}
    total = sum(weights.values())
    special = {NO_FAULT: prior.get(NO_FAULT, PRIOR_NO_FAULT), OTHER: prior.get(OTHER, PRIOR_OTHER)}
    rest = max(0.0, 1.0 - sum(special.values()))
    everything = sum(max(0.0, prior.get(mode, 0.0)) for mode in meant)
    trust = RETRIEVAL_TRUST * total / everything if total > 0 else 0.0
    shared = {
        mode: rest * (trust * (weight / total if total else 0.0) + (1 - trust) / len(modes))
        for mode, weight in weights.items()
    }
    whole = sum(shared.values()) + sum(special.values())
    return {hypothesis: chance / whole for hypothesis, chance in {**shared, **special}.items()}


# --- The conclusion ----------------------------------------------------------------------------------------------


def _conclude(belief: Belief, read: Sequence[Finding], all_findings: Sequence[Finding],
              specs: Specs) -> tuple[Conclusion, str]:  # fmt: skip
    first, second = belief.ranked()[:2]
    chance = belief.posterior[first]
    stands = f"{first} {chance:.2f}, {second} {belief.posterior[second]:.2f}"
    if not read:
        return "inconclusive", "no probe has given a conclusive answer"
    if first == OTHER:
        return "inconclusive", f"no runbook explains what was found ({stands})"
    if first == NO_FAULT:
        if chance < SURE_NO_FAULT:
            return "inconclusive", f"no-fault leads without certainty ({stands}; {SURE_NO_FAULT:.2f} is needed)"
        missing = _unexplained(read) or _unproven_health(read, all_findings, specs)
        return ("inconclusive", missing) if missing else ("no_fault", f"sure: {stands}; users are served as usual")
    shown = [f for f in read if f.verdict is Verdict.ABNORMAL]
    if chance < SURE:
        if chance + belief.posterior[second] >= SURE and _each_needed(belief, first, second, shown):
            return "cause", f"sure of both: {stands}; each explains what the other does not"
        return "inconclusive", f"not told apart ({stands}; {SURE:.2f} is needed)"
    mode = belief.modes[first]
    if not any(likelihood.typical(mode, f) for f in shown):
        return "inconclusive", f"{first} leads ({chance:.2f}), but nothing abnormal that is typical of it was found"
    explained = sum(likelihood.explains(mode, f) for f in shown)
    return "cause", f"sure: {stands}; it explains {explained} of {len(shown)} abnormal findings"


def _each_needed(belief: Belief, first: str, second: str, shown: Sequence[Finding]) -> bool:
    """Whether two modes that share the probability are two causes: each has something of its own that the other does
    not account for, and nothing else rules either out."""
    if second not in belief.modes:
        return False
    pair = (belief.modes[first], belief.modes[second])
    asking = [f for f in shown if likelihood.needs_a_cause(f)]
    for mode, other in (pair, pair[::-1]):
        own = [f for f in asking if _needs(mode, other, f)]
        free = [f for f in belief.findings if not likelihood.explains(other, f)]
        if not own or _denied(mode, own, free):
            return False
    return True


def _needs(mode: Mode, other: Mode, finding: Finding) -> bool:
    """Whether it is usual for one and not shown by the other; or not usual, but does not belong to the other at all."""
    if _own(mode, finding):
        return not likelihood.accounts_for(other, finding)
    return likelihood.accounts_for(mode, finding) and not likelihood.explains(other, finding)


def _unexplained(read: Sequence[Finding]) -> str:
    """Whether something abnormal stands against "nothing is wrong"; empty if nothing does."""
    abnormal = [f"{f.probe} {f.outcome}" for f in read if likelihood.needs_a_cause(f)]
    return f"users are served, but something is abnormal without explanation: {', '.join(abnormal)}" if abnormal else ""


def _unproven_health(read: Sequence[Finding], all_findings: Sequence[Finding], specs: Specs) -> str:
    """What is missing before "nothing is wrong" may be said; empty if nothing is."""
    outcomes = {f.probe: f for f in read}
    symptom = outcomes.get(likelihood.SYMPTOM)
    if symptom is None or symptom.verdict is not Verdict.NORMAL:
        return "the user-facing signal was not read as healthy, so it cannot be said that nothing is wrong"
    telemetry = outcomes.get(TELEMETRY)
    if TELEMETRY in specs and (telemetry is None or telemetry.verdict is not Verdict.NORMAL):
        return "telemetry is not proven live, so silence may be blindness"
    canaries = [f for f in all_findings if f.probe in CANARIES]
    if any(f.verdict is Verdict.NORMAL for f in canaries) or not any(name in specs for name in CANARIES):
        return ""
    if canaries and all(f.verdict is Verdict.NOT_RUN for f in canaries):
        return ""
    return "no canary has come through yet"


def _causes(leader: str, belief: Belief, abnormal: Sequence[Finding]) -> tuple[str, ...]:
    """The smallest set with the leader in it that explains all that asks for a cause; the likeliest of those.

    A further mode must be supported by something usual for it and not be ruled out by anything that the leader leaves
    unexplained or that is healthy. What nothing explains stays in the residual.
    """
    main = belief.modes[leader]
    rest = [f for f in abnormal if likelihood.needs_a_cause(f) and not likelihood.accounts_for(main, f)]
    cover = {m: {f.id for f in rest if _own(mode, f)} for m, mode in belief.modes.items() if m != leader}
    free = [f for f in belief.findings if not likelihood.explains(main, f)]
    able = [
        m for m, ids in cover.items() if ids and not _denied(belief.modes[m], [f for f in rest if f.id in ids], free)
    ]
    best: tuple[tuple[int, int, float], tuple[str, ...]] = ((0, 0, 0.0), ())
    for size in range(1, MOST_CAUSES):
        for extra in itertools.combinations(sorted(able), size):
            covered = len(set().union(*(cover[m] for m in extra)))
            merit = (covered, -size, sum(math.log(max(belief.posterior[m], 1e-300)) for m in extra))
            best = max(best, (merit, extra), key=lambda pair: pair[0])
    return (leader, *best[1])


def _denied(mode: Mode, shown: Sequence[Finding], free: Sequence[Finding]) -> bool:
    """Whether a finding rules the mode out; one about the first provider cannot, if all is shown at the second."""
    there = all(likelihood.elsewhere(f) for f in shown)
    return any(likelihood.denies(mode, f) for f in free if likelihood.elsewhere(f) or not there)


def _own(mode: Mode, finding: Finding) -> bool:
    return mode.evidence.get(finding.probe, {}).get(finding.outcome) is Weight.USUAL
