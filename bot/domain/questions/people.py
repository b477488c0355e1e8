"""Questions about people: who owns it, who is on it, who may decide, who decided, who changed something."""

from collections.abc import Iterator

from bot.domain import deciding, plan_card, wording
from bot.domain.paging import paging
from bot.domain.questions.change import around
from bot.domain.questions.kind import SPECIFIC, USUAL, Case, Kind
from bot.domain.statement import Statement, code, plain, refs_of
from bot.domain.timeline import Provenance
from bot.domain.untrusted import quote

_SAID = {
    "incident_acknowledged": "acknowledged it",
    "incident_escalated": "escalated it",
    "incident_resolved": "resolved it",
    "vote_cast": "voted",
    "role_taken": "took a role",
    "hint_given": "gave a hint",
    "note_added": "left a note",
    "person_did": "did something by hand",
    "manual_done": "did a step by hand",
    "question_asked": "asked",
    "frozen": "froze execution",
    "unfrozen": "allowed execution again",
}


def owner(case: Case) -> Iterator[Statement]:
    """The team, where it is, how it is paged."""
    view = case.view
    opened = refs_of(view, "incident_opened")
    if view.team is None:
        service = quote(view.incident.service, 60)
        text = f"I don't know: nobody is named, {service} is not in the catalogue. Add it there."
        yield Statement(text=text, refs=opened, known=False)
        return
    team = view.team
    title = f" ({plain(team.title)})" if team.title else ""
    yield Statement(text=f"{plain(view.incident.service)} is owned by team {plain(team.name)}{title}.", refs=opened)
    if team.pagerduty_escalation_policy:
        yield Statement(text=f"It is paged through escalation policy {code(team.pagerduty_escalation_policy)}.")


def on_it(case: Case) -> Iterator[Statement]:
    """Who has done something here; being on call is the pager's to know."""
    view = case.view
    last: dict[str, tuple[str, str, str]] = {}
    for entry in view.timeline:
        did = _SAID.get(entry.fact.kind)
        if did is not None and entry.fact.provenance is Provenance.HUMAN:
            who = str(
                entry.fact.data.get("holder")
                or entry.fact.data.get("name")
                or entry.fact.data.get("by")
                or entry.fact.actor
            )
            last[who] = (did, wording.clock(entry.at, view.incident.opened_at), f"#{entry.seq}")
    for who, (did, at, ref) in list(last.items())[-3:]:
        yield Statement(text=f"{quote(who, 60)} {did} at {at}.", refs=(ref,))
    if last:
        return
    yield Statement(text="I don't know: nobody has done anything here that is recorded.", known=False)
    assigned = paging(view).assigned
    if assigned is not None and assigned.text:
        yield Statement(text=f"PagerDuty has it assigned to {quote(assigned.text, 120)}.", refs=(assigned.ref,))
    if view.team is not None and view.team.pagerduty_escalation_policy:
        policy = code(view.team.pagerduty_escalation_policy)
        yield Statement(text=f"What would tell: who is on call for escalation policy {policy} in PagerDuty.",
                        known=False)  # fmt: skip


def whom_to_call(case: Case) -> Iterator[Statement]:
    """How to get more people: the team's escalation policy."""
    team = case.view.team
    if team is None or not team.pagerduty_escalation_policy:
        yield Statement(text="I don't know: the catalogue names no escalation policy for this service.", known=False)
        yield Statement(text="What would tell: the owner of the service in PagerDuty.", known=False)
        return
    policy = code(team.pagerduty_escalation_policy)
    yield Statement(text=f"Team {plain(team.name)}, through escalation policy {policy}.",
                    refs=refs_of(case.view, "incident_opened"))  # fmt: skip
    yield Statement(text=f"Press Escalate on the card, or type `/oncall escalate {plain(case.view.incident.id)}`.")


def approvers(case: Case) -> Iterator[Statement]:
    """Who may approve the open proposal, by policy and catalogue."""
    view = case.view
    pv = view.open_proposal
    if pv is None:
        last = view.proposals[-1] if view.proposals else None
        about = () if last is None else plan_card.timeline_refs(view, last.proposal, "proposal_approved",
                                                                "proposal_made")  # fmt: skip
        yield Statement(text="There is no proposal to approve now.", refs=about or refs_of(view, "investigation_ended"))
        return
    proposed = pv.proposal.plan
    made = plan_card.timeline_refs(view, pv.proposal, "proposal_made", "proposal_withheld")
    if not proposed.approver_team:
        text = "Nobody: the policy names no approver for this risk on this service."
        yield Statement(text=text, refs=made)
        return
    by = f"risk {proposed.risk}, policy {plain(proposed.policy_version)}"
    yield Statement(text=f"{plain(deciding.approvals(pv))} ({by}).", refs=made)
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


def decided(case: Case) -> Iterator[Statement]:
    """Who voted on the newest proposal, and what came of it."""
    view = case.view
    pv = view.proposals[-1] if view.proposals else None
    if pv is None:
        yield Statement(text="Nothing was proposed yet, so nobody has decided anything.",
                        refs=refs_of(view, "investigation_ended"))  # fmt: skip
        return
    title = plain(plan_card.title(pv.proposal.plan))
    if not pv.votes:
        made = plan_card.timeline_refs(view, pv.proposal, "proposal_made", "proposal_withheld")
        state = plain(pv.proposal.state.value)
        yield Statement(text=f"{title}: nobody has voted on it. It is {state}.", refs=made)
    for vote in pv.votes[-3:]:
        word = "approved" if vote.decision == "approve" else "rejected"
        about = plan_card.timeline_refs(view, pv.proposal, "vote_cast", f"proposal_{word}")
        yield Statement(text=f"{title}: {word} by {quote(vote.name, 40)} at {wording.moment(vote.at)}.", refs=about)


def who_changed(case: Case) -> Iterator[Statement]:
    """Who is on record for the changes near the start: the newest first."""
    for change in around(case.view)[:3]:
        who = quote(change.actor, 40) if change.actor else "an actor who is not recorded"
        text = f"{plain(change.kind)} at {wording.moment(change.at)} by {who}: {quote(change.summary)}"
        yield Statement(text=text, refs=(change.id,), known=bool(change.actor))
    if not case.view.changes:
        yield Statement(text="I don't know: no change of this service is recorded.", refs=(), known=False)
        yield Statement(text="What would tell: whoever releases it; changes are told to `POST /changes`.", known=False)


KINDS = (
    Kind(name="approved_by", asks="who approved it?", rank=SPECIFIC, reply=decided,
         pattern=r"\bwho\b.*\b(approved|rejected|voted|decided|signed)\b|\b(was|is|has) (it|this|that|anyone|"
                 r"anybody|someone)\b.*\b(approved|rejected|signed)\b|\b(did|has|have) (any|some)(one|"
                 r"body)\b.*\b(approve|reject|vote|sign|decide)d?\b"),
    Kind(name="approvers", asks="who may approve?", rank=SPECIFIC, reply=approvers,
         pattern=r"\bwho(se)?\b.*\b(approve|approvals?|approvers?|sign|allow(ed)?|may|vote|permission)\b|"
                 r"\bwaiting (for|on) (who|whom|whose)|\bapprovers?\b"),
    Kind(name="who_deployed", asks="who deployed last?", rank=SPECIFIC, reply=who_changed,
         pattern=r"\bwho\b.*\b(deploy(ed|s)?|chang(ed|es?)|releas(ed|es?)|merged|shipped|pushed|rolled|touched|"
                 r"edited|made the change)\b|\bwhose (change|deploy|release|prompt)"),
    Kind(name="on_it", asks="who is on it?", rank=SPECIFIC, reply=on_it,
         pattern=r"\bwho('s| is| are)?\b.*\b(on it|on this|working|looking|handling|involved|here|acked|"
                 r"acknowledged|commander|in charge|driving)\b|\b(is|has) (any|some)(one|body)\b.*\b(on it|on this|"
                 r"working|looking|acked|acknowledged|picked)\b|\b(any|some)(one|body)\b.*\b(ack|acked|on it|"
                 r"on this|here|around|awake)\b|\bcommander\b"),
    Kind(name="call", asks="whom do I escalate to?", rank=SPECIFIC, reply=whom_to_call,
         pattern=r"\b(who|whom|how)\b.*\b(escalat(e|ion)|(?<!on.)call|page|wake|contact|get help|reach)\b|"
                 r"\bescalation\b|\bneed (more )?(help|people)\b"),
    Kind(name="owner", asks="who owns it?", rank=USUAL, reply=owner,
         pattern=r"\b(who|which|what)\b.*\b(owns?|owner|owners|responsible|on.?call|team|runs|maintains?|"
                 r"belongs?)\b|\bowner(ship)?\b|\bwhose (service|app|is (it|this))"),
)  # fmt: skip
