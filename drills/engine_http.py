"""The engine's admin API over HTTP: its replicas, and the documents by which they are drained and added."""

from typing import Any

from drills import engine
from drills.admin import document_reply
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.world import World


def handle(world: World, request: Incoming) -> Outgoing:
    """Below ``/engine``."""
    part, _, path = request.path.strip("/").partition("/")
    if part != "admin":
        return json_reply({"error": "not found"}, 404)
    if request.method == "GET" and path == "replicas":
        return json_reply({"replicas": listed(world, request.at)}, elapsed_s=0.015)
    return document_reply(world, request, f"engine/{path}")


def listed(world: World, at: float) -> list[dict[str, Any]]:
    """How each replica does now."""
    state = world.moment(at).effects.path.engine
    controls = world.controls
    rate = world.ledger.engine[0][world.ledger.before(at, 12)].mean(axis=0)
    return engine.replicas(state, rate, controls.engine_scale, controls.engine_drained)
