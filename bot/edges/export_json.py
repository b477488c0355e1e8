"""Everything that is known of an incident as JSON: nothing left out, nothing altered, the chain verifiable from it."""

import json
import math
from typing import Any

from bot.domain import codec
from bot.domain.measures import measures
from bot.domain.view import IncidentView

FORMAT = "pagerunner-incident/1"
_HOW = (
    "hash = SHA-256 over the byte 00, the previous hash (32 bytes), seq (8 bytes, big-endian) and the SHA-256 of the "
    "body; body = JSON with sorted keys, no spaces, UTF-8: actor, at, data, incident, kind, provenance"
)


def export(view: IncidentView) -> bytes:
    """The view under ``view``, as ``codec`` writes and reads it; what is computed from it stands beside it."""
    data = codec.dump(view)
    for entry, written in zip(view.timeline, data["timeline"], strict=True):
        written["at"] = entry.at.isoformat()  # Exactly the text that its hash covers.
    whole = {
        "format": FORMAT,
        "view": data,
        "measures_s": {measure.key: measure.seconds for measure in measures(view)},
        "chain": {"how": _HOW, "head": view.timeline[-1].hash if view.timeline else ""},
    }
    text = json.dumps(_finite(whole), ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    # A lone surrogate can be in JSON only as an escape.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _finite(value: Any) -> Any:
    """NaN and infinities as texts, such as ``-Infinity``: JSON can hold these, and ``codec`` reads them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
