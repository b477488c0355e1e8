"""Whether a candidate answers worse than a baseline, by how much, and which dimension did it: the whole of a gate.

An incident asks the same of what production runs now and of what was last known to be good; both use the comparison of
``diagnostics/paired.py`` and the bisection of ``diagnostics/bisect.py``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from diagnostics import paired
from diagnostics.bisect import STOPPED, Bisection, Named
from diagnostics.contest import Contest, Lane, contest, outcome, refused
from diagnostics.golden import GoldenItem
from diagnostics.marking import Marker, described
from diagnostics.purse import Purse
from diagnostics.replay import ItemResult
from diagnostics.setups import Asker, Setup
from diagnostics.tool_calls import said

Word = Literal["no_worse", "worse", "undecided", "no_answers"]
MOST_NOT_JUDGED: Final = 0.5
"""With more of the items not judged than this, what is left does not stand for the set."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What is compared, and how carefully."""

    baseline: Setup
    candidate: Setup
    items: tuple[GoldenItem, ...]
    rule: paired.Rule
    bisect: bool = True


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """One item, asked of both."""

    item: GoldenItem
    baseline: ItemResult
    candidate: ItemResult

    @property
    def outcome(self) -> tuple[bool, bool] | None:
        return outcome(self.baseline, self.candidate)

    @property
    def word(self) -> str:
        """``lost``, ``won``, ``passed`` (both), ``failed`` (both), or ``not_compared``."""
        names = {(True, False): "lost", (False, True): "won", (True, True): "passed", (False, False): "failed"}
        return names[self.outcome] if self.outcome is not None else "not_compared"

    @property
    def why(self) -> str:
        """Why it is as it is: failed checks, a refusal, or what kept it from being judged."""
        result = self.candidate
        if result.answer.failure is not None:
            return f"{'refused' if refused(result) else 'no answer'}: {result.answer.failure.describe()}"
        if result.mark.failed:
            return "fails " + ", ".join(result.mark.failed)
        reasons = [*self.baseline.mark.not_judged, *result.mark.not_judged]
        if self.word != "not_compared":
            return ""
        if self.baseline.answer.failure is not None:
            return f"the baseline gave no answer: {self.baseline.answer.failure.describe()}"
        return f"not judged: {reasons[0]}" if reasons else ""

    def answer(self, result: ItemResult) -> str:
        """What was answered. Untrusted text."""
        return said(result.answer.completion) if result.answer.completion else ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Regression:
    """What the comparison came to."""

    word: Word
    reason: str
    """Why it is undecided, or why there are no answers."""
    result: paired.Result
    pairs: tuple[Pair, ...]
    plan: Plan
    stopped: str
    named: Named | None
    """None: there was nothing to bisect."""
    errors: Mapping[str, Mapping[str, int]]
    """Side -> failure words of its calls."""
    marking: Mapping[str, Any]
    tokens: int
    usd: float

    @property
    def compared(self) -> tuple[Pair, ...]:
        return tuple(pair for pair in self.pairs if pair.outcome is not None)

    def passed(self, side: Literal["baseline", "candidate"]) -> int:
        """How many of the compared items this side passes."""
        return sum(pair.outcome[side == "candidate"] for pair in self.compared if pair.outcome is not None)

    def weighted(self, side: Literal["baseline", "candidate"]) -> float | None:
        """The same as a share by the weights of the file; the tests count every item once."""
        whole = sum(pair.item.weight for pair in self.compared)
        got = sum(p.item.weight for p in self.compared if p.outcome is not None and p.outcome[side == "candidate"])
        return got / whole if whole else None

    @property
    def not_judged(self) -> dict[str, int]:
        """Why items were not judged -> how many."""
        found: dict[str, int] = {}
        for pair in self.pairs:
            for reason in {*pair.baseline.mark.not_judged, *pair.candidate.mark.not_judged}:
                found[reason] = found.get(reason, 0) + 1
        return found


async def compare(plan: Plan, asker: Asker, marker: Marker, purse: Purse) -> Regression:
    """Ask both sides, judge, and name what moved if the candidate is worse. Raises
    :class:`diagnostics.setups.SetupError`."""
    sides = (asker.side("baseline", plan.baseline), asker.side("candidate", plan.candidate))
    done = await contest(plan.items, sides[0], [sides[1]], plan.rule, marker=marker, purse=purse)
    (candidate,) = done.others
    pairs = _pairs(done, candidate)
    result = candidate.outcome
    assert result is not None  # a contest leaves no lane without one
    word, reason = _word(done, result, pairs)
    named = None
    if word == "worse" and plan.bisect and not plan.candidate.route:
        bisection = Bisection(
            good=plan.baseline, bad=plan.candidate, asker=asker, items=plan.items, marker=marker, purse=purse
        )
        named = await bisection.run()
    return Regression(
        word=word,
        reason=reason,
        result=result,
        pairs=pairs,
        plan=plan,
        stopped=done.stopped,
        named=named,
        errors={"baseline": done.first.errors, "candidate": candidate.errors},
        marking=described(marker),
        tokens=purse.spent_tokens,
        usd=round(purse.spent_usd, 6),
    )


def _pairs(done: Contest, candidate: Lane) -> tuple[Pair, ...]:
    return tuple(
        Pair(item=then.item, baseline=then, candidate=now)
        for then, now in zip(done.first.results, candidate.results, strict=True)
    )


def _word(done: Contest, result: paired.Result, pairs: Sequence[Pair]) -> tuple[Word, str]:
    if done.stopped == "failing":
        return "no_answers", STOPPED["failing"]
    not_judged = sum(pair.outcome is None for pair in pairs)
    if result.decided and not_judged <= MOST_NOT_JUDGED * len(pairs):
        return result.word, ""
    if not_judged > MOST_NOT_JUDGED * len(pairs):
        return "undecided", f"{not_judged} of {len(pairs)} items could not be compared"
    if done.stopped == "budget" and not pairs:
        tokens, usd = done.first.side.most(done.items[0])
        return (
            "undecided",
            f"the budget does not cover one question, which may cost {tokens:,} tokens, {usd:.4f} USD",
        )
    if done.stopped:
        return "undecided", STOPPED[done.stopped]
    return "undecided", "too few items for a drop of this size to be shown or excluded"


def power_facts(result: paired.Result, rule: paired.Rule) -> dict[str, Any]:
    """What these items could have shown, and how many would be needed."""
    return {
        "smallest_drop": rule.smallest,
        "power": round(result.power, 4),
        "smallest_drop_shown": paired.smallest_shown(result.look.pairs, alpha=rule.alpha)
        if result.look.pairs
        else None,
        "shown_with": paired.SHOWN_POWER,
        "items_needed": paired.items_needed(rule.smallest, alpha=rule.alpha),
    }


def by_tag(pairs: Sequence[Pair]) -> list[dict[str, Any]]:
    """Tag -> how both sides do, most lost first: which kind of question suffers. No verdicts of their own: with many
    tags some would look bad by chance."""
    tags = sorted({tag for pair in pairs for tag in pair.item.tags})
    rows = []
    for tag in tags:
        seen = [pair.outcome for pair in pairs if tag in pair.item.tags and pair.outcome is not None]
        if seen:
            rows.append({
                "tag": tag, "items": len(seen), "baseline": sum(was for was, _ in seen),
                "candidate": sum(now for _, now in seen), "lost": seen.count((True, False)),
                "won": seen.count((False, True)),
            })  # fmt: skip
    return sorted(rows, key=lambda row: (row["won"] - row["lost"], row["tag"]))
