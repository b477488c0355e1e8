"""The postmortem's impact: whom it hit, how hard and for how long, as measured; what was not measured is said."""

from collections.abc import Iterable, Iterator, Mapping, Sequence

from bot.domain import measures as timing
from bot.domain import wording
from bot.domain.document import Block, Heading, Picture, Points, Row, Statement, Table, code, quoted, say, strong
from bot.domain.measures import USERS, utc
from bot.domain.reading_words import dollars, figures
from bot.domain.signals import Point, Signal, shown, signal, signals
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict

QUALITY: Mapping[str, tuple[str, ...]] = {
    USERS: ("quality_drop",), "golden_set": ("drop",), "structured_output": ("invalid",),
}  # fmt: skip
"""Probe -> outcomes that say that answers got worse."""
CITED = 12
"""Paid probe runs that are cited; the sum covers all."""


def impact(view: IncidentView) -> Iterator[Block]:
    """What it did to users, errors, latency, quality and money; how long it lasted; then users' number over time."""
    yield _at_a_glance(view)
    yield Points(items=(*_felt(view), _duration(view), *_cost(view)))
    yield from _drawn(each for each in signals(view) if each.probe == USERS)


def verified_signals(view: IncidentView) -> Iterator[Block]:
    """The numbers that judged a mitigation, before and after."""
    yield from _drawn(each for each in signals(view) if each.probe != USERS)


def _drawn(found: Iterable[Signal]) -> Iterator[Block]:
    for each in found:
        yield Heading(title=say(code(each.probe), f": {each.label}, before and after"))
        yield Picture(key=f"signal of {each.probe}", drawn=each)
        yield _before_after(each)


def _at_a_glance(view: IncidentView) -> Table:
    """Users, errors, latency, quality and money: what was measured, and what was not."""
    rows = [
        Row(cells=(say("Users"), say("not measured: the signal counts requests, not people", gap=True))),
        Row(cells=(say("Errors"), _worst(view, {USERS: ("errors",)}, "of users' requests failed"))),
        Row(cells=(say("Latency"), _worst(view, {USERS: ("slow",)}, "for the slowest twentieth of users' requests"))),
        Row(cells=(say("Quality"), _worst(view, QUALITY, "as judged"))),
        Row(cells=(say("Money"), say("not measured: what the incident cost is not in any reading", gap=True))),
    ]
    return Table(heads=("Impact", "At its worst, as measured"), rows=tuple(rows))


def _worst(view: IncidentView, wanted: Mapping[str, tuple[str, ...]], what: str) -> Statement:
    """The reading of this kind that is farthest from normal, in figures; or that there is none."""
    found = [f for f in view.findings if f.verdict is Verdict.ABNORMAL and f.outcome in wanted.get(f.probe, ())]
    if not found:
        if any(f.probe == USERS and f.verdict is Verdict.ABNORMAL for f in view.findings):
            return say("not measured while it was bad", gap=True)
        asked = [f for f in view.findings if f.probe in wanted and f.verdict is Verdict.NORMAL]
        if asked:
            return say("nothing abnormal was read", refs=[f.id for f in asked[-1:]])
        return say("not measured", gap=True)
    worst = _heaviest(found)
    followed = signal(view, worst.probe)
    point = next((p for p in followed.points if p.ref == worst.id), None) if followed else None
    if followed is None or point is None:
        return say(quoted(worst.reading.summary), refs=(worst.id,))
    normally = f", normally {shown(followed, followed.baseline)}" if followed.baseline is not None else ""
    n = f" (n = {point.n:,})" if point.n else ""
    said = what if worst.probe == USERS else followed.label
    return say(f"{shown(followed, point.value)} {said}{normally}{n}", refs=(worst.id,))


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


def _before_after(followed: Signal) -> Table:
    """The first reading, and the last before and after each change; picture and timeline have the rest."""
    rows = tuple(
        Row(
            cells=(
                say(label), say(utc(point.at)), say(shown(followed, point.value)),
                say(shown(followed, followed.baseline) if followed.baseline is not None else "not known"),
                say(_interval(followed, point)), say(wording.VERDICTS[point.verdict][1], refs=(point.ref,)),
            )
        )
        for label, point in _telling(followed)
    )  # fmt: skip
    return Table(heads=("Reading", "Time", "Value", "Normally", "n and 95 % interval", "Verdict"), rows=rows)


def _telling(followed: Signal) -> list[tuple[str, Point]]:
    chosen: dict[str, tuple[str, Point]] = {followed.points[0].ref: ("First", followed.points[0])}
    for change in followed.changes:
        before = [point for point in followed.points if point.at <= change.at]
        if before:
            chosen.setdefault(before[-1].ref, (f"Before: {change.label}", before[-1]))
    last = followed.points[-1]
    chosen.setdefault(last.ref, ("Last", last))
    return sorted(chosen.values(), key=lambda pair: pair[1].at)


def _interval(followed: Signal, point: Point) -> str:
    n = f"n = {point.n:,}" if point.n else "n not given"
    if point.interval is None:
        return n
    low, high = point.interval
    return f"{n}, {shown(followed, low)} to {shown(followed, high)}"
