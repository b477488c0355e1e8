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


def decided(view: IncidentView) -> Iterator[Statement]:
    """Who voted on the newest proposal, and what came of it."""
    pv = view.proposals[-1] if view.proposals else None
    if pv is None:
        yield Statement(text="Nothing was proposed yet, so nobody has decided anything.")
        return
    title = plain(plan_card.title(pv.proposal.plan))
    if not pv.votes:
        yield Statement(text=f"{title}: nobody has voted on it. It is {plain(pv.proposal.state.value)}.")
    for vote in pv.votes:
        word = "approved" if vote.decision == "approve" else "rejected"
        about = plan_card.timeline_refs(view, pv.proposal, "vote_cast", f"proposal_{word}")
        yield Statement(text=f"{title}: {word} by {quote(vote.name, 40)} at {wording.moment(vote.at)}.", refs=about)


def worked(view: IncidentView) -> Iterator[Statement]:
    """What the verification found, before and after; never more than was read."""
    pv = next((pv for pv in reversed(view.proposals) if pv.apply is not None), None)
    yield Statement(text=f"{plain(view.incident.id)} is {wording.STATUS[view.incident.status]}.")
    if pv is None or pv.apply is None:
        yield Statement(text="Nothing was carried out by Pagerunner, so nothing was verified.")
        return
    plan = pv.proposal.plan
    if not pv.apply.verdict:
        yield Statement(text=f"{plain(plan_card.title(plan))}: not verified yet. {plain(next_step(view), 300)}")
        return
    said = wording.EFFECT_VERDICTS.get(pv.apply.verdict, pv.apply.verdict)
    refs = plan_card.timeline_refs(view, pv.proposal, "verification_made")
    yield Statement(text=f"{plain(plan_card.title(plan))}: {plain(said)}.", refs=refs)
    for before, after in plan_card.before_and_after(view, plan):
        was = plain(before.outcome) if before else "not read before"
        text = f"• {plain(after.probe)}: {was} → {plain(after.outcome)}, {quote(after.reading.summary)}"
        yield Statement(text=text, refs=(after.id,))


def lease(view: IncidentView) -> Iterator[Statement]:
    """When the change goes back by itself, if it does."""
    pv = current(view)
    if pv is None or pv.proposal.plan.lease_s is None:
        yield Statement(text="Nothing has a lease: nothing is set back by itself.")
    elif pv.revert is not None:
        refs = plan_card.timeline_refs(view, pv.proposal, "effect_reverted", "lease_ended")
        yield Statement(text=f"It has ended; setting it back is {plain(pv.revert.state.value)}.", refs=refs)
    elif pv.apply is not None and pv.apply.lease_until is not None:
        until = wording.moment(pv.apply.lease_until)
        yield Statement(text=f"It ends at {until}; the change is then set back.", refs=refs_of(view, "lease_started"))
    else:
        lasts = wording.duration(pv.proposal.plan.lease_s)
        yield Statement(text=f"It begins once the change helps, and lasts {lasts}.")


def undo(view: IncidentView) -> Iterator[Statement]:
    """How the current or last mitigation is undone, and whether it happens by itself."""
    pv = current(view)
    if pv is None:
        yield Statement(text="Nothing was changed, so there is nothing to undo.")
        return
    refs = (pv.proposal.plan.runbook,)
    if pv.apply is None:
        yield Statement(text="Nothing was changed yet. If this is carried out, it is undone so:")
    yield Statement(text=f"{plain(plan_card.title(pv.proposal.plan))}: {quote(pv.proposal.plan.undo, 300)}", refs=refs)
    if pv.apply is not None and pv.apply.lease_until is not None and pv.revert is None:
        when = wording.clock(pv.apply.lease_until, view.incident.opened_at)
        yield Statement(text=f"By itself at {when}, when its lease ends.", refs=refs_of(view, "lease_started"))
    if pv.apply is not None and pv.revert is None:
        yield Statement(text="To undo it sooner, do that at the target yourself, and tell the thread: `did: …`")
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
    after = "a person has to undo it if that gets worse" if plan_card.is_manual(proposed) else (
        "if that gets worse it is undone by itself")  # fmt: skip
    yield Statement(text=f"• Check: {quote(plan_card.verification(proposed))}; {after}")
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
        alone = team.approvers.local and proposed.min_approvers < 2
        local = "a local person at the console or command line" if alone else ""
        names = "; ".join(part for part in (users, groups and f"groups {groups}", local) if part)
        yield Statement(text=f"Approvers of team {plain(team.name)}: {names or 'none are named in the catalogue'}.")
    if not pv.proposal.votable:
        yield Statement(text=f"It cannot be approved now: {quote(pv.proposal.withheld)}.")
