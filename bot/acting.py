"""What every act of a person has in common: the incident must go on, and the same interaction does nothing twice."""

from collections.abc import Mapping

from bot.domain.incident import Incident
from bot.domain.proposal import Principal
from bot.domain.timeline import Fact, Provenance
from bot.domain.untrusted import line
from bot.ports import Casebook, Told

AGAIN = Told(ok=True, text="That was done already; nothing was done twice.")


async def opened(casebook: Casebook, incident_id: str) -> tuple[Incident | None, str]:
    """The incident, if it goes on; otherwise why nothing can be done about it."""
    incident = await casebook.incident(incident_id)
    if incident is None:
        return None, unknown(incident_id)
    if not incident.active:
        return None, f"{incident_id} is {incident.status.value}; nothing was done."
    return incident, ""


def unknown(incident_id: str) -> str:
    """There is no such incident, and where those are that there are."""
    return f"There is no incident {line(incident_id, 60)}; `/oncall list` shows those that are open."


def human(kind: str, who: Principal, data: Mapping[str, object]) -> Fact:
    """What somebody did."""
    return Fact(kind=kind, provenance=Provenance.HUMAN, actor=who.id, data=data)
