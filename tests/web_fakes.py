"""A served application on a real socket, and ports that remember what they were asked."""

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx
import uvicorn

from bot.domain.incident import Incident
from bot.domain.presentation import AS_RECORDED, Form, Presentation
from bot.domain.proposal import Principal, Proposal, VoteResult
from bot.domain.signature import SigningSecret
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView, MessageRef
from bot.edges.guard import Limits, guarded_config
from bot.edges.metrics import Metrics
from bot.edges.web import WebDeps, create_app
from bot.ports import Made, Received, StorageDown, Told, VoteContext
from tests import view_samples
from tests.http_fakes import NOW, StillClock

PD_SECRET = "pd-signing-secret-of-the-tests"
SLACK_SECRET = "slack-signing-secret-of-the-tests"
TOKEN = "api-token-of-the-tests-0123456789abcdef"


class FakeInbox:
    """An inbox in memory, which can be down or slow."""

    def __init__(self) -> None:
        self.rows: dict[str, Received] = {}
        self.down = False
        self.waiting = 0
        self.open = asyncio.Event()
        self.open.set()

    async def accept(self, received: Received) -> bool:
        self.waiting += 1
        await self.open.wait()
        self.waiting -= 1
        if self.down:
            raise StorageDown
        new = received.key not in self.rows
        self.rows.setdefault(received.key, received)
        return new


@dataclass
class FakeDesk:
    """Remembers what people did, and answers what it was told to answer."""

    result: VoteResult = VoteResult.APPROVED
    told: Told = field(default_factory=lambda: Told(ok=True, text="Done."))
    calls: list[tuple[Any, ...]] = field(default_factory=list)
    down: bool = False

    async def _say(self, *call: Any) -> Told:
        self.calls.append(call)
        if self.down:
            raise StorageDown
        return self.told

    async def vote(self, proposal_id: str, plan_hash: str, decision: Literal["approve", "reject"], who: Principal,
                   context: VoteContext, reason: str = "") -> VoteResult:  # fmt: skip
        await self._say("vote", proposal_id, plan_hash, decision, who, context, reason)
        return self.result

    async def edit(self, proposal_id: str, params: Mapping[str, str], who: Principal) -> Told:
        return await self._say("edit", proposal_id, dict(params), who)

    async def another(self, proposal_id: str, who: Principal) -> Told:
        return await self._say("another", proposal_id, who)

    async def done(self, proposal_id: str, who: Principal) -> Told:
        return await self._say("done", proposal_id, who)

    async def command(self, incident_id: str, command: Literal["acknowledge", "escalate", "resolve", "close"],
                      who: Principal) -> Told:  # fmt: skip
        return await self._say("command", incident_id, command, who)

    async def hint(self, incident_id: str, text: str, who: Principal) -> Told:
        return await self._say("hint", incident_id, text, who)

    async def freeze(self, service: str, on: bool, reason: str, who: Principal) -> Told:
        return await self._say("freeze", service, on, reason, who)

    async def note(self, incident_id: str, kind: Literal["note_added", "person_did", "question_asked"], text: str,
                   who: Principal) -> Told:  # fmt: skip
        return await self._say("note", incident_id, kind, text, who)


class FakeRecords:
    """One incident, as the samples have it."""

    def __init__(self, view: IncidentView) -> None:
        self.one = view

    async def view(self, incident_id: str) -> IncidentView | None:
        return self.one if incident_id in (self.one.incident.id, self.one.incident.pager_ref) else None

    async def incidents(self, *, active_only: bool = True, limit: int = 50) -> Sequence[Incident]:
        return [self.one.incident][:limit]

    async def incident_of(self, message: MessageRef) -> str | None:
        return None

    async def proposal(self, proposal_id: str) -> Proposal | None:
        return next((p.proposal for p in self.one.proposals if p.proposal.id == proposal_id), None)

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        return [entry for entry in self.one.timeline if entry.seq > after]


class FakeExporter:
    """Says what it was asked for."""

    def export(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> bytes:
        return f"{view.incident.id} as {form}".encode()

    def make(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> Made:
        return Made(content=self.export(view, form, presentation))


@dataclass
class Site:
    """What a test has in its hands."""

    port: int
    client: httpx.AsyncClient
    inbox: FakeInbox
    desk: FakeDesk
    records: FakeRecords
    clock: StillClock
    metrics: Metrics
    accepted: list[Received]

    def api(self, **headers: str) -> dict[str, str]:
        """Headers of an API call."""
        return {"authorization": f"Bearer {TOKEN}", **headers}

    def figure(self, name: str, **labels: str) -> float:
        """The value of a metric."""
        return self.metrics.registry.get_sample_value(f"pagerunner_{name}", labels) or 0.0


@asynccontextmanager
async def serving(app: Any, limits: Limits | None = None) -> AsyncIterator[int]:
    """Serve an application as the product does; yields the port."""
    config = guarded_config(app, host="127.0.0.1", port=0, limits=limits)
    config.load()
    server = uvicorn.Server(config)
    server.lifespan = config.lifespan_class(config)
    await server.startup()
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        await server.shutdown()


@asynccontextmanager
async def site(
    *, limits: Limits | None = None, view: IncidentView | None = None, **changes: Any
) -> AsyncIterator[Site]:
    """The whole HTTP surface with fakes behind it."""
    inbox, desk, clock, metrics = FakeInbox(), FakeDesk(), StillClock(), Metrics()
    records = FakeRecords(view or view_samples.provider_outage())
    accepted: list[Received] = []
    values: dict[str, Any] = {
        "inbox": inbox, "desk": desk, "records": records, "exporter": FakeExporter(), "clock": clock,
        "metrics": metrics, "pagerduty_secrets": (SigningSecret(value=PD_SECRET),),
        "slack_secrets": (SigningSecret(value=SLACK_SECRET),), "api_token": TOKEN, "on_accept": accepted.append,
    }  # fmt: skip
    deps = WebDeps(**{**values, **changes})
    async with (
        serving(create_app(deps), limits) as port,
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", trust_env=False, verify=False, timeout=20) as client,
    ):
        yield Site(port, client, inbox, desk, records, clock, metrics, accepted)


def pd_signature(raw: bytes, secret: str = PD_SECRET) -> str:
    """What PagerDuty would put into its header."""
    return "v1=" + hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()


def slack_headers(raw: bytes, *, secret: str = SLACK_SECRET, at: float | str | None = None) -> dict[str, str]:
    """What Slack would put into its headers."""
    stamp = str(int(NOW.timestamp())) if at is None else at if isinstance(at, str) else str(int(at))
    basis = b"v0:" + stamp.encode("latin-1") + b":" + raw
    signature = "v0=" + hmac.new(secret.encode(), basis, hashlib.sha256).hexdigest()
    return {"x-slack-request-timestamp": stamp, "x-slack-signature": signature}


async def talk(port: int, *pieces: bytes | float, until_closed: bool = True) -> bytes:
    """Send pieces over a plain socket (a number waits so many seconds); return what came back."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        for piece in pieces:
            if isinstance(piece, bytes):
                writer.write(piece)
                await writer.drain()
            else:
                await asyncio.sleep(piece)
        return await (reader.read() if until_closed else reader.readuntil(b"\r\n\r\n"))
    except (ConnectionError, asyncio.IncompleteReadError):
        return b""
    finally:
        writer.close()
