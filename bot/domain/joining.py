"""Which pages belong together, and what a page says about the pager's state. Pure rules."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain.page import Page, PageKind

WINDOW = timedelta(minutes=30)
"""Pages of one service with one failure signature join while less than this lies between them."""

_RANK: dict[PageKind, int] = {
    "triggered": 0, "unacknowledged": 1, "reopened": 1, "escalated": 2, "reassigned": 2, "acknowledged": 3,
    "resolved": 4,
}  # fmt: skip
"""When two events carry the same moment, the later step of an incident's life wins."""
_RANKS: Mapping[str, int] = {str(kind): rank for kind, rank in _RANK.items()}

_PAGER_STATUS: dict[PageKind, str] = {
    "triggered": "triggered", "unacknowledged": "triggered", "reopened": "triggered",
    "acknowledged": "acknowledged", "resolved": "resolved",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Candidate:
    """An incident that a page might belong to."""

    incident_id: str
    active: bool
    refs: frozenset[str]
    """The pager's incident ids already joined to it."""
    key: str
    service: str
    signature: str
    last_page_at: datetime


def find(page: Page, service: str, candidates: Sequence[Candidate]) -> Candidate | None:
    """The incident this page belongs to: the same pager incident; else the same key, or the same service and failure
    signature within the window, among active incidents. Newest last in ``candidates``."""
    for candidate in reversed(candidates):
        if page.incident_ref and page.incident_ref in candidate.refs:
            return candidate
    if page.kind not in ("triggered", "reopened"):
        return None
    for candidate in reversed(candidates):
        if not candidate.active:
            continue
        if page.incident_key and candidate.key == page.incident_key:
            return candidate
        recent = abs(page.occurred_at - candidate.last_page_at) <= WINDOW
        if candidate.service == service and candidate.signature == page.signature and recent:
            return candidate
    return None


def opens(page: Page) -> bool:
    """Whether an incident is made for this page if none fits: anything that carries an incident of its own."""
    return page.kind in _RANK and bool(page.title)


def rank(page: Page) -> int:
    return rank_of(page.kind)


def rank_of(kind: str) -> int:
    """The rank of a kind that a fact names; -1 for what is no step of an incident's life."""
    return _RANKS.get(kind, -1)


def pager_status(page: Page) -> str | None:
    """What the page says about the pager's state, if anything."""
    return _PAGER_STATUS.get(page.kind)


def incident_id(page: Page) -> str:
    """Made from the page that opens it, so that opening it again after a crash is the same incident."""
    return "inc-" + hashlib.sha256(f"{page.source}:{page.event_id}".encode()).hexdigest()[:16]
