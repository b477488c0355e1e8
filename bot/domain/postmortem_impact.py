"""The postmortem's impact: whom it hit, how hard and for how long, as measured; what was not measured is said."""

from collections.abc import Iterator, Sequence

from bot.domain import measures as timing
from bot.domain import wording
from bot.domain.document import Block, Heading, Picture, Points, Row, Statement, Table, code, quoted, say, strong
from bot.domain.measures import USERS, utc
from bot.domain.reading_words import dollars, figures
from bot.domain.signals import Point, Signal, shown, signals
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict

CITED = 12
"""Paid probe runs that are cited; the sum covers all."""


def impact(view: IncidentView) -> Iterator[Block]:
    """What users noticed, how long it lasted, what looking cost; then each number before and after."""
    yield Points(items=(*_felt(view), _duration(view), *_cost(view)))
    for each in signals(view):
        yield Heading(title=say(code(each.probe), f": {each.label}"))
        yield Picture(key=f"signal of {each.probe}", drawn=each)
        yield _before_after(each)


def _felt(view: IncidentView) -> Iterator[Statement]:
    readings = [f for f in view.findings if f.probe == USERS]
    telling = [f for f in readings if f.verdict in (Verdict.ABNORMAL, Verdict.NORMAL)]
    if not telling:
        yield say("What users noticed was not measured.", refs=[f.id for f in readings[-1:]], gap=not readings)
        for finding in readings[-1:]:
            yield say("The probe said: ", quoted(finding.reading.summary), ".", refs=(finding.id,))
        return
    worst = [f for f in telling if f.verdict is Verdict.ABNORMAL]
    if worst:
        yield _reading("First seen", worst[0])
        heaviest = _heaviest(worst)
        if heaviest is not worst[0]:
            yield _reading("Worst", heaviest)
    if telling[-1] not in worst[:1]:
        yield _reading("Last read", telling[-1])
    yield say("How many different people were affected was not measured: the signal counts requests.", gap=True)


def _heaviest(findings: Sequence[Finding]) -> Finding:
    """The reading farthest from normal, among those that say the same as the first."""
    alike = [f for f in findings if f.outcome == findings[0].outcome]
    return max(alike, key=lambda f: abs((f.reading.value or 0.0) - (f.reading.baseline or 0.0)))


def _reading(when: str, finding: Finding) -> Statement:
    numbers = figures(finding)
    return say(strong(f"{when}, {utc(finding.started_at)}: "), quoted(finding.reading.summary),
               f" ({numbers})" if numbers else "", refs=(finding.id,))  # fmt: skip


def _cost(view: IncidentView) -> Iterator[Statement]:
    paid = [f for f in view.findings if f.reading.tokens or f.reading.usd]
    tokens, spent = sum(f.reading.tokens for f in paid), sum(f.reading.usd for f in paid)
    if paid:
        runs = wording.plural(len(paid), "probe run")
        yield say(
            f"Looking into it cost {tokens:,} tokens, {dollars(spent)}, in {runs}.", refs=[f.id for f in paid[:CITED]]
        )
    else:
        yield say("Looking into it cost no tokens.", refs=(view.incident.id,))
    yield say("What the incident itself cost was not measured.", gap=True)


def _duration(view: IncidentView) -> Statement:
    whole = next(m for m in timing.measures(view) if m.key == "duration")
    start = timing.began(view)
    if whole.seconds is None:
        return say(f"It began at {utc(start.at)} and is not resolved.", refs=(start.ref,))
    return say(f"It lasted {wording.duration(whole.seconds)}, from {utc(start.at)} until it was resolved.",
               refs=whole.refs)  # fmt: skip


def _before_after(signal: Signal) -> Table:
    """The first reading, and the last before and after each change; picture and timeline have the rest."""
    rows = tuple(
        Row(
            cells=(
                say(label), say(utc(point.at)), say(shown(signal, point.value)),
                say(shown(signal, signal.baseline) if signal.baseline is not None else "not known"),
                say(_interval(signal, point)), say(wording.VERDICTS[point.verdict][1], refs=(point.ref,)),
            )
        )
        for label, point in _telling(signal)
    )  # fmt: skip
    return Table(heads=("Reading", "Time", "Value", "Normally", "n and 95 % interval", "Verdict"), rows=rows)


def _telling(signal: Signal) -> list[tuple[str, Point]]:
    chosen: dict[str, tuple[str, Point]] = {signal.points[0].ref: ("First", signal.points[0])}
    for change in signal.changes:
        before = [point for point in signal.points if point.at <= change.at]
        if before:
            chosen.setdefault(before[-1].ref, (f"Before: {change.label}", before[-1]))
    last = signal.points[-1]
    chosen.setdefault(last.ref, ("Last", last))
    return sorted(chosen.values(), key=lambda pair: pair[1].at)


def _interval(signal: Signal, point: Point) -> str:
    n = f"n = {point.n:,}" if point.n else "n not given"
    if point.interval is None:
        return n
    low, high = point.interval
    return f"{n}, {shown(signal, low)} to {shown(signal, high)}"
