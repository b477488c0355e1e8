"""From a runbook's steps to a proposal that people can vote on, and whether its approval still holds when it counts."""

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from datetime import timedelta

from bot.domain.approval import break_glass, counts, requirement, stricter
from bot.domain.incident import MAX_ATTEMPTS, Incident
from bot.domain.plan_card import why_uninspectable
from bot.domain.proposal import SPENT, Plan, Principal, Proposal, ProposalState
from bot.domain.provenance import used_fact
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import line
from bot.parts import Parts
from bot.ports import Investigated, Planned, Step
from config.catalogue import Service

HELD_FOR = timedelta(minutes=5)
"""How long after its expiry an approved plan may still be executed, when a freeze held it up."""
CARRIED_OUT = SPENT - {ProposalState.REJECTED.value}
UNDER_WAY = {ProposalState.APPROVED.value, ProposalState.EXECUTING.value}
"""Meanwhile no step is proposed, neither this again nor another: it would hide this one on the card."""


class Proposer:
    """Drafts, decides who may approve, and puts to the vote; executes nothing."""

    def __init__(self, parts: Parts) -> None:
        self._ = parts

    async def propose(self, incident: Incident, number: int, found: Investigated) -> tuple[list[Fact], str]:
        """Draft the steps in order and put the first that can be done to the vote; the facts say what was passed, and
        with them comes the proposal's id, empty if there is none."""
        facts, proposed = await self._proposed(incident, number, found)
        return [*map(used_fact, found.used), *facts], proposed

    async def _proposed(self, incident: Incident, number: int, found: Investigated) -> tuple[list[Fact], str]:
        ended = {"conclusion": found.diagnosis.conclusion, "reason": found.diagnosis.reason}
        if incident.attempts >= MAX_ATTEMPTS:
            ended["next"] = f"{incident.attempts} mitigations did not help: a person must look at the cause again"
            return [_ended(ended)], ""
        service = self._.catalogue.service(incident.service)
        passed: list[dict[str, str]] = []
        proposed = ""
        tried = await self._.gate.steps_tried(incident.id)
        if any(state in UNDER_WAY for _, state in tried):
            ended["next"] = "an approved step is not over yet; nothing else is proposed meanwhile"
            return [_ended(ended)], ""
        spent = {step for step, state in tried if state in SPENT}
        for step in _by_turns(found.steps, tried) if service else ():
            if step.key in spent:
                passed.append({"step": step.reference, "why": "already tried or rejected"})
                continue
            assert service is not None
            planned = await self._.planner.plan(step, service)
            if planned.refusal:
                passed.append({"step": step.reference, "why": planned.refusal})
                continue
            proposed = await self.put(incident, number, planned, "pagerunner")
            break
        return [_ended({**ended, "passed_over": passed})], proposed

    async def put(self, incident: Incident, number: int, planned: Planned, by: str, tag: str = "") -> str:
        """Put a drafted step to the vote; returns the proposal's id."""
        service = self._.catalogue.service(incident.service)
        assert service is not None
        assert planned.draft is not None
        assert planned.spec is not None
        plan, withheld = self._plan(incident, service, planned)
        digest = hashlib.sha256(f"{incident.id}:{number}:{planned.step.key}:{tag}".encode()).hexdigest()
        proposal = Proposal(
            id=f"pr-{digest[:10]}", plan=plan, plan_hash=plan.hash, state=ProposalState.OPEN,
            created_at=self._.clock.now(), proposed_by=by, withheld=withheld, votable=not withheld,
            rationale=f"{planned.step.title} ({planned.step.reference})",
        )  # fmt: skip
        await self._.gate.propose(proposal, planned.step.key, service.name, self._.clock.now())
        return proposal.id

    async def no_longer_approved(self, proposal: Proposal, incident: Incident, service: Service) -> str:
        """Whether the approval still holds at the moment of execution; empty if it does."""
        plan = proposal.plan
        if not incident.active:
            return "the incident was resolved before it was executed"
        if service.mode == "observe":
            return "the service was switched to observe mode"
        need = requirement(self._.catalogue.policy, service, plan.risk)
        if need is None or need.count > plan.min_approvers or need.team != plan.approver_team:
            return "the policy became stricter since the vote"
        if self._.clock.now() >= plan.expires_at + HELD_FOR:
            return "it was held for too long after the vote; it must be seen again"
        voters = await self._.gate.voters(proposal.id)
        debt = await self._.gate.debt(proposal.id)
        if debt is not None:
            alone = [who for who in voters if who.id == debt.principal]
            may, why = await self.may_break_glass(proposal, alone[0]) if alone else (False, "their vote is gone")
            return "" if may else f"whoever broke the glass may no longer do that: {why}"
        valid, lost = 0, ""
        for who in voters:
            may, why = await self._.people.may_approve(who, plan.approver_team)
            valid += int(may and counts(who.id, plan.min_approvers))
            lost = lost or ("" if may else f" ({line(who.name, 60)}: {why})")
        return "" if valid >= plan.min_approvers else f"an approver is no longer one{lost}"

    async def may_break_glass(self, proposal: Proposal, who: Principal) -> tuple[bool, str]:
        """Whether the policy lets this person approve this plan alone now, and why not otherwise."""
        incident = await self._.casebook.incident(proposal.plan.incident_id)
        service = self._.catalogue.service(incident.service) if incident else None
        if service is None:
            return False, "the service is not in the catalogue"
        rules = break_glass(self._.catalogue.policy, service, proposal.plan.risk)
        if not rules:
            return False, "the policy lets nobody break the glass for this"
        return await self._.people.may_break_glass(who, proposal.plan.approver_team, [rule.people for rule in rules])

    def _plan(self, incident: Incident, service: Service, planned: Planned) -> tuple[Plan, str]:
        """The whole plan, and why it is not put to the vote (empty if it is)."""
        step, spec, draft = planned.step, planned.spec, planned.draft
        assert spec is not None
        assert draft is not None
        risk = stricter(spec.risk, step.min_risk)
        policy = self._.catalogue.policy
        need = requirement(policy, service, risk)
        verify = step.verify
        plan = Plan(
            incident_id=incident.id, action=draft.action, params=draft.params, target=draft.target,
            pre_state=draft.pre_state, post_state=draft.post_state,
            diff=tuple((line.what, line.before, line.after) for line in draft.diff), undo=draft.undo,
            effect=spec.effect.value, risk=risk, blast_radius=spec.blast_radius,
            verify_probe=verify.probe if verify else "user_signal", verify_outcome=verify.outcome if verify else "ok",
            verify_within_s=verify.within_s if verify else 600,
            lease_s=step.lease_s if spec.leasable and spec.reversible else None,
            policy_version=policy.version, min_approvers=need.count if need else 0,
            approver_team=need.team if need else "",
            expires_at=self._.clock.now() + timedelta(seconds=policy.proposal_ttl_s),
            attempt=incident.attempts_before + incident.attempts + 1,
            runbook=step.reference, runbook_revision=step.revision, instructions=draft.instructions,
        )  # fmt: skip
        if service.mode == "observe":
            return plan, "this service is in observe mode: nothing is executed; do it by hand and tell the thread"
        if need is None:
            return plan, f"policy names nobody who may approve {risk} on {service.name}"
        hidden = why_uninspectable(plan)
        if hidden:
            return plan, f"this plan cannot be shown whole on a card, so nobody can approve it: {hidden}"
        return plan, ""


def _by_turns(steps: Sequence[Step], tried: Iterable[tuple[str, str]]) -> Sequence[Step]:
    """Where several causes are named and a step against one did not do, another cause's steps come first, and of those
    the ones that would do the same once more come last: of the few attempts that are left, none should go to the same
    idea."""
    carried = {step for step, state in tried if state in CARRIED_OUT}
    had = {step.partition("/")[0] for step in carried}
    same = {step.action for step in steps if step.key in carried} - {"manual"}
    return sorted(steps, key=lambda step: (step.runbook in had, step.runbook not in had and step.action in same))


def _ended(data: Mapping[str, object]) -> Fact:
    return Fact(kind="investigation_ended", provenance=Provenance.COMPUTED, actor="pagerunner", data=data)
