"""The Prometheus HTTP API over the world's series."""

import math
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl

import numpy as np

from drills.exported import catalogue
from drills.missing import windows
from drills.outgoing import Incoming, Outgoing, json_reply
from drills.promql import PromqlError, Selector, parse
from drills.promql_eval import Labels, Source, evaluate
from drills.store import Series
from drills.world import World

_MAX_POINTS = 11_000
_MOST_SELECTORS = 2_000
_CHOSEN: dict[Selector, Sequence[Series]] = {}
"""What has been asked for: the catalogue is the same in every world."""


def handle(world: World, request: Incoming) -> Outgoing:
    """Below ``/prometheus``: instant and range queries, and what a client asks to see whether we are alive."""
    path = request.path.rstrip("/")
    if path in ("/-/healthy", "/-/ready"):
        return json_reply("Prometheus Server is Healthy.")
    if path == "/api/v1/status/buildinfo":
        return json_reply({"status": "success", "data": {"version": "3.5.0"}})
    if path not in ("/api/v1/query", "/api/v1/query_range"):
        return json_reply({"status": "error", "errorType": "not_found", "error": "no such path"}, 404)
    values = dict(request.query)
    if request.method == "POST":
        values |= dict(parse_qsl(request.body.decode("utf-8", "replace")))
    world.advance(request.at)
    try:
        if path.endswith("query_range"):
            return _range(world, values)
        return _instant(world, values, request.at)
    except PromqlError as error:
        return json_reply({"status": "error", "errorType": "bad_data", "error": str(error)}, 400)


def source_of(world: World) -> Source:
    """The world's series, without those that never arrived."""
    gap = world.stack.of("metrics_gap")
    gaps = {gap.service: (gap.start, gap.end)} if gap is not None else {}
    if len(_CHOSEN) > _MOST_SELECTORS:
        _CHOSEN.clear()
    absent = windows(world.scenario.missing)
    return Source(store=world.store, catalogue=catalogue(), gaps=gaps, absent=absent, chosen=_CHOSEN)


def _instant(world: World, values: dict[str, str], now: float) -> Outgoing:
    at = _moment(values, "time", now)
    found = evaluate(parse(_query(values)), source_of(world), np.array([at]))
    result = [
        {"metric": dict(labels), "value": [at, _number(float(series[0]))]}
        for labels, series in _ordered(found)
        if not np.isnan(series[0])
    ]
    return _success("vector", result)


def _range(world: World, values: dict[str, str]) -> Outgoing:
    start, end = _moment(values, "start", None), _moment(values, "end", None)
    step = _step(values.get("step", ""))
    if end < start:
        raise PromqlError('invalid parameter "end": end timestamp must not be before start time')
    if (end - start) / step > _MAX_POINTS:
        raise PromqlError(f"exceeded maximum resolution of {_MAX_POINTS:,} points per timeseries")
    moments = start + step * np.arange(int((end - start) / step) + 1, dtype=np.float64)
    found, times = evaluate(parse(_query(values)), source_of(world), moments), moments.tolist()
    result = [
        {
            "metric": dict(labels),
            "values": [[at, _number(v)] for at, v in zip(times, series.tolist(), strict=True) if not math.isnan(v)],
        }
        for labels, series in _ordered(found)
        if not np.isnan(series).all()
    ]
    return _success("matrix", result)


def _ordered(found: Any) -> list[tuple[Labels, Any]]:
    return sorted(found.items())


def _success(kind: str, result: list[dict[str, Any]]) -> Outgoing:
    document = {"status": "success", "data": {"resultType": kind, "result": result}}
    return json_reply(document, elapsed_s=0.01)


def _query(values: dict[str, str]) -> str:
    query = values.get("query", "")
    if not query.strip():
        raise PromqlError('invalid parameter "query": unknown position: parse error: no expression found in input')
    return query


def _moment(values: dict[str, str], name: str, default: float | None) -> float:
    text = values.get(name, "")
    if not text and default is not None:
        return default
    try:
        return float(text)
    except ValueError:
        pass
    try:
        at = datetime.fromisoformat(text)
    except ValueError as error:
        raise PromqlError(f'invalid parameter "{name}": cannot parse "{text}" to a valid timestamp') from error
    if at.tzinfo is None:
        raise PromqlError(f'invalid parameter "{name}": "{text}" has no time zone')
    return at.timestamp()


def _step(text: str) -> float:
    units = {"s": 1.0, "m": 60.0, "h": 3600.0}
    try:
        step = float(text[:-1]) * units[text[-1]] if text and text[-1] in units else float(text)
    except ValueError as error:
        raise PromqlError(f'invalid parameter "step": cannot parse "{text}" to a valid duration') from error
    if step <= 0:
        raise PromqlError('invalid parameter "step": zero or negative query resolution step widths are not accepted')
    return step


def _number(value: float) -> str:
    if value == float("inf"):
        return "+Inf"
    if value == float("-inf"):
        return "-Inf"
    return repr(round(value, 9)) if value != int(value) else str(int(value))
