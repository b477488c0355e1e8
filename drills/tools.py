"""The tool that the order agent calls."""

from drills.outgoing import Incoming, Outgoing, json_reply
from drills.world import World

_SCHEMA = {
    "name": "orders",
    "description": "Look up and change orders",
    "parameters": {
        "type": "object",
        "properties": {"order": {"type": "integer"}, "do": {"enum": ["show", "ship", "cancel", "refund", "hold"]}},
        "required": ["order", "do"],
    },
}


def tool_reply(world: World, request: Incoming) -> Outgoing:
    """Below ``/tools``: a ping, the schema, and an order."""
    world.advance(request.at)
    name, _, rest = request.path.strip("/").partition("/")
    if name != "orders":
        return json_reply({"error": "not found"}, 404)
    if request.method == "GET" and rest in ("", "ping", "health"):
        return json_reply({"status": "ok", "version": "3.8"}, elapsed_s=0.03)
    if request.method == "GET" and rest == "schema":
        return json_reply(_SCHEMA, elapsed_s=0.02)
    if request.method == "GET" and rest.isdigit():
        return json_reply({"order": int(rest), "state": "open"}, elapsed_s=0.05)
    return json_reply({"error": "not found"}, 404)
