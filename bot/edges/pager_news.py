"""Events of the pager that people look to: which of them are only the answer to what was done from here, and which the
thread is told. Text and names in them are untrusted."""

import html
import re
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, select

from bot.domain import codec, page_facts
from bot.domain.page import Page, PageKind
from bot.edges import outbox
from bot.edges.schema import page

EARLY, LATE = timedelta(minutes=5), timedelta(minutes=15)
"""How long before our first and after our last try an event may have happened, by the sender's clock, to be ours."""
_LETTERS: Mapping[PageKind, str] = {
    "note": "note", "status_update": "update", "priority": "priority", "reassigned": "assign", "responder": "responder",
    "escalated": "status", "acknowledged": "status", "resolved": "status",
}  # fmt: skip
_SEVERAL = ("note", "status_update", "responder")
"""What is told by what it says; the others count once, as the next person may do the same again."""
_SAME: Mapping[PageKind, str] = {"escalated": "assigned", "reassigned": "assigned"}


def ours(connection: Connection, incident_id: str, new: Page) -> str | None:
    """Who did from here what this event tells of; None when it was done in the pager itself."""
    kind = _LETTERS.get(new.kind)
    if kind is None or new.source != "pagerduty":
        return None
    for row, data in outbox.letters(connection, incident_id, kind):
        if data.get("ref") == new.incident_ref and _in_time(data, new.occurred_at) and _meant(data, new):
            if new.kind not in _SEVERAL:
                if "echo" in data:
                    continue
                outbox.answered(connection, row, data, new.event_id)
            return str(data.get("by") or "Pagerunner")
    return None


def tell(connection: Connection, incident_id: str, new: Page, now: datetime) -> None:
    """Tell it in the thread, unless something newer of the same kind was told before."""
    said = "" if new.stale else page_facts.words(new)
    if said and not _overtaken(connection, new):
        outbox.say(connection, incident_id, f"event:{new.event_id}", said, now)


def _in_time(data: Mapping[str, Any], at: datetime) -> bool:
    first, last = data.get("tried"), data.get("tried_last")
    if not isinstance(first, float) or not isinstance(last, float):
        return False
    return codec.at(first) - EARLY <= at <= codec.at(last) + LATE


def _meant(data: Mapping[str, Any], new: Page) -> bool:
    told = new.remark
    match new.kind:
        case "note" | "status_update":
            return told is not None and _same_text(str(data.get("text")), told.text, cut=told.cut)
        case "priority":
            return str(data.get("to")).casefold() == new.priority.casefold()
        case "reassigned":
            if data.get("kind") == "escalation_policy":
                return told is not None and told.policy == data.get("name")
            return data.get("name") in new.people
        case "responder":
            return told is not None and bool(data.get("name")) and data["name"] in (told.person, told.policy) \
                and page_facts.kind_of(new) == "responder_added"  # fmt: skip
        case _:
            return data.get("status") == new.kind


def _same_text(sent: str, came: str, *, cut: bool) -> bool:
    """Whether it is the same text, whatever became of its spaces and signs on the way."""
    mine, theirs = _letters(sent), _letters(html.unescape(came.removesuffix(" … [cut]")))
    return bool(theirs) and (mine == theirs or (mine.startswith(theirs) and (cut or came.endswith("[cut]"))))


def _letters(text: str) -> str:
    return re.sub(r"\W+", "", text).casefold()


def _overtaken(connection: Connection, new: Page) -> bool:
    """Whether the newest event of this kind was before this one: events may come in any order."""
    later = select(page.c.data).where(page.c.incident_ref == new.incident_ref, page.c.at > codec.stamp(new.occurred_at))
    about = _about(new)
    return any(_about(codec.load(Page, data)) == about for data in connection.execute(later).scalars())


def _about(one: Page) -> tuple[str, str]:
    person = one.remark.person if one.kind == "responder" and one.remark is not None else ""
    return _SAME.get(one.kind, one.kind), person
