"""What a replay came to: one incident in full, or several as a table with totals."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from bot.domain import wording
from bot.domain.hindsight import BETTER, Judgement, Said, Then, judge, then
from bot.domain.untrusted import line
from bot.domain.verdicts import WORDS
from bot.domain.view import IncidentView
from bot.ports import Step
from bot.triage.replay import Replayed, Today, replay

MOST = 5


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """An incident then and now."""

    view: IncidentView
    then: Then
    now: Replayed
    said: Said
    judgement: Judgement

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        incident, now = self.view.incident, self.now
        return {
            "incident": incident.id, "title": incident.title, "service": incident.service,
            "opened_at": incident.opened_at.isoformat(),
            "then": {**asdict(self.then), "said": asdict(self.then.said)},
            "now": {
                "runbooks": [asdict(match) for match in now.retrieval.matches], "search": now.retrieval.mode,
                "said": asdict(self.said), "reason": now.diagnosis.reason if now.diagnosis else "",
                "would_propose": [_step(step) for step in now.steps[:1]],
                "used": [{"evidence": f.id, "probe": f.probe, "outcome": f.outcome} for f in now.used],
                "cannot_say": [asdict(one) for one in now.unread],
                "asked_otherwise": [asdict(one) for one in now.otherwise], "not_asked_now": list(now.unasked),
                "gaps": list(now.gaps),
            },
            "better": self.judgement.answer, "why": self.judgement.why,
        }  # fmt: skip


def compare(view: IncidentView, today: Today) -> Compared:
    """Replay it, and hold it against what was said then."""
    was, now = then(view), replay(view, today)
    said = _said(now)
    return Compared(view=view, then=was, now=now, said=said, judgement=judge(was, said, len(now.unread)))


def plain(compared: Sequence[Compared]) -> dict[str, Any]:
    """Several as JSON."""
    return {"incidents": [one.plain() for one in compared], "totals": _totals(compared)}


def text(one: Compared) -> Iterator[str]:
    """One incident for a person."""
    incident, was, now = one.view.incident, one.then, one.now
    yield f"{incident.id}  {incident.opened_at:%Y-%m-%d %H:%M %Z}, {incident.service}: “{line(incident.title, 120)}”"
    yield f"\nRunbooks found then{'' if was.matches else ': none is on record'}"
    for match in was.matches[:MOST]:
        yield f"  {_number(match.get('score'))}  {line(str(match.get('runbook')), 60)}"
        yield from (f"          {line(str(reason), 160)}" for reason in list(match.get("reasons") or ())[:2])
    yield f"Runbooks found now{'' if now.retrieval.matches else ': nothing fits'}"
    for found in now.retrieval.matches:
        yield f"  {found.score:6.3f}  {found.document}  (belief {wording.percent(found.prior)})"
        yield from (f"          {r.contribution:+.3f}  {r.source}: {line(r.text, 160)}" for r in found.reasons[:2])
    yield from _diagnoses(one)
    yield from _mitigations(one)
    yield from _unsaid(now)
    said = ", ".join(f"{WORDS.get(verdict, verdict)} ({line(who, 40)})" for who, verdict, _ in was.verdicts)
    yield f"\nPeople said: {said or 'nothing; the buttons on the closed card ask for it'}"
    yield f"Would we have done better? {one.judgement.answer.capitalize()}: {one.judgement.why}."


def table(compared: Sequence[Compared]) -> Iterator[str]:
    """Several, one line each, and totals."""
    for one in compared:
        incident = one.view.incident
        head = f"{incident.id:<12} {incident.opened_at:%Y-%m-%d}  {one.judgement.answer:<11}"
        yield f"{head}  {line(incident.service, 24)}: “{line(incident.title, 60)}”"
        yield f"{'':12}   then {line(_first(one.then.matches), 40)}, {line(one.then.said.text, 60)}"
        moved = now if (now := _first_now(one)) != _first(one.then.matches) else "the same runbook"
        yield f"{'':12}   now  {moved}, {one.said.text}" + (f"; {len(one.now.unread)} unread" if one.now.unread else "")
    totals = _totals(compared)
    told = ", ".join(f"{totals[answer]} {answer}" for answer in BETTER)
    yield f"\n{wording.plural(len(compared), 'incident')}: {told}"
    yield f"First runbook: the same for {totals['same first runbook']}, another for {totals['other first runbook']}"
    yield f"With a verdict of people: {totals['with a verdict']}. Only those can be better or worse."


def _diagnoses(one: Compared) -> Iterator[str]:
    was, now = one.then, one.now
    yield f"\nDiagnosis then: {line(was.said.text, 120)}" + (f"; {line(was.reason, 160)}" if was.reason else "")
    if was.investigations > 1:
        yield f"  (the first of {was.investigations} investigations; later ones knew more)"
    reason = f"; {now.diagnosis.reason}" if now.diagnosis else ""
    yield f"Diagnosis now:  {one.said.text}{reason}"
    before = dict(was.said.ranked)
    for mode, share in one.said.ranked[:MOST]:
        earlier = f", then {wording.percent(before[mode])}" if mode in before else ""
        yield f"  {wording.percent(share):>5}  {mode}{earlier}"


def _mitigations(one: Compared) -> Iterator[str]:
    was = one.then.proposed
    told = f"{line(was.action, 40)} {_params(was.params)} of {line(was.runbook, 60)}: {was.outcome}" if was else "none"
    yield f"\nProposed then: {told}"
    step = one.now.steps[0] if one.now.steps else None
    if step is None:
        yield "Would be proposed now: nothing"
        return
    same = was is not None and (was.action, was.runbook) == (step.action, step.runbook)
    yield f"Would be proposed now: {'the same, ' if same else ''}{step.action} {_params(step.params)} of {step.runbook}"
    yield "  (before its dry run: whether its target would take it then cannot be said)"


def _unsaid(now: Replayed) -> Iterator[str]:
    if now.unread:
        yield "\nCannot say what these would have shown:"
        yield from (f"  {one.probe}: {line(one.why, 200)}" for one in now.unread)
    for one in now.otherwise:
        yield f"Asked with other numbers now: {one.probe}, {_params(one.now)} (then {_params(one.then)})"
    if now.unasked:
        yield f"Read then, and not asked now: {', '.join(now.unasked)}"
    yield from (f"Note: {line(gap, 240)}" for gap in now.gaps)


def _said(now: Replayed) -> Said:
    made = now.diagnosis
    if made is None:
        return Said(conclusion="")
    ranked = tuple((one.mode, one.probability) for one in made.ranked)
    return Said(conclusion=made.conclusion, causes=made.causes, ranked=ranked)


def _totals(compared: Sequence[Compared]) -> dict[str, int]:
    count = Counter(one.judgement.answer for one in compared)
    same = sum(_first_now(one) == _first(one.then.matches) for one in compared)
    return {**{answer: count[answer] for answer in BETTER}, "same first runbook": same,
            "other first runbook": len(compared) - same,
            "with a verdict": sum(bool(one.then.verdicts) for one in compared)}  # fmt: skip


def _first(matches: Sequence[Mapping[str, Any]]) -> str:
    return str(matches[0].get("runbook")) if matches else "no runbook"


def _first_now(one: Compared) -> str:
    matches = one.now.retrieval.matches
    return matches[0].document if matches else "no runbook"


def _step(step: Step) -> dict[str, Any]:
    return {"runbook": step.runbook, "revision": step.revision, "action": step.action, "params": dict(step.params),
            "title": step.title, "reference": step.reference}  # fmt: skip


def _params(params: Mapping[str, Any]) -> str:
    return line(", ".join(f"{name}={value}" for name, value in params.items()), 160)


def _number(score: Any) -> str:
    return f"{score:6.3f}" if isinstance(score, int | float) else "     ?"
