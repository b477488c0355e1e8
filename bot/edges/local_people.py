"""Who may approve where there is no Slack: the person at this machine, if the team allows it."""

from collections.abc import Sequence

from bot.domain.proposal import Principal
from config.catalogue import Approvers, Catalogue


class LocalPeople:
    """See :class:`bot.ports.People`."""

    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        owner = self._catalogue.team(team)
        if owner is None:
            return False, "no team may approve this"
        if not who.id.startswith("local:"):
            return False, "Slack is not connected, so nobody in it can be recognised"
        if not owner.approvers.local:
            return False, f"team {team} does not accept approvals from this machine (approvers.local is not set)"
        return True, ""

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:  # noqa: ARG002
        """See :class:`bot.ports.People`: nobody here is anybody in particular."""
        return False, "break-glass needs a person whom Slack knows, and Slack is not connected"
