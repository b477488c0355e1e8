"""Recorded incidents: whole views as JSON, the same value when read back."""

import json
from pathlib import Path

from bot.domain import codec
from bot.domain.view import IncidentView

FOLDER = Path(__file__).parent / "incidents"


class NotLossless(Exception):
    """What was written is not what would be read."""


def write(path: Path, view: IncidentView) -> Path:
    """Keep a view. Raises :class:`NotLossless` if reading it back would give another value."""
    text = json.dumps(codec.dump(view), ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    if codec.load(IncidentView, json.loads(text)) != view:
        raise NotLossless(f"{path}: the view has something that JSON cannot carry")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text + "\n", "utf-8")
    return path


def read(name: str) -> IncidentView:
    """The incident recorded under this name. Raises :class:`OSError` if there is none."""
    return codec.load(IncidentView, json.loads((FOLDER / f"{name}.json").read_text("utf-8")))
