"""The postmortem's people: who acted, what they did and said, and what is left to them."""

from collections.abc import Iterator

from bot.domain import measures as timing
from bot.domain import plan_card
from bot.domain.document import (
    Blank,
    Block,
    Heading,
    Part,
    Points,
    Row,
    Statement,
    Table,
    Tasks,
    code,
    name,
    quoted,
    say,
)
from bot.domain.measures import utc
from bot.domain.proposal import EffectState
from bot.domain.sentences import sentence
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Verdict


def actor(view: IncidentView, who: str) -> Iterator[Part]:
    """Who, with the name that they had when they acted."""
    if who == "pagerunner":
        yield "Pagerunner"
        return
    known = _names(view).get(who)
    if known:
        yield name(known)
        yield " "
    yield code(who, 80)


def people(view: IncidentView) -> Iterator[Block]:
    """What was done by hand, hinted, noted, asked and stopped."""
    kinds = ("person_did", "manual_done", "hint_given", "note_added", "question_asked", "incident_acknowledged",
             "incident_escalated", "incident_resolved", "frozen", "unfrozen")  # fmt: skip
    rows = [
        Row(cells=(say(utc(entry.at)), say(*actor(view, entry.fact.actor)),
                   say(*sentence(entry.fact).spans, refs=(f"#{entry.seq}",))))
        for entry in view.entries(*kinds)
    ]  # fmt: skip
    if rows:
        yield Table(heads=("Time", "Who", "What"), rows=tuple(rows))
    else:
        yield Points(items=(say("Nothing is recorded that people did or said beside the votes.", gap=True),))
    did = view.entries("person_did", "manual_done")
    if view.service is not None and view.service.mode == "observe" and not did:
        yield Points(items=(say("What people did instead of the proposals was not recorded.", gap=True),))


def lessons(view: IncidentView) -> Iterator[Block]:
    """Left to people, beginning with what the record leaves open."""
    for title, hint in (
        ("What went well", "Left to people."),
        ("What went badly", "Left to people."),
        ("Where we got lucky", "Left to people."),
    ):
        yield Heading(title=say(title))
        yield Blank(hint=hint)
    yield Heading(title=say("Follow-ups"))
    yield Tasks(items=(*_open_points(view), *(say("", gap=True) for _ in range(3))))


def _open_points(view: IncidentView) -> Iterator[Statement]:
    """What the record leaves open. Nothing here is advice: it names what nobody has answered."""
    for pv in view.proposals:
        yield from _left_in_place(pv)
    if view.diagnosis is not None:
        for ref in view.diagnosis.residual:
            yield say("No cause explains this finding.", refs=(ref,))
        if view.diagnosis.conclusion == "inconclusive":
            yield say("The cause is not sure.", refs=(timing.last_ref(view, "diagnosis_made"),))
    newest = {finding.probe: finding for finding in view.findings}
    for finding in newest.values():
        if finding.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR):
            said = quoted(finding.reading.summary, 160)
            yield say(code(finding.probe), " gave no answer: ", said, ".", refs=(finding.id,))
    for entry in view.entries("alarm"):
        yield say(*sentence(entry.fact).spans, refs=(f"#{entry.seq}",))
    if view.incident.active:
        yield say("It is not resolved.", refs=(view.incident.id,))
    if view.frozen:
        yield say("Execution is still stopped: ", quoted(view.frozen), ".", refs=(view.incident.id,))


def _left_in_place(pv: ProposalView) -> Iterator[Statement]:
    title, target, own = quoted(plan_card.title(pv.proposal.plan), 80), code(pv.proposal.plan.target), (pv.proposal.id,)
    effect = pv.apply
    if effect is None:
        return
    if effect.state is EffectState.UNKNOWN:
        yield say("Not known whether it took effect: ", title, " on ", target, ".", refs=own)
    if effect.state is EffectState.DONE and pv.revert is None:
        until = f" until {utc(effect.lease_until)}" if effect.lease_until else ""
        yield say("Still in place", until, ": ", title, " on ", target, ".", refs=own)
    if pv.revert is not None and pv.revert.state is not EffectState.DONE:
        yield say("Not set back: ", title, " on ", target, ".", refs=own)


def _names(view: IncidentView) -> dict[str, str]:
    """Principal -> the name last used in this incident."""
    found = {
        entry.fact.actor: str(entry.fact.data.get("name") or entry.fact.data.get("by") or "")
        for entry in view.timeline
        if entry.fact.provenance.value == "human" and (entry.fact.data.get("name") or entry.fact.data.get("by"))
    }
    return found | {vote.principal: vote.name for pv in view.proposals for vote in pv.votes}
