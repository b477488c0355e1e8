"""The same questions asked of several setups at the same time, each compared with the first one, within a budget.

Asked together, a bad minute of the provider hits all alike. A setup about which enough is known is asked no further.
"""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from diagnostics import paired
from diagnostics.golden import GoldenItem
from diagnostics.marking import Marker
from diagnostics.purse import BudgetGone, Purse
from diagnostics.replay import PARALLEL, ItemResult, one, short_of_tokens, too_many
from diagnostics.setups import Side

OWN_FAULT: Final = ("bad_request", "model_missing")
"""A refusal of what we sent: the setup's own failure, not the provider's bad minute."""


@dataclass(slots=True)
class Lane:
    """One side, and what it has answered so far, in the order asked."""

    side: Side
    results: list[ItemResult] = field(default_factory=list)
    outcome: paired.Result | None = None
    """Against the first lane; None for that one itself, and before anything was asked."""

    @property
    def failed(self) -> int:
        """Calls that got no answer through no fault of the setup."""
        return sum(not result.answered and not refused(result) for result in self.results)

    @property
    def errors(self) -> dict[str, int]:
        """Failure words -> how many."""
        return dict(Counter(r.answer.failure.word for r in self.results if r.answer.failure).most_common())


@dataclass(frozen=True, kw_only=True, slots=True)
class Contest:
    """What came of it."""

    items: tuple[GoldenItem, ...]
    first: Lane
    others: tuple[Lane, ...]
    stopped: str = ""
    """``failing``, ``headroom``, ``budget``, or empty: all was asked, or enough was known."""


def refused(result: ItemResult) -> bool:
    """Whether the call was refused because of what was sent."""
    return result.answer.failure is not None and result.answer.failure.word in OWN_FAULT


def outcome(then: ItemResult, now: ItemResult) -> tuple[bool, bool] | None:
    """(passed then, passes now); None if the two cannot be compared. What is refused has not passed."""
    sides = [result.passed if result.judged else False if refused(result) else None for result in (then, now)]
    return None if sides[0] is None or sides[1] is None else (sides[0], sides[1])


@dataclass(frozen=True, kw_only=True, slots=True)
class _Asking:
    """Asks batches, and pays for them."""

    lanes: tuple[Lane, ...]
    known: Mapping[str, ItemResult]
    marker: Marker
    purse: Purse
    slots: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(PARALLEL))

    @property
    def live(self) -> list[Lane]:
        """The first lane, and those of the others about which not enough is known."""
        return [self.lanes[0], *(o for o in self.lanes[1:] if o.outcome is None or not o.outcome.decided)]

    async def ask(self, batch: Sequence[GoldenItem]) -> list[ItemResult]:
        """Ask all live lanes, and return what was asked anew. Raises :class:`BudgetGone`: then nothing counts."""
        live = self.live
        calls = sum(not self._answered(lane, item) for lane in live for item in batch)
        if not self.purse.affords(calls):
            raise BudgetGone
        results = await asyncio.gather(
            *(self._one(lane, item) for lane in live for item in batch), return_exceptions=True
        )
        done = [_raised(result) for result in results]
        for number, lane in enumerate(live):
            lane.results += done[number * len(batch) : (number + 1) * len(batch)]
        return [result for result in done if self.known.get(result.item.id) is not result]

    async def _one(self, lane: Lane, item: GoldenItem) -> ItemResult:
        if self._answered(lane, item):
            return self.known[item.id]
        asked, marked = lane.side.most(item), self.marker.most(item, lane.side.limit)
        async with self.slots:
            aside = await self.purse.reserve(asked[0] + marked[0], asked[1] + marked[1])
            result = await one(item, lane.side.ask, self.marker)
            await self.purse.settle(aside, result.tokens, lane.side.usd(result.answer) + result.mark.usd)
        return result

    def _answered(self, lane: Lane, item: GoldenItem) -> bool:
        return lane is self.lanes[0] and item.id in self.known


async def contest(
    items: Sequence[GoldenItem], first: Side, others: Sequence[Side], rule: paired.Rule, *, marker: Marker,
    purse: Purse, known: Mapping[str, ItemResult] | None = None, higher: bool = False,
) -> Contest:  # fmt: skip
    """Ask the items of all sides, in batches, until about each of the others enough is known.

    ``known``: answers of the first side that need not be asked again. ``higher``: it is tested whether the others are
    better than the first one, not worse.
    """
    lanes = (Lane(side=first), *(Lane(side=side) for side in others))
    asking = _Asking(lanes=lanes, known=known or {}, marker=marker, purse=purse)
    stopped = ""
    for start in range(0, len(items), PARALLEL):
        batch = items[start : start + PARALLEL]
        live = asking.live
        if len(live) < 2:
            break
        try:
            newest = await asking.ask(batch)
        except BudgetGone:
            stopped = "budget"
            break
        for lane in live[1:]:
            lane.outcome = _compared(lanes[0], lane, rule, higher=higher)
        stopped = _trouble(live, newest)
        if stopped:
            break
    for lane in lanes[1:]:
        if lane.outcome is None or not lane.outcome.decided:
            lane.outcome = _compared(lanes[0], lane, rule, higher=higher, ended=True)
    return Contest(items=tuple(items), first=lanes[0], others=lanes[1:], stopped=stopped)


def _raised(result: ItemResult | BaseException) -> ItemResult:
    if isinstance(result, BaseException):
        raise result
    return result


def _trouble(live: Sequence[Lane], newest: Sequence[ItemResult]) -> str:
    first = live[0]
    # The first side is the measure: when it is refused, nothing can be measured by it.
    lost = [first.failed + sum(map(refused, first.results)), *(lane.failed for lane in live[1:])]
    if any(too_many(failed, len(lane.results)) for failed, lane in zip(lost, live, strict=True)):
        return "failing"
    return "headroom" if short_of_tokens([result.answer for result in newest]) else ""


def _compared(first: Lane, lane: Lane, rule: paired.Rule, *, higher: bool, ended: bool = False) -> paired.Result:
    pairs = [outcome(then, now) for then, now in zip(first.results, lane.results, strict=False)]
    if higher:
        pairs = [pair and (pair[1], pair[0]) for pair in pairs]
    return paired.judge(pairs, rule, step=PARALLEL, ended=ended)
