"""Whether answers to the same questions became worse: one comparison for an incident and for a delivery pipeline.

Both sides answer the same items, and only items that differ say anything: *lost* ones passed then and fail now, *won*
ones the other way round. If nothing changed, a difference falls on either side like a fair coin.

Looking early and often would find a drop by luck sooner or later. So the error that is allowed is spent bit by bit
(``SPENDING``), exactly: at every look the chance that fair coins would have stopped us by now is summed up, given how
many items differed. Whatever happens, a comparison that should find nothing finds a drop with at most ``alpha``. The
interval of the drop is widened at each look so that all of them hold at once.
"""

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from diagnostics import power, statistics

TEST: Final = f"sequential {statistics.MCNEMAR}"
SPENDING: Final = 1.5
"""After a share t of the items, ``alpha * t ** SPENDING`` may have been spent: large drops are found early, and hardly
any power is lost at the end."""
CONFIDENCE: Final = 0.90
"""Of the interval of the drop, two-sided: a drop that matters is called absent with at most half of the rest."""
EARLY: Final = 0.2
"""Share of the interval's error that all looks before the last may use up together, so that it holds at every look."""
SHOWN_POWER: Final = 0.80
"""A drop that is shown with this chance is one that the set can see."""
USUAL: Final = 0.20
"""A drop that nobody overlooks; sixty items show it."""

Word = Literal["worse", "no_worse", "undecided"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """Totals after some of the items."""

    asked: int
    """Items behind us, compared or not."""
    pairs: int
    """Items that both sides answered and that could be judged."""
    lost: int
    won: int

    @property
    def drop(self) -> float:
        """Share lost, less share won."""
        return (self.lost - self.won) / self.pairs if self.pairs else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rule:
    """What is decided, and with which errors."""

    planned: int
    """Items to ask at most."""
    alpha: float = statistics.ALPHA
    """Chance of finding a drop where there is none."""
    smallest: float = 0.10
    """The smallest drop that matters."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """What the looks so far say."""

    word: Word
    look: Look
    p_value: float
    interval: tuple[float, float]
    """Of the drop, wide enough for having looked before."""
    power: float
    """Chance that a drop of the smallest size that matters would have been shown by all pairs there are."""
    early: bool = False
    """Whether it was decided before all items were asked."""

    @property
    def decided(self) -> bool:
        return self.word != "undecided"


def looks(outcomes: Sequence[tuple[bool, bool] | None], step: int) -> list[Look]:
    """The totals after every ``step`` items, and after the last. An outcome is (passed then, passes now); None: the
    item could not be compared."""
    found, pairs, lost, won = [], 0, 0, 0
    for number, outcome in enumerate(outcomes, start=1):
        if outcome is not None:
            pairs += 1
            lost += outcome == (True, False)
            won += outcome == (False, True)
        if number % step == 0 or number == len(outcomes):
            found.append(Look(asked=number, pairs=pairs, lost=lost, won=won))
    return found


@dataclass(frozen=True, kw_only=True, slots=True)
class Signed:
    """The sequential test after the newest look."""

    p_value: float
    """Chance that fair coins would have gone so far by now, or stopped us earlier."""
    sure: bool


def signed(seen: Sequence[Look], rule: Rule, *, ended: bool) -> Signed:
    """The sequential McNemar test over these looks. ``ended``: there will be no further look, for a reason that has
    nothing to do with the answers (all asked, or the budget used up), so all that is left of the error may be used."""
    alive = {0: 1.0}
    spent, tossed = 0.0, 0
    state = Signed(p_value=1.0, sure=False)
    for number, look in enumerate(seen):
        for _ in range(look.lost + look.won - tossed):
            alive = _tossed(alive)
        tossed = look.lost + look.won
        share = min(1.0, look.asked / rule.planned) if rule.planned else 1.0
        last = ended and number == len(seen) - 1
        allowed = rule.alpha if last else rule.alpha * share**SPENDING
        beyond, bound = _beyond(alive, allowed - spent)
        tail = sum(chance for count, chance in alive.items() if count >= look.lost)
        state = Signed(p_value=min(1.0, spent + tail), sure=bound is not None and look.lost >= bound)
        if state.sure:
            return state
        if bound is not None:
            alive = {count: chance for count, chance in alive.items() if count < bound}
            spent += beyond
    return state


def _tossed(alive: dict[int, float]) -> dict[int, float]:
    """One more fair coin: lost or won."""
    after: dict[int, float] = {}
    for count, chance in alive.items():
        after[count] = after.get(count, 0.0) + chance / 2
        after[count + 1] = after.get(count + 1, 0.0) + chance / 2
    return after


def _beyond(alive: dict[int, float], allowed: float) -> tuple[float, int | None]:
    """The largest end of the distribution that is still allowed: its chance, and where it begins."""
    beyond, bound = 0.0, None
    for count in sorted(alive, reverse=True):
        if beyond + alive[count] > allowed + 1e-15:
            break
        beyond, bound = beyond + alive[count], count
    return beyond, bound


def judge(outcomes: Sequence[tuple[bool, bool] | None], rule: Rule, *, step: int, ended: bool = False) -> Result:
    """What is known after these outcomes, in the order asked. ``ended`` as in :func:`signed`.

    *worse*: surely worse, and a drop that matters is not excluded (before the end: it is as large already).
    *no worse*: the whole interval lies below the smallest drop that matters.
    """
    ended = ended or len(outcomes) >= rule.planned
    seen = looks(outcomes, step)
    look = seen[-1] if seen else Look(asked=0, pairs=0, lost=0, won=0)
    state = signed(seen, rule, ended=ended)
    interval = _interval(look, len(range(step, rule.planned, step)), last=ended)
    word: Word = "undecided"
    if interval[1] < rule.smallest:
        word = "no_worse"
    elif state.sure and (ended or look.drop >= rule.smallest):
        word = "worse"
    return Result(
        word=word,
        look=look,
        p_value=state.p_value,
        interval=interval,
        power=power.mcnemar(look.pairs, rule.smallest, alpha=rule.alpha) if look.pairs else 0.0,
        early=len(outcomes) < rule.planned and word != "undecided",
    )


def _interval(look: Look, early_looks: int, *, last: bool) -> tuple[float, float]:
    error = 1 - CONFIDENCE
    if early_looks:
        error *= 1 - EARLY if last else EARLY / early_looks
    return tango(look.lost, look.won, look.pairs, z=_z(error / 2))


@functools.lru_cache(maxsize=256)
def _z(error: float) -> float:
    return float(statistics.scipy_stats().norm.isf(error))


def tango(lost: int, won: int, n: int, *, z: float) -> tuple[float, float]:
    """Score interval of a paired difference of shares (Tango 1998): holds its level also with few or no differences.

    Returns the bounds of ``share lost - share won``; the whole range without pairs.
    """
    if n == 0:
        return (-1.0, 1.0)
    estimate = (lost - won) / n
    return (_edge(lost, won, n, z, estimate, -1.0), _edge(lost, won, n, z, estimate, 1.0))


def _edge(lost: int, won: int, n: int, z: float, inside: float, outside: float) -> float:
    """Where the score statistic reaches ``z``, between the estimate and the end of the range; by bisection."""
    if abs(_score(lost, won, n, outside)) <= z:
        return outside
    for _ in range(60):
        middle = (inside + outside) / 2
        if abs(_score(lost, won, n, middle)) <= z:
            inside = middle
        else:
            outside = middle
    return (inside + outside) / 2


def _score(lost: int, won: int, n: int, difference: float) -> float:
    """The score statistic at a hypothetical difference, its nuisance parameter by maximum likelihood."""
    b = -lost - won + (2 * n - lost + won) * difference
    c = -won * difference * (1 - difference)
    other = (math.sqrt(max(0.0, b * b - 8 * n * c)) - b) / (4 * n)
    variance = n * (2 * other + difference * (1 - difference))
    distance = lost - won - n * difference
    if variance <= 1e-15:
        return 0.0 if abs(distance) < 1e-12 else math.copysign(math.inf, distance)
    return distance / math.sqrt(variance)


def items_needed(drop: float, *, alpha: float = statistics.ALPHA, shown: float = SHOWN_POWER) -> int | None:
    """How many items show a drop of this size with this chance; None if two thousand do not."""
    low, high = 4, 8
    while power.mcnemar(high, drop, alpha=alpha) < shown:
        low, high = high, 2 * high
        if high > 2_048:
            return None
    while low + 1 < high:
        middle = (low + high) // 2
        low, high = (low, middle) if power.mcnemar(middle, drop, alpha=alpha) >= shown else (middle, high)
    return high


def guarded(n: int, *, alpha: float = statistics.ALPHA) -> float:
    """The drop to guard against where nobody has said which one matters: what ``n`` items show, or :data:`USUAL`."""
    return min(USUAL, smallest_shown(n, alpha=alpha) or USUAL)


def smallest_shown(n: int, *, alpha: float = statistics.ALPHA, shown: float = SHOWN_POWER) -> float | None:
    """The smallest drop, in whole points, that ``n`` items show with this chance; None if none does."""
    return next((p / 100 for p in range(1, 91) if power.mcnemar(n, p / 100, alpha=alpha) >= shown), None)
