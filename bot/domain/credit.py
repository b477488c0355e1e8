"""How the runbooks of an incident fared, for those who keep them: used, helped or wrong, why, and what to look at."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from bot.domain import plan_card, wording
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.provenance import used_texts
from bot.domain.statement import code, plain
from bot.domain.timeline import Entry
from bot.domain.untrusted import quote
from bot.domain.verdicts import WORDS, verdicts
from bot.domain.view import IncidentView, ProposalView
from runbooks.lint import could_earn
from runbooks.model import Runbook

Fared = Literal["helped", "wrong", "used"]
FARED = {"helped": "helped", "wrong": "was wrong", "used": "was used"}
MAX_STEPS = 4
_NOT_DONE = {
    ProposalState.OPEN: "waits for votes", ProposalState.REJECTED: "was rejected",
    ProposalState.EXPIRED: "expired undecided", ProposalState.SUPERSEDED: "was withdrawn",
    ProposalState.APPROVED: "was approved, and not carried out",
}  # fmt: skip
_FAILED = (EffectState.FAILED, EffectState.UNKNOWN)


@dataclass(frozen=True, kw_only=True, slots=True)
class Credit:
    """How one runbook fared in one incident."""

    runbook: str
    fared: Fared
    told: tuple[str, ...]
    """What happened, a line each: Slack mrkdwn, escaped."""
    look_at: str
    """Where its author may look; empty if there is nothing to mend."""


def runbooks_used(view: IncidentView) -> tuple[str, ...]:
    """Ids of the runbooks whose cause was named, whose step was proposed, or that a verdict is about. What was merely
    found by the search is not among them."""
    diagnosis = view.diagnosis
    causes = diagnosis.causes if diagnosis is not None and diagnosis.conclusion == "cause" else ()
    steps = [_book(pv) for pv in view.proposals]
    judged = [str(entry.fact.data.get("runbook") or "") for entry in verdicts(view)]
    return tuple(name for name in dict.fromkeys((*causes, *steps, *judged)) if name)


def credit(view: IncidentView, runbook: str) -> Credit:
    """How this runbook fared."""
    steps = [pv for pv in view.proposals if _book(pv) == runbook]
    said = [entry for entry in verdicts(view) if entry.fact.data.get("runbook") == runbook]
    wrong = [entry for entry in said if entry.fact.data["verdict"] == "wrong_cause"]
    helped = [pv for pv in steps if pv.apply is not None and pv.apply.verdict == "better"]
    failed = [pv for pv in steps if _failed(pv)]
    fared: Fared = "wrong" if wrong or (failed and not helped) else "helped" if helped else "used"
    told = [*map(_step, steps[-MAX_STEPS:]), *_said(said)]
    if not steps:
        told.insert(0, "Its cause was named; no step of it was proposed.")
    return Credit(
        runbook=runbook, fared=fared, told=tuple(told), look_at=" ".join(_look_at(view, runbook, wrong, failed))
    )


def headline(view: IncidentView, one: Credit, link: str = "") -> str:
    """One line: which runbook, how it fared, and where."""
    incident = view.incident
    at = f"<{link}|{plain(incident.id)}>" if link else code(incident.id)
    said = verdicts(view)
    judged = [f"{WORDS[e.fact.data['verdict']]}, says {quote(str(e.fact.data.get('by') or ''), 40)}" for e in said
              if e.fact.data.get("runbook") == one.runbook][:1]  # fmt: skip
    became = f": {judged[0]}" if judged else ""
    return f"Your runbook {code(one.runbook)} {FARED[one.fared]} in {at} ({code(incident.service)}){became}."


def letter(view: IncidentView, one: Credit, book: Runbook, link: str = "") -> str:
    """All of it: what happened, what to look at, which text it was, and what it could earn next."""
    lines = [headline(view, one, link), *(f"• {line}" for line in one.told)]
    if one.look_at:
        lines.append(f"Look at: {one.look_at}")
    text = next((each for each in reversed(used_texts(view)) if each.runbook == one.runbook), None)
    if text is not None:
        where = f"<{text.link}|{plain(text.short)}>" if _safe(text.link) else code(text.short)
        lines.append(f"Text: {where}, file {code(text.file)}")
    if book.executable:
        for prize, advice in list(could_earn(book))[:1]:
            lines.append(f"Next it could earn {plain(prize)}: {plain(advice, 300)}.")
    return "\n".join(lines)


def _book(pv: ProposalView) -> str:
    return pv.proposal.plan.runbook.partition("#")[0]


def _failed(pv: ProposalView) -> bool:
    """Whether its step made nothing better. That the target had changed meanwhile is nobody's mistake."""
    return pv.apply is not None and (pv.apply.state in _FAILED or pv.apply.verdict in ("worse", "unknown"))


def _step(pv: ProposalView) -> str:
    what = f"{plain(plan_card.title(pv.proposal.plan), 100)} ({code(pv.proposal.plan.runbook)})"
    if pv.apply is None:
        return f"{what} {_NOT_DONE.get(pv.proposal.state, 'was not carried out')}."
    if pv.apply.verdict:
        return f"{what}: {wording.EFFECT_VERDICTS.get(pv.apply.verdict, plain(pv.apply.verdict))}."
    became = {EffectState.FAILED: "failed", EffectState.UNKNOWN: "may or may not have taken effect",
              EffectState.CONFLICT: "was not done, because its target had changed"}  # fmt: skip
    return f"{what} {became.get(pv.apply.state, 'was done, and is not verified')}."


def _said(said: Sequence[Entry]) -> Iterator[str]:
    if len(said) > 1:
        words = [
            f"{WORDS[entry.fact.data['verdict']]} ({quote(str(entry.fact.data.get('by') or ''), 40)})" for entry in said
        ]
        yield f"People said: {', '.join(words[:5])}."


def _look_at(view: IncidentView, runbook: str, wrong: Sequence[Entry], failed: Sequence[ProposalView]) -> Iterator[str]:
    if wrong:
        ranked = view.diagnosis.ranked if view.diagnosis is not None else ()
        arguments = [a for each in ranked if each.mode == runbook for a in each.arguments if a.bits > 0]
        strongest = sorted(arguments, key=lambda a: -a.bits)[:2]
        named = " and ".join(f"{code(a.probe)} {code(a.outcome)} ({code(a.finding_id)})" for a in strongest)
        yield f"its `evidence`: {named} spoke for it." if named else "its `evidence`."
        yield (f"`pagerunner runbooks record {plain(view.incident.id)} FILE` keeps what the probes showed as a test "
               "of the runbook that is right.")  # fmt: skip
    for pv in failed[:2]:
        made = [e for e in view.entries("verification_made") if e.fact.data.get("proposal") == pv.proposal.id]
        reason = str(made[-1].fact.data.get("reason") or "") if made else (pv.apply.detail if pv.apply else "")
        yield f"step {code(pv.proposal.plan.runbook)}" + (f": {quote(reason, 200)}." if reason else ".")


def _safe(link: str) -> bool:
    return link.startswith(("https://", "http://")) and not set(link) & set('<>|" \n')
