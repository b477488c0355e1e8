"""What came of a rehearsal: whether it is over, and what the assistant concluded and did, for the referee to score."""

from collections.abc import Sequence
from typing import Any

from bot.cited import Registries, counted
from bot.domain.plan_card import watching_users
from bot.domain.timeline import Entry
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
    return not (waiting or unverified or undoing or felt(view))


def felt(view: IncidentView) -> bool:
    """Whether something helped and users are still watched: it may not have been all; then it is looked at again."""
    return any(watching_users(p) for p in view.proposals)


def report(view: IncidentView, known: Registries, *, reverted: bool) -> dict[str, Any]:
    """What the assistant concluded and did, for the referee to score, in the words of ``drills/README.md``."""
    final = view.diagnosis
    causes = list(dict.fromkeys([*_helped(view), *(final.causes if final else ())]))
    return {
        "conclusion": final.conclusion if final else "inconclusive",
        "diagnosis": [[h.mode, h.probability] for h in (final.ranked if final else ())],
        "causes": causes,
        "diagnosed_at": _settled_at(view, causes),
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


def _settled_at(view: IncidentView, causes: Sequence[str]) -> float | None:
    """When the causes were found: since then the leader stayed in front, and whatever an earlier investigation left in
    front is among the causes as well."""
    settled = None
    for number, diagnoses in enumerate(reversed(_by_investigation(view))):
        if number and _leader(diagnoses[-1]) not in causes:
            break
        settled = _held_from(diagnoses)
    return settled


def _by_investigation(view: IncidentView) -> list[list[Entry]]:
    ends = [entry.at for entry in view.entries("investigation_ended")]
    found: dict[int, list[Entry]] = {}
    for entry in view.entries("diagnosis_made"):
        found.setdefault(sum(end < entry.at for end in ends), []).append(entry)
    return [found[number] for number in sorted(found)]


def _held_from(diagnoses: Sequence[Entry]) -> float | None:
    """When the last leader of these was first in front and stayed there."""
    settled = None
    for entry in reversed(diagnoses):
        if not _leader(entry) or _leader(entry) != _leader(diagnoses[-1]):
            break
        settled = entry.at.timestamp()
    return settled


def _leader(entry: Entry) -> str:
    ranked = entry.fact.data["ranked"]
    return str(ranked[0]["mode"]) if ranked else ""
