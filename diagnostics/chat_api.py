"""One client for chat completions in both vendors' dialects: build the request, send it as a canary, read the reply.

Replies are read tolerantly: whatever is missing or malformed is left empty, and a reply that is no answer becomes a
:class:`~diagnostics.taxonomy.Failure`.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

from config.catalogue import Gateway, Provider, ProviderApi
from config.http import Http, HttpError, Reply
from diagnostics.chat_replies import Completion, read_document, read_stream
from diagnostics.model import Evidence
from diagnostics.taxonomy import Failure, classify, classify_transport
from diagnostics.tool_calls import Tools

CANARY_HEADERS: Final = {"x-pagerunner-canary": "1"}
ANTHROPIC_HEADERS: Final = {"anthropic-version": "2023-06-01"}

_PASSED_ON: Final = ("temperature", "top_p", "top_k", "max_tokens", "max_completion_tokens", "stop", "seed",
                     "presence_penalty", "frequency_penalty", "reasoning_effort")  # fmt: skip
"""Sampling parameters that a configuration of record may set; anything else in it is not ours to send."""
_ANTHROPIC_TAKES: Final = ("temperature", "top_p", "top_k", "max_tokens")


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """Where to send: a declared target, the dialect it speaks, and whether a gateway of ours stands there."""

    target: str
    api: ProviderApi
    via_gateway: bool = False

    @classmethod
    def of_provider(cls, provider: Provider) -> "Endpoint":
        return cls(target=provider.target, api=provider.api)

    @classmethod
    def of_gateway(cls, gateway: Gateway) -> "Endpoint":
        return cls(target=gateway.target, api=gateway.api, via_gateway=True)

    @property
    def path(self) -> str:
        return "/v1/messages" if self.api == "anthropic" else "/v1/chat/completions"

    @property
    def headers(self) -> dict[str, str]:
        """What every request to it carries."""
        return dict(ANTHROPIC_HEADERS) if self.api == "anthropic" else {}


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatRequest:
    """One question."""

    model: str
    prompt: str
    system: str = ""
    max_tokens: int | None = 16
    """None: whatever is configured on the way there, or 1,024 where the dialect wants a number."""
    temperature: float | None = 0.0
    stream: bool = False
    top_logprobs: int = 0
    """How many alternatives to report for each token; 0: no log probabilities. OpenAI dialect only."""
    json_schema: Mapping[str, Any] | None = None
    """Ask for an answer of this shape."""
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further keys of the body that are the gateway's own, such as ``user`` and ``cache``. OpenAI dialect only."""
    params: Mapping[str, Any] = field(default_factory=dict)
    """Sampling parameters of record; they win over ``max_tokens`` and ``temperature``."""
    tools: Tools = field(default_factory=Tools)
    """What the model is told that it may call."""
    indexes: tuple[str, ...] = ()
    """Retrieval indexes that a LiteLLM gateway is to search for the answer, by the names it knows them under."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What came of one request: a completion, or a failure."""

    completion: Completion | None = None
    failure: Failure | None = None
    status: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    body: str = ""
    """At most 2,000 characters."""
    first_byte_s: float = 0.0
    elapsed_s: float = 0.0

    @property
    def tokens(self) -> int:
        return self.completion.input_tokens + self.completion.output_tokens if self.completion else 0

    def evidence(self, endpoint: Endpoint) -> Evidence:
        """The reply as it came, or the reason why none did."""
        came = self.body or (self.failure.message if self.failure else "")
        status = f"HTTP {self.status}\n" if self.status else ""
        return Evidence(source=f"POST {endpoint.target} {endpoint.path}", excerpt=(status + came)[:2000])


@dataclass(frozen=True, kw_only=True, slots=True)
class ChatApi:
    """The client of one endpoint."""

    http: Http
    endpoint: Endpoint

    async def complete(self, request: ChatRequest, *, timeout_s: float = 12.0) -> Answer:
        """Ask once. Never raises for a failing endpoint; raises ``HttpError`` only when nothing may be sent there.

        Models differ in which parameters they take. Straight to a provider, a parameter that it says it does not take
        is left out or renamed, and the question asked again: the canary is about the model, not about our own habits.
        Through the gateway the refusal itself is the finding.
        """
        body = build(self.endpoint.api, request)
        answer = await self._post(body, timeout_s)
        for _ in range(2):
            adapted = None if self.endpoint.via_gateway else _without_unsupported(body, answer.failure)
            if adapted is None:
                return answer
            body = adapted
            answer = await self._post(body, timeout_s)
        return answer

    async def _post(self, body: Mapping[str, Any], timeout_s: float) -> Answer:
        try:
            reply = await self.http.request(
                self.endpoint.target,
                "POST",
                self.endpoint.path,
                purpose="canary",
                body=body,
                headers={**self.endpoint.headers, **CANARY_HEADERS},
                timeout_s=timeout_s,
            )
        except HttpError as error:
            return Answer(failure=classify_transport(error))
        return parse(self.endpoint, reply)


def build(api: ProviderApi, request: ChatRequest) -> dict[str, Any]:
    """The JSON body of a request in the dialect of ``api``."""
    params = {key: value for key, value in request.params.items() if key in _PASSED_ON and value is not None}
    if api == "anthropic":
        return _build_anthropic(request, params)
    system = [{"role": "system", "content": request.system}] if request.system else []
    body: dict[str, Any] = {
        "model": request.model,
        "messages": [*system, {"role": "user", "content": request.prompt}],
    }
    if request.max_tokens is not None and "max_completion_tokens" not in params:
        body["max_tokens"] = request.max_tokens
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stream:
        body |= {"stream": True, "stream_options": {"include_usage": True}}
    if request.top_logprobs:
        body |= {"logprobs": True, "top_logprobs": request.top_logprobs}
    if request.json_schema is not None:
        schema = {"name": "answer", "strict": True, "schema": request.json_schema}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    tools = request.tools.written("openai")
    if request.indexes:
        tools.append({"type": "file_search", "vector_store_ids": list(request.indexes)})
    if tools:
        body["tools"] = tools
    return body | dict(request.extra) | params


def _build_anthropic(request: ChatRequest, params: Mapping[str, Any]) -> dict[str, Any]:
    system = request.system
    if request.json_schema is not None:
        shape = json.dumps(request.json_schema, sort_keys=True)
        system = f"{system}\nAnswer with one JSON object that matches this schema and nothing else: {shape}".strip()
    body: dict[str, Any] = {
        "model": request.model,
        "max_tokens": request.max_tokens or 1024,
        "messages": [{"role": "user", "content": request.prompt}],
    }
    if system:
        body["system"] = system
    if request.temperature is not None:
        body["temperature"] = request.temperature
    if request.stream:
        body["stream"] = True
    if request.tools.schema:
        body["tools"] = request.tools.written("anthropic")
    body |= {key: value for key, value in params.items() if key in _ANTHROPIC_TAKES}
    if "max_completion_tokens" in params:
        body["max_tokens"] = params["max_completion_tokens"]
    if "stop" in params:
        stop = params["stop"]
        body["stop_sequences"] = stop if isinstance(stop, list) else [stop]
    return body


def _without_unsupported(body: Mapping[str, Any], failure: Failure | None) -> dict[str, Any] | None:
    """The body without the parameter the provider says it does not take; None if that is not the trouble."""
    if failure is None or failure.status != 400 or failure.code not in ("unsupported_parameter", "unsupported_value"):
        return None
    adapted = dict(body)
    if failure.param == "max_tokens" and "max_tokens" in adapted:
        adapted["max_completion_tokens"] = adapted.pop("max_tokens")
        return adapted
    related = {"logprobs": ("logprobs", "top_logprobs"), "top_logprobs": ("logprobs", "top_logprobs")}
    dropped = related.get(failure.param, (failure.param,))
    if failure.param not in ("temperature", "top_p", "stream_options", "logprobs", "top_logprobs", "seed"):
        return None
    return {key: value for key, value in adapted.items() if key not in dropped} if failure.param in body else None


def parse(endpoint: Endpoint, reply: Reply) -> Answer:
    """Read a whole reply: JSON or a stream of events, an answer or an error, in either dialect."""
    text = reply.text
    answer = Answer(
        status=reply.status,
        headers=reply.headers,
        body=text[:2000],
        first_byte_s=reply.first_byte_s,
        elapsed_s=reply.elapsed_s,
    )
    if reply.status >= 300:
        return replace(answer, failure=classify(reply.status, text, reply.headers, via_gateway=endpoint.via_gateway))
    streamed = "text/event-stream" in reply.headers.get("content-type", "") or text.lstrip()[:6] in ("data: ", "event:")
    read = read_stream if streamed else read_document
    completion = read(endpoint.api, reply, via_gateway=endpoint.via_gateway)
    if isinstance(completion, Failure):
        return replace(answer, failure=completion)
    return replace(answer, completion=completion)


def cost_usd(provider: Provider | None, answers: Sequence[Answer]) -> float:
    """What the answers cost at the provider's declared price; 0 if it declares none."""
    if provider is None:
        return 0.0
    done = [answer.completion for answer in answers if answer.completion]
    spent_in = sum(completion.input_tokens for completion in done) * provider.usd_per_1k_input
    spent_out = sum(completion.output_tokens for completion in done) * provider.usd_per_1k_output
    return round((spent_in + spent_out) / 1000, 6)
