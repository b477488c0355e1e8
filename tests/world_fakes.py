"""Worlds for tests: a server on a free port, and worlds that are only read."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import aiohttp
from aiohttp import web

from drills import sli
from drills.referee import healthy_world, make_world
from drills.server import application
from drills.world import World

START = 1_795_348_800.0
"""2026-11-22 12:00:00 UTC."""
TOKEN = "for-the-referee"


@lru_cache(maxsize=6)
def read_only(name: str, seed: int = 2) -> tuple[World, World]:
    """A newborn world and the same one without faults; only to be read, or taken a twin of."""
    world = make_world(name, seed, START)
    return world, healthy_world(world)


def fine_before_and_at_the_page(name: str) -> tuple[float, bool]:
    """The share of steps before the onset in which users were served as they should be, and whether they are when the
    page comes."""
    world, healthy = (one.twin() for one in read_only(name, 2))
    world.advance(world.scenario.page_at)
    seen = sli.signal(world, healthy, world.scenario.service)
    fine = seen.within(world.scenario.sli)
    return float(fine[seen.starts < world.scenario.onset].mean()), bool(fine[-1])


@dataclass
class Client:
    """Talks to a world's server."""

    base: str
    session: aiohttp.ClientSession
    now: float | None = None

    async def send(
        self, method: str, path: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> aiohttp.ClientResponse:
        sent = dict(headers or {})
        if self.now is not None:
            sent["x-sim-now"] = f"{self.now:.6f}"
        reply = await self.session.request(method, self.base + path, json=body, headers=sent)
        await reply.read()
        return reply

    async def get(self, path: str) -> Any:
        return await (await self.send("GET", path)).json(content_type=None)

    async def referee(self, method: str, path: str, body: Any = None) -> Any:
        reply = await self.session.request(
            method, f"{self.base}/referee{path}", json=body, headers={"x-referee-token": TOKEN}
        )
        return await reply.json()

    async def make(self, scenario: str, seed: int = 1, **more: Any) -> Any:
        """A world in virtual time, standing at its page."""
        body = {"scenario": scenario, "seed": seed, "start": START, "baselines": "none", **more}
        born = await self.referee("POST", "/worlds", body)
        self.now = born["page_at"] if body.get("mode", "virtual") == "virtual" else None
        return born

    async def query(self, text: str) -> dict[str, float]:
        """An instant query; values by their labels."""
        reply = await self.session.get(
            f"{self.base}/prometheus/api/v1/query", params={"query": text}, headers={"x-sim-now": str(self.now)}
        )
        found = (await reply.json())["data"]["result"]
        return {
            ",".join(f"{k}={v}" for k, v in sorted(entry["metric"].items())): float(entry["value"][1])
            for entry in found
        }


def chat(model: str, text: str, **more: Any) -> dict[str, Any]:
    """A chat completion request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], "max_tokens": 16, **more}


@asynccontextmanager
async def running() -> AsyncIterator[Client]:
    """A server on a free port."""
    runner = web.AppRunner(application(TOKEN))
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    place = runner.addresses[0]
    try:
        async with aiohttp.ClientSession() as session:
            yield Client(base=f"http://{place[0]}:{place[1]}", session=session)
    finally:
        await runner.cleanup()
