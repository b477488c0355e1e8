"""What an answer depends on, dimension by dimension, and how a service is asked with any mix of them.

Two setups that differ in several dimensions can be taken apart: the same questions are asked with one dimension of the
other, and what moved the answers has a name.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal, get_args

from config.catalogue import Gateway, Provider
from diagnostics.chat_api import Answer, ChatApi, ChatRequest, Endpoint
from diagnostics.golden import GoldenItem
from diagnostics.model import ProbeContext
from diagnostics.replay import Ask
from diagnostics.tool_calls import Tools

Dimension = Literal["prompt", "model", "params", "index", "tools"]
DIMENSIONS: Final[tuple[Dimension, ...]] = get_args(Dimension)
CALL_TIMEOUT_S: Final = 60.0
MAX_TOKENS: Final = 1024
"""Length of an answer where a setup sets none."""


class SetupError(ValueError):
    """A setup cannot be asked: what is wrong, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Setup:
    """Everything of ours that an answer depends on."""

    prompt: str = ""
    """Which prompt, in words: ``version 13``, ``prompts/support.md``."""
    text: str = ""
    """The prompt itself."""
    provider: str = ""
    model: str = ""
    params: Mapping[str, Any] = field(default_factory=dict)
    index: str = ""
    """Retrieval index, by the name the gateway knows it under; empty: no retrieval."""
    tools: Tools = field(default_factory=Tools)
    route: str = ""
    """Asked whole, through this route of the gateway: the gateway adds what it keeps, and the rest here is empty."""

    def shown(self, dimension: Dimension) -> str:
        """One dimension in words."""
        match dimension:
            case "prompt":
                return self.prompt or "none"
            case "model":
                return f"{self.provider}/{self.model}"
            case "params":
                return json.dumps(dict(self.params), sort_keys=True, ensure_ascii=False)
            case "index":
                return self.index or "none"
            case "tools":
                return f"{len(self.tools.schema)} tools" if self.tools.schema else "none"

    def moved(self, other: "Setup") -> tuple[Dimension, ...]:
        """The dimensions in which they differ. Prompts differ by their text, not by their number."""
        return tuple(name for name in DIMENSIONS if _key(self, name) != _key(other, name))

    def with_of(self, other: "Setup", dimension: Dimension) -> "Setup":
        """This setup with one dimension of the other."""
        match dimension:
            case "prompt":
                return replace(self, prompt=other.prompt, text=other.text)
            case "model":
                return replace(self, provider=other.provider, model=other.model)
            case "params":
                return replace(self, params=other.params)
            case "index":
                return replace(self, index=other.index)
            case "tools":
                return replace(self, tools=other.tools)

    def plain(self) -> dict[str, Any]:
        """Plain facts for a report."""
        if self.route:
            return {"route": self.route}
        digest = hashlib.sha256(self.text.encode()).hexdigest()[:16] if self.text else ""
        shown: dict[str, Any] = {name: self.shown(name) for name in DIMENSIONS}
        return {**shown, "params": dict(self.params), "prompt_sha256": digest}

    def words(self) -> str:
        """All of it in one line, without what is not set."""
        if self.route:
            return f"route {self.route}"
        told = {name: self.shown(name) for name in DIMENSIONS}
        return ", ".join(f"{name} {value}" for name, value in told.items() if value not in ("none", "{}"))


def _key(setup: Setup, dimension: Dimension) -> str:
    match dimension:
        case "prompt":
            return setup.text
        case "tools":
            return json.dumps([dict(tool) for tool in setup.tools.schema], sort_keys=True)
        case _:
            return setup.shown(dimension)


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """A setup that can be asked."""

    name: str
    setup: Setup
    ask: Ask
    price: Provider
    endpoint: Endpoint

    def usd(self, answer: Answer) -> float:
        """What an answer cost at the declared price."""
        if answer.completion is None:
            return 0.0
        spent_in = answer.completion.input_tokens * self.price.usd_per_1k_input
        return (spent_in + answer.completion.output_tokens * self.price.usd_per_1k_output) / 1000

    @property
    def limit(self) -> int:
        """Tokens of an answer at most."""
        wanted = self.setup.params.get("max_completion_tokens", self.setup.params.get("max_tokens"))
        return wanted if isinstance(wanted, int) and wanted > 0 else MAX_TOKENS

    def most(self, item: GoldenItem) -> tuple[int, float]:
        """Tokens and US dollars that a call costs at most, as far as is known before any was made: what a gateway adds
        to the question is not."""
        known = len(self.setup.text) + len(item.input) + len(json.dumps(self.setup.tools.written("openai")))
        asked, answered = known // 2, self.limit
        usd = (asked * self.price.usd_per_1k_input + answered * self.price.usd_per_1k_output) / 1000
        return asked + answered, usd


@dataclass(frozen=True, kw_only=True, slots=True)
class Asker:
    """Makes sides of setups that are to be compared: all of them are asked the same way."""

    context: ProbeContext
    via_gateway: bool
    """Retrieval is the gateway's: if one setup has an index, all are asked through the gateway."""

    @classmethod
    def of(cls, context: ProbeContext, setups: Sequence[Setup]) -> "Asker":
        """For these setups and all mixes of them. Raises :class:`SetupError`."""
        asker = cls(context=context, via_gateway=any(setup.index or setup.route for setup in setups))
        if any(setup.route for setup in setups) and not all(setup.route for setup in setups):
            raise SetupError(
                "one side is asked by a route and the other is put together here, so they differ in what only the "
                "gateway knows; name a route for both, or for neither"
            )
        for setup in setups:
            asker.side("", setup)
        return asker

    def side(self, name: str, setup: Setup) -> Side:
        """This setup, ready to be asked. Raises :class:`SetupError`."""
        gateway = self._gateway() if self.via_gateway else None
        if setup.index and gateway is not None and gateway.kind != "litellm":
            raise SetupError(
                f"gateway {gateway.name} is of kind {gateway.kind}: only a litellm gateway takes an index with a "
                "request; name a route that uses the index instead (route: NAME)"
            )
        provider = self._provider(setup)
        endpoint = Endpoint.of_gateway(gateway) if gateway else Endpoint.of_provider(provider)
        api = ChatApi(http=self.context.http, endpoint=endpoint)

        async def ask(item: GoldenItem) -> Answer:
            return await api.complete(_request(setup, item), timeout_s=CALL_TIMEOUT_S)

        return Side(name=name, setup=setup, ask=ask, price=provider, endpoint=endpoint)

    def _provider(self, setup: Setup) -> Provider:
        wanted = setup.provider or self.context.service.provider
        provider = self.context.catalogue.provider(wanted)
        if provider is None:
            names = ", ".join(one.name for one in self.context.catalogue.providers)
            raise SetupError(f"no provider named {wanted!r} in the catalogue; there are {names}")
        return provider

    def _gateway(self) -> Gateway:
        service = self.context.service
        gateway = self.context.catalogue.gateway(service.gateway) if service.gateway else None
        if gateway is None:
            raise SetupError(
                f"service {service.name} has no gateway in the catalogue, and an index or a route is asked through one"
            )
        return gateway


def _request(setup: Setup, item: GoldenItem) -> ChatRequest:
    if setup.route:
        return ChatRequest(model=setup.route, prompt=item.input, max_tokens=None, temperature=None)
    return ChatRequest(
        model=setup.model,
        prompt=item.input,
        system=setup.text,
        max_tokens=MAX_TOKENS,
        temperature=0.0,
        params=setup.params,
        tools=setup.tools,
        indexes=(setup.index,) if setup.index else (),
    )
