"""What is left to people: what went well and badly, with facts that hint at it, and what is to follow, with owners."""

from collections.abc import Iterator

from bot.domain import measures as timing
from bot.domain import plan_card, wording
from bot.domain.document import Blank, Block, Heading, Part, Points, Statement, Tasks, code, name, quoted, say
from bot.domain.followups import MAX_TEXT, FollowUp
from bot.domain.followups import follow_ups as follow_ups_of
from bot.domain.measures import utc
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.sentences import sentence
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Verdict

MAX_HINTS = 6
BLANKS = 3
"""Empty follow-ups for people to fill in."""


def lessons(view: IncidentView) -> Iterator[Block]:
    """Facts that speak for the one or the other, without a judgement, and room for people to judge."""
    for title, hints in (("What went well", _well(view)), ("What went badly", _badly(view)),
                         ("Where we got lucky", iter(()))):  # fmt: skip
        yield Heading(title=say(title))
        found = tuple(hints)[:MAX_HINTS]
        if found:
            yield Points(items=(say("Facts that may belong here:", gap=True), *found))
        yield Blank(hint="Left to people.")


def follow_ups(view: IncidentView) -> Iterator[Block]:
    """What the record leaves open, then room for more. Who owns each is for people to say."""
    noted = follow_ups_of(view)
    if noted:
        yield Points(items=tuple(_noted(one) for one in noted))
    team = view.team.name if view.team is not None else ""
    if team:
        yield Points(items=(say("The service belongs to team ", code(team), "; each follow-up needs a person as owner.",
                                refs=(view.incident.id,)),))  # fmt: skip
    yield Tasks(items=(*_open_points(view), *(say("", gap=True) for _ in range(BLANKS))))


def _noted(one: FollowUp) -> Statement:
    """What people said is to be done, who owns it, and the issue that it became."""
    whose: tuple[Part, ...] = (", owner ", name(one.owner)) if one.owner else (", without an owner yet",)
    issue: tuple[Part, ...] = (": ", code(one.issue), *((" ", code(one.url)) if one.url else ())) if one.issue else ()
    return say(quoted(one.text, MAX_TEXT), *whose, *issue, ".", refs=(f"#{one.entry}",))


def _well(view: IncidentView) -> Iterator[Statement]:
    took = {measure.key: measure for measure in timing.measures(view)}
    for key, word in (("acknowledge", "Acknowledged"), ("mitigate", "Mitigated")):
        seconds = took[key].seconds
        if seconds is not None:
            yield say(f"{word} {wording.duration(seconds)} after the first page.", refs=took[key].refs)
    helped = [pv for pv in view.proposals if pv.apply is not None and pv.apply.verdict == "better"]
    for pv in helped[:2]:
        first = " at the first attempt" if pv.proposal.plan.attempt == 1 else ""
        yield say(quoted(plan_card.title(pv.proposal.plan), 80), f" helped{first}.", refs=(pv.proposal.id,))
    if helped and view.retrieval is not None and view.retrieval.matches:
        used = helped[0].proposal.plan.runbook.split("#", maxsplit=1)[0]
        if view.retrieval.matches[0].document == used:
            found = timing.last_ref(view, "runbooks_retrieved")
            yield say("The runbook that helped was the first one found: ", code(used), ".", refs=(found,))


def _badly(view: IncidentView) -> Iterator[Statement]:
    took = {measure.key: measure for measure in timing.measures(view)}
    if took["detect"].seconds:
        yield say(f"Users were affected {wording.duration(took['detect'].seconds)} before the first page.",
                  refs=took["detect"].refs)  # fmt: skip
    for pv in view.proposals:
        plan, own = pv.proposal.plan, (pv.proposal.id,)
        if pv.apply is not None and pv.apply.verdict in ("worse", "unknown"):
            verdict = wording.EFFECT_VERDICTS[pv.apply.verdict]
            yield say(quoted(plan_card.title(plan), 80), f" was carried out: {verdict}.", refs=own)
        elif pv.proposal.state in (ProposalState.EXPIRED, ProposalState.CONFLICT, ProposalState.FAILED):
            yield say(
                quoted(plan_card.title(plan), 80), f" was proposed and ended as {pv.proposal.state.value}.", refs=own
            )
    if view.retrieval is not None and not view.retrieval.matches:
        yield say("No runbook was found.", refs=(timing.last_ref(view, "runbooks_retrieved"),))
    silent = [f for f in view.findings if f.round == 0 and f.verdict in (Verdict.INCONCLUSIVE, Verdict.ERROR)]
    if silent:
        yield say(
            f"{wording.plural(len(silent), 'probe run')} gave no answer.", refs=[f.id for f in silent[:MAX_HINTS]]
        )
    for entry in view.entries("incident_reopened")[:1]:
        yield say(f"It was opened again at {utc(entry.at)}.", refs=(f"#{entry.seq}",))


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
