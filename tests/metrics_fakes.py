"""A small Prometheus of canned series on a real socket, with a gateway and an ingestion beside it, and a client."""

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import aiohttp
from aiohttp import web

from config.http import HttpError, Purpose, ReachStep, Reply
from diagnostics.model import AnyProbe, Params, ProbeContext, Reading
from tests.diagnosis_fakes import T0, KeptBaselines, KeptChanges, MovedClock, context

Curve = Callable[[float], float | None]
"""Minutes after the start of the incident (negative: before) -> a rate a minute, or a level; None: no sample."""
SELECTOR = re.compile(r"(?P<name>[a-zA-Z_:][\w:]*)\{(?P<labels>[^}]*)\}(?:\[(?P<window>\d+)s\])?")
BY = re.compile(r"^(?P<agg>sum|max)(?: by \((?P<by>[^)]*)\))?\s*\(")


def steady(value: float) -> Curve:
    return lambda _: value


def step(before: float, after: float, *, at: float = -5.0, until: float = 1e9) -> Curve:
    """``after`` from so many minutes relative to the start of the incident."""
    return lambda minute: after if at <= minute < until else before


def ends(value: float, *, at: float) -> Curve:
    """No samples from then on."""
    return lambda minute: value if minute < at else None


@dataclass
class Series:
    """One exported series: a counter by its rate a minute, or a gauge by its level."""

    labels: Mapping[str, str]
    curve: Curve
    counter: bool = True


@dataclass
class World:
    """What the local server answers with."""

    series: dict[str, list[Series]] = field(default_factory=dict)
    pages: dict[str, tuple[int, Any]] = field(default_factory=dict)
    """Path -> status and JSON document, for everything that is not Prometheus."""
    asked: list[str] = field(default_factory=list)
    """Queries in the order they came."""
    broken: tuple[int, str] | None = None

    def counter(self, name: str, curve: Curve | float, *, service: str = "chat-assistant", **labels: str) -> None:
        self._add(name, curve, counter=True, labels={"service": service, **labels})

    def gauge(self, name: str, curve: Curve | float, *, service: str = "chat-assistant", **labels: str) -> None:
        self._add(name, curve, counter=False, labels={"service": service, **labels})

    def histogram(self, name: str, shares: Mapping[str, Curve | float], **labels: str) -> None:
        """Cumulative buckets: upper bound -> rate a minute of everything up to it."""
        for bound, curve in shares.items():
            self.counter(f"{name}_bucket", curve, le=bound, **labels)

    def drop(self, name: str) -> None:
        for key in [key for key in self.series if key in (name, f"{name}_bucket")]:
            del self.series[key]

    def _add(self, name: str, curve: Curve | float, *, counter: bool, labels: Mapping[str, str]) -> None:
        shape = steady(curve) if isinstance(curve, int | float) else curve
        kept = {key: value for key, value in labels.items() if value}
        self.series.setdefault(name, []).append(Series(labels=kept, curve=shape, counter=counter))

    # --- Prometheus ----------------------------------------------------------------------------------------------

    def query(self, query: Mapping[str, str]) -> Any:
        text = query["query"]
        self.asked.append(text)
        selected = SELECTOR.search(text)
        assert selected is not None, text
        wanted = dict(re.findall(r'(\w+)="([^"]*)"', selected["labels"]))
        found = [s for s in self.series.get(selected["name"], []) if wanted.items() <= s.labels.items()]
        window = int(selected["window"]) if selected["window"] else 0
        aggregate = BY.match(text)
        assert aggregate is not None, text
        by = [name.strip() for name in (aggregate["by"] or "").split(",") if name.strip()]
        moments = self._moments(query)
        groups: dict[tuple[tuple[str, str], ...], list[Series]] = {}
        for one in found:
            key = tuple((label, one.labels[label]) for label in by if label in one.labels)
            groups.setdefault(key, []).append(one)
        result = []
        for key, members in groups.items():
            values = [(at, _value(members, at, window, aggregate["agg"])) for at in moments]
            points = [[at, str(value)] for at, value in values if value is not None]
            if points:
                shape = {"values": points} if "start" in query else {"value": points[-1]}
                result.append({"metric": dict(key), **shape})
        kind = "matrix" if "start" in query else "vector"
        return {"status": "success", "data": {"resultType": kind, "result": result}}

    def _moments(self, query: Mapping[str, str]) -> list[float]:
        if "time" in query:
            return [float(query["time"])]
        start, end, width = (float(query[name]) for name in ("start", "end", "step"))
        return [start + width * i for i in range(int((end - start) / width + 1e-6) + 1)]


def _value(members: Sequence[Series], at: float, window: int, aggregate: str) -> float | None:
    values = [v for one in members if (v := _one(one, at, window)) is not None]
    if not values:
        return None
    return max(values) if aggregate == "max" else sum(values)


def _one(series: Series, at: float, window: int) -> float | None:
    minute = (at - T0.timestamp()) / 60
    if not window:
        return series.curve(minute)
    # The mean rate over the window, seen every fifteen seconds as a scrape would.
    seen = [series.curve(minute - second / 60) for second in range(0, window, 15)]
    known = [value for value in seen if value is not None]
    return sum(known) / len(seen) * window / 60 if known else None


class Client:
    """An :class:`config.http.Http` on one local server: every target is there, metrics and documents apart."""

    def __init__(self, base: str, session: aiohttp.ClientSession, world: World) -> None:
        self._base = base
        self._session = session
        self._world = world
        self.refuse: set[str] = set()
        """Targets that nobody answers for."""

    async def request(self, target: str, method: str, path: str, *, purpose: Purpose = "read",
                      query: Mapping[str, str] | None = None, body: object = None,
                      headers: Mapping[str, str] | None = None, timeout_s: float = 8.0) -> Reply:  # fmt: skip
        if target in self.refuse:
            raise HttpError("connect", target, "connection refused")
        async with self._session.request(method, f"{self._base}/{target}{path}", params=query, json=body) as reply:
            return Reply(status=reply.status, body=await reply.read(), first_byte_s=0.01, elapsed_s=0.02)

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        return ()


@asynccontextmanager
async def serving(world: World) -> AsyncIterator[Client]:
    async def answer(request: web.Request) -> web.Response:
        target, _, path = request.path.lstrip("/").partition("/")
        if target == "prometheus":
            if world.broken:
                return web.Response(status=world.broken[0], text=world.broken[1])
            return web.json_response(world.query(dict(request.query)))
        status, document = world.pages.get(f"{target}/{path}", (404, {"error": "not found"}))
        return web.Response(status=status, text=json.dumps(document), content_type="application/json")

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    host, port = runner.addresses[0][:2]
    try:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
            yield Client(f"http://{host}:{port}", session, world)
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)


async def look(probe: AnyProbe, world: World, *, refuse: Sequence[str] = (), minutes: float = 0.0,
               service: str = "chat-assistant", params: Params | None = None, baselines: KeptBaselines | None = None,
               changes: KeptChanges | None = None) -> Reading:  # fmt: skip
    """Run a probe so many minutes after the start of the incident."""
    async with serving(world) as http:
        http.refuse.update(refuse)
        clock = MovedClock()
        await clock.sleep(60 * minutes)
        seen: ProbeContext = replace(
            context(service=service, clock=clock, baselines=baselines, changes=changes), http=http
        )
        reading: Reading = await probe.run(seen, params or probe.spec.params())
    assert reading.outcome in {*probe.spec.outcomes, "inconclusive"}
    assert reading.summary.endswith(".")
    return reading


def healthy(service: str = "chat-assistant") -> World:
    """A service on an ordinary day: 250 requests a minute, 0.3 % of them fail."""
    world = World()
    duration = "gen_ai_client_operation_duration_seconds"
    world.counter(f"{duration}_count", 249.25, service=service)
    world.counter(f"{duration}_count", 0.75, service=service, error_type="500")
    buckets = {"0.64": 5, "1.28": 60, "2.56": 180, "5.12": 240, "10.24": 249, "+Inf": 250}
    world.histogram(duration, buckets, service=service)
    first = {"0.16": 5, "0.32": 60, "0.64": 200, "1.28": 246, "+Inf": 250}
    world.histogram("gen_ai_client_operation_time_to_first_chunk_seconds", first, service=service)
    world.gauge("app_quality_score", lambda minute: 0.92 + 0.004 * (int(minute) % 3 - 1), service=service)
    world.counter("app_user_reports_total", 1.0, service=service)
    world.gauge("up", 1, service=service)
    world.gauge("llm_judge_agreement", lambda minute: 0.93 + 0.003 * (int(minute) % 3 - 1), service=service)
    for kind, tokens in (("input", 1150), ("output", 260)):
        world.counter("gen_ai_client_token_usage_sum", tokens * 250, service=service, gen_ai_token_type=kind)
        world.counter("gen_ai_client_token_usage_count", 250, service=service, gen_ai_token_type=kind)
    for reason, rate in (("stop", 242), ("length", 5), ("content_filter", 1), ("refusal", 1), ("tool_calls", 1)):
        world.counter("llm_finish_reasons_total", rate, service=service, reason=reason)
    world.gauge("app_users_active", lambda minute: 800 + int(minute) % 7, service=service)
    wobble: Curve = lambda minute: 1 + 0.01 * (int(minute / 5) % 5 - 2)  # noqa: E731
    for tenant, share in (("northwind", 0.3), ("globex", 0.25), ("initech", 0.25), ("hooli", 0.2)):
        labels = {"service": service, "tenant": tenant}
        world.counter("app_tasks_total", lambda m, s=share: 240 * s * (wobble(m) or 1), **labels)  # type: ignore[misc]
        world.counter("app_llm_calls_total", lambda m, s=share: 250 * s * (wobble(m + 5) or 1), **labels)  # type: ignore[misc]
        world.counter("app_llm_attempts_total", lambda m, s=share: 251 * s * (wobble(m + 5) or 1), **labels)  # type: ignore[misc]
        world.counter("app_tokens_total", lambda m, s=share: 250 * 1410 * s * (wobble(m) or 1), **labels)  # type: ignore[misc]
    world.counter("litellm_deployment_cooled_down_total", 0.0, service=service, exception_status="500")
    world.counter("litellm_deployment_successful_fallbacks_total", 0.02, service=service)
    world.gauge("litellm_in_flight_requests", lambda minute: 12 + int(minute) % 4, service=service)
    world.counter("litellm_request_total_latency_metric_sum", 250 * 2.1, service=service)
    world.counter("litellm_request_total_latency_metric_count", 250, service=service)
    world.counter("litellm_llm_api_latency_metric_sum", 250 * 2.08, service=service)
    world.pages["llm-gateway/health/readiness"] = (200, {"status": "connected"})
    world.pages["llm-gateway/health/liveliness"] = (200, "I'm alive!")
    world.pages["llm-gateway-admin/deployments"] = (200, {"deployments": deployments()})
    return world


def deployments(**states: tuple[str, float]) -> list[dict[str, Any]]:
    """Three deployments; ``zone_a=("failing", 0.4)`` and so on change one."""
    usual = {"zone_a": ("healthy", 0.002), "zone_b": ("healthy", 0.002), "us": ("healthy", 0.001), **states}
    names = {"zone_a": "acme-openai-zone-a", "zone_b": "acme-openai-zone-b", "us": "beta-anthropic-us"}
    return [
        {"id": names[key], "provider": names[key].rsplit("-", 1 if key == "us" else 2)[0], "zone": key, "region": "eu",
         "drained": False, "state": state, "requests_per_min": 125, "error_share": share, "headroom_percent": 60}
        for key, (state, share) in usual.items()
    ]  # fmt: skip
