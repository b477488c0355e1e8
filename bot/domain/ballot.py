"""The buttons of a card: which there are now, and exactly what a press of one votes on."""

from dataclasses import dataclass
from typing import Literal

from bot.domain import plan_card
from bot.domain.incident import Status
from bot.domain.proposal import Debt, ProposalState
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView

Button = Literal[
    "approve", "reject", "edit", "another", "done", "did", "why", "acknowledge", "escalate",
    "right_cause", "wrong_cause", "noise", "update", "glass", "again", "reviewed",
]  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Ballot:
    """What the buttons vote on."""

    proposal_id: str
    plan_hash: str
    confirm_title: str
    confirm_text: str
    confirm_go: str


def buttons(view: IncidentView, pv: ProposalView | None) -> tuple[Button, ...]:
    """The buttons that do something now, in the order in which they are shown."""
    shown: list[Button] = []
    if view.incident.active and pv is not None:
        proposal = pv.proposal
        if proposal.state is ProposalState.OPEN and proposal.votable:
            if not view.frozen and not plan_card.why_uninspectable(proposal.plan):
                shown.append("approve")
            shown += ["reject", "edit", "another"]
            if pv.glass and "approve" in shown:
                shown.append("glass")
        elif plan_card.is_manual(proposal.plan) and _awaits_hand(pv):
            shown += ["done", "another"]
    if view.incident.active and not (pv and pv.proposal.state is ProposalState.OPEN and pv.proposal.votable):
        shown.append("did")
    if given_up(view):
        shown.append("again")
    if open_debt(view) is not None:
        shown.append("reviewed")
    if not view.incident.active and view.incident.status is not Status.MITIGATED:
        shown += verdicts_wanted(view)
    shown.append("why")
    if view.incident.status is Status.OPEN:
        shown.append("acknowledge")
    if view.incident.active:
        shown.append("escalate")
    return tuple(shown)


def open_debt(view: IncidentView) -> Debt | None:
    """The oldest break-glass approval of the incident that nobody has reviewed."""
    return next((pv.debt for pv in view.proposals if pv.debt is not None and pv.debt.open), None)


def given_up(view: IncidentView) -> bool:
    """Whether nobody decided so often that nothing is asked by itself any more."""
    expired = view.entries("proposal_expired")
    if not view.incident.active or view.open_proposal is not None or view.looking or not expired:
        return False
    return expired[-1].fact.data.get("again") is False and view.proposals[-1].proposal.state is ProposalState.EXPIRED


def verdicts_wanted(view: IncidentView) -> tuple[Button, ...]:
    """What people can say of an incident that is over: of its cause only where one was named."""
    named = view.diagnosis is not None and view.diagnosis.conclusion == "cause"
    return ("right_cause", "wrong_cause", "noise") if named else ("noise",)


def _awaits_hand(pv: ProposalView) -> bool:
    """Whether a manual action is approved and nobody has said that it is done."""
    if pv.proposal.state not in (ProposalState.APPROVED, ProposalState.EXECUTING):
        return False
    return pv.apply is None or pv.apply.finished_at is None


def ballot(pv: ProposalView | None) -> Ballot | None:
    """What a vote on this proposal says."""
    if pv is None:
        return None
    plan = pv.proposal.plan
    return Ballot(
        proposal_id=pv.proposal.id,
        plan_hash=pv.proposal.plan_hash,
        confirm_title=line(f"{plan_card.title(plan)}?", 100),
        confirm_text=plan_card.confirmation(plan),
        confirm_go="Approve",
    )
