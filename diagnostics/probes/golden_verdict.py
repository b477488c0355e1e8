"""Whether a golden set's pass rate has dropped: item by item where that was recorded, otherwise by pooled rates."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from diagnostics import paired, power, series, statistics
from diagnostics.model import INCONCLUSIVE, Evidence, Reading
from diagnostics.replay import PARALLEL, ItemResult, Replay

EFFECT: Final = 0.20
"""Drop whose power decides whether no drop was shown; a set of sixty cannot see much less."""
LEAST_PAIRS: Final = 20
LEAST_POOLED: Final = 20
MANY_POOLED: Final = 100
"""So many pooled results are a second opinion beside the comparison of items."""
DOUBT: Final = 0.10
"""A drop that matters, with a p-value between this and the threshold, is neither shown nor excluded."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reference:
    """Recorded results of when all was well."""

    items: Mapping[str, bool]
    """Item id -> whether it passed."""
    version: str
    passes: tuple[bool, ...] = ()
    """Pooled results, whatever the item."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Comparison:
    """Now against then."""

    test: str
    p_value: float
    drop: float
    baseline: float
    baseline_n: int
    power: float
    crossed: bool
    """Whether a drop is so sure that asking may stop here, however often it was looked at before."""
    facts: Mapping[str, Any]

    @property
    def sure(self) -> bool:
        """Both rules: surely worse, and by enough to matter."""
        return self.p_value <= statistics.ALPHA and self.drop >= statistics.MIN_DROP

    @property
    def doubtful(self) -> bool:
        return not self.sure and self.p_value <= DOUBT and self.drop >= statistics.MIN_DROP


def stop_when_sure(reference: Reference, planned: int) -> Callable[[Sequence[ItemResult]], str]:
    """Stops as soon as a drop of a size that matters is sure, by a test that allows for having looked before.

    It never stops because all looks well: the rest of the set is what finds smaller drops.
    """

    def stop(results: Sequence[ItemResult]) -> str:
        found = _comparisons(results, reference, planned, ended=False)
        return "sure" if any(c.crossed and c.drop >= statistics.MIN_DROP for c in found) else ""

    return stop


def judge(
    done: Replay,
    reference: Reference,
    *,
    asked_of: int,
    tokens: int,
    usd: float,
    details: Mapping[str, Any],
    evidence: tuple[Evidence, ...],
) -> Reading:
    """Put a replay into words."""
    judged = done.judged
    passed = sum(result.passed for result in judged)
    common: dict[str, Any] = {
        "n": len(judged),
        "tokens": tokens,
        "usd": usd,
        "evidence": evidence,
        "details": {
            **details,
            "asked": len(done.results),
            "of": asked_of,
            "stopped": done.stopped,
            "errors": done.errors,
            "not_judged": done.not_judged,
            "failed_items": [result.item.id for result in judged if not result.passed][:60],
            "failed_tags": _tags(judged),
            "weighted_share": _weighted(judged),
        },
    }
    if done.failing:
        words = ", ".join(f"{count} x {word}" for word, count in done.errors.items())
        failed = len(done.results) - len(done.answered)
        summary = f"{failed} of {len(done.results)} golden questions got no answer ({words})"
        return Reading(outcome="error", summary=summary, value=failed / len(done.results), **common)
    if not judged:
        why = "answered" if not done.answered else f"judged: {next(iter(done.not_judged), '')}"
        return Reading(outcome=INCONCLUSIVE, summary=f"no golden question was {why}", **common)
    rate = f"{passed} of {len(judged)} golden questions pass"
    if len(judged) < len(done.answered):
        rate += f", {len(done.answered) - len(judged)} were not judged"
    measured: dict[str, Any] = {"value": passed / len(judged), "interval": statistics.wilson(passed, len(judged))}
    comparison = _compare(done.results, reference, asked_of)
    if comparison is None:
        known = max(len(reference.passes), len(reference.items))
        summary = f"{rate}; no baseline yet, {known} of {series.ENOUGH}"
        return Reading(outcome=INCONCLUSIVE, summary=summary, baseline_n=known, **measured, **common)
    return _judged(done, comparison, rate, {**measured, **common})


def _judged(done: Replay, comparison: _Comparison, rate: str, common: dict[str, Any]) -> Reading:
    against = f"{rate}, against {comparison.baseline:.0%} when all was well (p = {comparison.p_value:.2g})"
    outcome, why = "ok", f"; a drop of {EFFECT:.0%} would have shown with {comparison.power:.0%}"
    if comparison.sure:
        outcome, why = "drop", "; stopped early, it is sure" if done.stopped == "sure" else ""
    elif comparison.doubtful:
        outcome, why = INCONCLUSIVE, "; too few questions to be sure of a drop, or of none"
    elif comparison.power < power.ENOUGH:
        outcome = INCONCLUSIVE
        if done.stopped == "headroom":
            why = "; stopped because little of the token limit is left" + why
    common = {**common, "details": {**common["details"], **comparison.facts, "drop": round(comparison.drop, 4)}}
    return Reading(
        outcome=outcome,
        summary=against + why,
        baseline=comparison.baseline,
        baseline_n=comparison.baseline_n,
        test=comparison.test,
        p_value=comparison.p_value,
        power=comparison.power,
        **common,
    )


def _compare(results: Sequence[ItemResult], reference: Reference, planned: int) -> _Comparison | None:
    """By items, by pooled rates, or by the more telling of the two at half the error each."""
    found = _comparisons(results, reference, planned, ended=True)
    if len(found) < 2:
        return found[0] if found else None
    telling = min(found, key=lambda comparison: comparison.p_value)
    return replace(
        telling,
        test=f"{telling.test}; the more telling of two, p doubled",
        p_value=min(1.0, 2 * telling.p_value),
        power=max(comparison.power for comparison in found),
        facts={**found[0].facts, **found[1].facts},
    )


def _comparisons(
    results: Sequence[ItemResult], reference: Reference, planned: int, *, ended: bool
) -> list[_Comparison]:
    judged = [result for result in results if result.judged]
    pairs = sum(result.item.id in reference.items for result in judged)
    by_items = pairs >= min(LEAST_PAIRS, max(1, len(reference.items))) and len(reference.items) >= LEAST_PAIRS // 2
    by_rates = bool(judged) and len(reference.passes) >= (MANY_POOLED if by_items else LEAST_POOLED)
    alpha = statistics.ALPHA / 2 if by_items and by_rates else statistics.ALPHA
    found = []
    if by_items:
        rule = paired.Rule(planned=planned, alpha=alpha, smallest=statistics.MIN_DROP)
        found.append(_paired(results, reference, rule, ended=ended))
    if by_rates:
        found.append(_pooled(judged, reference, alpha))
    return found


def _paired(results: Sequence[ItemResult], reference: Reference, rule: paired.Rule, *, ended: bool) -> _Comparison:
    known = reference.items
    outcomes = [(known[r.item.id], r.passed) if r.judged and r.item.id in known else None for r in results]
    found = paired.judge(outcomes, rule, step=PARALLEL, ended=ended)
    look = found.look
    return _Comparison(
        test=paired.TEST,
        p_value=found.p_value,
        drop=look.drop,
        baseline=sum(outcome[0] for outcome in outcomes if outcome) / look.pairs,
        baseline_n=look.pairs,
        power=power.mcnemar(look.pairs, EFFECT, alpha=rule.alpha),
        crossed=found.word == "worse",
        facts={
            "pairs": look.pairs, "lost": look.lost, "won": look.won, "power_of_drop": _powers(look.pairs),
            "drop_interval": [round(edge, 4) for edge in found.interval],
        },
    )  # fmt: skip


def _powers(n: int) -> dict[str, float]:
    return {f"{drop:.2f}": round(power.mcnemar(n, drop), 2) for drop in (0.05, 0.10, 0.15, 0.20)}


def _pooled(answered: Sequence[ItemResult], reference: Reference, alpha: float) -> _Comparison:
    n, before = len(answered), len(reference.passes)
    passed, passed_before = sum(result.passed for result in answered), sum(reference.passes)
    share = passed_before / before
    p_value = statistics.fisher_drop(passed, n, passed_before, before)
    good = min(0.98, max(0.50, share))
    sequential = statistics.sprt([r.passed for r in answered], good=good, bad=good - 0.15, alpha=alpha)
    return _Comparison(
        test=statistics.FISHER,
        p_value=p_value,
        drop=share - passed / n,
        baseline=share,
        baseline_n=before,
        power=power.fisher(round(share, 2), before, round(max(0.0, share - EFFECT), 2), n, alpha=alpha),
        crossed=p_value <= alpha and sequential.decision == "drop",
        facts={"pooled": before},
    )


def _weighted(answered: Sequence[ItemResult]) -> float | None:
    """Pass rate by the weights of the file; the tests count every item once."""
    whole = sum(result.item.weight for result in answered)
    return round(sum(result.item.weight for result in answered if result.passed) / whole, 4) if whole else None


def _tags(answered: Sequence[ItemResult]) -> dict[str, str]:
    """Tag -> failed of asked: which kind of question suffers."""
    tags = sorted({tag for result in answered for tag in result.item.tags})[:10]
    found = {}
    for tag in tags:
        group = [result for result in answered if tag in result.item.tags]
        found[tag] = f"{sum(not result.passed for result in group)} of {len(group)}"
    return found
