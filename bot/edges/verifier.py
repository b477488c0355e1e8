"""Reads the deciding probes again, as the investigation did, for a verification round."""

from collections.abc import Awaitable, Callable, Sequence

from bot.domain.incident import Incident
from bot.ports import Casebook
from diagnostics.model import Finding, ProbeCall, ProbeContext
from diagnostics.runner import OnEvent, ProbeEvent, ProbeRunner


async def _unwatched(_: ProbeEvent) -> None:
    """The flow keeps what comes back."""


class ProbeVerifier:
    """See :class:`bot.ports.Verifier`."""

    def __init__(
        self, casebook: Casebook, new_runner: Callable[[Sequence[Finding], OnEvent], ProbeRunner],
        context: Callable[[Incident], Awaitable[ProbeContext]],
    ) -> None:  # fmt: skip
        self._casebook = casebook
        self._new_runner = new_runner
        self._context = context

    async def read(self, incident: Incident, probes: Sequence[str], round_: int) -> Sequence[Finding]:
        known = (await self._casebook.findings(incident.id)).values()
        first = {finding.probe: finding for finding in known if finding.round == 0}
        calls = [ProbeCall(probe=name, params=first[name].params if name in first else {}) for name in probes]
        runner = self._new_runner([], _unwatched)
        return await runner.run(calls, await self._context(incident), round=round_)
