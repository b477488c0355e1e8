"""The card: one incident on one phone screen, as plain facts. Pure; a surface decides how it looks."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from bot.domain import deciding, plan_card, wording
from bot.domain.ballot import Ballot, Button, ballot, buttons
from bot.domain.card_lines import Line, Section
from bot.domain.card_plan import plan_sections
from bot.domain.incident import Status
from bot.domain.next_step import next_step
from bot.domain.page_facts import answer
from bot.domain.paging import Paging, paging
from bot.domain.proposal import ProposalState
from bot.domain.room import RoomState
from bot.domain.untrusted import line
from bot.domain.verdicts import given
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Argument, Diagnosis, Finding, Hypothesis, Verdict, Weight

MAX_ABNORMAL = 2
"""Findings that are not normal, shown in full while probes run."""
MAX_RUNNERS_UP = 2
MAX_ASKED = 3
"""Responders that are named; the hand-over names more."""
TITLE = 90
"""Of a page's title on the card; the thread and the exports have all of it."""
SHORT_TITLE = 36
"""The same, once the headline says what is wrong."""


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
    sections = [_probes(view), _why(view), *plan_sections(view, pv), _state(view, pv), _unknown(view), _next(view)]
    headline = line(_headline(view), 140)
    known = known_references(view)
    return Card(
        incident_id=view.incident.id,
        headline=headline,
        context=_citable(_context(view), known),
        banners=_citable(_banners(view, pv), known),
        sections=tuple(
            replace(section, lines=_citable(section.lines, known))
            for section in sections
            if section is not None and section.lines
        ),
        buttons=buttons(view, pv),
        ballot=ballot(pv),
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
    known |= {one.id for one in view.retrieval.similar} if view.retrieval else set()
    return frozenset(known)


def newest_findings(view: IncidentView) -> tuple[Finding, ...]:
    """The newest finding of each probe, in the order in which they were first read."""
    newest = {finding.probe: finding for finding in view.findings}
    return tuple(newest.values())


def against(hypothesis: Hypothesis) -> Argument | None:
    """What speaks most strongly against a hypothesis: something that rules it out, before anything else."""
    contrary = [a for a in hypothesis.arguments if a.weight in (Weight.RULES_OUT, Weight.AGAINST)]
    return min(contrary, key=lambda a: (a.weight is not Weight.RULES_OUT, a.bits), default=None)


def _citable(lines: Iterable[Line], known: frozenset[str]) -> tuple[Line, ...]:
    """The lines without references to anything that does not exist."""
    return tuple(replace(each, refs=tuple(ref for ref in each.refs if ref in known)) for each in lines)


def _headline(view: IncidentView) -> str:
    incident, diagnosis = view.incident, view.diagnosis
    done = {Status.MITIGATED: "Mitigated: ", Status.RESOLVED: "Resolved: ", Status.CLOSED: "Closed: "}
    prefix = done.get(incident.status, "")
    if diagnosis is None:
        if view.stale:
            return f"{wording.STATUS[incident.status].capitalize()}: an old page, not investigated"
        if not view.running and not view.findings:
            ever = "" if view.service is None or not incident.active else " yet"
            return f"Page received, nothing checked{ever}"
        finished = len({finding.probe for finding in view.findings})
        return f"{prefix}Looking into it: {finished} of {finished + len(view.running)} probes done"
    if diagnosis.conclusion == "cause" and not incident.active:
        leader = diagnosis.leader
        return f"{prefix}it was “{leader.title}” ({wording.percent(leader.probability)} sure)"
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
    opened = wording.moment(incident.started_at) if view.stale else wording.clock(incident.opened_at)
    state = paging(view)
    priority = f"{line(state.priority.text, 30)}, " if state.priority is not None and state.priority.text else ""
    status = f"{priority}{wording.STATUS[incident.status]} since {opened}"
    yield Line(text=f"{incident.service} · {_owner(view, state)} · {status} · {incident.id}")
    pages = f" ({wording.plural(incident.pages, 'page')})" if incident.pages > 1 else ""
    received = view.entries("page_received", "incident_opened")
    refs = (f"#{received[0].seq}",) if received else ()
    known = view.diagnosis is not None and view.diagnosis.conclusion == "cause"
    title = line(incident.title, SHORT_TITLE if known else TITLE)
    yield Line(text=f"“{title}”{pages}", label="Page", refs=refs)
    yield from _users(view)
    if state.asked and incident.active:
        last = state.asked[-MAX_ASKED:]
        shown = ", ".join(f"{line(one.name, 40)} {answer(one.answer)}" for one in last)
        yield Line(label="Asked to help", text=shown, refs=tuple(one.ref for one in last))


def _owner(view: IncidentView, state: Paging) -> str:
    """Who has it: the team, and whoever acknowledged it or was assigned last."""
    team = f"team {line(view.incident.team, 40)}" if view.incident.team else "no team"
    taken = [entry for entry in view.entries("incident_acknowledged") if entry.fact.data.get("by")]
    assigned = state.assigned if view.incident.active else None
    if assigned is not None and assigned.text and (not taken or assigned.at > taken[-1].at):
        return f"{team}, assigned {line(assigned.text, 60)}"
    return f"{team}, {line(str(taken[-1].fact.data['by']), 40)}" if taken else team


def _alarms(view: IncidentView) -> Iterator[Line]:
    """What could not be told to the pager or in the thread: people think that it was."""
    lost = {str(e.fact.data["lane"]): e for e in view.entries("alarm") if e.fact.data.get("undeliverable")}
    for lane, entry in lost.items():
        shared = bool(entry.fact.data.get("update"))
        whom = "PagerDuty" if lane == "pager" else "The stakeholders' channel" if shared else "The thread"
        text = f"{whom} was not told: {line(str(entry.fact.data.get('why') or 'no reason was given'), 200)}"
        yield Line(label="NOT DELIVERED", text=text, refs=(f"#{entry.seq}",))


def _no_channel(view: IncidentView) -> Iterator[Line]:
    """Why it is in a thread although it was to have a channel of its own."""
    told = view.entries("channel_not_opened")
    if told and view.room is not None and view.room.state is RoomState.THREAD:
        why = line(str(told[-1].fact.data.get("why") or "no reason was given"), 200)
        yield Line(label="IN A THREAD", text=f"there is no channel for it: {why}", refs=(f"#{told[-1].seq}",))


def _banners(view: IncidentView, pv: ProposalView | None) -> Iterator[Line]:
    incident = view.incident
    if view.frozen:
        yield Line(label="FROZEN", text=f"nothing is carried out. {line(view.frozen)}")
    if view.stale:
        arrived = wording.moment(incident.opened_at)
        text = f"it is from {wording.moment(incident.started_at)} and arrived at {arrived}; nothing is investigated"
        yield Line(label="STALE PAGE", text=text)
    if incident.active:
        yield from _alarms(view)
    for each in view.proposals:
        if each.debt is not None and each.debt.open:
            refs = plan_card.timeline_refs(view, each.proposal, "glass_broken")
            yield Line(label="BREAK-GLASS", text=deciding.debt_line(each.debt, incident.opened_at), refs=refs)
        yield from _no_channel(view)
    if view.service is None:
        yield Line(label="UNMAPPED", text="this page is about no service of the catalogue; add it to be able to help")
    elif view.service.mode == "observe":
        yield Line(label="OBSERVE", text="no Approve button: this service is in observe mode")
    if pv is not None and pv.proposal.state is ProposalState.OPEN:
        problem = plan_card.why_uninspectable(pv.proposal.plan)
        if problem:
            yield Line(label="CANNOT BE APPROVED", text=f"the plan cannot be shown in full: {line(problem)}")


def _probes(view: IncidentView) -> Section | None:
    """How far it is while probes run; afterwards the thread has the evidence."""
    if view.diagnosis is not None and not view.running:
        return None
    findings = newest_findings(view) if view.diagnosis is None else ()
    bad = [finding for finding in findings if finding.verdict is Verdict.ABNORMAL]
    good = [finding for finding in findings if finding.verdict is Verdict.NORMAL]
    unsure = [finding for finding in findings if finding.verdict not in (Verdict.ABNORMAL, Verdict.NORMAL)]
    lines = [_probe_line(finding) for finding in bad[:MAX_ABNORMAL]]
    for group, mark, word in ((bad[MAX_ABNORMAL:], Verdict.ABNORMAL, "also"), (good, Verdict.NORMAL, "normal"),
                              (unsure, Verdict.INCONCLUSIVE, "cannot tell")):  # fmt: skip
        if group:
            lines.append(_group(wording.mark(mark), word, group))
    if view.running:
        names = ", ".join(line(name, 40) for name in view.running)
        lines.append(Line(mark=wording.RUNNING, label="running", text=line(names, 160)))
    return Section(key="probes", title="", lines=tuple(lines))


def _probe_line(finding: Finding) -> Line:
    summary = line(finding.reading.summary) if finding.reading.summary else wording.outcome(finding.outcome)
    text = f"{line(finding.outcome, 40)}: {summary}"
    return Line(mark=wording.mark(finding.verdict), label=line(finding.probe, 40), text=text, refs=(finding.id,))


def _group(mark: str, word: str, findings: list[Finding]) -> Line:
    names = ", ".join(line(finding.probe, 40) for finding in findings)
    return Line(mark=mark, label=word, text=line(names, 160), refs=tuple(finding.id for finding in findings))


def _why(view: IncidentView) -> Section | None:
    """Why the answer is what it is, in one sentence; the thread has the other arguments."""
    diagnosis = view.diagnosis
    if diagnosis is None:
        return None
    leader = diagnosis.leader
    strongest = sorted((a for a in leader.arguments if a.bits > 0), key=lambda a: -a.bits)[:2]
    seen = {finding.id: finding.reading.summary for finding in view.findings}
    lines = [
        Line(
            label="Because" if strongest else line(leader.title, 80),
            text=_showed(seen, strongest[0]) if strongest else "no finding speaks for it by itself",
            refs=tuple(a.finding_id for a in strongest),
        )
    ]
    if diagnosis.conclusion == "inconclusive":
        lines += _runners_up(diagnosis.ranked[1 : 1 + MAX_RUNNERS_UP])
    if len(diagnosis.causes) > 1:
        lines.append(Line(label="More than one cause", text=", ".join(line(cause, 60) for cause in diagnosis.causes)))
    return Section(key="causes", title="", lines=tuple(lines))


def _users(view: IncidentView) -> Iterator[Line]:
    """What users feel, while it goes on."""
    felt = [finding for finding in newest_findings(view) if finding.probe == "user_signal"]
    if view.incident.active and felt and felt[0].verdict is Verdict.ABNORMAL:
        yield Line(label="Users", text=_felt(felt[0]), refs=(felt[0].id,))


def _felt(finding: Finding) -> str:
    """Short: the thread has the whole sentence."""
    now, usual = finding.reading.value, finding.reading.baseline
    if now is not None and usual is not None:
        if finding.outcome == "errors":
            return f"{wording.percent(now)} fail, normally {wording.percent(usual)}"
        if finding.outcome == "slow":
            return f"wait {wording.seconds(now)}, normally {wording.seconds(usual)}"
    return wording.outcome(finding.outcome)


def _showed(seen: Mapping[str, str], argument: Argument) -> str:
    """What the strongest argument saw, in its probe's own words."""
    return line(seen.get(argument.finding_id) or f"{argument.probe} {argument.outcome}")


def _runners_up(others: Sequence[Hypothesis]) -> Iterator[Line]:
    """What else it could be: what is ruled out in one line, and each that is not in its own."""
    excluded: list[tuple[str, str]] = []
    for other in others:
        why = against(other)
        name = f"{line(other.title, 60)} {wording.percent(other.probability)}"
        if why is None:
            yield Line(label="Not ruled out", text=name, refs=tuple(a.finding_id for a in other.arguments[:1]))
        else:
            excluded.append((f"{name} ({why.probe} {why.outcome})", why.finding_id))
    if excluded:
        yield Line(label="Not", text="; ".join(text for text, _ in excluded), refs=tuple(ref for _, ref in excluded))


def _state(view: IncidentView, pv: ProposalView | None) -> Section | None:
    lines = []
    for earlier in view.proposals:
        if earlier is not pv and earlier.apply is not None:
            result = earlier.apply.verdict or earlier.apply.state.value
            undone = ", undone" if earlier.revert and earlier.revert.state.value == "done" else ""
            title = plan_card.title(earlier.proposal.plan)
            lines.append(Line(label=f"Attempt {earlier.proposal.plan.attempt}", text=f"{title}: {result}{undone}"))
    if pv is not None:
        became = plan_card.state_of(view, pv, short=True)
        lines += [Line(label=label, text=text, refs=refs) for label, text, refs in became]
    for each in view.proposals:
        if each.debt is not None and not each.debt.open:
            refs = plan_card.timeline_refs(view, each.proposal, "debt_reviewed")
            lines.append(
                Line(label="Break-glass", text=deciding.debt_line(each.debt, view.incident.opened_at), refs=refs)
            )
    if view.replaced:
        taken_back = wording.plural(view.replaced, "earlier proposal")
        lines.append(Line(text=f"{taken_back} taken back before anybody decided"))
    said = given(view)
    if said:
        refs = (f"#{view.entries('verdict_given')[-1].seq}",)
        lines.append(Line(label="Verdict", text=line("; ".join(said), 240), refs=refs))
    return Section(key="state", title="", lines=tuple(lines))


def _unknown(view: IncidentView) -> Section | None:
    """What could not be told, while that may change what people do."""
    diagnosis = view.diagnosis
    if diagnosis is None or not view.incident.active or diagnosis.conclusion == "cause":
        return None
    lines = []
    unsure = [f for f in newest_findings(view) if f.verdict not in (Verdict.NORMAL, Verdict.ABNORMAL)]
    if unsure:
        lines.append(_group(wording.mark(Verdict.INCONCLUSIVE), "Unknown", unsure))
    if diagnosis.residual:
        probes = {finding.id: finding.probe for finding in view.findings}
        names = ", ".join(line(probes.get(ref, ref), 40) for ref in diagnosis.residual)
        lines.append(Line(label="Not explained", text=names, refs=diagnosis.residual))
    return Section(key="unknown", title="", lines=tuple(lines))


def _next(view: IncidentView) -> Section:
    return Section(key="next", title="", lines=(Line(label="Next", text=next_step(view)),))
