"""Reads the deciding probes again, as the investigation did, for a verification round.

The free ones are read at every look, those that cost less and less often, all within the incident's one budget.
"""

from collections.abc import Awaitable, Callable, Sequence

from bot.domain.incident import Incident
from bot.domain.verification import GUARD
from bot.ports import Casebook
from diagnostics.model import Finding, ProbeCall, ProbeContext
from diagnostics.runner import OnEvent, ProbeEvent, ProbeRunner

SECONDS_PER_TOKEN = 0.01
"""How long the first repetition of a probe waits for what it costs: ten seconds for a canary, a minute and a half for
a golden set. Further ones are each twice as far from the start: what has not helped yet seldom helps a moment later."""

SOON = {"fresh_s": 30}
"""After a change of our own it is known when the new state began, so users are judged by less time than at first."""


async def unwatched(_: ProbeEvent) -> None:
    """Whoever asked keeps what comes back."""


class ProbeVerifier:
    """See :class:`bot.ports.Verifier`."""

    def __init__(
        self, casebook: Casebook, new_runner: Callable[[Sequence[Finding], OnEvent], ProbeRunner],
        context: Callable[[Incident], Awaitable[ProbeContext]],
    ) -> None:  # fmt: skip
        self._casebook = casebook
        self._new_runner = new_runner
        self._context = context

    async def read(
        self, incident: Incident, probes: Sequence[str], round_: int, *, last: bool = False
    ) -> Sequence[Finding]:
        known = list((await self._casebook.findings(incident.id)).values())
        first = {finding.probe: finding for finding in known if finding.round == 0}
        context = await self._context(incident)
        runner = self._new_runner(known, unwatched)
        since = [finding.started_at for finding in known if finding.round == round_]
        calls = []
        for name in probes:
            params = dict(first[name].params) if name in first else {}
            call = ProbeCall(probe=name, params={**params, **SOON} if name == GUARD else params)
            again = [finding.started_at for finding in known if finding.round == round_ and finding.probe == name]
            tokens = runner.expected_tokens(call, context)
            if not tokens or last or not again:
                calls.append(call)
                continue
            waited, before = (
                (context.clock.now() - max(again)).total_seconds(),
                (max(again) - min(since)).total_seconds(),
            )
            # What the last look will cost is kept.
            if waited >= max(tokens * SECONDS_PER_TOKEN, before) and runner.budget.left >= 2 * tokens:
                calls.append(call)
        return await runner.run(calls, context, round=round_)
