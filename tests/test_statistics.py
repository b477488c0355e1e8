"""The tests that probes decide by reproduce the published figures and known exact values."""

import random
import subprocess
import sys

import pytest
from scipy import stats

from diagnostics import power, statistics

FISHER_TABLE = {
    (200, 20): {0.90: 0.05, 0.85: 0.16, 0.80: 0.34, 0.70: 0.72, 0.60: 0.93},
    (200, 40): {0.90: 0.08, 0.85: 0.31, 0.80: 0.61, 0.70: 0.95, 0.60: 1.0},
    (200, 60): {0.90: 0.12, 0.85: 0.46, 0.80: 0.78, 0.70: 0.99, 0.60: 1.0},
    (500, 60): {0.90: 0.16, 0.85: 0.55, 0.80: 0.86, 0.70: 1.0, 0.60: 1.0},
    (1000, 100): {0.90: 0.29, 0.85: 0.82, 0.80: 0.98, 0.70: 1.0, 0.60: 1.0},
}
MCNEMAR_TABLE = {
    60: {0.05: 0.05, 0.10: 0.29, 0.15: 0.62, 0.20: 0.84},
    100: {0.05: 0.15, 0.10: 0.62, 0.15: 0.92, 0.20: 0.99},
    200: {0.05: 0.46, 0.10: 0.96, 0.15: 1.0, 0.20: 1.0},
}
MANN_WHITNEY_TABLE = {(5, 2.0): 0.71, (10, 2.0): 0.96, (20, 1.5): 0.84, (30, 1.25): 0.45}


@pytest.mark.parametrize("design", FISHER_TABLE)
def test_fisher_power_is_the_published_table(design: tuple[int, int]) -> None:
    baseline_n, n = design

    computed = {share: power.fisher(0.95, baseline_n, share, n) for share in FISHER_TABLE[design]}

    assert computed == pytest.approx(FISHER_TABLE[design], abs=0.0051)


@pytest.mark.parametrize("n", MCNEMAR_TABLE)
def test_mcnemar_power_is_the_published_table_within_its_simulation_error(n: int) -> None:
    computed = {drop: power.mcnemar(n, drop) for drop in MCNEMAR_TABLE[n]}

    assert computed == pytest.approx(MCNEMAR_TABLE[n], abs=0.03)


@pytest.mark.parametrize("design", MANN_WHITNEY_TABLE)
def test_mann_whitney_power_is_the_published_table_within_its_simulation_error(design: tuple[int, float]) -> None:
    n, ratio = design

    assert power.mann_whitney(200, n, ratio) == pytest.approx(MANN_WHITNEY_TABLE[design], abs=0.06)


def test_exceedance_power_counts_the_tail() -> None:
    assert power.exceedances(20, 0.5) == pytest.approx(float(stats.binom.sf(4, 20, 0.5)))
    assert power.exceedances(20, 0.05) <= 0.01


def test_rate_power_is_what_simulation_finds() -> None:
    rng = random.Random(5)
    baseline_events, baseline_n, n, raised = 15, 3000, 400, 0.03
    found = sum(
        statistics.rate_rise(sum(rng.random() < raised for _ in range(n)), n, baseline_events, baseline_n) <= 1e-3
        for _ in range(600)
    )

    assert power.rate(baseline_events, baseline_n, n, raised) == pytest.approx(found / 600, abs=0.06)


def test_without_observations_no_test_finds_anything() -> None:
    assert statistics.fisher_drop(0, 0, 190, 200) == 1.0
    assert statistics.mcnemar_drop(0, 0) == 1.0
    assert statistics.rate_rise(5, 0, 1, 100) == 1.0
    assert statistics.mann_whitney([], [1.0]).p_value == 1.0
    assert statistics.permutation_means([], [1.0], seed=1) == 1.0
    assert power.rate(0, 0, 100, 0.1) == 0.0
    assert power.mann_whitney(0, 5, 2.0) == 0.0


def test_fisher_agrees_with_the_reference_in_both_directions() -> None:
    drop = statistics.fisher_drop(48, 60, 190, 200)
    rise = statistics.fisher_rise(12, 60, 10, 200)

    assert drop == pytest.approx(stats.fisher_exact([[48, 12], [190, 10]], alternative="less").pvalue)
    assert rise == pytest.approx(drop)


def test_mcnemar_looks_only_at_items_that_changed() -> None:
    assert statistics.mcnemar_drop(8, 1) == pytest.approx(10 / 512)
    assert statistics.mcnemar_drop(1, 8) > 0.99


def test_a_rate_is_compared_by_the_exact_conditional_binomial() -> None:
    expected = stats.binomtest(9, 9 + 10, 300 / 3300, alternative="greater").pvalue

    assert statistics.rate_rise(9, 300, 10, 3000) == pytest.approx(expected)
    assert statistics.rate_rise(1, 300, 10, 3000) > 0.2


def test_a_slowdown_needs_certainty_and_size() -> None:
    rng = random.Random(3)
    baseline = [rng.lognormvariate(0.0, 0.3) for _ in range(200)]
    slow = [2 * rng.lognormvariate(0.0, 0.3) for _ in range(10)]
    hardly = [1.25 * rng.lognormvariate(0.0, 0.3) for _ in range(200)]

    assert statistics.mann_whitney(slow, baseline).slower
    assert statistics.mann_whitney(hardly, baseline).p_value < 0.01
    assert not statistics.mann_whitney(hardly, baseline).slower


def test_wilson_is_the_published_interval() -> None:
    assert statistics.wilson(18, 20) == pytest.approx((0.699, 0.972), abs=0.001)
    assert statistics.wilson(54, 60) == pytest.approx((0.799, 0.953), abs=0.001)
    assert statistics.wilson(0, 0) == (0.0, 1.0)


def test_no_failure_in_n_bounds_the_rate() -> None:
    assert statistics.rule_of_three(59) <= 0.05 < statistics.rule_of_three(58)
    assert statistics.rule_of_three(299) <= 0.01 < statistics.rule_of_three(298)


def test_silence_alarms_once_enough_was_expected() -> None:
    assert statistics.zero_events(statistics.ZERO_TRAFFIC_EXPECTED + 0.01) < 0.01
    assert statistics.zero_events(3) > 0.01


def test_sprt_keeps_its_published_error_rates_and_length() -> None:
    rng = random.Random(11)

    def run(share: float) -> tuple[float, float]:
        runs = [statistics.sprt([rng.random() < share for _ in range(2000)]) for _ in range(1500)]
        return (sum(r.decision == "drop" for r in runs) / len(runs), sum(r.n for r in runs) / len(runs))

    rejected, length = run(0.80)
    assert rejected == pytest.approx(0.95, abs=0.03)
    assert length == pytest.approx(34, abs=3)
    rejected, length = run(0.95)
    assert rejected <= 0.02
    assert length == pytest.approx(32, abs=3)


def test_psi_grades_a_drift() -> None:
    baseline = {"stop": 95.0, "length": 3.0, "tool_calls": 2.0}

    assert statistics.psi(baseline, baseline) == pytest.approx(0.0)
    assert statistics.psi({"stop": 93.0, "length": 5.0, "tool_calls": 2.0}, baseline) < statistics.PSI_MODERATE
    assert statistics.psi({"stop": 60.0, "length": 38.0, "tool_calls": 2.0}, baseline) > statistics.PSI_LARGE
    assert statistics.psi({"stop": 60.0, "refusal": 40.0}, baseline) > statistics.PSI_LARGE


def test_permutation_is_exact_for_few_values_and_repeatable_for_many() -> None:
    rng = random.Random(2)
    before = [rng.gauss(-1.0, 0.01) for _ in range(30)]
    shifted = [rng.gauss(-1.05, 0.01) for _ in range(10)]
    same = [rng.gauss(-1.0, 0.01) for _ in range(10)]

    assert statistics.permutation_means([2.0, 2.1], [1.0, 1.1, 1.2], seed=1) == pytest.approx(0.1)
    assert statistics.permutation_means(shifted, before, seed=1, rounds=2000) < 1e-3
    assert statistics.permutation_means(same, before, seed=1, rounds=2000) > 0.01
    assert statistics.permutation_means([1.0, 1.0], [1.0, 1.0], seed=1) == 1.0
    assert statistics.permutation_means(same, before, seed=4, rounds=500) == statistics.permutation_means(
        same, before, seed=4, rounds=500
    )


def test_a_change_point_is_named_only_when_sure() -> None:
    errors = [1, 0, 2, 1, 0, 1, 30, 28, 33]

    assert statistics.change_point(errors, [400] * 9) == 6
    assert statistics.change_point([1, 0, 2, 1, 0, 1, 1, 2, 0], [400] * 9) is None
    assert statistics.change_point([], []) is None


def test_many_tests_are_held_to_one_false_discovery_rate() -> None:
    assert statistics.benjamini_hochberg([0.001, 0.04, 0.03, 0.9]) == (True, False, False, False)
    assert statistics.benjamini_hochberg([0.001, 0.02, 0.03, 0.9]) == (True, True, True, False)
    assert statistics.benjamini_hochberg([]) == ()


@pytest.mark.parametrize("warm", [True, False])
def test_after_the_warm_up_half_an_import_of_torch_in_another_thread_does_no_harm(warm: bool) -> None:
    code = f"""
import sys, types
from diagnostics import statistics
if {warm}:
    statistics.warm_up()
else:
    statistics.scipy_stats()
sys.modules["torch"] = types.ModuleType("torch")  # as it is while it is being imported
print(statistics.scipy_stats().mannwhitneyu([1.0, 2.0, 5.0], [2.0, 3.0], alternative="greater").pvalue)
print(statistics.fisher_drop(3, 10, 9, 10), statistics.scipy_stats().binom.pmf(range(4), 3, 0.2))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
    assert (done.returncode == 0) is warm, done.stderr
