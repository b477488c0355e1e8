"""From a person's click on Approve to the card that shows it, through the workspace as a browser uses it."""

import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from bot.bench.figures import Figure, percentile, spread
from bot.bench.stage import Stage, StageError
from bot.edges.slack_blocks import action_id

APPROVERS = {"C0ASSIST": "U0ANA", "C0TRUST": "U0CHI", "C0CREATOR": "U0EVA"}
"""One of each team, in its channel."""
WITHIN_S = 20.0
MUST_S = 0.3
BETWEEN_S = 5.0
"""Each click makes some four edits: so that Slack's pace for them, fifty a minute, is not what is measured."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Card:
    """A card that waits for a decision."""

    channel: str
    ts: str
    block_id: str


def clicks(made: Stage) -> Figure:
    """Approve every card that is open, one after the other."""
    what = "Click on Approve to the card that shows it, own time: p95"
    with httpx.Client(base_url=made.slack, timeout=30) as person:
        token = re.search(r'name="ui-token" content="([^"]+)"', person.get("/").text)
        if token is None:
            raise StageError("the workspace's page carries no token")
        person.headers["x-ui-token"] = token[1]
        cards = list(_open(person))
        waits = [_click(person, card) for card in cards if _still(person, card)]
    seen = [wait for wait in waits if wait is not None]
    if not seen or len(seen) < len(waits):
        detail = f"{len(waits) - len(seen)} of {len(waits)} clicks were not seen within {WITHIN_S:.0f} s"
        return Figure(what=what, value=None, unit="s", must=MUST_S, detail=detail)
    taken_back = len(cards) - len(waits)
    detail = (
        f"{spread(seen, 's')}; from the click to the workspace's receipt of chat.update without the button; "
        f"{taken_back} other proposals were taken back before, by what the first had changed"
    )
    return Figure(what=what, value=percentile(seen, 0.95), unit="s", must=MUST_S, detail=detail)


def _open(person: httpx.Client) -> Iterator[Card]:
    for channel, user in APPROVERS.items():
        state = person.get("/ui/state", params={"user": user}).json()
        shown = next(one for one in state["channels"] if one["id"] == channel)
        for message in shown["messages"]:
            block = _votable(message.get("blocks", []))
            if block is not None:
                yield Card(channel=channel, ts=message["ts"], block_id=block["block_id"])


def _votable(blocks: Any) -> Mapping[str, Any] | None:
    listed = json.loads(blocks) if isinstance(blocks, str) else blocks
    approve = action_id("approve")
    return next((b for b in listed if any(e.get("action_id") == approve for e in b.get("elements", []))), None)


def _still(person: httpx.Client, card: Card) -> bool:
    time.sleep(BETWEEN_S)
    return any(one.ts == card.ts for one in _open(person))


def _click(person: httpx.Client, card: Card) -> float | None:
    body = {"user": APPROVERS[card.channel], "channel": card.channel, "ts": card.ts, "block_id": card.block_id,
            "action_id": action_id("approve")}  # fmt: skip
    began = time.time()
    person.post("/ui/action", json=body).raise_for_status()
    while time.time() - began < WITHIN_S:
        shown = [at for at in _updates(person, card) if at >= began]
        if shown:
            return min(shown) - began
        time.sleep(0.05)
    return None


def _updates(person: httpx.Client, card: Card) -> Iterator[float]:
    """When the card was given a form that has no Approve button."""
    for call in person.get("/control/log", params={"method": "chat.update"}).json()["calls"]:
        if call["ok"] and call["args"].get("ts") == card.ts and _votable(call["args"].get("blocks", [])) is None:
            yield float(call["at"])
