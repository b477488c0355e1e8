"""Asking the questions of a golden set, a few at a time, until the end or until there is a reason to stop."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final

from diagnostics.chat_api import Answer
from diagnostics.golden import GoldenItem, GoldenSet
from diagnostics.rate_limits import read_limits

PARALLEL: Final = 8
MOST_FAILING: Final = 0.2
"""More calls failing than this share say nothing about quality."""
LEAST_HEADROOM: Final = 0.20
"""With less of the token limit left than this, asking on would worsen a rate-limit incident."""

Ask = Callable[[GoldenItem], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemResult:
    """One question asked."""

    item: GoldenItem
    answer: Answer
    failed_checks: tuple[str, ...] = ()

    @property
    def answered(self) -> bool:
        return self.answer.completion is not None

    @property
    def passed(self) -> bool:
        return self.answered and not self.failed_checks


@dataclass(frozen=True, kw_only=True, slots=True)
class Replay:
    """The questions asked so far, and why no more were."""

    results: tuple[ItemResult, ...]
    stopped: str = ""
    """``failing``, ``headroom``, what the caller's own rule said, or empty: all were asked."""

    @property
    def answered(self) -> tuple[ItemResult, ...]:
        return tuple(result for result in self.results if result.answered)

    @property
    def failing(self) -> bool:
        """Too many calls failed to judge the rest by."""
        failed = len(self.results) - len(self.answered)
        return failed >= 3 and failed > MOST_FAILING * len(self.results)

    @property
    def errors(self) -> dict[str, int]:
        """Failure words of the calls that got no answer."""
        return dict(Counter(r.answer.failure.word for r in self.results if r.answer.failure).most_common())


def chosen(golden: GoldenSet, n: int) -> tuple[GoldenItem, ...]:
    """``n`` items, the same ones every time and in no order a writer could have meant."""
    ranked = sorted(golden.items, key=lambda item: hashlib.sha256(item.id.encode()).digest())
    return tuple(ranked[:n])


async def replay(items: Sequence[GoldenItem], ask: Ask, *, stop: Callable[[Sequence[ItemResult]], str]) -> Replay:
    """Ask in batches of eight. After each, ``stop`` may name a reason to stop; empty goes on."""
    results: list[ItemResult] = []
    for first in range(0, len(items), PARALLEL):
        batch = items[first : first + PARALLEL]
        answers = await asyncio.gather(*(ask(item) for item in batch))
        results += [_checked(item, answer) for item, answer in zip(batch, answers, strict=True)]
        so_far = Replay(results=tuple(results))
        reason = "failing" if so_far.failing else "headroom" if _short(answers) else stop(results)
        if reason and len(results) < len(items):
            return Replay(results=tuple(results), stopped=reason)
    return Replay(results=tuple(results))


def _checked(item: GoldenItem, answer: Answer) -> ItemResult:
    failed = item.failed_checks(answer.completion.text) if answer.completion else ()
    return ItemResult(item=item, answer=answer, failed_checks=failed)


def _short(answers: Sequence[Answer]) -> bool:
    """Whether the newest answers report that little of a token limit is left."""
    limits = [limit for answer in answers for limit in read_limits(answer.headers)]
    return any(
        limit.share is not None and limit.share < LEAST_HEADROOM for limit in limits if "token" in limit.dimension
    )
