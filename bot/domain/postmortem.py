"""The postmortem: an incident's view as a document. Every statement cites how we know it; prose is made from facts.

Pure and deterministic: the same view gives the same document.
"""

from collections.abc import Iterator

from bot.domain import measures as timing
from bot.domain import plan_card, wording
from bot.domain.document import (
    Block,
    Document,
    Part,
    Picture,
    Points,
    Row,
    Section,
    Statement,
    Table,
    citing,
    code,
    quoted,
    say,
    strong,
)
from bot.domain.edits import edits_of, shown
from bot.domain.incident import Status
from bot.domain.lanes import lanes
from bot.domain.measures import after, utc
from bot.domain.postmortem_decisions import change_refs, changes, decisions
from bot.domain.postmortem_findings import cause, checks, evidence, ruled_out, runbooks
from bot.domain.postmortem_impact import impact, verified_signals
from bot.domain.postmortem_lessons import follow_ups, lessons
from bot.domain.postmortem_people import actor, people
from bot.domain.postmortem_timeline import integrity, places, timeline
from bot.domain.presentation import AS_RECORDED, READERS, Presentation
from bot.domain.proposal import EffectState
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView
from diagnostics.model import Verdict

MAX_PAGES = 20


def build(recorded: IncidentView, presentation: Presentation = AS_RECORDED) -> Document:
    """Everything that is known of the incident, in the order in which a reader asks, as people edited its timeline."""
    edits = edits_of(recorded.timeline)
    view = shown(recorded, edits)
    over = view.incident.status in (Status.RESOLVED, Status.CLOSED)
    sections = (
        Section(key="summary", title="Summary", blocks=(Points(items=tuple(summary(view))),)),
        Section(key="times", title="Times", blocks=tuple(_times(view))),
        Section(key="impact", title="Impact", blocks=tuple(impact(view))),
        Section(key="detection", title="Detection", blocks=tuple(_detection(view))),
        Section(key="cause", title="Root cause", blocks=tuple(cause(view))),
        Section(key="ruledout", title="What was ruled out", blocks=tuple(ruled_out(view))),
        Section(key="checks", title="What was checked", blocks=tuple(checks(view))),
        Section(key="runbooks", title="Runbooks", blocks=tuple(runbooks(view))),
        Section(key="changes", title="Changes before it", blocks=tuple(changes(view))),
        Section(
            key="decisions", title="Mitigation and verification", blocks=(*decisions(view), *verified_signals(view))
        ),
        Section(key="people", title="What people did and said", blocks=tuple(people(view))),
        Section(key="lessons", title="What went well and badly", blocks=tuple(lessons(view))),
        Section(key="followups", title="Follow-ups", blocks=tuple(follow_ups(view))),
        Section(key="timeline", title="Timeline", blocks=tuple(timeline(recorded, edits, presentation))),
        Section(key="integrity", title="Integrity", blocks=tuple(integrity(recorded, presentation))),
        Section(key="evidence", title="Evidence", blocks=tuple(evidence(view))),
    )
    known = anchors(recorded)
    what = "Postmortem of" if over else "Report so far on"
    return Document(
        incident_id=view.incident.id, title=f"{what} {view.incident.id}", head=(*_head(view), *_shown_as(presentation)),
        sections=tuple(citing(section, known) for section in sections), anchors=known,
    )  # fmt: skip


def anchors(view: IncidentView) -> dict[str, str]:
    """Where each reference leads. The names are counted, never taken from an id that came from outside."""
    found = {view.incident.id: "incident"}
    found |= {pv.proposal.id: f"p{number}" for number, pv in enumerate(view.proposals, start=1)}
    found |= {ref: f"c{number}" for number, ref in enumerate(change_refs(view), start=1)}
    found |= {finding.id: f"e{number}" for number, finding in enumerate(view.findings, start=1)}
    return found | places(view.timeline)


def summary(view: IncidentView) -> Iterator[Statement]:
    """Two to five sentences: page, users, cause, what was done, how it ended."""
    incident = view.incident
    arrived = timing.first_ref(view, "page_received", "page_stale", "incident_opened")
    yield say("The page ", quoted(incident.title, 160), " about ", code(incident.service), " arrived at ",
              utc(incident.opened_at), ".", refs=(arrived,))  # fmt: skip
    felt = next((f for f in view.findings if f.probe == timing.USERS and f.verdict is Verdict.ABNORMAL), None)
    if felt is not None:
        last = [
            f for f in view.findings if f.probe == timing.USERS and f.verdict in (Verdict.ABNORMAL, Verdict.NORMAL)
        ][-1]
        later: list[Part] = []
        if last is not felt:
            later = [f"; last read at {utc(last.started_at)}: ", quoted(last.reading.summary)]
        yield say("What users noticed: ", quoted(felt.reading.summary), *later, ".", refs=(felt.id, last.id))
    if view.diagnosis is not None and view.diagnosis.ranked:
        yield say(*_verdict(view), ".", refs=(timing.last_ref(view, "diagnosis_made"),))
    yield _changed(view)
    yield _ending(view)


def _changed(view: IncidentView) -> Statement:
    """What was done to the world, and whether it helped."""
    words = {EffectState.CLAIMED: "is being carried out", EffectState.UNKNOWN: "may or may not have taken effect"}
    parts: list[Part] = []
    refs = []
    for pv in view.proposals:
        effect = pv.apply
        if effect is None or effect.state not in (EffectState.DONE, *words):
            continue
        became = wording.EFFECT_VERDICTS.get(effect.verdict, "not verified yet")
        back = ", and was set back" if pv.revert is not None and pv.revert.state is EffectState.DONE else ""
        parts += [
            "; then " if parts else "",
            quoted(plan_card.title(pv.proposal.plan), 80),
            " on ",
            code(pv.proposal.plan.target),
            " ",
            words.get(effect.state, f"was carried out after approval: {became}{back}"),
        ]
        refs.append(pv.proposal.id)
    if parts:
        return say(*parts, ".", refs=refs)
    return say(
        "Nothing was changed by Pagerunner.", refs=[pv.proposal.id for pv in view.proposals] or [view.incident.id]
    )


def _verdict(view: IncidentView) -> Iterator[Part]:
    assert view.diagnosis is not None
    leader = view.diagnosis.leader
    share = wording.percent(leader.probability)
    match view.diagnosis.conclusion:
        case "cause":
            yield from ("The findings point to ", quoted(leader.title, 100), f" ({share} sure)")
        case "no_fault":
            yield f"No fault was found ({share} sure)"
        case _:
            yield from ("The cause is not sure; the best guess is ", quoted(leader.title, 100), f" ({share})")


def _ending(view: IncidentView) -> Statement:
    took = {m.key: m for m in timing.measures(view)}
    parts = [
        f"{word} {wording.duration(took[key].seconds or 0)} after the first page"
        for key, word in (("acknowledge", "acknowledged"), ("mitigate", "mitigated"), ("resolve", "resolved"))
        if took[key].seconds is not None
    ]
    refs = [ref for key in ("acknowledge", "mitigate", "resolve") for ref in took[key].refs]
    still = "" if took["resolve"].seconds is not None else "It is not resolved yet"
    text = "; ".join(part for part in (still, ", ".join(parts)) if part)
    return say(text[:1].upper() + text[1:], ".", refs=refs or [view.incident.id])


def _head(view: IncidentView) -> Iterator[Statement]:
    incident = view.incident
    yield say(quoted(incident.title, 300), refs=(timing.first_ref(view, "page_received", "page_stale"),))
    yield say(strong("Status: "), wording.STATUS[incident.status])
    service: list[Part] = [strong("Service: "), code(incident.service)]
    if view.service is None:
        service.append(", which is not in the catalogue")
    else:
        mode = view.service.mode
        service += [f", a {view.service.kind} service in ", code(view.service.environment), f", {mode} mode"]
    yield say(*service)
    if view.team is not None:
        yield say(strong("Team: "), code(view.team.name))
    last = view.timeline[-1] if view.timeline else None
    if last is not None:
        yield say(strong("As of: "), f"{utc(last.at)}, the last entry of the timeline", refs=(f"#{last.seq}",))


def _shown_as(presentation: Presentation) -> Iterator[Statement]:
    """What of this document depends on who asked for it."""
    if presentation.zone_name != "UTC":
        yield say(strong("Times: "), "in ", code(presentation.zone_name, 60), gap=True)
    if presentation.redaction != "internal":
        yield say(strong("Redacted: "), READERS[presentation.redaction], gap=True)
    for note in presentation.notes:
        yield say(strong("Note: "), quoted(note, 400), gap=True)


def _times(view: IncidentView) -> Iterator[Block]:
    yield Picture(key="lanes", drawn=lanes(view))
    rows = []
    for measure in timing.measures(view):
        took = say(wording.duration(measure.seconds), refs=measure.refs) if measure.seconds is not None else \
            say(f"none: {measure.missing}", gap=True)  # fmt: skip
        span = f"{measure.since} → {measure.until}" if measure.seconds is not None else ""
        rows.append(Row(cells=(say(measure.label), took, say(span))))
    yield Table(heads=("Measure", "Took", "From → to"), rows=tuple(rows), title="How long it took")
    happened = timing.moments(view)
    start, opened = timing.began(view).at, view.incident.opened_at
    yield Table(
        heads=("Moment", "Time", "After it began", "After the page"), title="Moments",
        rows=tuple(
            Row(cells=(say(m.label, *((": ", quoted(m.said, 120)) if m.said else ())), say(utc(m.at), refs=(m.ref,)),
                       say(after(m.at, start)), say(after(m.at, opened))))
            for m in happened
        ),
    )  # fmt: skip


def _detection(view: IncidentView) -> Iterator[Block]:
    pages = view.entries("page_received", "page_joined", "page_stale")
    points = [_page(view, entry) for entry in pages[:MAX_PAGES]]
    if len(pages) > MAX_PAGES:
        rest = pages[MAX_PAGES:]
        points.append(say(f"{len(rest)} further pages joined, the last at {utc(rest[-1].at)}.",
                          refs=(f"#{rest[-1].seq}",)))  # fmt: skip
    start = timing.began(view)
    if start.said:
        by = quoted(start.said, 60)
        points.append(say(f"It began at {utc(start.at)}, as ", by, " marked it.", refs=(start.ref,)))
    elif start.ref in {finding.id for finding in view.findings}:
        points.append(say(f"Telemetry shows that it began at {utc(start.at)}.", refs=(start.ref,)))
    else:
        points.append(say("When users were first affected is not recorded.", gap=True))
    points.append(say(f"{wording.plural(view.incident.pages, 'page')} in all.", refs=(view.incident.id,)))
    yield Points(items=tuple(points))


def _page(view: IncidentView, entry: Entry) -> Statement:
    data = entry.fact.data
    words = {"page_received": "First page", "page_joined": "Page", "page_stale": "Old page, not investigated"}
    parts: list[Part] = [f"{words[entry.fact.kind]} received at {utc(entry.at)} from ", *actor(view, entry.fact.actor)]
    told = timing.parsed(data.get("occurred_at"))
    if told is not None:
        parts.append(f", occurred {utc(told)} ({after(entry.at, told)} until it was here)")
    parts += [": ", quoted(str(data.get("title", view.incident.title)), 160), "."]
    return say(*parts, refs=(f"#{entry.seq}",))
