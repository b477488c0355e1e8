"""A20: send a route's traffic to another provider. The other one has to be healthy now, and allowed."""

from collections.abc import Mapping

from pydantic import ConfigDict, Field

from config.catalogue import Gateway, Name, Provider, Service
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, provider_of, route_of, segment
from runbooks.actions.deployments import deployments_of, serving
from runbooks.actions.documents import VersionedDocument
from runbooks.actions.mlflow import UNCONDITIONAL, MlflowEndpoint, answers_now, fallbacks_after
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


class ShiftTrafficParams(ActionParams):
    model_config = ConfigDict(populate_by_name=True)

    gateway: Name | None = None
    route: str | None = None
    from_provider: Name = Field(alias="from")
    to_provider: Name = Field(alias="to")
    percent: int = Field(default=100, ge=1, le=100)
    """Share of the route that ``to`` will carry, taken from ``from``."""


class ShiftTraffic(Converging[ShiftTrafficParams]):
    """Moves weight of one route from one provider to another."""

    spec = ActionSpec(
        id="A20",
        name="shift_traffic",
        title="Shift traffic to another provider",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=ShiftTrafficParams,
        blast_radius="Users of this route get another model's answers: other wording, speed and cost, cold caches.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ShiftTrafficParams) -> VersionedDocument | MlflowEndpoint:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        if gateway.kind == "mlflow":
            return MlflowEndpoint(label=f"{gateway.name}/endpoints/{route}", target=gateway.admin, endpoint=route)
        return admin_document(gateway, f"routes/{segment(route)}", "weights")

    async def preconditions(self, seen: Seen[ShiftTrafficParams]) -> tuple[Precondition, ...]:
        gateway = gateway_of(seen.context, seen.params.gateway)
        provider = provider_of(seen.context, seen.params.to_provider)
        carried = _weights(seen.document).get(provider.name, 0)
        mlflow = gateway.kind == "mlflow"
        return (
            await answers_now(seen.context, provider) if mlflow else await has_room(seen.context, gateway, provider),
            residency_allows(seen.context.service, provider),
            Precondition(
                text=f"{seen.params.to_provider} carries less than {seen.params.percent} % of the route",
                ok=carried < seen.params.percent,
                detail=f"it carries {carried} %",
            ),
        )

    async def draft(self, context: ActionContext, params: ShiftTrafficParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        for name in (params.from_provider, params.to_provider):
            provider_of(context, name)
        if params.from_provider == params.to_provider:
            raise ActionError(f"from and to are both {params.to_provider!r}; name two different providers")
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        before = _weights(document)
        after = _shifted(before, params, document.label)
        mlflow = gateway.kind == "mlflow"
        change = Change(
            state={"weights": after, "fallbacks": fallbacks_after(document, after)} if mlflow else {"weights": after},
            diff=tuple(
                DiffLine(what=f"to {name}", before=f"{before.get(name, 0)} %", after=f"{after[name]} %")
                for name in (params.from_provider, params.to_provider)
            ),
            undo=f"Gives {route} its weights back: {', '.join(f'{name} {share} %' for name, share in before.items())}."
            + (UNCONDITIONAL if mlflow else ""),
        )
        return await self.drafted(context, params, document, change)


async def has_room(context: ActionContext, gateway: Gateway, provider: Provider) -> Precondition:
    """Whether a deployment of the provider is healthy and has something free, as the gateway says now."""
    healthy = serving(await deployments_of(context, gateway), provider.name)
    return Precondition(
        text=f"{provider.name} is healthy now and has headroom",
        ok=any(one.headroom_percent > 0 for one in healthy),
        detail=", ".join(f"{one.id} has {one.headroom_percent:.0f} % headroom" for one in healthy)
        or "none of its deployments is healthy and takes traffic",
    )


def residency_allows(service: Service, provider: Provider) -> Precondition:
    """Whether the service's data may go to the provider's region."""
    allowed = service.residency
    return Precondition(
        text=f"data of {service.name} may be processed by {provider.name}",
        ok=allowed in ("any", provider.region) or provider.region.startswith(f"{allowed}-"),
        detail=f"residency {allowed}, provider region {provider.region}",
    )


def _weights(document: Document) -> dict[str, int]:
    weights = dict(document.mapping("weights"))
    if not all(isinstance(share, int) and not isinstance(share, bool) for share in weights.values()):
        raise ActionError(f"{document.label}: weights are not whole percents; check the gateway's version")
    return weights


def _shifted(before: Mapping[str, int], params: ShiftTrafficParams, label: str) -> dict[str, int]:
    source, goal = params.from_provider, params.to_provider
    if source not in before:
        raise ActionError(f"{label} has no provider {source!r}{nearest(source, before)}")
    moved = max(params.percent - before.get(goal, 0), 0)
    if moved > before[source]:
        raise ActionError(
            f"{label}: {source} carries only {before[source]} %, so {goal} can be given "
            f"{before.get(goal, 0) + before[source]} % at most, not {params.percent} %"
        )
    return {**before, source: before[source] - moved, goal: before.get(goal, 0) + moved}
