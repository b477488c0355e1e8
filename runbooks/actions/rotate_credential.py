"""A30: let the gateway use the new version of a provider credential, and have the former one disabled.

People make the new key, test it, and put it where secrets are kept. Here only names of versions are seen, never a key.
"""

import json
from collections.abc import Mapping
from typing import Any, Literal

from config.catalogue import Gateway, Name
from config.http import Http, HttpError
from config.known_bad import suspects
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.pin_dependency import inventory
from runbooks.actions.resource import Document
from runbooks.model import (
    ActionContext,
    ActionError,
    ActionParams,
    ActionSpec,
    DiffLine,
    Draft,
    EffectClass,
    Precondition,
)


class RotateCredentialParams(ActionParams):
    gateway: Name | None = None
    credential: Name | None = None
    """Alias of a key; None: the only one of the service's provider."""
    former: Literal["disabled", "valid"] = "disabled"
    """What becomes of the former key: one that others may have is disabled at once."""


class RotateCredential(Converging[RotateCredentialParams]):
    """Switches a key to its staged version."""

    spec = ActionSpec(
        id="A30",
        name="rotate_credential",
        title="Rotate a provider credential",
        risk="R3",
        effect=EffectClass.CONVERGE,
        params=RotateCredentialParams,
        blast_radius="Every service that uses this key: whatever else still holds the former one stops working.",
    )

    def resource(self, context: ActionContext, params: RotateCredentialParams) -> VersionedDocument:
        if params.credential is None:
            raise ActionError("which credential is meant is decided when the plan is drafted")
        path = f"credentials/{segment(params.credential)}"
        return admin_document(gateway_of(context, params.gateway), path, "active", "former")

    async def preconditions(self, seen: Seen[RotateCredentialParams]) -> tuple[Precondition, ...]:
        staged, active = _staged(seen.document), seen.document.text("active")
        version = str(staged.get("secret") or "")
        at = str(staged.get("tested_at") or "")
        clean, said = await _nothing_steals(seen)
        return (
            Precondition(
                text="a new version is staged", ok=bool(version) and version != active,
                detail=f"{version[:40]} is staged, {active[:40]} in use" if version else "no version is staged",
            ),
            Precondition(
                text="it was tested out of band", ok=staged.get("tested") is True,
                detail=f"tested {at[:40]}" if staged.get("tested") is True else "no test of it is on record",
            ),
            # A new key in the hands of the same thief is no help: what steals it has to go first.
            Precondition(text="nothing that may steal it runs in the gateway", ok=clean, detail=said),
        )  # fmt: skip

    async def draft(self, context: ActionContext, params: RotateCredentialParams) -> Draft:
        gateway = gateway_of(context, params.gateway)
        alias = await _alias(context, gateway, params.credential)
        params = self.resolved(params, gateway=gateway.name, credential=alias)
        document = await self.resource(context, params).read(context.http)
        staged, active = str(_staged(document).get("secret") or active_of(document)), active_of(document)
        change = Change(
            state={"active": staged, "former": params.former},
            diff=(
                DiffLine(what=f"credential {alias}", before=f"version {active}", after=f"version {staged}"),
                DiffLine(what="the former version", before=str(document.fields.get("former")), after=params.former),
            ),
            undo=f"Goes back to version {active}, with which the leak goes on if it has leaked.",
        )
        return await self.drafted(context, params, document, change)


def active_of(document: Document) -> str:
    """The version in use, by its name."""
    return document.text("active")[:60]


async def _nothing_steals(seen: Seen[RotateCredentialParams]) -> tuple[bool, str]:
    """By the gateway's inventory; one that it does not publish cannot be held against a rotation that is due."""
    try:
        packages = await inventory(seen.context.http, gateway_of(seen.context, seen.params.gateway))
    except ActionError as error:
        return True, f"not known: {error}"[:200]
    bad = [f"{one.name} {one.version}" for one in suspects(packages) if one.is_bad or one.is_tampered]
    return not bad, ", ".join(bad[:3]) or "by its inventory, as just read"


def _staged(document: Document) -> Mapping[str, Any]:
    staged = document.fields.get("staged")
    return staged if isinstance(staged, Mapping) else {}


async def _alias(context: ActionContext, gateway: Gateway, name: str | None) -> str:
    """The named key of the service's provider, or its only one. Raises :class:`ActionError`."""
    provider = context.service.provider
    known = await _aliases(context.http, gateway, provider)
    if name is None and len(known) == 1:
        return known[0]
    if name is None:
        has = (
            f"has several keys of {provider}, name one of {', '.join(known)}" if known else f"has no key of {provider}"
        )
        raise ActionError(f"gateway {gateway.name} {has}")
    if name not in known:
        raise ActionError(f"{gateway.name} has no key {name!r} of {provider}{nearest(name, known)}")
    return name


async def _aliases(http: Http, gateway: Gateway, provider: str) -> list[str]:
    try:
        reply = await http.request(gateway.admin, "GET", "/keys", timeout_s=5.0)
        if reply.status != 200:
            raise ActionError(f"{gateway.name} lists no keys: HTTP {reply.status}")
        listed = json.loads(reply.text)["keys"]
        return [str(key["alias"])[:80] for key in listed if key["provider"] == provider]
    except (HttpError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ActionError(f"the keys of {gateway.name} could not be read: {str(error)[:200]}") from error
