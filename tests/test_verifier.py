"""Reading again after a mitigation: the free probes always, the paid ones seldom, and all within one budget."""

from datetime import timedelta
from types import SimpleNamespace
from typing import Any

from bot.edges.verifier import ProbeVerifier
from diagnostics.model import Finding, ProbeContext, Reading, Tier
from diagnostics.runner import ProbeRunner, TokenBudget
from tests.diagnosis_fakes import MovedClock, context
from tests.test_runner import Scripted, probe

TOKENS = 9_000


class Kept:
    """The casebook's findings, and nothing else."""

    def __init__(self) -> None:
        self.kept: list[Finding] = []

    async def findings(self, _: str) -> dict[str, Finding]:
        return {str(number): finding for number, finding in enumerate(self.kept)}


def golden() -> Scripted:
    told = Reading(outcome="bad", summary="Still bad.", tokens=TOKENS)
    return probe("golden_set", lambda _: told, expected_tokens=TOKENS, tier=Tier.GOLDEN)


async def looked(limit: int, within_s: int) -> tuple[list[Finding], list[float]]:
    """All that was read while a verification stays pending, at the moments when the flow looks."""
    clock, kept = MovedClock(), Kept()
    free, paid = probe("user_signal"), golden()
    registry: Any = {one.spec.name: one for one in (free, paid)}

    def new_runner(known: Any, on_event: Any) -> ProbeRunner:
        budget = TokenBudget(limit=limit, spent=sum(f.reading.tokens for f in known))
        return ProbeRunner(registry, new_id=lambda: "ev-1", budget=budget, known=known, on_event=on_event)

    async def where(_: Any) -> ProbeContext:
        return context(clock=clock)

    verifier = ProbeVerifier(kept, new_runner, where)  # type: ignore[arg-type]
    began, looks, last = clock.now(), 0, False
    while not last:
        since = (clock.now() - began).total_seconds()
        await clock.sleep(max(5.0, since / 5))
        last = clock.now() >= began + timedelta(seconds=within_s)
        case: Any = SimpleNamespace(id="inc-1")
        kept.kept += await verifier.read(case, ["golden_set", "user_signal"], 1, last=last)
        looks += 1
    asked = [(f.started_at - began).total_seconds() for f in kept.kept if f.probe == "golden_set"]
    assert sum(f.probe == "user_signal" for f in kept.kept) == looks
    return kept.kept, asked


async def test_a_verification_that_stays_pending_keeps_to_the_incidents_budget() -> None:
    found, asked = await looked(60_000, 900)

    assert sum(f.reading.tokens for f in found) <= 60_000
    assert len(asked) <= 6
    assert asked[0] == 5
    assert asked[-1] >= 900
    assert all(f.verdict.value == "abnormal" for f in found if f.probe == "golden_set")


async def test_what_the_last_look_costs_is_kept_for_it() -> None:
    _, asked = await looked(2 * TOKENS, 900)

    assert len(asked) == 2
    assert asked[-1] >= 900
