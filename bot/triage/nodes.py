"""The nodes of an investigation: each takes the state and what it may use, and gives back what changed.

A node may run again after a crash: findings are kept under the name of their call, so nothing that costs is repeated.
"""

import asyncio
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Protocol, TypedDict

from pydantic import ValidationError

from bot.domain import codec, searching
from bot.domain.card import against
from bot.domain.incident import Incident
from bot.domain.provenance import libraries
from bot.domain.timeline import Fact, Provenance
from bot.domain.verification import GUARD
from bot.ports import Casebook, History, Pager, RetryLater, Step, Undeliverable
from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http
from diagnostics.model import (
    Diagnosis,
    Finding,
    Hypothesis,
    Mode,
    ProbeCall,
    ProbeContext,
    ProbeSpec,
    TextEmbedder,
    Tier,
    Verdict,
    Weight,
)
from diagnostics.runner import OnEvent, ProbeEvent, ProbeRunner
from knowledge.model import Librarian, Retrieval
from runbooks.model import Library, Runbook, RunbookError, VerifyStep

DEADLINE_S = 240.0
"""An investigation that has probed for so long without being sure says what it knows. A stop of the process in between
does not count."""
FRESH = timedelta(minutes=2)
"""A paid finding so young is not bought again when a person's hint starts another investigation."""
USERS_PATH = "gateway_canary"
"""The probe that goes the way of users' requests, with a handful of them."""
SIGNAL_CLEARS_S = 900
"""What users feel is read over minutes, and needs them to clear."""


class State(TypedDict, total=False):
    """What is checkpointed: plain JSON, no secrets, no vendor's objects."""

    incident: str
    number: int
    began: float
    probed_s: float
    priors: dict[str, float]
    matches: list[str]
    calls: list[dict[str, Any]]
    diagnosis: dict[str, Any]
    ended: str


class Diagnose(Protocol):
    """The differential, handed in."""

    def __call__(
        self, findings: Sequence[Finding], prior: Mapping[str, float], modes: Sequence[Mode],
        specs: Mapping[str, ProbeSpec], service_kind: str, *, final: bool = False,
    ) -> Diagnosis: ...  # fmt: skip


class NextCalls(Protocol):
    """The order of asking, handed in: no calls means that nothing more is worth asking."""

    def __call__(
        self, diagnosis: Diagnosis | None, findings: Sequence[Finding], specs: Mapping[str, ProbeSpec],
        runbook_calls: Sequence[ProbeCall], *, modes: Sequence[Mode], wider: bool = False,
    ) -> Sequence[ProbeCall]: ...  # fmt: skip


NewRunner = Callable[[Sequence[Finding], OnEvent], ProbeRunner]
"""A runner for one turn: findings of before count against its budget; it tells of every start and end."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What the nodes may use. Nothing here can change a target."""

    catalogue: Catalogue
    casebook: Casebook
    history: History
    librarian: Librarian
    library: Library
    runner: NewRunner
    pager: Pager | None
    http: Http
    clock: Clock
    specs: Mapping[str, ProbeSpec]
    diagnose: Diagnose
    next_calls: NextCalls
    resolve: Callable[[Mapping[str, Any], Service, Catalogue], Mapping[str, Any]]
    golden_root: str
    embedder: TextEmbedder | None = None


PARTS = ("index", "tools", "guardrail", "response_cache", "engine")
"""Parts that a service may be without, by their name in the catalogue."""


class Asking(Protocol):
    """The part of :class:`Tools` that decides what to ask and to propose; a replay has no more than this."""

    @property
    def catalogue(self) -> Catalogue: ...

    @property
    def library(self) -> Library: ...

    @property
    def specs(self) -> Mapping[str, ProbeSpec]: ...

    @property
    def next_calls(self) -> NextCalls: ...

    @property
    def resolve(self) -> Callable[[Mapping[str, Any], Service, Catalogue], Mapping[str, Any]]: ...


async def retrieve(state: State, tools: Tools) -> State:
    """Read everything the page says, and find the runbooks that fit."""
    incident = await _incident(state, tools)
    pages = await tools.casebook.pages(incident.id)
    service = tools.catalogue.service(incident.service)
    details = await _details(incident, tools)
    hints = await tools.casebook.hints(incident.id)
    query = searching.query(incident.title, service, pages, [details, *hints])
    retrieval = await asyncio.to_thread(tools.librarian.search, query, limit=5)
    matches = [match.document for match in retrieval.matches]
    priors = await asyncio.to_thread(tools.librarian.priors, query)
    fact = _retrieved(retrieval, libraries(tools.library.all()))
    await tools.casebook.retrieved(incident.id, retrieval, fact, tools.clock.now())
    return {
        "priors": dict(priors), "began": tools.clock.now().timestamp(), "probed_s": 0.0,
        "matches": matches,
        "calls": [] if service is None else calls_for(None, [], matches, tools, service),
        "ended": "" if service else "the page's service is not in the catalogue: there is nothing that could be probed",
    }  # fmt: skip


async def probe(state: State, tools: Tools) -> State:
    """Run the calls of this turn in parallel; each finding is kept, and shown, the moment it is there."""
    incident = await _incident(state, tools)
    known = await known_findings(incident, state, tools)
    began = tools.clock.now()
    calls = [ProbeCall(probe=data["probe"], params=data["params"]) for data in state["calls"]]
    missing = [call for call in calls if key(call.probe, call.params) not in known]

    async def on_event(event: ProbeEvent) -> None:
        if event.finding is not None:
            call = key(event.finding.probe, event.finding.params)
            await tools.casebook.found(incident.id, state["number"], call, event.finding, tools.clock.now())

    if missing:
        # All at once, and each is taken out with its finding: a commit for every start would hold the probes up.
        await tools.casebook.running(incident.id, sorted({call.probe for call in missing}), tools.clock.now())
        runner = tools.runner(list((await tools.casebook.findings(incident.id)).values()), on_event)
        await runner.run(missing, await probe_context(incident, tools))
    return {"calls": [], "probed_s": state.get("probed_s", 0.0) + (tools.clock.now() - began).total_seconds()}


async def diagnose(state: State, tools: Tools) -> State:
    """Weigh everything found so far, and decide what to ask next, if anything."""
    incident = await _incident(state, tools)
    service = tools.catalogue.service(incident.service)
    assert service is not None
    findings = list((await known_findings(incident, state, tools)).values())
    late = state.get("probed_s", 0.0) > DEADLINE_S
    diagnosis = tools.diagnose(findings, state["priors"], modes(tools, service), tools.specs, service.kind)
    wider = incident.attempts > 0
    calls = [] if late else calls_for(diagnosis, findings, state.get("matches", []), tools, service, wider=wider)
    if not calls:
        diagnosis = tools.diagnose(
            findings, state["priors"], modes(tools, service), tools.specs, service.kind, final=True
        )
    await tools.casebook.diagnosed(incident.id, diagnosis, _diagnosed(diagnosis), tools.clock.now())
    ended = "" if calls else ("the time for probing was over" if late else diagnosis.reason or "nothing left to ask")
    return {"diagnosis": codec.dump(diagnosis), "calls": calls, "ended": ended}


async def known_findings(incident: Incident, state: State, tools: Tools) -> dict[str, Finding]:
    """What this investigation has found, by call, and what cost tokens just before it, unless a mitigation has been
    verified since: that may have changed it."""
    every = (await tools.casebook.findings(incident.id)).values()
    since = datetime.fromtimestamp(state["began"], UTC) - FRESH
    changed = max((f.started_at for f in every if f.round > 0), default=since)
    paid = [f for f in every if f.round == 0 and f.reading.tokens > 0 and f.verdict is not Verdict.ERROR]
    fresh = {key(f.probe, f.params): f for f in paid if f.started_at >= max(since, changed)}
    return {**fresh, **await tools.casebook.findings(incident.id, state["number"])}


async def probe_context(incident: Incident, tools: Tools) -> ProbeContext:
    """What probes of this incident look at; baselines and changes end where the incident begins."""
    service = tools.catalogue.service(incident.service)
    assert service is not None
    baselines, changes = await tools.history.frozen(service.name, incident.started_at)
    return ProbeContext(
        service=service, catalogue=tools.catalogue, http=tools.http, clock=tools.clock, baselines=baselines,
        changes=changes, started_at=incident.started_at, golden_root=tools.golden_root,
        embedder=tools.embedder,
    )  # fmt: skip


def steps(diagnosis: Diagnosis, findings: Sequence[Finding], service: Service, tools: Asking) -> list[Step]:
    """What the runbooks of the causes would do, in their order. A step whose check is already fulfilled proves nothing
    and is left out; one that this service cannot resolve is left out too."""
    if diagnosis.conclusion != "cause":
        return []
    shown = {finding.probe: finding for finding in findings}
    runbooks = tools.library.for_service(service)
    found = []
    for cause in diagnosis.causes:
        runbook = runbooks.get(cause)
        for number, action in enumerate(runbook.actions if runbook else (), start=1):
            assert runbook is not None
            verify = _check(action.verify, shown)
            if action.verify and verify is None:
                continue
            try:
                params = tools.resolve(action.params, service, tools.catalogue)
            except RunbookError:
                continue
            found.append(
                Step(
                    key=f"{runbook.id}/{number}", reference=f"{runbook.id}#{action.section}", runbook=runbook.id,
                    revision=runbook.revision, action=action.action, params=params, title=action.title,
                    verify=verify, lease_s=action.lease_s, min_risk=action.min_risk,
                )
            )  # fmt: skip
    return found


def used(diagnosis: Diagnosis, service: Service, tools: Tools) -> tuple[Runbook, ...]:
    """The runbooks of the causes, as this service has them now."""
    runbooks = tools.library.for_service(service)
    causes = diagnosis.causes if diagnosis.conclusion == "cause" else ()
    return tuple(runbooks[cause] for cause in causes if cause in runbooks)


def _check(verify: VerifyStep | None, shown: Mapping[str, Finding]) -> VerifyStep | None:
    """How a step is to be verified now; None if its check already holds. Ten canaries may pass by luck, or thanks to
    the gateway's retries, while one user in twenty fails: then what users feel is the check."""
    if verify is None or verify.probe not in shown or shown[verify.probe].outcome != verify.outcome:
        return verify
    users = shown.get(GUARD)
    if verify.probe != USERS_PATH or users is None or users.verdict is not Verdict.ABNORMAL:
        return None
    return VerifyStep(probe=GUARD, outcome="ok", within_s=max(verify.within_s, SIGNAL_CLEARS_S))


def modes(tools: Asking, service: Service) -> list[Mode]:
    """The failure modes that the library describes for this service."""
    found = [mode_of(book) for book in tools.library.for_service(service).values() if book.executable and book.evidence]
    return [mode for mode in found if can_happen(mode, service, tools.specs)]


def can_happen(mode: Mode, service: Service, specs: Mapping[str, ProbeSpec]) -> bool:
    """Whether the service has the part that fails: a mode that a healthy reading of that part's probe rules out cannot
    be the cause where the catalogue declares no such part."""
    for name, words in mode.evidence.items():
        spec = specs.get(name)
        if spec is not None and words.get(spec.normal) is Weight.RULES_OUT:
            lacking = [part for part in spec.applies if part in PARTS and not getattr(service, part, None)]
            if lacking:
                return False
    return True


def mode_of(runbook: Runbook) -> Mode:
    """A runbook as the differential sees it."""
    evidence = {
        probe_name: {outcome: Weight(word) for outcome, word in words.items()}
        for probe_name, words in runbook.evidence.items()
    }
    return Mode(id=runbook.id, title=runbook.title, evidence=evidence, kinds=runbook.kinds)


def key(probe_name: str, params: Mapping[str, Any]) -> str:
    """The name under which a finding of this call, with whole parameters, is kept."""
    return f"{probe_name}:{json.dumps(dict(params), sort_keys=True)}"


async def _incident(state: State, tools: Tools) -> Incident:
    incident = await tools.casebook.incident(state["incident"])
    assert incident is not None
    return incident


async def _details(incident: Incident, tools: Tools) -> str:
    if tools.pager is None or not incident.pager_ref:
        return ""
    try:
        return await tools.pager.details(incident.pager_ref)
    except (RetryLater, Undeliverable):
        return ""


def calls_for(
    diagnosis: Diagnosis | None, findings: Sequence[Finding], documents: Sequence[str], tools: Asking,
    service: Service, *, wider: bool = False,
) -> list[dict[str, Any]]:  # fmt: skip
    """The next calls. The runbooks of what is most probable by now, then those among ``documents`` that fit the page,
    say how their probes are to be asked: how many answers it takes to see a fault is theirs to know."""
    asked: dict[str, ProbeCall] = {}
    runbooks = tools.library.for_service(service)
    suspected = [hypothesis.mode for hypothesis in diagnosis.ranked[:3]] if diagnosis else []
    for document in dict.fromkeys([*suspected, *documents[:3]]):
        runbook = runbooks.get(document)
        for step in runbook.probes if runbook and runbook.executable else ():
            try:
                params = tools.resolve(step.params, service, tools.catalogue)
            except RunbookError:
                continue
            asked.setdefault(step.probe, ProbeCall(probe=step.probe, params=params))
    calls = tools.next_calls(diagnosis, findings, tools.specs, list(asked.values()), modes=modes(tools, service),
                             wider=wider)  # fmt: skip
    if diagnosis is not None and not calls:
        calls = _unread_check(steps(diagnosis, findings, service, tools), findings, asked, tools.specs)
    return [{"probe": call.probe, "params": _whole(call, tools.specs)} for call in calls]


def _unread_check(
    found: Sequence[Step], findings: Sequence[Finding], asked: Mapping[str, ProbeCall], specs: Mapping[str, ProbeSpec]
) -> list[ProbeCall]:
    """What the first step will be verified with, if nobody has read it yet: without a before, an after shows no change.
    A golden set is too dear for that alone."""
    check = found[0].verify if found else None
    if check is None or check.probe in {finding.probe for finding in findings}:
        return []
    if check.probe not in specs or specs[check.probe].tier is Tier.GOLDEN:
        return []
    return [asked.get(check.probe, ProbeCall(probe=check.probe, params={}))]


def _whole(call: ProbeCall, specs: Mapping[str, ProbeSpec]) -> dict[str, Any]:
    """The parameters with their defaults, as the finding will carry them; as they are if they do not fit."""
    try:
        return specs[call.probe].params.model_validate(dict(call.params)).model_dump(mode="json")
    except (KeyError, ValidationError):
        return dict(call.params)


def _retrieved(retrieval: Retrieval, searched: Sequence[Mapping[str, str]]) -> Fact:
    data = {
        "mode": retrieval.mode, "notice": retrieval.notice, "libraries": searched,
        "matches": [
            {"runbook": m.document, "title": m.title, "score": round(m.score, 4), "reference": m.best_chunk,
             "reasons": [r.text for r in m.reasons]}
            for m in retrieval.matches
        ],
    }  # fmt: skip
    return Fact(kind="runbooks_retrieved", provenance=Provenance.RETRIEVED, actor="pagerunner", data=data)


def _diagnosed(diagnosis: Diagnosis) -> Fact:
    data = {
        "conclusion": diagnosis.conclusion, "causes": list(diagnosis.causes), "reason": diagnosis.reason,
        "residual": list(diagnosis.residual),
        "ranked": [_ranked(hypothesis) for hypothesis in diagnosis.ranked[:5]],
    }  # fmt: skip
    return Fact(kind="diagnosis_made", provenance=Provenance.COMPUTED, actor="pagerunner", data=data)


def _ranked(hypothesis: Hypothesis) -> dict[str, Any]:
    """A hypothesis with what speaks most strongly against it."""
    why = against(hypothesis)
    # Never rounded to certainty: nothing that was measured with noise is certain.
    ranked = {"mode": hypothesis.mode, "probability": min(round(hypothesis.probability, 4), 0.9999)}
    if why is None:
        return ranked
    told = {"probe": why.probe, "outcome": why.outcome, "weight": why.weight.value, "evidence": why.finding_id}
    return {**ranked, "against": told}
