"""The documents of what stands around the model: how the index is searched, and what is kept out of it."""

import copy
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from drills import search, supply_documents

if TYPE_CHECKING:
    from drills.documents import Document

Json = dict[str, Any]
_CACHE: Mapping[str, Any] = {"revision": "c4", "mode": "serve", "threshold": 0.95, "namespace": "tenant"}
ORDINARY: Mapping[str, Mapping[str, Any]] = {
    "ingestion/support-kb/retrieval": search.SETTINGS,
    "ingestion/support-kb/quarantine": {"documents": []},
    "gateway/tools/orders": {"enabled": True},
    "gateway/cache/chat": _CACHE,
    "gateway/cache/support": _CACHE,
    "gateway/guardrails/content-rail": {
        "revision": "g7",
        "enabled": True,
        "on_error": "closed",
        "threshold": 0.8,
        "timeout_ms": 2000,
    },
    **supply_documents.ORDINARY,
}
"""Path -> keys on an ordinary day."""
_FIXED: Mapping[str, Mapping[str, Any]] = {
    "gateway/tools/orders": {"on_disabled": "say_unavailable"},
    **supply_documents.FIXED,
}
"""What can only be read."""
_EARLIER: Mapping[str, Mapping[str, Any]] = {
    "ingestion/support-kb/retrieval": {"revision": "s30", "top_k": 10},
    "gateway/guardrails/content-rail": {"revision": "g6", "threshold": 0.85},
    "gateway/cache/chat": {"revision": "c3"},
    "gateway/cache/support": {"revision": "c3"},
}
"""What was different in the revision before, where a document has a history."""


def stack_settings() -> dict[str, Json]:
    """Keys by path, as on an ordinary day."""
    return {path: copy.deepcopy(dict(keys)) for path, keys in ORDINARY.items()}


def stack_documents(made: Mapping[str, str]) -> "dict[str, Document]":
    """The documents, each with its history. ``made``: when the revisions were made."""
    from drills.documents import Document  # noqa: PLC0415 - documents check their writes here

    found = {}
    for path, keys in stack_settings().items():
        fixed: Json = {"name": path.split("/")[-1], **_FIXED.get(path, {})}
        if path in _EARLIER:
            earlier = {**keys, **_EARLIER[path], "at": made["r16"]}
            fixed["history"] = [earlier, {**copy.deepcopy(keys), "at": made["r17"]}]
        fixed |= supply_documents.dated(path, made["r17"])
        found[path] = Document(version=3, keys=keys, fixed=fixed)
    return found


def check_stack(path: str, after: Json) -> str:
    """What is wrong with a document of the stack as it would become; empty: nothing."""
    parts = path.split("/")
    kind = parts[-1] if parts[0] == "ingestion" else parts[1]
    check = _CHECKS.get(kind)
    return check(after) if check else ""


def _retrieval(after: Json) -> str:
    if after["mode"] not in ("vector", "keyword"):
        return "mode must be vector or keyword"
    if after["filter"] not in search.FILTERS:
        return f"filter must be one of {list(search.FILTERS)}"
    whole = all(isinstance(after[key], int) and 1 <= after[key] <= 1000 for key in ("top_k", "ef_search"))
    return "" if whole else "top_k and ef_search must be 1 to 1000"


def _quarantine(after: Json) -> str:
    ids = after["documents"]
    fine = isinstance(ids, list) and len(ids) <= 500 and all(isinstance(one, str) for one in ids)
    return "" if fine else "documents must be a list of at most 500 ids"


def _tool(after: Json) -> str:
    return "" if isinstance(after["enabled"], bool) else "enabled must be true or false"


def _guardrail(after: Json) -> str:
    if after["on_error"] not in ("open", "closed") or not isinstance(after["enabled"], bool):
        return "on_error must be open or closed, enabled true or false"
    number = after["threshold"]
    return "" if isinstance(number, int | float) and 0 < number <= 1 else "threshold must be above 0 and at most 1"


def _cache(after: Json) -> str:
    if after["mode"] not in ("serve", "bypass") or after["namespace"] not in ("tenant", "none"):
        return "mode must be serve or bypass, namespace tenant or none"
    number = after["threshold"]
    return "" if isinstance(number, int | float) and 0 < number <= 1 else "threshold must be above 0 and at most 1"


_CHECKS: dict[str, Callable[[Json], str]] = {
    "retrieval": _retrieval,
    "quarantine": _quarantine,
    "tools": _tool,
    "guardrails": _guardrail,
    "cache": _cache,
    "packages": supply_documents.check_package,
    "credentials": supply_documents.check_credential,
}
