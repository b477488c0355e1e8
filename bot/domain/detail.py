"""What stands below the card, in its thread: arguments, evidence and how the answer moved. Slack mrkdwn, escaped."""

from collections.abc import Iterator

from bot.domain import wording
from bot.domain.card import newest_findings
from bot.domain.untrusted import escape, line, quote
from bot.domain.view import IncidentView
from diagnostics.model import Argument, Finding, Hypothesis

MAX_HYPOTHESES = 5
MAX_ARGUMENTS = 6


def detail(view: IncidentView) -> tuple[str, ...]:
    """One message each for the differential, the evidence and the runbook; what there is nothing of is left out."""
    parts = ("\n".join(part) for part in (differential(view), evidence(view), deltas(view), retrieval(view)))
    return tuple(part for part in parts if part)


def differential(view: IncidentView) -> list[str]:
    """Each hypothesis with what speaks for and against it, in bits, strongest first."""
    if view.diagnosis is None:
        return []
    lines = ["*What speaks for what*"]
    for hypothesis in view.diagnosis.ranked[:MAX_HYPOTHESES]:
        lines += _hypothesis(hypothesis)
    rest = len(view.diagnosis.ranked) - MAX_HYPOTHESES
    if rest > 0:
        lines.append(f"{wording.plural(rest, 'other cause')} less likely than these.")
    if view.diagnosis.reason:
        lines.append(f"It stopped here because: {quote(view.diagnosis.reason)}.")
    return lines


def evidence(view: IncidentView) -> list[str]:
    """Every finding with its evidence id, number and statistics; what could not be told is said."""
    findings = newest_findings(view)
    if not findings:
        return []
    return ["*Evidence*", *(finding_line(finding) for finding in findings)]


def deltas(view: IncidentView) -> list[str]:
    """How the answer changed from one diagnosis to the next."""
    made = view.entries("diagnosis_made")
    lines: list[str] = []
    previous: tuple[str, float] | None = None
    for entry in made:
        ranked = entry.fact.data.get("ranked") or ()
        if not ranked:
            continue
        when = wording.clock(entry.at)
        leader = str(ranked[0]["mode"])
        now = (leader, float(ranked[0]["probability"]))
        if previous is None or previous[0] != leader:
            lines.append(f"{when} new leader {quote(leader)} {percent(now[1])} `#{entry.seq}`")
        elif abs(previous[1] - now[1]) >= 0.01:
            moved = "stronger" if now[1] > previous[1] else "weaker"
            shift = f"{percent(previous[1])} → {percent(now[1])}"
            lines.append(f"{when} {quote(leader)} {moved}: {shift} `#{entry.seq}`")
        previous = now
    return ["*How the answer changed*", *lines] if lines else []


def retrieval(view: IncidentView) -> list[str]:
    """Which runbooks were found and why."""
    if view.retrieval is None or not view.retrieval.matches:
        return []
    lines = ["*Runbooks found*"]
    for match in view.retrieval.matches[:3]:
        lines.append(f"{quote(match.title)} `{escape(line(match.best_chunk))}` prior {percent(match.prior)}")
        lines += [f"    {quote(reason.text, 160)} ({reason.contribution:+.2f})" for reason in match.reasons[:3]]
    if view.retrieval.notice:
        lines.append(quote(view.retrieval.notice, 200))
    return lines


def finding_line(finding: Finding) -> str:
    """One finding with everything that makes it checkable."""
    numbers = escape(wording.statistics(finding))
    test = f", {quote(finding.reading.test)}" if finding.reading.test else ""
    tail = f" ({numbers}{test})" if numbers or test else ""
    head = f"{wording.mark(finding.verdict)} *{escape(line(finding.probe, 40))}* {escape(line(finding.outcome, 40))}"
    return f"{head}: {quote(finding.reading.summary, 200)}{tail} `{escape(line(finding.id, 40))}`"


def argument_line(argument: Argument) -> str:
    """One argument: what was seen, how it speaks, how strongly, where it stands."""
    seen = f"{escape(line(argument.probe, 40))} {escape(line(argument.outcome, 40))}"
    words = wording.WEIGHTS[argument.weight]
    return f"    {argument.bits:+.1f} bits: {seen} {words} `{escape(line(argument.finding_id, 40))}`"


def percent(share: float) -> str:
    """A share, escaped: it may say that it is less or more than a bound."""
    return escape(wording.percent(share))


def _hypothesis(hypothesis: Hypothesis) -> Iterator[str]:
    yield f"*{escape(line(hypothesis.title, 80))}* {percent(hypothesis.probability)}"
    strongest = sorted(hypothesis.arguments, key=lambda argument: -abs(argument.bits))
    yield from (argument_line(argument) for argument in strongest[:MAX_ARGUMENTS])
