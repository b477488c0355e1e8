"""Would we have done better? What was said then against what would be said now, by the word of people alone."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from bot.domain import wording
from bot.domain.timeline import Entry
from bot.domain.verdicts import WORDS, verdicts
from bot.domain.view import IncidentView

Better = Literal["better", "same", "worse", "cannot tell"]
BETTER: tuple[Better, ...] = ("better", "same", "worse", "cannot tell")


@dataclass(frozen=True, kw_only=True, slots=True)
class Said:
    """What a diagnosis said: the part of it that can be right or wrong."""

    conclusion: str
    """``cause``, ``no_fault`` or ``inconclusive``; empty: there was none."""
    causes: tuple[str, ...] = ()
    ranked: tuple[tuple[str, float], ...] = ()
    """Modes with their probability, most probable first."""

    @property
    def text(self) -> str:
        """In words."""
        mode, share = self.ranked[0] if self.ranked else ("", 0.0)
        sure = f" ({wording.percent(share)})" if mode else ""
        match self.conclusion:
            case "cause":
                return f"{' and '.join(self.causes) or mode}{sure}"
            case "no_fault":
                return f"no fault{sure}"
            case "inconclusive":
                return f"not sure, nearest {mode}{sure}" if mode else "not sure"
            case _:
                return "nothing was concluded"


@dataclass(frozen=True, kw_only=True, slots=True)
class Proposed:
    """The first mitigation that was put to people, and what came of it."""

    runbook: str
    action: str
    params: Mapping[str, Any]
    outcome: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Then:
    """What the first investigation found and said, from the timeline."""

    matches: tuple[Mapping[str, Any], ...]
    """``runbook``, ``title``, ``score`` and ``reasons``, best first, as they were recorded."""
    said: Said
    reason: str
    proposed: Proposed | None
    investigations: int
    verdicts: tuple[tuple[str, str, str], ...]
    """Person, verdict, runbook: the newest word of each person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Judgement:
    """The answer, and why."""

    answer: Better
    why: str


def then(view: IncidentView) -> Then:
    """Read it from the record."""
    ended = next((entry.seq for entry in view.entries("investigation_ended")), None)
    own = [entry for entry in view.timeline if ended is None or entry.seq <= ended]
    made = _last(own, "diagnosis_made")
    searched = next((entry for entry in own if entry.fact.kind == "runbooks_retrieved"), None)
    return Then(
        matches=tuple(m for m in _items(searched, "matches") if isinstance(m, Mapping)),
        said=_said(made) if made is not None else Said(conclusion=""),
        reason=str(made.fact.data.get("reason") or "") if made is not None else "",
        proposed=_proposed(view), investigations=len(view.entries("investigation_ended")),
        verdicts=tuple((str(e.fact.data.get("by") or e.fact.actor), str(e.fact.data["verdict"]),
                        str(e.fact.data.get("runbook") or "")) for e in verdicts(view)),
    )  # fmt: skip


def judge(was: Then, now: Said, unread: int) -> Judgement:
    """Compare. Without a verdict of people only what did not change can be told; where probes are ``unread``, that
    something is worse cannot be told either, for one of them might have decided."""
    if not now.conclusion:
        return Judgement(answer="cannot tell", why="nothing can be replayed: the service is not known here")
    if not was.said.conclusion:
        return Judgement(answer="cannot tell", why="nothing was concluded then, so there is nothing to compare with")
    said = {(verdict, runbook if verdict != "noise" else "") for _, verdict, runbook in was.verdicts}
    if not said:
        if _same(was.said, now):
            return Judgement(answer="same", why="it would say the same; nobody said whether that was right")
        return Judgement(answer="cannot tell", why="it would say something else, and nobody said what was right")
    if len(said) > 1:
        return Judgement(answer="cannot tell", why="people did not agree on what was right")
    ((verdict, runbook),) = said
    before, after = _worth(was.said, verdict, runbook), _worth(now, verdict, runbook)
    told = f"people said: {WORDS.get(verdict, verdict)}{f' ({runbook})' if runbook else ''}"
    if before is None or after is None:
        other = "it would name another cause, and what was right instead is not on record"
        return Judgement(answer="cannot tell", why=f"{told}; {other}")
    if after == before:
        return Judgement(answer="same", why=told)
    if after > before:
        return Judgement(answer="better", why=f"{told}; then: {was.said.text}; now: {now.text}")
    if unread:
        lacks = f"{wording.plural(unread, 'probe')} that would be asked now had not been read then"
        return Judgement(answer="cannot tell", why=f"{told}; on this record it would say less, but {lacks}")
    return Judgement(answer="worse", why=f"{told}; then: {was.said.text}; now: {now.text}")


def _worth(said: Said, verdict: str, runbook: str) -> int | None:
    """How good an answer is, by this verdict: 2 right, 1 it says that it does not know, 0 wrong; None: nobody knows."""
    if said.conclusion == "inconclusive":
        return 1
    if verdict == "noise":
        return 2 if said.conclusion == "no_fault" else 0
    if verdict == "right_cause":
        return 2 if said.conclusion == "cause" and runbook in said.causes else 0
    if said.conclusion == "cause" and runbook in said.causes:
        return 0
    return None


def _same(one: Said, other: Said) -> bool:
    return (one.conclusion, set(one.causes)) == (other.conclusion, set(other.causes))


def _said(made: Entry) -> Said:
    data = made.fact.data
    ranked = [(str(m.get("mode")), float(m.get("probability") or 0)) for m in _items(made, "ranked")
              if isinstance(m, Mapping)]  # fmt: skip
    return Said(conclusion=str(data.get("conclusion") or ""), causes=tuple(map(str, data.get("causes") or ())),
                ranked=tuple(ranked))  # fmt: skip


def _proposed(view: IncidentView) -> Proposed | None:
    if not view.proposals:
        return None
    pv = view.proposals[0]
    plan = pv.proposal.plan
    became = pv.proposal.state.value
    if pv.apply is not None:
        became = wording.EFFECT_VERDICTS.get(pv.apply.verdict, pv.apply.state.value)
    return Proposed(runbook=plan.runbook.partition("#")[0], action=plan.action, params=plan.params, outcome=became)


def _last(entries: Sequence[Entry], kind: str) -> Entry | None:
    return next((entry for entry in reversed(entries) if entry.fact.kind == kind), None)


def _items(entry: Entry | None, key: str) -> Sequence[Any]:
    value = entry.fact.data.get(key) if entry is not None else None
    return value if isinstance(value, list | tuple) else ()
