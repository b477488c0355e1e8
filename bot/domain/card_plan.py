"""The plan on a card: what would be done in full while it can be approved, afterwards what was decided."""

from collections.abc import Iterator

from bot.domain import plan_card, wording
from bot.domain.ballot import buttons
from bot.domain.card_lines import Line, Section
from bot.domain.proposal import Proposal, ProposalState
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView

AT_A_GLANCE = ("Target", "Change", "Sends")
BY_HAND = ("To do",)
"""What a plan does; how it is judged, limited and undone stands below it in small print."""


def plan_sections(view: IncidentView, pv: ProposalView | None) -> tuple[Section, ...]:
    """What would be done, in full while it can be approved; what was decided, in short."""
    if pv is None or pv.proposal.state in (ProposalState.SUPERSEDED, ProposalState.EXPIRED, ProposalState.REJECTED):
        return ()
    proposal, plan = pv.proposal, pv.proposal.plan
    facts = plan_card.plan_facts(plan)
    if proposal.state is not ProposalState.OPEN:  # Decided: what matters now is what became of it.
        kept = [each for each in facts if each.label in (BY_HAND if plan_card.is_manual(plan) else ("Change",))]
        title = f"{plan_card.title(plan)} on {plan.target} ({plan.risk})"
        lines = tuple(Line(label=each.label, text=each.shown.text) for each in kept)
        return (Section(key="plan", title=line(title, 160), lines=lines or (Line(text=line(plan.target)),)),)
    hand = plan_card.is_manual(plan)
    shown = [each for each in facts if each.label in (BY_HAND if hand else AT_A_GLANCE)]
    large = tuple(Line(label="" if hand else each.label, text=each.shown.text) for each in shown)
    by = "" if proposal.proposed_by == "pagerunner" else ", edited"
    title = plan_card.title(plan) if hand else f"Proposed: {plan_card.title(plan)} ({plan.risk}{by})"
    small = tuple(_terms(proposal, whole="approve" in buttons(view, pv)))
    return (
        Section(key="plan", title=title, lines=large or (Line(label="Target", text=line(plan.target)),)),
        Section(key="terms", title="", lines=small, small=True),
    )


def _terms(proposal: Proposal, *, whole: bool) -> Iterator[Line]:
    """Everything else that is approved, each fact whole; where nobody can approve it now, only what it risks."""
    plan = proposal.plan
    said = {each.label: each.shown.text for each in plan_card.plan_facts(plan)}
    risk = wording.RISKS[plan.risk]
    short = risk.partition(",")[0] if plan.risk == "R2" else risk  # Who notices says the rest, for this very plan.
    yield Line(text=f"{short}. {said['Who notices']}")
    if plan_card.is_manual(plan):
        for each in plan_card.plan_facts(plan):
            if each.label in ("Target", "Change"):
                yield Line(label=each.label, text=each.shown.text)
    yield Line(label="Undo", text=said["Undo"])
    if not whole:
        return
    lease = f"; set back {wording.duration(plan.lease_s)} after it helps" if plan.lease_s is not None else ""
    yield Line(label="Check", text=f"{said['Check']}{lease}")
    params = f" with {said['With']}" if "With" in said else ""
    by = "" if proposal.proposed_by == "pagerunner" else f", edited by {line(proposal.proposed_by, 60)}"
    yield Line(label="Plan", text=f"{plan_card.code(proposal.plan_hash)}{params}{by}", refs=(plan.runbook,))
