"""Everything that is known of an incident as JSON: nothing left out, nothing altered, the chain verifiable from it."""

import json
import math
from collections.abc import Sequence
from dataclasses import asdict, replace
from typing import Any

from bot.domain import codec
from bot.domain.edits import Edits, edits_of, shown
from bot.domain.measures import measures
from bot.domain.presentation import AS_RECORDED, Presentation
from bot.domain.provenance import used_texts
from bot.domain.timeline import Entry
from bot.domain.verdicts import verdicts
from bot.domain.view import IncidentView
from bot.domain.zoned import local

FORMAT = "pagerunner-incident/1"
_HOW = (
    "hash = SHA-256 over the byte 00, the previous hash (32 bytes), seq (8 bytes, big-endian) and the SHA-256 of the "
    "body; body = JSON with sorted keys, no spaces, UTF-8: actor, at, data, incident, kind, provenance"
)

_NOT = "the hashes cover what was recorded; this export is redacted, so they cannot be verified from it"


def export(recorded: IncidentView, presentation: Presentation = AS_RECORDED, altered: Sequence[int] = ()) -> bytes:
    """The view under ``view``, as ``codec`` writes and reads it; what is computed from it stands beside it.

    ``altered``: entries out of which a secret was taken, so that their hash covers more than is shown. At a redaction
    level, hidden entries are left out and counted; internally, everything is there.
    """
    edits = edits_of(recorded.timeline)
    internal = presentation.redaction == "internal"
    view = recorded if internal else replace(recorded, timeline=_not_hidden(recorded, edits))
    data = codec.dump(view)
    for entry, written in zip(view.timeline, data["timeline"], strict=True):
        written["at"] = entry.at.isoformat()  # Exactly the text that its hash covers.
    whole: dict[str, Any] = {
        "format": FORMAT,
        "view": data,
        "measures_s": {measure.key: measure.seconds for measure in measures(shown(recorded, edits))},
        "chain": {"how": _HOW if internal else _NOT, "head": view.timeline[-1].hash if view.timeline else ""},
        "verdicts": [
            {
                "person": entry.fact.actor,
                "name": entry.fact.data.get("by"),
                "verdict": entry.fact.data["verdict"],
                "runbook": entry.fact.data.get("runbook"),
                "at": entry.at.isoformat(),
                "entry": entry.seq,
            }
            for entry in verdicts(view)
        ],
        "runbooks": [asdict(one) for one in used_texts(view)],
        "hidden": edits.hiders,
        "presentation": {"redaction": presentation.redaction, "zone": presentation.zone_name},
    }
    if altered:
        whole["chain"]["altered"] = list(altered)
    if presentation.zone_name != "UTC":
        whole["local_times"] = {str(entry.seq): local(edits.placed.get(entry.seq) or entry.at,
                                                      presentation.zone).isoformat()
                                for entry in view.timeline}  # fmt: skip
    text = json.dumps(_finite(whole), ensure_ascii=False, allow_nan=False, sort_keys=True, indent=2)
    # A lone surrogate can be in JSON only as an escape.
    return text.encode("utf-8", "backslashreplace") + b"\n"


def _not_hidden(view: IncidentView, edits: Edits) -> tuple[Entry, ...]:
    return tuple(entry for entry in view.timeline if entry.seq not in edits.hidden)


def _finite(value: Any) -> Any:
    """NaN and infinities as texts, such as ``-Infinity``: JSON can hold these, and ``codec`` reads them."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else ("Infinity" if value > 0 else "-Infinity")
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value
