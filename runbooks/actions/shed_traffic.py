"""A10: admit less of a traffic class that can wait, so that people get what there is."""

from pydantic import Field

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, route_of, segment
from runbooks.actions.documents import VersionedDocument
from runbooks.model import ActionContext, ActionParams, ActionSpec, DiffLine, Draft, EffectClass, Precondition


class ShedTrafficParams(ActionParams):
    gateway: Name | None = None
    route: str | None = None
    traffic_class: Name = "batch"
    admit_percent: int = Field(default=0, ge=0, le=100)


class ShedTraffic(Converging[ShedTrafficParams]):
    """Lowers the admitted share of one traffic class of the service's route; other routes are left alone."""

    spec = ActionSpec(
        id="A10",
        name="shed_traffic",
        title="Shed low-priority traffic",
        risk="R1",
        effect=EffectClass.CONVERGE,
        params=ShedTrafficParams,
        blast_radius="Work of this class on this route is refused and must come again; other routes are as before.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: ShedTrafficParams) -> VersionedDocument:
        gateway = gateway_of(context, params.gateway)
        route = segment(route_of(context, params.route))
        return admin_document(gateway, f"classes/{route}/{segment(params.traffic_class)}", "admit_percent")

    async def preconditions(self, seen: Seen[ShedTrafficParams]) -> tuple[Precondition, ...]:
        now = seen.document.integer("admit_percent")
        return (
            Precondition(
                text=f"more than {seen.params.admit_percent} % of {seen.params.traffic_class} is admitted now",
                ok=now > seen.params.admit_percent,
                detail=f"{now} % is",
            ),
        )

    async def draft(self, context: ActionContext, params: ShedTrafficParams) -> Draft:
        gateway, route = gateway_of(context, params.gateway), route_of(context, params.route)
        params = self.resolved(params, gateway=gateway.name, route=route)
        document = await self.resource(context, params).read(context.http)
        before = document.integer("admit_percent")
        change = Change(
            state={"admit_percent": params.admit_percent},
            diff=(
                DiffLine(
                    what=f"{route}: admitted share of {params.traffic_class}",
                    before=f"{before} %",
                    after=f"{params.admit_percent} %",
                ),
            ),
            undo=f"Admits {before} % of {params.traffic_class} of {route} again.",
        )
        return await self.drafted(context, params, document, change)
