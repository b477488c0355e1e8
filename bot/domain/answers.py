"""What is said about each topic a person can ask about: statements with references, made from an incident's view."""

from collections.abc import Iterator

from bot.domain import plan_card, wording
from bot.domain.card import against, newest_findings, verdict
from bot.domain.detail import argument_line, finding_line, percent
from bot.domain.next_step import next_step
from bot.domain.statement import Statement, code, current, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from diagnostics.model import Finding, Verdict, Weight


def why(view: IncidentView) -> Iterator[Statement]:
    """The leader and what speaks for it; the runner-up and what speaks against it."""
    diagnosis = view.diagnosis
    if diagnosis is None:
        return
    yield Statement(text=f"{plain(verdict(diagnosis))}.", refs=refs_of(view, "diagnosis_made"))
    for argument in [a for a in diagnosis.leader.arguments if a.bits > 0][:4]:
        found = _finding(view, argument.finding_id)
        said = f": {quote(found.reading.summary)}" if found else ""
        words = wording.WEIGHTS[argument.weight]
        seen = f"{plain(argument.probe)} {plain(argument.outcome)}"
        yield Statement(text=f"• {seen} {words}{said}", refs=(argument.finding_id,))
    for other in diagnosis.ranked[1:3]:
        contrary = against(other)
        if contrary is not None:
            text = f"• Not {plain(other.title)} ({percent(other.probability)}): "
            text += f"{plain(contrary.probe)} {plain(contrary.outcome)} {wording.WEIGHTS[contrary.weight]}"
            yield Statement(text=text, refs=(contrary.finding_id,))
    for ref in diagnosis.residual:
        yield Statement(text="• Not explained by it:", refs=(ref,))


def how_sure(view: IncidentView) -> Iterator[Statement]:
    """The probabilities, and why it stopped."""
    if view.diagnosis is None:
        return
    for hypothesis in view.diagnosis.ranked[:4]:
        share = percent(hypothesis.probability)
        refs = tuple(argument.finding_id for argument in hypothesis.arguments[:2])
        yield Statement(text=f"• {share} {plain(hypothesis.title)}", refs=refs)
    if view.diagnosis.reason:
        refs = refs_of(view, "diagnosis_made", "investigation_ended")
        yield Statement(text=f"It stopped here because: {quote(view.diagnosis.reason)}.", refs=refs)


def checked(view: IncidentView) -> Iterator[Statement]:
    """Every probe and what it showed; those still running."""
    for finding in newest_findings(view):
        head = f"{wording.mark(finding.verdict)} {plain(finding.probe)} {plain(finding.outcome)}"
        yield Statement(text=f"{head}: {quote(finding.reading.summary)}", refs=(finding.id,))
    if view.running:
        yield Statement(text=f"{wording.RUNNING} still running: {plain(', '.join(view.running), 200)}")


def changed(view: IncidentView) -> Iterator[Statement]:
    """The change log around the start; a change is a hypothesis, not a cause."""
    for change in sorted(view.changes, key=lambda change: change.at, reverse=True)[:8]:
        moved = f" ({quote(change.before, 40)} → {quote(change.after, 40)})" if change.before or change.after else ""
        by = f" by {quote(change.actor, 40)}" if change.actor else ""
        when = wording.moment(change.at)
        text = f"• {when} {plain(change.kind)}: {quote(change.summary)}{moved}{by}"
        yield Statement(text=text, refs=(change.id,))
    log = next((f for f in newest_findings(view) if f.probe == "change_log"), None)
    if not view.changes and log is not None:
        yield Statement(text=quote(log.reading.summary), refs=(log.id,))
    elif view.changes:
        yield Statement(text="A change near the start is something to look at, not yet a cause.")


def runbook(view: IncidentView) -> Iterator[Statement]:
    """Which runbooks were found and which step is proposed."""
    for match in view.retrieval.matches[:3] if view.retrieval else ():
        because = f": {quote(match.reasons[0].text)}" if match.reasons else ""
        yield Statement(text=f"• {quote(match.title)}{because}", refs=(match.best_chunk,))
    pv = current(view)
    if pv is not None:
        yield Statement(text="The proposed step is from", refs=(pv.proposal.plan.runbook,))
    if view.retrieval is not None and view.retrieval.notice:
        yield Statement(text=f"Note: {quote(view.retrieval.notice)}")


def owner(view: IncidentView) -> Iterator[Statement]:
    """The team, where it is, how it is paged."""
    if view.team is None:
        yield Statement(
            text=f"Nobody is named: {quote(view.incident.service, 60)} is not in the catalogue.", known=False
        )
        return
    team = view.team
    title = f" ({plain(team.title)})" if team.title else ""
    yield Statement(text=f"{plain(view.incident.service)} is owned by team {plain(team.name)}{title}.")
    if team.pagerduty_escalation_policy:
        yield Statement(text=f"It is paged through escalation policy {code(team.pagerduty_escalation_policy)}.")


def unknown(view: IncidentView) -> Iterator[Statement]:
    """What could not be told, what is not explained, what would tell most."""
    unsure = [f for f in newest_findings(view) if f.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL)]
    for finding in unsure:
        yield Statement(text=f"• {plain(finding.probe)}: {quote(finding.reading.summary)}", refs=(finding.id,))
    if view.diagnosis is None:
        yield Statement(text="• The cause: the probes have not finished.")
        return
    for ref in view.diagnosis.residual:
        found = _finding(view, ref)
        what = f"{plain(found.probe)} {plain(found.outcome)}" if found else "a finding"
        yield Statement(text=f"• {what} is not explained by the leading cause", refs=(ref,))
    rest = 1 - view.diagnosis.leader.probability
    yield Statement(text=f"• A chance of {percent(rest)} that it is something else.")
    yield from _would_tell(view)


def ruled_out(view: IncidentView) -> Iterator[Statement]:
    """Causes with what excludes them, and what is merely less likely."""
    if view.diagnosis is None:
        return
    for hypothesis in view.diagnosis.ranked[1:9]:
        contrary = against(hypothesis)
        if contrary is not None:
            verb = "ruled out" if contrary.weight is Weight.RULES_OUT else "less likely"
            text = f"• {plain(hypothesis.title)} ({percent(hypothesis.probability)}) {verb}: "
            text += f"{plain(contrary.probe)} {plain(contrary.outcome)}"
            yield Statement(text=text, refs=(contrary.finding_id,))


def status(view: IncidentView) -> Iterator[Statement]:
    """Where it stands, and what comes next."""
    incident = view.incident
    head = f"{incident.id} is {wording.STATUS[incident.status]} since {wording.moment(incident.opened_at)}."
    yield Statement(text=plain(head), refs=refs_of(view, "incident_opened"))
    if view.diagnosis is not None:
        yield Statement(text=f"{plain(verdict(view.diagnosis))}.", refs=refs_of(view, "diagnosis_made"))
    elif view.running:
        yield Statement(text=f"{wording.plural(len(view.running), 'probe')} still running.")
    pv = current(view)
    if pv is not None:
        for label, text, refs in plan_card.state_of(view, pv):
            yield Statement(text=f"• {plain(label)}: {quote(text, 200)}", refs=refs)
    if view.frozen:
        yield Statement(text=f"All execution is frozen: {quote(view.frozen)}")
    yield Statement(text=plain(next_step(view), 300))


def what_next(view: IncidentView) -> Iterator[Statement]:
    """One sentence."""
    yield Statement(text=plain(next_step(view), 300))


def cost(view: IncidentView) -> Iterator[Statement]:
    """What looking into it has cost so far."""
    if not view.findings:
        return
    paid = [finding for finding in view.findings if finding.reading.tokens or finding.reading.usd]
    tokens = sum(finding.reading.tokens for finding in paid)
    usd = sum(finding.reading.usd for finding in paid)
    head = f"{wording.plural(len(view.findings), 'reading')} so far: {tokens:,} tokens, {wording.usd(usd)}."
    yield Statement(text=head, refs=tuple(finding.id for finding in paid[:4]))
    yield Statement(text="What the incident itself costs is not measured.")


def since(view: IncidentView) -> Iterator[Statement]:
    """When it began, was paged, and moved on."""
    incident = view.incident
    yield Statement(text=f"Began about {wording.moment(incident.started_at)}.", refs=refs_of(view, "page_received"))
    yield Statement(text=f"Paged at {wording.moment(incident.opened_at)}.", refs=refs_of(view, "incident_opened"))
    for word, moment in (("Acknowledged", incident.acknowledged_at), ("Mitigated", incident.mitigated_at),
                         ("Resolved", incident.resolved_at)):  # fmt: skip
        if moment is not None:
            yield Statement(text=f"{word} at {wording.moment(moment)}.")


def last_time(view: IncidentView) -> Iterator[Statement]:
    """Past incidents that retrieval brought up; otherwise that nothing is recorded."""
    matches = view.retrieval.matches if view.retrieval else ()
    past = [match for match in matches if match.document.startswith("inc-")]
    for match in past[:3]:
        yield Statement(text=f"• {quote(match.title)}", refs=(match.document,))
    if not past:
        yield Statement(text="Not recorded: no earlier incident was found that is like this one.", known=False)


def impact(view: IncidentView) -> Iterator[Statement]:
    """What users feel, as the user-facing signal shows it."""
    signal = next((f for f in newest_findings(view) if f.probe == "user_signal"), None)
    if signal is not None:
        yield Statement(text=finding_line(signal), refs=(signal.id,))


def about_probe(view: IncidentView, probe: str) -> Iterator[Statement]:
    """Every reading of one probe, oldest first."""
    for finding in [f for f in view.findings if f.probe == probe][-4:]:
        yield Statement(text=f"{wording.clock(finding.started_at)} {finding_line(finding)}", refs=(finding.id,))
    if probe in view.running:
        yield Statement(text=f"{plain(probe)} is running.")


def about_cause(view: IncidentView, mode: str) -> Iterator[Statement]:
    """One hypothesis with its arguments."""
    hypothesis = next((h for h in view.diagnosis.ranked if h.mode == mode), None) if view.diagnosis else None
    if hypothesis is None:
        return
    yield Statement(text=f"{plain(hypothesis.title)}: {percent(hypothesis.probability)}")
    for argument in sorted(hypothesis.arguments, key=lambda argument: -abs(argument.bits))[:6]:
        yield Statement(text=argument_line(argument), refs=(argument.finding_id,))
    if not hypothesis.arguments:
        yield Statement(text="No finding speaks for or against it by itself.")


def not_known(view: IncidentView) -> Iterator[Statement]:
    """The honest answer, and what would give a better one."""
    yield Statement(text="I don't know.", known=False)
    would = list(_would_tell(view))
    yield from would
    if not would:
        yield Statement(text=plain(next_step(view), 300), known=False)
    yield Statement(
        text="I can answer: why, how sure, what changed, what did you check, what was ruled out, which runbook, who"
        " owns it, what is still unknown, what would approving do, how to undo it, is it safe, who can approve, who"
        " approved, did it work, when does the lease end, status, cost, since when, last time.",
        known=False,
    )


def _would_tell(view: IncidentView) -> Iterator[Statement]:
    if view.running:
        running = plain(", ".join(view.running), 200)
        yield Statement(text=f"What would tell: {running}, still running.")
    elif view.diagnosis is not None and view.diagnosis.next_probes:
        best = view.diagnosis.next_probes[0]
        yield Statement(text=f"What would tell most: {plain(best.probe)} ({best.bits:.2f} bits expected).")


def _finding(view: IncidentView, finding_id: str) -> Finding | None:
    return next((finding for finding in view.findings if finding.id == finding_id), None)
