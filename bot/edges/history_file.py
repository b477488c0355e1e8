"""Recorded history from a file: baselines and changes, checked whole before anything is stored."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError, model_validator

from bot.edges.history import SqlHistory
from diagnostics.model import Change, Sample


class HistoryError(Exception):
    """What in the file is wrong, and where."""


class _Baseline(BaseModel):
    model_config = ConfigDict(extra="forbid")
    service: str
    series: str = ""
    samples: tuple[tuple[AwareDatetime, float], ...] = ()
    document: str = ""
    at: AwareDatetime | None = None
    value: Any = None

    @model_validator(mode="after")
    def _one_kind(self) -> "_Baseline":
        if bool(self.series) == bool(self.document) or (self.document and self.at is None):
            raise ValueError("give either series and samples, or document, at and value")
        return self


class _Change(BaseModel):
    model_config = ConfigDict(extra="forbid")
    id: str
    at: AwareDatetime
    kind: str
    service: str
    summary: str
    before: str = ""
    after: str = ""
    actor: str = ""


class _History(BaseModel):
    model_config = ConfigDict(extra="forbid")
    baselines: tuple[_Baseline, ...] = ()
    changes: tuple[_Change, ...] = ()


async def load(history: SqlHistory, data: Mapping[str, Any]) -> tuple[int, int, int]:
    """Store baselines and changes; returns how many samples, documents and changes. Raises :class:`HistoryError`."""
    try:
        read = _History.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HistoryError(f"{where}: {first['msg']} ({error.error_count()} problems in all)") from None
    samples = documents = 0
    for service in dict.fromkeys(b.service for b in read.baselines):
        own = [b for b in read.baselines if b.service == service]
        rows = [(b.series, Sample(at=at, value=value)) for b in own for at, value in b.samples]
        kept: Sequence[tuple[str, datetime, Any]] = [(b.document, b.at, b.value) for b in own if b.document and b.at]
        await history.record(service, rows, kept)
        samples, documents = samples + len(rows), documents + len(kept)
    await history.add_changes([Change(**c.model_dump()) for c in read.changes])
    return samples, documents, len(read.changes)
