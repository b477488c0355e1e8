"""Fakes at the flow's ports: an investigation, a target and probes whose answers a test sets."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Literal

from bot.desk import FlowDesk
from bot.domain.incident import Incident
from bot.domain.proposal import Plan, Principal
from bot.domain.timeline import computed
from bot.edges.casebook import SqlCasebook
from bot.edges.database import Database
from bot.edges.gate import SqlGate
from bot.edges.inbox import SqlInbox
from bot.edges.inline_jobs import InlineJobs
from bot.edges.records import SqlRecords
from bot.flow import Flow
from bot.parts import Parts
from bot.ports import Drafted, Investigated, Placed, Planned, Received, Step
from config.catalogue import Catalogue, Service
from diagnostics.model import Diagnosis, Finding, Hypothesis, ProbeSpec, Reading, Tier, Verdict
from runbooks.model import (
    ActionParams,
    ActionSpec,
    Approval,
    DiffLine,
    Draft,
    EffectClass,
    EffectResult,
    EffectStatus,
    VerifyStep,
)
from tests.conftest import START, FakeClock

VERIFY = VerifyStep(probe="gateway_canary", outcome="ok", within_s=60)


def step(number: int = 1, action: str = "shift_traffic", **changes: Any) -> Step:
    values: dict[str, Any] = {
        "key": f"provider-outage/{number}", "reference": f"provider-outage#step-{number}", "runbook": "provider-outage",
        "revision": "r1", "action": action, "params": {}, "title": f"Step {number}", "verify": VERIFY, "lease_s": 3600,
        "min_risk": None, **changes,
    }  # fmt: skip
    return Step(**values)


def finding(probe: str, outcome: str, verdict: Verdict, **changes: Any) -> Finding:
    reading = Reading(
        outcome=outcome, summary=f"{probe} says {outcome}", value=changes.pop("value", None), n=changes.pop("n", 0)
    )
    values: dict[str, Any] = {
        "id": f"ev-{probe}-{changes.get('round', 0)}-{outcome}", "probe": probe, "service": "chat-assistant",
        "params": {},
        "outcome": outcome, "verdict": verdict, "reading": reading, "started_at": START, "elapsed_s": 1.0, **changes,
    }  # fmt: skip
    return Finding(**values)


class ScriptedTriage:
    """Finds what it is told, and steps."""

    def __init__(self, casebook: SqlCasebook, steps: Sequence[Step]) -> None:
        self._casebook = casebook
        self.steps = list(steps)
        self.conclusion: Any = "cause"
        self.causes: tuple[str, ...] = ("provider-outage",)
        self.asked: list[int] = []

    async def investigate(self, incident: Incident, number: int) -> Investigated:
        self.asked.append(number)
        own = f"ev-before-{number}-{incident.id}"
        bad = finding("gateway_canary", "server_error", Verdict.ABNORMAL, value=0.8, n=10, id=own)
        await self._casebook.found(incident.id, number, "gateway_canary:{}", bad, START)
        ranked = (Hypothesis(mode="provider-outage", title="Provider outage", probability=0.97),)
        causes = self.causes if self.conclusion == "cause" else ()
        diagnosis = Diagnosis(conclusion=self.conclusion, ranked=ranked, causes=causes, reason="sure")
        if len(causes) > 1:
            told = {"conclusion": self.conclusion, "causes": list(causes)}
            fact = computed("diagnosis_made", {**told, "reason": "sure", "residual": [], "ranked": []})
            await self._casebook.diagnosed(incident.id, diagnosis, fact, START)
        steps = tuple(self.steps) if self.conclusion == "cause" else ()
        return Investigated(diagnosis=diagnosis, steps=steps, summary="note")


class FakeTarget:
    """A target with one value, changed by compare-and-set; planner and executor in one."""

    def __init__(self, effect: EffectClass = EffectClass.CONVERGE) -> None:
        self.value = "acme"
        self.effects: list[str] = []
        self.refusals: dict[str, str] = {}
        self.result: EffectResult | None = None
        self.spec = ActionSpec(
            id="A20", name="shift_traffic", title="Shift", risk="R2", effect=effect, params=ActionParams,
            blast_radius="all", leasable=True,
        )  # fmt: skip

    async def plan(self, one: Step, service: Service) -> Planned:
        if one.key in self.refusals:
            return Planned(step=one, refusal=self.refusals[one.key])
        draft = Draft(
            action=one.action, params=dict(one.params), target="gw/routes/chat", pre_state={"v": self.value},
            post_state={"v": one.action}, diff=(DiffLine(what="v", before=self.value, after=one.action),), undo="back",
            instructions="press it" if self.spec.effect is EffectClass.MANUAL else "",
        )  # fmt: skip
        return Planned(step=one, spec=self.spec, draft=draft)

    async def apply(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        if self.result is not None:
            return self.result
        if {"v": self.value} != dict(plan.pre_state):
            return EffectResult(status=EffectStatus.CONFLICT, detail="drifted")
        self.value = str(plan.post_state["v"])
        self.effects.append(f"apply {self.value}")
        return EffectResult(status=EffectStatus.DONE, detail="set")

    async def revert(self, plan: Plan, service: Service, approval: Approval) -> EffectResult:
        if {"v": self.value} != dict(plan.post_state):
            return EffectResult(status=EffectStatus.CONFLICT, detail="drifted")
        self.value = str(plan.pre_state["v"])
        self.effects.append(f"revert {self.value}")
        return EffectResult(status=EffectStatus.DONE, detail="set back")

    async def settle(self, plan: Plan, service: Service, approval: Approval, kind: Literal["apply", "revert"], *,
                     why_not: str = "") -> EffectResult:  # fmt: skip
        self.effects.append(f"read {kind}" if why_not else f"settle {kind}")
        status = EffectStatus.FAILED if why_not else EffectStatus.DONE
        return EffectResult(status=status, detail=why_not or "settled")


class ScriptedVerifier:
    """Reads what it is told."""

    def __init__(self) -> None:
        self.answers: list[list[Finding]] = []
        self._count = itertools.count()
        self.default = [finding("gateway_canary", "ok", Verdict.NORMAL, value=0.0, n=10, round=1)]

    async def read(
        self, incident: Incident, probes: Sequence[str], round_: int, *, last: bool = False
    ) -> Sequence[Finding]:
        found = self.answers.pop(0) if self.answers else self.default
        return [replace(f, id=f"ev-again-{next(self._count)}", round=round_) for f in found]


class Approvers:
    """Those who may approve."""

    def __init__(self) -> None:
        self.ids = {"slack:T0LOOP/U0ANA", "slack:T0LOOP/U0BEN", "local:root"}

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        return (who.id in self.ids and bool(team), "you are not in the team")


class Rig:
    """The flow on a real database, with fakes at its other ports."""

    def __init__(self, database: Database, catalogue: Catalogue, clock: FakeClock, **changes: Any) -> None:
        self.clock = clock
        self.inbox, self.casebook, self.gate = SqlInbox(database), SqlCasebook(database), SqlGate(database)
        self.records = SqlRecords(database, catalogue)
        self.triage = ScriptedTriage(self.casebook, changes.get("steps", [step()]))
        self.target = FakeTarget(changes.get("effect", EffectClass.CONVERGE))
        self.verifier, self.people = ScriptedVerifier(), Approvers()
        self.jobs = InlineJobs(self.perform)
        self.published: list[str] = []
        self.votes_told = 0
        self.details: list[str] = []
        specs = {
            name: ProbeSpec(
                id=name,
                name=name,
                title=name,
                outcomes={"ok": Verdict.NORMAL, "server_error": Verdict.ABNORMAL},
                tier=tier,
            )
            for name, tier in (("gateway_canary", Tier.CANARY), ("user_signal", Tier.FREE))
        }
        self._catalogue = catalogue
        self._parts = Parts(
            catalogue=catalogue, clock=clock, intake=self.inbox,
            understand=changes.get("understand", lambda r: Placed(received=r, quarantine="no")),
            casebook=self.casebook, gate=self.gate, triage=self.triage, planner=self.target, executor=self.target,
            verifier=self.verifier, people=self.people, jobs=self.jobs, specs=specs,
            publish=self.publish, detail=self.detail, summary=self.summary,
            pager_connected=changes.get("pager_connected", False), own_channels=changes.get("own_channels", False),
        )  # fmt: skip
        self.flow = Flow(self._parts)
        self.desk = FlowDesk(self.flow, self._parts, self.voted)

    def change_service(self, name: str, **values: Any) -> None:
        """The catalogue is edited, and the process started again with it."""
        services = self._catalogue.services
        self._use(services=tuple(s.model_copy(update=values) if s.name == name else s for s in services))

    def remove_service(self, name: str) -> None:
        self._use(services=tuple(s for s in self._catalogue.services if s.name != name))

    def change_policy(self, **values: Any) -> None:
        """Every rule of the policy changes."""
        policy = self._catalogue.policy
        rules = tuple(rule.model_copy(update=values) for rule in policy.rules)
        self._use(policy=policy.model_copy(update={"rules": rules, "version": "2"}))

    def _use(self, **values: Any) -> None:
        self._catalogue = self._catalogue.model_copy(update=values)
        self._parts = replace(self._parts, catalogue=self._catalogue)
        self.flow = Flow(self._parts)
        self.desk = FlowDesk(self.flow, self._parts, self.voted)

    def voted(self) -> None:
        self.votes_told += 1

    async def publish(self, incident_id: str) -> Drafted:
        self.published.append(incident_id)
        return Drafted(files=(f"{incident_id}.md",))

    async def detail(self, incident_id: str) -> Sequence[str]:
        return self.details

    async def summary(self, incident_id: str) -> str:
        return f"Summary of {incident_id}"

    async def perform(self, kind: str, arguments: Mapping[str, str]) -> None:
        if kind == "investigate":
            await self.flow.investigate(arguments["incident"], int(arguments["number"]))
        else:
            (argument,) = arguments.values()
            await getattr(self.flow, kind)(argument)

    async def tick(self, seconds: float = 0) -> None:
        """Let time pass, sweep, and wait for what that started."""
        self.clock.advance(seconds)
        await self.flow.sweep()
        await self.jobs.idle()


__all__ = ["Approvers", "FakeTarget", "Received", "Rig", "ScriptedTriage", "ScriptedVerifier", "finding", "step"]
