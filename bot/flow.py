"""The way of an incident, in six verbs: receive, investigate, decide, mitigate, verify, close.

Each verb may be called again at any time, after a crash or by a doubled tick: what is already done stays done. The rows
behind the ports decide, never this process's memory.
"""

import hashlib
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from bot.domain.incident import Status
from bot.domain.proposal import Principal, Proposal, ProposalState, VoteResult
from bot.domain.timeline import computed
from bot.domain.untrusted import quote
from bot.parts import Parts
from bot.ports import NOTHING, Claim, Follow, Placed, VoteContext
from bot.proposing import Proposer
from bot.verifying import Verification
from config.catalogue import Service
from runbooks.model import Approval, EffectClass, EffectResult, EffectStatus

UNMAPPED = "unmapped"
CLAIM_VALID = timedelta(seconds=10)
"""A claim older than this is not acted on: the process may have been asleep since."""
RESTART_VALID = timedelta(minutes=10)
"""A claim that a crash interrupted is finished within this time; afterwards the target is only read."""
UNDO_TRIES = 4
UNDO_AGAIN = timedelta(seconds=10)
"""To the second try; twice as long to each further one."""
_NOT_UNDONE = {
    EffectStatus.FAILED: "it did not work", EffectStatus.UNKNOWN: "it may or may not have worked",
    EffectStatus.CONFLICT: "somebody has changed it since, and that was left alone",
}  # fmt: skip


class Flow:
    """See the module's text; ``sweep`` starts whatever the rows say should be running."""

    def __init__(self, parts: Parts) -> None:
        self._ = parts
        self.proposer = Proposer(parts)
        self.verification = Verification(parts)

    # --- receive ---------------------------------------------------------------------------------------------------

    async def receive(self) -> int:
        """Turn the deliveries that wait into incidents, a batch at a time; returns how many there were."""
        waiting = await self._.intake.pending()
        if waiting:
            self._.fault("K2")
            placed = [self._place(self._.understand(received)) for received in waiting]
            await self._.casebook.settle(placed, self._.clock.now())
            await self.start_wanted()
        return len(waiting)

    # --- investigate -----------------------------------------------------------------------------------------------

    async def investigate(self, incident_id: str, number: int) -> None:
        """Find out what is wrong, say so, and propose the first thing that would help. The sweep submits it again while
        it runs, and those jobs wait for their turn: what has ended meanwhile is not done twice."""
        incident = await self._.casebook.incident(incident_id)
        if incident is None or (incident_id, number) not in await self._.casebook.wanted():
            return
        if not incident.active:
            facts = [computed("investigation_ended", {"reason": "the incident was resolved meanwhile"})]
            await self._.casebook.investigated(incident_id, number, facts, "", self._.clock.now())
            return
        found = await self._.triage.investigate(incident, number)
        self._.fault("K3")
        facts, proposed = await self.proposer.propose(incident, number, found)
        await self.tell_detail(incident_id)
        await self._.casebook.investigated(
            incident_id, number, facts, found.summary, self._.clock.now(), proposed=proposed
        )

    # --- decide ----------------------------------------------------------------------------------------------------

    async def decide(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                     context: VoteContext, reason: str = "", *, break_glass: bool = False) -> VoteResult:  # fmt: skip
        """Count a person's vote on exactly this plan; an approved plan becomes a job of its own."""
        self._.fault("K6")
        proposal = await self._.gate.proposal(proposal_id)
        if proposal is None:
            return VoteResult.NOT_FOUND
        allowed = await self._.people.may_approve(who, proposal.plan.approver_team)
        glass = await self.proposer.may_break_glass(proposal, who) if break_glass else None
        result = await self._.gate.vote(
            proposal_id, plan_hash, decision, who, allowed, context, self._.clock.now(), reason, glass=glass
        )
        self._.fault("K7")
        if result is VoteResult.EXPIRED:
            await self.start_wanted()
        if result is VoteResult.APPROVED:
            arguments = {"proposal": proposal_id}
            await self._.jobs.submit("mitigate", f"mitigate:{proposal_id}", proposal.plan.incident_id, arguments)
        return result

    # --- mitigate --------------------------------------------------------------------------------------------------

    async def mitigate(self, proposal_id: str) -> None:
        """Carry out an approved plan, at most once; what a crash left open is settled by reading the target."""
        proposal = await self._.gate.proposal(proposal_id)
        if proposal is None or proposal.state not in (ProposalState.APPROVED, ProposalState.EXECUTING):
            return
        incident = await self._.casebook.incident(proposal.plan.incident_id)
        service = self._.catalogue.service(incident.service) if incident else None
        if incident is None or service is None:
            why, now = "its service is no longer in the catalogue", self._.clock.now()
            if not await self._.gate.revoke(proposal_id, why, now):
                lost = EffectResult(status=EffectStatus.UNKNOWN, detail=f"interrupted, and {why}")
                await self._.gate.finish(f"{proposal_id}:apply", lost, now, _after_effect(proposal, lost))
            await self.start_wanted()
            return
        why = await self.proposer.no_longer_approved(proposal, incident, service)
        # What was claimed already is not taken back: it may have been sent, so the target is read.
        if why and await self._.gate.revoke(proposal_id, why, self._.clock.now()):
            await self.start_wanted()
            return
        self._.fault("K8")
        claim = await self._.gate.claim(proposal_id, "apply", self._.clock.now())
        if claim.state in ("claimed", "interrupted"):
            result = await self._effect(proposal, service, claim, "apply", why_not=why)
            if result is not None:
                follow = _after_effect(proposal, result)
                await self._.gate.finish(f"{proposal_id}:apply", result, self._.clock.now(), follow)
                self._.fault("K12")
                await self.start_wanted()

    # --- verify ----------------------------------------------------------------------------------------------------

    async def verify(self, effect_id: str) -> None:
        """Read the deciding probes once more: better, worse, or look again until the time is over."""
        undo = await self.verification.look(effect_id)
        if undo:
            await self._submit("revert", f"revert:{undo}", {"proposal": undo})
        await self.start_wanted()

    # --- close -----------------------------------------------------------------------------------------------------

    async def close(self, incident_id: str) -> None:
        """Write the postmortem of a resolved incident."""
        incident = await self._.casebook.incident(incident_id)
        if incident is None or incident.status is not Status.RESOLVED:
            return
        drafted = await self._.publish(incident_id)
        now = self._.clock.now()
        key = f"postmortem:{incident.resolved_at}"  # a second one is written if it was reopened meanwhile
        text = f"{await self._.summary(incident_id)}\nPostmortem written: {', '.join(drafted.files)}"
        lost = "".join(f"\n{quote(problem, 300)}" for problem in drafted.problems)
        later = "They are in the server's folder of exports, and are written again when something changes."
        await self._.casebook.say(incident_id, key, f"{text}\n{later}{lost}", now)
        await self._.casebook.send(incident_id, key, self._.main_form, now)
        facts = [computed("exported", {"files": list(drafted.files)}), computed("incident_closed", {})]
        facts[:0] = [computed("alarm", {"why": problem}) for problem in drafted.problems]
        await self._.ended(incident_id)
        await self._.casebook.move(incident_id, Status.CLOSED, facts, now)

    # --- what the rows imply ----------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """Start every job that a row implies: at the start of the process, and at every tick."""
        now = self._.clock.now()
        moment = int(now.timestamp()) // 2
        await self._.gate.expire(now)
        due = await self._.gate.pending(now)
        # Undoing comes before looking again: the next step is drafted against the target as it will be.
        for proposal_id in due["revert"]:
            await self._submit("revert", f"revert:{proposal_id}:{moment // 5}", {"proposal": proposal_id})
        await self.start_wanted(f":{moment // 15}")
        for proposal_id in due["mitigate"]:
            await self._submit("mitigate", f"mitigate:{proposal_id}:{moment // 5}", {"proposal": proposal_id})
        for effect_id in due["verify"]:
            await self._submit_check(effect_id, moment // 15)
        for effect_id in due["lease"]:
            await self._.jobs.submit("lease", f"lease:{effect_id}:{moment}", None, {"effect": effect_id})
        for incident_id in await self._.casebook.to_close():
            await self._.jobs.submit("close", f"close:{incident_id}:{moment // 5}", None, {"incident": incident_id})

    async def start_wanted(self, tag: str = "") -> None:
        """Start the investigations that were asked for and have not ended. A job that gave up is never run again under
        its key, so each look of the sweep has its own ``tag``."""
        for incident_id, number in await self._.casebook.wanted():
            key = f"investigate:{incident_id}:{number}{tag}"
            arguments = {"incident": incident_id, "number": str(number)}
            await self._.jobs.submit("investigate", key, incident_id, arguments)

    async def revert(self, proposal_id: str) -> None:
        """Undo an applied plan under its own approval. What did not reach its target is tried again, where that is
        safe; drift, and what stays undone, is for a human."""
        proposal = await self._.gate.proposal(proposal_id)
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        if proposal is None or incident is None:
            return
        claim = await self._.gate.claim(proposal_id, "revert", self._.clock.now())
        if claim.state not in ("claimed", "interrupted"):
            return
        service, now = self._.catalogue.service(incident.service), self._.clock.now()
        if service is None:
            gone = f"{incident.service} is no longer in the catalogue, so nothing was sent"
            lost = EffectResult(status=EffectStatus.FAILED, detail=gone)
            await self._.gate.finish(f"{proposal_id}:revert", lost, now, _after_undo(proposal, lost))
            return
        result = await self._effect(proposal, service, claim, "revert")
        tries = claim.effect.checks if claim.effect else 0
        if result is not None and _may_undo_again(proposal, result) and tries + 1 < UNDO_TRIES:
            await self._.gate.postpone(f"{proposal_id}:revert", result.detail, now + UNDO_AGAIN * 2**tries)
        elif result is not None:
            now = self._.clock.now()
            await self._.gate.finish(f"{proposal_id}:revert", result, now, _after_undo(proposal, result))

    async def lease(self, effect_id: str) -> None:
        """A lease has ended: put things back; under freeze ask a person, and do it when the freeze is over."""
        effect = await self._.gate.effect(effect_id)
        proposal = await self._.gate.proposal(effect.proposal_id) if effect else None
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        if effect is None or proposal is None or incident is None or effect.lease_until is None:
            return
        now = self._.clock.now()
        stopped = await self._.gate.frozen(incident.service)
        fact = computed("lease_ended", {"proposal": proposal.id, "asked": bool(stopped), "why": stopped})
        ask = f"The lease of {proposal.id} has ended, and execution is frozen. Revert it by hand, or unfreeze; then it"
        follow = Follow(undo=True, say=f"{ask} is set back.\n{quote(stopped)}" if stopped else "")
        if await self._.gate.lease_over(effect_id, fact, now, follow) and not stopped:
            await self._submit("revert", f"revert:{proposal.id}", {"proposal": proposal.id})

    async def tell_detail(self, incident_id: str) -> None:
        """The evidence and the differential, in the card's thread: the card itself stays short. Each text once."""
        for text in await self._.detail(incident_id):
            key = f"detail:{hashlib.sha256(text.encode()).hexdigest()[:32]}"
            await self._.casebook.say(incident_id, key, text, self._.clock.now())

    # --- private -----------------------------------------------------------------------------------------------------

    def _place(self, placed: Placed) -> Placed:
        if placed.page is None:
            return replace(placed, service=UNMAPPED, channel=self._.catalogue.fallback_channel)
        service = self._.catalogue.service_of_pagerduty(placed.page.service_ref)
        service = service or self._.catalogue.service(placed.page.service_name)
        if service is None:
            return replace(placed, service=UNMAPPED, team="", channel=self._.catalogue.fallback_channel)
        team = self._.catalogue.team(service.team)
        channel = team.slack_channel if team else self._.catalogue.fallback_channel
        room = self._.catalogue.incident_channel(service) if self._.own_channels else None
        return replace(placed, service=service.name, team=service.team, channel=channel, room=room)

    async def _submit_check(self, effect_id: str, moment: int) -> None:
        """One job for each check, however often the tick finds it due while the probes are read."""
        effect = await self._.gate.effect(effect_id)
        proposal = await self._.gate.proposal(effect.proposal_id) if effect else None
        if effect is not None and proposal is not None:
            key, about = f"verify:{effect_id}:{effect.checks}:{moment}", {"effect": effect_id}
            await self._.jobs.submit("verify", key, proposal.plan.incident_id, about)

    async def _submit(self, kind: str, key: str, arguments: dict[str, str]) -> None:
        proposal = await self._.gate.proposal(arguments["proposal"])
        if proposal is not None:
            await self._.jobs.submit(kind, key, proposal.plan.incident_id, arguments)

    async def _effect(self, proposal: Proposal, service: Service, claim: Claim, kind: Literal["apply", "revert"], *,
                      why_not: str = "") -> EffectResult | None:  # fmt: skip
        """Perform the claimed effect. None: a manual action waits for its person. What a crash interrupted is finished
        only while the approval holds and the claim is fresh; otherwise the target is read and nothing is sent."""
        plan = proposal.plan
        if plan.effect == EffectClass.MANUAL.value and kind == "apply":
            return None
        assert claim.effect is not None
        assert claim.effect.claimed_at is not None
        approval = Approval(
            proposal_id=proposal.id, plan_hash=proposal.plan_hash, approved_by=claim.approved_by,
            approved_at=claim.approved_at or self._.clock.now(),
        )  # fmt: skip
        age = self._.clock.now() - claim.effect.claimed_at
        if claim.state == "interrupted":
            if plan.effect == EffectClass.UNSAFE_ONCE.value:
                return EffectResult(status=EffectStatus.UNKNOWN, detail="interrupted after the claim; it may have run")
            if kind == "apply" and not why_not and age > RESTART_VALID:
                why_not = "too much time has passed since it was claimed"
            return await self._.executor.settle(plan, service, approval, kind, why_not=why_not)
        if age > CLAIM_VALID:
            return EffectResult(status=EffectStatus.FAILED, detail="claimed, but too late to be sure; nothing was sent")
        perform = self._.executor.apply if kind == "apply" else self._.executor.revert
        return await perform(plan, service, approval)


def _after_effect(proposal: Proposal, result: EffectResult) -> Follow:
    """What did not take effect is looked at again; what may have, by a person."""
    if result.status is EffectStatus.DONE:
        return NOTHING
    if result.status is EffectStatus.UNKNOWN:
        text = f"{proposal.id} may or may not have taken effect. Look at the target.\n{quote(result.detail)}"
        return Follow(say=text)
    reason = f"{proposal.plan.action} ended as {result.status.value}: {result.detail}"
    return Follow(again=computed("investigation_started", {"why": reason}))


def _may_undo_again(proposal: Proposal, result: EffectResult) -> bool:
    """Setting a value back only where the planned one is read may be tried as often as one likes."""
    missed = result.status in (EffectStatus.FAILED, EffectStatus.UNKNOWN)
    return missed and proposal.plan.effect == EffectClass.CONVERGE.value


def _after_undo(proposal: Proposal, result: EffectResult) -> Follow:
    """What could not be undone is for a person, who is told what to do."""
    if result.status is EffectStatus.DONE:
        return NOTHING
    became = _NOT_UNDONE[result.status]
    text = f"{proposal.id} could not be set back: {became}. Look at the target, and set it back by hand if need be."
    plan = proposal.plan
    return Follow(say=f"{text}\n{quote(plan.target)} {quote(plan.undo, 300)}\n{quote(result.detail, 300)}")
