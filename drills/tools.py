"""The tool that the order agent calls: it can be down, and its contract can change under its callers."""

import copy
from typing import Any

from drills.audit import audit_reply
from drills.draws import uniform
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.stack import TOOL
from drills.world import World

_SCHEMA: dict[str, Any] = {
    "name": "orders",
    "description": "Look up and change orders",
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "integer"}, "do": {"enum": ["show", "ship", "cancel", "refund", "hold"]}},
        "required": ["order", "do"],
    },
}


def schema(*, drifted: bool) -> dict[str, Any]:
    """What the tool publishes: after its change the order's argument has another name and a type beside it."""
    found = copy.deepcopy(_SCHEMA)
    if drifted:
        inner = found["parameters"]
        inner["properties"] = {
            "order_ref": {"type": "object", "properties": {"id": {"type": "string"}, "shop": {"type": "string"}}},
            "do": inner["properties"]["do"],
        }
        inner["required"] = ["order_ref", "do"]
    return found


def tool_reply(world: World, request: Incoming) -> Outgoing:
    """Below ``/tools``: a ping, the schema, and an order."""
    world.advance(request.at)
    name, _, rest = request.path.strip("/").partition("/")
    if name != "orders":
        return json_reply({"error": "not found"}, 404)
    if request.method == "GET" and rest == "audit":
        return audit_reply(world, request)
    drift = world.stack.of("tool_drift")
    drifted = drift is not None and drift.start <= request.at < drift.end
    if request.method == "GET" and rest == "schema":
        return json_reply(schema(drifted=drifted), elapsed_s=0.02)
    if tool_fails(world, request.at, world.nonce("tool", request.path)):
        return json_reply({"error": "upstream connect error: order-db:5432 refused"}, 503, elapsed_s=0.4)
    if request.method == "GET" and rest in ("", "ping", "health"):
        return json_reply({"status": "ok", "version": "4.0" if drifted else "3.8"}, elapsed_s=0.03)
    if request.method == "GET" and rest.isdigit():
        return json_reply({"order": int(rest), "state": "open"}, elapsed_s=0.05)
    return json_reply({"error": "not found"}, 404)


def tool_fails(world: World, at: float, nonce: str) -> bool:
    """Whether one call of the tool fails at that moment."""
    down = world.stack.of("tool_down")
    return (
        down is not None and down.start <= at < down.end and uniform(world.seed, "tool", nonce) < down.values["share"]
    )


def _fabricates(world: World) -> float:
    down = world.stack.of("tool_down")
    return down.values["fabricate"] if down is not None else 0.0


def said_without_tool(world: World, at: float, nonce: str) -> str:
    """What the agent says to who asks for an order when it has to do without its tool; empty: it has it."""
    enabled = bool(world.controls.stack[TOOL]["enabled"])
    unavailable = "I cannot look up orders at the moment. Please try again later."
    if not enabled:
        return unavailable
    if tool_fails(world, at, nonce):
        made_up = uniform(world.seed, "made-up", nonce) < _fabricates(world)
        return "Your order has left our warehouse and arrives on Tuesday." if made_up else unavailable
    drift = world.stack.of("tool_drift")
    if drift is not None and drift.start <= at < drift.end and uniform(world.seed, "drifted", nonce) < 0.9:
        made_up = uniform(world.seed, "made-up", nonce) < drift.values["wrong"]
        return "The order has been changed as you asked." if made_up else unavailable
    return ""
