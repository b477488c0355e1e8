"""The incident at a glance: what happened in six lanes over time. Only what is recorded; how it looks is the sink's."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from bot.domain import wording
from bot.domain.measures import began
from bot.domain.plan_card import title
from bot.domain.timeline import Entry
from bot.domain.untrusted import line
from bot.domain.view import IncidentView
from diagnostics.model import Verdict

Tone = Literal["neutral", "bad", "good", "unsure", "human", "change"]
MAX_MARKS = 80
"""In one lane: more could not be told apart; the timeline below has them all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """A moment, or a span of time, in a lane."""

    at: datetime
    until: datetime | None
    label: str
    tone: Tone
    ref: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Lane:
    """Marks of one kind, in order of time."""

    name: str
    marks: tuple[Mark, ...]
    hidden: int = 0
    """Marks that are not shown, because there are too many to tell apart."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Lanes:
    """The whole incident at a glance."""

    lanes: tuple[Lane, ...]


def lanes(view: IncidentView) -> Lanes:
    """Six lanes: page, probes, decision, effect, verify, resolve."""
    made = {
        "page": _page(view), "probes": _probes(view), "decision": _decision(view), "effect": effects(view),
        "verify": _verify(view), "resolve": _resolve(view),
    }  # fmt: skip
    return Lanes(lanes=tuple(_lane(name, tuple(marks)) for name, marks in made.items()))


def _page(view: IncidentView) -> Iterator[Mark]:
    start = began(view)
    if start.at < view.incident.opened_at:
        yield _mark(start.at, start.label, "neutral", start.ref)
    words = {"page_received": "page", "page_joined": "page joined", "page_stale": "old page"}
    for entry in view.entries(*words):
        yield _mark(entry.at, words[entry.fact.kind], "bad", f"#{entry.seq}")
    if not view.entries(*words):
        yield _mark(view.incident.opened_at, "page", "bad", view.incident.id)


def _probes(view: IncidentView) -> Iterator[Mark]:
    tones: dict[Verdict, Tone] = {Verdict.NORMAL: "good", Verdict.ABNORMAL: "bad"}
    for finding in sorted(view.findings, key=lambda f: (f.started_at, f.id)):
        if finding.round == 0:
            end = finding.started_at + timedelta(seconds=max(0.0, finding.elapsed_s))
            label = f"{line(finding.probe, 40)}: {line(finding.outcome, 40)}"
            yield Mark(at=finding.started_at, until=end, label=label, tone=tones.get(finding.verdict, "unsure"),
                       ref=finding.id)  # fmt: skip


def _decision(view: IncidentView) -> Iterator[Mark]:
    words: dict[str, tuple[str, Tone]] = {
        "proposal_made": ("proposed", "neutral"), "proposal_withheld": ("shown, no vote", "neutral"),
        "proposal_approved": ("approved", "human"), "proposal_rejected": ("rejected", "human"),
        "proposal_expired": ("expired", "unsure"), "incident_acknowledged": ("acknowledged", "human"),
        "incident_escalated": ("escalated", "human"), "hint_given": ("hint", "human"),
        "vote_denied": ("denied", "unsure"),
        "frozen": ("frozen", "human"), "unfrozen": ("unfrozen", "human"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        yield _mark(entry.at, label, tone, f"#{entry.seq}")


def effects(view: IncidentView) -> Iterator[Mark]:
    """What was changed, set back, or could not be; the tone ``change`` says that the target is different since."""
    titles = {pv.proposal.id: title(pv.proposal.plan) for pv in view.proposals}
    words: dict[str, tuple[str, Tone]] = {
        "effect_applied": ("{}", "change"), "manual_done": ("{}", "change"),
        "effect_reverted": ("{} set back", "change"),
        "effect_failed": ("{} failed", "bad"), "effect_conflict": ("{} not done: target changed", "unsure"),
        "effect_unknown": ("{} unknown", "unsure"), "effect_held": ("{} held", "unsure"),
        "person_did": ("done by a person", "human"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        about = titles.get(str(entry.fact.data.get("proposal", "")), "change")
        yield _mark(entry.at, label.format(about), tone, f"#{entry.seq}")


def _verify(view: IncidentView) -> Iterator[Mark]:
    tones: dict[str, Tone] = {"better": "good", "worse": "bad"}
    started: Entry | None = None
    for entry in view.entries("verification_started", "verification_made"):
        if entry.fact.kind == "verification_started":
            started = entry
            continue
        verdict = str(entry.fact.data.get("verdict", ""))
        label = wording.EFFECT_VERDICTS.get(verdict, "verified")
        read = _read_between(view, started.seq if started else 0, entry.seq)
        label += f" ({wording.plural(read, 'reading')})" if read else ""
        since = started.at if started is not None and started.at < entry.at else entry.at
        yield Mark(at=since, until=entry.at, label=label, tone=tones.get(verdict, "unsure"), ref=f"#{entry.seq}")
        started = None
    if started is not None:
        yield _mark(started.at, "being verified", "unsure", f"#{started.seq}")


def _read_between(view: IncidentView, first: int, last: int) -> int:
    return sum(
        first < entry.seq < last and entry.fact.data.get("round", 0) > 0 for entry in view.entries("probe_finished")
    )


def _resolve(view: IncidentView) -> Iterator[Mark]:
    words: dict[str, tuple[str, Tone]] = {
        "users_recovered": ("users well", "good"), "users_not_recovered": ("users not known to be well", "bad"),
        "incident_resolved": ("resolved", "good"), "incident_reopened": ("opened again", "bad"),
        "incident_closed": ("closed", "neutral"), "lease_ended": ("lease ended", "neutral"),
    }  # fmt: skip
    for entry in view.entries(*words):
        label, tone = words[entry.fact.kind]
        yield _mark(entry.at, label, tone, f"#{entry.seq}")
    if view.incident.resolved_at is not None and not view.entries("incident_resolved"):
        yield _mark(view.incident.resolved_at, "resolved", "good", view.incident.id)


def _mark(at: datetime, label: str, tone: Tone, ref: str) -> Mark:
    return Mark(at=at, until=None, label=label, tone=tone, ref=ref)


def _lane(name: str, marks: tuple[Mark, ...]) -> Lane:
    """A lane of at most so many marks, evenly chosen, first and last included."""
    if len(marks) <= MAX_MARKS:
        return Lane(name=name, marks=marks)
    step = (len(marks) - 1) / (MAX_MARKS - 1)
    chosen = tuple(marks[round(number * step)] for number in range(MAX_MARKS))
    return Lane(name=name, marks=chosen, hidden=len(marks) - MAX_MARKS)
