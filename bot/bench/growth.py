"""How the cost of the differential grows with more causes. Ratios of one run count."""

import math
import random
import statistics
import time
from collections.abc import Callable, Mapping, Sequence

from bot.bench.figures import Figure, quantity
from bot.edges.clock import SystemClock
from bot.wiring import actions, open_shelf, specs
from diagnostics.differential import diagnose
from diagnostics.model import Finding, Mode, Reading, Verdict

MODES = 400
ROUNDS = 7


def figures() -> list[Figure]:
    """The exponent of the cost of a differential: below 1 is less than in proportion."""
    return [_differential()]


def exponent(small: tuple[float, float], large: tuple[float, float]) -> float:
    """Of the power law through two points of size and cost."""
    return math.log(large[1] / small[1]) / math.log(large[0] / small[0])


def _growth(what: str, costs: Mapping[int, float], detail: str) -> Figure:
    """The exponent between the two largest sizes, with what each size cost."""
    small, large = list(costs.items())[-2:]
    table = ", ".join(f"{size:,}: {quantity(1_000 * cost, 'ms')}" for size, cost in costs.items())
    return Figure(what=what, value=exponent(small, large), unit="", must=0.99,
                  detail=f"{table}; from {small[0]:,} to {large[0]:,}, below 1 is sub-linear; {detail}")  # fmt: skip


def _seconds(work: Callable[[], object]) -> float:
    before = time.perf_counter()
    work()
    return time.perf_counter() - before


def _differential() -> Figure:
    """The causes of the library, and made ones that expect what others of them do, in another order."""
    from bot.triage.nodes import mode_of  # noqa: PLC0415

    shelf = open_shelf([], actions(), None, SystemClock().now().date())
    real = [mode_of(book) for book in shelf.all() if book.executable and book.evidence]
    draw, known = random.Random(2), specs()  # noqa: S311 - no secret
    made = [_permuted(number, real, draw) for number in range(MODES - len(real))]
    findings = _findings()
    costs = {}
    for modes in (real, [*real, *made]):
        prior = {mode.id: 1.0 for mode in modes}
        diagnose(findings, prior, modes, known, "chat")  # what is worked out once for a mode is not counted
        took = [_seconds(lambda m=modes, p=prior: diagnose(findings, p, m, known, "chat")) for _ in range(ROUNDS)]  # type: ignore[misc]
        costs[len(modes)] = statistics.median(took)
    detail = f"median of {ROUNDS}, {len(findings)} findings"
    return _growth("Differential over more causes: exponent of growth", costs, detail)


def _permuted(number: int, real: Sequence[Mode], draw: random.Random) -> Mode:
    """As many probes as one of the library has, with what others of it expect of them."""
    like = draw.choice(real)
    evidence = {probe: draw.choice([mode for mode in real if probe in mode.evidence]).evidence[probe]
                for probe in like.evidence}  # fmt: skip
    return Mode(id=f"made-{number}", title=f"made {number}", evidence=evidence, kinds=like.kinds)


def _findings() -> list[Finding]:
    seen = {"user_signal": "errors", "provider_canary": "overloaded", "demand_profile": "retries_up",
            "status_page": "clear", "rate_limit_headroom": "ample", "egress": "ok"}  # fmt: skip
    now = SystemClock().now()
    return [
        Finding(id=f"ev-{probe}", probe=probe, service="support", params={}, outcome=outcome, started_at=now,
                elapsed_s=0.1,
                verdict=Verdict.NORMAL if outcome in ("clear", "ample", "ok") else Verdict.ABNORMAL,
                reading=Reading(outcome=outcome, summary=probe))
        for probe, outcome in seen.items()
    ]  # fmt: skip
