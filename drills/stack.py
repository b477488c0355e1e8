"""What stands around the model: retrieval, tools, guardrail and cache; and how much of the answers each spoils.

Settings are admin documents. A scenario may have changed one at its onset: before that moment the earlier revision
acted, from then on what stands in the document, and whatever people make of it. All zero on an ordinary day.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

import numpy as np

from drills import search
from drills.company import APPS, INDEX_OF
from drills.corpus import poison
from drills.draws import Floats
from drills.faults import Fault
from drills.supply import secrets_exposed

if TYPE_CHECKING:
    from drills.controls import Controls

RETRIEVAL = "ingestion/support-kb/retrieval"
QUARANTINE = "ingestion/support-kb/quarantine"
TOOL = "gateway/tools/orders"
RAG, AGENT = "support-bot", "order-agent"
GUARDRAIL = "gateway/guardrails/content-rail"
CACHED = {"chat-assistant": "gateway/cache/chat", "support-bot": "gateway/cache/support"}
"""Services whose answers are cached, and the document that says how."""
OBEYS = 0.9
"""Share of answers that follow an order in a document that was retrieved."""
GUARDED = ("chat-assistant", "support-bot", "order-agent")
"""Services behind the guardrail."""
THRESHOLD = 0.8
UNANSWERED = 0.22
"""Share of the support bot's questions that its documents do not answer."""
TOOL_NEED = 0.55
"""Share of the agent's answers that rest on its tool."""


DESTRUCTIVE = 0.03
"""Share of the agent's tasks that end in a change that cannot be taken back."""
HIT = 0.9
"""Share of the tasks with such a change that go wrong for their user when nobody was asked."""


@dataclass(slots=True)
class Around:
    """Moments x services."""

    lost: Floats
    """Share of questions answered without their document."""
    misled: Floats
    """Share of answers that tell what is not so."""
    refused: Floats
    """Share of harmless requests that are refused."""
    unguarded: Floats
    """Share of requests that no guardrail has seen."""
    destroyed: Floats
    """Changes a minute that cannot be taken back and that nobody has approved."""
    wait_s: Floats
    """Seconds before the model is asked."""
    calls: Floats
    """Further calls of a task, as a share."""
    cut: Floats
    """Share of answers cut at their length limit; 0: as usual."""
    shorter: Floats
    """Share of an answer's tokens that are missing."""
    score: Floats
    """How much lower the judge scores the same answers."""
    agreement: Floats
    """How much less the judge agrees with people."""
    exposed: Floats
    """1 while others can use what is ours: a key, or what a malicious package reads."""

    @classmethod
    def nothing(cls, rows: int) -> "Around":
        return cls(**{part.name: np.zeros((rows, len(APPS))) for part in fields(cls)})


@dataclass(frozen=True, kw_only=True, slots=True)
class Stack:
    """What a scenario does to the stack."""

    faults: Sequence[Fault] = ()
    since: Mapping[str, float] = field(default_factory=dict)
    """Path -> when its present revision went live."""

    def around(self, times: Floats, controls: "Controls") -> Around:
        """What it comes to at these moments."""
        result = Around.nothing(len(times))
        for act in _ACTS:
            act(result, self, times, controls.stack)
        _limits(result, self, times, controls)
        _sources(result, self, times, controls)
        return result

    def live(self, path: str, times: Floats) -> Floats:
        """1.0 from the moment on at which a document became what it is."""
        return (times >= self.since.get(path, -np.inf)).astype(np.float64)

    def of(self, kind: str) -> Fault | None:
        return next((fault for fault in self.faults if fault.kind == kind), None)


Settings = Mapping[str, Mapping[str, Any]]
Act = Callable[[Around, Stack, Floats, Settings], None]


def _searching(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """How the index is searched."""
    keys, rag = settings[RETRIEVAL], INDEX_OF[RAG]
    swapped = stack.of("embedder_swap")
    share = 1.0 if swapped is None else swapped.values["share"]
    missed = search.lost(keys)
    if keys["mode"] == "vector" and keys["embedding_model"] != search.STORED_MODEL:
        # Only a part of the servers has the new embedder; the others search as before.
        missed *= share
    result.lost[:, rag] = np.maximum(result.lost[:, rag], missed * stack.live(RETRIEVAL, times))


def _store(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """The vector store itself; the word index is another machine."""
    fault, rag = stack.of("vector_store"), INDEX_OF[RAG]
    if fault is None or settings[RETRIEVAL]["mode"] != "vector":
        return
    active = fault.active(times)
    result.lost[:, rag] = np.maximum(result.lost[:, rag], active * fault.values["share"])
    result.wait_s[:, rag] += active * fault.values["wait_s"]


def _tools(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """A tool that is down or changed misleads as far as the agent makes things up; saying so misleads nobody."""
    if not settings[TOOL]["enabled"]:
        return
    agent = INDEX_OF[AGENT]
    for kind, share, wrong in (("tool_down", "share", "fabricate"), ("tool_drift", "", "wrong")):
        fault = stack.of(kind)
        if fault is not None:
            active = fault.active(times) * TOOL_NEED * fault.values.get(share, 0.9)
            result.misled[:, agent] = np.maximum(result.misled[:, agent], active * fault.values[wrong])
            result.calls[:, agent] += active * fault.values["again"]


def _unasked(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """The agent does what cannot be taken back without asking; without its tool it cannot."""
    fault = stack.of("unapproved")
    if fault is None or not settings[TOOL]["enabled"]:
        return
    agent, active = INDEX_OF[AGENT], fault.active(times)
    tasks = APPS[agent].users * APPS[agent].tasks * DESTRUCTIVE
    without = fault.values["share"] + fault.values["more"]
    result.destroyed[:, agent] = active * tasks * without
    result.misled[:, agent] = np.maximum(result.misled[:, agent], active * DESTRUCTIVE * without * HIT)


def blocked_share(stack: Stack, keys: Mapping[str, Any]) -> float:
    """Share of harmless requests that a guardrail so set blocks."""
    strict = stack.of("guard_strict")
    if strict is None or not keys["enabled"]:
        return 0.0
    return strict.values["share"] * max(0.0, THRESHOLD - float(keys["threshold"])) / 0.4


def late_share(stack: Stack, keys: Mapping[str, Any]) -> float:
    """Share of checks that do not come back in time with such a timeout, while the guardrail is slow."""
    slow = stack.of("guard_slow")
    return slow.values["share"] if slow is not None and float(keys["timeout_ms"]) < slow.values["takes_ms"] else 0.0


def _guardrail(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    keys, live = settings[GUARDRAIL], stack.live(GUARDRAIL, times)
    late = late_share(stack, keys)
    for name in GUARDED:
        number = INDEX_OF[name]
        refused = blocked_share(stack, keys) + (late if keys["on_error"] == "closed" else 0.0)
        result.refused[:, number] = np.maximum(result.refused[:, number], np.minimum(refused, 1.0) * live)
        if not keys["enabled"]:
            result.unguarded[:, number] = live
        elif keys["on_error"] == "open":
            result.unguarded[:, number] = np.maximum(result.unguarded[:, number], late * live)


def _cache(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    for name, path in CACHED.items():
        share = wrong_hits(stack, settings[path])
        result.misled[:, INDEX_OF[name]] = np.maximum(result.misled[:, INDEX_OF[name]], share * stack.live(path, times))


def wrong_hits(stack: Stack, keys: Mapping[str, Any]) -> float:
    """Share of answers that a cache so set takes from another question."""
    fault = stack.of("cache_loose")
    if fault is None or keys["mode"] != "serve":
        return 0.0
    return fault.values["share"] * max(0.0, 0.95 - float(keys["threshold"])) / 0.15


def _poisoned(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    fault = stack.of("poison")
    if fault is None:
        return
    added = poison(fault.start, int(fault.values["count"]))
    share = search.reached(added, settings[RETRIEVAL], tuple(settings[QUARANTINE]["documents"]))
    rag = INDEX_OF[RAG]
    result.misled[:, rag] = np.maximum(result.misled[:, rag], fault.active(times) * share * OBEYS)


def _judge(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """The judge sees the same answers with other eyes; users do not."""
    del settings
    fault = stack.of("judge_change")
    if fault is not None:
        number = INDEX_OF[fault.service]
        result.score[:, number] = fault.active(times) * fault.values["score"]
        result.agreement[:, number] = fault.active(times) * fault.values["agreement"]


def _supply(result: Around, stack: Stack, times: Floats, settings: Settings) -> None:
    """A thief of secrets is felt by nobody; every service behind the gateway is exposed."""
    result.exposed[:] = np.maximum(result.exposed, secrets_exposed(stack.faults, times, settings)[:, None])


def _limits(result: Around, stack: Stack, times: Floats, controls: "Controls") -> None:
    """A lower limit on the length of answers in a route's parameters."""
    for number, app in enumerate(APPS):
        limit = controls.param_tokens[number]
        if limit is None:
            continue
        live = stack.live(f"gateway/params/{app.route}", times)
        result.cut[:, number] = live * float(np.clip(1.0 - limit / (3.0 * app.tokens_out), 0.0, 0.95))
        result.shorter[:, number] = live * max(0.0, 1.0 - limit / app.tokens_out)


def _sources(result: Around, stack: Stack, times: Floats, controls: "Controls") -> None:
    """Questions that no document answers are answered all the same, where a route's parameters allow it."""
    fault = stack.of("ungrounded")
    for number, app in enumerate(APPS):
        if fault is not None and app.index and controls.unsourced[number]:
            share = stack.live(f"gateway/params/{app.route}", times) * UNANSWERED * fault.values["share"]
            result.misled[:, number] = np.maximum(result.misled[:, number], share)


_ACTS: tuple[Act, ...] = (
    _searching, _store, _tools, _unasked, _guardrail, _cache, _poisoned, _judge, _supply,
)  # fmt: skip
