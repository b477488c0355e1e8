"""Keeping stakeholders up to date: what they were told last, and when the next update is due. From facts alone."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import wording
from bot.domain.edits import moment
from bot.domain.paging import paging
from bot.domain.roles import roles_of, snoozed_until
from bot.domain.statement import code, plain
from bot.domain.untrusted import quote
from bot.domain.view import IncidentView
from config.catalogue import Updates


@dataclass(frozen=True, kw_only=True, slots=True)
class Update:
    """What stakeholders were told."""

    at: datetime
    by: str
    text: str
    ref: str
    pager: bool
    """Whether it was written in the pager itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Due:
    """An update that is due."""

    since: datetime
    round: int
    """How many periods have gone by since the last one, or since the beginning."""
    base: datetime
    last: Update | None

    @property
    def key(self) -> str:
        """Of the one reminder of this period."""
        return f"update-due:{int(self.base.timestamp())}:{self.round}"


def policy_of(view: IncidentView) -> Updates | None:
    """How the stakeholders of this incident are kept up to date; None where nobody is reminded."""
    policy = view.team.updates if view.team is not None else None
    if policy is None or not policy.priorities:
        return policy
    told = paging(view).priority
    has = {name.casefold() for name in told.text.split(", ")} if told is not None else set()
    return policy if has & {name.casefold() for name in policy.priorities} else None


def updates(view: IncidentView) -> tuple[Update, ...]:
    """What stakeholders were told, oldest first: from here, as far as it arrived anywhere, and in the pager."""
    return tuple(sorted(_updates(view), key=lambda one: one.at))


def next_due(view: IncidentView) -> datetime | None:
    """When the next one is due, or was; None where none is: without a policy, and when the incident is over."""
    policy = policy_of(view)
    if policy is None or not view.incident.active or view.stale:
        return None
    base, _ = _base(view)
    return base + timedelta(minutes=policy.every_min)


def due(view: IncidentView, now: datetime) -> Due | None:
    """The update that is due now; None also while the incident is snoozed."""
    policy = policy_of(view)
    if policy is None or not view.incident.active or view.stale or snoozed_until(view, now) is not None:
        return None
    base, last = _base(view)
    every = timedelta(minutes=policy.every_min)
    rounds = (now - base) // every
    return Due(since=base + every, round=rounds, base=base, last=last) if rounds >= 1 else None


def reminder(view: IncidentView, one: Due) -> str:
    """The reminder for the incident's thread, as escaped mrkdwn."""
    since = wording.clock(one.since, view.incident.opened_at)
    if one.last is None:
        before = "None was sent yet"
    else:
        at = wording.clock(one.last.at, view.incident.opened_at)
        before = f"The last one was sent at {at} by {quote(one.last.by, 60)} {code(one.last.ref)}"
    comms = roles_of(view).get("comms")
    whose = f" Comms is {quote(comms.name, 60)}." if comms is not None else ""
    name = plain(view.incident.id)
    return (f"*An update for stakeholders is due since {since}.* {before}.{whose} Nothing is sent without a person: "
            f"press the button, or type `/oncall update {name}`.")  # fmt: skip


def _base(view: IncidentView) -> tuple[datetime, Update | None]:
    """From when a period is counted: the last update, or the beginning."""
    told = updates(view)
    again = view.entries("incident_reopened")
    opened = again[-1].at if again else view.incident.opened_at
    last = told[-1] if told else None
    return (max(last.at, opened), last) if last is not None else (opened, None)


def _updates(view: IncidentView) -> Iterator[Update]:
    failed = [(entry.fact.data.get("update"), entry.fact.data.get("to")) for entry in view.entries("alarm")]
    for entry in view.entries("update_sent"):
        data = entry.fact.data
        if any((data.get("key"), where) not in failed for where in data.get("to") or ()):
            yield Update(at=entry.at, by=str(data.get("by") or entry.fact.actor), text=str(data.get("text", "")),
                         ref=f"#{entry.seq}", pager=False)  # fmt: skip
    for entry in view.entries("status_update_published"):
        data = entry.fact.data
        at = moment(data.get("occurred_at")) or entry.at
        by = entry.fact.actor.partition(":")[2] or "PagerDuty"
        yield Update(at=min(at, entry.at), by=by, text=str(data.get("text", "")), ref=f"#{entry.seq}", pager=True)
