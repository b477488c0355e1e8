"""What an investigation of a page would do, worked out without doing it: found, asked, proposed, with reasons."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.domain import codec
from bot.domain.approval import requirement, stricter
from bot.domain.page import Page
from bot.edges.database import Database, SchemaMismatch
from bot.edges.history import FrozenBaselines, FrozenChanges, SqlHistory
from bot.edges.planner import ActionPlanner
from bot.ports import Step, StorageDown
from bot.triage.nodes import can_happen, mode_of
from bot.wiring import PROBES, evidence_id, specs
from config.catalogue import Catalogue, Service
from config.clock import Clock
from config.http import Http
from diagnostics.differential import diagnose
from diagnostics.model import Diagnosis, Finding, Mode, ProbeCall, ProbeContext, Tier
from diagnostics.order import calls_of
from diagnostics.runner import ProbeRunner
from knowledge.model import Librarian, Query, Retrieval
from runbooks.model import ActionRegistry, ActionStep, Library, Runbook, RunbookError
from runbooks.resolve import resolve

TOP = 3
"""Runbooks whose probes and steps are looked at, as in an investigation."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """One page, one service, and the runbooks in use."""

    page: Page
    service: Service | None
    catalogue: Catalogue
    library: Library
    actions: ActionRegistry

    def query(self) -> Query:
        """What is searched for."""
        service = self.service
        if service is None:
            return Query(title=self.page.title, body=self.page.body)
        return Query(title=self.page.title, body=self.page.body, service=service.name, service_kind=service.kind,
                     service_tags=service.tags)  # fmt: skip

    def asked(self, retrieval: Retrieval) -> list[dict[str, Any]]:
        """The probes tier by tier; those of the later tiers are asked only with a reason."""
        if self.service is None:
            return []
        own = list(self._runbook_calls(retrieval, self.service))
        return [{"tier": tier.name, "when": _WHEN[tier], "probes": self._tier(tier, own)} for tier in Tier]

    def free_calls(self, retrieval: Retrieval) -> Sequence[ProbeCall]:
        """The calls of the free tier."""
        own = list(self._runbook_calls(retrieval, self.service)) if self.service else []
        return calls_of([name for name, spec in specs().items() if spec.tier is Tier.FREE], own)

    def steps(self, causes: Sequence[str], findings: Sequence[Finding] = ()) -> list[dict[str, Any]]:
        """What the runbooks of these causes would propose, in their order, and why a step would not be."""
        shown = {finding.probe: finding.outcome for finding in findings}
        found: list[dict[str, Any]] = []
        for cause in causes:
            runbook = self._runbooks().get(cause)
            for step in runbook.actions if runbook else ():
                assert runbook is not None
                found.append(self._step(runbook, step, shown))
        return found

    def modes(self) -> list[Mode]:
        """The failure modes that the library describes for this service."""
        found = [mode_of(book) for book in self._runbooks().values() if book.executable and book.evidence]
        return [mode for mode in found if self.service is None or can_happen(mode, self.service, specs())]

    def _runbooks(self) -> Mapping[str, Runbook]:
        if self.service is None:
            return {book.id: book for book in reversed(self.library.all())}
        return self.library.for_service(self.service)

    def _step(self, runbook: Runbook, step: ActionStep, shown: Mapping[str, str]) -> dict[str, Any]:
        spec = self.actions[step.action].spec
        risk = stricter(spec.risk, step.min_risk)
        told: dict[str, Any] = {
            "reference": f"{runbook.id}#{step.section}", "action": step.action, "title": step.title,
            "risk": risk, "params": dict(step.params), "not_proposed": "",
            "verify": f"{step.verify.probe} is {step.verify.outcome} within {step.verify.within_s} s" if step.verify
            else "", "approvals": "",
        }  # fmt: skip
        if step.verify and shown.get(step.verify.probe) == step.verify.outcome:
            return {**told, "not_proposed": "its check already holds, so it would prove nothing"}
        if self.service is None:
            return {**told, "not_proposed": "the page's service is not in the catalogue"}
        try:
            told["params"] = resolve(step.params, self.service, self.catalogue)
        except RunbookError as error:
            return {**told, "not_proposed": str(error)}
        needed = requirement(self.catalogue.policy, self.service, risk)
        told["approvals"] = f"{needed.count} of team {needed.team}" if needed else "the policy lets nobody approve this"
        if self.service.mode == "observe":
            told["approvals"] = f"none: {self.service.name} is in mode observe, so it is only shown"
        return told

    def _tier(self, tier: Tier, own: Sequence[ProbeCall]) -> list[dict[str, Any]]:
        those = {name: spec for name, spec in specs().items() if spec.tier is tier}
        calls = calls_of(list(those), own) if tier in (Tier.FREE, Tier.CANARY) else ()
        told = []
        for call in calls or [ProbeCall(probe=name) for name in those]:
            spec = those[call.probe]
            lacking = [field for field in spec.applies if not getattr(self.service, field, None)]
            told.append({
                "probe": call.probe, "params": dict(call.params), "tokens": spec.expected_tokens,
                "not_run": f"the service has no {' and no '.join(lacking)}" if lacking else "",
            })  # fmt: skip
        return told

    def _runbook_calls(self, retrieval: Retrieval, service: Service) -> Iterator[ProbeCall]:
        """How the runbooks that fit ask their own probes."""
        for match in retrieval.matches[:TOP]:
            runbook = self._runbooks().get(match.document)
            for step in runbook.probes if runbook and runbook.executable else ():
                try:
                    params = resolve(step.params, service, self.catalogue)
                except RunbookError:
                    continue
                yield ProbeCall(probe=step.probe, params=params)


_WHEN = {
    Tier.FREE: "first, those that tell most",
    Tier.CANARY: "as soon as one tells more than what is free",
    Tier.QUALITY: "only while unsure, or when quality dropped",
    Tier.GOLDEN: "last, only while unsure and with a reason",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """What the free probes found, and what follows from it so far."""

    findings: Sequence[Finding]
    diagnosis: Diagnosis
    drafts: Sequence[Mapping[str, Any]]

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "findings": [codec.dump(finding) for finding in self.findings],
            "diagnosis": codec.dump(self.diagnosis), "drafts": [dict(draft) for draft in self.drafts],
        }  # fmt: skip


async def measure(run: DryRun, retrieval: Retrieval, librarian: Librarian, http: Http, clock: Clock,
                  database: Database | None, golden_root: str, redact: Any) -> Measured:  # fmt: skip
    """Run the free probes against the real targets, weigh them, and draft what would be proposed. Stores nothing."""
    service = run.service
    assert service is not None
    started = run.page.occurred_at if not run.page.stale else run.page.received_at
    baselines, changes = await _history(database, service.name, started)
    context = ProbeContext(service=service, catalogue=run.catalogue, http=http, clock=clock, baselines=baselines,
                           changes=changes, started_at=started, golden_root=golden_root)  # fmt: skip
    runner = ProbeRunner({probe.spec.name: probe for probe in PROBES}, new_id=evidence_id, redact=redact)
    findings = await runner.run(run.free_calls(retrieval), context)
    priors = librarian.priors(run.query())
    diagnosis = diagnose(findings, priors, run.modes(), specs(), service.kind, final=True)
    steps = run.steps(diagnosis.causes, findings)
    drafts = await _drafts(steps, service, ActionPlanner(run.actions, run.catalogue, http, clock))
    return Measured(findings=findings, diagnosis=diagnosis, drafts=drafts)


async def _history(database: Database | None, service: str, before: datetime) -> tuple[FrozenBaselines, FrozenChanges]:
    """What was recorded here; nothing where nothing was."""
    if database is None:
        return FrozenBaselines({}, {}), FrozenChanges(())
    try:
        database.open()
        return await SqlHistory(database).frozen(service, before)
    except (StorageDown, SchemaMismatch):
        return FrozenBaselines({}, {}), FrozenChanges(())
    finally:
        database.close()


async def _drafts(
    steps: Sequence[Mapping[str, Any]], service: Service, planner: ActionPlanner
) -> list[Mapping[str, Any]]:
    """Dry runs of the steps that would be proposed, read from the real targets."""
    drafts: list[Mapping[str, Any]] = []
    for told in steps:
        draft = {"reference": told["reference"], "action": told["action"], "target": "", "diff": [],
                 "refusal": told["not_proposed"]}  # fmt: skip
        if not told["not_proposed"]:
            step = Step(key=told["reference"], reference=told["reference"], runbook=told["reference"].split("#")[0],
                        revision="", action=told["action"], params=told["params"], title=told["title"], verify=None,
                        lease_s=None, min_risk=None)  # fmt: skip
            planned = await planner.plan(step, service)
            draft["refusal"] = planned.refusal
            if planned.draft is not None:
                draft["target"] = planned.draft.target
                draft["diff"] = [(line.what, line.before, line.after) for line in planned.draft.diff]
        drafts.append(draft)
    return drafts
