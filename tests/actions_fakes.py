"""A small real HTTP server that speaks the protocol of versioned documents, and misbehaves on request."""

import asyncio
import copy
import functools
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

from bot.edges.http import SafeHttp
from config.catalogue import Catalogue
from config.clock import Clock
from config.http import Http, Purpose, ReachStep, Reply
from config.strict_yaml import load
from runbooks.model import ActionContext, Approval

EXAMPLE = Path(__file__).parent.parent / "config/example/catalogue.yaml"
SECRETS = {"ACME_OPENAI_KEY": "k1", "BETA_ANTHROPIC_KEY": "k2"}
APPROVAL = Approval(
    proposal_id="p-1", plan_hash="00", approved_by=("local:ana",), approved_at=datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
)


def deployment(name: str, provider: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": name, "provider": provider, "zone": "a", "region": "eu-1", "drained": False, "state": "healthy",
        "requests_per_min": 100, "error_share": 0.0, "headroom_percent": 60,
    }  # fmt: skip
    return {**plain, **changes}


def replica(name: str, **changes: Any) -> dict[str, Any]:
    plain = {
        "id": name, "model": "own-coder-7b", "drained": False, "state": "ready", "requests_per_min": 20,
        "error_share": 0.001, "corrupted_share": 0.0, "headroom_percent": 60,
    }  # fmt: skip
    return {**plain, **changes}


def came_in(name: str, at: str, source: str, *, reviewed: bool) -> dict[str, Any]:
    return {"id": name, "added_at": at, "source": source, "author": "guest", "reviewed": reviewed}


def documents() -> dict[str, dict[str, Any]]:
    """Path -> document, as on an ordinary day with one bad zone and one greedy tenant."""
    admin = "/gateway/admin"
    params = {"temperature": 0.2, "max_tokens": 1024}
    return {
        f"{admin}/banners/support": {"version": 1, "text": "", "route": "support"},
        f"{admin}/classes/support/batch": {"version": 2, "admit_percent": 100},
        f"{admin}/retries": {"version": 4, "max_retries": 3},
        f"{admin}/retries/acme-large": {"version": 2, "max_retries": 2},
        f"{admin}/workers": {"version": 2, "count": 2},
        "/engine/admin/scale": {"version": 3, "replicas": 2, "usual_replicas": 4, "max_replicas": 6},
        "/engine/admin/replicas/coder-1": {"version": 1, "drained": False, "id": "coder-1"},
        f"{admin}/release": {
            "version": 9, "release": "gw-48",
            "history": [
                {"release": "gw-47", "at": "2026-11-01T00:00:00Z"}, {"release": "gw-46", "at": "2026-10-01T00:00:00Z"},
                {"release": "gw-48", "at": "2026-11-22T00:00:00Z"},
            ],
        },
        f"{admin}/packages/starlette": {
            "version": 5, "name": "starlette", "release": "0.50.0", "sha256": "f" * 64,
            "locked": {"release": "0.49.3", "sha256": "a" * 64},
            "history": [{"release": "0.49.1", "sha256": "b" * 64, "at": "2026-10-01T00:00:00Z"}],
        },
        f"{admin}/credentials/acme-prod": {
            "version": 3, "active": "k3", "former": "valid", "provider": "acme-openai",
            "staged": {"secret": "k4", "tested": True, "tested_at": "2026-11-22T02:50:00Z"},
        },
        f"{admin}/deployments/acme-openai-zone-b": {"version": 1, "drained": False, "id": "acme-openai-zone-b"},
        f"{admin}/canaries": {"version": 1, "suspended": False},
        f"{admin}/routes/support": {"version": 7, "weights": {"acme-openai": 100, "beta-anthropic": 0}},
        f"{admin}/caps/support": {"version": 1, "max_steps": None, "max_tokens": 2048, "max_context": None},
        f"{admin}/limits/support/t-greedy": {"version": 1, "tokens_per_minute": None},
        f"{admin}/moderation/moderation-text": {"version": 3, "on_timeout": "pass", "hold_for_review": False},
        f"{admin}/params/support": {
            "version": 17, "revision": "r17", "model": "acme-large", "params": params,
            "history": [
                {"revision": "r17", "model": "acme-large", "params": params, "at": "2026-11-01T00:00:00Z"},
                {"revision": "r16", "model": "acme-large-2026-08-01", "params": {**params, "temperature": 0.1},
                 "at": "2026-09-01T00:00:00Z"},
            ],
        },
        "/prompts/support": {
            "version": 31, "name": "support", "aliases": {"production": 13, "staging": 14},
            "versions": [
                {"version": 12, "created_at": "2026-10-01T00:00:00Z", "note": "good"},
                {"version": 13, "created_at": "2026-11-22T00:00:00Z", "note": "tone"},
                {"version": 14, "created_at": "2026-11-22T01:00:00Z", "note": "draft"},
            ],
        },
        "/ingestion/support-kb": {
            "version": 5, "state": "stalled", "watermark": "2026-11-20T00:00:00Z", "catch_up": False,
            "queue_depth": 900,
        },
        f"{admin}/tools/orders": {"version": 2, "enabled": True, "on_disabled": "say_unavailable"},
        f"{admin}/guardrails/content-rail": {
            "version": 4, "revision": "g8", "enabled": True, "on_error": "open", "threshold": 0.4, "timeout_ms": 150,
            "history": [
                {"revision": "g7", "enabled": True, "on_error": "closed", "threshold": 0.8, "timeout_ms": 2000,
                 "at": "2026-11-01T00:00:00Z"},
                {"revision": "g8", "enabled": True, "on_error": "open", "threshold": 0.4, "timeout_ms": 150,
                 "at": "2026-11-22T00:00:00Z"},
            ],
        },
        "/ingestion/support-kb/retrieval": {
            "version": 9, "revision": "s32", "mode": "vector", "embedding_model": "embed-2", "top_k": 2,
            "ef_search": 128, "filter": "",
            "history": [
                {"revision": "s31", "mode": "vector", "embedding_model": "embed-1", "top_k": 8, "ef_search": 128,
                 "filter": "", "at": "2026-11-01T00:00:00Z"},
                {"revision": "s32", "mode": "vector", "embedding_model": "embed-2", "top_k": 2, "ef_search": 128,
                 "filter": "", "at": "2026-11-22T00:00:00Z"},
            ],
        },
        "/ingestion/support-kb/quarantine": {"version": 6, "documents": ["kb-old"]},
        f"{admin}/cache/support": {
            "version": 3, "revision": "c5", "mode": "serve", "threshold": 0.8, "namespace": "tenant",
        },
        "/tools/orders/flags/answers": {"version": 2, "enabled": True, "rollout": {"percent": 80, "ring": "all"}},
    }  # fmt: skip


def facts() -> dict[str, Any]:
    """Path -> what can only be read."""
    return {
        "/gateway/admin/inventory": {
            "packages": [
                {"name": "starlette", "version": "0.50.0", "sha256": "f" * 64, "locked_version": "0.49.3"},
                {"name": "redis", "version": "7.0.1", "sha256": "c" * 64, "locked_version": "7.0.1"},
            ]
        },
        "/gateway/admin/keys": {
            "keys": [
                {"alias": "acme-prod", "provider": "acme-openai"},
                {"alias": "beta-prod", "provider": "beta-anthropic"},
            ]
        },
        "/gateway/admin/deployments": {
            "deployments": [
                deployment("acme-openai-zone-a", "acme-openai"),
                deployment("acme-openai-zone-b", "acme-openai", state="failing", error_share=0.6),
                deployment("beta-anthropic-us", "beta-anthropic", requests_per_min=0, headroom_percent=90),
            ]
        },
        "/engine/admin/replicas": {
            "replicas": [replica("coder-0"), replica("coder-1", error_share=0.7), replica("coder-2")]
        },
        "/ingestion/support-kb/documents": {
            "documents": [
                came_in("wiki-1", "2026-11-22T02:00:00Z", "wiki", reviewed=False),
                came_in("kb-9", "2026-11-22T01:00:00Z", "cms", reviewed=True),
                came_in("wiki-0", "2026-10-01T00:00:00Z", "wiki", reviewed=False),
            ]
        },
        "/gateway/admin/usage": {
            "tenants": [
                {"tenant": "t-small", "tokens_per_min": 1000, "share": 0.1},
                {"tenant": "t-greedy", "tokens_per_min": 9000, "share": 0.9},
            ]
        },
    }


@dataclass
class World:
    """The server's state, what it was asked, and how it is to misbehave."""

    docs: dict[str, dict[str, Any]] = field(default_factory=documents)
    facts: dict[str, Any] = field(default_factory=facts)
    writes: list[tuple[str, str, dict[str, Any], dict[str, str]]] = field(default_factory=list)
    before_write: Callable[["World", str], None] | None = None
    """Called when a write has arrived and before it is judged."""
    refuse: tuple[int, str] | None = None
    act_then: str = ""
    """After acting: ``drop`` the connection, ``hang``, or ``500``."""
    drop_instead: bool = False
    """Drop the connection without acting."""
    unreadable_after_write: bool = False

    def public(self) -> str:
        """All documents without their versions, as bytes would compare."""
        return json.dumps({p: {k: v for k, v in d.items() if k != "version"} for p, d in self.docs.items()})

    def touch(self, path: str, **changes: Any) -> None:
        """Somebody else writes."""
        self.docs[path] = {**self.docs[path], **changes, "version": self.docs[path]["version"] + 1}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        if request.method == "GET":
            return self._get(path)
        body = json.loads(await request.text() or "null")
        self.writes.append((request.method, path, body, {k.lower(): v for k, v in request.headers.items()}))
        if self.before_write:
            self.before_write(self, path)
        if self.drop_instead:
            assert request.transport
            request.transport.close()
            return web.Response()
        if self.refuse:
            return web.json_response({"error": self.refuse[1]}, status=self.refuse[0])
        if path not in self.docs:
            return web.json_response({"error": "unknown"}, status=404)
        if request.headers.get("if-match") not in (f'"{self.docs[path]["version"]}"', None):
            return web.json_response({"error": "changed"}, status=412)
        self.touch(path, **body)
        return await self._answer(request, path)

    def _get(self, path: str) -> web.Response:
        if self.unreadable_after_write and self.writes:
            return web.json_response({"error": "down"}, status=503)
        if path in self.facts:
            return web.json_response(self.facts[path])
        if path not in self.docs:
            return web.json_response({"error": "unknown"}, status=404)
        return web.json_response(self.docs[path], headers={"etag": f'"{self.docs[path]["version"]}"'})

    async def _answer(self, request: web.Request, path: str) -> web.StreamResponse:
        match self.act_then:
            case "drop":
                assert request.transport
                request.transport.close()
            case "hang":
                await asyncio.Event().wait()
            case "500":
                return web.json_response({"error": "after the fact"}, status=500)
        return web.json_response(self.docs[path])


class Hasty:
    """The same client, with less patience for effects than it would have."""

    def __init__(self, inner: Http) -> None:
        self._inner = inner

    async def request(
        self, target: str, method: str, path: str, *, purpose: Purpose = "read", query: Any = None, body: object = None,
        headers: Any = None, timeout_s: float = 8.0,
    ) -> Reply:  # fmt: skip
        patience = 0.2 if purpose == "effect" else timeout_s
        return await self._inner.request(
            target, method, path, purpose=purpose, query=query, body=body, headers=headers, timeout_s=patience
        )

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        return await self._inner.reach(target, timeout_s=timeout_s)


class StoppedClock(Clock):
    def now(self) -> datetime:
        return datetime(2026, 11, 22, 3, 0, tzinfo=UTC)

    async def sleep(self, seconds: float) -> None:
        del seconds


@functools.cache
def example() -> Any:
    return load(EXAMPLE.read_text(encoding="utf-8")).value


def catalogue_at(port: int, **targets: int) -> Catalogue:
    """The example catalogue with every target on this port, or on a port of its own."""
    value: Any = copy.deepcopy(example())
    for target in value["targets"]:
        own = targets.get(target["name"].replace("-", "_"), port)
        target["base_url"] = target["base_url"].replace(":8900", f":{own}")
    return Catalogue.model_validate(value)


@asynccontextmanager
async def serving(world: World, service: str = "support-bot") -> AsyncIterator[ActionContext]:
    """The world behind a real socket, and a context for one service that reaches it with the real client."""
    app = web.Application()
    app.router.add_route("*", "/{tail:.*}", world.handle)
    runner = web.AppRunner(app, shutdown_timeout=0.1, handler_cancellation=True)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    port = runner.addresses[0][1]
    try:
        catalogue = catalogue_at(port)
        async with SafeHttp(catalogue, SECRETS) as http:
            yield context_for(catalogue, http, service)
    finally:
        await runner.cleanup()


def context_for(catalogue: Catalogue, http: Http, service: str) -> ActionContext:
    declared = catalogue.service(service)
    assert declared
    return ActionContext(service=declared, catalogue=catalogue, http=http, clock=StoppedClock())
