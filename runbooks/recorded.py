"""Recorded probe outputs beside a runbook (``NAME.recorded.jsonl``): what was seen in an incident of this failure.

One JSON object a line::

    {"name": "outage of 3 May", "service": "chat-assistant", "shows": {"provider_canary": "server_error"}}

``shows`` names each probe that was asked and what it reported. ``"otherwise": "healthy"`` says that every other probe
showed its healthy word; without it, the others were not asked.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from runbooks.front_matter import nearest
from runbooks.model import ProbeSignature, RunbookError

SUFFIX = ".recorded.jsonl"
MAX_BYTES = 1_000_000


class RecordedError(RunbookError):
    """The file cannot be used: which line, what was found, what was expected."""


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    name: str
    service: str
    shows: dict[str, str]
    otherwise: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recording:
    """What the probes reported once, by probe name."""

    name: str
    service: str
    shows: Mapping[str, str] = field(default_factory=dict)

    def as_line(self) -> str:
        """The line of the file."""
        row = {"name": self.name, "service": self.service, "shows": dict(self.shows)}
        return json.dumps(row, ensure_ascii=False) + "\n"


def beside(runbook: Path) -> Path:
    """Where the recordings of a runbook stand."""
    return runbook.with_name(runbook.stem + SUFFIX)


def read_recordings(path: Path, probes: Mapping[str, ProbeSignature], healthy: Mapping[str, str]) -> list[Recording]:
    """The recordings in a file; none if there is no file. ``healthy``: probe name -> its healthy word. Raises
    :class:`RecordedError`."""
    if not path.exists():
        return []
    try:
        data = path.read_bytes()
        text = data.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise RecordedError(f"{path}: cannot be read: {error}") from error
    if len(data) > MAX_BYTES:
        raise RecordedError(f"{path}: larger than {MAX_BYTES:,} bytes; keep the recordings that say most")
    lines = enumerate(text.splitlines(), start=1)
    return [_recording(f"{path}:{number}", line, probes, healthy) for number, line in lines if line.strip()]


def _recording(where: str, line: str, probes: Mapping[str, ProbeSignature], healthy: Mapping[str, str]) -> Recording:
    try:
        row = _Line.model_validate(json.loads(line))
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        place = ".".join(map(str, first["loc"]))
        raise RecordedError(f"{where}: {place}: {first['msg']}; {_EXPECTED}") from error
    except ValueError as error:
        raise RecordedError(f"{where}: not JSON ({error}); {_EXPECTED}") from error
    if row.otherwise not in ("", "healthy"):
        raise RecordedError(f"{where}: otherwise: {row.otherwise!r}; the only word is 'healthy'")
    for probe, outcome in row.shows.items():
        if probe not in probes:
            raise RecordedError(f"{where}: there is no probe {probe!r}; {nearest(probe, probes)}")
        if outcome not in (*probes[probe].outcomes, "inconclusive"):
            hint = nearest(outcome, probes[probe].outcomes)
            raise RecordedError(f"{where}: {probe!r} never reports {outcome!r}; {hint}")
    others: Mapping[str, Any] = healthy if row.otherwise else {}
    return Recording(name=row.name, service=row.service, shows={**others, **row.shows})


_EXPECTED = 'expected {"name": "…", "service": "…", "shows": {"provider_canary": "server_error"}}'
