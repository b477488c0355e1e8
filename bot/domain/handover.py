"""What one needs to know in 60 seconds when taking an incident over: facts with their references, and who does what."""

from collections.abc import Iterator
from datetime import datetime

from bot.domain import plan_card, wording
from bot.domain.in_step import in_step
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.roles import ROLES, Holder, roles_of, snoozed_until
from bot.domain.statement import code, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Verdict

__all__ = ["ROLES", "Holder", "handover", "roles_of", "runs", "snoozed_until"]

SHOWN = 3
"""Findings, acts and notes of each kind that are told: more is no longer read in a minute."""
_DID = ("person_did", "effect_applied", "effect_reverted", "effect_failed", "effect_conflict", "effect_unknown")


def handover(view: IncidentView, now: datetime) -> str:
    """A dozen lines at most, as escaped mrkdwn."""
    return "\n".join(_lines(view, now))


def _lines(view: IncidentView, now: datetime) -> Iterator[str]:
    incident = view.incident
    lasts = wording.duration((now - incident.started_at).total_seconds())
    since = f"for {lasts} (since {wording.moment(incident.started_at)}), {wording.plural(incident.pages, 'page')}"
    where = f"{wording.STATUS[incident.status]}, {plain(incident.service)}"
    yield f"*{plain(incident.id)}* {quote(incident.title)}: {where}, {since}"
    yield from in_step(view, now)
    yield f"*Cause:* {_cause(view)}"
    bad = [f for f in view.findings if f.verdict is Verdict.ABNORMAL]
    for found in bad[-SHOWN:]:
        shows = f"{plain(wording.outcome(found.outcome))}, {quote(found.reading.summary, 160)}"
        yield f"• {plain(found.probe)}: {shows} {code(found.id)}"
    done = view.entries(*_DID)
    if not done:
        yield "*Done so far:* nothing is recorded."
    else:
        yield "*Done so far:* " + "; ".join(_act(view, entry.seq) for entry in done[-SHOWN:])
    yield f"*Waiting for:* {_waiting(view)}"
    for pv in view.proposals:
        until = pv.apply.lease_until if pv.apply is not None and runs(pv) else None
        if until is not None:
            back = f"is put back at {wording.clock(until, now)} {code(pv.proposal.id)}"
            yield f"*Lease:* {plain(plan_card.title(pv.proposal.plan))} {back}"
    yield f"*Roles:* {_roles(view)}"
    until = snoozed_until(view, now)
    if until is not None:
        yield f"*Snoozed* until {wording.clock(until, now)} {code(refs_of(view, 'snoozed')[0])}"
    if view.frozen:
        yield f"*Frozen:* nothing is executed, {quote(view.frozen)}"


def runs(pv: ProposalView) -> bool:
    """Whether what was proposed is in effect now."""
    undone = pv.revert is not None and pv.revert.state is EffectState.DONE
    return pv.apply is not None and pv.apply.state is EffectState.DONE and not undone


def _cause(view: IncidentView) -> str:
    if view.diagnosis is None:
        return "not known yet; it is being looked into." if view.looking else "not known; nothing was diagnosed."
    refs = " ".join(code(ref) for ref in refs_of(view, "diagnosis_made"))
    if view.diagnosis.conclusion == "no_fault":
        return f"no fault was found {refs}"
    leader = view.diagnosis.leader
    sure = f"{plain(leader.title)} ({wording.percent(leader.probability)} sure)"
    return f"{sure} {refs}" if view.diagnosis.conclusion == "cause" else f"not sure; most likely {sure} {refs}"


def _act(view: IncidentView, seq: int) -> str:
    entry = next(one for one in view.timeline if one.seq == seq)
    at = wording.clock(entry.at, view.incident.opened_at)
    data = entry.fact.data
    if entry.fact.kind == "person_did":
        by = quote(str(data.get("by") or entry.fact.actor), 40)
        return f"{at} by hand, {by}: {quote(str(data.get('text', '')))} {code(f'#{seq}')}"
    title = next(
        (plan_card.title(pv.proposal.plan) for pv in view.proposals if pv.proposal.id == data.get("proposal")), ""
    )
    word = entry.fact.kind.removeprefix("effect_")
    return f"{at} {plain(title) or 'a plan'}: {word} {code(f'#{seq}')}"


def _waiting(view: IncidentView) -> str:
    pv = view.open_proposal
    if pv is None:
        return "nobody's decision; the investigation goes on." if view.looking else "nobody's decision."
    plan, state = pv.proposal.plan, pv.proposal.state
    what = f"{plain(plan_card.title(plan))} on {quote(plan.target, 80)} {code(pv.proposal.id)}"
    if state is not ProposalState.OPEN:
        return f"{what}, which is {state.value}"
    have = sum(vote.decision == "approve" for vote in pv.votes)
    until = wording.clock(plan.expires_at, view.incident.opened_at)
    if not pv.proposal.votable:
        return f"{what}, shown without a vote: {quote(pv.proposal.withheld)}"
    return f"{have} of {plan.min_approvers} approvals by team {plain(plan.approver_team)} for {what}, until {until}"


def _roles(view: IncidentView) -> str:
    roles = roles_of(view)
    if not roles:
        return "nobody has taken one."
    return ", ".join(f"{role} {quote(holder.name, 60)} {code(holder.ref)}" for role, holder in roles.items())
