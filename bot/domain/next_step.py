"""What a person should do now: one sentence, from the state alone."""

from bot.domain import deciding, plan_card, wording
from bot.domain.ballot import given_up
from bot.domain.incident import MAX_ATTEMPTS, Status
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView


def next_step(view: IncidentView) -> str:
    """One sentence that tells what is expected of whom; before it another one for what could not be undone."""
    return f"{_left_undone(view)}{_next(view)}"


def _left_undone(view: IncidentView) -> str:
    for pv in reversed(view.proposals):
        if pv.revert is not None and pv.revert.state in (EffectState.FAILED, EffectState.CONFLICT, EffectState.UNKNOWN):
            plan = pv.proposal.plan
            what = f"{plan_card.title(plan)} could not be set back"
            return f"{what}: look at {line(plan.target)}, and undo it by hand if need be. "
    return ""


def _next(view: IncidentView) -> str:
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
        return f"Approved, and held by the freeze: {_unfreeze(view)} lets it go on."
    held = plan_card.why(view, proposal, "effect_held") if proposal.state is ProposalState.APPROVED else ""
    if held:
        return f"Wait. It is approved and held: {held}."
    if plan_card.is_manual(plan):
        return "Do it as written above, then press Done; it is verified after that."
    if pv.apply is not None and pv.apply.state is EffectState.DONE:
        return _about_effect(view, pv)
    return f"Wait. It is being carried out, then verified: {plan_card.verification(plan)}."


def _unfreeze(view: IncidentView) -> str:
    return " and ".join(f"/oncall unfreeze {name}" for name in view.frozen_for or (view.incident.service,))


def _about_vote(view: IncidentView, pv: ProposalView) -> str:
    proposal, plan = pv.proposal, pv.proposal.plan
    problem = plan_card.why_uninspectable(plan)
    if view.frozen:
        return f"Execution is frozen; {_unfreeze(view)} comes before any approval."
    if not proposal.votable:
        why = line(proposal.withheld) or "the policy lets nobody approve it"
        return f"Nothing is done from here: {why}. If it is right, do it by hand and say so."
    if problem:
        return f"Do it by hand or edit it: it cannot be approved, because its plan cannot be shown in full ({problem})."
    return f"{deciding.awaited(pv)}."


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
        at = wording.clock(lease, view.incident.opened_at) if lease is not None and pv.revert is None else ""
        until = f" The change is set back at {at}." if at else ""
        if plan_card.watching_users(pv) and view.incident.active:
            return f"Wait. It helped, and users still feel it: they are read again until they are well.{until}"
        return f"Watch it, and resolve when users are well: /oncall resolve {view.incident.id}.{until}"
    if view.incident.attempts >= MAX_ATTEMPTS:
        return "Two mitigations did not help: diagnose it with people. Escalate, or add what you know in the thread."
    return "Wait for the next proposal, or escalate."


def _without_proposal(view: IncidentView, last: ProposalView | None) -> str:
    tell = "add what you know in the thread (hint: …)"
    diagnosis = view.diagnosis
    asked = plan_card.asked_another(view, last.proposal) if last is not None else ""
    if asked and view.looking:
        return f"Wait. {asked} asked for another option; it is being looked for."
    if asked:
        return f"There is no other option{_passed_over(view)}. Escalate, or {tell}."
    if view.stale:
        return f"Nothing is being checked: this page is old. If it still matters, {tell}; if not, resolve it."
    if given_up(view):
        times = view.entries("proposal_expired")[-1].fact.data.get("asked")
        return f"Asked {times} times, and nobody decided: press Ask again when somebody is there, or escalate."
    if diagnosis is None and view.service is None:
        return "A person must look: nothing is checked for a service that is not in the catalogue. Add it there."
    if diagnosis is None:
        return f"Wait for the probes, or {tell}."
    if diagnosis.conclusion == "no_fault":
        return f"Nothing was found and {_done(view)}. If users still suffer, {tell}."
    if diagnosis.conclusion == "inconclusive":
        probe = diagnosis.next_probes[0].probe if diagnosis.next_probes else ""
        would = f"; {line(probe, 40)} would tell most" if probe else ""
        return f"Escalate, or {tell}{would}."
    if last is not None and last.proposal.state is ProposalState.EXPIRED:
        why = plan_card.why(view, last.proposal, "proposal_expired")
        what = f"The approval was withdrawn: {why}." if why else f"Nobody decided in time and {_done(view)}."
        return f"{what} It is looked at afresh; escalate if nobody answers."
    if last is not None and last.proposal.state is ProposalState.REJECTED:
        return f"It was rejected and {_done(view)}. Escalate, or {tell}."
    return f"No mitigation is proposed{_passed_over(view)}. Read the runbook, escalate, or {tell}."


def _done(view: IncidentView) -> str:
    """What was done before and still holds: a later step that nobody wanted leaves it as it is."""
    held = [pv for pv in view.proposals if pv.apply is not None and pv.apply.verdict == "better" and pv.revert is None]
    what = "; ".join(plan_card.title(pv.proposal.plan) for pv in held)
    return f"what helped before stays as it is ({line(what)})" if held else "nothing was done"


def _passed_over(view: IncidentView) -> str:
    """Why the runbook's steps were not proposed, as far as the last investigation recorded it."""
    ended = view.entries("investigation_ended")
    if not ended:
        return ""
    data = ended[-1].fact.data
    reasons = [str(data["next"])] if data.get("next") else []
    reasons += [f"{step.get('step', '')}: {step.get('why', '')}" for step in data.get("passed_over") or ()]
    return f" ({line('; '.join(reasons), 240)})" if reasons else ""
