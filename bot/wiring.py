"""The one place that knows every concrete part: what is used for what, and nothing else.

A probe, an action or a connector is added here with one line.
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

from bot.authors import Authors, no_link
from bot.comms import CommsDesk, CommsParts
from bot.desk import FlowDesk
from bot.domain.closing import closing
from bot.domain.detail import detail
from bot.domain.faults import FaultPoint
from bot.domain.incident import Incident
from bot.domain.presentation import Form, Redaction
from bot.domain.view import MessageRef
from bot.duty import DutyDesk, DutyParts
from bot.edges.author_book import SqlAuthorBook
from bot.edges.casebook import SqlCasebook
from bot.edges.courier import FRESH_EVERY_S, Courier
from bot.edges.database import Database
from bot.edges.drafts import Drafter
from bot.edges.duty_book import SqlDutyBook
from bot.edges.executor import PlanExecutor
from bot.edges.export import Export
from bot.edges.follow_book import SqlFollowBook
from bot.edges.gate import SqlGate
from bot.edges.history import SqlHistory
from bot.edges.http import ReadingHttp
from bot.edges.inbox import SqlInbox
from bot.edges.issue_markdown import written
from bot.edges.pagerduty_out import NoPager
from bot.edges.planner import ActionPlanner
from bot.edges.publisher import QUICK, Publisher
from bot.edges.records import Names, SqlRecords, not_known
from bot.edges.rooms import KeeperParts, RoomKeeper
from bot.edges.understand import understand
from bot.edges.verifier import ProbeVerifier, unwatched
from bot.editing import TimelineScribe
from bot.flow import Flow
from bot.following import FollowParts, FollowUps
from bot.parts import Parts
from bot.ports import Chat, Jobs, Pager, People, Rooms, Tracker, Triage
from bot.triage import nodes
from config.catalogue import Catalogue
from config.clock import Clock
from config.http import Http
from diagnostics.differential import diagnose
from diagnostics.model import (
    AnyProbe,
    Finding,
    ProbeCall,
    ProbeContext,
    ProbeRegistry,
    ProbeSpec,
    TextEmbedder,
)
from diagnostics.order import next_calls
from diagnostics.probes.agent_audit import AgentAudit
from diagnostics.probes.cache import CacheCheck
from diagnostics.probes.canary import GatewayCanary, ProviderCanary
from diagnostics.probes.changes import ChangeLog
from diagnostics.probes.context_scan import ContextScan
from diagnostics.probes.demand import DemandProfile
from diagnostics.probes.dependencies import DependencyAudit
from diagnostics.probes.egress import Egress
from diagnostics.probes.embedding import EmbeddingCanary
from diagnostics.probes.engine import EngineHealth
from diagnostics.probes.fingerprint import ModelFingerprint
from diagnostics.probes.gateway_health import GatewayHealth
from diagnostics.probes.golden_set import GoldenCounterfactual, GoldenSetProbe
from diagnostics.probes.grounding import GroundingCanary
from diagnostics.probes.guardrail import GuardrailCanaries
from diagnostics.probes.headroom import RateLimitHeadroom
from diagnostics.probes.index import IndexFreshness
from diagnostics.probes.keys import KeyAudit
from diagnostics.probes.listing import ModelListing
from diagnostics.probes.prompt_cache import PromptCache
from diagnostics.probes.retrieval import RetrievalCanary
from diagnostics.probes.signal import UserSignal
from diagnostics.probes.spend import Spend
from diagnostics.probes.status_page import StatusPageProbe
from diagnostics.probes.stream import StreamCanary
from diagnostics.probes.structured import StructuredOutput
from diagnostics.probes.telemetry import TelemetryCheck
from diagnostics.probes.tokens import TokenProfile
from diagnostics.probes.tools import ToolCheck
from diagnostics.runner import OnEvent, ProbeRunner, TokenBudget
from knowledge.chroma_index import ChromaIndex
from knowledge.embedder import SentenceTransformerEmbedder
from knowledge.ingest import documents
from knowledge.lexical_index import LexicalIndex
from knowledge.model import Librarian, Query, Retrieval
from knowledge.retrieval import HybridLibrarian
from runbooks.actions.catalogue_of_actions import BUILT_IN
from runbooks.lint import lint
from runbooks.model import ActionRegistry, AnyAction, Library
from runbooks.resolve import resolve
from runbooks.shelf import Folder, Shelf

PROBES: tuple[AnyProbe, ...] = (
    UserSignal(),
    ProviderCanary(),
    GatewayCanary(),
    RateLimitHeadroom(),
    ModelListing(),
    StatusPageProbe(),
    Egress(),
    ProviderCanary(second=True),
    GatewayHealth(),
    ChangeLog(),
    GoldenSetProbe(),
    GoldenCounterfactual(),
    ModelFingerprint(),
    EmbeddingCanary(),
    RetrievalCanary(),
    IndexFreshness(),
    ToolCheck(),
    AgentAudit(),
    GuardrailCanaries(),
    GroundingCanary(),
    EngineHealth(),
    TokenProfile(),
    DemandProfile(),
    CacheCheck(),
    TelemetryCheck(),
    DependencyAudit(),
    KeyAudit(),
    PromptCache(),
    Spend(),
    StreamCanary(),
    ContextScan(),
    StructuredOutput(),
)

LIBRARY = Path(__file__).resolve().parent.parent / "runbooks" / "library"
BUILT_IN_LIBRARY = Folder(path=LIBRARY, name="built-in")


def probes() -> ProbeRegistry:
    """Probe name -> probe, in the order of the table."""
    return {probe.spec.name: probe for probe in PROBES}


def specs() -> dict[str, ProbeSpec]:
    """Probe name -> what it is, in the order of the table."""
    return {probe.spec.name: probe.spec for probe in PROBES}


def open_shelf(
    folders: Sequence[Path | Folder], registry: ActionRegistry, catalogue: Catalogue | None, today: date | None
) -> Shelf:
    """The runbooks of these folders after the built-in library, linted against what probes and actions really are."""
    check = partial(
        lint, probes=specs(), actions={n: a.spec for n, a in registry.items()}, catalogue=catalogue, today=today
    )
    shelf = Shelf([BUILT_IN_LIBRARY, *folders], check=check)
    shelf.refresh()
    return shelf


def open_librarian(shelf: Library, index: Path | None, model: Path | None = None) -> HybridLibrarian:
    """Search over the shelf: by words at once, by meaning after ``warm``; by words alone without an ``index``."""
    if index is None:
        return HybridLibrarian(documents(shelf.all()), words=LexicalIndex())
    embedder = SentenceTransformerEmbedder(model)
    vectors = ChromaIndex(index, embedder)
    return HybridLibrarian(documents(shelf.all()), words=LexicalIndex(), embedder=embedder, vectors=vectors)


def actions(declared: Sequence[AnyAction] = ()) -> ActionRegistry:
    """Action name -> action, the declared ones after the built-in."""
    return {action.spec.name: action for action in (*BUILT_IN, *declared)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Edges:
    """What differs between a server and a drill."""

    catalogue: Catalogue
    database: Database
    clock: Clock
    http: Http
    jobs: Jobs
    triage: Triage
    librarian: Librarian
    library: Library
    people: People
    chat: Chat | None
    pager: Pager | None
    actions: ActionRegistry
    redact: Callable[[str], str]
    fault: FaultPoint
    exports: Path
    golden_root: str
    tokens_per_incident: int
    channel_message_every_s: float = FRESH_EVERY_S
    drafts: Sequence[Form] = QUICK
    """Forms of the postmortem that are written when an incident closes; the first goes into the thread."""
    tracker: Tracker | None = None
    permalink: Callable[[MessageRef], Awaitable[str]] = no_link
    followups_redaction: Redaction = "company"
    embedder: TextEmbedder | None = None
    """For golden checks by similarity."""
    names: Names = not_known
    """Who may approve for a team, by name."""
    rooms: Callable[[str], Awaitable[Rooms]] | None = None
    """Makes channels for the incidents of a team; None: every incident is a thread."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assistant:
    """Everything that was built."""

    inbox: SqlInbox
    casebook: SqlCasebook
    gate: SqlGate
    history: SqlHistory
    records: SqlRecords
    flow: Flow
    desk: FlowDesk
    courier: Courier
    scribe: TimelineScribe
    tools: nodes.Tools
    parts: Parts
    duty: DutyDesk
    follow: FollowUps
    drafter: Drafter
    comms: CommsDesk
    authors: Authors

    async def perform(self, kind: str, arguments: Mapping[str, str]) -> None:
        """Run a job: the verbs of the flow by name."""
        verbs: dict[str, Callable[[], Awaitable[object]]] = {
            "investigate": lambda: self.flow.investigate(arguments["incident"], int(arguments["number"])),
            "mitigate": lambda: self.flow.mitigate(arguments["proposal"]),
            "verify": lambda: self.flow.verify(arguments["effect"]),
            "lease": lambda: self.flow.lease(arguments["effect"]),
            "revert": lambda: self.flow.revert(arguments["proposal"]),
            "close": lambda: self.flow.close(arguments["incident"]),
            "probe": lambda: self.duty.asked(
                arguments["incident"], arguments["probe"], arguments["key"], arguments["by"]
            ),
        }
        await verbs[kind]()
        self.courier.poke()


def assemble(edges: Edges) -> Assistant:
    """Build the assistant on these edges. Does no I/O."""
    casebook, gate = SqlCasebook(edges.database), SqlGate(edges.database)
    history, records = SqlHistory(edges.database), SqlRecords(edges.database, edges.catalogue, edges.names)
    inbox = SqlInbox(edges.database, edges.fault)
    reading = ReadingHttp(edges.http)
    registry = probes()

    def new_runner(known: Sequence[Finding], on_event: OnEvent) -> ProbeRunner:
        budget = TokenBudget(limit=edges.tokens_per_incident, spent=sum(f.reading.tokens for f in known))
        return ProbeRunner(
            registry, new_id=evidence_id, redact=edges.redact, on_event=on_event, budget=budget, known=known
        )

    tools = nodes.Tools(
        catalogue=edges.catalogue, casebook=casebook, history=history, librarian=edges.librarian,
        library=edges.library, runner=new_runner, pager=edges.pager, http=reading, clock=edges.clock, specs=specs(),
        diagnose=diagnose, next_calls=next_calls, resolve=resolve, golden_root=edges.golden_root,
        embedder=edges.embedder,
    )  # fmt: skip

    async def context(incident: Incident) -> ProbeContext:
        return await nodes.probe_context(incident, tools)

    async def told(incident_id: str) -> Sequence[str]:
        view = await records.view(incident_id)
        return () if view is None or edges.chat is None else detail(view)

    async def summary(incident_id: str) -> str:
        view = await records.view(incident_id)
        return "" if view is None else closing(view)

    publisher = Publisher(records, edges.exports, edges.fault, forms=edges.drafts, exporter=Export(edges.redact))
    drafter = Drafter(edges.database, publisher.publish, edges.clock)
    book = SqlAuthorBook(edges.database)
    authors = Authors(edges.catalogue, edges.clock, records, edges.library, book, edges.permalink)
    parts = Parts(
        catalogue=edges.catalogue, clock=edges.clock, intake=inbox, understand=understand(edges.redact),
        casebook=casebook, gate=gate, triage=edges.triage,
        planner=ActionPlanner(edges.actions, edges.catalogue, reading, edges.clock),
        executor=PlanExecutor(edges.actions, edges.catalogue, edges.http, edges.clock, edges.fault),
        verifier=ProbeVerifier(casebook, new_runner, context), people=edges.people, jobs=edges.jobs, specs=specs(),
        publish=drafter.publish, detail=told, summary=summary, fault=edges.fault,
        main_form=edges.drafts[0] if edges.drafts else "md",
        ended=authors.note,
        pager_connected=not isinstance(edges.pager, NoPager | None), own_channels=edges.rooms is not None,
    )  # fmt: skip
    flow = Flow(parts)
    scribe = TimelineScribe(records, casebook, edges.clock, redact=edges.redact)

    async def search(query: Query) -> Retrieval:
        return await asyncio.to_thread(edges.librarian.search, query)

    async def ask(incident: Incident, probe: str) -> Finding:
        known = list((await casebook.findings(incident.id)).values())
        calls = [ProbeCall(probe=probe, params={})]
        return (await new_runner(known, unwatched).run(calls, await context(incident)))[0]

    more = DutyParts(inbox=inbox, records=records, book=SqlDutyBook(edges.database), scribe=scribe,
                     library=edges.library, search=search, ask=ask, authors=authors)  # fmt: skip
    talk = CommsParts(records=records, book=more.book, pager=edges.pager, redact=edges.redact,
                      chat_connected=edges.chat is not None)  # fmt: skip
    keeper = None
    if edges.rooms is not None:
        keeper = RoomKeeper(KeeperParts(database=edges.database, rooms=edges.rooms, pager=edges.pager,
                                        catalogue=edges.catalogue, clock=edges.clock, fault=edges.fault))  # fmt: skip
    courier = Courier(
        edges.database, records, edges.chat, edges.pager, edges.clock, edges.fault,
        fresh_every_s=edges.channel_message_every_s, tracker=edges.tracker, keeper=keeper,
    )  # fmt: skip
    follow = FollowUps(FollowParts(
        catalogue=edges.catalogue, clock=edges.clock, records=records, book=SqlFollowBook(edges.database),
        write=written, permalink=edges.permalink, redact=edges.redact, redaction=edges.followups_redaction,
        connected=edges.tracker is not None,
    ))  # fmt: skip
    return Assistant(
        inbox=inbox, casebook=casebook, gate=gate, history=history, records=records, flow=flow,
        desk=FlowDesk(flow, parts, courier.poke), courier=courier, scribe=scribe, tools=tools, parts=parts,
        duty=DutyDesk(parts, more), follow=follow, drafter=drafter, comms=CommsDesk(parts, talk),
        authors=authors,
    )  # fmt: skip


def evidence_id() -> str:
    """An id that says nothing of its content and is never made twice."""
    return f"ev-{secrets.token_hex(5)}"
