"""Questions about the pager and the stakeholders: priority, who has it, who answered, what was told and when."""

from collections.abc import Iterator

from bot.domain import wording
from bot.domain.page_facts import answer
from bot.domain.paging import paging
from bot.domain.questions.kind import SPECIFIC, Case, Kind
from bot.domain.stakeholder import next_due, policy_of, updates
from bot.domain.statement import Statement, plain, refs_of
from bot.domain.untrusted import quote

SHOWN = 3


def priority(case: Case) -> Iterator[Statement]:
    """The priority in the pager, and since when."""
    told = paging(case.view).priority
    name = plain(case.view.incident.id)
    if told is None:
        yield Statement(text="I don't know: PagerDuty has not told its priority.", known=False)
        yield Statement(text="What would tell: the incident in PagerDuty.", known=False)
        return
    if not told.text:
        yield Statement(text="It has no priority in PagerDuty.", refs=(told.ref,))
    else:
        yield Statement(text=f"Priority {quote(told.text, 40)} in PagerDuty, since {wording.moment(told.at)}.",
                        refs=(told.ref,))  # fmt: skip
    yield Statement(text=f"To set it, type `/oncall priority {name}` and its name.")


def assigned(case: Case) -> Iterator[Statement]:
    """Who has it in the pager, and where they meet."""
    view, state = case.view, paging(case.view)
    if state.assigned is None:
        yield Statement(text="I don't know: PagerDuty has not told who is assigned.", known=False)
        yield Statement(text="What would tell: the incident in PagerDuty.", known=False)
        return
    if not state.assigned.text:
        over = "" if view.incident.active else ", because it is over"
        yield Statement(text=f"Nobody is assigned in PagerDuty{over}.", refs=(state.assigned.ref,))
    else:
        since = wording.moment(state.assigned.at)
        text = f"{quote(state.assigned.text, 200)}, assigned in PagerDuty since {since}."
        yield Statement(text=text, refs=(state.assigned.ref,))
    if state.bridge is not None and state.bridge.text:
        yield Statement(text=f"The conference bridge is {quote(state.bridge.text, 200)}.", refs=(state.bridge.ref,))


def responders(case: Case) -> Iterator[Statement]:
    """Who was asked to help in the pager, and what they answered."""
    asked = paging(case.view).asked
    for one in asked[-SHOWN:]:
        at = wording.clock(one.at, case.view.incident.opened_at)
        said = answer(one.answer)
        when = f"asked at {at}" if one.answer == "pending" else f"at {at}"
        yield Statement(text=f"{quote(one.name, 60)} {said}, {when}.", refs=(one.ref,))
    if asked:
        return
    text = "I don't know of anybody who was asked to help: PagerDuty has told of no request."
    yield Statement(text=text, known=False)
    yield Statement(text="To ask somebody, type `/oncall page` and a name.", known=False)


def told(case: Case) -> Iterator[Statement]:
    """What stakeholders were told last, and when they are told again."""
    view = case.view
    sent, ahead = updates(view), next_due(view)
    if sent:
        last = sent[-1]
        where = "in PagerDuty " if last.pager else ""
        at = wording.moment(last.at)
        yield Statement(text=f"The last update for stakeholders was sent {where}at {at} by {quote(last.by, 60)}: "
                             f"{quote(last.text, 400)}", refs=(last.ref,))  # fmt: skip
    else:
        yield Statement(text="No update for stakeholders was sent, as far as is recorded.",
                        refs=refs_of(view, "incident_opened"))  # fmt: skip
    if ahead is not None:
        yield Statement(text=f"The next one is due at {wording.moment(ahead)}.")
    elif not view.incident.active:
        yield Statement(text="None is due any more: it is over.")
    elif policy_of(view) is None:
        yield Statement(text="None is due: the catalogue asks for none here.")
    yield Statement(text=f"To draft one, type `/oncall update {plain(view.incident.id)}`.")


KINDS = (
    Kind(name="last_update", asks="when were stakeholders told last, and when is the next update due?",
         rank=SPECIFIC + 4, reply=told,
         pattern=r"\b(when|last|next|latest|already|been|were|was|did|do|have|has|who)\b.*\b(stakeholders?|customers?|"
                 r"management|leadership|execs?|executives?)\b.*\b(told|informed|updated?s?|notified|hear|heard)\b|"
                 r"\b(told|informed|notified|updated) (the |our |any )?(stakeholders?|customers?|management|"
                 r"leadership|execs?)\b|\b(last|next|latest|previous) (stakeholder |status |public |company )?"
                 r"updates?\b|\b(status|stakeholder) updates? (was|were|is|are|due|sent|published|did)\b|"
                 r"\bupdates? (for|to) (the )?stakeholders\b|\bupdates? due\b"),
    Kind(name="priority", asks="what is the priority?", rank=SPECIFIC, reply=priority,
         pattern=r"\bpriorit(y|ies)\b|\bis (it|this) an? (p|sev) ?-?[0-5]\b|\bwhat (p|sev) ?(level|number|is)\b|"
                 r"\b(sev|p) ?-?[0-5]\b"),
    Kind(name="assigned", asks="who is assigned?", rank=SPECIFIC + 1, reply=assigned,
         pattern=r"\bassign(ed|ees?|ments?)\b|\bwho (has|holds|got) (it|this|the pager|paged)\b|\bwhose pager\b|"
                 r"\bin whose hands\b|\b(conference|bridge|war room|zoom|call in)\b"),
    Kind(name="responded", asks="who responded?", rank=SPECIFIC + 1, reply=responders,
         pattern=r"\b(who|which|any(one|body)|some(one|body)|they|responders?)\b.*\b(respond(ed|s)?|repl(y|ied)|"
                 r"answer(ed)?|accept(ed)?|declined?|joined|joining|asked to help|coming|on (their|the) way)\b|"
                 r"\bresponder (requests?|repl(y|ies)|answers?)\b|\bresponders?\b"),
)  # fmt: skip
