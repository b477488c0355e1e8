"""Reading model replies of both dialects: one JSON document, or a stream of events put together again.

Tolerant: whatever is missing or of the wrong type is left empty. A body that holds no answer is a failure.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from config.catalogue import ProviderApi
from config.http import Reply
from diagnostics.taxonomy import Failure, classify, unreadable


@dataclass(frozen=True, kw_only=True, slots=True)
class Completion:
    """One answer. Untrusted text."""

    text: str = ""
    finish_reason: str = ""
    """The vendor's word: ``stop``, ``length``, ``end_turn``, ``max_tokens``, ..."""
    model: str = ""
    """The model that says it answered."""
    fingerprint: str = ""
    input_tokens: int = 0
    output_tokens: int = 0
    logprobs: tuple[tuple[str, float], ...] = ()
    """Token and its log probability, in order."""
    tool_calls: tuple[tuple[str, str], ...] = ()
    """Name and arguments (JSON text) of the tools it calls. Not read from streams."""


def read_document(api: ProviderApi, reply: Reply, *, via_gateway: bool) -> Completion | Failure:
    """Read a reply that came as one JSON document."""
    failure = classify(reply.status, reply.text, reply.headers, via_gateway=via_gateway)
    if failure is not None:
        return failure
    document = json_object(reply.text)
    if document is None:
        return unreadable(reply.status, reply.text, "body_is_not_json")
    completion = _anthropic_message(document) if api == "anthropic" else _openai_choice(document)
    return completion or unreadable(reply.status, reply.text, "no_answer_in_body")


def read_stream(api: ProviderApi, reply: Reply, *, via_gateway: bool) -> Completion | Failure:
    """Put a stream together again. Without its terminal event the answer was cut off, whatever the status says."""
    read = _StreamedAnthropic() if api == "anthropic" else _StreamedOpenAI()
    for data in _events(reply.text):
        if data == "[DONE]":
            read.ended = True
            break
        event = json_object(data)
        if event is None:
            continue
        if event.get("error"):
            failure = classify(reply.status, data, reply.headers, via_gateway=via_gateway)
            return failure or unreadable(reply.status, data, "error_in_stream")
        read.take(event)
    if not read.ended:
        return unreadable(reply.status, reply.text, "stream_without_end")
    return read.so_far


_LINE_END = re.compile(r"\r\n|\n|\r")


def _events(text: str) -> Iterator[str]:
    """The data of each server-sent event."""
    lines: list[str] = []
    for line in (*_LINE_END.split(text), ""):
        if line.startswith("data:"):
            lines.append(line[5:].removeprefix(" "))
        elif not line and lines:
            yield "\n".join(lines)
            lines = []


class _StreamedOpenAI:
    """Chunks of the OpenAI dialect, added up."""

    def __init__(self) -> None:
        self.so_far = Completion()
        self.ended = False

    def take(self, chunk: Mapping[str, Any]) -> None:
        """Add one chunk. A chunk with a finish reason ends the answer even if the ``[DONE]`` line is missing."""
        choice = mapping(_first(chunk.get("choices")))
        usage = mapping(chunk.get("usage"))
        before = self.so_far
        self.so_far = replace(
            before,
            text=before.text + _text(mapping(choice.get("delta")).get("content")),
            finish_reason=_text(choice.get("finish_reason")) or before.finish_reason,
            model=_text(chunk.get("model")) or before.model,
            fingerprint=_text(chunk.get("system_fingerprint")) or before.fingerprint,
            input_tokens=_count(usage.get("prompt_tokens")) or before.input_tokens,
            output_tokens=_count(usage.get("completion_tokens")) or before.output_tokens,
            logprobs=before.logprobs + _logprobs(choice),
        )
        self.ended = self.ended or bool(choice.get("finish_reason"))


class _StreamedAnthropic:
    """Events of the Anthropic dialect, added up."""

    def __init__(self) -> None:
        self.so_far = Completion()
        self.ended = False

    def take(self, event: Mapping[str, Any]) -> None:
        """Add one event; only ``message_stop`` ends the answer."""
        before = self.so_far
        match event.get("type"):
            case "message_start":
                message = mapping(event.get("message"))
                usage = mapping(message.get("usage"))
                self.so_far = replace(
                    before, model=_text(message.get("model")), input_tokens=_count(usage.get("input_tokens"))
                )
            case "content_block_delta":
                self.so_far = replace(before, text=before.text + _text(mapping(event.get("delta")).get("text")))
            case "message_delta":
                usage = mapping(event.get("usage"))
                self.so_far = replace(
                    before,
                    finish_reason=_text(mapping(event.get("delta")).get("stop_reason")) or before.finish_reason,
                    output_tokens=_count(usage.get("output_tokens")) or before.output_tokens,
                )
            case "message_stop":
                self.ended = True


def _openai_choice(document: Mapping[str, Any]) -> Completion | None:
    choice = mapping(_first(document.get("choices")))
    if not choice:
        return None
    message = mapping(choice.get("message"))
    usage = mapping(document.get("usage"))
    return Completion(
        text=_text(message.get("content")),
        finish_reason=_text(choice.get("finish_reason")),
        model=_text(document.get("model")),
        fingerprint=_text(document.get("system_fingerprint")),
        input_tokens=_count(usage.get("prompt_tokens")),
        output_tokens=_count(usage.get("completion_tokens")),
        logprobs=_logprobs(choice),
        tool_calls=_openai_calls(message),
    )


def _anthropic_message(document: Mapping[str, Any]) -> Completion | None:
    content = document.get("content")
    if not isinstance(content, list):
        return None
    usage = mapping(document.get("usage"))
    return Completion(
        text="".join(_text(mapping(block).get("text")) for block in content),
        finish_reason=_text(document.get("stop_reason")),
        model=_text(document.get("model")),
        input_tokens=_count(usage.get("input_tokens")),
        output_tokens=_count(usage.get("output_tokens")),
        tool_calls=_anthropic_calls(content),
    )


def _openai_calls(message: Mapping[str, Any]) -> tuple[tuple[str, str], ...]:
    listed = message.get("tool_calls")
    functions = [mapping(mapping(call).get("function")) for call in listed] if isinstance(listed, list) else []
    return tuple((_text(f.get("name")), _text(f.get("arguments"))) for f in functions if f)


def _anthropic_calls(content: list[Any]) -> tuple[tuple[str, str], ...]:
    blocks = [mapping(block) for block in content if mapping(block).get("type") == "tool_use"]
    return tuple((_text(block.get("name")), json.dumps(block.get("input"))) for block in blocks)


def _logprobs(choice: Mapping[str, Any]) -> tuple[tuple[str, float], ...]:
    content = mapping(choice.get("logprobs")).get("content")
    if not isinstance(content, list):
        return ()
    tokens = [mapping(token) for token in content]
    return tuple(
        (_text(token.get("token")), float(token["logprob"]))
        for token in tokens
        if isinstance(token.get("logprob"), (int, float))
    )


def json_object(text: str) -> dict[str, Any] | None:
    """The JSON object that ``text`` is; None if it is anything else."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def mapping(value: object) -> Mapping[str, Any]:
    """``value`` if it is an object, otherwise an empty one."""
    return value if isinstance(value, dict) else {}


def _first(value: object) -> object:
    return value[0] if isinstance(value, list) and value else None


def _text(value: object) -> str:
    if isinstance(value, list):  # content in parts
        return "".join(_text(mapping(part).get("text")) for part in value)
    return value if isinstance(value, str) else ""


def _count(value: object) -> int:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0
