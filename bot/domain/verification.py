"""Did it help? The same probes before and after, and one of three answers. Pure rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from bot.domain.proposal import Plan
from diagnostics.model import Diagnosis, Finding, ProbeSpec, Tier, Verdict

Answer = Literal["better", "worse", "pending"]
GUARD = "user_signal"
"""What users feel is always read again, whatever the runbook verifies with."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The answer and the sentence that carries it, with the evidence ids before and after."""

    answer: Answer
    reason: str
    evidence: tuple[str, ...]


def deciding_probes(plan: Plan, diagnosis: Diagnosis | None, specs: Mapping[str, ProbeSpec]) -> tuple[str, ...]:
    """The probe that the plan names, what users feel, and the free ones among the strongest arguments for the cause:
    they are read again every few seconds, so they may not cost."""
    wanted = [plan.verify_probe, GUARD]
    if diagnosis is not None and diagnosis.conclusion == "cause":
        wanted += [a.probe for a in diagnosis.leader.arguments if a.bits > 0 and specs[a.probe].tier is Tier.FREE][:2]
    return tuple(dict.fromkeys(name for name in wanted if name in specs))


def judge(
    plan: Plan, before: Mapping[str, Finding], after: Mapping[str, Finding], earlier: Mapping[str, Finding], *,
    since_s: float, last: bool = False,
) -> Judgement:  # fmt: skip
    """Better: the named probe shows the wanted outcome and nothing that was well has become ill. Worse: something well
    has become ill, or the named probe's number got clearly worse, and the look before (``earlier``) saw the same: one
    reading alone undoes nothing, and neither does one that looks back mostly at the time before the step, ``since_s``
    ago. Otherwise it is too early to tell; but at the ``last`` look users who are served again decide: to take away
    what they recovered with would be worse than a number that is not yet as usual. A check that nobody read before
    shows no change, so as long as users still feel it, it is looked at again until the last look."""
    named = after.get(plan.verify_probe)
    new, seen = _since(after, since_s), _since(earlier, since_s)
    spoiled = [name for name in new if _spoiled(before.get(name), new[name])]
    confirmed = [name for name in spoiled if _spoiled(before.get(name), seen.get(name))]
    cited = tuple(f.id for name in after for f in (before.get(name), after[name]) if f is not None)
    if spoiled:
        worst = after[(confirmed or spoiled)[0]]
        reason = f"{worst.probe} was well before: {worst.reading.summary}"
        return Judgement(answer="worse" if confirmed else "pending", reason=reason, evidence=cited)
    if last and _served_again(before.get(GUARD), after.get(GUARD)) and not _met(plan, named):
        still = named.reading.summary if named else "it was not read"
        reason = f"{after[GUARD].reading.summary}; {plan.verify_probe} is not {plan.verify_outcome} yet: {still}"
        return Judgement(answer="better", reason=reason, evidence=cited)
    if named is None or named.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR, Verdict.NOT_RUN):
        why = named.reading.summary if named else "it was not read"
        return Judgement(answer="pending", reason=f"{plan.verify_probe} cannot tell: {why}", evidence=cited)
    if _met(plan, named):
        first, users = before.get(plan.verify_probe), after.get(GUARD)
        felt = users is not None and users.verdict is Verdict.ABNORMAL
        if first is None and felt and not last:
            reason = f"{named.reading.summary}; it was not read before, and users still feel it"
            return Judgement(answer="pending", reason=reason, evidence=cited)
        was = f"; before: {first.outcome}, {first.reading.summary}" if first else "; it was not read before"
        return Judgement(answer="better", reason=f"{named.reading.summary}{was}", evidence=cited)
    if _clearly_worse(before.get(plan.verify_probe), new.get(plan.verify_probe)):
        reason = f"{named.reading.summary}; that is worse than before"
        twice = _clearly_worse(before.get(plan.verify_probe), seen.get(plan.verify_probe))
        return Judgement(answer="worse" if twice else "pending", reason=reason, evidence=cited)
    return Judgement(answer="pending", reason=named.reading.summary, evidence=cited)


def _met(plan: Plan, named: Finding | None) -> bool:
    """Whether the check that the plan names is fulfilled; of users, recovered is as good as ok."""
    if named is None:
        return False
    return named.outcome == plan.verify_outcome or (named.probe == GUARD and named.verdict is Verdict.NORMAL)


def _served_again(before: Finding | None, after: Finding | None) -> bool:
    """Whether users felt it before, and are served now."""
    if before is None or after is None:
        return False
    return before.verdict is Verdict.ABNORMAL and after.verdict is Verdict.NORMAL


def _since(findings: Mapping[str, Finding], since_s: float) -> dict[str, Finding]:
    """Those that tell of a time at least half of which lies after the step."""
    return {name: found for name, found in findings.items() if found.reading.looks_back_s <= 2 * since_s}


def _spoiled(before: Finding | None, after: Finding | None) -> bool:
    """Whether what was well has become ill."""
    if before is None or after is None:
        return False
    return before.verdict is Verdict.NORMAL and after.verdict is Verdict.ABNORMAL


def _clearly_worse(before: Finding | None, after: Finding | None) -> bool:
    """A share that moved further away from the usual by more than chance: by two standard errors of the difference and
    a fifth. A score of good answers is ill when it is low, a share of failures when it is high; what was measured by
    another test is another number."""
    if before is None or after is None or before.reading.value is None or after.reading.value is None:
        return False
    if not (0 <= before.reading.value <= 1 and 0 <= after.reading.value <= 1 and before.reading.n and after.reading.n):
        return False
    if before.reading.test != after.reading.test:
        return False
    p, q, usual = before.reading.value, after.reading.value, before.reading.baseline
    error = (p * (1 - p) / before.reading.n + q * (1 - q) / after.reading.n) ** 0.5
    low_is_ill = before.verdict is Verdict.ABNORMAL and usual is not None and p < usual
    return bool((p - q if low_is_ill else q - p) >= max(0.2, 2 * error))
