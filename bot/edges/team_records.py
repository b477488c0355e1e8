"""Records as the people of one workspace see them: those of their own teams, and no others."""

from collections.abc import Collection, Sequence

from bot.domain.incident import Incident
from bot.domain.proposal import Debt, Proposal
from bot.domain.timeline import Entry
from bot.domain.view import IncidentView, MessageRef
from bot.ports import Records

LOOKED_AT = 1_000
"""Incidents that are gone through for a page of one workspace's own."""


class TeamRecords:
    """See :class:`bot.ports.Records`. ``teams`` holds the empty name where incidents of no team belong, too."""

    def __init__(self, records: Records, teams: Collection[str]) -> None:
        self._records = records
        self._teams = frozenset(teams)

    async def view(self, incident_id: str) -> IncidentView | None:
        view = await self._records.view(incident_id)
        return view if view is not None and self._own(view.incident) else None

    async def incidents(self, *, active_only: bool = True, limit: int = 50) -> Sequence[Incident]:
        found = await self._records.incidents(active_only=active_only, limit=max(limit, LOOKED_AT))
        return [one for one in found if self._own(one)][:limit]

    async def incident_of(self, message: MessageRef) -> str | None:
        return await self._if_own(await self._records.incident_of(message))

    async def incident_in(self, channel: str) -> str | None:
        return await self._if_own(await self._records.incident_in(channel))

    async def proposal(self, proposal_id: str) -> Proposal | None:
        found = await self._records.proposal(proposal_id)
        own = found is not None and await self._if_own(found.plan.incident_id) is not None
        return found if own else None

    async def timeline(self, incident_id: str, *, after: int = 0) -> Sequence[Entry]:
        return await self._records.timeline(incident_id, after=after) if await self._if_own(incident_id) else []

    async def debts(self, *, open_only: bool = True) -> Sequence[Debt]:
        found = await self._records.debts(open_only=open_only)
        return [one for one in found if await self._if_own(one.incident_id) is not None]

    async def _if_own(self, incident_id: str | None) -> str | None:
        view = await self.view(incident_id) if incident_id else None
        return view.incident.id if view is not None else None

    def _own(self, incident: Incident) -> bool:
        return incident.team in self._teams
