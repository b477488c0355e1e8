"""The two vendors' dialects: how a question is read, and how an answer, a refusal and the limits are written."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from drills.company import ACME, BETA, MODELS, TOKENS_PER_MINUTE
from drills.model import Completion, Question
from drills.outgoing import Outgoing, json_reply

Json = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Timing:
    """Of one answered attempt."""

    first_s: float
    token_s: float

    def total(self, tokens: int) -> float:
        return self.first_s + self.token_s * max(tokens - 1, 0)


class BadRequest(Exception):
    """The request does not follow the contract: status, type, code, message, param."""

    def __init__(self, status: int, kind: str, code: str | None, message: str, param: str | None = None) -> None:
        super().__init__(message)
        self.status, self.kind, self.code, self.message, self.param = status, kind, code, message, param


def read_openai(body: Any) -> Question:
    """Read a chat completion request. Raises :class:`BadRequest`."""
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest(400, "invalid_request_error", None, "'messages' is a required property", "messages")
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise BadRequest(400, "invalid_request_error", None, "you must provide a model parameter", "model")
    shape = body.get("response_format") or {}
    schema = (shape.get("json_schema") or {}).get("schema") if isinstance(shape, dict) else None
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    limit = 4096 if limit is None else limit
    if not isinstance(limit, int) or limit < 1:
        raise BadRequest(400, "invalid_request_error", "invalid_value", "max_tokens must be at least 1", "max_tokens")
    return Question(
        model=model,
        system="\n".join(_text(m) for m in body["messages"] if m.get("role") in ("system", "developer")),
        text=_last(body["messages"]),
        max_tokens=limit,
        logprobs=bool(body.get("logprobs")),
        top_logprobs=min(int(body.get("top_logprobs") or 0), 20),
        json_schema=schema if isinstance(schema, dict) else None,
        json_mode=isinstance(shape, dict) and shape.get("type") in ("json_object", "json_schema"),
        user=str(body.get("user") or ""),
        fresh=isinstance(body.get("cache"), dict) and body["cache"].get("no-cache") is True,
        stream=bool(body.get("stream")),
        usage_in_stream=bool((body.get("stream_options") or {}).get("include_usage")),
        indexes=_indexes(body.get("tools")),
    )


def _indexes(tools: object) -> tuple[str, ...]:
    """What LiteLLM reads out of ``{"type": "file_search", "vector_store_ids": [...]}``."""
    searches = [t for t in tools if isinstance(t, dict)] if isinstance(tools, list) else []
    return tuple(
        str(name) for t in searches if t.get("type") == "file_search" for name in t.get("vector_store_ids") or ()
    )


def read_anthropic(body: Any) -> Question:
    """Read a messages request. Raises :class:`BadRequest`."""
    kind = "invalid_request_error"
    if not isinstance(body, dict) or not isinstance(body.get("messages"), list) or not body["messages"]:
        raise BadRequest(400, kind, None, "messages: Field required")
    if not isinstance(body.get("model"), str):
        raise BadRequest(400, kind, None, "model: Field required")
    if not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1:
        raise BadRequest(400, kind, None, "max_tokens: Field required")
    system = body.get("system") or ""
    if isinstance(system, list):
        system = "\n".join(str(part.get("text", "")) for part in system if isinstance(part, dict))
    return Question(
        model=body["model"],
        system=str(system),
        text=_last(body["messages"]),
        max_tokens=body["max_tokens"],
        user=str((body.get("metadata") or {}).get("user_id") or ""),
        stream=bool(body.get("stream")),
        usage_in_stream=True,
    )


def _text(message: Any) -> str:
    content = message.get("content") if isinstance(message, dict) else ""
    if isinstance(content, list):
        return "".join(str(part.get("text", "")) for part in content if isinstance(part, dict))
    return str(content or "")


def _last(messages: list[Any]) -> str:
    return next((_text(m) for m in reversed(messages) if isinstance(m, dict) and m.get("role") == "user"), "")


def openai_headers(
    model: str, util: float, request_id: str, elapsed_s: float, *, advertised: float = 1.0
) -> dict[str, str]:
    """What every reply of the first provider carries. ``advertised``: the limit it tells, against the agreed one."""
    limit = TOKENS_PER_MINUTE.get(model.removesuffix("-2026-08-01"), 1_000_000.0) * advertised
    left = max(0.0, min(1.0, 1.0 - util))
    return {
        "x-request-id": request_id,
        "openai-organization": "acme-corp",
        "openai-version": "2020-10-01",
        "openai-processing-ms": str(round(elapsed_s * 1000)),
        "x-ratelimit-limit-requests": "10000",
        "x-ratelimit-limit-tokens": str(round(limit)),
        "x-ratelimit-remaining-requests": str(round(10_000 * max(left, 0.35))),
        "x-ratelimit-remaining-tokens": str(round(limit * left)),
        "x-ratelimit-reset-requests": "6ms",
        "x-ratelimit-reset-tokens": f"{max(0.05, (1 - left) * 60):.3f}s",
    }


def anthropic_headers(model: str, util: float, request_id: str, reset: str) -> dict[str, str]:
    """What every reply of the second provider carries; remaining is rounded to the next thousand."""
    limit = TOKENS_PER_MINUTE.get(model, 1_500_000.0)
    left = max(0.0, min(1.0, 1.0 - util))
    headers = {"request-id": request_id, "anthropic-organization-id": "0f5cba1e-7e60-4a18-a7ed-3d5f20d1a1b2"}
    for name, amount in (("requests", 4000.0), ("tokens", limit), ("input-tokens", limit * 0.8),
                         ("output-tokens", limit * 0.2)):  # fmt: skip
        headers[f"anthropic-ratelimit-{name}-limit"] = str(round(amount))
        headers[f"anthropic-ratelimit-{name}-remaining"] = str(round(amount * left / 1000) * 1000)
        headers[f"anthropic-ratelimit-{name}-reset"] = reset
    return headers


OPENAI_ERRORS: dict[str, tuple[int, str, str | None, str]] = {
    "500": (500, "server_error", None, "The server had an error while processing your request. Sorry about that!"),
    "503": (503, "service_unavailable_error", "server_is_overloaded",
            "Our servers are currently overloaded. Please try again later."),
    "429": (429, "tokens", "rate_limit_exceeded",
            ("Rate limit reached for {model} in organization acme-corp on tokens per min (TPM): Limit {limit}, Used "
             "{used}, Requested 1200. Please try again in {reset}s.")),
    "insufficient_quota": (429, "insufficient_quota", "project_spend_limit_exceeded",
                           "You exceeded the spend limit of this project. Please check your plan and billing details."),
    "timeout": (504, "server_error", None, "The request timed out."),
    "401": (401, "invalid_request_error", "invalid_api_key",
            "Incorrect API key provided. You can find your API key in your account."),
    "404": (404, "invalid_request_error", "model_not_found",
            "The model `{model}` does not exist or you do not have access to it."),
    "slow_down": (429, "requests", "slow_down",
                  "We are experiencing high demand. Please slow down; your limit has been lowered for a while."),
}  # fmt: skip
ANTHROPIC_ERRORS: dict[str, tuple[int, str, str]] = {
    "500": (500, "api_error", "Internal server error"),
    "503": (529, "overloaded_error", "Overloaded"),
    "529": (529, "overloaded_error", "Overloaded"),
    "429": (429, "rate_limit_error", "This request would exceed your organization's rate limit of output tokens."),
    "insufficient_quota": (402, "billing_error", "Your credit balance is too low to access the API."),
    "timeout": (504, "timeout_error", "Request timed out"),
    "401": (401, "authentication_error", "invalid x-api-key"),
    "404": (404, "not_found_error", "model not found"),
    "slow_down": (529, "overloaded_error", "Overloaded"),
}


def openai_error(
    status: int, kind: str, code: str | None, message: str, *, param: str | None = None,
    headers: Mapping[str, str] | None = None, elapsed_s: float = 0.05,
) -> Outgoing:  # fmt: skip
    """A refusal in the first dialect."""
    document = {"error": {"message": message, "type": kind, "param": param, "code": code}}
    return json_reply(document, status, headers=headers, elapsed_s=elapsed_s)


def anthropic_error(
    status: int, kind: str, message: str, *, headers: Mapping[str, str] | None = None, elapsed_s: float = 0.05
) -> Outgoing:
    """A refusal in the second dialect."""
    request_id = (headers or {}).get("request-id", "")
    document = {"type": "error", "error": {"type": kind, "message": message}, "request_id": request_id}
    return json_reply(document, status, headers=headers, elapsed_s=elapsed_s)


@dataclass(frozen=True, kw_only=True, slots=True)
class Envelope:
    """What stands around an answer."""

    answer_id: str
    created: int
    model: str
    headers: Mapping[str, str]


def openai_answer(question: Question, done: Completion, timing: Timing, around: Envelope) -> Outgoing:
    """An answer in the first dialect, whole or streamed."""
    if question.stream:
        return _streamed(_openai_events(question, done, around), done, timing, around.headers)
    choice: Json = {
        "index": 0,
        "message": {"role": "assistant", "content": done.text, "refusal": None},
        "finish_reason": done.finish,
        "logprobs": {"content": _logprobs(done)} if question.logprobs else None,
    }
    document = {
        "id": around.answer_id, "object": "chat.completion", "created": around.created, "model": around.model,
        "system_fingerprint": _fingerprint(around.model), "service_tier": "default", "choices": [choice],
        "usage": _usage(done),
    }  # fmt: skip
    return json_reply(document, headers=around.headers, elapsed_s=timing.total(done.tokens_out))


def _usage(done: Completion) -> Json:
    return {
        "prompt_tokens": done.tokens_in, "completion_tokens": done.tokens_out,
        "total_tokens": done.tokens_in + done.tokens_out, "prompt_tokens_details": {"cached_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": 0},
    }  # fmt: skip


def _fingerprint(model: str) -> str | None:
    facts = MODELS.get(model)
    return facts.fingerprint or None if facts else None


def _logprobs(done: Completion) -> list[Json]:
    return [
        {
            "token": token.text, "logprob": token.logprob, "bytes": list(token.text.encode()),
            "top_logprobs": [{"token": text, "logprob": value, "bytes": list(text.encode())}
                             for text, value in token.alternatives],
        }
        for token in done.tokens
    ]  # fmt: skip


def _openai_events(question: Question, done: Completion, around: Envelope) -> list[str]:
    frame = {
        "id": around.answer_id, "object": "chat.completion.chunk", "created": around.created, "model": around.model,
        "system_fingerprint": _fingerprint(around.model),
    }  # fmt: skip
    logprobs = _logprobs(done)

    def event(delta: Json, finish: str | None, place: int = -1) -> str:
        choice: Json = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
        if question.logprobs and 0 <= place < len(logprobs):
            choice["logprobs"] = {"content": [logprobs[place]]}
        return "data: " + json.dumps({**frame, "choices": [choice]}, ensure_ascii=False) + "\n\n"

    events = [event({"role": "assistant", "content": ""}, None)]
    events += [event({"content": piece}, None, place) for place, piece in enumerate(_pieces(done))]
    events.append(event({}, done.finish))
    if question.usage_in_stream:
        events.append("data: " + json.dumps({**frame, "choices": [], "usage": _usage(done)}) + "\n\n")
    events.append("data: [DONE]\n\n")
    return events


def _pieces(done: Completion) -> list[str]:
    if done.tokens:
        return [token.text for token in done.tokens]
    words = done.text.split(" ")
    return [word if place == 0 else f" {word}" for place, word in enumerate(words)]


def anthropic_answer(question: Question, done: Completion, timing: Timing, around: Envelope) -> Outgoing:
    """An answer in the second dialect, whole or streamed."""
    stop = "max_tokens" if done.finish == "length" else "end_turn"
    usage: Json = {"input_tokens": done.tokens_in, "output_tokens": done.tokens_out, "cache_read_input_tokens": 0,
                   "cache_creation_input_tokens": 0, "service_tier": "standard"}  # fmt: skip
    message: Json = {
        "id": around.answer_id, "type": "message", "role": "assistant", "model": around.model,
        "content": [{"type": "text", "text": done.text}], "stop_reason": stop, "stop_sequence": None, "usage": usage,
    }  # fmt: skip
    if not question.stream:
        return json_reply(message, headers=around.headers, elapsed_s=timing.total(done.tokens_out))
    start = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    events: list[Json] = [
        {"type": "message_start", "message": start},
        {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
        {"type": "ping"},
        *(
            {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": piece}}
            for piece in _pieces(done)
        ),
        {"type": "content_block_stop", "index": 0},
        {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None},
         "usage": {"output_tokens": done.tokens_out}},
        {"type": "message_stop"},
    ]  # fmt: skip
    lines = [f"event: {event['type']}\ndata: {json.dumps(event, ensure_ascii=False)}\n\n" for event in events]
    return _streamed(lines, done, timing, around.headers)


def _streamed(events: list[str], done: Completion, timing: Timing, headers: Mapping[str, str]) -> Outgoing:
    pieces = tuple(event.encode() for event in events)
    return Outgoing(
        headers={"content-type": "text/event-stream; charset=utf-8", "cache-control": "no-cache", **headers},
        body=b"".join(pieces),
        first_byte_s=timing.first_s,
        elapsed_s=timing.total(done.tokens_out),
        pieces=pieces,
    )


NAMES = {ACME: "openai", BETA: "anthropic"}
