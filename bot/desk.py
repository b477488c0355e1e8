"""What people can do, whatever surface they do it from: the same rules for Slack, console, CLI and API."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Literal

from bot.domain.incident import Incident, Status
from bot.domain.presentation import Redaction
from bot.domain.proposal import Debt, Principal, ProposalState, VoteResult
from bot.domain.timeline import Fact, Provenance
from bot.domain.view import MessageRef
from bot.flow import Flow
from bot.parts import Parts
from bot.ports import Follow, Step, Told, VoteContext
from runbooks.model import VerifyStep

_MOVES: dict[str, tuple[Status, str, str]] = {
    "acknowledge": (Status.ACKNOWLEDGED, "incident_acknowledged", "acknowledged"),
    "resolve": (Status.RESOLVED, "incident_resolved", "resolved"),
}

LEAST_NOTE = 3
"""Letters and digits of a review."""
MAX_NOTE = 1_000
_LOOKING = "Looking again; the card shows what comes of it."


class FlowDesk:
    """See :class:`bot.ports.Desk`. ``voted`` is called after each vote: people are waiting to see it."""

    def __init__(self, flow: Flow, parts: Parts, voted: Callable[[], None]) -> None:
        self._flow = flow
        self._ = parts
        self._voted = voted

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   context: VoteContext, reason: str = "", *, break_glass: bool = False) -> VoteResult:  # fmt: skip
        alone = break_glass and decision == "approve"
        result = await self._flow.decide(proposal_id, plan_hash, decision, who, context, reason, break_glass=alone)
        self._voted()
        return result

    async def review(self, proposal_id: str, note: str, who: Principal) -> Told:
        debt = await self._.gate.debt(proposal_id)
        if debt is None:
            return Told(ok=False, text=f"{proposal_id} was not approved by break-glass; there is nothing to review.")
        if not debt.open:
            return Told(ok=False, text=f"{debt.reviewer} has reviewed it already.")
        if sum(letter.isalnum() for letter in note) < LEAST_NOTE:
            return Told(ok=False, text="Say in a few words what you found; it goes on the timeline.")
        why = await self._no_reviewer(debt, who)
        now = self._.clock.now()
        if not await self._.gate.review(proposal_id, who, note.strip()[:MAX_NOTE], why, now):
            return Told(ok=False, text=f"You cannot review this: {why or 'somebody was faster'}.")
        incident = await self._.casebook.incident(debt.incident_id)
        if incident is not None and incident.status is Status.CLOSED:
            await self._.publish(debt.incident_id)  # The postmortem said that nobody had looked.
        return Told(ok=True, text=f"Thank you. Your review of {proposal_id} is on the timeline.")

    async def _no_reviewer(self, debt: Debt, who: Principal) -> str:
        """Why this person does not settle it: an ordinary approver does, who is somebody else for sure."""
        if who.id == debt.principal:
            return "nobody reviews what they approved alone; another approver does"
        if who.id.startswith("local:"):
            return "a review from here does not show who it is; do it in Slack, or link this command line first"
        allowed, why = await self._.people.may_approve(who, debt.team)
        return "" if allowed else why

    async def again(self, incident_id: str, who: Principal) -> Told:
        incident = await self._.casebook.incident(incident_id)
        if incident is None or not incident.active:
            return Told(ok=False, text=f"{incident_id} is not open; there is nothing to ask again.")
        if (incident_id, incident.investigations) in await self._.casebook.wanted():
            return Told(ok=True, text=_LOOKING)
        why = f"{who.name} wants to be asked again"
        fact = _human("investigation_started", who, {"text": "", "by": who.name, "why": why})
        await self._.casebook.ask(incident_id, [fact], self._.clock.now())
        await self._flow.start_wanted()
        return Told(ok=True, text=_LOOKING)

    async def edit(self, proposal_id: str, params: Mapping[str, str], who: Principal) -> Told:
        old = await self._.gate.proposal(proposal_id)
        if old is None or old.state is not ProposalState.OPEN:
            return Told(ok=False, text="That proposal is not open any more; look at the card for the current one.")
        incident = await self._.casebook.incident(old.plan.incident_id)
        service = self._.catalogue.service(incident.service) if incident else None
        if incident is None or service is None:
            return Told(ok=False, text="The incident's service is no longer in the catalogue.")
        unknown = set(params) - set(old.plan.params)
        if unknown:
            known = ", ".join(sorted(old.plan.params))
            return Told(ok=False, text=f"There is no parameter {', '.join(sorted(unknown))}; this action has {known}.")
        plan = old.plan
        verify = VerifyStep(probe=plan.verify_probe, outcome=plan.verify_outcome, within_s=plan.verify_within_s)
        step = Step(
            key=f"{plan.runbook}/edited:{_digest(params)}", reference=plan.runbook,
            runbook=plan.runbook.split("#", maxsplit=1)[0], revision=plan.runbook_revision, action=plan.action,
            params={**plan.params, **params}, title=f"{old.rationale} edited by {who.name}", verify=verify,
            lease_s=plan.lease_s, min_risk=plan.risk,
        )  # fmt: skip
        planned = await self._.planner.plan(step, service)
        if planned.refusal:
            return Told(ok=False, text=f"Not proposed: {planned.refusal}. The old proposal stands.")
        tag = f"{old.id}:{_digest(params)}"  # the same edit of another proposal is another proposal
        new = await self._flow.proposer.put(incident, incident.investigations, planned, who.id, tag=tag)
        return Told(ok=True, text=f"Proposed as {new} with your parameters; it needs approval as shown on the card.")

    async def another(self, proposal_id: str, who: Principal) -> Told:
        old = await self._.gate.proposal(proposal_id)
        incident = await self._.casebook.incident(old.plan.incident_id) if old else None
        closed = Told(ok=False, text="That proposal is not open any more; look at the card for the current one.")
        if old is None or incident is None or not incident.active:
            return closed
        allowed, why = await self._.people.may_approve(who, old.plan.approver_team)
        if not allowed:
            return Told(ok=False, text=f"You cannot ask for another option: {why}")
        why = f"{who.name} asked for another option than {old.plan.action}"
        again = _human("investigation_started", who, {"text": "", "by": who.name, "why": why})
        if not await self._.gate.withdraw(proposal_id, who, self._.clock.now(), Follow(again=again)):
            return closed
        await self._flow.start_wanted()
        return Told(ok=True, text=_LOOKING)

    async def done(self, proposal_id: str, who: Principal) -> Told:
        proposal = await self._.gate.proposal(proposal_id)
        if proposal is None:
            return Told(ok=False, text=f"There is no proposal {proposal_id}.")
        allowed, why = await self._.people.may_approve(who, proposal.plan.approver_team)
        if not allowed:
            return Told(ok=False, text=f"You cannot report this as done: {why}")
        if not await self._.gate.manual_done(proposal_id, who, self._.clock.now()):
            return Told(ok=False, text="That step is not waiting for a person; look at the card.")
        return Told(ok=True, text=f"Recorded. {proposal.plan.verify_probe} is being read again to verify it.")

    async def command(self, incident_id: str, command: Literal["acknowledge", "escalate", "resolve", "close"],
                      who: Principal) -> Told:  # fmt: skip
        incident = await self._.casebook.incident(incident_id)
        if incident is None:
            return Told(ok=False, text=f"There is no incident {incident_id}; `/oncall list` shows those that are open.")
        now = self._.clock.now()
        if command == "close":
            if incident.status is not Status.RESOLVED:
                return Told(ok=False, text=f"{incident_id} is {incident.status.value}; resolve it first.")
            await self._flow.close(incident_id)
            return Told(ok=True, text=f"{incident_id} is closed and its postmortem written.")
        if command == "escalate":
            if not incident.active:
                return Told(ok=False, text=f"{incident_id} is {incident.status.value}; there is nothing to escalate.")
            fact = _human("incident_escalated", who, {"by": who.name})
            await self._.casebook.escalate(incident_id, fact, who.name, now)
            return Told(ok=True, text=f"Your escalation of {incident_id} is recorded. {self._paged(incident, command)}")
        status, kind, pager = _MOVES[command]
        fact = _human(kind, who, {"by": who.name})
        if not await self._.casebook.move(incident_id, status, [fact], now, pager=pager, by=who.name):
            return Told(ok=False, text=f"{incident_id} already is {incident.status.value}.")
        return Told(ok=True, text=f"{incident_id} is {status.value} here. {self._paged(incident, command)}")

    async def hint(self, incident_id: str, text: str, who: Principal) -> Told:
        incident = await self._.casebook.incident(incident_id)
        if incident is None or not incident.active:
            return Told(ok=False, text=f"{incident_id} is not open; there is nothing to investigate.")
        fact = _human("hint_given", who, {"text": text, "by": who.name, "why": "a person gave a hint"})
        await self._.casebook.ask(incident_id, [fact], self._.clock.now(), hint=text)
        await self._flow.start_wanted()
        return Told(ok=True, text=_LOOKING)

    async def freeze(self, service: str, on: bool, reason: str, who: Principal) -> Told:
        if service != "*" and self._.catalogue.service(service) is None:
            names = ", ".join(s.name for s in self._.catalogue.services)
            return Told(ok=False, text=f"There is no service {service}; use * for everything, or one of {names}.")
        if not await self._may_freeze(service, who):
            return Told(ok=False, text="Only an approver of the service's team may freeze or unfreeze it.")
        await self._.gate.freeze(service, on, reason or "no reason given", who, self._.clock.now())
        what = "everything" if service == "*" else service
        if on:
            return Told(ok=True, text=f"Execution is frozen for {what}.")
        lifted = [s.name for s in self._.catalogue.services] if service == "*" else [service]
        still = [name for name in lifted if await self._.gate.frozen(name)]
        if still and service == "*":
            text = f"Execution is allowed again, except for what is frozen by name: {', '.join(still)}."
            return Told(ok=True, text=text)
        if still:
            why = await self._.gate.frozen(service)
            text = f"{service} is no longer frozen by name, but nothing is executed: it is {why}. Unfreeze * as well."
            return Told(ok=True, text=text)
        return Told(ok=True, text=f"Execution is allowed again for {what}.")

    async def note(self, incident_id: str, kind: Literal["note_added", "person_did", "question_asked"], text: str,
                   who: Principal) -> Told:  # fmt: skip
        if await self._.casebook.incident(incident_id) is None:
            return Told(ok=False, text=f"There is no incident {incident_id}.")
        fact = _human(kind, who, {"text": text[:3000], "by": who.name})
        await self._.casebook.record(incident_id, [fact], self._.clock.now(), card=kind != "question_asked")
        return Told(ok=True, text="On the timeline.")

    async def explain(self, incident_id: str) -> None:
        await self._flow.tell_detail(incident_id)

    async def say(self, incident_id: str, key: str, text: str, at: MessageRef) -> None:
        await self._.casebook.say(incident_id, key, text, self._.clock.now(), at=at)

    async def send(self, incident_id: str, key: str, form: str, at: MessageRef, *, redaction: Redaction = "internal",
                   zone: str = "UTC") -> None:  # fmt: skip
        now = self._.clock.now()
        await self._.casebook.send(incident_id, key, form, now, at=at, redaction=redaction, zone=zone)

    def _paged(self, incident: Incident, command: str) -> str:
        """What becomes of it in the pager, as far as is known now: what fails later stands on the card."""
        ref = incident.pager_ref
        if ref and self._.pager_connected:
            return "PagerDuty is being told; if it refuses, the card says so."
        if command == "escalate":
            why = f"PagerDuty is not connected: escalate {ref} there" if ref else "It has no pager"
            return f"Nobody was paged. {why}, or call somebody."
        return f"PagerDuty is not connected: {command} {ref} there, too." if ref else "It has no pager to be told."

    async def _may_freeze(self, service: str, who: Principal) -> bool:
        """An approver of the service's team; of any team for everything; and the person at the machine itself."""
        if who.id.startswith("local:") or who.link:
            return True
        one = self._.catalogue.service(service)
        teams = [one.team] if one else [team.name for team in self._.catalogue.teams]
        for team in teams:
            if (await self._.people.may_approve(who, team))[0]:
                return True
        return False


def _human(kind: str, who: Principal, data: Mapping[str, object]) -> Fact:
    return Fact(kind=kind, provenance=Provenance.HUMAN, actor=who.id, data=data)


def _digest(params: Mapping[str, str]) -> str:
    return hashlib.sha256(repr(sorted(params.items())).encode()).hexdigest()[:8]
