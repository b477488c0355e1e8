"""The product's side of Slack in memory: incidents, a desk that judges as the real one does, and a durable memory."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from bot.domain.detail import detail
from bot.domain.incident import Incident
from bot.domain.plan_card import why_uninspectable
from bot.domain.proposal import Principal, Proposal, ProposalState, VoteResult
from bot.domain.timeline import Entry, Fact
from bot.domain.view import IncidentView, MessageRef, ProposalView, Vote
from bot.ports import Chat, People, StorageDown, Told, VoteContext
from config.clock import Clock
from tests.view_samples import CARD, INCIDENT, PLAN, provider_outage


class Office:
    """Records, Desk and inbox memory of one process, over incidents held as views."""

    def __init__(self, clock: Clock, people: People) -> None:
        self.clock = clock
        self.people = people
        self.views: dict[str, IncidentView] = {INCIDENT.id: replace(provider_outage(), message=None)}
        self.down = False
        self.votes: list[tuple[str, str, str, VoteResult]] = []
        self.done_: list[tuple[str, ...]] = []
        self.seen: set[str] = set()
        self.hints: list[str] = []
        self.edit_answer = Told(ok=True, text="A new proposal was made.")
        self.broken = False
        self.chat: Chat
        """What the courier would say, is said at once."""
        self.told: set[str] = set()
        self.audited: list[Fact] = []

    def posted(self, message: MessageRef, incident_id: str = INCIDENT.id) -> None:
        """The card of an incident is this message."""
        self.views[incident_id] = replace(self.views[incident_id], message=message)

    def put(self, view: IncidentView) -> None:
        """Make this the incident's state; the card stays where it is."""
        known = self.views.get(view.incident.id)
        message = known.message if known else None
        self.views[view.incident.id] = replace(view, message=message)

    # --- memory ------------------------------------------------------------------------------------------------------

    async def first_time(self, key: str) -> bool:
        if self.down:
            raise StorageDown
        new = key not in self.seen
        self.seen.add(key)
        return new

    # --- Records -----------------------------------------------------------------------------------------------------

    async def view(self, incident_id: str) -> IncidentView | None:
        if self.broken:
            raise RuntimeError("the records are broken")
        known = self.views.get(incident_id)
        by_ref = (view for view in self.views.values() if view.incident.pager_ref == incident_id)
        return known or next(by_ref, None)

    async def incidents(self, *, active_only: bool = True, limit: int = 50) -> Sequence[Incident]:
        incidents = [view.incident for view in self.views.values()]
        return [each for each in incidents if each.active or not active_only][:limit]

    async def incident_of(self, message: MessageRef) -> str | None:
        return next((id_ for id_, view in self.views.items() if view.message == message), None)

    async def incident_in(self, channel: str) -> str | None:
        own = (id_ for id_, view in self.views.items() if view.room is not None and view.room.channel == channel)
        return next(own, None)

    async def proposal(self, proposal_id: str) -> Proposal | None:
        pv = self._pv(proposal_id)
        return pv.proposal if pv else None

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        view = self.views.get(incident_id)
        return [entry for entry in view.timeline if entry.seq > after] if view else []

    # --- Desk --------------------------------------------------------------------------------------------------------

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   context: VoteContext, reason: str = "") -> VoteResult:  # fmt: skip
        if self.down:
            raise StorageDown
        result = await self._judge(proposal_id, plan_hash, decision, who, context)
        self.votes.append((proposal_id, decision, who.id, result))
        return result

    async def edit(self, proposal_id: str, params: Mapping[str, str], who: Principal) -> Told:
        self.done_.append(("edit", proposal_id, who.id, repr(dict(params))))
        return self.edit_answer

    async def another(self, proposal_id: str, who: Principal) -> Told:
        self.done_.append(("another", proposal_id, who.id))
        return Told(ok=True, text="Here is the next option.")

    async def done(self, proposal_id: str, who: Principal) -> Told:
        self.done_.append(("done", proposal_id, who.id))
        return Told(ok=True, text="Thank you. It is being verified.")

    async def command(self, incident_id: str, command: Literal["acknowledge", "escalate", "resolve", "close"],
                      who: Principal) -> Told:  # fmt: skip
        self.done_.append((command, incident_id, who.id))
        return Told(ok=True, text=f"{command} <done> & recorded")

    async def hint(self, incident_id: str, text: str, who: Principal) -> Told:
        self.hints.append(text)
        return Told(ok=True, text="It is looked into again.")

    async def freeze(self, service: str, on: bool, reason: str, who: Principal) -> Told:
        self.done_.append(("freeze" if on else "unfreeze", service, reason))
        return Told(ok=True, text="Frozen." if on else "Unfrozen.")

    async def note(self, incident_id: str, kind: Literal["note_added", "person_did", "question_asked"], text: str,
                   who: Principal) -> Told:  # fmt: skip
        self.done_.append((kind, incident_id, text))
        return Told(ok=True, text="It is on the timeline.")

    async def explain(self, incident_id: str) -> None:
        view = self.views[incident_id]
        for part in detail(view):
            assert view.message is not None
            await self.say(incident_id, part, part, view.message)

    async def say(self, incident_id: str, key: str, text: str, at: MessageRef) -> None:
        if self._new(key):
            await self.chat.say(at, text)

    async def send(self, incident_id: str, key: str, form: str, at: MessageRef, *, redaction: str = "internal",
                   zone: str = "UTC") -> None:  # fmt: skip
        if self._new(key):
            await self.chat.file(at, f"{incident_id}.{form}", f"# {incident_id} as {form}\n".encode())

    def _new(self, key: str) -> bool:
        new = key not in self.told
        self.told.add(key)
        return new

    # --- private -----------------------------------------------------------------------------------------------------

    def _pv(self, proposal_id: str) -> ProposalView | None:
        pvs = [pv for view in self.views.values() for pv in view.proposals if pv.proposal.id == proposal_id]
        return pvs[0] if pvs else None

    async def audit(self, fact: Fact) -> None:
        self.audited.append(fact)

    async def _judge(self, proposal_id: str, plan_hash: str, decision: str, who: Principal,
                     context: VoteContext) -> VoteResult:  # fmt: skip
        pv = self._pv(proposal_id)
        if pv is None:
            return VoteResult.NOT_FOUND
        proposal = pv.proposal
        view = self.views[proposal.plan.incident_id]
        if context.incident_id != view.incident.id or MessageRef(
            channel=context.channel, ts=context.message_ts
        ) != view.message:  # fmt: skip
            return VoteResult.CONTEXT_MISMATCH
        if not (await self.people.may_approve(who, proposal.plan.approver_team))[0]:
            return VoteResult.NOT_APPROVER
        pv = self._pv(proposal_id)  # Afresh: somebody else may have decided meanwhile.
        assert pv is not None
        view, proposal = self.views[proposal.plan.incident_id], pv.proposal
        if proposal.state is not ProposalState.OPEN:
            return VoteResult.NOT_OPEN
        if plan_hash != proposal.plan_hash:
            return VoteResult.STALE_PLAN
        if not proposal.votable:
            return VoteResult.OBSERVE_MODE
        if view.frozen:
            return VoteResult.FROZEN
        if why_uninspectable(proposal.plan):
            return VoteResult.UNINSPECTABLE
        if any(vote.principal == who.id and vote.decision == decision for vote in pv.votes):
            return VoteResult.REPEATED
        return self._count(view, pv, decision, who)

    def _count(self, view: IncidentView, pv: ProposalView, decision: str, who: Principal) -> VoteResult:
        vote = Vote(principal=who.id, name=who.name, decision=decision, at=self.clock.now())
        votes = (*pv.votes, vote)
        approvals = [each for each in votes if each.decision == "approve"]
        state, result = ProposalState.OPEN, VoteResult.RECORDED
        if decision == "reject":
            state, result = ProposalState.REJECTED, VoteResult.REJECTED
        elif len(approvals) >= pv.proposal.plan.min_approvers:
            state, result = ProposalState.APPROVED, VoteResult.APPROVED
        counted = replace(pv, votes=votes, proposal=replace(pv.proposal, state=state))
        pvs = tuple(counted if each is pv else each for each in view.proposals)
        self.views[view.incident.id] = replace(view, proposals=pvs)
        return result


__all__ = ["CARD", "PLAN", "Office"]
