"""Marking an answer: the checks that its text decides, then those that need an embedding model or a judge.

What cannot be judged here is said to be so, with the reason; it is neither a pass nor a failure. An item that fails by
its text alone has failed, whatever a judge would say, and nothing is spent on it.
"""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from diagnostics.golden import GoldenItem, GoldenSet
from diagnostics.golden_checks import MAX_ANSWER, Similar
from diagnostics.item_file import ItemFileError
from diagnostics.judge import Calibration, Judge, judge_of
from diagnostics.model import ProbeContext, TextEmbedder
from diagnostics.purse import Purse

NO_EMBEDDER: Final = "no embedding model is set up here"
NO_JUDGE: Final = "no judge: declare one under 'judges' in the catalogue, and name it in the service's 'judge'"
UNCLEAR: Final = "the judge gave no clear answer"


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """What became of an answer."""

    failed: tuple[str, ...] = ()
    """Kinds of the checks that do not hold."""
    not_judged: tuple[str, ...] = ()
    """Why it could not be judged; empty if it could, or failed anyhow."""
    tokens: int = 0
    usd: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Marker:
    """Marks answers. Without help it marks by their text alone."""

    embedder: TextEmbedder | None = None
    judge: Judge | None = None
    """A calibrated one."""
    no_judge: str = NO_JUDGE
    calibration: Calibration | None = None
    _vectors: dict[str, tuple[float, ...]] = field(default_factory=dict)

    def most(self, item: GoldenItem, answer_tokens: int) -> tuple[int, float]:
        """Tokens and US dollars that marking one answer costs at most."""
        rubrics = [check.rubric for check in item.checks if check.rubric is not None] if self.judge else []
        costs = [self.judge.most(rubric, item.input, 4 * answer_tokens) for rubric in rubrics if self.judge]
        return sum(tokens for tokens, _ in costs), sum(usd for _, usd in costs)

    async def mark(self, item: GoldenItem, answer: str) -> Mark:
        """Mark one answer. Raises whatever the embedding model raises."""
        failed = item.failed_checks(answer)
        if failed or not item.needs:
            return Mark(failed=failed)
        reasons: list[str] = []
        for check in item.checks:
            if check.similar is not None:
                alike = await self._alike(check.similar, answer)
                failed += ("similar",) if alike is False else ()
                reasons += [NO_EMBEDDER] if alike is None else []
        if failed:
            return Mark(failed=failed)
        return await self._judged(item, answer, reasons)

    async def _judged(self, item: GoldenItem, answer: str, reasons: list[str]) -> Mark:
        rubrics = [check.rubric for check in item.checks if check.rubric is not None]
        if rubrics and self.judge is None:
            return Mark(not_judged=(*reasons, self.no_judge))
        failed: tuple[str, ...] = ()
        tokens, usd = 0, 0.0
        for rubric in rubrics:
            assert self.judge is not None
            opinion = await self.judge.opinion(rubric, item.input, answer)
            tokens, usd = tokens + opinion.tokens, usd + opinion.usd
            failed += ("rubric",) if opinion.meets is False else ()
            reasons += [UNCLEAR] if opinion.meets is None else []
        return Mark(failed=failed, not_judged=() if failed else tuple(reasons), tokens=tokens, usd=usd)

    async def _alike(self, check: Similar, answer: str) -> bool | None:
        if self.embedder is None:
            return None
        if check.to not in self._vectors:
            self._vectors[check.to] = await self._vector(check.to)
        wanted, got = self._vectors[check.to], await self._vector(answer[:MAX_ANSWER])
        return sum(a * b for a, b in zip(wanted, got, strict=True)) >= check.at_least

    async def _vector(self, text: str) -> tuple[float, ...]:
        assert self.embedder is not None
        # A model holds the processor for milliseconds to seconds: not in the event loop.
        (vector,) = await asyncio.to_thread(self.embedder.embed, [text])
        return tuple(vector)


async def marker_for(golden: GoldenSet, context: ProbeContext, purse: Purse | None = None) -> Marker:
    """The marker of a set, its judge calibrated if the set has rubrics and the service has a judge.

    What is wrong with the judge becomes the reason why items are not judged. Raises nothing for that. ``purse`` pays.
    """
    if "rubric" not in golden.needs:
        return Marker(embedder=context.embedder)
    try:
        judge = judge_of(context.service, context.catalogue, context.http, Path(context.golden_root))
    except ItemFileError as error:
        return Marker(embedder=context.embedder, no_judge=f"the judge's labels cannot be used: {error.problems[0]}")
    if judge is None:
        return Marker(embedder=context.embedder)
    calibration = await judge.calibrate(purse or Purse())
    if calibration.reason:
        why = f"the judge {judge.declared.name} is not calibrated: {calibration.reason}"
        return Marker(embedder=context.embedder, no_judge=why, calibration=calibration)
    return Marker(embedder=context.embedder, judge=judge, calibration=calibration)


def described(marker: Marker) -> Mapping[str, object]:
    """Plain facts of the help that marking had."""
    found: dict[str, object] = {}
    if marker.calibration is not None:
        made = marker.calibration
        found["judge"] = {
            "name": marker.judge.name if marker.judge else "", "labels": made.labels, "agreed": made.agreed,
            "kappa": made.kappa, "interval": [round(edge, 4) for edge in made.interval], "not_calibrated": made.reason,
            "labels_digest": marker.judge.labels.digest if marker.judge else "",
        }  # fmt: skip
    return found
