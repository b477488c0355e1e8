"""Dumb responders to measure against. Each gets the readings that the assistant had, and blames by one simple rule.

B0 always calls it a provider outage and fails over; B1 blames the newest change; B2 the largest deviation; B3 counts in
the evidence of the runbooks, without probabilities. Each would do the first thing that the blamed runbook says.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import NormalDist
from typing import Any

from config.catalogue import Catalogue, Service
from diagnostics.model import NO_FAULT, OTHER, Finding, Mode, Verdict, Weight
from runbooks.model import Library, RunbookError
from runbooks.resolve import resolve

OUTAGE = "provider-outage"
SMALLEST_P = 1e-300
VOTES: Mapping[Weight, float] = {
    Weight.USUAL: 1.0, Weight.WEAKLY_FOR: 0.5, Weight.NEUTRAL: 0.0, Weight.AGAINST: -1.0, Weight.RULES_OUT: -3.0,
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What a responder is told."""

    findings: Sequence[Finding]
    changes: Sequence[Mapping[str, Any]]
    """As ``POST /changes`` takes them."""
    service: Service
    modes: Sequence[Mode]


Ask = Callable[[str, str, Any], dict[str, Any]]
Blame = Callable[[Case], str]


def always_the_provider(case: Case) -> str:  # noqa: ARG001 - that is the point
    """B0."""
    return OUTAGE


def the_newest_change(case: Case) -> str:
    """B1: the mode for which a change of that kind is usual; of several, the one with the fewest usual kinds."""
    about = [c for c in case.changes if c["service"] in (case.service.name, "*")]
    if not about:
        return NO_FAULT
    newest = max(about, key=lambda change: datetime.fromisoformat(str(change["at"])))
    return _usual_for(case.modes, "change_log", str(newest["kind"]))


def the_largest_deviation(case: Case) -> str:
    """B2: the reading furthest from its baseline by its own test, and the first mode for which it is usual."""
    tested = [(abs(_z(f.reading.p_value)), f) for f in case.findings if f.reading.p_value is not None]
    if not tested:
        return NO_FAULT
    _, largest = max(tested, key=lambda pair: (pair[0], pair[1].probe))
    return _usual_for(case.modes, largest.probe, largest.outcome) if largest.verdict is Verdict.ABNORMAL else NO_FAULT


def a_count_in_the_matrix(case: Case) -> str:
    """B3: the mode whose evidence fits most readings, each counting the same."""
    if not any(f.verdict is Verdict.ABNORMAL for f in case.findings):
        return NO_FAULT
    read = [f for f in case.findings if f.verdict in (Verdict.NORMAL, Verdict.ABNORMAL)]

    def votes(mode: Mode) -> float:
        words = [mode.evidence.get(f.probe, {}).get(f.outcome) for f in read]
        return sum(VOTES[word] for word in words if word is not None)

    return max(case.modes, key=lambda mode: (votes(mode), mode.id)).id


RULES: Mapping[str, Blame] = {
    "B0": always_the_provider, "B1": the_newest_change, "B2": the_largest_deviation, "B3": a_count_in_the_matrix,
}  # fmt: skip


def answers(case: Case, library: Library, catalogue: Catalogue) -> dict[str, dict[str, Any]]:
    """What each of them would report, in the words of the referee."""
    told = {}
    for name, blame in RULES.items():
        mode = blame(case)
        told[name] = {
            "diagnosis": [[mode, 1.0]], "causes": [] if mode == NO_FAULT else [mode],
            "conclusion": "no_fault" if mode == NO_FAULT else "inconclusive" if mode == OTHER else "cause",
            "proposals": _first_step(mode, case.service, library, catalogue),
        }  # fmt: skip
    return told


def judged(case: Case, library: Library, catalogue: Catalogue, ask: Ask) -> dict[str, dict[str, Any]]:
    """How right each of them would be, by the referee."""
    return {name: ask("POST", "/judge", answer) for name, answer in answers(case, library, catalogue).items()}


def _first_step(mode: str, service: Service, library: Library, catalogue: Catalogue) -> list[dict[str, Any]]:
    book = library.for_service(service).get(mode)
    steps = list(book.actions) if book else []
    if mode == OUTAGE:
        steps = [step for step in steps if step.action == "shift_traffic"] or steps
    for step in steps:
        try:
            return [{"action": step.action, "params": dict(resolve(step.params, service, catalogue))}]
        except RunbookError:
            continue
    return []


def _usual_for(modes: Sequence[Mode], probe: str, outcome: str) -> str:
    fit = [mode for mode in modes if mode.evidence.get(probe, {}).get(outcome) is Weight.USUAL]
    usual = ((sum(weight is Weight.USUAL for weight in mode.evidence[probe].values()), mode.id) for mode in fit)
    return min(usual, default=(0, OTHER))[1]


def _z(p_value: float) -> float:
    return -NormalDist().inv_cdf(min(1.0 - 1e-9, max(SMALLEST_P, p_value)) / 2)
