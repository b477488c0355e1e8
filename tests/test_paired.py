"""The paired comparison keeps the errors it promises, however often it is looked at, and finds what is there."""

import itertools
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from diagnostics import paired, power, statistics
from diagnostics.paired import Look, Rule, judge, looks, signed, tango

LOST, WON, SAME = (True, False), (False, True), (True, True)
Outcome = tuple[bool, bool] | None


def stops(outcomes: list[Outcome], rule: Rule, step: int = 8) -> paired.Result:
    """Look after every step, as whoever asks does, and stop at the first decision."""
    for n in range(step, len(outcomes) + step, step):
        result = judge(outcomes[:n], rule, step=step)
        if result.decided:
            return result
    return result


def drawn(rng: random.Random, n: int, lost: float, won: float) -> list[Outcome]:
    return rng.choices([LOST, WON, SAME], [lost, won, 1 - lost - won], k=n)


# --- A drop where there is none ----------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.01, 0.05])
@pytest.mark.parametrize("grown", [(1, 2, 3, 9), (8, 8, 8, 8), (0, 4, 7, 10), (2, 7, 7, 10)])
def test_fair_coins_stop_it_with_at_most_alpha_exactly(grown: tuple[int, ...], alpha: float) -> None:
    """Every way that the coins can fall, with its chance: no simulation."""
    rule = Rule(planned=8 * len(grown), alpha=alpha)
    found = 0
    for coins in itertools.product((0, 1), repeat=grown[-1]):
        seen = [
            Look(asked=8 * number, pairs=8 * number, lost=sum(coins[:count]), won=count - sum(coins[:count]))
            for number, count in enumerate(grown, start=1)
        ]
        found += any(signed(seen[: n + 1], rule, ended=n + 1 == len(seen)).sure for n in range(len(seen)))
    assert found / 2 ** grown[-1] <= alpha


def test_a_set_asked_twice_is_seldom_called_worse_or_better_than_it_is() -> None:
    rng = random.Random(11)
    rule = Rule(planned=60, smallest=paired.guarded(60))
    words = [stops(drawn(rng, 60, 0.03, 0.03), rule).word for _ in range(150)]

    assert words.count("worse") <= 4
    assert words.count("no_worse") > 140


@given(st.lists(st.sampled_from([LOST, WON, SAME, None]), min_size=1, max_size=60))
@settings(max_examples=60, deadline=None)
def test_what_is_sure_stays_sure_and_its_p_value_is_below_alpha(outcomes: list[Outcome]) -> None:
    rule = Rule(planned=60, alpha=0.05)
    was = False
    for n in range(8, len(outcomes) + 8, 8):
        seen = looks(outcomes[:n], 8)
        state = signed(seen, rule, ended=n >= len(outcomes))
        assert state.sure or not was
        assert not state.sure or state.p_value <= 0.05 + 1e-12
        assert 0 <= state.p_value <= 1
        was = state.sure


@given(lost=st.integers(0, 40), won=st.integers(0, 40))
def test_with_one_look_it_is_the_ordinary_test(lost: int, won: int) -> None:
    state = signed([Look(asked=80, pairs=80, lost=lost, won=won)], Rule(planned=80), ended=True)

    assert state.p_value == pytest.approx(statistics.mcnemar_drop(lost, won), abs=1e-9)
    assert state.sure == (statistics.mcnemar_drop(lost, won) <= 0.01)


def test_what_is_left_of_the_error_may_be_used_when_the_budget_ends_it() -> None:
    outcomes: list[Outcome] = [LOST] * 7 + [SAME] * 17
    rule = Rule(planned=60)

    assert not judge(outcomes, rule, step=8).decided
    assert judge(outcomes, rule, step=8, ended=True).word == "worse"


# --- A drop where there is one -----------------------------------------------------------------------------------


@pytest.mark.parametrize("drop", [0.15, 0.20, 0.30])
def test_looking_early_costs_hardly_any_power(drop: float) -> None:
    rng = random.Random(5)
    found = [stops(drawn(rng, 60, drop + 0.02, 0.02), Rule(planned=60, smallest=0.05)) for _ in range(150)]
    share = sum(result.word == "worse" for result in found) / len(found)

    assert share >= power.mcnemar(60, drop) - 0.10


def test_a_large_drop_is_found_early_and_a_small_one_not() -> None:
    rng = random.Random(3)
    large = [stops(drawn(rng, 60, 0.5, 0.02), Rule(planned=60)) for _ in range(100)]
    small = [stops(drawn(rng, 60, 0.12, 0.02), Rule(planned=60)) for _ in range(100)]

    assert all(result.word == "worse" for result in large)
    assert sum(result.look.asked for result in large) / 100 < 30
    assert sum(result.early for result in small) < 40


def test_before_the_end_a_drop_must_be_as_large_as_the_smallest_that_matters() -> None:
    outcomes: list[Outcome] = ([LOST] * 6 + [SAME] * 94) * 6
    rule = Rule(planned=2000, smallest=0.10)

    assert signed(looks(outcomes, 8), rule, ended=False).sure
    assert judge(outcomes, rule, step=8).word != "worse"


def test_a_drop_that_is_sure_and_too_small_to_matter_is_no_failure() -> None:
    outcomes: list[Outcome] = ([LOST] * 4 + [SAME] * 96) * 6
    result = judge(outcomes, Rule(planned=600, smallest=0.10), step=8)

    assert result.p_value < 0.01
    assert result.word == "no_worse"


def test_much_of_a_large_set_need_not_be_asked_when_all_is_well() -> None:
    outcomes: list[Outcome] = ([LOST] + [SAME] * 49 + [WON] + [SAME] * 49) * 5
    result = stops(outcomes, Rule(planned=500, smallest=0.10))

    assert (result.word, result.early) == ("no_worse", True)
    assert result.look.asked < 300


def test_too_few_items_leave_it_undecided() -> None:
    result = judge([SAME] * 10, Rule(planned=10, smallest=0.05), step=8)

    assert result.word == "undecided"
    assert result.power < 0.1


def test_items_that_cannot_be_compared_are_left_out() -> None:
    result = judge([LOST, None, None, WON, SAME], Rule(planned=5), step=8)

    assert (result.look.asked, result.look.pairs, result.look.lost, result.look.won) == (5, 3, 1, 1)


# --- The interval ------------------------------------------------------------------------------------------------


def test_the_interval_of_no_difference_is_the_score_interval() -> None:
    z = 1.96
    assert tango(0, 0, 60, z=z)[1] == pytest.approx(z * z / (60 + z * z), abs=1e-6)
    assert tango(0, 0, 0, z=z) == (-1.0, 1.0)


@given(lost=st.integers(0, 30), won=st.integers(0, 30), same=st.integers(0, 60), z=st.floats(0.5, 4))
def test_the_interval_holds_the_estimate_and_turns_with_the_sides(lost: int, won: int, same: int, z: float) -> None:
    n = lost + won + same
    low, high = tango(lost, won, n, z=z)

    assert -1 <= low <= high <= 1
    assert n == 0 or low - 1e-9 <= (lost - won) / n <= high + 1e-9
    assert tango(won, lost, n, z=z) == pytest.approx((-high, -low), abs=1e-6)


@pytest.mark.parametrize(("n", "drop", "churn"), [(60, 0.15, 0.02), (60, 0.15, 0.05), (120, 0.10, 0.02)])
def test_a_drop_that_matters_is_called_absent_with_at_most_five_in_a_hundred(n: int, drop: float, churn: float) -> None:
    """At the last look, where most of that error lies: summed over all outcomes."""
    wrong = 0.0
    for lost in range(n + 1):
        for won in range(min(n - lost, 20) + 1):
            chance = stats.multinomial.pmf([lost, won, n - lost - won], n, [drop + churn, churn, 1 - drop - 2 * churn])
            if chance > 1e-9 and tango(lost, won, n, z=float(stats.norm.isf(0.04)))[1] < drop:
                wrong += chance
    assert wrong <= 0.05


def test_the_interval_holds_the_truth_at_whatever_look_it_stopped() -> None:
    rng = random.Random(9)
    results = [stops(drawn(rng, 60, 0.27, 0.02), Rule(planned=60)) for _ in range(150)]
    missed = sum(not result.interval[0] <= 0.25 <= result.interval[1] for result in results)

    assert any(result.early for result in results)
    assert missed <= 20


# --- Planning ----------------------------------------------------------------------------------------------------


def test_how_many_items_a_drop_needs() -> None:
    needed = paired.items_needed(0.10)

    assert needed is not None
    assert power.mcnemar(needed, 0.10) >= 0.80 > power.mcnemar(needed - 1, 0.10) - 0.02
    assert paired.smallest_shown(needed) == 0.10
    assert paired.items_needed(0.005) is None
    assert (paired.guarded(10), paired.guarded(60)) == (0.20, 0.19)
