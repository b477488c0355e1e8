"""``$service.name``: the only substitution that runbooks know, filled from the catalogue. Anything else is literal."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from config.catalogue import Catalogue, Service
from runbooks.front_matter import nearest
from runbooks.model import Runbook, RunbookError

REFERENCE = re.compile(r"\$service\.([A-Za-z_][A-Za-z0-9_]*)")
_TEXT_SAFE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")

_FIELDS: Mapping[str, Callable[[Service], Any]] = {
    "name": lambda s: s.name,
    "kind": lambda s: s.kind,
    "environment": lambda s: s.environment,
    "team": lambda s: s.team,
    "provider": lambda s: s.provider,
    "model": lambda s: s.model,
    "fallback_provider": lambda s: s.fallback_provider,
    "fallback_model": lambda s: s.fallback_model,
    "residency": lambda s: s.residency,
    "gateway": lambda s: s.gateway,
    "route": lambda s: s.route,
    "prompts": lambda s: s.prompts,
    "prompt": lambda s: s.prompt,
    "index": lambda s: s.index,
    "guardrail": lambda s: s.guardrail,
    "engine": lambda s: s.engine,
    "tools": lambda s: list(s.tools),
    "prometheus": lambda s: s.prometheus,
    "selector": lambda s: s.selector or s.name,
    "golden_set": lambda s: s.golden_set,
    "error_slo": lambda s: s.error_slo,
    "latency_slo_s": lambda s: s.latency_slo_s,
}
FIELDS = tuple(_FIELDS)
"""What may follow ``$service.``"""


class SubstitutionError(RunbookError):
    """A ``$service.x`` cannot be filled. ``parameter`` is where it stands, ``field`` the x."""

    def __init__(self, message: str, parameter: str, field: str) -> None:
        super().__init__(message)
        self.parameter = parameter
        self.field = field


class UnknownFieldError(SubstitutionError):
    """There is no such field, for any service."""


class UndeclaredError(SubstitutionError):
    """This service does not declare the field: the step does not apply to it."""


def resolve(params: Mapping[str, Any], service: Service, catalogue: Catalogue) -> dict[str, Any]:
    """``params`` with every ``$service.x`` filled. Alone in a value it keeps its type (``$service.tools`` is a list);
    inside a longer text it is filled as text. A key with nothing after it is left out: it means the default.
    Raises :class:`SubstitutionError`."""
    return {key: _value(value, key, service, catalogue) for key, value in params.items() if value is not None}


def references(value: object) -> Iterator[str]:
    """Every x of a ``$service.x`` in a parameter value."""
    if isinstance(value, str):
        yield from REFERENCE.findall(value)
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from references(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from references(item)


def applies(runbook: Runbook, service: Service) -> bool:
    """Whether the runbook is for this service: by name or tag, and by kind."""
    names = {service.name, *service.tags, *(f"tag:{tag}" for tag in service.tags), "*"}
    return bool(names.intersection(runbook.services)) and (not runbook.kinds or service.kind in runbook.kinds)


def _value(value: Any, parameter: str, service: Service, catalogue: Catalogue) -> Any:
    if isinstance(value, Mapping):
        return {key: _value(item, f"{parameter}.{key}", service, catalogue) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_value(item, f"{parameter}.{n}", service, catalogue) for n, item in enumerate(value)]
    if not isinstance(value, str):
        return value
    whole = REFERENCE.fullmatch(value.strip())
    if whole:
        return _field(whole[1], parameter, service, catalogue)
    return REFERENCE.sub(lambda found: _as_text(found[1], parameter, service, catalogue), value)


def _as_text(name: str, parameter: str, service: Service, catalogue: Catalogue) -> str:
    value = _field(name, parameter, service, catalogue)
    # A person may copy this text into a shell: only what cannot mean anything there is put into a sentence.
    if isinstance(value, list) or not _TEXT_SAFE.fullmatch(str(value)):
        message = f"{parameter}: $service.{name} of {service.name!r} cannot stand inside a text; let it stand alone"
        raise UndeclaredError(message, parameter, name)
    return str(value)


def _field(name: str, parameter: str, service: Service, catalogue: Catalogue) -> Any:
    read = _FIELDS.get(name)
    if read is None:
        hint = nearest(name, FIELDS)
        raise UnknownFieldError(f"{parameter}: a service has no field {name!r}; {hint}", parameter, name)
    value = read(service)
    if value in (None, "", []):
        message = f"{parameter}: service {service.name!r} declares no {name!r}; add it to the catalogue"
        raise UndeclaredError(message, parameter, name)
    if not _exists(name, value, catalogue):
        message = f"{parameter}: service {service.name!r} names {name} {value!r}, which the catalogue does not declare"
        raise UndeclaredError(message, parameter, name)
    return value


def _exists(name: str, value: Any, catalogue: Catalogue) -> bool:
    if name in ("provider", "fallback_provider"):
        return catalogue.provider(value) is not None
    if name == "gateway":
        return catalogue.gateway(value) is not None
    if name == "prompts":
        return catalogue.prompt_store(value) is not None
    if name == "index":
        return catalogue.index(value) is not None
    if name == "guardrail":
        return catalogue.guardrail(value) is not None
    if name == "engine":
        return catalogue.engine(value) is not None
    if name == "tools":
        return all(catalogue.tool(tool) is not None for tool in value)
    return True
