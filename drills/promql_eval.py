"""Evaluating PromQL over the world's series, as Prometheus does: ``rate`` and ``increase`` extrapolate to the ends of
the window, and an instant selector sees samples of the last five minutes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from drills.draws import Floats
from drills.promql import Aggregate, Expr, PromqlError, Quantile, Rate, Selector
from drills.store import Series, Store

LOOKBACK_S = 300.0
Labels = tuple[tuple[str, str], ...]
Vector = dict[Labels, Floats]
"""Labels -> one value for each moment; NaN where there is none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Source:
    """What queries are evaluated over."""

    store: Store
    catalogue: Mapping[str, Sequence[Series]]
    gaps: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Service -> from when until when none of its samples came in."""
    absent: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    """Metric -> the same."""
    chosen: dict[Selector, Sequence[Series]] = field(default_factory=dict)
    """What selectors choose from this catalogue, for whoever asks more than once."""

    def gap(self, series: Series) -> tuple[float, float] | None:
        """When no samples of a series came in; None: they all did."""
        return self.absent.get(series.name) or self.gaps.get(series.labels.get("service", ""))


def evaluate(expr: Expr, source: Source, moments: Floats) -> Vector:
    """The value of each resulting series at each moment. Raises :class:`PromqlError`."""
    if isinstance(expr, Selector):
        if expr.window_s:
            raise PromqlError("invalid expression type: a range vector needs rate or increase around it")
        return _instant(expr, source, moments)
    if isinstance(expr, Rate):
        return _rates(expr, source, moments)
    if isinstance(expr, Quantile):
        return _quantiles(expr.q, evaluate(expr.of, source, moments))
    return _aggregated(expr, evaluate(expr.of, source, moments))


def _chosen(selector: Selector, source: Source) -> Sequence[Series]:
    if selector not in source.chosen:
        source.chosen[selector] = _matching(selector, source)
    return source.chosen[selector]


def _matching(selector: Selector, source: Source) -> list[Series]:
    names = [selector.name] if selector.name else [m.value for m in selector.matchers if m.label == "__name__"]
    found = source.catalogue.get(names[0], ())
    return [series for series in found if all(matcher.matches(series.labels) for matcher in selector.matchers)]


def _labels(series: Series, *, named: bool) -> Labels:
    return tuple(sorted((k, v) for k, v in series.labels.items() if v != "" and (named or k != "__name__")))


def _instant(selector: Selector, source: Source, moments: Floats) -> Vector:
    times = source.store.seen()
    result: Vector = {}
    for series in _chosen(selector, source):
        last = _last(source, series, moments)
        fresh = (last >= 0) & (moments - times[np.maximum(last, 0)] < LOOKBACK_S) if len(times) else last >= 0
        if len(times):
            values = source.store.at(series, np.maximum(last, 0))
            result[_labels(series, named=True)] = np.where(fresh, values, np.nan)
    return result


def _last(source: Source, series: Series, moments: Floats) -> NDArray[np.intp]:
    """Place of the newest sample that a series has at each moment."""
    times = source.store.seen()
    last = np.searchsorted(times, moments, side="right") - 1
    gap = source.gap(series)
    if gap is None or not len(times):
        return last
    missing = (times[np.maximum(last, 0)] >= gap[0]) & (times[np.maximum(last, 0)] < gap[1])
    result: NDArray[np.intp] = np.where(missing, np.searchsorted(times, gap[0], side="left") - 1, last)
    return result


def _rates(expr: Rate, source: Source, moments: Floats) -> Vector:
    chosen = _chosen(expr.selector, source)
    # Series without a gap have the same samples, and so do those that share one.
    groups: dict[tuple[float, float] | None, list[Series]] = {None: []}
    for series in chosen:
        groups.setdefault(source.gap(series), []).append(series)
    result: Vector = {}
    for alike in groups.values():
        result |= _grown(expr, source, alike, moments)
    return result


def _grown(expr: Rate, source: Source, chosen: Sequence[Series], moments: Floats) -> Vector:
    if not chosen:
        return {}
    times, window = source.store.seen(), expr.selector.window_s
    first = np.searchsorted(times, moments - window, side="right")
    last = _last(source, chosen[0], moments)
    gap = source.gap(chosen[0])
    if gap is not None:
        first = np.where((moments - window >= gap[0]) & (moments - window < gap[1]), _after(times, gap[1]), first)
    usable = last > first
    if not usable.any():
        return {}
    low, high = np.where(usable, first, 0), np.where(usable, last, 0)
    at_low = np.stack([source.store.at(series, low) for series in chosen])
    grown = np.stack([source.store.at(series, high) for series in chosen]) - at_low
    increase = grown * _extrapolation(times, low, high, at_low, grown, moments, window)
    if expr.function == "rate":
        increase = increase / window
    increase = np.where(usable, increase, np.nan)
    return {_labels(series, named=False): increase[number] for number, series in enumerate(chosen)}


def _after(times: Floats, moment: float) -> int:
    """Place of the first sample from then on."""
    return int(np.searchsorted(times, moment, side="left"))


def _extrapolation(
    times: Floats, low: NDArray[np.intp], high: NDArray[np.intp], at_low: Floats, grown: Floats, moments: Floats,
    window: float,
) -> Floats:  # fmt: skip
    """Prometheus's factor: extend what was sampled to the window's ends, unless the series seems to begin or end."""
    sampled = np.maximum(times[high] - times[low], 1e-9)
    average = sampled / np.maximum(high - low, 1)
    to_start = times[low] - (moments - window)
    to_end = moments - times[high]
    threshold = average * 1.1
    to_start = np.where(to_start >= threshold, average / 2, to_start)
    to_zero = np.where(grown > 0, sampled * at_low / np.maximum(grown, 1e-9), np.inf)
    to_start = np.minimum(to_start, to_zero)
    to_end = np.where(to_end >= threshold, average / 2, to_end)
    result: Floats = (sampled + to_start + to_end) / sampled
    return result


_COMBINE: dict[str, Callable[[Floats], Floats]] = {
    "sum": lambda rows: np.nansum(rows, axis=0),
    "max": lambda rows: np.fmax.reduce(rows, axis=0),
    "min": lambda rows: np.fmin.reduce(rows, axis=0),
    "avg": lambda rows: np.nansum(rows, axis=0) / np.maximum((~np.isnan(rows)).sum(axis=0), 1),
    "count": lambda rows: (~np.isnan(rows)).sum(axis=0).astype(np.float64),
}


def _aggregated(expr: Aggregate, inner: Vector) -> Vector:
    groups: dict[Labels, list[Floats]] = {}
    for labels, values in inner.items():
        have = dict(labels)
        key = tuple(sorted((label, have[label]) for label in expr.by if label in have))
        groups.setdefault(key, []).append(values)
    result: Vector = {}
    for key, members in groups.items():
        rows = np.stack(members)
        combined = _COMBINE[expr.function](rows)
        result[key] = np.where(np.isnan(rows).all(axis=0), np.nan, combined)
    return result


def _quantiles(q: float, inner: Vector) -> Vector:
    groups: dict[Labels, list[tuple[float, Floats]]] = {}
    for labels, values in inner.items():
        have = dict(labels)
        limit = have.pop("le", None)
        have.pop("__name__", None)
        if limit is not None:
            key = tuple(sorted(have.items()))
            groups.setdefault(key, []).append((float(limit.replace("+Inf", "inf")), values))
    return {key: _quantile(q, sorted(buckets, key=lambda b: b[0])) for key, buckets in groups.items()}


def _quantile(q: float, buckets: Sequence[tuple[float, Floats]]) -> Floats:
    limits = [limit for limit, _ in buckets]
    counts = np.maximum.accumulate(np.stack([values for _, values in buckets]), axis=0)
    result = np.full(counts.shape[1], np.nan)
    if limits[-1] != float("inf") or len(limits) < 2:
        return result
    for moment in range(counts.shape[1]):
        column = counts[:, moment]
        total = column[-1]
        if np.isnan(total) or total == 0:
            continue
        if not 0.0 <= q <= 1.0:
            result[moment] = -np.inf if q < 0 else np.inf
            continue
        rank = q * total
        place = int(np.searchsorted(column, rank, side="left"))
        if place >= len(limits) - 1:
            result[moment] = limits[-2]
            continue
        low = limits[place - 1] if place > 0 else 0.0
        below = column[place - 1] if place > 0 else 0.0
        inside = column[place] - below
        result[moment] = low + (limits[place] - low) * ((rank - below) / inside if inside > 0 else 1.0)
    return result
