"""The card: one incident on one phone screen, as plain facts. Pure; a surface decides how it looks."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from bot.domain import plan_card, wording
from bot.domain.incident import Status
from bot.domain.next_step import next_step
from bot.domain.proposal import ProposalState
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Argument, Diagnosis, Finding, Hypothesis, Verdict, Weight

Button = Literal["approve", "reject", "edit", "another", "done", "did", "why", "acknowledge", "escalate"]
MAX_PROBE_LINES = 12
MAX_RUNNERS_UP = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One fact. All of it is plain text, some of it untrusted: a surface shows it, and never interprets it."""

    text: str
    label: str = ""
    mark: str = ""
    refs: tuple[str, ...] = ()
    """Evidence ids, ``runbook#section`` or ``#entry`` of the timeline: how we know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Facts that belong together."""

    key: str
    title: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """What the buttons vote on."""

    proposal_id: str
    plan_hash: str
    confirm_title: str
    confirm_text: str
    confirm_go: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """What an incident's one message says now."""

    incident_id: str
    headline: str
    context: tuple[Line, ...]
    banners: tuple[Line, ...]
    sections: tuple[Section, ...]
    buttons: tuple[Button, ...]
    ballot: Ballot | None
    fallback: str
    """One line for notifications and for clients that show no blocks."""


def build(view: IncidentView) -> Card:
    """The card of an incident as it stands. The same view gives the same card."""
    pv = view.open_proposal or (view.proposals[-1] if view.proposals else None)
    ballot = _ballot(pv)
    sections = [_probes(view), _causes(view), _plan(pv), _state(view, pv), _unknown(view), _next(view)]
    headline = line(_headline(view), 140)
    return Card(
        incident_id=view.incident.id,
        headline=headline,
        context=tuple(_context(view)),
        banners=tuple(_banners(view, pv)),
        sections=tuple(section for section in sections if section is not None and section.lines),
        buttons=_buttons(view, pv),
        ballot=ballot,
        fallback=line(f"{view.incident.id} {view.incident.service}: {headline}", 250),
    )


def references(card: Card) -> frozenset[str]:
    """Everything that the card cites."""
    lines = [*card.context, *card.banners, *(each for section in card.sections for each in section.lines)]
    return frozenset(ref for each in lines for ref in each.refs)


def known_references(view: IncidentView) -> frozenset[str]:
    """Everything that may be cited: what is not here does not exist and must not be printed."""
    known = {finding.id for finding in view.findings} | {change.id for change in view.changes}
    known |= {f"#{entry.seq}" for entry in view.timeline}
    known |= {pv.proposal.plan.runbook for pv in view.proposals}
    for match in view.retrieval.matches if view.retrieval else ():
        known |= {match.document, match.best_chunk}
    return frozenset(known)


def newest_findings(view: IncidentView) -> tuple[Finding, ...]:
    """The newest finding of each probe, in the order in which they were first read."""
    newest = {finding.probe: finding for finding in view.findings}
    return tuple(newest.values())


def against(hypothesis: Hypothesis) -> Argument | None:
    """What speaks most strongly against a hypothesis: something that rules it out, before anything else."""
    contrary = [a for a in hypothesis.arguments if a.bits < 0 or a.weight in (Weight.RULES_OUT, Weight.AGAINST)]
    return min(contrary, key=lambda a: (a.weight is not Weight.RULES_OUT, a.bits), default=None)


def _headline(view: IncidentView) -> str:
    incident, diagnosis = view.incident, view.diagnosis
    done = {Status.MITIGATED: "Mitigated: ", Status.RESOLVED: "Resolved: ", Status.CLOSED: "Closed: "}
    prefix = done.get(incident.status, "")
    if diagnosis is None:
        if not view.running and not view.findings:
            return f"{prefix}Page received, nothing checked yet"
        finished = len({finding.probe for finding in view.findings})
        return f"{prefix}Looking into it: {finished} of {finished + len(view.running)} probes done"
    return prefix + verdict(diagnosis)


def verdict(diagnosis: Diagnosis) -> str:
    """What is going on and how sure, in one line."""
    leader = diagnosis.leader
    match diagnosis.conclusion:
        case "cause":
            return f"{leader.title} ({wording.percent(leader.probability)} sure)"
        case "no_fault":
            return f"No fault found ({wording.percent(leader.probability)} sure)"
        case _:
            return f"Not sure. Best guess: {leader.title} ({wording.percent(leader.probability)})"


def _context(view: IncidentView) -> Iterator[Line]:
    incident = view.incident
    opened = wording.clock(incident.opened_at)
    yield Line(text=f"{incident.service} · {incident.id} · {wording.STATUS[incident.status]} · since {opened}")
    pages = f" ({wording.plural(incident.pages, 'page')})" if incident.pages > 1 else ""
    received = view.entries("page_received", "incident_opened")
    refs = (f"#{received[0].seq}",) if received else ()
    yield Line(text=f"“{line(incident.title)}”{pages}", label="Page", refs=refs)


def _banners(view: IncidentView, pv: ProposalView | None) -> Iterator[Line]:
    if view.frozen:
        yield Line(label="FROZEN", text=f"nothing is carried out. {line(view.frozen)}")
    if view.service is None:
        yield Line(label="UNMAPPED", text="this page is about no service of the catalogue; add it to be able to help")
    elif view.service.mode == "observe":
        yield Line(label="OBSERVE", text="no Approve button: this service is in observe mode")
    if pv is not None and pv.proposal.state is ProposalState.OPEN:
        problem = plan_card.why_uninspectable(pv.proposal.plan)
        if problem:
            yield Line(label="CANNOT BE APPROVED", text=f"the plan cannot be shown in full: {line(problem)}")


def _probes(view: IncidentView) -> Section:
    findings = newest_findings(view)
    lines: list[Line] = []
    if view.diagnosis is None:
        lines += [_probe_line(finding) for finding in findings]
        lines += [Line(mark=wording.RUNNING, label=line(name, 40), text="running") for name in view.running]
        rest = lines[MAX_PROBE_LINES:]
        lines = lines[:MAX_PROBE_LINES]
        if rest:
            lines.append(Line(text=f"and {wording.plural(len(rest), 'more probe')}"))
    else:
        bad = [finding for finding in findings if finding.verdict is Verdict.ABNORMAL]
        good = [finding for finding in findings if finding.verdict is Verdict.NORMAL]
        lines += [_probe_line(finding) for finding in bad[:5]]
        if len(bad) > 5:
            lines.append(_group(wording.mark(Verdict.ABNORMAL), "also", bad[5:]))
        if good:
            lines.append(_group(wording.mark(Verdict.NORMAL), "normal", good))
        lines += [Line(mark=wording.RUNNING, label=line(name, 40), text="running") for name in view.running]
    return Section(key="probes", title="Checked", lines=tuple(lines))


def _probe_line(finding: Finding) -> Line:
    summary = line(finding.reading.summary) if finding.reading.summary else wording.outcome(finding.outcome)
    text = f"{line(finding.outcome, 40)}: {summary}"
    return Line(mark=wording.mark(finding.verdict), label=line(finding.probe, 40), text=text, refs=(finding.id,))


def _group(mark: str, word: str, findings: list[Finding]) -> Line:
    names = ", ".join(line(finding.probe, 40) for finding in findings)
    return Line(mark=mark, label=word, text=line(names, 400), refs=tuple(finding.id for finding in findings))


def _causes(view: IncidentView) -> Section | None:
    diagnosis = view.diagnosis
    if diagnosis is None:
        return None
    leader = diagnosis.leader
    strongest = [a for a in leader.arguments if a.bits > 0][:2]
    showed = ", ".join(f"{a.probe} {a.outcome}" for a in strongest)
    lines = [
        Line(
            label=f"{line(leader.title, 80)} {wording.percent(leader.probability)}",
            text=f"because {showed}" if showed else "no finding speaks for it by itself",
            refs=tuple(a.finding_id for a in strongest),
        )
    ]
    if not any(pv.apply for pv in view.proposals):
        lines += [_runner_up(other) for other in diagnosis.ranked[1 : 1 + MAX_RUNNERS_UP]]
    if len(diagnosis.causes) > 1:
        lines.append(Line(label="More than one cause", text=", ".join(line(cause, 60) for cause in diagnosis.causes)))
    return Section(key="causes", title="Most likely", lines=tuple(lines))


def _runner_up(other: Hypothesis) -> Line:
    why = against(other)
    label = f"{line(other.title, 80)} {wording.percent(other.probability)}"
    if why is None:
        return Line(label=label, text="not ruled out")
    word = "ruled out by" if why.weight is Weight.RULES_OUT else "less likely because of"
    return Line(label=label, text=f"{word} {why.probe} {why.outcome}", refs=(why.finding_id,))


def _plan(pv: ProposalView | None) -> Section | None:
    if pv is None or pv.proposal.state in (ProposalState.SUPERSEDED, ProposalState.EXPIRED, ProposalState.REJECTED):
        return None
    proposal, plan = pv.proposal, pv.proposal.plan
    why = proposal.rationale.replace(f" ({plan.runbook})", "")  # The reference follows as such.
    head = Line(label="Why", text=line(why, plan_card.SENTENCE), refs=(plan.runbook,))
    facts = [Line(label=each.label, text=each.shown.text) for each in plan_card.plan_facts(plan)]
    lines = [head, *facts] if proposal.rationale else facts
    if proposal.state is ProposalState.OPEN:
        if proposal.votable:
            lines.append(Line(label="Approvals", text=plan_card.approvals(pv)))
        refs = () if proposal.rationale else (plan.runbook,)
        lines.append(Line(label="Plan", text=plan_card.code(proposal.plan_hash), refs=refs))
    else:  # Decided: what matters now is what became of it.
        lines = [each for each in lines if each.label in ("Target", "Change", "To do", "Undo")]
    by = "" if proposal.proposed_by == "pagerunner" else f", edited by {line(proposal.proposed_by, 60)}"
    word = "Proposed" if proposal.state is ProposalState.OPEN else "Decided"
    return Section(key="plan", title=f"{word}: {plan_card.title(plan)} ({plan.risk}{by})", lines=tuple(lines))


def _state(view: IncidentView, pv: ProposalView | None) -> Section | None:
    lines = []
    for earlier in view.proposals:
        if earlier is not pv and earlier.apply is not None:
            result = earlier.apply.verdict or earlier.apply.state.value
            undone = ", undone" if earlier.revert and earlier.revert.state.value == "done" else ""
            title = plan_card.title(earlier.proposal.plan)
            lines.append(Line(label=f"Attempt {earlier.proposal.plan.attempt}", text=f"{title}: {result}{undone}"))
    if pv is not None:
        lines += [Line(label=label, text=text, refs=refs) for label, text, refs in plan_card.state_of(view, pv)]
    if view.suppressed:
        lines.append(Line(text=f"{wording.plural(view.suppressed, 'further proposal')} held back, to keep this short"))
    return Section(key="state", title="State", lines=tuple(lines))


def _unknown(view: IncidentView) -> Section | None:
    diagnosis = view.diagnosis
    if diagnosis is None or view.incident.status in (Status.RESOLVED, Status.CLOSED):
        return None
    lines = []
    unsure = [f for f in newest_findings(view) if f.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL)]
    if unsure:
        lines.append(_group(wording.mark(Verdict.INCONCLUSIVE), "no answer", unsure))
    if diagnosis.residual:
        probes = {finding.id: finding.probe for finding in view.findings}
        names = ", ".join(line(probes.get(ref, ref), 40) for ref in diagnosis.residual)
        lines.append(Line(label="not explained", text=names, refs=diagnosis.residual))
    if view.retrieval is not None and view.retrieval.notice:
        lines.append(Line(label="search", text=line(view.retrieval.notice)))
    return Section(key="unknown", title="Unknown", lines=tuple(lines))


def _next(view: IncidentView) -> Section:
    return Section(key="next", title="Next", lines=(Line(text=next_step(view)),))


def _buttons(view: IncidentView, pv: ProposalView | None) -> tuple[Button, ...]:
    buttons: list[Button] = []
    if view.incident.active and pv is not None:
        proposal = pv.proposal
        if proposal.state is ProposalState.OPEN and proposal.votable:
            if not view.frozen and not plan_card.why_uninspectable(proposal.plan):
                buttons.append("approve")
            buttons += ["reject", "edit", "another"]
        elif plan_card.is_manual(proposal.plan) and _awaits_hand(pv):
            buttons.append("done")
    if view.incident.active and not (pv and pv.proposal.state is ProposalState.OPEN and pv.proposal.votable):
        buttons.append("did")
    buttons.append("why")
    if view.incident.status is Status.OPEN:
        buttons.append("acknowledge")
    if view.incident.active:
        buttons.append("escalate")
    return tuple(buttons)


def _awaits_hand(pv: ProposalView) -> bool:
    """Whether a manual action is approved and nobody has said that it is done."""
    if pv.proposal.state not in (ProposalState.APPROVED, ProposalState.EXECUTING):
        return False
    return pv.apply is None or pv.apply.finished_at is None


def _ballot(pv: ProposalView | None) -> Ballot | None:
    if pv is None:
        return None
    plan = pv.proposal.plan
    return Ballot(
        proposal_id=pv.proposal.id,
        plan_hash=pv.proposal.plan_hash,
        confirm_title=line(f"{plan_card.title(plan)}?", 100),
        confirm_text=plan_card.confirmation(plan),
        confirm_go="Approve",
    )
