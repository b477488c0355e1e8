"""A model provider, gateway, status page and prompt store on one local port, and a small client to reach them."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import aiohttp
from aiohttp import web

from config.catalogue import Catalogue
from config.http import FailureStage, HttpError, Purpose, ReachStep, Reply
from diagnostics import series
from diagnostics.model import AnyProbe, Change, ProbeContext, Reading, Sample

NOW = datetime(2026, 11, 22, 10, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Served:
    """One reply of the local server. ``first_byte_s`` and ``elapsed_s`` are what the client is to believe it took."""

    status: int = 200
    body: str = ""
    headers: Mapping[str, str] = field(default_factory=dict)
    first_byte_s: float = 0.4
    elapsed_s: float = 0.5
    content_type: str = "application/json"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server saw it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: Any = None
    query: Mapping[str, str] = field(default_factory=dict)


Play = Callable[[Asked], Served | None]


class Company:
    """The local server: each target has its own folder, and a list of plays of which the first that answers counts."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.plays: list[Play] = []
        self.failing: dict[str, FailureStage] = {}
        self.unreachable: dict[str, list[ReachStep]] = {}
        self.base = ""

    def play(self, target: str, path: str, act: Served | Callable[[Asked], Served]) -> None:
        """Answer requests to this target and path; later plays come first."""

        def played(asked: Asked) -> Served | None:
            if asked.path != f"/{target}{path}":
                return None
            return act if isinstance(act, Served) else act(asked)

        self.plays.insert(0, played)

    def calls(self, target: str, path: str) -> list[Asked]:
        return [asked for asked in self.asked if asked.path == f"/{target}{path}"]

    async def _handle(self, request: web.Request) -> web.StreamResponse:
        text = await request.text()
        asked = Asked(
            method=request.method,
            path=request.path,
            headers={name.lower(): value for name, value in request.headers.items()},
            body=json.loads(text) if text else None,
            query=dict(request.query),
        )
        self.asked.append(asked)
        served = next((found for play in self.plays if (found := play(asked)) is not None), Served(status=404))
        timing = {"x-sim-first-byte": str(served.first_byte_s), "x-sim-elapsed": str(served.elapsed_s)}
        response = web.StreamResponse(
            status=served.status, headers={"content-type": served.content_type, **timing, **served.headers}
        )
        await response.prepare(request)
        # In pieces, as a real server streams.
        data = served.body.encode()
        for start in range(0, len(data), 700):
            await response.write(data[start : start + 700])
        await response.write_eof()
        return response


class LocalHttp:
    """The Http port over aiohttp, for one :class:`Company`."""

    def __init__(self, company: Company, session: aiohttp.ClientSession) -> None:
        self._company = company
        self._session = session

    async def request(
        self,
        target: str,
        method: str,
        path: str,
        *,
        purpose: Purpose = "read",
        query: Mapping[str, str] | None = None,
        body: object = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float = 8.0,
    ) -> Reply:
        if method != "GET" and purpose == "read":
            raise HttpError("refused", target, "a read is a GET")
        if purpose == "effect":
            raise HttpError("refused", target, "a probe has no effects")
        if stage := self._company.failing.get(target):
            raise HttpError(stage, target, f"{stage} failed")
        url = f"{self._company.base}/{target}{path}"
        async with self._session.request(
            method, url, params=query, json=body, headers=headers, allow_redirects=False
        ) as response:
            data = await response.read()
            found = {name.lower(): value for name, value in response.headers.items()}
        return Reply(
            status=response.status,
            headers=found,
            body=data,
            first_byte_s=float(found.get("x-sim-first-byte", 0)),
            elapsed_s=float(found.get("x-sim-elapsed", 0)),
        )

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        planned = self._company.unreachable.get(target)
        if planned:
            return (planned.pop(0),)
        return tuple(ReachStep(step=step, ok=True, detail="", elapsed_s=0.01) for step in ("dns", "tcp", "tls", "http"))


class StillClock:
    """A clock that moves only when somebody sleeps."""

    def __init__(self) -> None:
        self._now = NOW

    def now(self) -> datetime:
        return self._now

    async def sleep(self, seconds: float) -> None:
        self._now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class KeptBaselines:
    """Baselines in memory."""

    def __init__(self) -> None:
        self.series: dict[str, list[float]] = {}
        self.documents: dict[str, Any] = {}

    def samples(self, service: str, series: str, *, before: datetime, limit: int = 500) -> Sequence[Sample]:
        return [Sample(at=before, value=value) for value in self.series.get(series, [])][-limit:]

    def document(self, service: str, key: str, *, before: datetime) -> Any | None:
        return self.documents.get(key)


class NoChanges:
    """An empty change log."""

    def between(self, service: str, start: datetime, end: datetime) -> Sequence[Change]:
        return ()


CATALOGUE: Mapping[str, Any] = {
    "fallback_channel": "C0",
    "targets": [
        {"name": name, "base_url": "http://127.0.0.1:1", "canary_paths": ("/v1/chat/completions", "/v1/messages")}
        for name in ("acme", "beta", "acme-status", "beta-status", "gateway", "gateway-admin", "prompts", "prometheus")
    ],
    "providers": [
        {
            "name": "acme-openai",
            "api": "openai",
            "target": "acme",
            "models": ("acme-large", "acme-small"),
            "status": {"target": "acme-status", "shape": "incidentio", "component": "Chat API"},
            "tokens_per_minute": 100_000,
            "usd_per_1k_input": 0.5,
            "usd_per_1k_output": 1.0,
        },
        {
            "name": "beta-anthropic",
            "api": "anthropic",
            "target": "beta",
            "models": ("beta-sonnet", "beta-haiku"),
            "status": {"target": "beta-status", "shape": "atlassian", "component": "Messages API"},
            "tokens_per_minute": 100_000,
        },
    ],
    "gateways": [{"name": "llm-gateway", "target": "gateway", "admin": "gateway-admin"}],
    "prompt_stores": [{"name": "registry", "admin": "prompts"}],
    "teams": [{"name": "assist", "slack_channel": "C1"}],
    "services": [
        {
            "name": "bot",
            "kind": "chat",
            "team": "assist",
            "provider": "acme-openai",
            "model": "acme-large",
            "fallback_provider": "beta-anthropic",
            "fallback_model": "beta-sonnet",
            "gateway": "llm-gateway",
            "route": "support",
            "prompts": "registry",
            "prompt": "support",
            "prometheus": "prometheus",
            "golden_set": "golden.jsonl",
        }
    ],
}


@asynccontextmanager
async def company_open() -> AsyncIterator[tuple[Company, LocalHttp]]:
    """A running server and a client for it."""
    company = Company()
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", company._handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    company.base = f"http://127.0.0.1:{port}"
    try:
        async with aiohttp.ClientSession() as session:
            yield company, LocalHttp(company, session)
    finally:
        await runner.cleanup()


def context_of(http: LocalHttp, baselines: KeptBaselines, *, golden_root: str = "", **changed: Any) -> ProbeContext:
    """What a probe is given; ``changed`` overrides fields of the service."""
    document = {**CATALOGUE, "services": [{**CATALOGUE["services"][0], **changed}]}
    catalogue = Catalogue.model_validate(document)
    return ProbeContext(
        service=catalogue.services[0],
        catalogue=catalogue,
        http=http,
        clock=StillClock(),
        baselines=baselines,
        changes=NoChanges(),
        started_at=NOW,
        golden_root=golden_root,
    )


def openai_answer(text: str = "pong", *, model: str = "acme-large", tokens: int = 4, **served: Any) -> Served:
    """A whole answer in the OpenAI dialect."""
    document = {
        "object": "chat.completion",
        "model": model,
        "system_fingerprint": "fp_1",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 20, "completion_tokens": tokens},
    }
    return Served(body=json.dumps(document), **served)


def openai_stream(text: str = "pong", *, model: str = "acme-large", end: bool = True, **served: Any) -> Served:
    """The same, streamed."""
    frame = {"object": "chat.completion.chunk", "model": model}
    chunks: list[Any] = [{**frame, "choices": [{"index": 0, "delta": {"content": part}}]} for part in text]
    if end:
        chunks.append({**frame, "choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]})
        chunks.append({**frame, "choices": [], "usage": {"prompt_tokens": 20, "completion_tokens": len(text)}})
    lines = [f"data: {json.dumps(chunk)}\r\n\r\n" for chunk in chunks] + (["data: [DONE]\r\n\r\n"] if end else [])
    return Served(body=": keep-alive\r\n\r\n" + "".join(lines), content_type="text/event-stream", **served)


def anthropic_stream(text: str = "pong", *, model: str = "beta-sonnet", error: Any = None, **served: Any) -> Served:
    """A streamed answer in the Anthropic dialect, or one that breaks off with an error event."""
    events: list[Any] = [{"type": "message_start", "message": {"model": model, "usage": {"input_tokens": 20}}}]
    events += [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": part}} for part in text]
    if error is not None:
        events.append({"type": "error", "error": error})
    else:
        events.append({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 4}})
        events.append({"type": "message_stop"})
    body = "".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
    return Served(body=body, content_type="text/event-stream", **served)


def answered(asked: Asked, text: str = "pong", **more: Any) -> Served:
    """Answer an OpenAI request streamed or whole, as it asks."""
    return openai_stream(text, **more) if asked.body.get("stream") else openai_answer(text, **more)


def error(status: int, kind: str | None, code: str | None, message: str = "refused", **more: Any) -> Served:
    """An error in the OpenAI dialect."""
    body = json.dumps({"error": {"message": message, "type": kind, "param": more.pop("param", None), "code": code}})
    return Served(status=status, body=body, **more)


def in_turn(*plays: Served) -> Callable[[Asked], Served]:
    """Each reply once, over and over."""
    turn = itertools.cycle(plays)
    return lambda asked: next(turn)


class Stage:
    """A company, a client and baselines; ``ask`` runs a probe there."""

    def __init__(self, company: Company, http: LocalHttp) -> None:
        self.company = company
        self.http = http
        self.baselines = KeptBaselines()

    def context(self, **changed: Any) -> ProbeContext:
        return context_of(self.http, self.baselines, **changed)

    async def ask(self, probe: AnyProbe, *, params: dict[str, Any] | None = None, **changed: Any) -> Reading:
        reading = await probe.run(self.context(**changed), probe.spec.params.model_validate(params or {}))
        assert reading.outcome == "inconclusive" or reading.outcome in probe.spec.outcomes
        json.dumps(dict(reading.details))
        assert all(len(evidence.excerpt) <= 2000 for evidence in reading.evidence)
        recorded = [*reading.details.get(series.RECORD, {}), *reading.details.get(series.RECORD_DOCUMENTS, {})]
        assert all(series.known(name) for name in recorded)
        return reading
