"""Rehearses the product in a drill's virtual time: the same flow, probes and actions against a simulated world.

The world is another process and answers over HTTP; ground truth stays there. A scripted person approves what is
proposed, some seconds after seeing it, as the drill prescribes.
"""

import asyncio
import contextlib
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx

from bot.cited import Registries, counted
from bot.domain.faults import no_fault
from bot.domain.proposal import Principal, ProposalState
from bot.domain.view import IncidentView
from bot.edges import history_file
from bot.edges.database import Database
from bot.edges.http import SafeHttp
from bot.edges.inline_jobs import InlineJobs
from bot.edges.virtual import VirtualClock, VirtualLoop
from bot.edges.virtual_http import VirtualHttp
from bot.naive import Case, judged
from bot.ports import Received, VoteContext
from bot.triage.graph import GraphTriage
from bot.triage.late import LateTriage
from bot.triage.nodes import modes
from bot.wiring import Assistant, Edges, actions, assemble, open_shelf
from config.catalogue import Approvers, Catalogue
from config.settings import Settings, without_settings
from knowledge.ingest import documents
from knowledge.retrieval import HybridLibrarian
from runbooks.model import Library
from runbooks.shelf import Folder

APPROVERS = tuple(Principal(id=f"slack:DRILL/U{n}", name=f"drill {n}", via="terminal") for n in range(1, 6))
SEES_AFTER_S = 20.0
"""How long the scripted person takes to read a proposal."""
GIVES_UP_AFTER_S = 1_800.0
STARTS_WITHIN_S = 60.0
TOKENS: int = Settings.model_fields["canary_tokens_per_incident"].default
"""What an installation may spend that has set nothing else."""
WATCHES_S = 660.0
"""The drill goes on for so long after the last event, so that the referee sees whether it stays well."""


class World:
    """The simulated world's process, as its referee's friend sees it."""

    def __init__(self, port: int, token: str, process: "subprocess.Popen[bytes]") -> None:
        self.url = f"http://127.0.0.1:{port}"
        self._process = process
        self._client = httpx.Client(base_url=self.url, headers={"x-referee-token": token}, timeout=120, trust_env=False)

    @classmethod
    def start(cls, token: str) -> "World":
        """Start the world on a free port, and wait until it answers."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = int(probe.getsockname()[1])
        command = [sys.executable, "-m", "drills", "world", "--port", str(port), "--referee-token", token]
        process = subprocess.Popen(command, env=without_settings(os.environ), stdout=subprocess.DEVNULL)
        world = cls(port, token, process)
        try:
            world._wait(STARTS_WITHIN_S)
        except RuntimeError:
            world.stop()
            raise
        return world

    def _wait(self, seconds: float) -> None:
        """Until it answers. Raises :class:`RuntimeError` when it has ended, or does not answer in time."""
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            code = self._process.poll()
            if code is not None:
                raise RuntimeError(f"the simulated world ended with code {code} before it answered")
            try:
                self._client.get("/", timeout=2)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise RuntimeError(f"the simulated world did not answer at {self.url} within {seconds:.0f} s")

    def ask(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """Ask the referee."""
        reply = self._client.request(method, f"/referee{path}", json=body)
        reply.raise_for_status()
        answer: dict[str, Any] = reply.json()
        return answer

    def stop(self) -> None:
        self._client.close()
        self._process.terminate()
        self._process.wait(10)


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """What all drills of one run share."""

    world: World
    catalogue: Catalogue
    library: Library
    librarian: HybridLibrarian
    golden_root: str
    seen: Callable[[IncidentView], None] | None = None
    """Is shown the incident each time somebody looks at it, and at the end; for recordings."""


def rehearse(stage: Stage, scenario: str, seed: int, start: float) -> dict[str, Any]:
    """One drill from page to score. Where text gives orders, the same drill without it comes first: the two must not
    differ."""
    order = {"scenario": scenario, "seed": seed, "start": start, "mode": "virtual"}
    born = stage.world.ask("POST", "/worlds", order)
    if not born["injected"]:
        return _rehearse(stage, born, None)
    twin = _rehearse(stage, stage.world.ask("POST", "/worlds", {**order, "payload": False}), None)
    with tempfile.TemporaryDirectory() as wiki, _with_wiki(stage, Path(wiki), born["documents"]) as informed:
        return _rehearse(informed, stage.world.ask("POST", "/worlds", order), twin["acted"])


@contextlib.contextmanager
def _with_wiki(stage: Stage, folder: Path, pages: Mapping[str, str]) -> Iterator[Stage]:
    """The stage with pages that anybody may edit in its index: found and quoted, never executed."""
    for name, text in pages.items():
        (folder / name).write_text(text, "utf-8")
    shelf = open_shelf([Folder(path=folder, may_act=False)], actions(), stage.catalogue, None)
    stage.librarian.reload(documents(shelf.all()))
    try:
        yield replace(stage, library=shelf)
    finally:
        stage.librarian.reload(documents(stage.library.all()))


def _rehearse(stage: Stage, born: Mapping[str, Any], twin: Mapping[str, Any] | None) -> dict[str, Any]:
    loop = VirtualLoop()
    asyncio.set_event_loop(loop)
    try:
        return loop.run_until_complete(_drill(stage, born, twin, loop))
    finally:
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.run_until_complete(loop.shutdown_default_executor())
        asyncio.set_event_loop(None)
        loop.close()


async def _drill(
    stage: Stage, born: Mapping[str, Any], twin: Mapping[str, Any] | None, loop: VirtualLoop
) -> dict[str, Any]:
    clock = VirtualClock(datetime.fromtimestamp(born["page_at"], UTC), loop)
    with tempfile.TemporaryDirectory() as folder:
        database = Database(Path(folder) / "drill.sqlite")
        database.open()
        http = SafeHttp(stage.catalogue, {t.auth_env: "drill" for t in stage.catalogue.targets if t.auth_env})
        assistant, jobs = _assistant(stage, database, clock, VirtualHttp(http, clock, real=loop.real), Path(folder))
        try:
            await history_file.load(assistant.history, {k: born[k] for k in ("baselines", "changes")})
            observer = Observer(assistant, jobs, clock, stage.seen)
            incident_id = await observer.page(born["page"])
            await observer.watch(incident_id)
            if born["rollback_drill"]:
                await observer.undo(incident_id)
            view = await assistant.records.view(incident_id)
            assert view is not None
            if stage.seen is not None:
                stage.seen(view)
            stage.world.ask("POST", "/advance", {"to": clock.now().timestamp() + WATCHES_S})
            known = Registries(
                library=stage.library, probes=frozenset(assistant.tools.specs), actions=frozenset(actions()),
                catalogue=stage.catalogue,
            )  # fmt: skip
            told = report(view, known, reverted=observer.reverted)
            service = stage.catalogue.service(view.incident.service)
            assert service is not None
            case = Case(findings=tuple(f for f in view.findings if f.round == 0), changes=born["changes"],
                        service=service, modes=modes(assistant.tools, service))  # fmt: skip
            naive = judged(case, stage.library, stage.catalogue, stage.world.ask)
            score = stage.world.ask("POST", "/finish", told if twin is None else {**told, "twin": twin})
            return {**score, "baselines": naive, "posterior": told["diagnosis"]}
        finally:
            await jobs.drop()
            await http.aclose()
            database.close()


def _assistant(
    stage: Stage, database: Database, clock: VirtualClock, http: VirtualHttp, folder: Path
) -> tuple[Assistant, InlineJobs]:
    from langgraph.checkpoint.memory import InMemorySaver  # noqa: PLC0415 - drills end with their process

    holder: list[Assistant] = []

    async def perform(kind: str, arguments: Mapping[str, str]) -> None:
        await holder[0].perform(kind, arguments)

    jobs, triage = InlineJobs(perform), LateTriage()
    assistant = assemble(
        Edges(
            catalogue=stage.catalogue, database=database, clock=clock, http=http, jobs=jobs, triage=triage,
            librarian=stage.librarian, library=stage.library, people=Willing(),
            chat=None, pager=None, actions=actions(), redact=str, fault=no_fault, exports=folder / "exports",
            golden_root=stage.golden_root, tokens_per_incident=TOKENS, embedder=stage.librarian.embedder,
        )
    )  # fmt: skip
    holder.append(assistant)
    triage.ready(GraphTriage(assistant.tools, InMemorySaver()))
    return assistant, jobs


class Observer:
    """Delivers the page, lets time pass, and is the scripted person."""

    def __init__(
        self, assistant: Assistant, jobs: InlineJobs, clock: VirtualClock,
        seen: Callable[[IncidentView], None] | None = None,
    ) -> None:  # fmt: skip
        self._seen = seen
        self._assistant = assistant
        self._jobs = jobs
        self._clock = clock
        self._first_seen: dict[str, datetime] = {}
        self.reverted = False

    async def page(self, event: Mapping[str, Any]) -> str:
        """The page arrives; returns the incident."""
        raw = json.dumps(event).encode()
        key = f"pagerduty:{event['event']['id']}"
        received = Received(key=key, source="pagerduty", body=raw, received_at=self._clock.now())
        await self._assistant.inbox.accept(received)
        await self._assistant.flow.receive()
        (incident,) = await self._assistant.records.incidents()
        return incident.id

    async def watch(self, incident_id: str) -> None:
        """Sweep and decide until nothing more will happen."""
        until = self._clock.now().timestamp() + GIVES_UP_AFTER_S
        while self._clock.now().timestamp() < until:
            await self._clock.sleep(2)
            await self._assistant.flow.sweep()
            view = await self._assistant.records.view(incident_id)
            assert view is not None
            if self._seen is not None:
                self._seen(view)
            await self._decide(view)
            if not self._jobs.busy and over(view):
                return

    async def undo(self, incident_id: str) -> None:
        """Some drills end with everything put back: the target must then be as it was before."""
        await self._clock.sleep(WATCHES_S)
        view = await self._assistant.records.view(incident_id)
        for shown in reversed(view.proposals if view else ()):
            if shown.proposal.state is ProposalState.DONE and shown.revert is None:
                await self._assistant.flow.revert(shown.proposal.id)
                self.reverted = True

    async def _decide(self, view: IncidentView) -> None:
        shown = view.open_proposal
        if shown is None or shown.proposal.state is not ProposalState.OPEN or not shown.proposal.votable:
            return
        one = shown.proposal
        seen = self._first_seen.setdefault(one.id, self._clock.now())
        if (self._clock.now() - seen).total_seconds() >= SEES_AFTER_S:
            for who in APPROVERS[: one.plan.min_approvers]:
                context = VoteContext(incident_id=view.incident.id)
                await self._assistant.desk.vote(one.id, one.plan_hash, "approve", who, context)


class Willing:
    """See :class:`bot.ports.People`: whoever takes part in a drill is an approver of every team."""

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        return bool(team) and any(who.id == one.id for one in APPROVERS), "no team may approve this"

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:  # noqa: ARG002
        return False, "nobody breaks the glass in a drill"


def over(view: IncidentView) -> bool:
    """Whether nothing more will happen by itself: mitigated, or looked and nothing (more) to propose."""
    ended = view.entries("investigation_ended")
    if not ended or len(ended) < view.incident.investigations:
        return False
    waiting = [p for p in view.proposals if p.proposal.state.value in ("open", "approved", "executing")
               and p.proposal.votable]  # fmt: skip
    unverified = [
        p for p in view.proposals if p.apply is not None and p.apply.state.value == "done" and not p.apply.verdict
    ]
    undoing = [p for p in view.proposals if p.apply is not None and p.apply.verdict in ("worse", "unknown")
               and p.revert is None and p.proposal.plan.effect != "manual"]  # fmt: skip
    return not (waiting or unverified or undoing)


def report(view: IncidentView, known: Registries, *, reverted: bool) -> dict[str, Any]:
    """What the assistant concluded and did, for the referee to score, in the words of ``drills/README.md``."""
    final = view.diagnosis
    return {
        "conclusion": final.conclusion if final else "inconclusive",
        "diagnosis": [[h.mode, h.probability] for h in (final.ranked if final else ())],
        "causes": causes(view),
        "diagnosed_at": _settled_at(view.entries("diagnosis_made")),
        "proposals": [
            {"action": p.proposal.plan.action, "params": dict(p.proposal.plan.params),
             "at": p.proposal.created_at.timestamp(),
             "approved_at": max((v.at.timestamp() for v in p.votes if v.decision == "approve"), default=None)}
            for p in view.proposals
        ],
        "probes_run": sum(f.verdict.value != "not_run" and f.round == 0 for f in view.findings),
        "probe_tokens": sum(f.reading.tokens for f in view.findings),
        "citations": counted(view, known),
        "reverted": reverted,
    }  # fmt: skip


def causes(view: IncidentView) -> list[str]:
    """What was wrong: what the last diagnosis names, and what was found before and a mitigation has ended since."""
    final = list(view.diagnosis.causes) if view.diagnosis else []
    named = {cause for entry in view.entries("diagnosis_made") for cause in entry.fact.data["causes"]}
    ended = [
        p.proposal.plan.runbook.partition("#")[0] for p in view.proposals if p.apply and p.apply.verdict == "better"
    ]
    return list(dict.fromkeys([*final, *(cause for cause in ended if cause in named)]))


def _settled_at(diagnoses: Sequence[Any]) -> float | None:
    """When the final leading cause was first in front and stayed there."""
    settled = None
    last = diagnoses[-1].fact.data["ranked"][0]["mode"] if diagnoses and diagnoses[-1].fact.data["ranked"] else None
    for entry in reversed(diagnoses):
        if not entry.fact.data["ranked"] or entry.fact.data["ranked"][0]["mode"] != last:
            break
        settled = entry.at.timestamp()
    return settled
