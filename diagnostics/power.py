"""What a test could have shown: the chance that it would have found the smallest effect of interest.

By exact sums where that is cheap, by seeded simulation otherwise; every answer is cached, because the same designs
come back with every run. A probe without power says ``inconclusive``, never ``normal``.
"""

import functools

from diagnostics import statistics

ENOUGH = 0.5
"""Below this a test that found nothing has shown nothing."""


@functools.lru_cache(maxsize=4096)
def fisher(baseline_share: float, baseline_n: int, share: float, n: int, *, alpha: float = statistics.ALPHA) -> float:
    """Power of :func:`statistics.fisher_drop` when the pass rate really went from one share to the other. Exact."""
    import numpy as np  # noqa: PLC0415 - see diagnostics.statistics

    stats = statistics.scipy_stats()
    now = np.arange(n + 1)
    chance_now = stats.binom.pmf(now, n, share)
    chance_before = stats.binom.pmf(np.arange(baseline_n + 1), baseline_n, baseline_share)
    power = 0.0
    for before in np.flatnonzero(chance_before > 1e-9):
        p_values = stats.hypergeom.cdf(now, n + baseline_n, before + now, n)
        power += chance_before[before] * chance_now[p_values <= alpha].sum()
    return float(power)


@functools.lru_cache(maxsize=4096)
def mcnemar(n: int, drop: float, *, churn: float = 0.02, alpha: float = statistics.ALPHA) -> float:
    """Power of :func:`statistics.mcnemar_drop` on ``n`` items: a share ``drop + churn`` of them is lost, and
    ``churn`` of the others won, as answers vary by themselves. Exact."""
    import numpy as np  # noqa: PLC0415 - see diagnostics.statistics

    stats = statistics.scipy_stats()
    power = 0.0
    for lost in range(1, n + 1):
        chance = stats.binom.pmf(lost, n, drop + churn)
        if chance < 1e-12:
            continue
        won = np.arange(n - lost + 1)
        found = stats.binom.sf(lost - 1, lost + won, 0.5) <= alpha
        power += chance * (stats.binom.pmf(won, n - lost, churn) * found).sum()
    return float(power)


@functools.lru_cache(maxsize=4096)
def rate(baseline_events: int, baseline_exposure: float, exposure: float, raised: float, *,
         alpha: float = statistics.ALPHA_COUNTS) -> float:  # fmt: skip
    """Power of :func:`statistics.rate_rise`, given the baseline that was seen, for a true rate of ``raised``. Exact."""
    expected = raised * exposure
    if expected <= 0 or baseline_exposure <= 0:
        return 0.0
    low, high = 1, max(8, int(expected + 12 * expected**0.5) + 1)
    while low < high:  # the smallest count that would be called a rise
        middle = (low + high) // 2
        found = statistics.rate_rise(middle, exposure, baseline_events, baseline_exposure) <= alpha
        low, high = (low, middle) if found else (middle + 1, high)
    return float(statistics.scipy_stats().poisson.sf(low - 1, expected))


@functools.lru_cache(maxsize=512)
def mann_whitney(baseline_n: int, n: int, ratio: float, *, sigma: float = 0.5, alpha: float = statistics.ALPHA,
                 rounds: int = 600) -> float:  # fmt: skip
    """Power of :func:`statistics.mann_whitney` for log-normal latencies that became ``ratio`` times slower.
    ``sigma`` is their spread on the log scale. Seeded simulation, good to two points."""
    import numpy as np  # noqa: PLC0415 - see diagnostics.statistics

    if n == 0 or baseline_n == 0:
        return 0.0
    rng = np.random.default_rng(7)
    before = rng.lognormal(0.0, sigma, (rounds, baseline_n))
    now = rng.lognormal(float(np.log(ratio)), sigma, (rounds, n))
    stats = statistics.scipy_stats()
    p_values = stats.mannwhitneyu(now, before, alternative="greater", axis=1).pvalue
    return float((p_values <= alpha).mean())


def exceedances(n: int, share: float, *, normal: float = 0.05, alpha: float = statistics.ALPHA) -> float:
    """Power of :func:`statistics.exceedances` when ``share`` of the sample really lies beyond. Exact."""
    stats = statistics.scipy_stats()
    critical = int(stats.binom.isf(alpha, n, normal)) + 1
    return float(stats.binom.sf(critical - 1, n, share))
