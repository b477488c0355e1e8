"""The postmortem's decisions: what had been changed, what was proposed, who decided, what was done and what is left."""

import re
from collections.abc import Iterator

from bot.domain import measures as timing
from bot.domain import plan_card, wording
from bot.domain.document import (
    Block,
    Excerpt,
    Heading,
    Part,
    Points,
    Row,
    Statement,
    Table,
    code,
    name,
    quoted,
    say,
    strong,
)
from bot.domain.measures import utc
from bot.domain.plan_card import is_manual
from bot.domain.postmortem_people import actor
from bot.domain.proposal import Debt, Effect, EffectState, ProposalState
from bot.domain.reading_words import brief
from bot.domain.sentences import sentence
from bot.domain.timeline import Entry
from bot.domain.untrusted import clean
from bot.domain.view import IncidentView, ProposalView, Vote
from diagnostics.model import Finding

STATES = {
    ProposalState.OPEN: "waits for votes", ProposalState.REJECTED: "rejected; nothing was done",
    ProposalState.EXPIRED: "expired; nothing was done", ProposalState.SUPERSEDED: "withdrawn; nothing was done",
    ProposalState.APPROVED: "approved, not carried out yet", ProposalState.EXECUTING: "being carried out",
    ProposalState.DONE: "carried out", ProposalState.FAILED: "failed",
    ProposalState.CONFLICT: "not carried out: the target had changed",
    ProposalState.UNKNOWN: "not known whether it took effect",
}  # fmt: skip
SURFACES = {"slack": "Slack", "cli": "the command line", "api": "the API", "terminal": "the terminal"}
ENDED = {
    "apply": ("effect_claimed", "effect_applied", "manual_done", "effect_failed", "effect_conflict", "effect_unknown"),
    "revert": ("effect_reverted", "effect_failed", "effect_conflict", "effect_unknown"),
}
"""Kind of effect -> the facts that tell what became of it."""
MAX_CHANGES = 30
_CHANGE = re.compile(r"(?!ev-|pr-|inc-|change-)[A-Za-z0-9][\w.:/-]{0,63}", re.ASCII)


def change_refs(view: IncidentView) -> list[str]:
    """How each change is cited: by its id, which came from outside, unless that could be taken for one of ours."""
    return [
        change.id if _CHANGE.fullmatch(change.id) else f"change-{number}"
        for number, change in enumerate(view.changes, start=1)
    ]


def changes(view: IncidentView) -> Iterator[Block]:
    """What had been changed around the beginning."""
    if not view.changes:
        log = next((f for f in reversed(view.findings) if f.probe == "change_log"), None)
        nothing = say("No change is recorded.", gap=True)
        yield Points(items=(say(quoted(log.reading.summary), refs=(log.id,)) if log else nothing,))
        return
    rows = []
    start = timing.began(view).at
    for ref, change in list(zip(change_refs(view), view.changes, strict=True))[-MAX_CHANGES:]:
        moved = (
            say(code(change.before, 80), " → ", code(change.after, 80)) if change.before or change.after else say("")
        )
        rows.append(
            Row(
                key=ref,
                cells=(
                    say(utc(change.at)), say(f"{timing.after(change.at, start)}"), say(code(change.kind, 40)),
                    say(quoted(change.summary), refs=(ref,)), moved,
                    say(name(change.actor)) if change.actor else say(""),
                ),
            )
        )  # fmt: skip
    heads = ("Time", "From its beginning", "Kind", "What", "Before → after", "Who")
    yield Table(heads=heads, rows=tuple(rows))
    yield Points(items=(say("A change near the beginning is something to look at, not yet a cause.", gap=True),))


def decisions(view: IncidentView) -> Iterator[Block]:
    """Each proposal with its plan, votes, effect and verification."""
    if view.service is not None and view.service.mode == "observe":
        yield Points(items=(say("The service is in observe mode: nothing could be approved here.",
                                refs=(view.incident.id,)),))  # fmt: skip
    if not view.proposals:
        ended = view.entries("investigation_ended")
        points = [say("Nothing was proposed.", gap=True)]
        points += [say(*sentence(entry.fact).spans, refs=(f"#{entry.seq}",)) for entry in ended[-1:]]
        yield Points(items=tuple(points))
    for number, pv in enumerate(view.proposals, start=1):
        yield from _proposal(view, number, pv)


# --- Proposals ------------------------------------------------------------------------------------------------------


def _proposal(view: IncidentView, number: int, pv: ProposalView) -> Iterator[Block]:
    proposal, plan = pv.proposal, pv.proposal.plan
    yield Heading(key=proposal.id, title=say(f"{number}. ", quoted(plan_card.title(plan), 100), f": {_state(pv)}"))
    made = plan_card.timeline_refs(view, proposal, "proposal_made", "proposal_withheld") or (proposal.id,)
    facts = [Row(cells=(say(label), say(*words))) for label, words in _plan(view, pv)]
    yield Table(heads=("Plan", "As proposed"), rows=tuple(facts), title="What was proposed", refs=made)
    if plan.instructions:
        what = "What a person was to do" if plan_card.is_manual(plan) else "What was to be sent"
        yield Excerpt(source=say(what, refs=made), text=clean(plan.instructions[:4_000], lines=True)[0])
    yield from _votes(view, pv)
    if pv.debt is not None:
        yield Points(items=tuple(_alone(view, pv, pv.debt)))
    yield from _carried_out(view, pv)


def _plan(view: IncidentView, pv: ProposalView) -> Iterator[tuple[str, tuple[Part, ...]]]:
    proposal, plan = pv.proposal, pv.proposal.plan
    yield "Proposed", (f"{utc(proposal.created_at)} by ", *actor(view, proposal.proposed_by), " as ", code(proposal.id))
    yield "Why", (quoted(proposal.rationale or "no reason was given", 300),)
    yield "Runbook", (code(plan.runbook), ", revision ", code(plan.runbook_revision[:12]))
    yield "Target", (code(plan.target),)
    for what, old, new in plan.diff:
        yield "Change", (quoted(what, 160), ": ", code(old), " → ", code(new))
    yield "Risk", (wording.RISKS[plan.risk],)
    yield "Who notices", (quoted(plan.blast_radius, 300),)
    yield "Undo", (quoted(plan.undo, 300),)
    within = f" within {wording.duration(plan.verify_within_s)}"
    yield "Verified by", (code(plan.verify_probe), " is ", code(plan.verify_outcome), within)
    lease = f"{wording.duration(plan.lease_s)} once it helps" if plan.lease_s is not None else "none"
    yield "Lease", (lease,)
    yield "Approval", (f"{_approval(pv)}, until {utc(plan.expires_at)}, policy ", code(plan.policy_version, 40))
    yield "Plan hash", (code(proposal.plan_hash),)
    if proposal.withheld:
        yield "Not put to the vote", (quoted(proposal.withheld),)


def _state(pv: ProposalView) -> str:
    state = STATES[pv.proposal.state]
    if pv.apply is not None and pv.apply.state is EffectState.DONE:
        state += f", {wording.EFFECT_VERDICTS.get(pv.apply.verdict, 'not verified yet')}"
    if pv.revert is not None and pv.revert.state is EffectState.DONE:
        state += ", set back"
    return state


def _approval(pv: ProposalView) -> str:
    plan = pv.proposal.plan
    team = f"team {plan.approver_team}" if plan.approver_team else "nobody, as the policy names no approver"
    return f"{wording.plural(plan.min_approvers, 'approval')} wanted of {team}"


def _votes(view: IncidentView, pv: ProposalView) -> Iterator[Block]:
    rows = [_vote(view, pv, vote) for vote in pv.votes]
    for entry in view.entries("vote_denied"):
        if entry.fact.data.get("proposal") == pv.proposal.id:
            told = sentence(entry.fact)
            rows.append(Row(cells=(say(*actor(view, entry.fact.actor)), Statement(spans=told.spans), say(utc(entry.at)),
                                   say(_surface(entry, entry.fact.actor), refs=(f"#{entry.seq}",)))))  # fmt: skip
    if rows:
        yield Table(heads=("Who", "Vote", "When", "Through"), rows=tuple(rows), title="Votes")
    else:
        yield Points(items=(say("Nobody voted.", refs=(pv.proposal.id,)),))


def _alone(view: IncidentView, pv: ProposalView, debt: Debt) -> Iterator[Statement]:
    """A break-glass approval, and whether somebody else has looked at it."""
    broken = plan_card.timeline_refs(view, pv.proposal, "glass_broken") or (pv.proposal.id,)
    yield say(strong("Break-glass: "), name(debt.name), f" approved it alone, {utc(debt.at)}, saying ",
              quoted(debt.reason, 400), ".", refs=broken)  # fmt: skip
    if debt.open or debt.reviewed_at is None:
        yield say(strong("Not reviewed yet: "), "another approver of team ", code(debt.team, 40),
                  " has to look at it.", refs=broken)  # fmt: skip
        return
    noted: list[Part] = [", saying ", quoted(debt.note, 400)] if debt.note else []
    yield say(strong("Reviewed: "), "by ", name(debt.reviewer), f", {utc(debt.reviewed_at)}", *noted, ".",
              refs=plan_card.timeline_refs(view, pv.proposal, "debt_reviewed") or broken)  # fmt: skip


def _vote(view: IncidentView, pv: ProposalView, vote: Vote) -> Row:
    cast = [e for e in view.entries("vote_cast")
            if e.fact.actor == vote.principal and e.fact.data.get("proposal") == pv.proposal.id]  # fmt: skip
    entry = cast[-1] if cast else None
    ref = f"#{entry.seq}" if entry else pv.proposal.id
    decision = {"approve": "approved", "reject": "rejected"}.get(vote.decision, "voted")
    reason = str(entry.fact.data.get("reason") or "") if entry else ""
    said: list[Part] = [", saying ", quoted(reason)] if reason else []
    return Row(cells=(say(name(vote.name), " ", code(vote.principal, 80)), say(decision, *said), say(utc(vote.at)),
                      say(_surface(entry, vote.principal), refs=(ref,))))  # fmt: skip


def _surface(entry: Entry | None, principal: str) -> str:
    via = str(entry.fact.data.get("via") or "") if entry else ""
    return SURFACES.get(via) or SURFACES.get(principal.split(":", maxsplit=1)[0], "this machine")


def _carried_out(view: IncidentView, pv: ProposalView) -> Iterator[Block]:
    proposal, plan, effect = pv.proposal, pv.proposal.plan, pv.apply
    if effect is None:
        yield Points(items=(say("Nothing was carried out.", refs=(proposal.id,)),))
        return
    by_hand = " by hand" if is_manual(plan) else ""
    points = [_effect(view, pv, effect, f"Carrying it out{by_hand}")]
    verified = plan_card.timeline_refs(view, proposal, "verification_made")
    if effect.verdict:
        made = [e for e in view.entries("verification_made") if e.fact.data.get("proposal") == proposal.id]
        reason = str(made[-1].fact.data.get("reason") or "") if made else ""
        because: list[Part] = [": ", quoted(reason, 400)] if reason else []
        verdict = wording.EFFECT_VERDICTS.get(effect.verdict, effect.verdict)
        points.append(say(strong("Verdict: "), verdict, *because, ".", refs=verified or (proposal.id,)))
    elif effect.state is EffectState.DONE:
        points.append(say("It is not verified yet.", refs=(proposal.id,)))
    yield Points(items=tuple(points))
    rows = [Row(cells=(say(code(after.probe)), brief(before), brief(after))) for before, after in _read_again(view, pv)]
    if rows:
        yield Table(heads=("Probe", "Before", "After"), rows=tuple(rows), title="Read again to verify")
    rest = list(_lease(view, pv, effect))
    if pv.revert is not None:
        rest.append(_effect(view, pv, pv.revert, "Setting it back"))
    if rest:
        yield Points(items=tuple(rest))


def _effect(view: IncidentView, pv: ProposalView, effect: Effect, what: str) -> Statement:
    about = [e for e in view.entries(*ENDED[effect.kind])
             if e.fact.data.get("proposal") == pv.proposal.id
             and e.fact.data.get("effect") in (None, effect.id)]  # fmt: skip
    became = {EffectState.PENDING: "not begun", EffectState.CLAIMED: "begun", EffectState.DONE: "done",
             EffectState.FAILED: "failed", EffectState.CONFLICT: "not done, the target had changed",
             EffectState.UNKNOWN: "not known"}  # fmt: skip
    when = f", claimed {utc(effect.claimed_at)}" if effect.claimed_at else ""
    when += f", finished {utc(effect.finished_at)}" if effect.finished_at else ""
    detail: list[Part] = [": ", quoted(effect.detail, 300)] if effect.detail else []
    return say(strong(f"{what}: "), became[effect.state], when, *detail, ".",
               refs=(f"#{about[-1].seq}",) if about else (pv.proposal.id,))  # fmt: skip


def _lease(view: IncidentView, pv: ProposalView, effect: Effect) -> Iterator[Statement]:
    plan = pv.proposal.plan
    refs = plan_card.timeline_refs(view, pv.proposal, "lease_started", "lease_ended") or (pv.proposal.id,)
    if effect.lease_until is not None and pv.revert is None:
        yield say(strong("Lease: "), f"it is set back at {utc(effect.lease_until)}.", refs=refs)
    elif plan.lease_s is None and effect.state is EffectState.DONE and pv.revert is None:
        yield say(strong("Lease: "), "none; it stays until somebody changes it.", refs=refs)


def _read_again(view: IncidentView, pv: ProposalView) -> list[tuple[Finding | None, Finding]]:
    """For each probe that was read again: the last reading before the change, and the last one that judged it."""
    plan, effect = pv.proposal.plan, pv.apply
    since = effect.claimed_at if effect is not None else None
    after = {finding.probe: finding for finding in view.findings if finding.round == plan.attempt}
    before = {
        finding.probe: finding
        for finding in view.findings
        if finding.round < plan.attempt and (since is None or finding.started_at <= since)
    }
    names = sorted(after, key=lambda probe: (probe != plan.verify_probe, probe))
    return [(before.get(probe), after[probe]) for probe in names]
