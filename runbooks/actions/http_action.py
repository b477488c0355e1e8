"""Any system with an HTTP API as an action, without Python: what an operator declared, done as any other action is.

Nothing from outside chooses an address: target and path are declared, parameters are typed and become whole JSON values
or single path segments, and no text is pasted into other text.
"""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from config.http import Http, Reply
from runbooks.actions.converge import Manner, converge
from runbooks.actions.documents import EFFECT_TIMEOUT_S, fetch
from runbooks.actions.http_declaration import Call, Declaration, filled, params_model, path_of
from runbooks.actions.resource import Document, State, describe, plain
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionParams,
    ActionSpec,
    Approval,
    DiffLine,
    Draft,
    EffectClass,
    EffectResult,
    EffectStatus,
)

_SECRET = re.compile(r"passw|secret|token|credential|api[_-]?key|signature", re.IGNORECASE)
"""Names whose text is not shown; the declaration's digest covers it all the same."""
_CHANGED = "its declaration or the target's address was changed after people approved it; nothing was sent"


class HttpAction:
    """One declared action."""

    def __init__(self, declared: Declaration) -> None:
        self._declared = declared
        self.spec = ActionSpec(
            id=f"http:{declared.name}",
            name=declared.name,
            title=declared.title,
            risk=declared.risk,
            effect=EffectClass(declared.effect),
            params=params_model(declared),
            blast_radius=declared.blast_radius,
            reversible=declared.undo is not None,
            leasable=declared.leasable,
        )

    async def draft(self, context: ActionContext, params: ActionParams) -> Draft:
        """Read the watched keys; the call is not sent. Raises :class:`ActionError`."""
        declared = self._declared
        values = params.model_dump(mode="json")
        resource = self._resource(values)
        before = resource.state(await resource.read(context.http))
        after = {**before, **filled(declared.expect, values, {})}
        return Draft(
            action=self.spec.name,
            params=values,
            target=resource.label,
            pre_state=before,
            post_state=after,
            diff=tuple(
                DiffLine(what=key, before=plain(before[key]), after=plain(after[key])) for key in declared.expect
            ),
            undo=self._told_undo(values, before),
            instructions=self._sends(context, values, before),
        )

    async def apply(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Send the declared call if it is still the one that was shown, and the watched keys are as in the draft."""
        if not self._as_shown(context, draft):
            return EffectResult(status=EffectStatus.CONFLICT, detail=_CHANGED)
        resource = self._resource(draft.params, call=self._declared.call, key=f"{approval.proposal_id}:apply")
        return await converge(
            context.http, resource, before=draft.pre_state, after=draft.post_state, manner=self._manner()
        )

    async def revert(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Send the declared undo if the watched keys are still as the call left them."""
        undo = self._declared.undo
        if undo is None:
            return EffectResult(
                status=EffectStatus.FAILED, detail=f"{self.spec.name} declares no undo; nothing was sent"
            )
        if not self._as_shown(context, draft):
            return EffectResult(status=EffectStatus.CONFLICT, detail=_CHANGED)
        key = f"{approval.proposal_id}:revert"
        resource = self._resource(draft.params, call=undo, key=key, pre=draft.pre_state)
        return await converge(
            context.http, resource, before=draft.post_state, after=draft.pre_state, manner=self._manner(undoing=True)
        )

    async def observe(self, context: ActionContext, draft: Draft) -> Mapping[str, Any]:
        """The watched keys as they are now. Raises :class:`ActionError`, also if other keys are watched by now."""
        if not self._as_shown(context, draft):
            raise ActionError(f"{self.spec.name}: {_CHANGED}")
        resource = self._resource(draft.params)
        return resource.state(await resource.read(context.http))

    def _manner(self, *, undoing: bool = False) -> Manner:
        return Manner(late_is_possible=self.spec.effect is EffectClass.UNSAFE_ONCE, undoing=undoing)

    def _as_shown(self, context: ActionContext, draft: Draft) -> bool:
        try:
            return self._sends(context, draft.params, draft.pre_state) == draft.instructions
        except (ActionError, KeyError):
            return False

    def _sends(self, context: ActionContext, values: Mapping[str, Any], before: State) -> str:
        """The requests exactly as they would be made, and a digest of the whole declaration: part of what is shown
        and approved. Text under a secret's name is masked. Raises :class:`ActionError`."""
        declared = self._declared
        target = context.catalogue.target(declared.target)
        if target is None:
            raise ActionError(f"no target {declared.target!r} in the catalogue")
        lines = [*_request(declared.call, target.base_url, values, {})]
        if declared.undo is not None:
            lines += ["to undo:", *_request(declared.undo, target.base_url, values, before)]
        digest = hashlib.sha256(declared.model_dump_json().encode()).hexdigest()
        return "\n".join([*lines, f"declaration {digest}"])

    def _resource(
        self, values: Mapping[str, Any], *, call: Call | None = None, key: str = "", pre: State | None = None
    ) -> "DeclaredResource":
        return DeclaredResource(declared=self._declared, params=values, call=call, key=key, pre=pre or {})

    def _told_undo(self, values: Mapping[str, Any], before: State) -> str:
        undo = self._declared.undo
        if undo is None:
            return "It cannot be undone from here."
        return f"Sends {undo.method} {_path(undo.path, values)} to get back to {describe(before)}."


@dataclass(frozen=True, kw_only=True, slots=True)
class DeclaredResource:
    """What a declaration watches, and the call that changes it."""

    declared: Declaration
    params: Mapping[str, Any]
    call: Call | None = None
    key: str = ""
    """Idempotency key, the same however often this effect is attempted."""
    pre: State = field(default_factory=dict)
    settles: str = ""

    @property
    def label(self) -> str:
        return f"{self.declared.target}{_path(self.declared.read.path, self.params)}"

    async def read(self, http: Http) -> Document:
        read = self.declared.read
        path = _path(read.path, self.params)
        document = await fetch(http, self.declared.target, path, self.label, query=_query(read.query, self.params))
        if self.declared.if_match and not document.version:
            raise ActionError(f"{self.label} has no ETag, but {self.declared.name} declares if_match")
        return document

    def state(self, document: Document) -> State:
        return {key: _at(document.fields, key, self.label) for key in self.declared.read.watch}

    async def write(self, http: Http, document: Document, wanted: State) -> Reply:
        del wanted  # the declared call leads there; whether it did is read back
        assert self.call is not None
        headers = dict(self.call.headers)
        if self.declared.if_match:
            headers["if-match"] = document.version
        if self.declared.idempotency_header:
            headers[self.declared.idempotency_header.lower()] = self.key
        return await http.request(
            self.declared.target,
            self.call.method,
            _path(self.call.path, self.params),
            purpose="effect",
            query=_query(self.call.query, self.params),
            body=filled(self.call.body, self.params, self.pre),
            headers=headers,
            timeout_s=EFFECT_TIMEOUT_S,
        )


def _request(call: Call, base_url: str, params: Mapping[str, Any], pre: State) -> Iterator[str]:
    """A request as lines: method and address, headers, body."""
    query = _query(call.query, params)
    asked = f"?{urlencode(_masked(query))}" if query else ""
    yield f"{call.method} {base_url.rstrip('/')}{_path(call.path, params)}{asked}"
    for name, value in _masked(call.headers).items():
        yield f"{name}: {value}"
    if call.body is not None:
        yield json.dumps(_masked(filled(call.body, params, pre)), ensure_ascii=False)


def _masked(value: Any, name: str = "") -> Any:
    match value:
        case str() if _SECRET.search(name):
            return "***"
        case Mapping():
            return {key: _masked(inner, str(key)) for key, inner in value.items()}
        case list():
            return [_masked(inner, name) for inner in value]
        case _:
            return value


def _path(path: str, params: Mapping[str, Any]) -> str:
    try:
        return path_of(path, params)
    except ValueError as error:
        raise ActionError(f"{path}: {error}") from error


def _query(query: Mapping[str, str], params: Mapping[str, Any]) -> dict[str, str] | None:
    return {key: str(filled(value, params, {})) for key, value in query.items()} or None


def _at(document: Mapping[str, Any], key: str, label: str) -> Any:
    """The value at a dotted key or a JSON pointer. Raises :class:`ActionError` if there is none."""
    value: Any = document
    for part in _parts(key):
        if isinstance(value, dict) and part in value:
            value = value[part]
        elif isinstance(value, list) and part.isdecimal() and int(part) < len(value):
            value = value[int(part)]
        else:
            raise ActionError(f"{label} has no {key!r} to watch (nothing at {part!r}); correct 'watch'")
    return value


def _parts(key: str) -> Sequence[str]:
    if key.startswith("/"):
        return [part.replace("~1", "/").replace("~0", "~") for part in key[1:].split("/")]
    return key.split(".")
