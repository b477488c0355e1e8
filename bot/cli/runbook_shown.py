"""A runbook as people on call meet it: what is quoted, what is asked, and what each step would do. Values only."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bot.domain.approval import requirement, stricter
from config.catalogue import Catalogue, Service
from runbooks.model import ActionRegistry, ActionStep, ProbeStep, Runbook, Section, VerifyStep
from runbooks.resolve import SubstitutionError, applies, resolve

_SPEAKS = {"usual": "usual", "weakly_for": "weakly for it", "against": "against it", "rules_out": "rules it out"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownStep:
    """One action step."""

    number: int
    reference: str
    """What the card cites, such as ``provider-outage#2-fail-over``."""
    title: str
    what: str
    """The action and what it does, from its own registry entry."""
    params: Mapping[str, str]
    prose: str
    facts: tuple[tuple[str, str], ...]
    """Risk, who notices, undo, verification and approvals, each with its name."""
    not_proposed: str = ""
    """Why it would not be proposed for this service; empty: it could be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A whole runbook."""

    id: str
    title: str
    facts: tuple[tuple[str, str], ...]
    summary: Section | None
    """The section that is quoted first."""
    probes: tuple[str, ...]
    evidence: tuple[tuple[str, str], ...]
    """Probe, and what each outcome of it says."""
    steps: tuple[ShownStep, ...]
    sections: tuple[Section, ...]


def show_runbook(
    runbook: Runbook, actions: ActionRegistry, catalogue: Catalogue | None, service: Service | None
) -> Shown:
    """Put together; with a service, parameters and approvals are its own."""
    summary = next((section for section in runbook.sections if section.prose.strip()), None)
    return Shown(
        id=runbook.id, title=runbook.title, facts=tuple(_facts(runbook, service)), summary=summary,
        probes=tuple(_probe(step, catalogue, service) for step in runbook.probes),
        evidence=tuple((probe, _words(outcomes)) for probe, outcomes in runbook.evidence.items()),
        steps=tuple(_step(number, runbook, step, (actions, catalogue, service))
                    for number, step in enumerate(runbook.actions, start=1)),
        sections=tuple(section for section in runbook.sections if section.prose.strip()),
    )  # fmt: skip


def _facts(runbook: Runbook, service: Service | None) -> Iterator[tuple[str, str]]:
    if not runbook.executable:
        yield "kind", "plain Markdown: it is found and quoted, never executed"
    if runbook.owner:
        yield "owner", runbook.owner
    if runbook.severity:
        yield "severity", runbook.severity
    yield "services", "all" if runbook.services == ("*",) else ", ".join(runbook.services)
    if runbook.kinds:
        yield "kinds", ", ".join(runbook.kinds)
    if service is not None:
        told = service.name if applies(runbook, service) else f"{service.name}, which this runbook is not for"
        yield "shown for", told
    if runbook.reviewed:
        yield (
            "reviewed",
            f"{runbook.reviewed}"
            + (f", again after {runbook.review_every_days} days" if runbook.review_every_days else ""),
        )
    found = f"{len(runbook.pages)} that find it" + (f", {len(runbook.reports)} reports" if runbook.reports else "")
    yield "pages", f"{found}, {len(runbook.not_pages)} that belong elsewhere"
    yield "revision", runbook.revision[:12]


def _probe(step: ProbeStep, catalogue: Catalogue | None, service: Service | None) -> str:
    params, lack = _params(step.params, catalogue, service)
    told = ", ".join(f"{name}={value}" for name, value in params.items())
    return f"{step.probe}({told})" + (f" - not asked: {lack}" if lack else "")


def _words(outcomes: Mapping[str, str]) -> str:
    by_word = {word: [o for o, w in outcomes.items() if w == word] for word in _SPEAKS}
    return "; ".join(f"{_SPEAKS[word]}: {', '.join(found)}" for word, found in by_word.items() if found)


def _step(
    number: int, runbook: Runbook, step: ActionStep, around: tuple[ActionRegistry, Catalogue | None, Service | None]
) -> ShownStep:
    actions, catalogue, service = around
    spec = actions[step.action].spec
    params, lack = _params(step.params, catalogue, service)
    risk = stricter(spec.risk, step.min_risk)
    facts = [("risk", risk), ("who notices", spec.blast_radius),
             ("undo", "it can be set back" if spec.reversible else "only a person can")]  # fmt: skip
    if step.lease_s:
        facts.append(("lease", f"ends by itself after {_time(step.lease_s)} unless renewed"))
    facts.append(("verified by", _verify(step.verify)))
    if catalogue is not None and service is not None:
        needed = requirement(catalogue.policy, service, risk)
        told = f"{needed.count} of team {needed.team}" if needed else "nobody: the policy grants this risk to no one"
        facts.append(("approvals", "none: the service is in mode observe" if service.mode == "observe" else told))
    return ShownStep(number=number, reference=f"{runbook.id}#{step.section}", title=step.title,
                     what=f"{step.action}: {spec.title}", params=params, prose=step.prose, facts=tuple(facts),
                     not_proposed=lack)  # fmt: skip


def _params(
    params: Mapping[str, Any], catalogue: Catalogue | None, service: Service | None
) -> tuple[dict[str, str], str]:
    """Parameters as text, filled in if there is a service; and why they cannot be."""
    lack = ""
    if catalogue is not None and service is not None:
        try:
            params = resolve(params, service, catalogue)
        except SubstitutionError as error:
            lack = str(error)
    return {name: _text(value) for name, value in params.items() if value is not None}, lack


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, Sequence) and not isinstance(value, str) else str(value)


def _verify(verify: VerifyStep | None) -> str:
    return (
        f"{verify.probe} is {verify.outcome} within {_time(verify.within_s)}" if verify else "nothing: it only informs"
    )


def _time(seconds: int) -> str:
    return f"{seconds // 60} min" if seconds >= 60 and seconds % 60 == 0 else f"{seconds} s"
