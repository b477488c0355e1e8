"""A triage that is still being made: the server answers before LangGraph is imported."""

import asyncio

from bot.domain.incident import Incident
from bot.ports import Investigated, Triage


class LateTriage:
    """See :class:`bot.ports.Triage`; waits for the real one."""

    def __init__(self) -> None:
        self._real: asyncio.Future[Triage] = asyncio.get_running_loop().create_future()

    def ready(self, triage: Triage) -> None:
        self._real.set_result(triage)

    async def investigate(self, incident: Incident, number: int) -> Investigated:
        return await (await asyncio.shield(self._real)).investigate(incident, number)
