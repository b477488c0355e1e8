"""Questions about runbooks and about earlier incidents."""

from collections.abc import Iterator, Sequence

from bot.domain import plan_card, wording
from bot.domain.detail import similar_line
from bot.domain.next_step import next_step
from bot.domain.questions.kind import SPECIFIC, USUAL, Case, Kind
from bot.domain.questions.words import would_tell
from bot.domain.statement import Statement, current, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView


def runbook(case: Case) -> Iterator[Statement]:
    """Which runbooks were found and which step is proposed."""
    view = case.view
    matches = view.retrieval.matches if view.retrieval else ()
    pv = current(view)
    if not matches and pv is None:
        yield Statement(text="I don't know: no runbook was found.", known=False)
        yield Statement(text="What would tell: `/oncall runbook` with words of the page.", known=False)
        return
    leading = _leading(view)
    ordered = sorted(matches, key=lambda match: match.document != leading)
    for match in ordered[:2]:
        because = f": {quote(match.reasons[0].text)}" if match.reasons else ""
        yield Statement(text=f"• {quote(match.title)}{because}", refs=(match.best_chunk, match.document))
    if pv is not None:
        yield Statement(text="The proposed step is from", refs=(pv.proposal.plan.runbook,))
    if view.retrieval is not None and view.retrieval.notice:
        yield Statement(text=f"Note: {quote(view.retrieval.notice)}")


def _leading(view: IncidentView) -> str:
    return view.diagnosis.leader.mode if view.diagnosis is not None else ""


def next_in_runbook(case: Case) -> Iterator[Statement]:
    """The step that is proposed, and the steps that were passed over with why."""
    view = case.view
    pv = current(view)
    ended = view.entries("investigation_ended")
    data = ended[-1].fact.data if ended else {}
    if pv is not None:
        plan = pv.proposal.plan
        text = f"Its step {plain(plan_card.title(plan))} is {plain(pv.proposal.state.value)}."
        yield Statement(text=text, refs=(plan.runbook,))
    for step in list(data.get("passed_over") or ())[:2]:
        text = f"Passed over {quote(str(step.get('step', '')), 80)}: {quote(str(step.get('why', '')), 160)}"
        yield Statement(text=text, refs=(f"#{ended[-1].seq}",))
    if pv is None and not data.get("passed_over"):
        yield Statement(text="No step of a runbook is proposed.", refs=refs_of(view, "investigation_ended"))
    yield Statement(text=plain(next_step(view), 300))


def last_time(case: Case) -> Iterator[Statement]:
    """Earlier incidents: those that retrieval brought up, and those of the same service."""
    view = case.view
    matches = view.retrieval.matches if view.retrieval else ()
    past = [match for match in matches if match.document.startswith("inc-")]
    for match in past[:2]:
        yield Statement(text=f"• {quote(match.title)}", refs=(match.document,))
    similar = [one for one in (view.retrieval.similar if view.retrieval else ()) if one.id != view.incident.id]
    for one in similar[:2]:
        yield Statement(text=similar_line(one), refs=(one.id,))
    known = {one.id for one in similar[:2]}
    others = [old for old in _like(view, case.earlier or ()) if old.incident.id not in known]
    for old in others[: 3 - len(past[:2]) - len(known)]:
        yield _told(old)
    if past or similar or case.earlier:
        return
    if case.earlier is None:
        yield Statement(text="I don't know: no earlier incident was found by the search for runbooks.", known=False)
        yield Statement(text="What would tell: ask in the thread of the card, where earlier incidents are looked up.",
                        known=False)  # fmt: skip
        return
    text = f"Not recorded: no earlier incident of {plain(view.incident.service)} is recorded here."
    yield Statement(text=text, known=False)


def _like(view: IncidentView, earlier: Sequence[IncidentView]) -> list[IncidentView]:
    """Of the same cause first, then the newest."""
    return sorted(earlier, key=lambda old: (_leading(old) != _leading(view), -old.incident.opened_at.timestamp()))


def _told(old: IncidentView) -> Statement:
    """One earlier incident: when, what it was, what helped."""
    when = wording.moment(old.incident.opened_at)
    what = "no cause was found"
    if old.diagnosis is not None:
        leader = old.diagnosis.leader
        what = f"{plain(leader.title)} ({plain(wording.percent(leader.probability))})"
    helped = [pv for pv in old.proposals if pv.apply is not None and pv.apply.verdict == "better"]
    did = (
        f"; {plain(plan_card.title(helped[-1].proposal.plan))} helped"
        if helped
        else "; nothing is known to have helped"
    )
    return Statement(text=f"• {when}: {what}{did}", refs=(old.incident.id,))


def link_to_next(case: Case) -> Iterator[Statement]:
    """What a person should do now."""
    yield Statement(text=plain(next_step(case.view), 300), refs=refs_of(
        case.view, "proposal_made", "investigation_ended", "verification_made", "lease_started"))  # fmt: skip
    if case.view.diagnosis is None:
        yield from would_tell(case)


KINDS = (
    Kind(name="last_time", asks="what was it last time?", rank=SPECIFIC + 1, reply=last_time,
         pattern=r"\b(last time|(happened|seen|had|saw|occur(red)?)( \w+)? (this |it |that )?(before|already|"
                 r"previously|in the past|earlier)|previous(ly)? incidents?|before\?|again\?|similar( incidents?)?|"
                 r"past incidents?|earlier incidents?|recurr\w+|history of|repeat)|\blast (happen|occur|see|seen|"
                 r"have)\w*\b|\bprecedents?\b|\bdo we know this\b|\b(did|have|had) we (ever )?(have|had|see|seen|"
                 r"hit)\b.*\b(this|it|that)\b|\bearlier this (year|month|week)\b"),
    Kind(name="runbook_next", asks="what does the runbook say next?", rank=SPECIFIC + 1, reply=next_in_runbook,
         pattern=r"\bnext (step|action|option)s?\b|\brun ?books?\b.*\b(next|then|says?|tells?|recommends?|"
                 r"suggests?|after|steps?)\b|\bpassed over\b|\b(which|what) steps?\b|\bplaybooks?\b.*\b(next|then|"
                 r"says?|recommends?|suggests?|steps?)\b"),
    Kind(name="runbook", asks="which runbook?", rank=USUAL, reply=runbook,
         pattern=r"\brun ?books?\b|\bplaybooks?\b|\bwhich (doc|document|procedure|guide)\b"),
    Kind(name="next", asks="what should we do now?", rank=USUAL, reply=link_to_next,
         pattern=r"\b(what|anything) (should|do|can|must|shall) (i|we)( need to)?( do)?\b(?!.*\bknow\b)|"
                 r"\bwhat now\b|\bwhat('s| is| happens| comes)? next\b|\bwhat'?s left\b|\bwaiting (for|on)\b|"
                 r"\bany action\b|^\W*(and )?next\W*$|\banything (i|we) (should|can|must) do\b|\bneed (me|"
                 r"us) to do\b"),
)  # fmt: skip
