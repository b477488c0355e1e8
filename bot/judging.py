"""What people say of a diagnosis when it is over, and that the owner of the runbook hears of it."""

from typing import Protocol

from bot.authors import Authors
from bot.domain.ballot import verdicts_wanted
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact, Provenance
from bot.domain.verdicts import VERDICTS, WORDS, verdicts
from bot.domain.view import IncidentView
from bot.parts import Parts
from bot.ports import DutyBook, Told


class _More(Protocol):
    @property
    def book(self) -> DutyBook: ...


async def judge(
    view: IncidentView, verdict: str, who: Principal, parts: Parts, more: _More, authors: Authors
) -> Told:  # fmt: skip
    """Record the verdict; a person may change it, and the newest counts. The runbook's owner hears of it."""
    incident = view.incident
    if incident.active:
        return Told(ok=False, text=f"{incident.id} is not over; say what you know as a hint in its thread.")
    if verdict not in verdicts_wanted(view):
        known = ", ".join(WORDS[one] for one in VERDICTS if one in verdicts_wanted(view))
        return Told(ok=False, text=f"No cause was named for {incident.id}, so only this can be said of it: {known}.")
    said = verdicts(view)
    before = next((e.fact.data.get("verdict") for e in said if e.fact.actor == who.id), None)
    if before == verdict:
        return Told(ok=True, text=f"You have said so already: {WORDS[verdict]}.")
    used = runbook_used(view)
    data = {"verdict": verdict, "by": who.name, "runbook": used}
    fact = Fact(kind="verdict_given", provenance=Provenance.HUMAN, actor=who.id, data=data)
    await more.book.judged(incident.id, fact, parts.clock.now())
    earlier = {e.fact.data.get("verdict") for e in view.entries("verdict_given")}
    await authors.judged(incident.id, used, news=verdict == "wrong_cause" and verdict not in earlier)
    changed = f"; before, you said {WORDS[str(before)]}" if before else ""
    return Told(ok=True, text=f"Recorded: {WORDS[verdict]}{changed}. Thank you.")


def runbook_used(view: IncidentView) -> str:
    """The runbook whose step was carried out last, or else the one whose cause was named; empty if neither."""
    done = [pv.proposal.plan.runbook for pv in view.proposals if pv.apply is not None]
    if done:
        return done[-1].partition("#")[0]
    diagnosis = view.diagnosis
    return diagnosis.leader.mode if diagnosis is not None and diagnosis.conclusion == "cause" else ""
