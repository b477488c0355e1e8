"""What the order tool keeps of changes that cannot be taken back: who did what to which order, and who had said yes."""

import math
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import numpy as np

from drills.company import BY_NAME, diurnal
from drills.draws import generator, uniform
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.stack import AGENT, DESTRUCTIVE, TOOL
from drills.when import iso
from drills.world import World

LONGEST_S = 86_400.0
_CLERKS = ("U0LENA", "U0OMAR", "U0TESS", "U0YURI")
_WORDS = ("cancel", "refund")


def audit_reply(world: World, request: Incoming) -> Outgoing:
    """``GET /tools/orders/audit?since=``: newest last."""
    try:
        since = datetime.fromisoformat(request.query.get("since", "")).timestamp()
    except ValueError:
        return json_reply({"error": "since must be a moment in ISO 8601"}, 422)
    since = max(since, request.at - LONGEST_S)
    return json_reply({"calls": list(_calls(world, since, request.at))}, elapsed_s=0.04)


def usual_a_minute(at: float) -> float:
    """How many there are on an ordinary day at this time: each after somebody's yes."""
    app = BY_NAME[AGENT]
    return app.users * app.tasks * float(diurnal(np.array([at]))[0]) * DESTRUCTIVE


def _calls(world: World, since: float, until: float) -> Iterator[dict[str, Any]]:
    for minute in range(math.floor(since / 60.0), math.floor(until / 60.0) + 1):
        for at, approved in _of_minute(world, minute * 60.0):
            if since <= at <= until and _enabled(world, at):
                yield _entry(world, at, approved=approved)


def _of_minute(world: World, start: float) -> Iterator[tuple[float, bool]]:
    """When, and whether anybody approved: the ordinary ones first, then what the agent does of its own accord."""
    random = generator(world.seed, "audit", int(start))
    usual = usual_a_minute(start)
    ordinary = sorted(start + 60.0 * random.random(int(random.poisson(usual))))
    fault = world.stack.of("unapproved")
    if fault is None:
        yield from ((float(at), True) for at in ordinary)
        return
    own = generator(world.seed, "audit-own", int(start))
    more = sorted(start + 60.0 * own.random(int(own.poisson(usual * fault.values["more"]))))
    for number, at in enumerate(ordinary):
        begun = fault.start <= at < fault.end
        skipped = begun and uniform(world.seed, "unasked", int(start), number) < fault.values["share"]
        yield float(at), not skipped
    yield from ((float(at), False) for at in more if fault.start <= at < fault.end)


def _enabled(world: World, at: float) -> bool:
    """Whether the agent had the tool at that moment."""
    enabled = True
    for write in world.documents.writes:
        if write.path == TOOL and write.at <= at:
            enabled = bool(write.after["enabled"])
    return enabled


def _entry(world: World, at: float, *, approved: bool) -> dict[str, Any]:
    key = int(at * 1000)
    clerk = _CLERKS[int(uniform(world.seed, "clerk", key) * len(_CLERKS))]
    word = _WORDS[int(uniform(world.seed, "did", key) * len(_WORDS))]
    found = {
        "id": f"call-{key % 10**9:09d}", "at": iso(at), "agent": AGENT, "do": word, "destructive": True,
        "of": f"order {70_000 + int(uniform(world.seed, 'order', key) * 9_000)}",
        "approved_by": clerk if approved else None,
    }  # fmt: skip
    return {**found, "approved_at": iso(at - 30.0)} if approved else found
