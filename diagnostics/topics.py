"""Whether the share of good answers fell because other things are asked, or because the same things are answered worse.

Users who turn to harder topics lower the share over all, while every topic is answered as well as ever (Simpson's
paradox); to roll anything back would then help nobody. So the change is taken apart exactly: what the present mix of
topics would have passed at each topic's usual rate, and what is left beside that. Pure.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from diagnostics import statistics

CMH = "Cochran-Mantel-Haenszel by topic, one-sided, and standardised to the present mix"
ENOUGH_BEFORE = 30
"""Graded answers from which a topic's usual rate is known; with fewer it counts as new."""
MOST_NEW = 0.05
"""Share of the present answers that may be on new topics: of those nobody can say how they are usually answered."""
LEAST_DROP = 0.02
"""Smallest change of a share that matters, in points of 1."""
LEFT_OPEN = 0.5
"""At most this part of the whole fall may still lie within topics, by the interval."""
_Z = 1.96


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """Graded answers on one topic: how many passed of how many, now and before."""

    name: str
    passed: float
    n: float
    passed_before: float
    n_before: float

    @property
    def new(self) -> bool:
        """Whether its usual rate is not known."""
        return self.n_before < ENOUGH_BEFORE

    @property
    def rate(self) -> float:
        return self.passed / self.n if self.n else 0.0

    @property
    def usual(self) -> float:
        return self.passed_before / self.n_before if self.n_before else 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Apart:
    """The change of the pass rate, taken apart. ``within`` and ``mix`` add up to that of the known topics."""

    before: float
    now: float
    n: float
    expected: float
    """What the present mix passes at each topic's usual rate."""
    within: float
    """Change at an unchanged mix: the standardised one."""
    low: float
    high: float
    """Its 95 % interval."""
    p_value: float
    """That answers within topics did not get worse."""
    worse: tuple[str, ...]
    """Topics that surely got worse by themselves, though others may make up for it."""
    new_share: float
    """Share of the present answers that are on topics without a usual rate."""
    grown: str
    """The topic whose share rose most."""
    grown_from: float
    grown_to: float

    @property
    def raw(self) -> float:
        return self.now - self.before

    @property
    def mix(self) -> float:
        """Change by the mix alone."""
        return self.expected - self.before

    @property
    def harder(self) -> float:
        """How many times as many answers fail by the mix alone."""
        return (1.0 - self.expected) / (1.0 - self.before) if self.before < 1.0 else 1.0

    def explains(self, drop: float = 0.0) -> bool:
        """Whether the mix accounts for the fall, and for at least half of one by ``drop`` that another score shows:
        the rate fell, nothing of it that matters lies within topics, and the interval leaves no room for more."""
        fall = -self.raw
        return (
            fall >= LEAST_DROP
            and -self.mix >= LEFT_OPEN * max(fall, drop)
            and self.within > -LEAST_DROP
            and -self.low <= LEFT_OPEN * fall
            and not self.worse
            and self.new_share <= MOST_NEW
        )


def apart(topics: Sequence[Topic]) -> Apart | None:
    """Take the change apart. None with fewer than two known topics that are asked about now: then there is no mix."""
    known = [topic for topic in topics if not topic.new]
    asked = [topic for topic in known if topic.n > 0]
    n, n_before = sum(topic.n for topic in asked), sum(topic.n_before for topic in topics)
    everything = sum(topic.n for topic in topics)
    if len(known) < 2 or not asked:
        return None
    within = sum(topic.n / n * (topic.rate - topic.usual) for topic in asked)
    spread = _Z * math.sqrt(sum((topic.n / n) ** 2 * _variance(topic) for topic in asked))
    shares = {topic.name: (topic.n_before / n_before, topic.n / everything) for topic in topics}
    grown = max(shares, key=lambda name: (shares[name][1] - shares[name][0], name))
    least = statistics.ALPHA / len(asked)
    return Apart(
        before=sum(topic.passed_before for topic in topics) / n_before,
        now=sum(topic.passed for topic in topics) / everything,
        n=everything,
        expected=sum(topic.n / n * topic.usual for topic in asked),
        within=within,
        low=within - spread,
        high=within + spread,
        p_value=cmh_fall(asked),
        worse=tuple(
            topic.name for topic in asked if topic.usual - topic.rate >= statistics.MIN_DROP and _fell(topic) <= least
        ),
        new_share=1.0 - n / everything,
        grown=grown,
        grown_from=shares[grown][0],
        grown_to=shares[grown][1],
    )


def cmh_fall(topics: Sequence[Topic]) -> float:
    """P-value of the Cochran-Mantel-Haenszel test that the pass rate within topics has not fallen."""
    beyond = variance = 0.0
    for topic in topics:
        total, passed = topic.n + topic.n_before, topic.passed + topic.passed_before
        if total > 1.0 and topic.n > 0.0 and topic.n_before > 0.0:
            beyond += topic.passed - topic.n * passed / total
            variance += topic.n * topic.n_before * passed * (total - passed) / (total**2 * (total - 1.0))
    return float(statistics.scipy_stats().norm.cdf(beyond / math.sqrt(variance))) if variance > 0.0 else 1.0


def paired(
    passed: Mapping[str, float], graded: Mapping[str, float], passed_before: Mapping[str, float],
    graded_before: Mapping[str, float],
) -> tuple[Topic, ...]:  # fmt: skip
    """Counts by topic, from one or the other time or both; a topic that nothing was graded on is none."""
    return tuple(
        Topic(name=name, passed=min(passed.get(name, 0.0), n), n=n,
              passed_before=min(passed_before.get(name, 0.0), before), n_before=before)
        for name in sorted({*graded, *graded_before})
        if (n := graded.get(name, 0.0)) + (before := graded_before.get(name, 0.0)) > 0.0
    )  # fmt: skip


def _variance(topic: Topic) -> float:
    """Of the difference of both rates; half an answer of each kind more, so that a few that all pass prove nothing."""
    now, before = (topic.passed + 0.5) / (topic.n + 1.0), (topic.passed_before + 0.5) / (topic.n_before + 1.0)
    return now * (1.0 - now) / topic.n + before * (1.0 - before) / topic.n_before


def _fell(topic: Topic) -> float:
    counts = (topic.passed, topic.n, topic.passed_before, topic.n_before)
    return statistics.fisher_drop(*(round(count) for count in counts))
