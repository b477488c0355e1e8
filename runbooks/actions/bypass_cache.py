"""A14: answer every question anew for a while, past the cache of answers."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, route_of, segment
from runbooks.actions.deployments import deployments_of, serving
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition

LEAST_HEADROOM = 20.0
"""Per cent that a provider must have left to take what the cache has answered so far."""


class BypassCacheParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None


class BypassCache(Converging[BypassCacheParams]):
    """Sets a route's answer cache to bypass. What it holds stays, and is served again when this is undone."""

    spec = ActionSpec(
        id="A14",
        name="bypass_cache",
        title="Bypass the answer cache",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=BypassCacheParams,
        blast_radius="Every answer of this route is made anew: what the cache saved is asked of the provider again.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: BypassCacheParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        return admin_document(gateway, f"cache/{segment(route_of(context, params.route))}", "mode")

    async def preconditions(self, seen: Seen[BypassCacheParams]) -> tuple[Precondition, ...]:
        mode = seen.document.text("mode")
        known = await deployments_of(seen.context, gateway_of(seen.context, seen.params.gateway))
        own = serving(known, seen.context.service.provider)
        room = max((one.headroom_percent for one in own), default=0.0)
        return (
            Precondition(text="answers are served from the cache", ok=mode == "serve", detail=f"it is {mode[:40]}"),
            Precondition(
                text=f"the provider has at least {LEAST_HEADROOM:.0f} % of its capacity left",
                ok=room >= LEAST_HEADROOM,
                detail=f"{room:.0f} %",
            ),
        )

    async def draft(self, context: ActionContext, params: BypassCacheParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        mode = document.text("mode")
        change = Change(
            state={"mode": "bypass"},
            diff=(DiffLine(what=f"answer cache of {route}", before=mode, after="bypass"),),
            undo=f"Sets the cache back to {mode}.",
        )
        return await self.drafted(context, params, document, change)
