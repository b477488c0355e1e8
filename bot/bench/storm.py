"""A storm of pages while investigations run, and the same with the process killed in the middle."""

import asyncio
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.bench.figures import Figure, percentile, spread
from bot.bench.pages import Planned, page, storm
from bot.bench.sender import Sender
from bot.bench.stage import Server, Stage, stage

PAGES = 500
OVER_S = 60.0
VISIBLE_WITHIN_S = 180.0
SETTLES_S = 65.0
"""So that what waited for the channel's minute has come, too."""
CHANNEL = "C0ASSIST"
"""Of the team that owns the service of the one cause."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What the product's API tells after a storm."""

    pages: Counter[str]
    """Event id -> how often it stands in a timeline."""
    first: dict[str, str]
    """Incident -> the event id of the page that opened it."""
    investigations: tuple[tuple[float, float], ...]
    """Begin and end in seconds since the epoch; infinity while one runs."""

    def busy(self, begin: float, end: float) -> float:
        """Share of this time in which at least one investigation ran."""
        reached, total = begin, 0.0
        for started, ended in sorted(self.investigations):
            total += max(0.0, min(ended, end) - max(started, reached))
            reached = max(reached, min(ended, end))
        return total / (end - begin)


def in_full() -> list[Figure]:
    """500 pages in 60 s: how fast they are accepted, and whether any is lost."""
    with stage() as made:
        server = _ready(made)
        sender = Sender(made.address, made.secret)
        began = time.time()
        asyncio.run(sender.send(storm(PAGES, seed=1), OVER_S))
        ended = time.time()
        seen, visible_s = _until_visible(server, sender.accepted())
        lost = sender.accepted() - set(seen.pages)
        seconds = sender.seconds()
        detail = (
            f"{spread([1000 * s for s in seconds], 'ms')}; {sender.refusals()} tries refused; {len(seen.first)} "
            f"incidents; investigations ran in {seen.busy(began, ended):.0%} of the time; first cards at the channels' "
            f"pace after {spread(_cards(made, sender, seen), 's')}"
        )
        return [
            Figure(what="500 pages in 60 s: p99 of the 202", value=percentile(seconds, 0.99), unit="s", must=1,
                   detail=detail),
            Figure(what="500 pages in 60 s: accepted and lost", value=len(lost), unit="", must=0,
                   detail=f"{len(sender.accepted())} accepted; {_shown(seen, visible_s)}"),
        ]  # fmt: skip


def of_one_cause() -> list[Figure]:
    """500 pages in 60 s that are all one failure: one incident, one card, and few messages."""
    with stage() as made:
        server = _ready(made)
        before = len(server.get("/incidents", active="false", limit="500"))
        sender = Sender(made.address, made.secret)
        asyncio.run(sender.send([page(4, number, 0, 0, 5 + number % 90) for number in range(PAGES)], OVER_S))
        seen, visible_s = _until_visible(server, sender.accepted())
        time.sleep(SETTLES_S)
        opened = len(server.get("/incidents", active="false", limit="500")) - before
        detail = f"{len(sender.accepted())} accepted; {_shown(seen, visible_s)}; counted {SETTLES_S:.0f} s later"
        what = "500 pages in 60 s for one cause"
        return [
            Figure(what=f"{what}: incidents", value=opened, unit="", must=1, detail=detail),
            Figure(what=f"{what}: messages in the channel and its threads", value=made.messages(CHANNEL), unit="",
                   must=4, detail="edits of the card not counted"),
        ]  # fmt: skip


def with_a_kill() -> list[Figure]:
    """The same, and after half of the pages the process is killed and started again."""
    with stage() as made:
        server = _ready(made)
        sender = Sender(made.address, made.secret, half=PAGES // 2)
        pages = storm(PAGES, seed=2)
        before, server = asyncio.run(_send_and_kill(sender, pages, server))
        seen, visible_s = _until_visible(server, sender.accepted())
        lost = sender.accepted() - set(seen.pages)
        detail = (
            f"{before} accepted before SIGKILL, {len(sender.accepted())} in all, {sender.refusals()} tries without "
            f"an answer; {_shown(seen, visible_s)}"
        )
        what = "500 pages in 60 s, killed in the middle: accepted and lost"
        return [Figure(what=what, value=len(lost), unit="", must=0, detail=detail)]


async def _send_and_kill(sender: Sender, pages: Sequence[Planned], server: Server) -> tuple[int, Server]:
    sending = asyncio.create_task(sender.send(pages, OVER_S))
    async with asyncio.timeout(2 * OVER_S):
        await sender.half_accepted.wait()
    server.kill()
    before = len(sender.accepted())
    again = Server(server.stage)
    await sending
    return before, again


def _ready(made: Stage) -> Server:
    """A server that is warm, in a world with an outage."""
    made.break_world("S01")
    server = Server(made)
    server.until_accepting(page(9, 0, 7, 1, mark="before the storm"))
    server.until_ready()
    server.until_warm()
    return server


def _until_visible(server: Server, wanted: set[str]) -> tuple[Seen, float]:
    """Until every wanted page stands in a timeline, or for three minutes; and how long that took."""
    began = time.perf_counter()
    while True:
        seen = _look(server)
        took = time.perf_counter() - began
        if wanted <= set(seen.pages) or took > VISIBLE_WITHIN_S:
            return seen, took
        time.sleep(1)


def _look(server: Server) -> Seen:
    pages: Counter[str] = Counter()
    spans: list[tuple[float, float]] = []
    first: dict[str, str] = {}
    for incident in server.get("/incidents", active="false", limit="500"):
        begun = 0.0
        for entry in server.get(f"/incidents/{incident['id']}/timeline"):
            fact, at = entry["fact"], datetime.fromisoformat(entry["at"]).timestamp()
            if fact["kind"] in ("page_received", "page_joined", "page_stale"):
                pages[fact["data"]["event_id"]] += 1
                first.setdefault(incident["id"], fact["data"]["event_id"])
            elif fact["kind"] == "investigation_started":
                begun = begun or at
            elif fact["kind"] == "investigation_ended" and begun:
                spans.append((begun, at))
                begun = 0.0
        spans += [(begun, float("inf"))] if begun else []
    return Seen(pages=pages, first=first, investigations=tuple(spans))


def _cards(made: Stage, sender: Sender, seen: Seen) -> list[float]:
    """Seconds from the 202 of the page that opened an incident to its card, for every incident that has one."""
    posted = made.cards()
    opened = {incident: sender.answers.get(event) for incident, event in seen.first.items()}
    return [
        posted[incident] - answer.accepted_at
        for incident, answer in opened.items()
        if answer is not None and answer.accepted_at is not None and incident in posted
    ]


def _shown(seen: Seen, seconds: float) -> str:
    twice = sum(count > 1 for count in seen.pages.values())
    return f"looked up in the timelines {seconds:.1f} s after the last answer, {twice} of them twice"
