"""What stands below the card, in its thread: arguments, evidence and how the answer moved. Slack mrkdwn, escaped."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

from bot.domain import wording
from bot.domain.card import newest_findings
from bot.domain.timeline import Entry
from bot.domain.untrusted import escape, line, quote
from bot.domain.view import IncidentView
from diagnostics.model import Argument, Finding, Hypothesis, Weight
from knowledge.model import Similar

MAX_HYPOTHESES = 5
MAX_ARGUMENTS = 6


def detail(view: IncidentView) -> tuple[str, ...]:
    """One message with everything behind the first answer; afterwards only what changed: in the next investigation,
    and in a verification. Each is made from what was known then, so that it is the same whenever it is asked for."""
    made = view.entries("diagnosis_made")
    if not made:
        return _joined(evidence(view), retrieval(view))
    last = made[-1].seq
    ended = [entry.seq for entry in view.entries("investigation_ended") if entry.seq < last]
    earlier = [entry for entry in made if ended and entry.seq < ended[-1]]
    then = replace(view, findings=_known_at(view, last))
    if not earlier:
        return _joined(differential(then), evidence(then), deltas(then), retrieval(then))
    new = replace(then, findings=tuple(f for f in then.findings if f.id not in _ids(_known_at(view, earlier[-1].seq))))
    changed = ["*What changed*", *_moved(earlier[-1], made[-1])]
    return _joined(changed if len(changed) > 1 else ["*Looked again*: the answer is the same"], evidence(new))


def verified(title: str, verdict: str, pairs: Iterable[tuple[Finding | None, Finding]]) -> str:
    """What a verification read, before and after, as the thread is told it."""
    words = wording.EFFECT_VERDICTS.get(verdict, verdict)
    lines = [f"*Verified*: {escape(line(title))}: {escape(words)}"]
    for before, after in pairs:
        was = f"{escape(line(before.outcome, 40))} {quote(before.reading.summary)} → " if before else ""
        lines.append(f"*{escape(line(after.probe, 40))}* {was}{finding_line(after)}")
    return "\n".join(lines)


def _joined(*parts: Sequence[str]) -> tuple[str, ...]:
    text = "\n".join(line for part in parts for line in part)
    return (text,) if text else ()


def _known_at(view: IncidentView, seq: int) -> tuple[Finding, ...]:
    """The findings of then: all but those that the timeline says came later."""
    later = {entry.fact.data.get("evidence") for entry in view.entries("probe_finished") if entry.seq > seq}
    return tuple(finding for finding in view.findings if finding.id not in later)


def _ids(findings: Iterable[Finding]) -> frozenset[str]:
    return frozenset(finding.id for finding in findings)


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
    made = [entry for entry in view.entries("diagnosis_made") if entry.fact.data.get("ranked")]
    lines: list[str] = []
    for previous, now in pairwise([None, *made]):
        assert now is not None
        if previous is not None:
            lines += _moved(previous, now)
        else:
            leader, share = _leader(now)
            lines.append(f"{wording.clock(now.at)} first: {quote(leader)} {percent(share)} `#{now.seq}`")
    return ["*How the answer changed*", *lines] if lines else []


def _moved(previous: Entry, now: Entry) -> Iterator[str]:
    """Stronger, weaker, a new leader, and what has been ruled out since."""
    (was, before), (leader, share) = _leader(previous), _leader(now)
    when, ref = wording.clock(now.at), f"`#{now.seq}`"
    if was != leader:
        yield f"{when} new leader: {quote(leader)} {percent(share)} (before: {quote(was)} {percent(before)}) {ref}"
    elif abs(before - share) >= 0.01:
        moved = "stronger" if share > before else "weaker"
        yield f"{when} {moved}: {quote(leader)} {percent(before)} → {percent(share)} {ref}"
    known = {str(one["mode"]) for one in _ranked(previous) if _ruled_out(one)}
    for one in _ranked(now):
        against = one.get("against") or {}
        if _ruled_out(one) and str(one["mode"]) not in known:
            seen = escape(line(f"{against.get('probe', '')} {against.get('outcome', '')}", 80))
            yield f"{when} ruled out: {quote(str(one['mode']))} ({seen}, {quote(str(against.get('evidence', '')))})"


def _ranked(made: Entry) -> Sequence[Mapping[str, Any]]:
    return made.fact.data.get("ranked") or ()


def _ruled_out(one: Mapping[str, Any]) -> bool:
    against = one.get("against")
    return isinstance(against, Mapping) and against.get("weight") == Weight.RULES_OUT.value


def _leader(made: Entry) -> tuple[str, float]:
    ranked = _ranked(made)
    return (str(ranked[0]["mode"]), float(ranked[0]["probability"])) if ranked else ("", 0.0)


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
    similar = [one for one in view.retrieval.similar if one.id != view.incident.id]
    if similar:
        lines += ["*Similar past incidents*", *(f"{similar_line(one)} `{escape(line(one.id, 80))}`" for one in similar)]
    return lines


def similar_line(one: Similar) -> str:
    """A past incident that reads alike: when, where, what it was, what helped, and where it is from."""
    when = f"{one.at:%Y-%m-%d} " if one.at else ""
    service = f" ({escape(line(one.service, 40))})" if one.service else ""
    outcome = f"cause {quote(one.cause, 64)}, confirmed" if one.cause else "its cause was not confirmed"
    helped = f"; helped: {quote(one.helped, 120)}" if one.helped else ""
    origin = f"; imported from {quote(one.origin, 64)}" if one.origin else ""
    # A link is escaped and not made one of Slack's: its text would be what somebody else chose.
    link = f" {escape(one.link)}" if one.link else ""
    return f"• {when}{quote(one.title)}{service}: {outcome}{helped}{origin}{link}"


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
