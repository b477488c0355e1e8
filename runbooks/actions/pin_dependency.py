"""A37: put a package of the gateway back to the release that its lock file names, version and hash."""

import json
from collections.abc import Mapping
from typing import Any, Final

from pydantic import Field

from config.catalogue import Gateway
from config.http import Http, HttpError
from config.known_bad import Package, packages_of, suspects
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, segment
from runbooks.actions.documents import VersionedDocument
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

LOCKED: Final = "locked"


class PinDependencyParams(ActionParams):
    gateway: str | None = Field(default=None, max_length=80)
    package: str | None = Field(default=None, min_length=1, max_length=100, pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """None: the one package that should not run."""
    to: str = Field(default=LOCKED, min_length=1, max_length=60)
    """A release in the package's history, or ``locked``: the one of the lock file."""


class PinDependency(Converging[PinDependencyParams]):
    """Pins one package and restarts the gateway's workers one after the other."""

    spec = ActionSpec(
        id="A37",
        name="pin_dependency",
        title="Pin a package of the gateway",
        risk="R3",
        effect=EffectClass.CONVERGE,
        params=PinDependencyParams,
        blast_radius="Every service behind the gateway: its workers restart one after the other, and what the other "
        "release fixed is gone again.",
    )

    def resource(self, context: ActionContext, params: PinDependencyParams) -> VersionedDocument:
        if params.package is None:
            raise ActionError("which package is meant is decided when the plan is drafted")
        return admin_document(
            gateway_of(context, params.gateway), f"packages/{segment(params.package)}", "release", "sha256"
        )

    async def preconditions(self, seen: Seen[PinDependencyParams]) -> tuple[Precondition, ...]:
        running, wanted = _running(seen.document), _release(seen.document, seen.params.to)
        told = f"{running.name} {running.version} runs, the lock file names {running.locked_version or 'nothing'}"
        return (
            Precondition(text="the package is not what it should be", ok=running.is_suspect, detail=told),
            Precondition(
                text="the release to go to is not known to be malicious", ok=not wanted.is_bad,
                detail=f"{wanted.name} {wanted.version}",
            ),
            Precondition(
                text="its hash is known", ok=bool(wanted.sha256), detail=wanted.sha256[:16] or "no hash is on record",
            ),
        )  # fmt: skip

    async def draft(self, context: ActionContext, params: PinDependencyParams) -> Draft:
        gateway = gateway_of(context, params.gateway)
        package = params.package or await suspect(context.http, gateway)
        params = self.resolved(params, gateway=gateway.name, package=package)
        document = await self.resource(context, params).read(context.http)
        running, wanted = _running(document), _release(document, params.to)
        change = Change(
            state={"release": wanted.version, "sha256": wanted.sha256},
            diff=(
                DiffLine(what=f"package {package}", before=running.version, after=wanted.version),
                DiffLine(what="its hash", before=running.sha256[:16], after=wanted.sha256[:16]),
            ),
            undo=f"Puts {package} {running.version} back, whatever is wrong with it.",
        )
        return await self.drafted(context, self.resolved(params, to=wanted.version), document, change)


async def inventory(http: Http, gateway: Gateway) -> tuple[Package, ...]:
    """What the gateway says that it runs. Raises :class:`ActionError`."""
    try:
        reply = await http.request(gateway.admin, "GET", "/inventory", timeout_s=5.0)
        if reply.status != 200:
            raise ActionError(f"{gateway.name} publishes no inventory of what it runs: HTTP {reply.status}")
        return packages_of(json.loads(reply.text))
    except (HttpError, ValueError, RecursionError) as error:
        raise ActionError(f"the inventory of {gateway.name} could not be read: {str(error)[:200]}") from error


async def suspect(http: Http, gateway: Gateway) -> str:
    """The one package that should not run. Raises :class:`ActionError` if there is none, or several as bad."""
    found = suspects(await inventory(http, gateway))
    if not found:
        raise ActionError(f"every package of {gateway.name} is what its lock file names; there is nothing to pin")
    alike = [one for one in found if (one.is_bad, one.is_tampered) == (found[0].is_bad, found[0].is_tampered)]
    if len(alike) > 1:
        names = ", ".join(f"{one.name} {one.version}" for one in alike[:6])
        raise ActionError(f"several packages of {gateway.name} are not what they should be, name one of: {names}")
    return found[0].name


def _running(document: Document) -> Package:
    locked = document.fields.get("locked")
    locked = locked if isinstance(locked, Mapping) else {}
    return _package(document, document.fields, locked)


def _package(document: Document, release: Mapping[str, Any], locked: Mapping[str, Any]) -> Package:
    try:
        return Package(
            name=document.text("name"), version=str(release.get("release") or ""),
            sha256=str(release.get("sha256") or ""), locked_version=str(locked.get("release") or ""),
            locked_sha256=str(locked.get("sha256") or ""),
        )  # fmt: skip
    except ValueError as error:
        raise ActionError(f"{document.label} tells no name or no version") from error


def _release(document: Document, to: str) -> Package:
    """The release to go to. Raises :class:`ActionError` for one that is not on record."""
    locked = document.fields.get("locked")
    if to == LOCKED or (isinstance(locked, Mapping) and to == str(locked.get("release"))):
        if not isinstance(locked, Mapping):
            raise ActionError(f"{document.label} tells nothing of its lock file; name a release in its history")
        return _package(document, locked, {})
    known = {str(entry["release"]): entry for entry in document.items("history") if "release" in entry}
    if to not in known:
        raise ActionError(f"{document.label} has no release {to!r} in its history{nearest(to, known)}")
    return _package(document, known[to], {})
