"""A small client of the Prometheus HTTP API. No data is an answer of its own and never zero."""

import asyncio
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from config.http import Http, HttpError
from diagnostics.metrics import Alias, Query, names_of, promql
from diagnostics.model import Evidence

MOST_POINTS = 600
MOST_SERIES = 5_000
TIMEOUT_S = 6.0
_EXCERPT = 1_800


class PrometheusError(Exception):
    """Prometheus gave no usable answer: unreachable, refused, or not understood."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One time series of an answer; an instant one has a single point. Never empty, never NaN."""

    labels: Mapping[str, str]
    points: tuple[tuple[datetime, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What a logical metric showed, under the first of its names that has data; without lines, none had."""

    metric: str
    alias: Alias
    query: str
    lines: tuple[Line, ...]

    @property
    def has_data(self) -> bool:
        return bool(self.lines)

    @property
    def evidence(self) -> Evidence:
        """The query and the newest value of each series, short."""
        shown = [f"{_labels(line.labels)} {line.last:g} @ {line.points[-1][0]:%H:%M:%S}" for line in self.lines[:40]]
        return Evidence(source=f"PromQL {self.query}", excerpt=("\n".join(shown) or "no data")[:_EXCERPT])


class Prometheus:
    """Queries one named target. Values are in the unit of the metric table."""

    def __init__(self, http: Http, target: str) -> None:
        self._http = http
        self._target = target

    async def at(self, query: Query, moment: datetime) -> Answer:
        """The value of every series at a moment. Raises :class:`PrometheusError`."""
        return await self._first(query, "/api/v1/query", {"time": _unix(moment)})

    async def over(self, query: Query, start: datetime, end: datetime, step_s: int) -> Answer:
        """Values from ``start`` to ``end`` (both included if the steps fit). Raises :class:`PrometheusError`."""
        points = (end - start).total_seconds() / step_s
        if step_s < 1 or not 0 <= points <= MOST_POINTS:
            raise PrometheusError(f"a range of {points:.0f} points was asked for; at most {MOST_POINTS} are allowed")
        return await self._first(
            query, "/api/v1/query_range", {"start": _unix(start), "end": _unix(end), "step": str(step_s)}
        )

    async def _first(self, query: Query, path: str, when: Mapping[str, str]) -> Answer:
        """The preferred name, and all others at once if that has no data; the first in the table that has data wins."""
        preferred, *others = names_of(query.metric)
        first = await self._answer(query, preferred, path, when)
        if first.has_data or not others:
            return first
        answers = await asyncio.gather(*(self._answer(query, alias, path, when) for alias in others))
        return next((answer for answer in answers if answer.has_data), first)

    async def _answer(self, query: Query, alias: Alias, path: str, when: Mapping[str, str]) -> Answer:
        text = promql(query, alias)
        lines = await self._lines(path, {"query": text, **when})
        return Answer(metric=query.metric, alias=alias, query=text, lines=_scaled(lines, alias.scale))

    async def _lines(self, path: str, query: Mapping[str, str]) -> tuple[Line, ...]:
        try:
            reply = await self._http.request(self._target, "GET", path, query=query, timeout_s=TIMEOUT_S)
        except HttpError as error:
            raise PrometheusError(f"Prometheus did not answer: {error}") from error
        if reply.status != 200:
            raise PrometheusError(f"Prometheus ({self._target}) answered HTTP {reply.status}: {reply.text[:200]}")
        try:
            document = json.loads(reply.text)
            results = document["data"]["result"]
            if document["status"] != "success" or not isinstance(results, list):
                raise PrometheusError(f"Prometheus ({self._target}) answered {str(document)[:200]}")
            lines = [_line(result) for result in results[:MOST_SERIES]]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise PrometheusError(f"Prometheus ({self._target}) answered something else: {reply.text[:200]}") from error
        return tuple(line for line in lines if line.points)


def _line(result: Mapping[str, Any]) -> Line:
    raw = result["values"] if "values" in result else [result["value"]]
    points = [(datetime.fromtimestamp(float(at), UTC), float(value)) for at, value in raw]
    labels = {str(name): str(value) for name, value in result["metric"].items() if name != "__name__"}
    return Line(labels=labels, points=tuple((at, value) for at, value in points if math.isfinite(value)))


def _scaled(lines: Sequence[Line], scale: float) -> tuple[Line, ...]:
    if scale == 1.0:
        return tuple(lines)
    return tuple(
        Line(labels=line.labels, points=tuple((at, value * scale) for at, value in line.points)) for line in lines
    )


def _unix(moment: datetime) -> str:
    return f"{moment.timestamp():.3f}"


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ", ".join(f"{name}={value}" for name, value in sorted(labels.items())) + "}"
