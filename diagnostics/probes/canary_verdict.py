"""What a sample of canary answers says: how many failed and why, and how long the first token took."""

import functools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from diagnostics import power, series, statistics
from diagnostics.chat_api import Answer
from diagnostics.model import ProbeContext
from diagnostics.rate_limits import number

LEAST_BASELINE: Final = 20
"""Fewer recorded canaries than this say nothing about latency; the objective is used instead."""
LEAST_UNREPEATED: Final = 3
EFFECT: Final = 0.30
"""Smallest share of failing calls a canary is asked to notice; more where the objective allows many."""
DOUBT: Final = 0.2
"""Several failures with a p-value up to this are neither an incident nor health."""
WAVES: Final = 3
MOST_WAVES: Final = 6
"""While failures leave the answer open; otherwise three are enough."""

_SPECIFIC: Final = (
    "quota_exhausted", "unauthorized", "model_missing", "no_deployment", "bad_request", "capacity", "rate_limited",
    "overloaded", "server_error", "timeout", "connect_error",
)  # fmt: skip
"""Of equally frequent words the first one is told: it says most about the cause."""

_OWN: Final = ("overloaded", "server_error")
"""What a provider says of itself, and not of who asks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """Failures of a sample."""

    n: int
    failed: int
    words: dict[str, int]
    kinds: dict[str, int]
    """The vendor's own names, such as ``503 server_is_overloaded``."""
    who: dict[str, int]
    allowed: float
    """Share of failures that the service's objective allows."""
    p_value: float
    power: float
    request_ids: tuple[str, ...]

    @classmethod
    def of(cls, context: ProbeContext, answers: Sequence[Answer], *, wave: int) -> "Measured":
        """Count and test."""
        failures = [answer.failure for answer in answers if answer.failure]
        allowed = allowed_failures(context)
        ids = [a.headers.get("x-request-id") or a.headers.get("request-id") for a in answers if a.failure]
        return cls(
            n=len(answers),
            failed=len(failures),
            words=dict(Counter(failure.word for failure in failures).most_common()),
            kinds=dict(Counter(failure.describe() for failure in failures).most_common(5)),
            who=dict(Counter(failure.who for failure in failures).most_common()),
            allowed=allowed,
            p_value=statistics.exceedances(len(failures), len(answers), share=allowed),
            power=chance_of_noticing(wave, allowed),
            request_ids=tuple(value[:80] for value in ids if value)[:5],
        )

    @property
    def share(self) -> float:
        return self.failed / self.n if self.n else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return statistics.wilson(self.failed, self.n)

    @property
    def test(self) -> str:
        return f"binomial against the allowed share of {self.allowed:.2g}, one-sided"

    @property
    def word(self) -> str:
        """The commonest word; but where most calls are throttled, failures of the provider's own that are sure by
        themselves come first: who is asked again after a failure is throttled, and nobody fails of being throttled."""
        commonest = max(self.words, key=self._rank)
        own = {word: count for word, count in self.words.items() if word in _OWN}
        if commonest != "rate_limited" or not surely_failing(sum(own.values()), self.n, self.allowed):
            return commonest
        return max(own, key=self._rank)

    def _rank(self, word: str) -> tuple[int, int]:
        return self.words[word], -_SPECIFIC.index(word)

    def sentence(self) -> str:
        if not self.failed:
            return (
                f"{self.n} of {self.n} calls answered (so at most {100 * statistics.rule_of_three(self.n):.0f} % fail)"
            )
        named = list(self.kinds.items())[: 2 if len(self.kinds) == 2 else 1]
        rest = self.failed - sum(count for _, count in named)
        kinds = ", ".join(
            [*(f"{count} x {kind}" for kind, count in named), *([f"{rest} of other kinds"] if rest else [])]
        )
        return f"{self.failed} of {self.n} calls failed ({kinds})"

    def facts(self) -> dict[str, Any]:
        return {
            "failed": self.failed,
            "failure_share": round(self.share, 4),
            "words": self.words,
            "errors": self.kinds,
            "answered_by": self.who,
            "request_ids": list(self.request_ids),
        }


def allowed_failures(context: ProbeContext) -> float:
    """Share of failing calls that the service's objective allows, within reason."""
    return min(0.2, max(0.001, context.service.error_slo))


def surely_failing(failed: int, n: int, allowed: float) -> bool:
    """More failures than the objective allows, and not a single one."""
    return failed >= 2 and statistics.exceedances(failed, n, share=allowed) <= statistics.ALPHA


def undecided(failed: int, n: int, allowed: float) -> bool:
    """Several failures, which may be what the objective allows, or more."""
    return failed >= 2 and statistics.ALPHA < statistics.exceedances(failed, n, share=allowed) <= DOUBT


def failures_ask(failed: int, n: int, waves: int, allowed: float) -> bool:
    """Whether another wave after so many could change what the failures say."""
    if failed == n or (failed >= 3 and surely_failing(failed, n, allowed)):
        return False
    if waves < WAVES:
        return waves == 1 or failed > 0
    return waves < MOST_WAVES and undecided(failed, n, allowed)


@functools.lru_cache(maxsize=256)
def chance_of_noticing(wave: int, allowed: float) -> float:
    """That this very procedure, with ``wave`` calls a wave, finds the smallest share of failures of interest. Exact."""
    effect = max(EFFECT, 3 * allowed)
    chances = [float(p) for p in statistics.scipy_stats().binom.pmf(range(wave + 1), wave, effect)]
    going, noticed = {0: 1.0}, 0.0
    for waves in range(1, MOST_WAVES + 1):
        after: dict[int, float] = {}
        for failed, chance in going.items():
            for more, p in enumerate(chances):
                after[failed + more] = after.get(failed + more, 0.0) + chance * p
        n = waves * wave
        going = {failed: chance for failed, chance in after.items() if failures_ask(failed, n, waves, allowed)}
        ended = ((failed, chance) for failed, chance in after.items() if failed not in going)
        noticed += sum(chance for failed, chance in ended if surely_failing(failed, n, allowed))
    return round(noticed, 3)


@dataclass(frozen=True, kw_only=True, slots=True)
class Latency:
    """Time to the first token of a sample, against its history or, without one, against the objective."""

    slow: bool | None
    """None: cannot tell."""
    values: tuple[float, ...] = ()
    median_s: float | None = None
    baseline_s: float | None = None
    ratio: float | None = None
    p_value: float | None = None
    power: float | None = None
    baseline_n: int = 0
    objective_s: float = 0.0
    token_s: float | None = None
    """Seconds for each further token: a long answer is not a slow provider."""

    @property
    def doubtful(self) -> bool:
        """Neither surely slow nor clearly as usual: more calls could tell."""
        if self.ratio is None or self.p_value is None or self.slow:
            return False
        return self.ratio >= 1.25 and self.p_value < 0.2

    @property
    def test(self) -> str:
        return statistics.MANN_WHITNEY if self.ratio is not None else "median against the latency objective"

    def sentence(self) -> str:
        if self.median_s is None:
            return "no time to first token was measured"
        took = f"first token after {self.median_s:.2f} s"
        if self.ratio is not None:
            return f"{took}, {self.ratio:.1f} times the usual {self.baseline_s:.2f} s{self._history()}"
        state = {True: "above", False: "well below", None: "below"}[self.slow]
        return f"{took}, {state} the objective of {self.objective_s:g} s{self._history()}"

    def _history(self) -> str:
        if self.baseline_n >= series.ENOUGH:
            return ""
        if self.ratio is not None:
            return f" (by {self.baseline_n} canaries so far)"
        return f" (no baseline yet, {self.baseline_n} of {series.ENOUGH})"

    def facts(self) -> dict[str, Any]:
        return {
            "ttft_s": self.median_s,
            "ttft_baseline_s": self.baseline_s,
            "ttft_ratio": self.ratio,
            "ttft_p_value": self.p_value,
            "token_s": self.token_s,
        }


def judge_latency(context: ProbeContext, name: str, answers: Sequence[Answer]) -> Latency:
    """Compare the answered calls with the series ``name``.

    A call that the gateway had to repeat took long because of the failure before, which is not slowness: such calls
    are left out as long as enough others remain.
    """
    every = [answer for answer in answers if answer.completion and answer.first_byte_s > 0]
    once = [answer for answer in every if retries(answer) == 0]
    good = once if len(once) >= LEAST_UNREPEATED else every
    recorded = context.baselines.samples(context.service.name, name, before=context.started_at)
    values = tuple(round(answer.first_byte_s, 4) for answer in good)
    objective = context.service.latency_slo_s
    if not values:
        return Latency(slow=None, baseline_n=len(recorded), objective_s=objective)
    median = statistics.median(values)
    if len(recorded) < LEAST_BASELINE:
        slow = True if median > objective else False if median <= objective / 2 else None
        return Latency(
            slow=slow,
            values=values,
            median_s=median,
            baseline_n=len(recorded),
            objective_s=objective,
            token_s=_token_s(good),
        )
    baseline = [sample.value for sample in recorded]
    shift = statistics.mann_whitney(values, baseline)
    return Latency(
        slow=shift.slower,
        values=values,
        median_s=median,
        baseline_s=round(statistics.median(baseline), 4),
        ratio=round(shift.ratio, 3),
        p_value=shift.p_value,
        power=power.mann_whitney(min(len(baseline), series.ENOUGH), len(values), 2.0),
        baseline_n=len(recorded),
        objective_s=objective,
        token_s=_token_s(good),
    )


def retries(answer: Answer) -> int:
    """How often the gateway says it repeated the call."""
    return int(number(answer.headers.get("x-litellm-num-retries", "")) or 0)


def _token_s(good: Sequence[Answer]) -> float | None:
    paces = [
        (answer.elapsed_s - answer.first_byte_s) / (answer.completion.output_tokens - 1)
        for answer in good
        if answer.completion and answer.completion.output_tokens > 1
    ]
    return round(statistics.median(paces), 5) if paces else None
