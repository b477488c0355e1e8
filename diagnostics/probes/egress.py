"""P06: can we reach the provider at all: name, connection, TLS, HTTP; and the second provider for contrast."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from typing import Any, Final

from config.http import HttpError, ReachStep
from diagnostics import statistics
from diagnostics.model import Evidence, Params, ProbeContext, ProbeSpec, Reading, Tier, Verdict
from diagnostics.subjects import provider_of

ATTEMPTS: Final = 8
"""When three names in ten do not resolve, eight attempts miss it once in seventeen times."""
_WORDS: Final[Mapping[str, str]] = {
    "dns": "dns_failed",
    "tcp": "connect_failed",
    "tls": "tls_failed",
    "http": "http_failed",
}


class EgressParams(Params):
    """Which provider; None: the service's."""

    provider: str | None = None


class Egress:
    """P06."""

    spec = ProbeSpec(
        id="P06",
        name="egress",
        title="Network path to the provider",
        outcomes={"ok": Verdict.NORMAL, **dict.fromkeys(_WORDS.values(), Verdict.ABNORMAL)},
        params=EgressParams,
        unit="share of attempts failed",
        tier=Tier.FREE,
        expected_s=2.0,
        timeout_s=15.0,
    )

    async def run(self, context: ProbeContext, params: EgressParams) -> Reading:
        """Eight attempts; eight more when some of them failed, since names that fail to resolve fail only at times."""
        provider = provider_of(context, params.provider)
        contrast = context.catalogue.provider(context.service.fallback_provider or "")
        tries = await _attempts(context, provider.target)
        if 0 < sum(_failed(steps) is not None for steps in tries) < len(tries):
            tries += await _attempts(context, provider.target)
        failed = [step for steps in tries if (step := _failed(steps))]
        details: dict[str, Any] = {"provider": provider.name, "failed_at": dict(Counter(s.step for s in failed))}
        evidence = [_evidence(provider.target, next((t for t in tries if _failed(t)), tries[0]))]
        other = ""
        if contrast is not None and contrast.name != provider.name:
            (steps,) = await _attempts(context, contrast.target, 1)
            stopped = _failed(steps)
            details["contrast"] = {"provider": contrast.name, "ok": stopped is None}
            other = f"; {contrast.name} " + ("is reachable" if stopped is None else f"fails too, at {stopped.step}")
            evidence.append(_evidence(contrast.target, steps))
        sure = len(failed) >= 2
        worst = Counter(s.step for s in failed).most_common(1)[0][0] if failed else ""
        state = f"{len(failed)} of {len(tries)} attempts failed at {worst}" if failed else f"reached {len(tries)} times"
        return Reading(
            outcome=_WORDS[worst] if sure else "ok",
            summary=f"{provider.name}: {state}{other}",
            value=len(failed) / len(tries),
            baseline=0.0,
            n=len(tries),
            test="at least two attempts fail",
            interval=statistics.wilson(len(failed), len(tries)),
            evidence=tuple(evidence),
            details=details,
        )


async def _attempts(context: ProbeContext, target: str, count: int = ATTEMPTS) -> list[tuple[ReachStep, ...]]:
    async def once() -> tuple[ReachStep, ...]:
        try:
            return await context.http.reach(target, timeout_s=5.0)
        except HttpError as error:
            if error.stage == "refused":
                raise
            steps: Mapping[str, Any] = {"dns": "dns", "connect": "tcp", "tls": "tls"}
            return (ReachStep(step=steps.get(error.stage, "http"), ok=False, detail=error.detail, elapsed_s=0.0),)

    return list(await asyncio.gather(*(once() for _ in range(count))))


def _failed(steps: tuple[ReachStep, ...]) -> ReachStep | None:
    return next((step for step in steps if not step.ok), None)


def _evidence(target: str, steps: tuple[ReachStep, ...]) -> Evidence:
    lines = [f"{s.step}: {'ok' if s.ok else 'failed'} in {s.elapsed_s * 1000:.0f} ms {s.detail}".strip() for s in steps]
    return Evidence(source=f"reach {target}", excerpt="\n".join(lines)[:2000])
