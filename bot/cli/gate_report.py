"""A gate's verdict for people: in the terminal and as Markdown for a job's summary. Answers are untrusted text."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from bot.domain import wording
from bot.domain.untrusted import line
from diagnostics import paired
from diagnostics.regression import Pair, Regression, by_tag, power_facts
from diagnostics.setups import DIMENSIONS, Setup

LISTED: Final = 12
"""Lost items that the readable report shows; the machine-readable ones have all."""
TITLES: Final = {
    "worse": "WORSE",
    "no_worse": "NO WORSE",
    "undecided": "CANNOT TELL",
    "no_answers": "NO ANSWERS",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """A comparison with what names it."""

    service: str
    golden_set: str
    of: int
    """Items of the set that were chosen to be asked."""
    found: Regression

    @property
    def title(self) -> str:
        return TITLES[self.found.word]


def points(share: float) -> str:
    """A difference of shares in points, such as ``12 points``."""
    return f"{_number(share)} points"


def _number(share: float) -> str:
    value = round(share * 100, 0 if abs(share) >= 0.0995 else 1)
    return f"{value + 0.0:g}"  # never minus zero


def sentence(told: Told) -> str:
    """The verdict in one sentence, with the number that decided it."""
    found = told.found
    result, rule = found.result, found.plan.rule
    low, high = result.interval
    between = f"{paired.CONFIDENCE * 100:.0f} % interval {_number(low)} to {points(high)}"
    match found.word:
        case "worse":
            return f"The candidate answers worse: a drop of {points(result.look.drop)}, {between}."
        case "no_worse":
            surely = " It is surely a little worse." if result.p_value <= rule.alpha and result.look.drop > 0 else ""
            return f"A drop of {points(rule.smallest)} or more is excluded; {between}.{surely}"
        case "undecided":
            seen = f"; {between}" if result.look.pairs else ""
            return f"A drop of {points(rule.smallest)} is neither shown nor excluded: {found.reason}{seen}."
        case "no_answers":
            words = "; ".join(f"{side}: {_counts(errors)}" for side, errors in found.errors.items() if errors)
            return f"No comparison: {found.reason} ({words})."


def text(told: Told) -> str:
    """The report for a terminal or a job's log."""
    return "\n".join(_lines(told))


def _lines(told: Told) -> Iterator[str]:
    found = told.found
    look = found.result.look
    yield f"{told.service}: candidate against baseline on {look.asked} of {told.of} items of {told.golden_set}"
    yield from (f"  {row}" for row in _sides(found))
    yield f"  test        {paired.TEST}, {wording.p_value(found.result.p_value)}; {look.lost} lost, {look.won} won"
    if found.word in ("no_worse", "undecided"):
        yield f"  power       {_power(found)}"
    yield from (f"  {row}" for row in _remarks(found))
    yield f"  cost        {found.tokens:,} tokens, {wording.usd(found.usd)}"
    yield ""
    yield f"{told.title}. {sentence(told)}"
    if found.named is not None:
        yield found.named.sentence()
        yield from (f"  {row}" for row in _trials(found))
    yield from _items("Lost (passed with the baseline):", [pair for pair in found.pairs if pair.word == "lost"])
    rows = [row for row in by_tag(found.pairs) if row["lost"]]
    if rows and found.word != "no_worse":
        yield "By tag, most lost first:"
        yield from (
            f"  {row['tag']}: {row['candidate']} of {row['items']} pass, {row['baseline']} with the baseline"
            for row in rows[:6]
        )


def _sides(found: Regression) -> Iterator[str]:
    n = len(found.compared)
    uneven = len({pair.item.weight for pair in found.compared}) > 1
    sides: tuple[tuple[Literal["baseline", "candidate"], Setup], ...] = (
        ("baseline", found.plan.baseline), ("candidate", found.plan.candidate),
    )  # fmt: skip
    for name, side in sides:
        passed, weighted = found.passed(name), found.weighted(name)
        share = f" ({wording.percent(passed / n)})" if n else ""
        by_weight = f", {wording.percent(weighted)} by weight" if uneven and weighted is not None else ""
        yield f"{name:11} {passed} of {n} pass{share}{by_weight}: {line(side.words(), 160)}"
    yield f"{'differ in':11} {_moved(found)}"


def _moved(found: Regression) -> str:
    plan = found.plan
    if plan.baseline.route:
        return (
            f"route {plan.baseline.route} -> {plan.candidate.route}; what the gateway keeps for them is not known here"
        )
    moved = plan.baseline.moved(plan.candidate)
    told = [
        f"{name} {plan.baseline.shown(name)} -> {plan.candidate.shown(name)}" for name in DIMENSIONS if name in moved
    ]
    return line("; ".join(told), 200) if told else "nothing that is named"


def _power(found: Regression) -> str:
    rule = found.plan.rule
    facts = power_facts(found.result, rule)
    told = f"a drop of {points(rule.smallest)} would have been shown with {wording.percent(found.result.power)}"
    if facts["smallest_drop_shown"]:
        told += f"; with {wording.percent(paired.SHOWN_POWER)} one of {points(facts['smallest_drop_shown'])}"
    if found.word == "undecided" and facts["items_needed"]:
        told += f"; {facts['items_needed']} items would show {points(rule.smallest)} with that chance"
    return told


def _remarks(found: Regression) -> Iterator[str]:
    if found.result.early and not found.stopped:
        yield "stopped     early: enough was known, and the test allows for having looked"
    elif found.stopped:
        yield f"stopped     {found.stopped}"
    judge = found.marking.get("judge")
    if judge:
        agreed = f"agrees with people in {judge['agreed']} of {judge['labels']} labels, kappa {judge['kappa']:.2f}"
        yield f"judge       {judge['name'] or 'not calibrated'}: {agreed}"
    for reason, count in found.not_judged.items():
        yield f"not judged  {count} items: {line(reason, 200)}"
    for side, errors in found.errors.items():
        if errors and found.word != "no_answers":
            yield f"failed      {side}: {_counts(errors)}"


def _counts(errors: Any) -> str:
    return ", ".join(f"{count} x {word}" for word, count in errors.items())


def _trials(found: Regression) -> Iterator[str]:
    plan = found.plan
    for trial in found.named.trials if found.named else ():
        good, bad = plan.baseline.shown(trial.dimension), plan.candidate.shown(trial.dimension)
        way = f"baseline with {trial.dimension} {bad}" if trial.direction == "forwards" else (
            f"candidate with {trial.dimension} {good}"
        )  # fmt: skip
        verb = "worse" if trial.direction == "forwards" else "better"
        said = verb if trial.moved else f"not shown to be {verb}"
        told = f"{trial.passed} of {trial.pairs} pass, {said} ({wording.p_value(trial.p_value)})"
        told = told if trial.pairs else "not asked"
        yield f"{line(way, 120)}: {told}"


def _items(title: str, pairs: Sequence[Pair]) -> Iterator[str]:
    if not pairs:
        return
    yield title
    for pair in pairs[:LISTED]:
        tags = f" [{', '.join(pair.item.tags)}]" if pair.item.tags else ""
        yield f"  {pair.item.id}{tags} {line(pair.why, 120)}: {line(pair.item.input, 90)}"
        yield f"    answered: {line(pair.answer(pair.candidate), 160) or '(nothing)'}"
    if len(pairs) > LISTED:
        yield f"  and {len(pairs) - LISTED} more; the JSON and JUnit reports list all"


# --- Markdown ----------------------------------------------------------------------------------------------------


def markdown(told: Told) -> str:
    """The same for a job's summary: figures as a table, everything untrusted in code spans."""
    found = told.found
    look, n = found.result.look, len(found.compared)
    rows = [
        f"## Gate: {told.title}", "", sentence(told), "",
        *([found.named.sentence(), ""] if found.named else []),
        "| | Pass | What |", "|---|---|---|",
        f"| baseline | {found.passed('baseline')} of {n} | {_code(found.plan.baseline.words())} |",
        f"| candidate | {found.passed('candidate')} of {n} | {_code(found.plan.candidate.words())} |",
        "",
        (f"{look.asked} of {told.of} items of {_code(told.golden_set)}; {look.lost} lost, {look.won} won; "
         f"{paired.TEST}, {wording.p_value(found.result.p_value)}; {found.tokens:,} tokens, "
         f"{wording.usd(found.usd)}."),
    ]  # fmt: skip
    lost = [pair for pair in found.pairs if pair.word == "lost"]
    if lost:
        rows += ["", "| Lost item | Why | Question | Answer |", "|---|---|---|---|"]
        rows += [
            f"| {_code(p.item.id)} | {_code(p.why)} | {_code(p.item.input)} | {_code(p.answer(p.candidate))} |"
            for p in lost[:LISTED]
        ]
    return "\n".join(rows) + "\n"


def _code(text_: str) -> str:
    """A code span in a table cell: no markup, link, mention or further cell is read in it."""
    shown = line(text_, 120).replace("`", "ˋ").replace("|", "¦").strip()
    return f"`{shown}`" if shown else "-"
