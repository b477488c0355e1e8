"""What the tracker is asked for: an issue for a follow-up. What came of it is a fact, and is told in the thread."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from bot.domain.followups import safe
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import escape, quote
from bot.edges import chain, outbox
from bot.edges.outbox import Letter
from bot.ports import Issue, Tracker, WantedIssue


async def send(letter: Letter, tracker: Tracker) -> Issue:
    """Create it, or find it where an earlier try has created it."""
    data = letter.data
    wanted = WantedIssue(
        repository=str(data["repository"]), title=str(data["title"]), body=str(data["body"]),
        marker=str(data["marker"]), asked_at=datetime.fromisoformat(str(data["asked_at"])),
    )  # fmt: skip
    return await tracker.issue(wanted)


def told(connection: Connection, letter: Letter, made: Issue, now: datetime) -> None:
    """It is there: once on the timeline, once in the thread."""
    entry = int(letter.data["entry"])
    data = {"entry": entry, "issue": made.key, "url": made.url, "repository": letter.data["repository"]}
    fact = Fact(kind="issue_created", provenance=Provenance.OBSERVED, actor="pagerunner", data=data)
    outbox.delivered(connection, letter)
    chain.append(connection, now, letter.incident_id, [fact])
    link = f"<{escape(made.url)}|{escape(made.key)}>" if safe(made.url) else quote(made.key)
    said = f"Issue {link} was made of follow-up `#{entry}`: {quote(str(letter.data['title']), 160)}"
    outbox.say(connection, letter.incident_id, f"issue:{entry}", said, now)


def failed(letter: Letter, reason: str) -> str:
    """What the thread is told of one that will not be."""
    what = f"No issue was made of follow-up `#{int(letter.data['entry'])}`"
    return f"{what}: {quote(reason, 300)} Correct that, and ask again."


def put(connection: Connection, incident_id: str, issues: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Ask for these, each once. One that could not be created is tried again, as it is wanted now."""
    for data in issues:
        outbox.issue(connection, incident_id, int(data["entry"]), data, now)
