"""What came of a rehearsal: whether it is over, and what the assistant concluded and did, for the referee to score."""

from collections.abc import Sequence
from typing import Any

from bot.cited import Registries, counted
from bot.domain.view import IncidentView, ProposalView


def over(view: IncidentView) -> bool:
    """Whether nothing more will happen by itself: mitigated, or looked and nothing (more) to propose."""
    ended = view.entries("investigation_ended")
    if not ended or len(ended) < view.incident.investigations:
        return False
    waiting = [p for p in view.proposals if p.proposal.state.value in ("open", "approved", "executing")
               and p.proposal.votable]  # fmt: skip
    unverified = [
        p for p in view.proposals if p.apply is not None and p.apply.state.value == "done" and not p.apply.verdict
    ]
    undoing = [p for p in view.proposals if p.apply is not None and p.apply.verdict in ("worse", "unknown")
               and p.revert is None and p.proposal.plan.effect != "manual"]  # fmt: skip
    # What helped may not have been all: while users still feel it, it is looked at again.
    felt = [p for p in view.proposals if p.apply is not None and p.apply.verdict == "better"
            and p.apply.next_check_at is not None]  # fmt: skip
    return not (waiting or unverified or undoing or felt)


def report(view: IncidentView, known: Registries, *, reverted: bool) -> dict[str, Any]:
    """What the assistant concluded and did, for the referee to score, in the words of ``drills/README.md``."""
    final = view.diagnosis
    return {
        "conclusion": final.conclusion if final else "inconclusive",
        "diagnosis": [[h.mode, h.probability] for h in (final.ranked if final else ())],
        "causes": list(dict.fromkeys([*_helped(view), *(final.causes if final else ())])),
        "diagnosed_at": _settled_at(view.entries("diagnosis_made")),
        "proposals": [
            {"action": p.proposal.plan.action, "params": dict(p.proposal.plan.params),
             "at": p.proposal.created_at.timestamp(),
             "approved_at": _approved_at(p)}
            for p in view.proposals
        ],
        "probes_run": sum(f.verdict.value != "not_run" and f.round == 0 for f in view.findings),
        "probe_tokens": sum(f.reading.tokens for f in view.findings),
        "citations": counted(view, known),
        "reverted": reverted,
    }  # fmt: skip


def _helped(view: IncidentView) -> list[str]:
    """Causes whose mitigation helped: where users still felt something, what was found after it is not all."""
    return [p.proposal.plan.runbook.partition("#")[0] for p in view.proposals
            if p.apply is not None and p.apply.verdict == "better"]  # fmt: skip


def _approved_at(shown: ProposalView) -> float | None:
    """When a proposal had its approvals; None if somebody rejected it or nobody decided."""
    if any(vote.decision == "reject" for vote in shown.votes):
        return None
    return max((vote.at.timestamp() for vote in shown.votes if vote.decision == "approve"), default=None)


def _settled_at(diagnoses: Sequence[Any]) -> float | None:
    """When the final leading cause was first in front and stayed there."""
    settled = None
    last = diagnoses[-1].fact.data["ranked"][0]["mode"] if diagnoses and diagnoses[-1].fact.data["ranked"] else None
    for entry in reversed(diagnoses):
        if not entry.fact.data["ranked"] or entry.fact.data["ranked"][0]["mode"] != last:
            break
        settled = entry.at.timestamp()
    return settled
