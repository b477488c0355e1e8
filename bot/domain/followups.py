"""What is to follow an incident: what people said, who owns it, and the issue that it became."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from bot.domain.card import verdict
from bot.domain.document import Part, Statement, code, name, quoted, say, strong
from bot.domain.edits import edits_of, shown
from bot.domain.measures import last_ref, utc
from bot.domain.presentation import READERS, Redaction
from bot.domain.redaction import redacted
from bot.domain.timeline import canonical
from bot.domain.untrusted import line
from bot.domain.view import IncidentView

MAX_TEXT = 1_000
MAX_OWNER = 80
TITLE = 100
MOST_EVIDENCE = 3
_EVIDENCE = re.compile(r"\bev-[0-9a-z-]{1,40}\b")
_LINK = re.compile(r"https?://[A-Za-z0-9.-]+(?::[0-9]{1,5})?/[A-Za-z0-9._~/%=&?+-]*")


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowUp:
    """Something that is to be done after an incident. ``entry`` is its number on the timeline. Texts are people's."""

    entry: int
    text: str
    owner: str
    """A person's name; empty: nobody yet."""
    by: str
    at: datetime
    issue: str = ""
    """Such as ``acme/chat#12``; empty: there is none."""
    url: str = ""
    asked: bool = False
    """Whether an issue was asked for."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueDraft:
    """An issue before it is written down: facts that a sink renders."""

    entry: int
    title: str
    head: Statement
    points: tuple[Statement, ...]
    links: tuple[tuple[str, str], ...]
    """What each leads to, and an address that is safe to print."""
    marker: str
    """Stands hidden in the issue, and in no other: how it is found again after a crash."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IssueText:
    """An issue exactly as it would be created."""

    entry: int
    title: str
    body: str
    marker: str


@dataclass(frozen=True, kw_only=True, slots=True)
class IssuePlan:
    """What would be created, where, and how much it tells. People are shown all of it, and agree to its hash."""

    incident_id: str
    repository: str
    redaction: Redaction
    issues: tuple[IssueText, ...]
    left: int = 0
    """Further follow-ups that wait: not all are created at once."""

    @property
    def hash(self) -> str:
        """Of everything that would be created."""
        what = {"incident": self.incident_id, "repository": self.repository, "redaction": self.redaction,
                "issues": [[one.entry, one.title, one.body] for one in self.issues]}  # fmt: skip
        return hashlib.sha256(canonical(what)).hexdigest()


def follow_ups(view: IncidentView) -> tuple[FollowUp, ...]:
    """Those that nobody has hidden, oldest first."""
    made = {entry.fact.data.get("entry"): entry.fact.data for entry in view.entries("issue_created")}
    asked = {number for entry in view.entries("issues_requested") for number in entry.fact.data.get("entries") or ()}
    found = []
    for entry in shown(view, edits_of(view.timeline)).entries("followup_added"):
        data, issue = entry.fact.data, made.get(entry.seq, {})
        found.append(
            FollowUp(
                entry=entry.seq, text=str(data.get("text") or ""), owner=str(data.get("owner") or ""),
                by=str(data.get("by") or entry.fact.actor), at=entry.at, issue=str(issue.get("issue") or ""),
                url=str(issue.get("url") or ""), asked=entry.seq in asked,
            )
        )  # fmt: skip
    return tuple(found)


def waiting(view: IncidentView) -> tuple[FollowUp, ...]:
    """Those that have no issue yet."""
    return tuple(one for one in follow_ups(view) if not one.issue)


def draft(recorded: IncidentView, entry: int, level: Redaction, thread: str) -> IssueDraft | None:
    """The issue for this follow-up, at this level; None if there is no such follow-up. ``thread``: address of the
    card in chat, if it is known."""
    view = redacted(recorded, level)
    one = next((found for found in follow_ups(view) if found.entry == entry), None)
    if one is None:
        return None
    incident = view.incident
    head = say("Follow-up of incident ", code(incident.id), ": ", quoted(incident.title, 200))
    pages = [page.link for page in recorded.pages if page.link]
    links = [("Incident in PagerDuty", pages[0] if pages else ""), ("Thread in Slack", thread)]
    return IssueDraft(
        entry=entry, title=line(one.text, TITLE), head=head, points=tuple(_points(view, one, level)),
        links=tuple((what, link) for what, link in links if safe(link)),
        marker=f"<!-- pagerunner:followup {incident.id}/{entry} -->",
    )  # fmt: skip


def safe(link: str) -> bool:
    """Whether an address is nothing but an address, so that it may be printed as a link."""
    return len(link) <= 300 and _LINK.fullmatch(link) is not None


def _points(view: IncidentView, one: FollowUp, level: Redaction) -> Iterator[Statement]:
    if line(one.text, TITLE) != one.text:
        yield say(strong("In full: "), quoted(one.text, MAX_TEXT))
    yield say(strong("Owner: "), name(one.owner) if one.owner else "nobody yet")
    yield say(strong("Noted by: "), name(one.by), f" at {utc(one.at)}", refs=(f"#{one.entry}",))
    service: list[Part] = [strong("Service: "), code(view.incident.service)]
    if view.team is not None:
        service += [", team ", code(view.team.name)]
    yield say(*service)
    if view.diagnosis is not None:
        yield say(strong("Diagnosis: "), quoted(verdict(view.diagnosis)), refs=(last_ref(view, "diagnosis_made"),))
    known = {finding.id: finding for finding in view.findings}
    cited = [ref for ref in _EVIDENCE.findall(one.text) if ref in known]
    if view.diagnosis is not None and view.diagnosis.ranked:
        cited += [a.finding_id for a in view.diagnosis.ranked[0].arguments if a.bits > 0 and a.finding_id in known]
    for ref in list(dict.fromkeys(cited))[:MOST_EVIDENCE]:
        found = known[ref]
        yield say(strong("Evidence: "), code(found.probe), " showed ", code(found.outcome), ": ",
                  quoted(found.reading.summary, 160), refs=(ref,))  # fmt: skip
    yield say(strong("Whole story: "), code(f"pagerunner export {view.incident.id}"))
    if level != "internal":
        yield say(strong("Redacted: "), READERS[level])
