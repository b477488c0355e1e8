"""What the pager is told of duty: whom to page as a responder, and for how long to be quiet."""

import math
from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Any

from bot.domain.untrusted import quote
from bot.edges.outbox import Letter
from bot.ports import Pager, Responder, Undeliverable

Amend = Callable[[Mapping[str, Any]], Awaitable[None]]
"""Keep what was found out before it is sent: sending it again is then sending the same."""


async def send(letter: Letter, pager: Pager, now: datetime, amend: Amend) -> str:
    """Tell it; returns what the thread is to be told then, escaped."""
    data = letter.data
    ref, by = str(data["ref"]), str(data["by"])
    if letter.kind == "snooze":
        seconds = math.ceil((datetime.fromisoformat(str(data["until"])) - now).total_seconds())
        if seconds < 1:
            raise Undeliverable(f"the time for which {ref} was to be snoozed is over")
        await pager.snooze(ref, seconds, by)
        return f"PagerDuty has snoozed {quote(ref, 64)}."
    if "id" not in data:
        found = await pager.find(str(data["target"]))
        data = {**data, "id": found.id, "kind": found.kind, "name": found.name}
        await amend(data)
    responder = Responder(id=str(data["id"]), kind=data["kind"], name=str(data["name"]))
    await pager.request(ref, responder, str(data["message"]), by)
    return f"PagerDuty was asked to page {quote(responder.name, 80)} for {quote(ref, 64)}."
