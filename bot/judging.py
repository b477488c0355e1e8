"""What people say of a diagnosis when it is over, and that the owner of the runbook hears of it."""

from typing import Protocol

from bot.domain.ballot import verdicts_wanted
from bot.domain.proposal import Principal
from bot.domain.room import RoomState
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import quote
from bot.domain.verdicts import VERDICTS, WORDS, verdicts
from bot.domain.view import IncidentView, MessageRef
from bot.parts import Parts
from bot.ports import DutyBook, Told
from runbooks.model import Library


class _More(Protocol):
    @property
    def book(self) -> DutyBook: ...

    @property
    def library(self) -> Library: ...


async def judge(view: IncidentView, verdict: str, who: Principal, parts: Parts, more: _More) -> Told:
    """Record the verdict; a person may change it, and the newest counts."""
    incident = view.incident
    if incident.active:
        return Told(ok=False, text=f"{incident.id} is not over; say what you know as a hint in its thread.")
    if verdict not in verdicts_wanted(view):
        known = ", ".join(WORDS[one] for one in VERDICTS if one in verdicts_wanted(view))
        return Told(ok=False, text=f"No cause was named for {incident.id}, so only this can be said of it: {known}.")
    before = next((e.fact.data.get("verdict") for e in verdicts(view) if e.fact.actor == who.id), None)
    if before == verdict:
        return Told(ok=True, text=f"You have said so already: {WORDS[verdict]}.")
    used = runbook_used(view)
    data = {"verdict": verdict, "by": who.name, "runbook": used}
    fact = Fact(kind="verdict_given", provenance=Provenance.HUMAN, actor=who.id, data=data)
    at = _owner(view, used, parts, more.library)
    said = _told(view, used, verdict, who) if at is not None else ""
    await more.book.judged(incident.id, fact, parts.clock.now(), key=f"verdict:{used}", said=said, at=at)
    changed = f"; before, you said {WORDS[str(before)]}" if before else ""
    return Told(ok=True, text=f"Recorded: {WORDS[verdict]}{changed}. Thank you.")


def runbook_used(view: IncidentView) -> str:
    """The runbook whose step was carried out last, or else the one whose cause was named; empty if neither."""
    done = [pv.proposal.plan.runbook for pv in view.proposals if pv.apply is not None]
    if done:
        return done[-1].partition("#")[0]
    diagnosis = view.diagnosis
    return diagnosis.leader.mode if diagnosis is not None and diagnosis.conclusion == "cause" else ""


def _owner(view: IncidentView, used: str, parts: Parts, library: Library) -> MessageRef | None:
    """Where the runbook's owner is told: the team's channel, or below the card where that is the same channel."""
    runbook = library.get(used) if used else None
    team = parts.catalogue.team(runbook.owner) if runbook is not None else None
    if team is None or not team.slack_channel:
        return None
    if view.message is not None and (view.message.channel == team.slack_channel or _open_room_of(view, team.name)):
        return view.message
    return MessageRef(channel=team.slack_channel, ts="")


def _open_room_of(view: IncidentView, team: str) -> bool:
    """Whether the team talks in the incident's own channel now."""
    return view.incident.team == team and view.room is not None and view.room.state is RoomState.OPEN


def _told(view: IncidentView, used: str, verdict: str, who: Principal) -> str:
    helped = any(pv.apply is not None and pv.apply.verdict == "better" for pv in view.proposals)
    became = "it helped" if verdict == "right_cause" and helped else WORDS[verdict]
    incident = view.incident
    return (
        f"Your runbook {quote(used, 80)} was used in {quote(incident.id)} ({quote(incident.service)}): "
        f"{became}, says {quote(who.name, 40)}."
    )
