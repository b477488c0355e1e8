"""P15: whether the retrieval index keeps up with its sources, by the time of the newest document in it."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from config.catalogue import Index
from config.http import HttpError, Reply
from diagnostics import wording
from diagnostics.metrics import LABEL_VALUE, Query
from diagnostics.model import INCONCLUSIVE, Evidence, Params, ProbeContext, ProbeSpec, Reading, Verdict
from diagnostics.prometheus import Prometheus, PrometheusError

STALE_FACTOR = 2.0
"""Stale once the lag is so many times what the owner promised."""


class IndexParams(Params):
    """Which index; None: the service's."""

    index: str | None = None


class IndexFreshness:
    """P15."""

    spec = ProbeSpec(
        id="P15",
        name="index_freshness",
        title="Index freshness",
        outcomes={"fresh": Verdict.NORMAL, "stale": Verdict.ABNORMAL},
        params=IndexParams,
        unit="s behind",
        expected_s=1.0,
        timeout_s=12.0,
        applies=("index",),
    )

    async def run(self, context: ProbeContext, params: IndexParams) -> Reading:
        """Ask the ingestion's admin endpoint; without an answer, the watermark metric."""
        name = params.index or context.service.index or ""
        index = context.catalogue.index(name)
        if index is None:
            return Reading(outcome=INCONCLUSIVE, summary=f"There is no index named {name!r} in the catalogue.")
        document, evidence = await _document(context, index)
        watermark = _moment(document.get("watermark"))
        if watermark is None:
            watermark, more = await _metric(context, index)
            evidence = (*evidence, *more)
        if watermark is None:
            why = f"{index.name}: neither its ingestion nor a metric tells how far it has come."
            return Reading(outcome=INCONCLUSIVE, summary=why, evidence=evidence)
        return _reading(index, document, (context.clock.now() - watermark).total_seconds(), evidence)


async def _document(context: ProbeContext, index: Index) -> tuple[Mapping[str, Any], tuple[Evidence, ...]]:
    source = f"GET {index.admin} /{index.name}"
    try:
        reply = await context.http.request(index.admin, "GET", f"/{index.name}")
    except HttpError as error:
        return {}, (Evidence(source=source, excerpt=str(error)),)
    return _object(reply), (Evidence(source=source, excerpt=f"HTTP {reply.status}\n{reply.text}"[:2000]),)


def _object(reply: Reply) -> Mapping[str, Any]:
    try:
        value = json.loads(reply.text) if reply.status == 200 else {}
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


async def _metric(context: ProbeContext, index: Index) -> tuple[datetime | None, tuple[Evidence, ...]]:
    target = context.service.prometheus
    if not target or not LABEL_VALUE.fullmatch(index.name):
        return None, ()
    query = Query(template="highest", metric="index_watermark", labels={"index": index.name})
    try:
        answer = await Prometheus(context.http, target).at(query, context.clock.now())
    except PrometheusError as error:
        return None, (Evidence(source="PromQL index watermark", excerpt=str(error)),)
    if not answer.has_data:
        return None, (answer.evidence,)
    newest = max(line.last for line in answer.lines)
    return datetime.fromtimestamp(newest, UTC), (answer.evidence,)


def _reading(index: Index, document: Mapping[str, Any], lag_s: float, evidence: tuple[Evidence, ...]) -> Reading:
    state = document.get("state")
    waiting = document.get("queue_depth")
    allowed = STALE_FACTOR * index.freshness_slo_s
    stale = lag_s > allowed
    queue = f", {wording.count(waiting)} documents are waiting" if isinstance(waiting, int | float) and waiting else ""
    told = f", ingestion is {state}" if isinstance(state, str) and state.isalpha() else ""
    # A source that nobody writes to looks the same from here, unless documents are waiting or ingestion says it stands.
    quiet = stale and not queue and state == "running"
    doubt = "; its source may simply be quiet" if quiet else ""
    return Reading(
        outcome="stale" if stale else "fresh",
        summary=f"{index.name}: the newest document is {wording.seconds(max(0.0, lag_s))} old; "
        f"{wording.seconds(index.freshness_slo_s)} are promised{told}{queue}{doubt}.",
        value=lag_s,
        baseline=float(index.freshness_slo_s),
        n=1,
        test=f"older than {STALE_FACTOR:g} times the promised freshness",
        evidence=evidence,
        details={"index": index.name, "state": state, "queue_depth": waiting, "maybe_quiet": quiet},
    )


def _moment(value: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    return moment.astimezone(UTC) if moment is not None and moment.tzinfo else None
