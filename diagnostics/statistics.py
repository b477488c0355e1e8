"""The tests that probes decide by. Exact where counts are small; every one says what it is called on a card.

Libraries are imported inside the functions: the program must start before they are needed. Rates and shares are 0 to
1, every p-value is one-sided in the direction the function names, and thresholds are the published ones below.
What a test could have shown is in ``diagnostics/power.py``.
"""

import functools
import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

ALPHA = 0.01
"""For comparisons of pass rates and of latencies."""
ALPHA_COUNTS = 1e-3
"""For error counts of live traffic, of which there are many."""
MIN_DROP = 0.05
"""Smallest drop of a pass rate that matters."""
MIN_RATIO = 1.5
"""Smallest slowdown that matters."""
ZERO_TRAFFIC_EXPECTED = 4.6
"""With at least so many requests expected, none at all has p < .01."""

FISHER = "Fisher exact, one-sided"
MCNEMAR = "McNemar exact, one-sided"
RATES = "conditional binomial of two rates, one-sided"
MANN_WHITNEY = "Mann-Whitney, one-sided, and ratio of medians"
EXCEEDANCES = "binomial, share beyond the baseline's p95"
PERMUTATION = "permutation of means, two-sided"


def warm_up() -> None:
    """Import the numeric libraries now (about a second), so that the first probe does not hold up the event loop; and
    use them once: SciPy asks of each new type of array whether it is PyTorch's, fails while another thread imports
    PyTorch, and remembers the answer."""
    stats = scipy_stats()
    stats.mannwhitneyu([1.0, 2.0], [2.0, 3.0], alternative="greater")
    for found in (stats.binom.pmf(range(3), 2, 0.5), stats.binom.sf(1, 2, 0.5), stats.hypergeom.cdf(1, 4, 2, 2),
                  stats.norm.isf(0.1), stats.poisson.sf(1, 2.0)):  # fmt: skip
        assert found is not None


@functools.cache
def scipy_stats() -> Any:
    from scipy import stats  # noqa: PLC0415 - see the module's docstring

    return stats


# --- Counts and shares -------------------------------------------------------------------------------------------


def at_least(hits: int, n: int, share: float) -> float:
    """Chance of so many hits or more among ``n``, each a hit with the chance ``share``. The same as SciPy's
    ``binom.sf(hits - 1, ...)``, without its checks of arrays, which take 40 times as long; a look at a day's slices
    asks this hundreds of times."""
    from scipy.special import bdtrc  # noqa: PLC0415 - see the module's docstring

    return float(bdtrc(hits - 1, n, share))


def wilson(successes: float, n: float, *, z: float = 1.96) -> tuple[float, float]:
    """Wilson interval of a share; the whole range without observations."""
    if n == 0:
        return (0.0, 1.0)
    share, spread = successes / n, 1 + z * z / n
    centre = share + z * z / (2 * n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return (max(0.0, (centre - half) / spread), min(1.0, (centre + half) / spread))


def fisher_drop(passed: int, n: int, baseline_passed: int, baseline_n: int) -> float:
    """P-value that the pass rate is not below the baseline's, both being samples."""
    if n == 0 or baseline_n == 0:
        return 1.0
    return float(scipy_stats().hypergeom.cdf(passed, n + baseline_n, passed + baseline_passed, n))


def fisher_rise(hits: int, n: int, baseline_hits: int, baseline_n: int) -> float:
    """P-value that the share of hits is not above the baseline's, both being samples."""
    return fisher_drop(n - hits, n, baseline_n - baseline_hits, baseline_n)


def mcnemar_drop(lost: int, won: int) -> float:
    """P-value of a drop on the same items: ``lost`` passed before and fail now, ``won`` the other way round."""
    if lost + won == 0:
        return 1.0
    return at_least(lost, lost + won, 0.5)


def rate_rise(events: float, exposure: float, baseline_events: float, baseline_exposure: float) -> float:
    """P-value that a Poisson rate has not risen: given their sum, the events split like the exposures.

    Exposure is what the events come from: requests, or seconds. Counts from ``increase()`` are rounded.
    """
    if exposure <= 0 or baseline_exposure <= 0:
        return 1.0
    hits, before = round(events), round(baseline_events)
    if hits == 0:
        return 1.0
    return at_least(hits, hits + before, exposure / (exposure + baseline_exposure))


def exceedances(beyond: int, n: int, *, share: float = 0.05) -> float:
    """P-value of seeing at least so many of ``n`` beyond a quantile that ``share`` of the baseline lies beyond."""
    if n == 0 or beyond == 0:
        return 1.0
    return at_least(beyond, n, share)


def zero_events(expected: float) -> float:
    """P-value of no event at all where ``expected`` were due."""
    return math.exp(-max(0.0, expected))


def rule_of_three(n: int, *, confidence: float = 0.95) -> float:
    """Highest failure rate that "no failure in n" leaves open; exact form of 3/n."""
    return 1.0 if n == 0 else float(1.0 - (1.0 - confidence) ** (1.0 / n))


# --- Samples -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """How a sample compares with its baseline."""

    p_value: float
    ratio: float
    """Median over median."""

    @property
    def slower(self) -> bool:
        """Both rules: surely different, and by enough to matter."""
        return self.p_value <= ALPHA and self.ratio >= MIN_RATIO


def mann_whitney(current: Sequence[float], baseline: Sequence[float]) -> Shift:
    """Whether ``current`` is larger than ``baseline``."""
    if not current or not baseline:
        return Shift(p_value=1.0, ratio=1.0)
    before = median(baseline)
    p_value = float(scipy_stats().mannwhitneyu(current, baseline, alternative="greater").pvalue)
    return Shift(p_value=p_value, ratio=median(current) / before if before > 0 else math.inf)


def median(values: Sequence[float]) -> float:
    """The median; raises :class:`ValueError` for nothing."""
    return quantile(values, 0.5)


def quantile(values: Sequence[float], q: float) -> float:
    """Quantile by linear interpolation; raises :class:`ValueError` for nothing."""
    if not values:
        raise ValueError("no values to take a quantile of")
    ordered = sorted(values)
    place = q * (len(ordered) - 1)
    low = math.floor(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def permutation_means(current: Sequence[float], baseline: Sequence[float], *, seed: int, rounds: int = 20_000) -> float:
    """P-value that two means (such as of log probabilities) are equal; exact when there are few ways to split."""
    import numpy as np  # noqa: PLC0415 - see the module's docstring

    if not current or not baseline:
        return 1.0
    pooled, n = np.array([*current, *baseline], dtype=float), len(current)
    if np.ptp(pooled) < 1e-12:
        return 1.0
    total = pooled.sum()

    def distance(sums: Any) -> Any:
        return np.abs(sums / n - (total - sums) / (len(pooled) - n))

    observed = distance(pooled[:n].sum())
    if math.comb(len(pooled), n) <= rounds:
        sums = np.array([pooled[list(chosen)].sum() for chosen in itertools.combinations(range(len(pooled)), n)])
        return float((distance(sums) >= observed - 1e-12).mean())
    rng = np.random.default_rng(seed)
    sums = np.array([rng.permutation(pooled)[:n].sum() for _ in range(rounds)])
    return float((1 + (distance(sums) >= observed - 1e-12).sum()) / (rounds + 1))


PSI_MODERATE = 0.1
PSI_LARGE = 0.25


def psi(current: Mapping[str, float], baseline: Mapping[str, float]) -> float:
    """Population stability index of two distributions over categories: below .1 none, above .25 large.

    Values are counts or shares; a category that one side lacks counts as one in ten thousand.
    """
    total, before = sum(current.values()), sum(baseline.values())
    if total <= 0 or before <= 0:
        return 0.0
    drift = 0.0
    for category in {*current, *baseline}:
        now = max(current.get(category, 0.0) / total, 1e-4)
        then = max(baseline.get(category, 0.0) / before, 1e-4)
        drift += (now - then) * math.log(now / then)
    return drift


# --- Over time ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True, slots=True)
class Sprt:
    """State of a sequential test of a pass rate."""

    decision: Literal["drop", "ok", "continue"]
    llr: float
    n: int


def sprt(passes: Sequence[bool], *, good: float = 0.95, bad: float = 0.80, alpha: float = 0.01,
         beta: float = 0.05) -> Sprt:  # fmt: skip
    """Wald's test: stops as soon as the pass rate is surely ``bad`` (error ``alpha``) or ``good`` (error ``beta``)."""
    upper, lower = math.log((1 - beta) / alpha), math.log(beta / (1 - alpha))
    llr = 0.0
    for n, passed in enumerate(passes, start=1):
        llr += math.log(bad / good) if passed else math.log((1 - bad) / (1 - good))
        if llr >= upper:
            return Sprt(decision="drop", llr=llr, n=n)
        if llr <= lower:
            return Sprt(decision="ok", llr=llr, n=n)
    return Sprt(decision="continue", llr=llr, n=len(passes))


def change_point(events: Sequence[float], exposures: Sequence[float]) -> int | None:
    """Index at which a Poisson rate most likely rose (generalised likelihood ratio); None if that is not sure."""
    best, at = 0.0, None
    whole, exposure = sum(events), sum(exposures)
    for split in range(1, len(events)):
        before, after = sum(events[:split]), sum(events[split:])
        left, right = sum(exposures[:split]), sum(exposures[split:])
        if left <= 0 or right <= 0 or after / right <= before / left:
            continue
        gain = _log_rate(before, left) + _log_rate(after, right) - _log_rate(whole, exposure)
        if gain > best:
            best, at = gain, split
    # 8 nats: about three false alarms in ten thousand for a single split, still rare over a hundred.
    return at if best > 8.0 else None


def _log_rate(events: float, exposure: float) -> float:
    return events * math.log(events / exposure) if events > 0 else 0.0


# --- Many at once -----------------------------------------------------------------------------------------------------


def benjamini_hochberg(p_values: Sequence[float], *, q: float = 0.05) -> tuple[bool, ...]:
    """Which of many tests hold at a false discovery rate of ``q``, in the order given."""
    ranked = sorted(range(len(p_values)), key=lambda i: p_values[i])
    last = max((rank for rank, i in enumerate(ranked, start=1) if p_values[i] <= q * rank / len(ranked)), default=0)
    kept = set(ranked[:last])
    return tuple(i in kept for i in range(len(p_values)))
