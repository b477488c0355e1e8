"""Checks the parameters of a step against its typed schema, for every service that the runbook is for."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from config.catalogue import Catalogue, Service
from runbooks.front_matter import nearest
from runbooks.resolve import FIELDS, SubstitutionError, UndeclaredError, references, resolve


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterFault:
    """What is wrong with a parameter. ``path`` is empty when it is not there."""

    path: tuple[str | int, ...]
    rule: str
    message: str
    suggestion: str = ""
    severity: Literal["error", "warning", "hint"] = "error"


def faults(
    params: Mapping[str, Any], schema: type[BaseModel], services: Sequence[Service], catalogue: Catalogue | None
) -> tuple[ParameterFault, ...]:
    """Every fault once, however many services show it. Without a catalogue, what ``$service.x`` becomes is unknown, and
    only the rest is checked."""
    unknown = [
        ParameterFault(
            path=(name,),
            rule="unknown-field",
            message=f"a service has no field {field!r}",
            suggestion=nearest(field, FIELDS),
        )
        for name, value in params.items()
        for field in references(value)
        if field not in FIELDS
    ]
    if unknown:
        return tuple(unknown)
    if catalogue is None or not services:
        return tuple(_literal_faults(params, schema))
    return tuple(_faults_for_services(params, schema, services, catalogue))


def _literal_faults(params: Mapping[str, Any], schema: type[BaseModel]) -> Iterator[ParameterFault]:
    filled = {name for name, value in params.items() if any(references(value))}
    for details in _errors(params, schema):
        if not details["loc"] or details["loc"][0] not in filled or details["type"] == "extra_forbidden":
            yield _fault(details, schema, "")


def _faults_for_services(
    params: Mapping[str, Any], schema: type[BaseModel], services: Sequence[Service], catalogue: Catalogue
) -> Iterator[ParameterFault]:
    without: dict[tuple[str, str], list[str]] = {}
    found: dict[ParameterFault, None] = {}
    for service in services:
        try:
            resolved = resolve(params, service, catalogue)
        except UndeclaredError as error:
            without.setdefault((error.parameter, error.field), []).append(service.name)
            # What does not depend on the service is checked all the same.
            found.update(dict.fromkeys(_literal_faults(params, schema)))
            continue
        except SubstitutionError as error:  # pragma: no cover - unknown fields were reported above
            found[ParameterFault(path=(error.parameter,), rule="unknown-field", message=str(error))] = None
            continue
        for details in _errors(resolved, schema):
            depends = bool(details["loc"]) and any(references(params.get(str(details["loc"][0]))))
            found[_fault(details, schema, service.name if depends else "")] = None
    yield from found
    for (parameter, field), names in without.items():
        everywhere = len(names) == len(services)
        yield ParameterFault(
            path=(parameter.split(".", maxsplit=1)[0],),
            rule="undeclared-field",
            message=f"no {field!r} is declared by {', '.join(names)}: the step does not apply there",
            suggestion="declare it in the catalogue, or narrow 'services'",
            severity="warning" if everywhere else "hint",
        )


def _errors(params: Mapping[str, Any], schema: type[BaseModel]) -> list[ErrorDetails]:
    # A key with nothing after it means the default, as everywhere in our YAML.
    given = {name: value for name, value in params.items() if value is not None}
    try:
        schema.model_validate(given)
    except ValidationError as error:
        return error.errors(include_url=False, include_context=False)
    return []


def _fault(details: ErrorDetails, schema: type[BaseModel], service: str) -> ParameterFault:
    path = details["loc"]
    name = str(path[0]) if path else ""
    known = [field.alias or key for key, field in schema.model_fields.items()]
    if details["type"] == "extra_forbidden":
        return ParameterFault(
            path=path,
            rule="unknown-parameter",
            message=f"there is no parameter {name!r}",
            suggestion=nearest(name, known),
        )
    if details["type"] == "missing":
        return ParameterFault(
            path=(),
            rule="missing-parameter",
            message=f"the parameter {name!r} is missing",
            suggestion=f"add '{name}: …'",
        )
    where = f" for service {service!r}" if service else ""
    message = f"{name}: {str(details['msg']).removeprefix('Value error, ')}{where}; found {details['input']!r:.80}"
    return ParameterFault(path=path, rule="parameter", message=message, suggestion=_wanted(schema, name))


def _wanted(schema: type[BaseModel], name: str) -> str:
    """What may stand there, in the words of the schema."""
    field: Mapping[str, Any] = schema.model_json_schema().get("properties", {}).get(name, {})
    options = [option for option in field.get("anyOf", [field]) if option.get("type") != "null"]
    told = [_in_words(option) for option in options]
    return f"write {' or '.join(dict.fromkeys(told))}" if told else "see docs/probes-and-actions.md"


def _in_words(option: Mapping[str, Any]) -> str:
    if "enum" in option or "const" in option:
        return " or ".join(map(str, option.get("enum", [option.get("const")])))
    kind = {"integer": "a whole number", "number": "a number", "boolean": "true or false", "array": "a list"}
    words = kind.get(str(option.get("type")), "text")
    limits = [f"{word} {option[key]}" for key, word in _LIMITS.items() if key in option]
    return " ".join([words, " and ".join(limits)]).strip()


_LIMITS = {
    "minimum": "at least", "maximum": "at most", "exclusiveMinimum": "above", "exclusiveMaximum": "below",
    "minLength": "with a length of at least", "maxLength": "with a length of at most",
}  # fmt: skip
