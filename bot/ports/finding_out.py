"""How an incident is looked into, and its mitigation checked."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from bot.domain.incident import Incident
from bot.ports.effecting import Step
from diagnostics.model import Diagnosis, Finding
from runbooks.model import Runbook


@dataclass(frozen=True, kw_only=True, slots=True)
class Investigated:
    """What an investigation ends with."""

    diagnosis: Diagnosis
    steps: tuple[Step, ...]
    """What could be tried, best first, not yet drafted."""
    summary: str
    """For the pager's note: plain text with references."""
    used: tuple[Runbook, ...] = ()
    """The runbooks whose cause was named, as they were then."""


class Triage(Protocol):
    """Investigates: loops over retrieval, probes and diagnosis until sure. Resumes after a crash where it was."""

    async def investigate(self, incident: Incident, number: int) -> Investigated: ...


class Verifier(Protocol):
    """Reads the deciding probes again."""

    async def read(
        self, incident: Incident, probes: Sequence[str], round_: int, *, last: bool = False
    ) -> Sequence[Finding]:
        """What was read; a probe that costs may be left out of all but the first and the ``last`` look."""
        ...
