"""What the flow and the desk are wired to."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from bot.domain.faults import FaultPoint, no_fault
from bot.domain.presentation import Form
from bot.ports import Casebook, Drafted, Executor, Gate, Intake, Jobs, People, Planner, Triage, Understand, Verifier
from config.catalogue import Catalogue
from config.clock import Clock
from diagnostics.model import ProbeSpec


async def _nothing(_: str) -> None:
    """Where nothing follows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """One of each."""

    catalogue: Catalogue
    clock: Clock
    intake: Intake
    understand: Understand
    casebook: Casebook
    gate: Gate
    triage: Triage
    planner: Planner
    executor: Executor
    verifier: Verifier
    people: People
    jobs: Jobs
    specs: dict[str, ProbeSpec]
    publish: Callable[[str], Awaitable[Drafted]]
    """Writes the postmortem files of an incident."""
    detail: Callable[[str], Awaitable[Sequence[str]]]
    """What the thread is told of an investigation: messages that our own code wrote and escaped."""
    summary: Callable[[str], Awaitable[str]]
    """A closed incident in a few lines for the thread, escaped."""
    main_form: Form = "md"
    """The form of the postmortem that goes into the thread."""
    ended: Callable[[str], Awaitable[None]] = _nothing
    """What else is to be done when an incident has been closed; again: no change."""
    own_channels: bool = False
    """Whether incidents can have channels of their own, where the catalogue wants it."""
    pager_connected: bool = False
    """Whether the pager can be told anything."""
    fault: FaultPoint = no_fault
