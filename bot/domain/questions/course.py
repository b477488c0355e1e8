"""Questions about the incident as a whole: status, hand-over, timeline, what to tell others, pages, pictures."""

from collections.abc import Iterator

from bot.domain import measures, plan_card, wording
from bot.domain.card import verdict
from bot.domain.next_step import next_step
from bot.domain.questions.kind import GENERAL, SPECIFIC, Case, Kind
from bot.domain.questions.words import newest, seen
from bot.domain.signals import shown, signals
from bot.domain.statement import Statement, current, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from diagnostics.model import Verdict


def _head(view: IncidentView) -> Statement:
    incident = view.incident
    text = f"{incident.id} ({incident.service}) is {wording.STATUS[incident.status]} since"
    return Statement(text=plain(f"{text} {wording.moment(incident.opened_at)}."), refs=refs_of(view, "incident_opened"))


def _what(view: IncidentView) -> Statement:
    if view.diagnosis is not None:
        return Statement(text=f"{plain(verdict(view.diagnosis))}.", refs=refs_of(view, "diagnosis_made"))
    running = f"; {wording.plural(len(view.running), 'probe')} still running" if view.running else ""
    return Statement(text=f"Nothing has been diagnosed{running}.", refs=refs_of(view, "investigation_started"))


def _doing(view: IncidentView) -> Iterator[Statement]:
    """What is proposed, or became of it: the newest state, in one sentence."""
    pv = current(view)
    if pv is None:
        return
    states = list(plan_card.state_of(view, pv))
    told = [f"{label.lower()}: {text}" for label, text, _ in states if label in ("Verified", "Verifying", "Not done",
            "Unknown", "Now", "Undone", "Undoing", "Not undone", "Held")][-1:]  # fmt: skip
    said = f"; {quote(told[0], 200)}" if told else f" ({plain(pv.proposal.state.value)})"
    refs = tuple(ref for _, _, refs in states for ref in refs if ref.startswith("#"))
    made = plan_card.timeline_refs(view, pv.proposal, "proposal_made", "proposal_withheld")
    yield Statement(text=f"{plain(plan_card.title(pv.proposal.plan))}{said}.", refs=refs[-2:] or made)


def status(case: Case) -> Iterator[Statement]:
    """Where it stands, and what comes next."""
    view = case.view
    yield _head(view)
    yield _what(view)
    if view.frozen:
        yield Statement(text=f"All execution is frozen: {quote(view.frozen)}")
    else:
        yield from _doing(view)
    yield Statement(text=plain(next_step(view), 300))


def handover(case: Case) -> Iterator[Statement]:
    """Sixty seconds: where it stands, why, what users feel, what was done, what is next."""
    view = case.view
    yield _head(view)
    yield _what(view)
    signal_ = newest(view, measures.USERS)
    if signal_ is not None and signal_.verdict is not Verdict.NOT_RUN:
        yield seen(signal_)
    yield from _doing(view)
    if view.frozen:
        yield Statement(text=f"All execution is frozen: {quote(view.frozen)}")
    yield Statement(text=plain(next_step(view), 300))


def stakeholders(case: Case) -> Iterator[Statement]:
    """Facts that can be passed on: no cause is stated as certain, and nothing is promised."""
    view, incident = case.view, case.view.incident
    title = plain(view.service.title) if view.service is not None and view.service.title else plain(incident.service)
    began = measures.began(view)
    text = f"{title}: {wording.STATUS[incident.status]}, since {wording.moment(began.at)}."
    yield Statement(text=text, refs=(began.ref,))
    signal_ = newest(view, measures.USERS)
    if signal_ is not None and signal_.verdict is not Verdict.NOT_RUN:
        yield seen(signal_)
    yield from _doing(view)
    yield Statement(text="Not known, so not to be promised: when it is over, and what it cost.")


_TOLD = {"page_received": "first page", "diagnosis_made": "diagnosis", "proposal_made": "proposal",
         "proposal_approved": "approved", "proposal_rejected": "rejected", "effect_applied": "carried out",
         "verification_made": "verified", "users_recovered": "users well again", "effect_reverted": "set back",
         "incident_acknowledged": "acknowledged", "incident_resolved": "resolved", "person_did": "done by hand",
         "frozen": "frozen", "proposal_expired": "proposal expired"}  # fmt: skip


def timeline(case: Case) -> Iterator[Statement]:
    """The turning points, oldest first: the newest of each kind."""
    view = case.view
    newest_of = {entry.fact.kind: entry for entry in view.timeline if entry.fact.kind in _TOLD}
    points = sorted(newest_of.values(), key=lambda entry: entry.seq)
    said = [f"{entry.at:%H:%M:%S} {_TOLD[entry.fact.kind]}" for entry in points][:10]
    if said:
        yield Statement(text=f"{', '.join(said)} (UTC).", refs=tuple(f"#{entry.seq}" for entry in points[:10]))
    total = wording.plural(len(view.timeline), "entry", "entries")
    yield Statement(text=f"The timeline has {total}; `/oncall export {plain(view.incident.id)}` writes all of it.")


def pages(case: Case) -> Iterator[Statement]:
    """How many pages, and of what."""
    view, incident = case.view, case.view.incident
    first = refs_of(view, "page_received")
    text = f"{wording.plural(incident.pages, 'page')}, the first at {wording.moment(incident.opened_at)}:"
    yield Statement(text=f"{text} {quote(incident.title)}", refs=first)
    joined = view.entries("page_joined")
    if joined:
        yield Statement(text=f"{wording.plural(len(joined), 'page')} joined it.", refs=(f"#{joined[-1].seq}",))


def graph(case: Case) -> Iterator[Statement]:
    """The figures of the picture, for where it cannot be shown."""
    found = signals(case.view)
    for one in found[:3]:
        last = one.points[-1]
        first = f"{shown(one, one.points[0].value)} → " if len(one.points) > 1 else ""
        usual = f", normally {shown(one, one.baseline)}" if one.baseline is not None else ""
        text = f"{one.probe}, {one.label}: {first}{shown(one, last.value)}{usual}"
        yield Statement(text=plain(text, 200), refs=(one.points[0].ref, last.ref))
    if not found:
        yield Statement(text="There is no number that was read twice; the picture shows when what happened.",
                        refs=refs_of(case.view, "investigation_ended", "investigation_started"))  # fmt: skip
    yield Statement(text="The picture follows below as a file.")


KINDS = (
    Kind(name="graph", asks="show me the graph", rank=SPECIFIC + 3, reply=graph, picture=True,
         pattern=r"\b(show|draw|plot|see|send|post|give)\b.*\b(graph|chart|picture|plot|image|curve|diagram)s?\b|"
                 r"^(a |the )?(graph|chart|plot|picture|diagram)s?\b|\b(a|the|got|any) (graph|chart|plot|picture|"
                 r"diagram)s?\b"),
    Kind(name="handover", asks="what do I need to know in 60 seconds?", rank=SPECIFIC + 3, reply=handover, limit=6,
         pattern=r"\b(60|sixty) seconds?\b|\b(hand.?(over|off)|handing over|catch (me|us) up|bring me up to speed|"
                 r"up to speed|brief(ing)?( me)?|need to know|just (joined|woke)|taking over|in a nutshell)\b"),
    Kind(name="stakeholders", asks="what do we tell stakeholders?", rank=SPECIFIC + 3, reply=stakeholders,
         pattern=r"\b(stakeholders?|management|managers?|executives?|execs?|support team|customer (support|"
                 r"success)|comms|communicat\w+|leadership|tell (the )?(users|customers|people|boss))\b|\btell (my|"
                 r"our|the|your) \w+\b"),
    Kind(name="timeline", asks="give me the timeline", rank=SPECIFIC, reply=timeline,
         pattern=r"\b(timeline|chronolog\w*|sequence of events|what happened when|step by step|history|(happened|"
                 r"story|everything) so far)\b"),
    Kind(name="pages", asks="how many pages were there?", rank=SPECIFIC, reply=pages,
         pattern=r"\b(how many|how often|number of|count of)\b.*\b(pages?|alerts?|alarms?|paged|notifications?)\b|"
                 r"\b(which|what) (pages?|alerts?|alarms?|notifications?)\b|\bpaged (us|me)\b"),
    Kind(name="status", asks="what is going on?", rank=GENERAL, reply=status,
         pattern=r"\b(status|state|where are we|update|summar(y|ise|ize)|tl;?dr|going on|happening|how is it|"
                 r"what'?s up|situation|overview|where do we stand|is it (over|open|closed|resolved))\b"),
)  # fmt: skip
