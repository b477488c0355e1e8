"""What is said about the proposal: what it would do, how it is undone, how risky it is, who may approve it."""

from collections.abc import Iterator

from bot.domain import plan_card, wording
from bot.domain.next_step import next_step
from bot.domain.proposal import ProposalState
from bot.domain.statement import Statement, code, current, plain, refs_of
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView


def no_votes(view: IncidentView) -> Iterator[Statement]:
    """A vote is a press of a button, never a sentence."""
    pv = view.open_proposal
    if pv is None or pv.proposal.state is not ProposalState.OPEN:
        yield Statement(text="Nothing was done: there is no proposal that waits for a vote.")
        return
    yield Statement(
        text=f"Nothing was done: a message is no vote. Press the button on the card, or type `/oncall approve "
        f"{view.incident.id} {plan_card.code(pv.proposal.plan_hash)}` (or `reject`) to vote on exactly this plan."
    )


def what_it_does(view: IncidentView) -> Iterator[Statement]:
    """What an approval would do, fact by fact."""
    pv = current(view)
    if pv is None:
        yield Statement(text=f"Nothing is proposed now. {plain(next_step(view), 300)}")
        return
    proposed = pv.proposal.plan
    yield Statement(text=f"*{plain(plan_card.title(proposed))}* ({proposed.risk})", refs=(proposed.runbook,))
    for each in plan_card.plan_facts(proposed)[:9]:
        yield Statement(text=f"• {each.label}: {quote(each.shown.text, 300)}")


def undo(view: IncidentView) -> Iterator[Statement]:
    """How the current or last mitigation is undone, and whether it happens by itself."""
    pv = current(view)
    if pv is None:
        yield Statement(text="Nothing was changed, so there is nothing to undo.")
        return
    refs = (pv.proposal.plan.runbook,)
    yield Statement(text=f"{plain(plan_card.title(pv.proposal.plan))}: {quote(pv.proposal.plan.undo, 300)}", refs=refs)
    if pv.apply is not None and pv.apply.lease_until is not None and pv.revert is None:
        when = wording.clock(pv.apply.lease_until)
        yield Statement(text=f"By itself at {when}, when its lease ends.", refs=refs_of(view, "lease_started"))
    elif pv.revert is not None:
        yield Statement(text=f"That is {plain(pv.revert.state.value)}.", refs=refs_of(view, "effect_reverted"))


def safety(view: IncidentView) -> Iterator[Statement]:
    """Risk, who notices, undo and verification. It states facts; whether that is acceptable is a person's call."""
    pv = current(view)
    if pv is None:
        yield Statement(text="Nothing is proposed, so nothing would change.")
        return
    proposed = pv.proposal.plan
    yield Statement(text=f"Risk {plain(wording.RISKS[proposed.risk])}.", refs=(proposed.runbook,))
    yield Statement(text=f"• Who notices: {quote(proposed.blast_radius, 300)}")
    yield Statement(text=f"• Undo: {quote(proposed.undo, 300)}")
    yield Statement(
        text=f"• Check: {quote(plan_card.verification(proposed))}; if that gets worse it is undone by itself"
    )
    yield Statement(text="Whether that is acceptable is for the approvers to say.")


def approvers(view: IncidentView) -> Iterator[Statement]:
    """Who may approve the open proposal, by policy and catalogue."""
    pv = view.open_proposal
    if pv is None:
        yield Statement(text="There is no proposal to approve now.")
        return
    proposed = pv.proposal.plan
    if not proposed.approver_team:
        yield Statement(text="Nobody: the policy names no approver for this risk on this service.")
        return
    yield Statement(
        text=f"{plain(plan_card.approvals(pv))} (risk {proposed.risk}, policy {plain(proposed.policy_version)})"
    )
    team = view.team
    if team is not None and team.name == proposed.approver_team:
        users = ", ".join(code(user) for user in team.approvers.slack_users)
        groups = ", ".join(code(group) for group in team.approvers.slack_groups)
        local = "a local person at the console or command line" if team.approvers.local else ""
        names = "; ".join(part for part in (users, groups and f"groups {groups}", local) if part)
        yield Statement(text=f"Approvers of team {plain(team.name)}: {names or 'none are named in the catalogue'}.")
    if not pv.proposal.votable:
        yield Statement(text=f"It cannot be approved now: {quote(pv.proposal.withheld)}.")
