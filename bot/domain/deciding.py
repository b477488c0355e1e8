"""Who decides on a proposal: whom it waits for by name, until when, and what somebody decided alone."""

from datetime import datetime

from bot.domain import wording
from bot.domain.proposal import Debt
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView

MOST_NAMED = 4
"""Of those who are waited for, that are named."""


def approvals(pv: ProposalView) -> str:
    """How many approvals there are and how many are wanted, of whom and until when."""
    plan = pv.proposal.plan
    have = sum(1 for vote in pv.votes if vote.decision == "approve")
    named = f" ({names(pv)})" if names(pv) else ""
    team = f"team {plan.approver_team}{named}" if plan.approver_team else "nobody: the policy names no approver"
    where = " in Slack" if plan.min_approvers > 1 else ""
    until = wording.clock(plan.expires_at, pv.proposal.created_at)
    return f"{have} of {plan.min_approvers} approvals by {team}{where}, until {until}"


def awaited(pv: ProposalView) -> str:
    """Who is waited for, and until when: ``Waits for Ana Lima or Ben Okafor until 12:18 UTC``; with no names known,
    ``Team assist decides by 12:18 UTC``. Where more than one is wanted, how many there are."""
    plan = pv.proposal.plan
    until = wording.clock(plan.expires_at, pv.proposal.created_at)
    have = sum(1 for vote in pv.votes if vote.decision == "approve")
    team, named = line(plan.approver_team, 40), names(pv)
    count = f" ({have} of {plan.min_approvers})" if plan.min_approvers > 1 else ""
    if named:
        more = f"{plan.min_approvers - have} more: " if have else ""
        several = f"{plan.min_approvers} of " if plan.min_approvers > 1 and not have else ""
        return f"Waits for {more}{several}{named} until {until}{count}"
    if have:
        return f"{plan.min_approvers - have} more of team {team} by {until}{count}"
    return f"Team {team} decides by {until}{count}"


def names(pv: ProposalView) -> str:
    """Those who may still decide, by name, as plain text that calls nobody; empty while they are not known."""
    voted = {vote.principal for vote in pv.votes if vote.decision == "approve"}
    left = [one for one in pv.awaited if not one.principal or one.principal not in voted]
    shown = [f"{line(one.name, 40)} (on call)" if one.on_call else line(one.name, 40) for one in left]
    if len(shown) > MOST_NAMED:
        shown = [*shown[: MOST_NAMED - 1], f"{len(shown) - MOST_NAMED + 1} others"]
    return " or ".join([", ".join(shown[:-1]), shown[-1]]) if len(shown) > 1 else "".join(shown)


def debt_line(debt: Debt, day: datetime) -> str:
    """A break-glass approval: who, when, why, and who looked at it."""
    told = f"{line(debt.name, 40)} alone at {wording.clock(debt.at, day)}: “{line(debt.reason, 160)}”"
    if debt.open:
        return f"{told}. Somebody else of team {line(debt.team, 40)} has to review it"
    note = f": “{line(debt.note, 160)}”" if debt.note else ""
    return f"{told}. Reviewed by {line(debt.reviewer, 40)}{note}"


def why_denied(view: IncidentView, proposal_id: str, principal: str) -> str:
    """Why this person's newest vote on it did not count, in words that are theirs to act on; empty if none are."""
    about = [e for e in view.entries("vote_denied")
             if e.fact.actor == principal and e.fact.data.get("proposal") == proposal_id]  # fmt: skip
    return line(str(about[-1].fact.data.get("why") or ""), 300) if about else ""
