"""A2c: limit one tenant's tokens, so that the others get theirs. Only the one that takes most of it."""

from typing import Any

from pydantic import Field

from config.catalogue import Gateway, Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, route_of, segment
from runbooks.actions.documents import VersionedDocument, fetch
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

MIN_SHARE = 0.5
"""A tenant below this share is not why there is nothing left for the others."""


class ThrottleTenantParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None
    tenant: str = Field(default="top", pattern=r"^[A-Za-z0-9][A-Za-z0-9._:@-]{0,62}$")
    """``top``: the one that uses most tokens now."""
    tokens_per_minute: int = Field(ge=0, le=1_000_000_000)


class ThrottleTenant(Converging[ThrottleTenantParams]):
    """Limits the tokens that one tenant gets in a minute on the service's route; other routes are left alone."""

    spec = ActionSpec(
        id="A2c",
        name="throttle_tenant",
        title="Throttle one tenant",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=ThrottleTenantParams,
        blast_radius="This tenant gets 429 above its limit on this route; the others get room.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ThrottleTenantParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        route = segment(route_of(context, params.route))
        return admin_document(gateway, f"limits/{route}/{segment(params.tenant)}", "tokens_per_minute")

    async def preconditions(self, seen: Seen[ThrottleTenantParams]) -> tuple[Precondition, ...]:
        usage = await _usage(seen.context, gateway_of(seen.context, seen.params.gateway))
        used, everything = usage.get(seen.params.tenant, 0.0), sum(usage.values())
        share = used / everything if everything else 0.0
        now = _limit(seen.document)
        return (
            Precondition(
                text=f"{seen.params.tenant} uses more than {MIN_SHARE:.0%} of all tokens",
                ok=share > MIN_SHARE,
                detail=f"{share:.0%}: {used:.0f} of {everything:.0f} tokens a minute",
            ),
            Precondition(
                text=f"{seen.params.tenant} uses more than {seen.params.tokens_per_minute} tokens a minute",
                ok=used > seen.params.tokens_per_minute,
                detail=f"it uses {used:.0f}",
            ),
            Precondition(
                text=f"{seen.params.tenant} is not limited to {seen.params.tokens_per_minute} or less yet",
                ok=now is None or now > seen.params.tokens_per_minute,
                detail=_told(now),
            ),
        )

    async def draft(self, context: ActionContext, params: ThrottleTenantParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        tenant = params.tenant
        usage = await _usage(context, gateway)
        if tenant == "top":
            tenant = max(usage, key=lambda name: (usage[name], name), default="")
        if tenant not in usage:
            raise ActionError(f"{gateway.name}/usage lists no tenant {tenant!r}{nearest(tenant, usage)}")
        params = self.resolved(params, gateway=gateway.name, route=route, tenant=tenant)
        document = await self.resource(context, params).read(context.http)
        before = _limit(document)
        change = Change(
            state={"tokens_per_minute": params.tokens_per_minute},
            diff=(
                DiffLine(
                    what=f"{route}: limit of tenant {tenant}",
                    before=f"{_told(before)} (uses {usage[tenant]:.0f} tokens a minute)",
                    after=_told(params.tokens_per_minute),
                ),
            ),
            undo=f"Sets {tenant} on {route} back to {_told(before)}.",
        )
        return await self.drafted(context, params, document, change)


async def _usage(context: ActionContext, gateway: Gateway) -> dict[str, float]:
    """Tenant -> tokens a minute now."""
    document = await fetch(context.http, gateway.admin, "/usage", f"{gateway.name}/usage")
    try:
        return {str(item["tenant"]): _number(item["tokens_per_min"]) for item in document.items("tenants")}
    except (KeyError, TypeError, ValueError) as error:
        raise ActionError(
            f"{gateway.name}/usage: a tenant has no usable {error}; check the gateway's version"
        ) from error


def _number(value: Any) -> float:
    return float(value)


def _limit(document: Document) -> int | None:
    value = document.fields.get("tokens_per_minute")
    if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
        raise ActionError(
            f"{document.label}: tokens_per_minute is {str(value)[:80]!r}, expected a whole number or null"
        )
    return value


def _told(limit: int | None) -> str:
    return "no limit" if limit is None else f"{limit} tokens a minute"
