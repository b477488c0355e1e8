"""The postmortem's people: who acted, what they did and said, and what is left to them."""

from collections.abc import Iterator, Mapping

from bot.domain.document import (
    Block,
    Part,
    Points,
    Row,
    Table,
    code,
    name,
    say,
)
from bot.domain.measures import utc
from bot.domain.sentences import sentence
from bot.domain.view import IncidentView


def actor(view: IncidentView, who: str, names: Mapping[str, str] | None = None) -> Iterator[Part]:
    """Who, with the name that they had when they acted; ``names``: those of :func:`names_of`, for many at once."""
    if who == "pagerunner":
        yield "Pagerunner"
        return
    known = (names_of(view) if names is None else names).get(who)
    if known:
        yield name(known)
        yield " "
    yield code(who, 80)


def people(view: IncidentView) -> Iterator[Block]:
    """What was done by hand, hinted, noted, asked and stopped."""
    kinds = ("person_did", "manual_done", "hint_given", "note_added", "question_asked", "incident_acknowledged",
             "incident_escalated", "incident_resolved", "message_added", "responder_requested", "snoozed", "role_taken",
             "handed_over", "verdict_given", "priority_requested", "reassignment_requested", "responder_replied",
             "update_sent", "status_update_published", "frozen", "unfrozen")  # fmt: skip
    names = names_of(view)
    rows = [
        Row(cells=(say(utc(entry.at)), say(*actor(view, entry.fact.actor, names)),
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


def names_of(view: IncidentView) -> dict[str, str]:
    """Principal -> the name last used in this incident."""
    found = {
        entry.fact.actor: str(entry.fact.data.get("name") or entry.fact.data.get("by") or "")
        for entry in view.timeline
        if entry.fact.provenance.value == "human" and (entry.fact.data.get("name") or entry.fact.data.get("by"))
    }
    return found | {vote.principal: vote.name for pv in view.proposals for vote in pv.votes}
