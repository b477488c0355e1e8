"""A draft of what stakeholders may be told: plain words for people who are no engineers, and nothing but facts.

No text from outside is in it: figures of probes, names from the catalogue, words of ours. A person makes it their own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import measures, wording
from bot.domain.incident import Status
from bot.domain.presentation import Redaction
from bot.domain.proposal import EffectState, ProposalState
from bot.domain.redaction import MODES, redacted
from bot.domain.untrusted import line
from bot.domain.view import IncidentView, ProposalView
from diagnostics.model import Finding, Verdict

ACTIONS: Mapping[str, str] = {
    "post_banner": "showing users a notice", "clamp_retries": "limiting automatic retries",
    "shed_traffic": "holding back background work so that people are served first",
    "drain_deployment": "taking a failing part out of use", "suspend_canaries": "pausing our own test requests",
    "resume_ingestion": "letting new documents in again", "shift_traffic": "moving requests to another model provider",
    "rollback_prompt": "going back to the assistant's earlier instructions",
    "rollback_model_config": "going back to the earlier model settings",
    "cap_generation": "limiting how much it may write and do in one task",
    "throttle_tenant": "limiting the heaviest user of the service",
    "hold_for_review": "holding back content that nobody has checked yet",
    "bypass_cache": "making every answer anew instead of reusing earlier ones",
    "rollback_release": "going back to the earlier version of our connection to the models",
    "rollback_retrieval": "going back to the earlier way of finding documents",
    "rollback_guardrail": "going back to the earlier safety checks",
    "disable_tool": "switching off one of the assistant's tools",
    "degrade_retrieval": "finding documents in a simpler way",
    "scale_engine": "adding capacity to the model that we run ourselves",
    "drain_replica": "taking a failing copy of our own model out of use",
    "scale_gateway": "adding capacity to our connection to the models",
    "quarantine_documents": "taking doubtful documents out of use",
    "close_guardrail": "refusing what cannot be checked",
    "pin_dependency": "going back to the earlier version of one of our software parts",
    "rotate_credential": "replacing the key with which we reach a model provider",
    "manual": "a step that our engineers do by hand",
}  # fmt: skip
"""Built-in action -> what it does, for anybody. Any other is a change to the service."""
_FELT: Mapping[str, str] = {
    "errors": "some requests of users fail", "slow": "answers are slower than usual",
    "quality_drop": "answers are worse than usual",
}  # fmt: skip
_KINDS: Mapping[str, str] = {
    "chat": "chat", "rag": "question answering", "agent": "assistant", "code": "coding assistant",
    "moderation": "moderation", "generation": "generation",
}  # fmt: skip
_FIGURES: Mapping[str, str] = {
    "errors": "{} of users' requests failed", "slow": "the slowest twentieth of users waited {} or longer",
    "quality_drop": "the judged quality of answers was {}, of 1 at best",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Draft:
    """A text to be edited, and the facts that it was made from."""

    text: str
    references: tuple[str, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    text: str
    refs: tuple[str, ...] = ()


def draft(recorded: IncidentView, now: datetime, *, every: timedelta | None, readers: Redaction = "company") -> Draft:
    """What is known, as far as these readers may know it. ``every``: after how long they are told again."""
    view = redacted(recorded, readers)
    parts = [_what(view), _impact(view), _cause(view), _doing(view), _unknown(view)]
    if every is not None:
        next_ = now + every
        parts.append(_Part(text=f"Next update: by {wording.clock(next_, now)}."))
    refs = [ref for part in parts for ref in part.refs]
    return Draft(text="\n".join(part.text for part in parts), references=tuple(dict.fromkeys(refs)))


def _name(view: IncidentView) -> str:
    own = view.service
    if own is None:
        return "One of our services"
    return line(own.title, 80) if own.title else f"Our {_KINDS.get(own.kind.split('-')[0], 'LLM')} service"


def _what(view: IncidentView) -> _Part:
    began, newest = measures.began(view), _readings(view)[-1:]
    since = f"since {wording.moment(began.at)}"
    reported = f"{_name(view)}: we are looking into a problem that was reported, {since}."
    if not newest:
        return _Part(text=reported, refs=(began.ref,))
    last, refs = newest[0], (began.ref, newest[0].id)
    if last.verdict is Verdict.ABNORMAL:
        return _Part(text=f"{_name(view)}: {_FELT.get(last.outcome, 'users notice a problem')}, {since}.", refs=refs)
    at = wording.clock(last.started_at, began.at)
    if _worst(view) is None:
        return _Part(text=f"{reported} Requests of users look normal, as measured at {at}.", refs=refs)
    over = f"the problem that began {wording.moment(began.at)} no longer shows in requests of users"
    return _Part(text=f"{_name(view)}: {over}, as measured at {at}; we keep watching.", refs=refs)


def _impact(view: IncidentView) -> _Part:
    worst, readings = _worst(view), _readings(view)
    if worst is None or worst.reading.value is None:
        if worst is None and readings:
            return _Part(text="Impact: none was measured.", refs=(readings[-1].id,))
        return _Part(text="Impact: not measured so far.")
    figure = _FIGURES[worst.outcome].format(_shown(worst.outcome, worst.reading.value))
    usual = worst.reading.baseline
    normally = f"; normally {_shown(worst.outcome, usual)}" if usual is not None else ""
    at = wording.clock(worst.started_at, view.incident.opened_at)
    return _Part(text=f"Impact: at the worst reading {figure}{normally} (measured at {at}).", refs=(worst.id,))


def _shown(outcome: str, value: float) -> str:
    match outcome:
        case "errors":
            return wording.percent(value)
        case "slow":
            return wording.seconds(value)
        case _:
            return wording.number(value)


def _cause(view: IncidentView) -> _Part:
    diagnosis = view.diagnosis
    made = (measures.last_ref(view, "diagnosis_made"),)
    if diagnosis is None or diagnosis.conclusion == "inconclusive":
        return _Part(text="Cause: not known yet.", refs=made if diagnosis is not None else ())
    if diagnosis.conclusion == "no_fault":
        return _Part(text="Cause: our checks found no fault.", refs=made)
    leader = diagnosis.leader
    if leader.mode not in MODES:  # of the company's own library: its title may say more than they should read
        return _Part(text="Cause: we have a likely cause and are confirming it.", refs=made)
    title = line(leader.title, 80)
    return _Part(text=f"Likely cause: {title[:1].lower()}{title[1:]}.", refs=made)


def _doing(view: IncidentView) -> _Part:
    live = view.open_proposal
    done = next((pv for pv in reversed(view.proposals) if pv.apply is not None), None)
    pv = live or done
    by_hand = view.entries("person_did", "manual_done")
    if pv is None:
        refs = tuple(f"#{entry.seq}" for entry in by_hand[-1:])
        text = "engineers are working on it by hand" if by_hand else "engineers are looking into it"
        return _Part(text=f"What is being done: {text}.", refs=refs)
    what = ACTIONS.get(pv.proposal.plan.action, "a change to the service")
    return _Part(text=f"What is being done: {_became(pv, what)}.", refs=(pv.proposal.id,))


def _became(pv: ProposalView, what: str) -> str:
    effect, undone = pv.apply, pv.revert is not None and pv.revert.state is EffectState.DONE
    if effect is None or effect.state not in (EffectState.DONE, EffectState.CLAIMED):
        if pv.proposal.state in (ProposalState.APPROVED, ProposalState.EXECUTING):
            return f"{what} was decided and is being carried out"
        return f"{what} is being considered; nothing was changed yet"
    if effect.state is EffectState.CLAIMED:
        return f"{what} is being carried out"
    if undone:
        return f"{what} was tried and has been taken back"
    words = {"better": "it helped", "worse": "it did not help", "unknown": "whether it helped is not clear yet"}
    return f"{what} was done; {words.get(effect.verdict, 'whether it helps is being measured')}"


def _unknown(view: IncidentView) -> _Part:
    over = "when it will be over" if view.incident.status is not Status.MITIGATED else "whether it stays well"
    return _Part(text=f"Not known: how many people are affected, and {over}.")


def _readings(view: IncidentView) -> list[Finding]:
    """What users noticed, oldest first, as far as it could be told."""
    telling = (Verdict.NORMAL, Verdict.ABNORMAL)
    return [f for f in view.findings if f.probe == measures.USERS and f.verdict in telling]


def _worst(view: IncidentView) -> Finding | None:
    """The reading that is farthest from normal, of the kind that was seen first; None while nothing was abnormal."""
    bad = [f for f in _readings(view) if f.verdict is Verdict.ABNORMAL and f.outcome in _FIGURES]
    same = [f for f in bad if f.outcome == bad[0].outcome]
    return max(same, key=lambda f: abs((f.reading.value or 0.0) - (f.reading.baseline or 0.0)), default=None)
