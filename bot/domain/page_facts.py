"""What an event of the pager is on the timeline, and in a few words in the thread. All of its text is untrusted."""

from collections.abc import Iterator, Mapping
from typing import Any

from bot.domain.page import Page, PageKind
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import quote

_KINDS: Mapping[PageKind, str] = {
    "priority": "priority_changed", "escalated": "assignees_changed", "reassigned": "assignees_changed",
    "note": "pager_noted", "status_update": "status_update_published", "bridge": "bridge_changed",
    "fields": "fields_changed", "role": "pager_role_given",
}  # fmt: skip
WORDS = frozenset({"pager_noted", "status_update_published", "responder_replied"})
"""Of these, what a person wrote or answered: when a person did, we know it from them."""
TOLD: frozenset[PageKind] = frozenset({
    "priority", "escalated", "reassigned", "responder", "status_update", "bridge",
})  # fmt: skip
"""Events that the thread is told, because they change whom people look to."""
_ANSWERS: Mapping[str, str] = {
    "pending": "has not answered yet", "accepted": "accepted", "joined": "accepted", "declined": "declined",
}  # fmt: skip


def kind_of(page: Page) -> str:
    """The kind of fact that an event of a known incident is."""
    if page.stale:
        return "page_stale"
    if page.kind == "triggered":
        return "page_joined"
    if page.kind == "responder":
        asked = page.remark is None or page.remark.event.endswith("added")
        return "responder_added" if asked else "responder_replied"
    return _KINDS.get(page.kind, "pager_changed")


def fact_of(kind: str, page: Page) -> Fact:
    """The event as a fact: what it says of the incident, and what it says beside that."""
    data: dict[str, Any] = {
        "event_id": page.event_id, "kind": page.kind, "ref": page.incident_ref, "title": page.title,
        "occurred_at": page.occurred_at.isoformat(), "urgency": page.urgency, "priority": page.priority,
        "people": list(page.people), "merged_into": page.merged_into, "note": _note(page), **_beside(page, kind),
    }  # fmt: skip
    human = kind in WORDS and page.remark is not None and page.remark.by_person
    actor = f"{page.source}:{page.agent or 'system'}"
    return Fact(kind=kind, provenance=Provenance.HUMAN if human else Provenance.OBSERVED, actor=actor, data=data)


def echo_of(page: Page, by: str) -> Fact:
    """The event as the answer to what was done from here: nobody else's doing, whatever name the pager gives it."""
    told = fact_of("pager_echoed", page)
    data = {**told.data, "by": by, "note": "", "text": ""}
    return Fact(kind="pager_echoed", provenance=Provenance.OBSERVED, actor=f"{page.source}:system", data=data)


def words(page: Page) -> str:
    """One line for the thread, as escaped mrkdwn; empty for what the thread is not told."""
    if page.kind not in TOLD:
        return ""
    by = f" ({quote(page.agent, 60)})" if page.agent else ""
    said = "; ".join(_said(page))
    return f"PagerDuty{by}: {said}" if said else ""


def answer(word: str) -> str:
    """A responder's answer in plain words."""
    return _ANSWERS.get(word, word.replace("_", " "))


def _said(page: Page) -> Iterator[str]:
    told = page.remark
    match page.kind:
        case "priority":
            yield f"the priority is now {quote(page.priority, 40)}" if page.priority else "it has no priority now"
        case "escalated" | "reassigned":
            people = ", ".join(quote(name, 60) for name in page.people[:5]) or "nobody"
            through = f", policy {quote(told.policy, 60)}" if told is not None and told.policy else ""
            yield f"{'escalated, and ' if page.kind == 'escalated' else ''}assigned to {people}{through}"
        case "responder" if told is not None:
            whom = quote(told.person or told.policy or "somebody", 60)
            asked = f"{whom} was asked to help" + (f": {quote(told.text, 200)}" if told.text else "")
            yield asked if kind_of(page) == "responder_added" else f"{whom} {_reply(told.answer)}"
        case "status_update" if told is not None:
            yield f"a status update was published: {quote(told.text, 600)}"
        case "bridge" if told is not None:
            lines = ", ".join(quote(line, 120) for line in told.lines[:4])
            yield f"the conference bridge is {lines}" if lines else "there is no conference bridge any more"


def _reply(word: str) -> str:
    if word not in _ANSWERS:
        return f"answered {quote(word, 40)}"
    return answer(word) + (" the request to help" if word != "pending" else "")


def _note(page: Page) -> str:
    if page.kind != "note":
        return ""
    return page.remark.text if page.remark is not None else page.body


def _beside(page: Page, kind: str) -> dict[str, Any]:
    """Only what there is: an event of an older kind keeps the fact that it always had."""
    told = page.remark
    made: dict[str, Any] = {}
    if page.kind == "priority":
        made["to"] = page.priority or "none"
    if kind == "assignees_changed":
        made["to"] = ", ".join(page.people) or "nobody"
    if told is None:
        return made
    text = "" if page.kind == "note" else told.text
    given = {"text": text, "person": told.person, "answer": told.answer, "policy": told.policy, "about": told.role,
             "lines": list(told.lines), "cut": told.cut}  # fmt: skip
    if page.kind == "other":
        given["event"] = told.event.removeprefix("incident.").replace(".", " ")
    return made | {key: value for key, value in given.items() if value}
