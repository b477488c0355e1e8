"""What an incident's account refers to, counted against what there is: evidence ids, and names of things."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.detail import detail
from bot.domain.view import IncidentView
from config.catalogue import Catalogue
from diagnostics.model import NO_FAULT, OTHER
from runbooks.model import Library

_EVIDENCE = re.compile(r"\bev-[0-9a-f]{6,}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Registries:
    """What exists: whatever else is named was made up."""

    library: Library
    probes: frozenset[str]
    actions: frozenset[str]
    catalogue: Catalogue


def counted(view: IncidentView, known: Registries) -> dict[str, int]:
    """How many citations and named entities there are, and how many of them refer to nothing."""
    findings = {finding.id for finding in view.findings}
    cited, named = list(citations(view)), set(entities(view))
    there = {
        "runbook": {book.id for book in known.library.all()}, "probe": known.probes, "action": known.actions,
        "service": {service.name for service in known.catalogue.services},
    }  # fmt: skip
    return {
        "citations": len(cited),
        "hallucinated_citations": sum(one not in findings for one in cited),
        "entities": len(named),
        "hallucinated_entities": sum(name not in there[kind] for kind, name in named),
    }


def citations(view: IncidentView) -> Iterator[str]:
    """Every evidence id that a statement rests on: of the diagnosis, the timeline and what was told in the thread. The
    entry that records a finding names it, and cites nothing."""
    diagnosis = view.diagnosis
    if diagnosis is not None:
        yield from (argument.finding_id for hypothesis in diagnosis.ranked for argument in hypothesis.arguments)
        yield from diagnosis.residual
    told = [json.dumps(dict(entry.fact.data)) for entry in view.timeline if entry.fact.kind != "probe_finished"]
    for text in (*told, *detail(view)):
        yield from _EVIDENCE.findall(text)


def entities(view: IncidentView) -> Iterator[tuple[str, str]]:
    """Every runbook, probe, action and service that was named, with its kind."""
    diagnosis = view.diagnosis
    for hypothesis in diagnosis.ranked if diagnosis else ():
        if hypothesis.mode not in (NO_FAULT, OTHER):
            yield "runbook", hypothesis.mode
        yield from (("probe", argument.probe) for argument in hypothesis.arguments)
    yield from (("runbook", cause) for cause in (diagnosis.causes if diagnosis else ()))
    yield from (("runbook", match.document) for match in (view.retrieval.matches if view.retrieval else ()))
    for shown in view.proposals:
        plan = shown.proposal.plan
        yield "action", plan.action
        yield "runbook", plan.runbook.split("#")[0]
        if plan.verify_probe:
            yield "probe", plan.verify_probe
    if view.service is not None:
        yield "service", view.incident.service
