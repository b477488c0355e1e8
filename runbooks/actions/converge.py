"""The one way a built-in action changes the world: set X where Y was observed, and look whether it became so.

An action says *what* (its watched keys before and after); :class:`Converging` says *how*: compare, set under the
version that was compared, read back. Running it again after a crash changes nothing; drift is a conflict, never
overwritten.
"""

import abc
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from config.http import Http, HttpError
from runbooks.actions.resource import Document, Resource, State, describe, excerpt
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionParams,
    ActionSpec,
    Approval,
    DiffLine,
    Draft,
    EffectResult,
    EffectStatus,
    Precondition,
)

P = TypeVar("P", bound=ActionParams)

Check = Callable[[Document], Awaitable[Sequence[Precondition]]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Manner:
    """How a change is made, where it differs from the ordinary."""

    check: Check | None = None
    """Preconditions, judged right before the write."""
    late_is_possible: bool = False
    """Whether a request without a reply may still be carried out later: then unchanged is not surely failed."""
    undoing: bool = False
    """Whether ``after`` is where it came from: if somebody has put it back already, nothing is left to be done."""


ORDINARY = Manner()


async def converge(
    http: Http, resource: Resource, *, before: State, after: State, manner: Manner = ORDINARY
) -> EffectResult:
    """Bring ``resource`` from ``before`` to ``after`` with at most one write."""
    try:
        document = await resource.read(http)
        found = resource.state(document)
        if found == after and manner.undoing:
            return _result(EffectStatus.DONE, f"{resource.label} is already {describe(after)}; nothing was sent", found)
        if found == after:
            told = f"somebody else has already set {resource.label} to {describe(after)}; nothing was sent"
            return _result(EffectStatus.CONFLICT, told, found)
        if found != before:
            told = f"{resource.label} is now {describe(found)}, the plan saw {describe(before)}; nothing was changed"
            return _result(EffectStatus.CONFLICT, told, found)
        blocked = [p for p in await manner.check(document) if not p.ok] if manner.check else []
    except ActionError as error:
        return _result(EffectStatus.FAILED, f"nothing was sent: {error}")
    if blocked:
        reasons = "; ".join(f"{p.text}: {p.detail}" for p in blocked)
        return _result(EffectStatus.FAILED, f"nothing was sent, because this no longer holds: {reasons}", found)
    try:
        reply = await resource.write(http, document, after)
    except HttpError as error:
        if error.surely_not_sent:
            return _result(EffectStatus.FAILED, f"the change did not reach {resource.label}: {error}", found)
        return await _settle(http, resource, (before, after), manner, f"no whole reply came ({error})")
    if reply.status in (409, 412):
        told = f"{resource.label} changed between our look and our write (HTTP {reply.status}); nothing was changed"
        return _result(EffectStatus.CONFLICT, told)
    if 200 <= reply.status < 300:
        return await _confirm(http, resource, after, resource.settles)
    said = f"HTTP {reply.status} {excerpt(reply)}".strip()
    if reply.status >= 500 or reply.status == 408:
        return await _settle(http, resource, (before, after), manner, f"it answered {said}")
    return _result(EffectStatus.FAILED, f"{resource.label} refused the change: {said}", found)


async def _confirm(http: Http, resource: Resource, after: State, settles: str) -> EffectResult:
    """After a success reply: done is what can be seen, not what was said."""
    try:
        found = resource.state(await resource.read(http))
    except ActionError as error:
        told = f"{resource.label} accepted the change, but could not be read back: {error}"
        return _result(EffectStatus.UNKNOWN, told)
    if found == after:
        told = f"{resource.label} is now {describe(found)}, read back"
        return _result(EffectStatus.DONE, f"{told}; {settles}" if settles else told, found)
    told = f"{resource.label} accepted the change, but reads {describe(found)} instead of {describe(after)}"
    return _result(EffectStatus.UNKNOWN, told, found)


async def _settle(http: Http, resource: Resource, way: tuple[State, State], manner: Manner, why: str) -> EffectResult:
    """After an unclear reply: one look decides what it can."""
    before, after = way
    try:
        found = resource.state(await resource.read(http))
    except ActionError as error:
        return _result(EffectStatus.UNKNOWN, f"{resource.label}: {why}, and it could not be read back: {error}")
    if found == after:
        return _result(
            EffectStatus.DONE, f"{resource.label} is now {describe(found)}, read back, although {why}", found
        )
    if found == before and not manner.late_is_possible:
        told = f"{resource.label} is still {describe(found)}, read back: {why}"
        return _result(EffectStatus.FAILED, told, found)
    if found == before:
        told = f"{resource.label} is still {describe(found)}, but {why}, so it may yet be carried out"
        return _result(EffectStatus.UNKNOWN, told, found)
    told = f"{resource.label}: {why}, and it now reads {describe(found)}, which is neither before nor after"
    return _result(EffectStatus.UNKNOWN, told, found)


def _result(status: EffectStatus, detail: str, observed: State | None = None) -> EffectResult:
    return EffectResult(status=status, detail=detail, observed=observed or {})


class Converging(abc.ABC, Generic[P]):
    """An action that is a change of one resource. A subclass drafts it; comparing, setting and undoing are here."""

    spec: ActionSpec

    @abc.abstractmethod
    async def draft(self, context: ActionContext, params: P) -> Draft:
        """Read the target and say exactly what would change. Raises :class:`ActionError` if it cannot be read."""

    @abc.abstractmethod
    def resource(self, context: ActionContext, params: P) -> Resource:
        """What resolved parameters are about. Raises :class:`ActionError` for a name that is not declared."""

    async def preconditions(self, seen: "Seen[P]") -> tuple[Precondition, ...]:
        """What must hold now, for the draft and again right before the effect; not for a revert."""
        del seen
        return ()

    async def apply(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Compare with ``draft.pre_state`` and set to ``draft.post_state``."""
        del approval  # held by the caller as the right to call this; the plan it is for is checked where it is issued
        params = self._params(draft)

        async def check(document: Document) -> Sequence[Precondition]:
            return await self.preconditions(Seen(context=context, params=params, document=document))

        try:
            resource = self.resource(context, params)
        except ActionError as error:
            return _result(EffectStatus.FAILED, f"nothing was sent: {error}")
        manner = Manner(check=check)
        return await converge(context.http, resource, before=draft.pre_state, after=draft.post_state, manner=manner)

    async def revert(self, context: ActionContext, draft: Draft, approval: Approval) -> EffectResult:
        """Compare with ``draft.post_state`` and set back to ``draft.pre_state``."""
        del approval
        try:
            resource = self.resource(context, self._params(draft))
        except ActionError as error:
            return _result(EffectStatus.FAILED, f"nothing was sent: {error}")
        manner = Manner(undoing=True)
        return await converge(context.http, resource, before=draft.post_state, after=draft.pre_state, manner=manner)

    async def observe(self, context: ActionContext, draft: Draft) -> Mapping[str, Any]:
        """The watched keys as they are now. Raises :class:`ActionError` if they cannot be read."""
        resource = self.resource(context, self._params(draft))
        return resource.state(await resource.read(context.http))

    def resolved(self, params: P, **found: Any) -> P:
        """``params`` with what was found put in place, checked like any other: a target's answer is text from outside.
        Raises :class:`ActionError`."""
        try:
            checked: P = self.spec.params.model_validate({**params.model_dump(), **found})  # type: ignore[assignment]
        except ValidationError as error:
            faults = "; ".join(
                f"{'.'.join(map(str, e['loc']))} {str(e['input'])[:80]!r}: {e['msg']}" for e in error.errors()
            )
            raise ActionError(f"{self.spec.name} cannot be about what was found: {faults}") from error
        return checked

    def _params(self, draft: Draft) -> P:
        # A draft comes back from the database as plain JSON; its parameters were valid when it was made.
        params: P = self.spec.params.model_validate(draft.params)  # type: ignore[assignment]
        return params

    async def drafted(self, context: ActionContext, params: P, document: Document, change: "Change") -> Draft:
        """The draft of a change: ``params`` resolved, ``document`` as just read."""
        resource = self.resource(context, params)
        before = resource.state(document)
        return Draft(
            action=self.spec.name,
            params=params.model_dump(mode="json", by_alias=True),
            target=resource.label,
            pre_state=before,
            post_state={**before, **change.state},
            diff=change.diff,
            undo=change.undo,
            preconditions=await self.preconditions(Seen(context=context, params=params, document=document)),
        )


@dataclass(frozen=True, kw_only=True)
class Seen(Generic[P]):
    """What preconditions are judged by: resolved parameters and the document as just read."""

    context: ActionContext
    params: P
    document: Document


@dataclass(frozen=True, kw_only=True, slots=True)
class Change:
    """What an action wants of its resource, and how a person reads it."""

    state: State
    """Watched keys and their new values."""
    diff: tuple[DiffLine, ...]
    undo: str
