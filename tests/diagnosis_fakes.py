"""Small fakes at the ports of diagnostics: a clock that is moved, recorded baselines, a change log."""

import asyncio
import functools
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from config.catalogue import Catalogue
from config.http import Http, HttpError, Purpose, ReachStep, Reply
from config.strict_yaml import load
from diagnostics.model import Change, ProbeContext, Sample

T0 = datetime(2026, 11, 20, 12, 0, tzinfo=UTC)


class MovedClock:
    """Stands still until somebody sleeps."""

    def __init__(self, at: datetime = T0) -> None:
        self.at = at

    def now(self) -> datetime:
        return self.at

    async def sleep(self, seconds: float) -> None:
        self.at += timedelta(seconds=seconds)
        await asyncio.sleep(0)


class KeptBaselines:
    """Baselines from plain values, a minute apart, the newest a minute before T0."""

    def __init__(self, series: Mapping[str, Sequence[float]] | None = None,
                 documents: Mapping[str, Any] | None = None) -> None:  # fmt: skip
        self.series = dict(series or {})
        self.kept = dict(documents or {})

    def samples(self, service: str, series: str, *, before: datetime, limit: int = 500) -> Sequence[Sample]:
        values = self.series.get(series, ())
        first = T0 - timedelta(minutes=len(values))
        samples = [Sample(at=first + timedelta(minutes=i), value=value) for i, value in enumerate(values)]
        return [sample for sample in samples if sample.at < before][-limit:]

    def document(self, service: str, key: str, *, before: datetime) -> Any | None:
        return self.kept.get(key)


class KeptChanges:
    """A change log in memory."""

    def __init__(self, *changes: Change) -> None:
        self.changes = changes

    def between(self, service: str, start: datetime, end: datetime) -> Sequence[Change]:
        mine = [c for c in self.changes if c.service in (service, "*") and start <= c.at <= end]
        return sorted(mine, key=lambda change: change.at)


class NoHttp:
    """A network with nobody on it."""

    async def request(self, target: str, method: str, path: str, *, purpose: Purpose = "read",
                      query: Mapping[str, str] | None = None, body: object = None,
                      headers: Mapping[str, str] | None = None, timeout_s: float = 8.0) -> Reply:  # fmt: skip
        raise HttpError("connect", target, "nobody there")

    async def reach(self, target: str, *, timeout_s: float = 5.0) -> tuple[ReachStep, ...]:
        return (ReachStep(step="dns", ok=False, detail="nobody there", elapsed_s=0.0),)


@functools.cache
def example_catalogue() -> Catalogue:
    path = Path(__file__).parents[1] / "config" / "example" / "catalogue.yaml"
    return Catalogue.model_validate(load(path.read_text()).value)


def context(*, service: str = "chat-assistant", http: Http | None = None, clock: MovedClock | None = None,
            baselines: KeptBaselines | None = None, changes: KeptChanges | None = None,
            started_at: datetime = T0) -> ProbeContext:  # fmt: skip
    catalogue = example_catalogue()
    found = catalogue.service(service)
    assert found is not None
    return ProbeContext(
        service=found,
        catalogue=catalogue,
        http=http or NoHttp(),
        clock=clock or MovedClock(),
        baselines=baselines or KeptBaselines(),
        changes=changes or KeptChanges(),
        started_at=started_at,
    )
