"""Tools in a request, and the calls of them in an answer, in both dialects.

Tools are declared in one form, the OpenAI one:
``{"type": "function", "function": {"name": ..., "parameters": {...}}}``.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from config.catalogue import ProviderApi
from diagnostics.chat_replies import Completion, json_object, mapping

MAX_TOOLS: Final = 128


class ToolsError(ValueError):
    """A file of tools cannot be used: ``file: what is wrong``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What a model is told that it may call."""

    schema: tuple[Mapping[str, Any], ...] = ()

    def written(self, api: ProviderApi) -> list[dict[str, Any]]:
        """As a request in the dialect of ``api`` carries them."""
        if api == "openai":
            return [dict(tool) for tool in self.schema]
        functions = [mapping(tool.get("function")) for tool in self.schema]
        return [
            {
                "name": function.get("name"),
                "description": function.get("description", ""),
                "input_schema": function.get("parameters", {"type": "object"}),
            }
            for function in functions
        ]


def load_tools(path: Path) -> Tools:
    """Read a JSON list of tools. Raises :class:`ToolsError`."""
    try:
        document = json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ToolsError(f"{path}: cannot be read: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise ToolsError(f"{path}: not JSON: {error}") from error
    if isinstance(document, dict) and set(document) == {"tools"}:
        document = document["tools"]
    if not isinstance(document, list) or not 0 < len(document) <= MAX_TOOLS:
        raise ToolsError(f"{path}: expected a list of 1 to {MAX_TOOLS} tools")
    for number, tool in enumerate(document):
        _checked(tool, f"{path}: tool {number}")
    return Tools(schema=tuple(document))


def _checked(tool: object, where: str) -> None:
    function = mapping(mapping(tool).get("function"))
    if mapping(tool).get("type") != "function" or not isinstance(function.get("name"), str):
        raise ToolsError(f'{where}: expected {{"type": "function", "function": {{"name": ..., "parameters": ...}}}}')
    if not isinstance(function.get("parameters", {}), dict):
        raise ToolsError(f"{where}: parameters must be a JSON Schema")


def said(completion: Completion) -> str:
    """What an answer is checked as: its text; if it calls tools, the calls alone, as JSON.

    One call is ``{"tool": name, "arguments": {...}}``, several are a list of those.
    """
    if not completion.tool_calls:
        return completion.text
    calls = [_call(name, arguments) for name, arguments in completion.tool_calls]
    return json.dumps(calls[0] if len(calls) == 1 else calls, ensure_ascii=False, sort_keys=True)


def _call(name: str, arguments: str) -> Mapping[str, Any]:
    read = json_object(arguments)
    return {"tool": name, "arguments": arguments if read is None else read}
