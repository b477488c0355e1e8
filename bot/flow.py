"""The way of an incident, in six verbs: receive, investigate, decide, mitigate, verify, close.

Each verb may be called again at any time, after a crash or by a doubled tick: what is already done stays done. The rows
behind the ports decide, never this process's memory.
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Literal

from bot.domain.incident import Incident, Status
from bot.domain.proposal import Effect, Principal, Proposal, ProposalState, VoteResult
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import quote
from bot.domain.verification import Judgement, deciding_probes, judge
from bot.parts import Parts
from bot.ports import NOTHING, Claim, Follow, Placed, VoteContext
from bot.proposing import Proposer
from config.catalogue import Service
from diagnostics.model import Finding
from runbooks.model import Approval, EffectClass, EffectResult, EffectStatus

UNMAPPED = "unmapped"
CHECK_EVERY = timedelta(seconds=5)
CHECK_SHARE = 5
"""Later checks are further apart: a fifth of the time that has passed since the effect."""
CLAIM_VALID = timedelta(seconds=10)
"""A claim older than this is not acted on: the process may have been asleep since."""


class Flow:
    """See the module's text; ``sweep`` starts whatever the rows say should be running."""

    def __init__(self, parts: Parts) -> None:
        self._ = parts
        self.proposer = Proposer(parts)

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
        """Find out what is wrong, say so, and propose the first thing that would help."""
        incident = await self._.casebook.incident(incident_id)
        if incident is None or number != incident.investigations:
            return
        if not incident.active:
            facts = [_computed("investigation_ended", {"reason": "the incident was resolved meanwhile"})]
            await self._.casebook.investigated(incident_id, number, facts, "", self._.clock.now())
            return
        found = await self._.triage.investigate(incident, number)
        self._.fault("K3")
        facts = await self.proposer.propose(incident, number, found)
        await self._tell_detail(incident_id, number)
        await self._.casebook.investigated(incident_id, number, facts, found.summary, self._.clock.now())

    # --- decide ----------------------------------------------------------------------------------------------------

    async def decide(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                     context: VoteContext, reason: str = "") -> VoteResult:  # fmt: skip
        """Count a person's vote on exactly this plan; an approved plan becomes a job of its own."""
        self._.fault("K6")
        proposal = await self._.gate.proposal(proposal_id)
        if proposal is None:
            return VoteResult.NOT_FOUND
        allowed = await self._.people.may_approve(who, proposal.plan.approver_team)
        result = await self._.gate.vote(
            proposal_id, plan_hash, decision, who, allowed, context, self._.clock.now(), reason
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
            await self._.gate.revoke(proposal_id, "its service is no longer in the catalogue", self._.clock.now())
            await self.start_wanted()
            return
        if proposal.state is ProposalState.APPROVED:
            why = await self.proposer.no_longer_approved(proposal, incident, service)
            if why:
                await self._.gate.revoke(proposal_id, why, self._.clock.now())
                await self.start_wanted()
                return
        self._.fault("K8")
        claim = await self._.gate.claim(proposal_id, "apply", self._.clock.now())
        if claim.state in ("claimed", "interrupted"):
            result = await self._effect(proposal, service, claim, "apply")
            if result is not None:
                follow = _after_effect(proposal, result)
                await self._.gate.finish(f"{proposal_id}:apply", result, self._.clock.now(), follow)
                self._.fault("K12")
                await self.start_wanted()

    # --- verify ----------------------------------------------------------------------------------------------------

    async def verify(self, effect_id: str) -> None:
        """Read the deciding probes once more: better, worse, or look again until the time is over."""
        effect = await self._.gate.effect(effect_id)
        now = self._.clock.now()
        if effect is None or effect.verdict or effect.next_check_at is None or effect.next_check_at > now:
            return
        proposal = await self._.gate.proposal(effect.proposal_id)
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        if proposal is None or incident is None or effect.verify_by is None:
            return
        diagnosis = await self._.casebook.diagnosis(incident.id)
        probes = deciding_probes(proposal.plan, diagnosis, self._.specs)
        before = _latest(await self._.casebook.findings(incident.id), round_=0)
        after = await self._read_again(incident, probes, proposal.plan.attempt, effect.checks)
        judgement = judge(proposal.plan, before, after)
        await self._conclude(effect, proposal, incident, judgement, last=self._.clock.now() >= effect.verify_by)

    # --- close -----------------------------------------------------------------------------------------------------

    async def close(self, incident_id: str) -> None:
        """Write the postmortem of a resolved incident."""
        incident = await self._.casebook.incident(incident_id)
        if incident is None or incident.status is not Status.RESOLVED:
            return
        files = await self._.publish(incident_id)
        now = self._.clock.now()
        await self._.casebook.say(incident_id, "postmortem", f"Postmortem written: {', '.join(files)}", now)
        facts = [_computed("exported", {"files": list(files)}), _computed("incident_closed", {})]
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
        await self.start_wanted()
        for proposal_id in due["mitigate"]:
            await self._submit("mitigate", f"mitigate:{proposal_id}:{moment // 5}", {"proposal": proposal_id})
        for effect_id in due["verify"]:
            await self._submit_check(effect_id, moment // 15)
        for effect_id in due["lease"]:
            await self._.jobs.submit("lease", f"lease:{effect_id}:{moment}", None, {"effect": effect_id})
        for incident_id in await self._.casebook.to_close():
            await self._.jobs.submit("close", f"close:{incident_id}:{moment // 5}", None, {"incident": incident_id})

    async def start_wanted(self) -> None:
        """Start the investigations that were asked for and have not ended."""
        for incident_id, number in await self._.casebook.wanted():
            arguments = {"incident": incident_id, "number": str(number)}
            await self._.jobs.submit("investigate", f"investigate:{incident_id}:{number}", incident_id, arguments)

    async def revert(self, proposal_id: str) -> None:
        """Undo an applied plan under its own approval; drift is a conflict for a human."""
        proposal = await self._.gate.proposal(proposal_id)
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        service = self._.catalogue.service(incident.service) if incident else None
        if proposal is None or incident is None or service is None:
            return
        claim = await self._.gate.claim(proposal_id, "revert", self._.clock.now())
        if claim.state in ("claimed", "interrupted"):
            result = await self._effect(proposal, service, claim, "revert")
            if result is not None:
                await self._.gate.finish(f"{proposal_id}:revert", result, self._.clock.now())

    async def lease(self, effect_id: str) -> None:
        """A lease has ended: put things back, or under freeze ask a person."""
        effect = await self._.gate.effect(effect_id)
        proposal = await self._.gate.proposal(effect.proposal_id) if effect else None
        incident = await self._.casebook.incident(proposal.plan.incident_id) if proposal else None
        if effect is None or proposal is None or incident is None or effect.lease_until is None:
            return
        now = self._.clock.now()
        stopped = await self._.gate.frozen(incident.service)
        fact = _computed("lease_ended", {"proposal": proposal.id, "asked": bool(stopped), "why": stopped})
        ask = f"The lease of {proposal.id} has ended, and execution is frozen. Revert it by hand, or unfreeze."
        follow = Follow(say=f"{ask}\n{quote(stopped)}") if stopped else Follow(undo=True)
        if await self._.gate.lease_over(effect_id, fact, now, follow) and not stopped:
            await self._submit("revert", f"revert:{proposal.id}", {"proposal": proposal.id})

    # --- private -----------------------------------------------------------------------------------------------------

    def _place(self, placed: Placed) -> Placed:
        if placed.page is None:
            return placed
        service = self._.catalogue.service_of_pagerduty(placed.page.service_ref)
        service = service or self._.catalogue.service(placed.page.service_name)
        if service is None:
            return replace(placed, service=UNMAPPED, team="", channel=self._.catalogue.fallback_channel)
        team = self._.catalogue.team(service.team)
        channel = team.slack_channel if team else self._.catalogue.fallback_channel
        return replace(placed, service=service.name, team=service.team, channel=channel)

    async def _tell_detail(self, incident_id: str, number: int) -> None:
        """The evidence and the differential, in the card's thread: the card itself stays short."""
        for part, text in enumerate(await self._.detail(incident_id)):
            await self._.casebook.say(incident_id, f"detail:{number}:{part}", text, self._.clock.now())

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

    async def _effect(self, proposal: Proposal, service: Service, claim: Claim,
                      kind: Literal["apply", "revert"]) -> EffectResult | None:  # fmt: skip
        """Perform the claimed effect. None: a manual action waits for its person."""
        plan = proposal.plan
        if plan.effect == EffectClass.MANUAL.value and kind == "apply":
            return None
        assert claim.effect is not None
        assert claim.effect.claimed_at is not None
        approval = Approval(
            proposal_id=proposal.id, plan_hash=proposal.plan_hash, approved_by=claim.approved_by,
            approved_at=claim.approved_at or self._.clock.now(),
        )  # fmt: skip
        if claim.state == "interrupted":
            if plan.effect == EffectClass.UNSAFE_ONCE.value:
                return EffectResult(status=EffectStatus.UNKNOWN, detail="interrupted after the claim; it may have run")
            return await self._.executor.settle(plan, service, approval, kind)
        if self._.clock.now() - claim.effect.claimed_at > CLAIM_VALID:
            return EffectResult(status=EffectStatus.FAILED, detail="claimed, but too late to be sure; nothing was sent")
        perform = self._.executor.apply if kind == "apply" else self._.executor.revert
        return await perform(plan, service, approval)

    async def _read_again(
        self, incident: Incident, probes: Sequence[str], attempt: int, check: int
    ) -> dict[str, Finding]:
        now = self._.clock.now()
        if check == 0:
            facts = [_computed("verification_started", {"probes": list(probes), "attempt": attempt})]
            await self._.casebook.record(incident.id, facts, now)
        findings = await self._.verifier.read(incident, probes, attempt)
        for finding in findings:
            call = f"verify:{attempt}:{check}:{finding.probe}"
            await self._.casebook.found(incident.id, incident.investigations, call, finding, self._.clock.now())
        return {finding.probe: finding for finding in findings}

    async def _conclude(self, effect: Effect, proposal: Proposal, incident: Incident, judgement: Judgement, *,
                        last: bool) -> None:  # fmt: skip
        now = self._.clock.now()
        if judgement.answer == "pending" and not last:
            since = now - effect.finished_at if effect.finished_at else CHECK_EVERY
            await self._.gate.checked(effect.id, now + max(CHECK_EVERY, since / CHECK_SHARE), "", [], None, now)
            return
        verdict = "unknown" if judgement.answer == "pending" else judgement.answer
        data = {"proposal": proposal.id, "verdict": verdict, "reason": judgement.reason,
                "evidence": list(judgement.evidence)}  # fmt: skip
        facts = [_computed("verification_made", data)]
        lease = None
        if verdict == "better" and proposal.plan.lease_s:
            lease = now + timedelta(seconds=proposal.plan.lease_s)
            facts.append(_computed("lease_started", {"proposal": proposal.id, "until": lease.isoformat()}))
        follow = _after_verdict(proposal, verdict, judgement.reason)
        if not await self._.gate.checked(effect.id, None, verdict, facts, lease, now, follow):
            return
        if verdict == "better":
            await self._.publish(incident.id)
            return
        if follow.undo:
            await self._submit("revert", f"revert:{proposal.id}", {"proposal": proposal.id})
        await self.start_wanted()


def _after_effect(proposal: Proposal, result: EffectResult) -> Follow:
    """What did not take effect is looked at again; what may have, by a person."""
    if result.status is EffectStatus.DONE:
        return NOTHING
    if result.status is EffectStatus.UNKNOWN:
        text = f"{proposal.id} may or may not have taken effect. Look at the target.\n{quote(result.detail)}"
        return Follow(say=text)
    reason = f"{proposal.plan.action} ended as {result.status.value}: {result.detail}"
    return Follow(again=_computed("investigation_started", {"why": reason}))


def _after_verdict(proposal: Proposal, verdict: str, reason: str) -> Follow:
    """What did not help is undone, then it is looked at again; after two attempts a person has to."""
    if verdict == "better":
        return Follow(mitigated=True)
    fact = _computed("investigation_started", {"why": f"{proposal.plan.action} made it {verdict}: {reason}"})
    return Follow(again=fact, attempt=True, undo=proposal.plan.effect != EffectClass.MANUAL.value)


def _computed(kind: str, data: Mapping[str, object]) -> Fact:
    return Fact(kind=kind, provenance=Provenance.COMPUTED, actor="pagerunner", data=data)


def _latest(findings: Mapping[str, Finding], *, round_: int) -> dict[str, Finding]:
    """The newest finding of each probe from before any mitigation."""
    return {f.probe: f for f in findings.values() if f.round == round_}
