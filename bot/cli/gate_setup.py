"""What ``--baseline`` and ``--candidate`` name: a word, a few dimensions, or a file of them.

What is not named stays as production has it. Everything wrong is reported with its place and what to write instead.
"""

import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from config import strict_yaml
from diagnostics.model import ProbeContext
from diagnostics.prompt_store import Configuration, PromptReader, PromptVersions, configurations
from diagnostics.setups import Setup
from diagnostics.tool_calls import Tools, ToolsError, load_tools

WORDS: Final = ("production", "last-good")
KEYS: Final = ("prompt", "prompt_file", "provider", "model", "params", "index", "tools_file", "route")
MAX_PROMPT: Final = 200_000


class SpecError(ValueError):
    """``--baseline`` or ``--candidate`` cannot be used: where, what, and what to write."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Spec:
    """One side as it was named."""

    where: str
    """``--candidate``, or the file."""
    base: str
    """``production`` or ``last-good``: what is not set comes from there."""
    values: Mapping[str, Any]
    folder: Path
    """What paths are relative to."""


def read_spec(option: str, text: str) -> Spec:
    """Read what stands behind an option. Raises :class:`SpecError`."""
    if text in WORDS:
        return Spec(where=option, base=text, values={}, folder=Path())
    if text.endswith((".yaml", ".yml", ".json")):
        return _file(option, Path(text))
    if "=" in text:
        return Spec(where=option, base="production", values=_inline(option, text), folder=Path())
    close = difflib.get_close_matches(text, WORDS, n=1)
    meant = f"; did you mean {close[0]!r}?" if close else ""
    raise SpecError(
        f"{option}: {text!r} is neither production nor last-good, nor KEY=VALUE, nor a .yaml or .json file{meant}"
    )


def _inline(option: str, text: str) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for part in text.split(","):
        key, equals, value = part.partition("=")
        key, value = key.strip(), value.strip()
        head, dot, name = key.partition(".")
        if not equals or not value:
            raise SpecError(f"{option}: {part.strip()!r} is not KEY=VALUE; the keys are {', '.join(KEYS)}, params.NAME")
        if head == "params" and dot and name:
            values.setdefault("params", {})[name] = _scalar(value)
        elif key == "params":
            raise SpecError(f"{option}: write params.NAME=VALUE for each parameter, such as params.temperature=0.2")
        else:
            _known(option, key)
            values[key] = value
    return values


def _file(option: str, path: Path) -> Spec:
    try:
        document = strict_yaml.load(path.read_text("utf-8"))
    except OSError as error:
        raise SpecError(f"{option}: {path}: cannot be read: {error.strerror or error}") from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{option}: {path}: not UTF-8 text") from error
    except strict_yaml.YamlError as error:
        raise SpecError(f"{path}:{error}") from error
    value = document.value
    if not isinstance(value, dict):
        raise SpecError(f"{path}:1:1: expected keys and values; the keys are base, {', '.join(KEYS)}")
    values: dict[str, Any] = {}
    for key, item in value.items():
        line, column = document.position((key,))
        where = f"{path}:{line}:{column}"
        if key == "base":
            continue
        _known(where, key)
        if key == "params":
            if not isinstance(item, dict):
                raise SpecError(f"{where}: params: expected names and values")
            values[key] = {name: _typed(part) for name, part in item.items()}
        elif isinstance(item, str) and item:
            values[key] = item
        else:
            raise SpecError(f"{where}: {key}: expected one word or text")
    base = value.get("base", "production")
    if base not in WORDS:
        line, column = document.position(("base",))
        raise SpecError(f"{path}:{line}:{column}: base: expected {' or '.join(WORDS)}")
    return Spec(where=str(path), base=str(base), values=values, folder=path.parent)


def _known(where: str, key: str) -> None:
    if key not in KEYS:
        close = difflib.get_close_matches(key, KEYS, n=1)
        meant = f"; did you mean {close[0]}?" if close else f"; the keys are {', '.join(KEYS)}"
        raise SpecError(f"{where}: {key}: no such key{meant}")


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if isinstance(value, dict):
        return {key: _typed(item) for key, item in value.items()}
    return _scalar(value) if isinstance(value, str) else value


def _scalar(text: str) -> Any:
    """A number or a truth value if it is written as one, otherwise the text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, (int, float, bool)) else text


class Setups:
    """Turns specs into setups, reading from the prompt store and the gateway what they leave open."""

    def __init__(self, context: ProbeContext) -> None:
        self._context = context
        self._prompts = PromptReader(context)
        self._versions: PromptVersions | None = None
        self._configurations: tuple[Configuration | None, Configuration | None] | None = None

    async def of(self, spec: Spec) -> Setup:
        """The whole setup. Raises :class:`SpecError` or :class:`diagnostics.setups.SetupError`."""
        values = spec.values
        if "route" in values:
            others = sorted(set(values) - {"route"})
            if others:
                raise SpecError(
                    f"{spec.where}: route: a route is asked whole, so {', '.join(others)} cannot be set beside it"
                )
            return Setup(route=values["route"], provider=self._context.service.provider)
        setup = await self._configured(spec)
        setup = await self._prompted(spec, setup)
        return replace(setup, index=self._index(values), tools=_tools(spec))

    async def _configured(self, spec: Spec) -> Setup:
        """Provider, model and parameters."""
        values, service = spec.values, self._context.service
        now, then = await self._routed()
        found = then if spec.base == "last-good" else now
        provider = values.get("provider", service.provider)
        model = values.get("model") or (found.model if found else service.model)
        if provider != service.provider and "model" not in values:
            raise SpecError(f"{spec.where}: provider: name the model of {provider!r} too (model: NAME)")
        params = {**(found.params if found else {}), **values.get("params", {})}
        return Setup(provider=provider, model=model, params=params)

    async def _routed(self) -> tuple[Configuration | None, Configuration | None]:
        if self._configurations is None:
            now, then, _ = await configurations(self._context)
            self._configurations = (now, then)
        return self._configurations

    async def _prompted(self, spec: Spec, setup: Setup) -> Setup:
        values = spec.values
        if "prompt" in values and "prompt_file" in values:
            raise SpecError(f"{spec.where}: prompt_file: name a version or a file, not both")
        if "prompt_file" in values:
            path = spec.folder / values["prompt_file"]
            return replace(setup, prompt=str(path), text=_prompt_text(spec, path))
        service = self._context.service
        if not (service.prompts and service.prompt):
            if "prompt" in values:
                raise SpecError(
                    f"{spec.where}: prompt: service {service.name} has no prompt in a store; use prompt_file, or "
                    "declare 'prompts' and 'prompt' in the catalogue"
                )
            return setup
        version = values.get("prompt") or await self._version(spec)
        text = await self._prompts.text(version)
        if text is None:
            raise SpecError(
                f"{spec.where}: prompt: version {version} of {service.prompt} cannot be read from {service.prompts}: "
                f"{self._why()}; name a version that exists, or a prompt_file"
            )
        return replace(setup, prompt=f"version {version}", text=text)

    async def _version(self, spec: Spec) -> str:
        if self._versions is None:
            self._versions = await self._prompts.versions()
        if self._versions is None:
            service = self._context.service
            raise SpecError(
                f"{spec.where}: the prompt that {service.name} runs cannot be read from {service.prompts}: "
                f"{self._why()}; check the target, or name a prompt_file"
            )
        started = self._context.started_at
        return self._versions.last_good(started) if spec.base == "last-good" else self._versions.production

    def _why(self) -> str:
        read = self._prompts.evidence
        return " ".join(read[-1].excerpt.split())[:200] if read else "nothing was answered"

    def _index(self, values: Mapping[str, Any]) -> str:
        wanted: str = values.get("index", self._context.service.index or "")
        return "" if wanted == "none" else wanted


def _prompt_text(spec: Spec, path: Path) -> str:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"{spec.where}: prompt_file: {path}: cannot be read: {error}") from error
    if not text.strip() or len(text) > MAX_PROMPT:
        raise SpecError(f"{spec.where}: prompt_file: {path}: empty, or longer than {MAX_PROMPT:,} characters")
    return text


def _tools(spec: Spec) -> Tools:
    if "tools_file" not in spec.values:
        return Tools()
    try:
        return load_tools(spec.folder / spec.values["tools_file"])
    except ToolsError as error:
        raise SpecError(f"{spec.where}: tools_file: {error}") from error
