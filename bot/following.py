"""What is to follow an incident, and how it becomes issues: shown first, created when a person agrees to that."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.domain import wording
from bot.domain.followups import MAX_OWNER, MAX_TEXT, IssueDraft, IssuePlan, IssueText, draft, follow_ups, waiting
from bot.domain.presentation import Redaction
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import line, quote
from bot.domain.view import IncidentView, MessageRef
from bot.ports import FollowBook, Records, Told
from config.catalogue import Catalogue
from config.clock import Clock

AT_ONCE = 4
"""Issues of one plan: as many as people can read before they agree."""
UNCONNECTED = "No GitHub token is set, so no issue can be created: set PAGERUNNER_GITHUB_TOKEN, and restart the server."


@dataclass(frozen=True, kw_only=True, slots=True)
class FollowParts:
    """What follow-ups are wired to."""

    catalogue: Catalogue
    clock: Clock
    records: Records
    book: FollowBook
    write: Callable[[IssueDraft], IssueText]
    permalink: Callable[[MessageRef], Awaitable[str]]
    """The address of a message in chat; empty where nobody can tell."""
    redact: Callable[[str], str]
    redaction: Redaction
    connected: bool
    """Whether there is a tracker to create issues in."""


class FollowUps:
    """See :class:`bot.ports.Following`."""

    def __init__(self, parts: FollowParts) -> None:
        self._ = parts

    async def add(self, incident_id: str, text: str, owner: str, who: Principal, key: str) -> Told:
        view = await self._.records.view(incident_id)
        if view is None:
            return Told(ok=False, text=_unknown(incident_id))
        said, whose = " ".join(self._.redact(text).split()), " ".join(self._.redact(owner).split())
        if not said:
            return Told(ok=False, text="Say what is to be done: a follow-up needs a text.")
        if len(said) > MAX_TEXT or len(whose) > MAX_OWNER:
            return Told(ok=False, text=f"A follow-up has at most {MAX_TEXT:,} characters, and its owner {MAX_OWNER}; "
                                       "put the rest on the timeline.")  # fmt: skip
        data = {"text": said, "owner": whose, "by": who.name}
        fact = Fact(kind="followup_added", provenance=Provenance.HUMAN, actor=who.id, data=data)
        owned = f", owner {quote(whose, MAX_OWNER)}" if whose else ""
        told = f"{quote(who.name, 60)} noted what is to follow{owned}: {quote(said, 300)}"
        entry = await self._.book.add(view.incident.id, key, fact, told, self._.clock.now())
        if entry is None:
            return Told(ok=True, text="That was noted already; nothing was noted twice.")
        shown = f"owner {line(whose, MAX_OWNER)}" if whose else "without an owner yet"
        return Told(ok=True, text=f"Follow-up #{entry} of {view.incident.id}, {shown}.")

    async def plan(self, incident_id: str) -> IssuePlan | Told:
        view = await self._.records.view(incident_id)
        if view is None:
            return Told(ok=False, text=_unknown(incident_id))
        team = self._.catalogue.team(view.incident.team)
        repository = team.github_repository if team else ""
        if not repository:
            whose = f"Team {team.name}" if team else "The incident's team, which is not in the catalogue,"
            return Told(ok=False, text=f"{whose} names no GitHub repository: set its github_repository in the "
                                       "catalogue, as owner/name.")  # fmt: skip
        if not self._.connected:
            return Told(ok=False, text=UNCONNECTED)
        left = waiting(view)
        if not left:
            return Told(ok=False, text=_none(view))
        thread = await self._.permalink(view.message) if view.message is not None else ""
        drafts = [draft(view, one.entry, self._.redaction, thread) for one in left[:AT_ONCE]]
        return IssuePlan(
            incident_id=view.incident.id, repository=repository, redaction=self._.redaction,
            issues=tuple(self._.write(one) for one in drafts if one is not None), left=max(0, len(left) - AT_ONCE),
        )  # fmt: skip

    async def push(self, incident_id: str, plan_hash: str, who: Principal) -> Told:
        plan, view = await self.plan(incident_id), await self._.records.view(incident_id)
        if isinstance(plan, Told):
            return plan
        if plan.hash != plan_hash:
            return Told(ok=False, text="What would be created is not what was shown any more, so nothing was created. "
                                       "Look at it again, and decide then.")  # fmt: skip
        now = self._.clock.now()
        data = {"entries": [one.entry for one in plan.issues], "repository": plan.repository,
                "redaction": plan.redaction, "plan_hash": plan.hash, "by": who.name}  # fmt: skip
        fact = Fact(kind="issues_requested", provenance=Provenance.HUMAN, actor=who.id, data=data)
        wanted = [
            {"entry": one.entry, "repository": plan.repository, "title": one.title, "body": one.body,
             "marker": one.marker, "asked_at": now.isoformat()}
            for one in plan.issues
        ]  # fmt: skip
        # The same plan again is the same act, unless an issue of an earlier one could not be created.
        failed = sum(e.fact.data.get("undeliverable") == "issue" for e in view.entries("alarm")) if view else 0
        if not await self._.book.request(plan.incident_id, f"issues:{plan.hash}:{failed}", fact, wanted, now):
            return Told(ok=True, text="That was asked for already; nothing is created twice.")
        count = wording.plural(len(plan.issues), "issue")
        more = f" {wording.plural(plan.left, 'follow-up')} more can be pushed then." if plan.left else ""
        return Told(ok=True, text=f"{count} in {plan.repository} will be created; the thread says when.{more}")


def listed(view: IncidentView) -> Sequence[str]:
    """The follow-ups of an incident, one line each; not escaped."""
    lines = []
    for one in follow_ups(view):
        state = one.issue or ("an issue is asked for" if one.asked else "no issue yet")
        owner = line(one.owner, MAX_OWNER) if one.owner else "no owner"
        lines.append(f"#{one.entry}  {line(one.text, 200)}  ({owner}; {state}{f', {one.url}' if one.url else ''})")
    return lines


def _none(view: IncidentView) -> str:
    done = follow_ups(view)
    if done:
        return f"Every follow-up of {view.incident.id} has its issue: {', '.join(one.issue for one in done)}."
    return f"{view.incident.id} has no follow-ups: note one first, with what is to be done and who owns it."


def _unknown(incident_id: str) -> str:
    return f"There is no incident {line(incident_id, 60)}; `pagerunner incidents --all` lists all."
