"""One page after the other against a broken application: how long until its card, and until its proposal."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bot.bench.clicking import clicks
from bot.bench.figures import Figure, percentile, spread
from bot.bench.pages import Planned, page
from bot.bench.sender import Sender
from bot.bench.stage import Server, Stage, stage

SCENARIO = "S06"
"""An exhausted quota: real probes of some seconds, all of which end, and a mitigation to propose."""
ACTING = (0, 1, 2)
"""Services of the catalogue that are in act mode, use the broken provider and have another one to go to."""
ROUNDS = 7
SETTLED_WITHIN_S = 90.0
BETWEEN_S = 4.0
"""So that Slack's own pace of one message a second is not what is measured; ours of one a minute is switched off."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Course:
    """One incident in seconds: from the 202 to its card, and to its proposal with the probes in between."""

    card_s: float | None
    proposal_s: float | None
    chain_s: float

    @property
    def beyond_s(self) -> float | None:
        """What the proposal took beyond the slowest chain of probes."""
        return None if self.proposal_s is None else self.proposal_s - self.chain_s


def figures() -> list[Figure]:
    """Page to first card, page to proposal beyond its probes, and click to what it changes."""
    with stage(message_every_s=0.0) as made:
        made.break_world(SCENARIO)
        server = Server(made)
        server.until_accepting(page(8, 0, 7, 1, mark="before the measurement"))
        server.until_ready()
        server.until_warm()
        courses = [_course(made, server, planned) for planned in _pages()]
        clicked = clicks(made)
    return [_card(courses), _proposal(courses), clicked]


def chain(findings: Sequence[Mapping[str, Any]]) -> float:
    """The longest chain of probes of which each began after the one before had ended: the sum of what they took."""
    spans = []
    for finding in findings:
        began = datetime.fromisoformat(finding["started_at"]).timestamp()
        spans.append((began + finding["elapsed_s"], began, float(finding["elapsed_s"])))
    spans.sort()
    best = [0.0]  # best[i]: the longest chain among the first i to end
    for number, (_, began, elapsed) in enumerate(spans):
        before = sum(ended <= began for ended, _, _ in spans[:number])
        best.append(max(best[-1], best[before] + elapsed))
    return best[-1]


def _pages() -> list[Planned]:
    """Of the services in turn; the title's letters make each an incident of its own."""
    return [
        page(8, 1 + number * len(ACTING) + turn, service, 0, mark=f"case {chr(97 + number)}")
        for number in range(ROUNDS)
        for turn, service in enumerate(ACTING)
    ]


def _course(made: Stage, server: Server, planned: Planned) -> Course:
    sender = Sender(made.address, made.secret)
    asyncio.run(sender.send([planned], 0.0))
    accepted = sender.answers[planned.event_id].accepted_at
    assert accepted is not None
    view = _settled(server, planned)
    time.sleep(BETWEEN_S)
    card_at = made.cards().get(view["incident"]["id"])
    made_at = _at(view, "proposal_made")
    return Course(
        card_s=card_at - accepted if card_at else None, proposal_s=made_at - accepted if made_at else None,
        chain_s=chain([f for f in view["findings"] if f["round"] == 0]),
    )  # fmt: skip


def _settled(server: Server, planned: Planned) -> dict[str, Any]:
    """The incident of a page, when its investigation has ended."""
    last = time.monotonic() + SETTLED_WITHIN_S
    while True:
        found = [i for i in server.get("/incidents", limit="100") if i["pager_ref"] == planned.reference]
        view: dict[str, Any] = server.get(f"/incidents/{found[0]['id']}") if found else {}
        if view and _at(view, "investigation_ended") is not None:
            return view
        if time.monotonic() > last:
            raise TimeoutError(f"{planned.title}: not investigated within {SETTLED_WITHIN_S:.0f} s")
        time.sleep(0.5)


def _at(view: Mapping[str, Any], kind: str) -> float | None:
    moments = [e["at"] for e in view["timeline"] if e["fact"]["kind"] == kind]
    return datetime.fromisoformat(moments[0]).timestamp() if moments else None


def _card(courses: Sequence[Course]) -> Figure:
    what = "Page to first card, without Slack's own time: p95"
    cards = [course.card_s for course in courses if course.card_s is not None]
    if len(cards) < len(courses):
        detail = f"{len(courses) - len(cards)} of {len(courses)} pages got no card"
        return Figure(what=what, value=None, unit="s", must=1.0, detail=detail)
    detail = f"{spread(cards, 's')}; from the 202 to the workspace's receipt of chat.postMessage"
    return Figure(what=what, value=percentile(cards, 0.95), unit="s", must=1.0, detail=detail)


def _proposal(courses: Sequence[Course]) -> Figure:
    what = "Page to proposal beyond the slowest chain of probes: p95"
    beyond = [course.beyond_s for course in courses if course.beyond_s is not None]
    if not beyond:
        return Figure(what=what, value=None, unit="s", must=0.5, detail="no page led to a proposal")
    whole = [course.proposal_s for course in courses if course.proposal_s is not None]
    detail = f"{spread(beyond, 's')} with a proposal, of {len(courses)} pages; to the proposal {spread(whole, 's')}"
    return Figure(what=what, value=percentile(beyond, 0.95), unit="s", must=0.5, detail=detail)
