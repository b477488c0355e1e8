"""The referee: makes worlds, knows the truth, watches what users go through, and scores. Not for the assistant."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from drills import baselines, noise, pages, score
from drills.company import INDEX_OF
from drills.compose import compose
from drills.definition import read
from drills.draws import digest, uniform
from drills.injections import LOOKALIKE
from drills.missing import never
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.reading import Refused
from drills.scenarios import build, every
from drills.when import iso
from drills.world import World

if TYPE_CHECKING:
    from drills.server import Stage

Json = dict[str, Any]
_ROLLBACK_SHARE = 0.10
"""In this share of runs the harness is asked to undo what was done, and the documents must be as before."""


class Referee:
    """Routes requests below ``/referee``; the server has checked the token."""

    def __init__(self) -> None:
        self.shadow: World | None = None
        """The same world in which nobody does anything."""
        self.healthy: World | None = None
        """The same world without its faults."""

    async def handle(self, request: Incoming, stage: Stage) -> Outgoing:
        """Answer one request."""
        body = request.json()
        body = body if isinstance(body, dict) else {}
        match (request.method, request.path.strip("/")):
            case ("GET", "scenarios"):
                return json_reply({"scenarios": list(every())})
            case ("POST", "worlds"):
                return self._make(body, stage)
            case ("GET", "state"):
                return self._state(stage)
            case ("POST", "advance"):
                return self._advance(body, stage)
            case ("POST", "judge"):
                return self._judge(body, stage)
            case ("POST", "finish"):
                return self._finish(body, stage)
        return json_reply({"error": "not found"}, 404)

    def _make(self, body: Json, stage: Stage) -> Outgoing:
        try:
            drill = read(body["definition"]) if "definition" in body else None
        except Refused as error:
            return json_reply({"error": f"definition: {error}"}, 422)
        name = str(body.get("scenario", "")) if drill is None else drill.id
        if drill is None and name not in every():
            return json_reply({"error": f"no scenario {name!r}; known: {list(every())}"}, 422)
        mode = body.get("mode", "virtual")
        if mode not in ("virtual", "real"):
            return json_reply({"error": "mode must be virtual or real"}, 422)
        seed = int(body.get("seed", 1))
        start = float(body.get("start") or stage.wall())
        level = float(bool(body.get("noise", True))) * (1.0 if drill is None else drill.noise)
        told = "" if drill is None else json.dumps(body["definition"], sort_keys=True)
        order = Order(name=name, definition=told, noise=level, payload=bool(body.get("payload", True)))
        try:
            world = _newborn(order, seed, start).twin()
        except Refused as error:
            return json_reply({"error": f"definition: {error}"}, 422)
        stage.put_on(world, virtual=mode == "virtual")
        self.shadow = world.twin()
        self.healthy = None
        wanted = body.get("baselines", "service")
        services = (world.scenario.service,) if wanted == "service" else None
        scenario = world.scenario
        unknown = wanted == "none" or never(scenario.missing, "recordings")
        found = [] if unknown else baselines.record(self._healthy(world), services)
        return json_reply(
            {
                "world": f"w{digest(seed, name, start) % 10**10:010d}",
                "page": pages.page(seed, scenario, failed=worst_errors(world)),
                "started_at": scenario.started_at,
                "page_at": scenario.page_at,
                "service": scenario.service,
                "baselines": found,
                "changes": told_changes(world),
                "solvable": scenario.solvable,
                "injected": scenario.injected,
                "documents": {"all-clear.md": LOOKALIKE} if scenario.injected else {},
                "rollback_drill": uniform(seed, "rollback-drill", name) < _ROLLBACK_SHARE,
                "approver": {"kind": drill.approver, "seconds": drill.approver_s} if drill else {"kind": "prompt"},
                "assistant_llm": drill.assistant_llm if drill else "up",
            }
        )

    def _state(self, stage: Stage) -> Outgoing:
        world = stage.world
        if world is None:
            return json_reply({"error": "no world; POST /referee/worlds first"}, 409)
        scenario = world.scenario
        return json_reply(
            {
                "scenario": scenario.id,
                "seed": world.seed,
                "truth": list(scenario.truth),
                "service": scenario.service,
                "onset": scenario.onset,
                "ends": scenario.ends,
                "now": world.latest,
                "figures": dict(scenario.figures),
                "solvable": scenario.solvable,
                "sli": score.sli_report(world, self._healthy(world)),
                "writes": [asdict(write) for write in world.documents.writes],
                "documents_hash": world.documents.state_hash(),
                "initial_hash": world.initial_hash,
            }
        )

    def _advance(self, body: Json, stage: Stage) -> Outgoing:
        if stage.world is None:
            return json_reply({"error": "no world; POST /referee/worlds first"}, 409)
        to = float(body.get("to", stage.world.latest))
        stage.world.advance(to)
        return json_reply({"now": stage.world.latest, "at": iso(stage.world.latest)})

    def _finish(self, body: Json, stage: Stage) -> Outgoing:
        world = stage.world
        if world is None:
            return json_reply({"error": "no world; POST /referee/worlds first"}, 409)
        unknown = score.unknown(body)
        if unknown:
            return json_reply({"error": f"unknown keys: {', '.join(unknown)}; see drills/README.md"}, 422)
        return json_reply(score.finish(world, self.shadow or world, self._healthy(world), body))

    def _judge(self, body: Json, stage: Stage) -> Outgoing:
        """What words alone are worth: nothing runs on, and nothing was done."""
        if stage.world is None:
            return json_reply({"error": "no world; POST /referee/worlds first"}, 409)
        unknown = score.unknown(body)
        if unknown:
            return json_reply({"error": f"unknown keys: {', '.join(unknown)}; see drills/README.md"}, 422)
        return json_reply(score.judged(stage.world.scenario, body))

    def _healthy(self, world: World) -> World:
        if self.healthy is None:
            self.healthy = healthy_world(world)
        return self.healthy


def make_world(name: str, seed: int, start: float, *, noise_on: bool = True, payload: bool = True) -> World:
    """A world with its past, up to its start; without its ``payload`` no text in it gives orders."""
    return _newborn(Order(name=name, noise=float(noise_on), payload=payload), seed, start).twin()


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Which world is wanted."""

    name: str
    definition: str = ""
    """A drill of a scenario file, as JSON; empty: the built-in scenario ``name``."""
    noise: float = 1.0
    payload: bool = True


@lru_cache(maxsize=2)
def _newborn(order: Order, seed: int, start: float) -> World:
    """The same scenario is often played again: its past is made once."""
    if order.definition:
        scenario = compose(read(json.loads(order.definition)), seed, start)
    else:
        scenario = build(order.name, seed, start)
    return World(scenario if order.payload else replace(scenario, injected=False), seed, noise=order.noise)


def healthy_world(world: World) -> World:
    """The same, without faults and without the change that caused one."""
    scenario = replace(
        world.scenario, faults=(), prompt_in_production={}, prompt_effects={}, placeholder=None, settings={}
    )
    return World(scenario, world.seed, noise=world.noise)


def worst_errors(world: World) -> float:
    """The largest share of requests that failed in any minute since the onset."""
    scenario = world.scenario
    starts, errors = world.ledger.series(INDEX_OF[scenario.service], "errors")
    seen = errors[(starts >= scenario.onset - 60.0) & (starts <= scenario.page_at)]
    return float(seen.max()) if len(seen) else 0.0


def told_changes(world: World) -> list[Json]:
    """The change log as ``POST /changes`` takes it."""
    holes = [one for one in world.scenario.missing if one.source == "change_log"]
    found = noise.changes(world.seed, world.scenario, noise=world.noise)
    found = tuple(change for change in found if not any(hole.at(change.at) for hole in holes))
    return [
        {
            "id": f"chg-{digest(world.seed, number, change.summary) % 10**8:08d}", "at": iso(change.at),
            "kind": change.kind, "service": change.service, "summary": change.summary, "before": change.before,
            "after": change.after, "actor": change.actor,
        }
        for number, change in enumerate(found)
    ]  # fmt: skip
