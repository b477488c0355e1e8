"""JSON documents with a version, at a named target: what gateways, prompt stores and ingestions offer to be steered by.

``GET`` gives the document and an ``ETag``; ``PUT`` takes the changed keys and an ``If-Match``, and answers 412 if the
document is no longer that version.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import quote

from config.http import Http, HttpError, Reply
from runbooks.actions.resource import Document, State, excerpt
from runbooks.model import ActionError

EFFECT_TIMEOUT_S = 10.0


async def fetch(http: Http, target: str, path: str, label: str, *, query: Mapping[str, str] | None = None) -> Document:
    """The JSON object at a path. Raises :class:`ActionError` with what came instead."""
    try:
        reply = await http.request(target, "GET", path, query=query)
    except HttpError as error:
        raise ActionError(f"{label} could not be read: {error}") from error
    if reply.status != 200:
        said = f"HTTP {reply.status} {excerpt(reply)}".strip()
        raise ActionError(f"{label} could not be read: {said} for GET {path} at target {target!r}")
    fields = json_object(reply.body, label)
    version = reply.headers.get("etag", "")
    if not version and isinstance(fields.get("version"), int):
        version = f'"{fields["version"]}"'
    return Document(label=label, fields=fields, version=version)


def json_object(body: bytes, label: str) -> Mapping[str, Any]:
    """A JSON object, strictly: no NaN, nothing else than an object."""
    try:
        value = json.loads(body, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise ActionError(f"{label} did not answer with JSON: {error}") from error
    if not isinstance(value, dict):
        raise ActionError(f"{label} answered with a JSON {type(value).__name__}, expected an object")
    return value


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionedDocument:
    """Some keys of one document. A key path such as ``("aliases", "production")`` watches an inner key alone."""

    label: str
    target: str
    path: str
    keys: tuple[tuple[str, ...], ...]
    settles: str = ""

    async def read(self, http: Http) -> Document:
        document = await fetch(http, self.target, self.path, self.label)
        if not document.version:
            raise ActionError(
                f"{self.label} has neither an ETag nor a version, so a change could overwrite somebody else's; "
                "steer it with an http_action or a manual step instead"
            )
        return document

    def state(self, document: Document) -> State:
        """A key that is absent reads as null: no value, no limit."""
        found: dict[str, Any] = {}
        for path in self.keys:
            into, source = found, document.fields
            for key in path[:-1]:
                into = into.setdefault(key, {})
                inner = source.get(key)
                source = inner if isinstance(inner, dict) else {}
            into[path[-1]] = source.get(path[-1])
        return found

    async def write(self, http: Http, document: Document, wanted: State) -> Reply:
        found = self.state(document)
        # Inner keys are written with their neighbours as just read: right whether the target merges or replaces.
        body = {
            key: {**document.fields[key], **value} if self._inner(key) else value
            for key, value in wanted.items()
            if value != found.get(key)
        }
        return await http.request(
            self.target,
            "PUT",
            self.path,
            purpose="effect",
            body=body,
            headers={"if-match": document.version},
            timeout_s=EFFECT_TIMEOUT_S,
        )

    def _inner(self, key: str) -> bool:
        return any(path[0] == key and len(path) > 1 for path in self.keys)


def segment(name: str) -> str:
    """A name as one path segment."""
    return quote(name, safe="")
