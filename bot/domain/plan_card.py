"""What a card says about a proposal: the plan, fact by fact, and what became of it. Made from the typed plan alone."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from bot.domain import wording
from bot.domain.proposal import EffectState, Plan, Proposal, ProposalState
from bot.domain.untrusted import FACT, Shown, clean, elide, fact, line
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Finding

SENTENCE = 300
"""Longest sentence of a plan, such as its undo, that is shown whole."""
INSTRUCTIONS = 1_500
"""Longest instructions of a manual action that are shown whole."""
MAX_CHANGES = 12
MAX_PARAMS = 16
TARGETS = ("gateway", "store", "index")
"""Parameters that name what a target's path begins with."""
CODE = 8
"""Digits of the plan's hash that a person types to say which plan they mean."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFact:
    """One labelled fact of a plan."""

    label: str
    shown: Shown


def title(plan: Plan) -> str:
    """What the plan does, in a few words."""
    if is_manual(plan) and plan.params.get("title"):
        return f"By hand: {line(str(plan.params['title']), 100)}"
    return line(wording.action(plan.action), 100)


def is_manual(plan: Plan) -> bool:
    """Whether a person carries it out and presses Done."""
    return plan.effect == "manual" or plan.action == "manual"


def code(plan_hash: str) -> str:
    """The short form of a plan's hash: identifies it on the card and in ``/oncall approve``."""
    return plan_hash[:CODE]


def plan_facts(plan: Plan) -> tuple[PlanFact, ...]:
    """Everything that will happen and is approved, in the order in which it is read."""
    facts = [PlanFact(label="Target", shown=fact(plan.target))]
    facts += [PlanFact(label="Change", shown=_change(what, old, new)) for what, old, new in plan.diff[:MAX_CHANGES]]
    if plan.instructions:
        label = "To do" if is_manual(plan) else "Sends"
        facts.append(PlanFact(label=label, shown=_lines(plan.instructions, INSTRUCTIONS)))
    params = _params(plan)
    if params.text or not params.whole:
        facts.append(PlanFact(label="With", shown=params))
    facts += [
        PlanFact(label="Who notices", shown=fact(plan.blast_radius, SENTENCE)),
        PlanFact(label="Undo", shown=fact(plan.undo, SENTENCE)),
        PlanFact(label="Check", shown=fact(verification(plan))),
    ]
    if plan.lease_s is not None:
        lease = f"{wording.duration(plan.lease_s)} once it helps, then set back"
        facts.append(PlanFact(label="Lease", shown=Shown(text=lease)))
    return tuple(facts)


def verification(plan: Plan) -> str:
    """How it will be judged."""
    return f"{plan.verify_probe} is {plan.verify_outcome} within {wording.duration(plan.verify_within_s)}"


def why_uninspectable(plan: Plan) -> str:
    """Why this plan cannot be shown exactly as it is, and so cannot be approved; empty if it can."""
    if len(plan.diff) > MAX_CHANGES:
        return f"it changes {len(plan.diff)} values; at most {MAX_CHANGES} can be shown"
    if len(plan.params) > MAX_PARAMS:
        return f"it has {len(plan.params)} parameters; at most {MAX_PARAMS} can be shown"
    for each in plan_facts(plan):
        if not each.shown.whole:
            return f"{each.label.lower()}: {each.shown.problem}"
    return ""


def confirmation(plan: Plan, limit: int = SENTENCE) -> str:
    """The plan once more, for the question before an approval; the card has all of it."""
    changes = "; ".join(f"{what}: {old} → {new}" for what, old, new in plan.diff[:MAX_CHANGES])
    parts = [f"{title(plan)} on {plan.target}.", f"{changes}." if changes else "", f"Undo: {plan.undo}"]
    return line(" ".join(part for part in parts if part), limit)


def state_of(
    view: IncidentView, pv: ProposalView, *, short: bool = False
) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """What became of a proposal: label, text and references, oldest first. ``short``: without what probes said."""
    proposal = pv.proposal
    yield from _votes(view, pv)
    match proposal.state:
        case ProposalState.REJECTED if asked_another(view, proposal):
            looking = "; it is being looked for" if view.looking else ""
            refs = timeline_refs(view, proposal, "proposal_superseded")
            yield "Withdrawn", f"{asked_another(view, proposal)} asked for another option{looking}", refs
        case ProposalState.REJECTED:
            yield "Rejected", _voters(pv, "reject"), timeline_refs(view, proposal, "proposal_rejected")
        case ProposalState.EXPIRED if withdrawn := why(view, proposal, "proposal_expired"):
            refs = timeline_refs(view, proposal, "proposal_expired")
            yield "Approval withdrawn", f"{withdrawn}; nothing was sent", refs
        case ProposalState.EXPIRED:
            yield "Expired", f"nobody decided by {wording.clock(proposal.plan.expires_at)}; nothing was done", ()
        case ProposalState.SUPERSEDED:
            yield "Withdrawn", "replaced by another proposal; nothing was done", ()
        case ProposalState.APPROVED:
            yield "Approved", _voters(pv, "approve"), timeline_refs(view, proposal, "proposal_approved")
            held = why(view, proposal, "effect_held")
            if held:
                yield "Held", held, timeline_refs(view, proposal, "effect_held")
        case _:
            pass
    yield from _effect(view, pv)
    yield from _verified(view, pv, short=short)
    yield from _reverted(view, pv)


def _votes(view: IncidentView, pv: ProposalView) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    waiting = (ProposalState.OPEN, ProposalState.APPROVED, ProposalState.REJECTED)
    if pv.proposal.state not in waiting:
        who = _voters(pv, "approve")
        if who:
            yield "Approved by", who, timeline_refs(view, pv.proposal, "proposal_approved", "vote_cast")
    elif pv.proposal.state is ProposalState.OPEN and _voters(pv, "approve"):
        yield "Approved by", _voters(pv, "approve"), timeline_refs(view, pv.proposal, "vote_cast")


def _effect(view: IncidentView, pv: ProposalView) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    effect, plan = pv.apply, pv.proposal.plan
    if effect is None:
        return
    detail = line(effect.detail, SENTENCE)
    since = f" since {wording.clock(effect.claimed_at)}" if effect.claimed_at else ""
    match effect.state:
        case EffectState.PENDING | EffectState.CLAIMED:
            todo = "waiting for a person to press Done" if is_manual(plan) else "being carried out"
            yield "Now", f"{todo}{since}", ()
        case EffectState.DONE:
            at = wording.clock(effect.finished_at) if effect.finished_at else ""
            refs = timeline_refs(view, pv.proposal, "effect_applied", "manual_done")
            yield "Done", ", ".join(part for part in (at, detail) if part), refs
        case EffectState.CONFLICT:
            text = detail or "the target is no longer as it was when this was approved"
            yield "Not done", text, timeline_refs(view, pv.proposal, "effect_conflict")
        case EffectState.FAILED:
            refs = timeline_refs(view, pv.proposal, "effect_failed")
            yield "Not done", detail or "the target refused it; nothing changed", refs
        case EffectState.UNKNOWN:
            text = f"it may or may not have happened; look at {line(plan.target)}"
            yield "Unknown", f"{text}. {detail}".strip(), timeline_refs(view, pv.proposal, "effect_unknown")


def _verified(view: IncidentView, pv: ProposalView, *, short: bool) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    effect, plan = pv.apply, pv.proposal.plan
    if effect is None or effect.state is not EffectState.DONE:
        return
    if not effect.verdict:
        by = f" by {wording.clock(effect.verify_by)}" if effect.verify_by else ""
        yield "Verifying", f"{verification(plan)}{by}", ()
        return
    refs = timeline_refs(view, pv.proposal, "verification_made")
    verdict = wording.EFFECT_VERDICTS.get(effect.verdict, effect.verdict)
    pairs = before_and_after(view, plan)
    moved = _moved(pairs)
    yield "Verified", line(": ".join([verdict, ", ".join(moved)]), SENTENCE) if short and moved else verdict, refs
    yield from _users(view, pv)
    for before, after in () if short else pairs:
        text = f"{_short(before)} → {_short(after)}"
        yield after.probe, line(text, SENTENCE), tuple(f.id for f in (before, after) if f is not None)
    if effect.lease_until is not None and pv.revert is None:
        until = wording.clock(effect.lease_until, view.incident.opened_at)
        yield "Lease", f"goes back by itself at {until}", ()


def _moved(pairs: Sequence[tuple[Finding | None, Finding]]) -> list[str]:
    """What changed, and in one breath what is as it was."""
    same = [after for before, after in pairs if before is not None and before.outcome == after.outcome]
    moved = [
        f"{after.probe} {before.outcome if before else 'not read'} → {after.outcome}"
        for before, after in pairs
        if after not in same
    ]
    still = ", ".join(f"{after.probe} {after.outcome}" for after in same)
    return [*moved, f"still {still}"] if still else moved


def _users(view: IncidentView, pv: ProposalView) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    """Whether users feel the help: their window holds the time before for a while."""
    if watching_users(pv):
        yield "Users", "they still feel it; read again until they are well", ()
    elif timeline_refs(view, pv.proposal, "users_recovered"):
        yield "Users", "well again", timeline_refs(view, pv.proposal, "users_recovered")
    elif timeline_refs(view, pv.proposal, "users_not_recovered"):
        yield "Users", "not known to be well", timeline_refs(view, pv.proposal, "users_not_recovered")


def watching_users(pv: ProposalView) -> bool:
    """Whether the change helped, and users are read again until they are well."""
    return pv.apply is not None and pv.apply.verdict == "better" and pv.apply.next_check_at is not None


def _reverted(view: IncidentView, pv: ProposalView) -> Iterator[tuple[str, str, tuple[str, ...]]]:
    effect = pv.revert
    if effect is None:
        return
    refs = timeline_refs(view, pv.proposal, "effect_reverted", "lease_ended", "effect_conflict", "effect_unknown")
    detail = line(effect.detail, SENTENCE)
    at = f" at {wording.clock(effect.finished_at)}" if effect.finished_at else ""
    match effect.state:
        case EffectState.PENDING | EffectState.CLAIMED:
            yield "Undoing", "being set back", refs
        case EffectState.DONE:
            yield "Undone", f"set back{at}. {detail}".strip(), refs
        case EffectState.FAILED | EffectState.CONFLICT | EffectState.UNKNOWN:
            yield "Not undone", detail or f"a person must look at {line(pv.proposal.plan.target)}", refs


def before_and_after(view: IncidentView, plan: Plan) -> list[tuple[Finding | None, Finding]]:
    """For each probe that was read again after this mitigation: the last reading before, and the newest after."""
    pairs: dict[str, tuple[Finding | None, Finding]] = {}
    for after in (f for f in view.findings if f.round == plan.attempt):
        same = [f for f in view.findings if f.probe == after.probe and f.started_at <= after.started_at]
        earlier = [f for f in same if f.round < plan.attempt]
        pairs[after.probe] = (earlier[-1] if earlier else None, after)
    first = plan.verify_probe
    return sorted(pairs.values(), key=lambda pair: (pair[1].probe != first, pair[1].probe))


def timeline_refs(view: IncidentView, proposal: Proposal, *kinds: str) -> tuple[str, ...]:
    """The newest timeline entry of these kinds about this proposal, as a reference such as ``#12``."""
    about = [e for e in view.entries(*kinds) if e.fact.data.get("proposal", proposal.id) == proposal.id]
    return (f"#{about[-1].seq}",) if about else ()


def why(view: IncidentView, proposal: Proposal, kind: str) -> str:
    """The reason that the newest entry of this kind about this proposal gives; empty if there is none."""
    about = [entry for entry in view.entries(kind) if entry.fact.data.get("proposal") == proposal.id]
    return line(str(about[-1].fact.data.get("why", "")), SENTENCE) if about else ""


def asked_another(view: IncidentView, proposal: Proposal) -> str:
    """Who wanted another option than this one; empty if nobody did."""
    about = [e for e in view.entries("proposal_superseded") if e.fact.data.get("proposal") == proposal.id]
    return line(str(about[-1].fact.data.get("by") or ""), 40) if about else ""


def _voters(pv: ProposalView, decision: str) -> str:
    votes = [vote for vote in pv.votes if vote.decision == decision]
    return ", ".join(f"{line(vote.name, 40)} at {wording.clock(vote.at)}" for vote in votes)


def _short(finding: Finding | None) -> str:
    if finding is None:
        return "not read before"
    return f"{finding.outcome} ({line(finding.reading.summary)})"


def _change(what: str, before: str, after: str) -> Shown:
    parts = [fact(what), fact(before), fact(after)]
    problem = next((part.problem for part in parts if not part.whole), "")
    return Shown(text=f"{parts[0].text}: {parts[1].text} → {parts[2].text}", problem=problem)


def _params(plan: Plan) -> Shown:
    """The parameters that neither the target nor a change shows under their own name; all must be fit to be shown."""
    skip = {"title", "instructions"} if is_manual(plan) else set()
    pairs = [(key, fact(_plain(value))) for key, value in plan.params.items() if key not in skip]
    problem = next((f"{key} is {shown.problem}" for key, shown in pairs if not shown.whole), "")
    named = {(what, after) for what, _, after in plan.diff}
    first, *rest = plan.target.split("/")
    named |= {(key, first) for key in TARGETS} | {(many.removesuffix("s"), one) for many, one in pairwise(rest)}
    hidden = [(key, shown) for key, shown in pairs if (key, shown.text) not in named]
    text = ", ".join(f"{line(key, 40)} = {shown.text}" for key, shown in hidden[:MAX_PARAMS])
    return Shown(text=text, problem=problem)


def _plain(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _lines(text: str, limit: int) -> Shown:
    """Several lines, whole, with the checks that :func:`fact` makes on one."""
    cleaned, _ = clean(text, lines=True)
    problem = next((shown.problem for shown in map(_checked, text.split("\n")) if not shown.whole), "")
    if len(cleaned) > limit:
        problem = problem or f"longer than {limit} characters"
    return Shown(text=elide(cleaned, limit), problem=problem)


def _checked(text: str) -> Shown:
    return fact(text.rstrip("\r"), max(len(text), FACT))
