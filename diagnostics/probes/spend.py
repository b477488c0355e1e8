"""P29: what the service's calls cost, and who pays for the rise.

Money is tokens times what a token costs. Tokens that multiply have causes of their own, which other probes name; that a
token costs more has few: other models, or a cache that no longer helps. The gateway's own counter of US dollars is read
where there is one; else tokens by model times the catalogue's price list.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from config.catalogue import Prices
from diagnostics import series, statistics, wording
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.usual import Moved, moved, usual_values
from diagnostics.windows import SLICE_S, Slice, Track, Watch, merged

PRICE_UP = 1.7
"""A failover to another vendor makes a token up to one and a half times as dear, and is no fault."""
COST_UP = 1.5
MOST_OF_IT = 0.5
"""A payer of at least this part of the rise is named."""
PAYERS = {"tenant": "spend_by_tenant", "feature": "spend_by_feature", "prompt": "spend_by_prompt",
          "model": "spend_by_model"}  # fmt: skip
FEWEST_USD = 0.01
"""In the window; below it a ratio says nothing."""


class SpendParams(Params):
    """``window_s``: what counts as now; whole slices of five minutes."""

    window_s: int = Field(default=900, ge=SLICE_S, le=7200)


@dataclass(frozen=True, kw_only=True, slots=True)
class _Money:
    """US dollars in each slice, and where they are from."""

    latest: tuple[Slice, ...]
    baseline: tuple[Slice, ...]
    evidence: tuple[Evidence, ...]
    unpriced: tuple[str, ...] = ()
    """Models that the price list does not have: their tokens cost something that is not counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Payer:
    """The part of the rise that one tenant, feature, prompt or model accounts for, 0 to 1."""

    kind: str
    name: str
    share: float


class Spend:
    """P29."""

    spec = ProbeSpec(
        id="P29",
        name="spend",
        title="What the calls cost, and who pays for a rise",
        outcomes={"ok": Verdict.NORMAL, "volume_up": Verdict.NORMAL, "price_up": Verdict.ABNORMAL},
        params=SpendParams,
        unit="USD a minute",
        expected_s=1.0,
        timeout_s=15.0,
        applies=("prometheus",),
    )

    async def run(self, context: ProbeContext, params: SpendParams) -> Reading:
        """Cost a minute and for a token against what is usual; ``volume_up`` when it is only the tokens."""
        watch, slices = Watch.of(context), params.window_s // SLICE_S
        counted, tokens, *payers = await asyncio.gather(
            watch.counts("spend", together=True), _tokens(watch), *(watch.counts(metric) for metric in PAYERS.values())
        )
        money = (
            _counted(counted, slices) if counted.has_data else await _priced(watch, context.catalogue.prices, slices)
        )
        if money is None:
            return Reading(
                outcome=INCONCLUSIVE,
                summary="Nobody counts what the calls cost, and no model in use is on a price list of the catalogue.",
            )
        evidence = (*money.evidence, *((tokens.evidence,) if tokens.has_data else ()))
        costs, before = ([one.total / (SLICE_S / 60) for one in part] for part in (money.latest, money.baseline))
        cost = moved(costs, usual_values(context, "spend.usd", before, daily=True))
        price = moved(
            _prices(money.latest, tokens), usual_values(context, "spend.price", _prices(money.baseline, tokens))
        )
        found = [one for kind, track in zip(PAYERS, payers, strict=True) if (one := _payer(kind, track, slices))]
        record = {"spend.usd": [round(costs[-1], 6)]} if costs else {}
        if prices := _prices(money.latest[-1:], tokens):
            record["spend.price"] = [round(prices[-1], 6)]
        details: dict[str, Any] = {
            "payers": [{"kind": one.kind, "name": one.name, "share_of_rise": round(one.share, 3)} for one in found],
            "unpriced_models": list(money.unpriced), series.RECORD: record,
            **({"extra_usd": _extra(context, cost)} if cost is not None else {}),
        }  # fmt: skip
        if sum(one.total for one in money.latest) < FEWEST_USD:
            return Reading(
                outcome=INCONCLUSIVE, summary="Too little is spent to tell.", evidence=evidence, details=details
            )
        return _judge(cost, price, found, money.unpriced, evidence=evidence, details=details)


async def _tokens(watch: Watch) -> Track:
    tokens = await watch.counts("tokens", together=True)
    return tokens if tokens.has_data else await watch.counts("total_tokens", together=True)


def _counted(track: Track, slices: int) -> _Money:
    return _Money(latest=track.latest(slices), baseline=track.baseline, evidence=(track.evidence,))


async def _priced(watch: Watch, prices: Prices | None, slices: int) -> _Money | None:
    """Tokens by model at the list's prices; None without a list, without counts, or when no model is on it."""
    if prices is None:
        return None
    given, taken = await asyncio.gather(watch.counts("input_by_model"), watch.counts("output_by_model"))
    if not given.has_data or not taken.has_data:
        return None
    answered = {one.end: one for one in taken.slices}
    used = {model for one in (*given.slices, *taken.slices) for model in one.parts}
    if not used & set(prices.models):
        return None

    def cost(asked: Slice) -> Slice:
        back = answered.get(asked.end)
        parts = {
            model: (asked.parts.get(model, 0.0) * price.usd_per_1k_input
                    + (back.parts.get(model, 0.0) if back else 0.0) * price.usd_per_1k_output) / 1000.0
            for model, price in prices.models.items()
        }  # fmt: skip
        return Slice(end=asked.end, parts=parts)

    return _Money(
        latest=tuple(map(cost, given.latest(slices))), baseline=tuple(map(cost, given.baseline)),
        unpriced=tuple(sorted(used - set(prices.models))),
        evidence=(given.evidence, taken.evidence,
                  Evidence(source=f"the catalogue's price list of {prices.as_of}", excerpt=_listed(prices, used))),
    )  # fmt: skip


def _listed(prices: Prices, used: set[str]) -> str:
    known = ((model, prices.models[model]) for model in sorted(used & set(prices.models)))
    return "\n".join(f"{model}: {p.usd_per_1k_input:g} in, {p.usd_per_1k_output:g} out" for model, p in known)


def _prices(money: Sequence[Slice], tokens: Track) -> list[float]:
    """USD for a million tokens in each slice."""
    counted = {one.end: one.total for one in tokens.slices}
    return [1e6 * one.total / counted[one.end] for one in money if counted.get(one.end, 0.0) >= 1]


def _payer(kind: str, track: Track, slices: int) -> Payer | None:
    """Who accounts for most of the rise; None where nobody does, or there is nobody else."""
    latest, before = track.latest(slices), track.baseline
    if not latest or not before:
        return None
    now, usual = merged(latest), merged(before)
    names = {name for name in (*now, *usual) if name}
    rises = {
        name: now.get(name, 0.0) / len(latest) - usual.get(name, 0.0) / len(before) for name in names
    }  # fmt: skip
    whole = sum(now.values()) / len(latest) - sum(usual.values()) / len(before)
    if len(names) < 2 or whole <= 0:
        return None
    name = max(rises, key=lambda one: rises[one])
    share = min(1.0, rises[name] / whole)
    return Payer(kind=kind, name=name, share=share) if share >= MOST_OF_IT else None


def _extra(context: ProbeContext, cost: Moved) -> float:
    """USD beyond the usual since the incident began, at the present pace."""
    minutes = (context.clock.now() - context.started_at).total_seconds() / 60
    return round(max(0.0, cost.now - cost.usual) * max(minutes, 0.0), 2)


def _judge(cost: Moved | None, price: Moved | None, payers: Sequence[Payer], unpriced: Sequence[str],
           **common: Any) -> Reading:  # fmt: skip
    if cost is None:
        return Reading(outcome=INCONCLUSIVE, summary=f"Cost: {wording.no_baseline(0, series.ENOUGH)}.", **common)
    told = f"{_usd(cost.now)} a minute, {wording.ratio(cost.ratio)} the usual {_usd(cost.usual)}"
    left = f" Without a price: {', '.join(unpriced)}." if unpriced else ""
    by = "; ".join(f"{wording.percent(one.share)} of the rise is {one.kind} {one.name}" for one in payers)
    dearer = price is not None and price.up(PRICE_UP)
    if price is not None and dearer:
        return Reading(
            outcome="price_up",
            summary=f"{told}: a token costs {wording.ratio(price.ratio)} the usual"
                    f" ({wording.probability(price.p_rise)}){f'; {by}' if by else ''}.{left}",
            **_numbers(cost, price.p_rise), **common,
        )  # fmt: skip
    if cost.up(COST_UP):
        return Reading(
            outcome="volume_up",
            summary=f"{told}; a token costs what it usually does{f'; {by}' if by else ''}.{left}",
            **_numbers(cost, cost.p_rise), **common,
        )  # fmt: skip
    return Reading(outcome="ok", summary=f"{told}.{left}", **_numbers(cost, cost.p_rise), **common)


def _numbers(cost: Moved, p_value: float) -> Mapping[str, Any]:
    return {
        "value": round(cost.now, 4), "baseline": round(cost.usual, 4), "baseline_n": cost.n,
        "test": statistics.MANN_WHITNEY, "p_value": p_value,
    }  # fmt: skip


def _usd(amount: float) -> str:
    return f"{amount:.2f} USD" if amount >= 0.1 else f"{amount:.4f} USD"
