"""What concerns one person now: their open incidents, approvals that wait for them, what others approved alone and they
may review, leases that end, and runbooks of their teams that are overdue for review."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from bot.domain.handover import roles_of, runs
from bot.domain.proposal import Debt, ProposalState
from bot.domain.view import IncidentView, ProposalView

MOST = 10
"""Of each kind that are shown; the rest are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Overdue:
    """A runbook whose review is overdue."""

    runbook: str
    title: str
    owner: str
    days: int


@dataclass(frozen=True, kw_only=True, slots=True)
class About:
    """A proposal with its incident."""

    view: IncidentView
    pv: ProposalView


@dataclass(frozen=True, kw_only=True, slots=True)
class Home:
    """Everything that is shown to one person."""

    incidents: tuple[IncidentView, ...]
    approvals: tuple[About, ...]
    leases: tuple[About, ...]
    overdue: tuple[Overdue, ...]
    debts: tuple[Debt, ...] = ()
    """Break-glass approvals of others that this person may review."""


def gather(views: Sequence[IncidentView], overdue: Sequence[Overdue], who: str, names: Collection[str],
           teams: Collection[str], now: datetime, debts: Sequence[Debt] = ()) -> Home:  # fmt: skip
    """``who`` is the person's principal, ``names`` what they are called, ``teams`` where they may approve."""
    mine = [view for view in views if view.incident.active and _concerns(view, who, names, teams)]
    waiting = [About(view=view, pv=pv) for view in views for pv in view.proposals if _waits(view, pv, who, teams, now)]
    leases = [About(view=view, pv=pv) for view in mine for pv in view.proposals if _ends(pv) is not None]
    leases.sort(key=lambda one: _ends(one.pv) or now)
    return Home(
        incidents=tuple(mine), approvals=tuple(sorted(waiting, key=lambda one: one.pv.proposal.plan.expires_at)),
        leases=tuple(leases), overdue=tuple(one for one in overdue if one.owner in teams),
        debts=tuple(one for one in debts if one.open and one.team in teams and one.principal != who),
    )  # fmt: skip


def _ends(pv: ProposalView) -> datetime | None:
    """When what is in effect will be put back by itself."""
    return pv.apply.lease_until if pv.apply is not None and runs(pv) else None


def _concerns(view: IncidentView, who: str, names: Collection[str], teams: Collection[str]) -> bool:
    """Of one's own team, with a role in it, or with something done in it."""
    if view.incident.team in teams or any(holder.name in names for holder in roles_of(view).values()):
        return True
    return any(entry.fact.actor == who for entry in view.timeline)


def _waits(view: IncidentView, pv: ProposalView, who: str, teams: Collection[str], now: datetime) -> bool:
    plan = pv.proposal.plan
    open_ = pv.proposal.state is ProposalState.OPEN and pv.proposal.votable and plan.expires_at > now
    voted = any(vote.principal == who for vote in pv.votes)
    return open_ and view.incident.active and plan.approver_team in teams and not voted
