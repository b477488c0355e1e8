"""Which of several dimensions moved the answers: each is changed alone, and the same questions are asked again.

First forwards: the good setup with one dimension of the bad one; what breaks it by itself is named. If none does, then
backwards: the bad setup with one dimension put back; what mends it is named as part of a combination. The side that
all are compared with is asked anew, so that luck of an earlier round does not name anybody.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from diagnostics import paired, statistics
from diagnostics.contest import Contest, Lane, contest
from diagnostics.golden import GoldenItem
from diagnostics.marking import Marker
from diagnostics.purse import Purse
from diagnostics.replay import ItemResult
from diagnostics.setups import Asker, Dimension, Setup

ALPHA: Final = 0.05
"""Chance of naming any dimension that has moved nothing, shared by all that are tried. It names a suspect among known
changes after a drop was shown; the drop itself is held to a stricter one."""

How = Literal["only", "alone", "together", "none", "unknown"]
"""``only``: nothing else differs, so nothing was asked. ``alone``: each by itself makes it worse. ``together``: none
does by itself, and putting one of these back mends it. ``none``: neither. ``unknown``: it could not be asked."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One dimension changed alone."""

    dimension: Dimension
    direction: Literal["forwards", "backwards"]
    passed: int
    pairs: int
    p_value: float
    moved: bool
    stopped: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Named:
    """The dimensions that differ, and those of them that moved the answers."""

    moved: tuple[Dimension, ...]
    """In what the two setups differ."""
    culprits: tuple[Dimension, ...]
    how: How
    trials: tuple[Trial, ...] = ()
    reason: str = ""
    """Why it is not known, if so."""

    def sentence(self) -> str:
        """One plain sentence."""
        names = " and ".join(self.culprits)
        match self.how:
            case "only":
                return f"What moved: {names}, the only thing that differs."
            case "alone":
                verb = "it alone makes" if len(self.culprits) == 1 else "each of them alone makes"
                return f"What moved: {names}; {verb} the answers worse."
            case "together":
                return f"What moved: a combination. Nothing alone breaks the answers; putting {names} back mends them."
            case "none":
                tried = ", ".join(self.moved)
                if not self.moved:
                    return "Nothing that the two setups name differs: the drop comes from elsewhere."
                return f"None of {tried} could be named: none alone makes a difference that so many items can show."
            case "unknown":
                return f"What moved among {', '.join(self.moved)} is not known: {self.reason}."

    def plain(self) -> dict[str, Any]:
        """Plain facts for a report."""
        return {
            "differ": list(self.moved), "named": list(self.culprits), "how": self.how, "reason": self.reason,
            "trials": [
                {"dimension": t.dimension, "direction": t.direction, "passed": t.passed, "of": t.pairs,
                 "p_value": t.p_value, "moved": t.moved, "stopped": t.stopped}
                for t in self.trials
            ],
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Bisection:
    """The good setup, the bad one, and what they are asked."""

    good: Setup
    bad: Setup
    asker: Asker
    items: tuple[GoldenItem, ...]
    marker: Marker
    purse: Purse
    known: Mapping[str, ItemResult] | None = None
    """Fresh answers of the good setup, if there are any already: those need not be asked again."""

    async def run(self) -> Named:
        """Name what moved. Raises :class:`diagnostics.setups.SetupError` when a mix cannot be asked."""
        moved = self.good.moved(self.bad)
        if len(moved) < 2:
            return Named(moved=moved, culprits=moved, how="only" if moved else "none")
        forwards = await self._all(moved, forwards=True)
        trials = _trials(moved, forwards, forwards=True)
        culprits = tuple(trial.dimension for trial in trials if trial.moved)
        if culprits:
            return Named(moved=moved, culprits=culprits, how="alone", trials=trials)
        if forwards.stopped:
            return Named(moved=moved, culprits=(), how="unknown", trials=trials, reason=STOPPED[forwards.stopped])
        backwards = await self._all(moved, forwards=False)
        trials += (back := _trials(moved, backwards, forwards=False))
        culprits = tuple(trial.dimension for trial in back if trial.moved)
        if culprits:
            return Named(moved=moved, culprits=culprits, how="together", trials=trials)
        if backwards.stopped:
            return Named(moved=moved, culprits=(), how="unknown", trials=trials, reason=STOPPED[backwards.stopped])
        return Named(moved=moved, culprits=(), how="none", trials=trials)

    async def _all(self, moved: Sequence[Dimension], *, forwards: bool) -> Contest:
        base, other = (self.good, self.bad) if forwards else (self.bad, self.good)
        first = self.asker.side("good" if forwards else "bad", base)
        sides = [self.asker.side(name, base.with_of(other, name)) for name in moved]
        rule = paired.Rule(planned=len(self.items), alpha=ALPHA / len(moved), smallest=statistics.MIN_DROP)
        return await contest(
            self.items, first, sides, rule, marker=self.marker, purse=self.purse,
            known=self.known if forwards else None, higher=not forwards,
        )  # fmt: skip


STOPPED: Final = {
    "budget": "the budget is used up",
    "failing": "too many calls failed",
    "headroom": "little of the provider's token limit is left",
}
"""Why nobody was asked any more, in words."""


def _trials(moved: Sequence[Dimension], done: Contest, *, forwards: bool) -> tuple[Trial, ...]:
    return tuple(_trial(name, lane, done, forwards=forwards) for name, lane in zip(moved, done.others, strict=True))


def _trial(name: Dimension, lane: Lane, done: Contest, *, forwards: bool) -> Trial:
    found = lane.outcome
    assert found is not None  # a contest leaves no lane without one
    judged = [result for result in lane.results if result.judged]
    return Trial(
        dimension=name,
        direction="forwards" if forwards else "backwards",
        passed=sum(result.passed for result in judged),
        pairs=found.look.pairs,
        p_value=found.p_value,
        moved=found.word == "worse" and done.stopped != "failing",
        stopped=done.stopped if not found.decided else "",
    )
