"""An investigation once more, from what is on record: today's search, runbooks and rules on the pages and readings of
then. Reads nothing else and asks nobody: a probe that was not read then stays unread, and is named."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from bot.domain import searching
from bot.domain.page import Page
from bot.domain.view import IncidentView
from bot.ports import Step
from bot.triage import nodes
from config.catalogue import Catalogue, Service
from diagnostics.model import INCONCLUSIVE, Diagnosis, Finding, ProbeSpec, Verdict
from knowledge.model import Librarian, Retrieval
from runbooks.model import Library

MOST_TURNS = 30
"""Each turn asks a probe at least: there are not that many."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Today:
    """What an investigation would use now; see :class:`bot.triage.nodes.Asking`."""

    catalogue: Catalogue
    library: Library
    librarian: Librarian
    specs: Mapping[str, ProbeSpec]
    diagnose: nodes.Diagnose
    next_calls: nodes.NextCalls
    resolve: Callable[[Mapping[str, Any], Service, Catalogue], Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Unread:
    """A probe that would be asked now, and why nothing can be said about what it would have shown."""

    probe: str
    params: Mapping[str, Any]
    why: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Otherwise:
    """A probe that would be asked with other numbers now; what it showed then is used all the same."""

    probe: str
    then: Mapping[str, Any]
    now: Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Replayed:
    """What an investigation would find and conclude now."""

    retrieval: Retrieval
    diagnosis: Diagnosis | None
    """None: nothing could be probed, because the service is not known here."""
    used: tuple[Finding, ...]
    unread: tuple[Unread, ...]
    otherwise: tuple[Otherwise, ...]
    unasked: tuple[str, ...]
    """Probes that were read then and would not be asked now."""
    steps: tuple[Step, ...]
    """What would be proposed, best first, before it is drafted against its target."""
    gaps: tuple[str, ...]
    """What of then is not on record, so that the search had less to go by."""


def replay(view: IncidentView, today: Today) -> Replayed:
    """The first investigation of this incident, as it would go now."""
    service = today.catalogue.service(view.incident.service) or view.service
    asked_at = first_search(view)
    pages = [page for page in view.pages if asked_at is None or page.received_at <= asked_at]
    query = searching.query(view.incident.title, service, pages)
    retrieval = today.librarian.search(query, limit=5)
    gaps = tuple(_gaps(view, pages, service, today))
    if service is None:
        return Replayed(retrieval=retrieval, diagnosis=None, used=(), unread=(), otherwise=(),
                        unasked=_names(recorded(view)), steps=(), gaps=gaps)  # fmt: skip
    run = _Run(view, today, service, dict(today.librarian.priors(query)))
    diagnosis = run.investigate([match.document for match in retrieval.matches])
    left = [finding for finding in recorded(view) if finding.probe not in run.asked]
    return Replayed(
        retrieval=retrieval, diagnosis=diagnosis, used=tuple(run.used), unread=tuple(run.unread),
        otherwise=tuple(run.otherwise), unasked=_names(left), gaps=gaps,
        steps=tuple(nodes.steps(diagnosis, run.used, service, today)),
    )  # fmt: skip


def first_search(view: IncidentView) -> datetime | None:
    """When runbooks were first searched for; what arrived later was not known to that investigation."""
    return next((entry.at for entry in view.entries("runbooks_retrieved")), None)


def recorded(view: IncidentView) -> list[Finding]:
    """The readings of before anything was changed, oldest first."""
    changed = [pv.apply.claimed_at for pv in view.proposals if pv.apply is not None and pv.apply.claimed_at]
    until = min(changed) if changed else None
    found = [f for f in view.findings if f.round == 0 and (until is None or f.started_at <= until)]
    return sorted(found, key=lambda finding: finding.started_at)


class _Run:
    """The loop of an investigation, in which the record answers instead of the world."""

    def __init__(self, view: IncidentView, today: Today, service: Service, priors: Mapping[str, float]) -> None:
        self._recorded = recorded(view)
        self._today = today
        self._service = service
        self._priors = priors
        self.asked: set[str] = set()
        self.used: list[Finding] = []
        self.unread: list[Unread] = []
        self.otherwise: list[Otherwise] = []

    def investigate(self, documents: Sequence[str]) -> Diagnosis:
        """Ask until nothing is left that is worth asking."""
        today = self._today
        calls = nodes.calls_for(None, [], documents, today, self._service)
        for _ in range(MOST_TURNS):
            if not calls:
                break
            for call in calls:
                self._ask(str(call["probe"]), call["params"])
            silent = self.asked - {finding.probe for finding in self.used}
            rest = replace(today, specs={n: spec for n, spec in today.specs.items() if n not in silent})
            calls = nodes.calls_for(self._weigh(rest), self.used, documents, rest, self._service)
        return self._weigh(today, final=True)

    def _weigh(self, today: Today, *, final: bool = False) -> Diagnosis:
        modes = nodes.modes(today, self._service)
        return today.diagnose(self.used, self._priors, modes, today.specs, self._service.kind, final=final)

    def _ask(self, probe: str, params: Mapping[str, Any]) -> None:
        self.asked.add(probe)
        spec = self._today.specs[probe]
        own = [finding for finding in self._recorded if finding.probe == probe]
        found = next((f for f in own if nodes.key(probe, f.params) == nodes.key(probe, params)), None)
        found = found or next((f for f in own if _same_subject(f.params, params)), None)
        why = _unusable(found, own, spec, self._service)
        if found is None or why:
            self.unread.append(Unread(probe=probe, params=dict(params), why=why))
            return
        told = Otherwise(probe=probe, then=dict(found.params), now=dict(params))
        if told.then != told.now and told not in self.otherwise:
            self.otherwise.append(told)
        if found not in self.used:
            self.used.append(found)


def _unusable(found: Finding | None, own: Sequence[Finding], spec: ProbeSpec, service: Service) -> str:
    """Why the record does not answer; empty if it does."""
    if found is None:
        if not own:
            return "it was not read then"
        return f"it was read about something else then: {_plain(own[0].params)}"
    if found.outcome not in (*spec.outcomes, INCONCLUSIVE) and found.verdict not in (Verdict.NOT_RUN, Verdict.ERROR):
        return f"it showed {found.outcome!r} then, a word that it does not have any more"
    applies = all(getattr(service, field, None) for field in spec.applies)
    if found.verdict is Verdict.NOT_RUN and applies:
        return f"it could not run then: {found.reading.summary}"
    return ""


def _same_subject(then: Mapping[str, Any], now: Mapping[str, Any]) -> bool:
    """Whether both are about the same thing, though asked with other numbers."""
    return _subject(then) == _subject(now)


def _subject(params: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in params.items() if not isinstance(value, int | float) and value is not None}


def _names(findings: Sequence[Finding]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(finding.probe for finding in findings))


def _gaps(view: IncidentView, pages: Sequence[Page], service: Service | None, today: Today) -> list[str]:
    found = []
    if not pages:
        found.append("the page's own text is not on record (an export from before it was kept, or a redacted one): "
                     "the search had the title alone")  # fmt: skip
    elif view.incident.pager_ref:
        found.append("what PagerDuty's API may have told besides the webhook is not kept: the search went without it")
    if service is None:
        found.append(f"the service {view.incident.service} is in no catalogue here: nothing can be said about probes")
    elif today.catalogue.service(service.name) is None:
        found.append(f"the service {service.name} is not in this catalogue: it is taken as it stands in the record")
    return found


def _plain(params: Mapping[str, Any]) -> str:
    return json.dumps(dict(params), sort_keys=True)
