"""What a person should do now: one sentence, from the state alone."""

from bot.domain import plan_card, wording
from bot.domain.incident import Status
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView

MAX_ATTEMPTS = 2
"""Mitigations tried, after which people must diagnose anew."""


def next_step(view: IncidentView) -> str:
    """One sentence that tells what is expected of whom."""
    incident = view.incident
    if incident.status is Status.CLOSED:
        return f"Nothing. The postmortem: /oncall export {incident.id}"
    if incident.status is Status.RESOLVED:
        return f"Write down the follow-ups: /oncall export {incident.id}"
    pv = view.open_proposal
    if pv is not None:
        return _about_proposal(view, pv)
    last = view.proposals[-1] if view.proposals else None
    if last is not None and last.apply is not None:
        return _about_effect(view, last)
    return _without_proposal(view, last)


def _about_proposal(view: IncidentView, pv: ProposalView) -> str:
    proposal, plan = pv.proposal, pv.proposal.plan
    if proposal.state is ProposalState.OPEN:
        return _about_vote(view, pv)
    if view.frozen:
        return f"Approved, and held by the freeze: /oncall unfreeze {view.incident.service} lets it go on."
    if plan_card.is_manual(plan):
        return "Do it as written above, then press Done; it is verified after that."
    if pv.apply is not None and pv.apply.state is EffectState.DONE:
        return _about_effect(view, pv)
    return f"Wait. It is being carried out, then verified: {plan_card.verification(plan)}."


def _about_vote(view: IncidentView, pv: ProposalView) -> str:
    proposal, plan = pv.proposal, pv.proposal.plan
    problem = plan_card.why_uninspectable(plan)
    if view.frozen:
        return f"Execution is frozen; /oncall unfreeze {view.incident.service} comes before any approval."
    if not proposal.votable:
        why = line(proposal.withheld) or "the policy lets nobody approve it"
        return f"Nothing will be done from here: {why}. If it is right, do it yourself and say so in the thread."
    if problem:
        return f"Do it by hand or edit it: it cannot be approved, because its plan cannot be shown in full ({problem})."
    until = wording.clock(plan.expires_at)
    return f"Team {plan.approver_team}: approve or reject before {until}. If nobody does, nothing is done."


def _about_effect(view: IncidentView, pv: ProposalView) -> str:
    effect, plan = pv.apply, pv.proposal.plan
    assert effect is not None
    if effect.state is EffectState.UNKNOWN:
        return f"A person must look at {line(plan.target)} before anything else is tried."
    if effect.state is EffectState.CONFLICT:
        return f"Somebody changed {line(plan.target)} meanwhile, so nothing was done. It is looked into again."
    if effect.state is EffectState.FAILED:
        return "It was not done, for the reason above. It is looked into again; escalate if that takes too long."
    if effect.state is not EffectState.DONE:
        return f"Wait. It is being carried out, then verified: {plan_card.verification(plan)}."
    if not effect.verdict:
        return f"Wait. It is being verified: {plan_card.verification(plan)}."
    if effect.verdict == "better":
        lease = effect.lease_until
        until = f" The change is set back at {wording.clock(lease)}." if lease and pv.revert is None else ""
        return f"Watch it, and resolve when users are well: /oncall resolve {view.incident.id}.{until}"
    if view.incident.attempts >= MAX_ATTEMPTS:
        return "Two mitigations did not help: diagnose it with people. Escalate, or add what you know in the thread."
    return "Wait for the next proposal, or escalate."


def _without_proposal(view: IncidentView, last: ProposalView | None) -> str:
    tell = "add what you know in the thread (hint: …)"
    diagnosis = view.diagnosis
    if diagnosis is None:
        return f"Wait for the probes, or {tell}."
    if diagnosis.conclusion == "no_fault":
        return f"Nothing was found and nothing was done. If users still suffer, {tell}."
    if diagnosis.conclusion == "inconclusive":
        probe = diagnosis.next_probes[0].probe if diagnosis.next_probes else ""
        would = f"; {line(probe, 40)} would tell most" if probe else ""
        return f"Escalate, or {tell}{would}."
    if last is not None and last.proposal.state is ProposalState.EXPIRED:
        return "Nobody decided in time and nothing was done. It is looked at afresh; escalate if nobody answers."
    if last is not None and last.proposal.state is ProposalState.REJECTED:
        return f"It was rejected and nothing was done. Escalate, or {tell}."
    return f"No mitigation is proposed{_passed_over(view)}. Read the runbook, escalate, or {tell}."


def _passed_over(view: IncidentView) -> str:
    """Why the runbook's steps were not proposed, as far as the last investigation recorded it."""
    ended = view.entries("investigation_ended")
    if not ended:
        return ""
    data = ended[-1].fact.data
    reasons = [str(data["next"])] if data.get("next") else []
    reasons += [f"{step.get('step', '')}: {step.get('why', '')}" for step in data.get("passed_over") or ()]
    return f" ({line('; '.join(reasons), 240)})" if reasons else ""
