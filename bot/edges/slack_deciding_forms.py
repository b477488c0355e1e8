"""Forms around who decides: breaking the glass, reviewing that, and linking a command line."""

from collections.abc import Mapping
from typing import Any

from bot.domain import deciding, plan_card, wording
from bot.domain.proposal import Debt, Proposal
from bot.domain.untrusted import line
from bot.edges.slack_modals import View, modal, paragraph, text_input
from bot.ports import Link

GLASS = "pagerunner_glass_form"
REVIEW = "pagerunner_review_form"
LINK = "pagerunner_link_form"
MAX_REASON = 500
MAX_NOTE = 1_000


def glass_view(proposal: Proposal, place: Mapping[str, str]) -> View:
    """What would be approved alone, exactly, and why."""
    plan = proposal.plan
    blocks = [
        paragraph(plan_card.confirmation(plan, 1_000)),
        paragraph(f"Plan {plan_card.code(proposal.plan_hash)}. You approve this alone, in your name. It stays on the "
                  f"card until another approver of team {line(plan.approver_team, 40)} has reviewed it."),
        text_input("reason", "Why can nobody else decide?", MAX_REASON),
    ]  # fmt: skip
    about = {"proposal": proposal.id, "hash": proposal.plan_hash, **place}
    return modal(GLASS, "Break glass", "Approve alone", blocks, about)


def review_view(debt: Debt, place: Mapping[str, str]) -> View:
    """What somebody decided alone, and what is to be said about it."""
    blocks = [
        paragraph(f"{debt.proposal_id} of {debt.incident_id}: {deciding.debt_line(debt, debt.at)}."),
        text_input("note", "What did you find?", MAX_NOTE),
    ]
    return modal(REVIEW, "Review break-glass", "Reviewed", blocks, {"proposal": debt.proposal_id, **place})


def link_view(link: Link, code: str, place: Mapping[str, str]) -> View:
    """Whose command line will act as the person who sends this."""
    made = f"The command line of {line(link.label, 100)}, which made this code at {wording.clock(link.made_at)}"
    blocks: list[Any] = [
        paragraph(f"{made}, will vote and act as you: its approvals are yours."),
        paragraph("Go on only if you ran `pagerunner link` there yourself, just now. If somebody sent you this code, "
                  "cancel: they want to approve in your name."),
    ]  # fmt: skip
    return modal(LINK, "Link a command line", "Link", blocks, {"code": code, **place})
