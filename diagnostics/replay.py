"""Asking the questions of a golden set, a few at a time, until the end or until there is a reason to stop."""

import asyncio
import hashlib
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from diagnostics.chat_api import Answer
from diagnostics.golden import GoldenItem, GoldenSet
from diagnostics.marking import Mark, Marker
from diagnostics.rate_limits import read_limits
from diagnostics.tool_calls import said

PARALLEL: Final = 8
MOST_FAILING: Final = 0.2
"""More calls failing than this share say nothing about quality."""
LEAST_HEADROOM: Final = 0.20
"""With less of the token limit left than this, asking on would worsen a rate-limit incident."""
_BY_TEXT: Final = Marker()

Ask = Callable[[GoldenItem], Awaitable[Answer]]


@dataclass(frozen=True, kw_only=True, slots=True)
class ItemResult:
    """One question asked."""

    item: GoldenItem
    answer: Answer
    mark: Mark = field(default_factory=Mark)

    @property
    def answered(self) -> bool:
        return self.answer.completion is not None

    @property
    def judged(self) -> bool:
        """Answered, and either passed or failed."""
        return self.answered and not self.mark.not_judged

    @property
    def passed(self) -> bool:
        return self.judged and not self.mark.failed

    @property
    def failed_checks(self) -> tuple[str, ...]:
        return self.mark.failed

    @property
    def tokens(self) -> int:
        """Of the answer, and of judging it."""
        return self.answer.tokens + self.mark.tokens


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
    def judged(self) -> tuple[ItemResult, ...]:
        """What there is to count."""
        return tuple(result for result in self.results if result.judged)

    @property
    def failing(self) -> bool:
        """Too many calls failed to judge the rest by."""
        return too_many(len(self.results) - len(self.answered), len(self.results))

    @property
    def errors(self) -> dict[str, int]:
        """Failure words of the calls that got no answer."""
        return dict(Counter(r.answer.failure.word for r in self.results if r.answer.failure).most_common())

    @property
    def not_judged(self) -> dict[str, int]:
        """Why answers could not be judged -> how many."""
        return dict(Counter(reason for r in self.answered for reason in set(r.mark.not_judged)).most_common())


def too_many(failed: int, asked: int) -> bool:
    """Whether so many calls failed that the rest says nothing."""
    return failed >= 3 and failed > MOST_FAILING * asked


def chosen(golden: GoldenSet, n: int) -> tuple[GoldenItem, ...]:
    """``n`` items, the same ones every time and in no order a writer could have meant."""
    ranked = sorted(golden.items, key=lambda item: hashlib.sha256(item.id.encode()).digest())
    return tuple(ranked[:n])


async def replay(
    items: Sequence[GoldenItem], ask: Ask, *, stop: Callable[[Sequence[ItemResult]], str], marker: Marker = _BY_TEXT
) -> Replay:
    """Ask in batches of eight. After each, ``stop`` may name a reason to stop; empty goes on."""
    results: list[ItemResult] = []
    for first in range(0, len(items), PARALLEL):
        batch = items[first : first + PARALLEL]
        done = await asyncio.gather(*(one(item, ask, marker) for item in batch))
        results += done
        so_far = Replay(results=tuple(results))
        short = short_of_tokens([result.answer for result in done])
        reason = "failing" if so_far.failing else "headroom" if short else stop(results)
        if reason and len(results) < len(items):
            return Replay(results=tuple(results), stopped=reason)
    return Replay(results=tuple(results))


async def one(item: GoldenItem, ask: Ask, marker: Marker) -> ItemResult:
    """Ask one question, and mark the answer."""
    answer = await ask(item)
    mark = await marker.mark(item, said(answer.completion)) if answer.completion else Mark()
    return ItemResult(item=item, answer=answer, mark=mark)


def short_of_tokens(answers: Sequence[Answer]) -> bool:
    """Whether these answers report that little of a token limit is left."""
    limits = [limit for answer in answers for limit in read_limits(answer.headers)]
    return any(
        limit.share is not None and limit.share < LEAST_HEADROOM for limit in limits if "token" in limit.dimension
    )
