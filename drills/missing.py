"""Telemetry that is missing: sources that do not answer, series that never arrived, a change log with holes.

What is missing tells nothing. A source answers 503, a series has no samples, and the log has no entries, all for the
time that a scenario says; what would have to be changed through a source that does not answer cannot be changed either.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from drills.outgoing import Outgoing, json_reply


@dataclass(frozen=True, kw_only=True, slots=True)
class Missing:
    """One source and the time (unix seconds) in which it is missing; infinite at both ends: it was never there."""

    source: str
    start: float = -inf
    end: float = inf
    names: tuple[str, ...] = ()
    """Metric names, for the source ``series``."""

    def at(self, moment: float) -> bool:
        return self.start <= moment < self.end


SOURCES: Mapping[str, str] = {
    "prometheus": "the whole of Prometheus does not answer",
    "series": "the metrics in `names` have no samples",
    "status_page": "no status page answers",
    "change_log": "changes of that time are not in the change log",
    "recordings": "nothing was recorded before the incident: there is no ordinary day to compare with",
    "gateway_admin": "the gateway's admin API does not answer; nothing can be changed through it either",
    "provider_models": "no provider's list of models answers",
    "prompt_registry": "the prompt registry does not answer",
    "ingestion": "the ingestion's admin API does not answer",
    "search": "the search service does not answer the assistant's questions",
    "tool_audit": "the tool's audit log does not answer",
    "engine_admin": "the inference engine's admin API does not answer",
}
"""Source -> what it means that it is missing."""
_PLACES: Mapping[str, tuple[str, str]] = {
    "prometheus": ("prometheus", "/"), "status_page": ("status", "/"), "gateway_admin": ("gateway", "/admin"),
    "prompt_registry": ("prompts", "/"), "ingestion": ("ingestion", "/"), "search": ("search", "/"),
    "tool_audit": ("tools", "/orders/audit"), "engine_admin": ("engine", "/admin"),
}  # fmt: skip


def silenced(gone: Iterable[Missing], part: str, path: str, at: float) -> Outgoing | None:
    """The answer of a source that is missing at that moment; None: it is there."""
    for one in gone:
        if one.at(at) and _is_of(one.source, part, path):
            return json_reply({"error": "service unavailable"}, 503)
    return None


def _is_of(source: str, part: str, path: str) -> bool:
    if source == "provider_models":
        return part == "providers" and path.split("/", 2)[-1].startswith("v1/models")
    place = _PLACES.get(source)
    return place is not None and part == place[0] and path.startswith(place[1])


def windows(gone: Iterable[Missing]) -> Mapping[str, tuple[float, float]]:
    """Metric name -> from when until when none of its samples came in."""
    return {name: (one.start, one.end) for one in gone if one.source == "series" for name in one.names}


def never(gone: Iterable[Missing], source: str) -> bool:
    """Whether a source was not there before the incident either."""
    return any(one.source == source and one.start == -inf for one in gone)
