"""A probe's reading in words and figures, as the postmortem says it."""

import math

from bot.domain import wording
from bot.domain.document import Part, Statement, code, quoted, say
from diagnostics.model import Finding


def figures(finding: Finding) -> str:
    """Sample size, comparison, certainty and interval; empty for a plain reading."""
    reading = finding.reading
    told = (reading.value, reading.baseline, reading.p_value, *(reading.interval or ()))
    if not all(math.isfinite(number) for number in told if number is not None):
        return "its numbers are not finite"
    parts = [wording.statistics(finding)]
    if reading.interval is not None and reading.value is not None:
        low, high = reading.interval
        parts.append(f"95 % interval {wording.number(low)} to {wording.number(high)}")
    return ", ".join(part for part in parts if part)


def outcome(finding: Finding) -> tuple[Part, ...]:
    """The outcome's word, and what it means where that adds something."""
    plain = wording.OUTCOMES.get(finding.outcome, "")
    return code(finding.outcome, 40), f" ({plain})" if plain and plain != finding.outcome else ""


def brief(finding: Finding | None) -> Statement:
    """Verdict, outcome, summary and figures in one cell."""
    if finding is None:
        return say("not read before", gap=True)
    numbers = figures(finding)
    return say(f"{wording.mark(finding.verdict)} ", code(finding.outcome, 40), ": ", quoted(finding.reading.summary),
               f" ({numbers})" if numbers else "", refs=(finding.id,))  # fmt: skip


def account(finding: Finding) -> Statement:
    """Everything that is known of a reading except what was received."""
    reading = finding.reading
    parts: list[Part] = [f"{wording.VERDICTS[finding.verdict][1].capitalize()}: ", *outcome(finding), ", ",
                         quoted(reading.summary)]  # fmt: skip
    numbers = figures(finding)
    if numbers:
        parts.append(f" ({numbers})")
    if reading.test:
        parts += [", test ", quoted(reading.test, 100)]
    parts.append(f". Took {wording.seconds(finding.elapsed_s)}")
    if reading.tokens or reading.usd:
        parts.append(f", {reading.tokens:,} tokens, {dollars(reading.usd)}")
    if not reading.evidence:
        parts.append("; nothing was received that could be kept")
    return say(*parts, ".", refs=(finding.id,))


def dollars(value: float) -> str:
    """Money in words that no sink takes for anything else."""
    return f"{value:.4f} US dollars" if 0 < value < 0.01 else f"{value:.2f} US dollars"
