"""The investigation as a LangGraph: retrieve, then probe and diagnose until sure. It ends with a diagnosis and the
steps that could be taken; it never waits for people and has no authority to act."""

import os
from functools import partial
from typing import TYPE_CHECKING, Any

from bot.domain import codec
from bot.domain.incident import Incident
from bot.domain.timeline import Fact, Provenance
from bot.ports import Investigated
from bot.triage import nodes
from bot.triage.checkpoint import CheckpointRejected
from bot.triage.nodes import State, Tools
from bot.triage.summary import note
from diagnostics.model import Diagnosis

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver

STRICT = "LANGGRAPH_STRICT_MSGPACK"


class GraphTriage:
    """See :class:`bot.ports.Triage`."""

    def __init__(self, tools: Tools, saver: "BaseCheckpointSaver[Any]") -> None:
        if os.environ.get(STRICT) != "true":
            raise RuntimeError(f"{STRICT}=true must be set before langgraph is imported")
        self._tools = tools
        self._saver = saver
        self._graph = build(tools, saver)

    async def investigate(self, incident: Incident, number: int) -> Investigated:
        thread = f"{incident.id}:{number}"
        try:
            values = await self._advance(incident, number, thread)
        except CheckpointRejected as error:
            fact = Fact(
                kind="alarm", provenance=Provenance.COMPUTED, actor="pagerunner", data={"checkpoint": str(error)}
            )
            await self._tools.casebook.record(incident.id, [fact], self._tools.clock.now())
            await self._saver.adelete_thread(thread)
            values = await self._advance(incident, number, thread)
        return await self._result(incident, values)

    async def _advance(self, incident: Incident, number: int, thread: str) -> State:
        """Start, or go on where a crash left it. Safe to call again at any time."""
        config: Any = {"configurable": {"thread_id": thread}, "recursion_limit": 60}
        snapshot = await self._graph.aget_state(config)
        if snapshot.values and snapshot.values.get("incident") != incident.id:
            raise CheckpointRejected(f"the checkpoint of {thread} belongs to another incident")
        if snapshot.values and not snapshot.next:
            return snapshot.values  # type: ignore[no-any-return]
        first = None if snapshot.values else State(incident=incident.id, number=number)
        if first is not None:
            fact = Fact(
                kind="investigation_started",
                provenance=Provenance.COMPUTED,
                actor="pagerunner",
                data={"number": number},
            )
            await self._tools.casebook.record(incident.id, [fact], self._tools.clock.now())
        return await self._graph.ainvoke(first, config, durability="sync")  # type: ignore[no-any-return]

    async def _result(self, incident: Incident, values: State) -> Investigated:
        service = self._tools.catalogue.service(incident.service)
        if service is None or "diagnosis" not in values:
            nothing = Diagnosis(conclusion="inconclusive", ranked=(), reason=values.get("ended", ""))
            return Investigated(diagnosis=nothing, steps=(), summary=f"Pagerunner cannot probe this: {nothing.reason}.")
        diagnosis = codec.load(Diagnosis, values["diagnosis"])
        findings = list((await nodes.known_findings(incident, values, self._tools)).values())
        steps = nodes.steps(diagnosis, findings, service, self._tools)
        used = nodes.used(diagnosis, service, self._tools)
        return Investigated(diagnosis=diagnosis, steps=tuple(steps), summary=note(diagnosis, findings), used=used)


def build(tools: Tools, saver: "BaseCheckpointSaver[Any]") -> Any:
    """The graph: its shape is all that is here."""
    from langgraph.graph import END, START, StateGraph  # noqa: PLC0415 - 0.7 s that only investigations need

    graph = StateGraph(State)
    graph.add_node("retrieve", partial(nodes.retrieve, tools=tools))
    graph.add_node("probe", partial(nodes.probe, tools=tools))
    graph.add_node("diagnose", partial(nodes.diagnose, tools=tools))
    graph.add_edge(START, "retrieve")
    graph.add_edge("probe", "diagnose")
    for asks in ("retrieve", "diagnose"):
        graph.add_conditional_edges(asks, lambda state: "probe" if state["calls"] else END, ["probe", END])
    return graph.compile(checkpointer=saver)
