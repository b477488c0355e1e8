"""The admin documents: JSON with a version, changed by compare-and-set. Every write is remembered with its moment."""

import copy
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from drills.company import APPS, BY_ROUTE, CLASSES, DEPLOYMENTS, MODEL_OF_PROVIDER, PROVIDERS, TENANTS
from drills.engine_state import ENGINE_REPLICAS, REPLICAS, USUAL_REPLICAS
from drills.faults import MODEL_ORDER
from drills.path import FULL_WORKERS
from drills.stack_documents import check_stack
from drills.when import iso

Json = dict[str, Any]
RELEASE, NEXT_RELEASE = "gw-47", "gw-48"
"""Release of the gateway, program and configuration, that has been in use for days; and the one after it."""
RELEASES = ("gw-46", RELEASE, NEXT_RELEASE)
Check = Callable[[str, Json], str]
"""(last part of the path, the document as it would become) -> what is wrong with it, or an empty string."""


class DocumentError(Exception):
    """A read or write was refused: an HTTP status and why."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, kw_only=True, slots=True)
class Write:
    """One accepted change."""

    at: float
    path: str
    before: Json
    after: Json
    agent: str


@dataclass(slots=True)
class Document:
    """``keys`` may be written, ``fixed`` only read."""

    version: int
    keys: Json
    fixed: Json = field(default_factory=dict)

    def public(self) -> Json:
        return {"version": self.version, **copy.deepcopy(self.fixed), **copy.deepcopy(self.keys)}


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting:
    """What somebody has set in a document before the world began, and what its history says of it."""

    keys: Mapping[str, Any]
    entry: Mapping[str, Any] | None = None
    """A further entry of its history; without one, the keys as they became at ``at``."""
    at: float | None = None
    """When it went live: the revision before acted until then. None: the fault tells when it acts."""

    def put_into(self, document: Document) -> None:
        """Set it, as one write would."""
        document.keys = {**document.keys, **copy.deepcopy(dict(self.keys))}
        document.version += 1
        entry = self.entry
        if entry is None and self.at is not None and "history" in document.fixed:
            entry = {**copy.deepcopy(document.keys), "at": iso(self.at)}
        if entry is not None:
            document.fixed["history"] = [*document.fixed["history"], dict(entry)]


@dataclass(slots=True)
class Documents:
    """All of them, by path such as ``gateway/routes/chat``."""

    by_path: dict[str, Document] = field(default_factory=dict)
    writes: list[Write] = field(default_factory=list)

    def get(self, path: str) -> Document:
        """Raises :class:`DocumentError` (404) for a path that does not exist."""
        document = self.by_path.get(path)
        if document is None:
            raise DocumentError(404, f"no such document: {path}")
        return document

    def put(self, path: str, changes: object, if_match: str | None, *, at: float, agent: str = "") -> Document:
        """Compare the version and set the given keys. 404, 412, 422 or 428 as :class:`DocumentError`."""
        document = self.get(path)
        if if_match is None:
            raise DocumentError(428, "send If-Match with the version you have read")
        if if_match.strip().removeprefix("W/").strip('"') != str(document.version):
            raise DocumentError(412, f"version is {document.version} now: read again")
        if not isinstance(changes, dict) or not changes:
            raise DocumentError(422, "the body must be a JSON object with the keys to change")
        unknown = sorted(set(changes) - set(document.keys))
        if unknown:
            raise DocumentError(422, f"unknown keys {unknown}; known: {sorted(document.keys)}")
        after = _merged(document.keys, changes)
        problem = _check(path, after, document.fixed)
        if problem:
            raise DocumentError(422, problem)
        before = document.keys
        if after == before:
            return document
        self.writes.append(Write(at=at, path=path, before=before, after=copy.deepcopy(after), agent=agent))
        document.keys = after
        document.version += 1
        return document

    def state_hash(self) -> str:
        """Of all writable keys: the same after an action and its undo."""
        state = {path: document.keys for path, document in sorted(self.by_path.items())}
        return hashlib.sha256(json.dumps(state, sort_keys=True).encode()).hexdigest()[:24]


def _merged(before: Json, changes: Mapping[str, Any]) -> Json:
    after = copy.deepcopy(before)
    for key, value in changes.items():
        if key == "aliases" and isinstance(value, dict):
            after[key] = {**after[key], **value}
        else:
            after[key] = copy.deepcopy(value)
    return after


def _check(path: str, after: Json, fixed: Json) -> str:
    parts = path.split("/")
    if parts[0] == "prompts":
        known = {entry["version"] for entry in fixed["versions"]}
        bad = [alias for alias, version in after["aliases"].items() if version not in known]
        return f"aliases {bad} name versions that do not exist; known: {sorted(known)}" if bad else ""
    if parts[0] == "ingestion" and len(parts) == 2:
        return _ingestion(parts[-1], after)
    check = _CHECKS.get(parts[1])
    return check(parts[-1], after) if check else check_stack(path, after)


def _whole(value: object, low: int, high: int, *, none: bool = False) -> bool:
    if value is None:
        return none
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _ingestion(_name: str, after: Json) -> str:
    if after["state"] not in ("running", "paused", "stalled"):
        return "state must be running, paused or stalled"
    return "" if isinstance(after["catch_up"], bool) else "catch_up must be true or false"


def _banner(_name: str, after: Json) -> str:
    text = after["text"]
    return "" if isinstance(text, str) and len(text) <= 500 else "text must be at most 500 characters"


def _class(_name: str, after: Json) -> str:
    return "" if _whole(after["admit_percent"], 0, 100) else "admit_percent must be 0 to 100"


def _retries(_name: str, after: Json) -> str:
    return "" if _whole(after["max_retries"], 0, 10) else "max_retries must be 0 to 10"


def _drained(_name: str, after: Json) -> str:
    return "" if isinstance(after["drained"], bool) else "drained must be true or false"


def _suspended(_name: str, after: Json) -> str:
    return "" if isinstance(after["suspended"], bool) else "suspended must be true or false"


def _weights(route: str, after: Json) -> str:
    weights = after["weights"]
    allowed = PROVIDERS if BY_ROUTE[route].fallback else PROVIDERS[:1]
    if not isinstance(weights, dict) or not all(_whole(value, 0, 100) for value in weights.values()):
        return "weights must map providers to whole per cents"
    if set(weights) - set(allowed):
        return f"route {route} can be served by {list(allowed)} only"
    return "" if sum(weights.values()) == 100 else "weights must add up to 100"


def _params(_route: str, after: Json) -> str:
    models = [model for provider in PROVIDERS for model in MODEL_OF_PROVIDER[provider]]
    if after["model"] not in models:
        return f"no such model: {after['model']!r}; known: {models}"
    return "" if isinstance(after["params"], dict) and isinstance(after["revision"], str) else "revision or params"


def _caps(_name: str, after: Json) -> str:
    bad = [key for key, value in after.items() if not _whole(value, 1, 1_000_000, none=True)]
    return f"{bad} must be whole numbers above 0, or null" if bad else ""


def _limit(_name: str, after: Json) -> str:
    fine = _whole(after["tokens_per_minute"], 0, 100_000_000, none=True)
    return "" if fine else "tokens_per_minute must be a whole number or null"


def _moderation(_name: str, after: Json) -> str:
    if after["on_timeout"] not in ("hold", "pass", "block"):
        return "on_timeout must be hold, pass or block"
    return "" if isinstance(after["hold_for_review"], bool) else "hold_for_review must be true or false"


def _workers(_name: str, after: Json) -> str:
    return "" if _whole(after["count"], 1, 64) else "count must be 1 to 64"


def _scale(_name: str, after: Json) -> str:
    return "" if _whole(after["replicas"], 1, ENGINE_REPLICAS) else f"replicas must be 1 to {ENGINE_REPLICAS}"


def _release(_name: str, after: Json) -> str:
    return "" if after["release"] in RELEASES else f"no such release: {after['release']!r}; known: {list(RELEASES)}"


_CHECKS: dict[str, Check] = {
    "replicas": _drained, "scale": _scale, "workers": _workers, "release": _release,
    "banners": _banner, "classes": _class, "retries": _retries, "deployments": _drained, "canaries": _suspended,
    "routes": _weights, "params": _params, "caps": _caps, "limits": _limit, "moderation": _moderation,
}  # fmt: skip


def gateway_documents(times: Mapping[str, str]) -> dict[str, Document]:
    """The gateway's documents as set on an ordinary day. ``times``: when the revisions of params were made."""
    found = {
        "gateway/retries": Document(version=4, keys={"max_retries": 2}),
        **{
            f"gateway/retries/{model}": Document(version=1, keys={"max_retries": 2}, fixed={"model": model})
            for model in MODEL_ORDER
        },
        "gateway/canaries": Document(version=1, keys={"suspended": False}),
        "gateway/workers": Document(version=2, keys={"count": FULL_WORKERS}),
        "gateway/release": Document(
            version=9,
            keys={"release": RELEASE},
            fixed={"history": [{"release": "gw-46", "at": times["r16"]}, {"release": RELEASE, "at": times["r17"]}]},
        ),
    }
    for name in DEPLOYMENTS:
        found[f"gateway/deployments/{name}"] = Document(version=1, keys={"drained": False}, fixed={"id": name})
    for app in APPS:
        route = app.route
        weights = {PROVIDERS[0]: 100, PROVIDERS[1]: 0} if app.fallback else {PROVIDERS[0]: 100}
        found[f"gateway/banners/{route}"] = Document(version=1, keys={"text": ""}, fixed={"route": route})
        found[f"gateway/routes/{route}"] = Document(version=7, keys={"weights": weights}, fixed={"route": route})
        found[f"gateway/caps/{route}"] = Document(
            version=1, keys={"max_steps": None, "max_tokens": None, "max_context": None}, fixed={"route": route}
        )
        for name in CLASSES:
            found[f"gateway/classes/{route}/{name}"] = Document(
                version=2, keys={"admit_percent": 100}, fixed={"route": route, "class": name}
            )
        for name in TENANTS:
            found[f"gateway/limits/{route}/{name}"] = Document(
                version=1, keys={"tokens_per_minute": None}, fixed={"route": route, "tenant": name}
            )
        found[f"gateway/params/{route}"] = _params_document(app.route, app.model, times)
        if app.kind.startswith("moderation"):
            found[f"gateway/moderation/{route}"] = Document(
                version=3, keys={"on_timeout": "block", "hold_for_review": False}, fixed={"route": route}
            )
    return found


def engine_documents() -> dict[str, Document]:
    """The engine's documents: how many replicas there are, and which of them take no requests."""
    quota = {"usual_replicas": USUAL_REPLICAS, "max_replicas": ENGINE_REPLICAS}
    scale = Document(version=5, keys={"replicas": USUAL_REPLICAS}, fixed=quota)
    drained = {
        f"engine/replicas/{name}": Document(version=1, keys={"drained": False}, fixed={"id": name}) for name in REPLICAS
    }
    return {"engine/scale": scale, **drained}


def _params_document(route: str, model: str, times: Mapping[str, str]) -> Document:
    """Two revisions on record: the dated snapshot, then the alias that has been in use since."""
    params = {"temperature": 0.2, "max_tokens": 1024}
    pinned = f"{model}-2026-08-01" if model == "acme-large" else model
    history = [
        {"revision": "r16", "model": pinned, "params": params, "at": times["r16"]},
        {"revision": "r17", "model": model, "params": params, "at": times["r17"]},
    ]
    keys = {"revision": "r17", "model": model, "params": params}
    return Document(version=17, keys=keys, fixed={"route": route, "history": history})
