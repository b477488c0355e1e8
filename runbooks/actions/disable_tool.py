"""A25: take a tool away from an agent, which then says that it cannot do this now instead of guessing."""

from config.catalogue import Name
from runbooks.actions.converge import Change, Converging, Seen
from runbooks.actions.declared import admin_document, gateway_of, nearest, segment
from runbooks.actions.documents import VersionedDocument
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

SAYS_SO = "say_unavailable"


class DisableToolParams(ActionParams):
    gateway: Name | None = None
    tool: Name | None = None
    """One of the service's tools; None: its only one."""


class DisableTool(Converging[DisableToolParams]):
    """Sets a tool to disabled at the gateway."""

    spec = ActionSpec(
        id="A25",
        name="disable_tool",
        title="Disable a tool",
        risk="R2",
        effect=EffectClass.CONVERGE,
        params=DisableToolParams,
        blast_radius="Agents say that they cannot do what this tool does; everything else goes on.",
        leasable=True,
    )

    def resource(self, context: ActionContext, params: DisableToolParams) -> VersionedDocument:
        return admin_document(
            gateway_of(context, params.gateway), f"tools/{segment(_tool_of(context, params.tool))}", "enabled"
        )

    async def preconditions(self, seen: Seen[DisableToolParams]) -> tuple[Precondition, ...]:
        told = str(seen.document.fields.get("on_disabled") or "nothing is said")[:60]
        return (
            Precondition(text="the tool is enabled", ok=seen.document.boolean("enabled"), detail="as just read"),
            # An agent that is not told goes on calling, or makes the answer up: that would be worse than before.
            Precondition(text="agents are told to say that it is unavailable", ok=told == SAYS_SO, detail=told),
        )

    async def draft(self, context: ActionContext, params: DisableToolParams) -> Draft:
        gateway, tool = gateway_of(context, params.gateway), _tool_of(context, params.tool)
        params = self.resolved(params, gateway=gateway.name, tool=tool)
        document = await self.resource(context, params).read(context.http)
        enabled = document.boolean("enabled")
        change = Change(
            state={"enabled": False},
            diff=(DiffLine(what=f"tool {tool}", before="enabled" if enabled else "disabled", after="disabled"),),
            undo=f"Enables {tool} again.",
        )
        return await self.drafted(context, params, document, change)


def _tool_of(context: ActionContext, name: str | None) -> str:
    """The named tool of the service, or its only one."""
    own = context.service.tools
    if name is None and len(own) == 1:
        return own[0]
    if name is None:
        has = "declares no tool in the catalogue" if not own else f"has several tools, name one of {', '.join(own)}"
        raise ActionError(f"service {context.service.name} {has}")
    if name not in own:
        raise ActionError(f"tool {name!r} is not {context.service.name}'s{nearest(name, own)}")
    return name
