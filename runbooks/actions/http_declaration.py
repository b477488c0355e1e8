"""What an operator declares to steer a system with an HTTP API: read, call, expected state, undo."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal
from urllib.parse import quote

from pydantic import BeforeValidator, Field, create_model

from config.catalogue import Declared, Name, Risk
from runbooks.model import ActionParams

_HEADER_NAME = re.compile(r"[A-Za-z0-9-]{1,64}")
_RESERVED_HEADERS = frozenset({
    "accept-encoding", "authorization", "connection", "content-length", "content-type", "cookie", "expect", "host",
    "idempotency-key", "if-match", "proxy-authorization", "te", "trailer", "transfer-encoding", "upgrade", "user-agent",
})  # fmt: skip
_PATH = re.compile(r"(/[A-Za-z0-9._~!$&'()*+,;=:@-]+)+/?|/")
_PLACEHOLDER = re.compile(r"\$([A-Za-z_][A-Za-z0-9_]*)")
_PRE = "$pre."

Path = tuple[str | int, ...]
Fault = tuple[Path, str]


def _json(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write it as JSON text, such as '{\"enabled\": false}'")  # noqa: TRY004 - pydantic reports ValueError
    return json.loads(value, parse_constant=_no_constant)


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


Json = Annotated[Any, BeforeValidator(_json)]
"""JSON as text, because YAML alone does not tell ``false`` from ``"false"``."""


class StringParam(Declared):
    """Text out of a closed set: listed, or matching a pattern as a whole."""

    type: Literal["string"]
    enum: tuple[str, ...] = ()
    pattern: str = ""
    default: str | None = None


class IntegerParam(Declared):
    """A whole number within bounds."""

    type: Literal["integer"]
    min: int
    max: int
    default: int | None = None


Param = Annotated[StringParam | IntegerParam, Field(discriminator="type")]


class Read(Declared):
    """Where the state stands, and which of its keys matter: ``a.b`` or JSON pointers ``/a/0/b``."""

    path: str
    query: Mapping[str, str] = {}
    watch: tuple[str, ...] = Field(min_length=1, max_length=20)


class Call(Declared):
    """A request that changes something."""

    method: Literal["POST", "PUT", "PATCH", "DELETE"]
    path: str
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Json = None


class Declaration(Declared):
    """One declared action."""

    name: str = Field(pattern=r"^[a-z][a-z0-9_]{2,40}$")
    title: str = Field(min_length=3, max_length=120)
    risk: Risk
    blast_radius: str = Field(min_length=10, max_length=300)
    target: Name
    params: Mapping[str, Param] = {}
    read: Read
    call: Call
    expect: Annotated[dict[str, Any], BeforeValidator(_json)] = Field(min_length=1)
    undo: Call | None = None
    effect: Literal["converge", "keyed", "unsafe_once"]
    if_match: bool = False
    """Whether the call names the version (``ETag``) that was read: then nobody else's change is overwritten."""
    idempotency_header: str = ""
    leasable: bool = False


def faults(declared: Declaration) -> Iterator[Fault]:
    """What no single field shows: where, and what is wrong."""
    for name, param in declared.params.items():
        yield from ((("params", name), message) for message in _param_faults(name, param))
    for key in sorted(set(declared.expect) - set(declared.read.watch)):
        yield ("expect",), f"{key!r} is not among the watched keys {list(declared.read.watch)}"
    if declared.undo is None and declared.risk != "R3":
        yield ("risk",), "an action without undo is R3; declare an undo, or the risk R3"
    if declared.undo is None and declared.leasable:
        yield ("leasable",), "an action without undo cannot end by itself"
    if declared.effect == "keyed" and not _HEADER_NAME.fullmatch(declared.idempotency_header):
        yield ("effect",), "a keyed action names its idempotency_header, such as Idempotency-Key"
    if declared.effect != "keyed" and declared.idempotency_header:
        yield ("idempotency_header",), "only a keyed action has one"
    names = set(declared.params)
    yield from _place_faults(("read",), declared.read.path, declared.read.query, names)
    yield from _text_faults(("expect",), declared.expect, names, set())
    watched = set(declared.read.watch)
    for part, call, pre in (("call", declared.call, set[str]()), ("undo", declared.undo, watched)):
        if call is not None:
            yield from _place_faults((part,), call.path, call.query, names)
            yield from _text_faults((part, "body"), call.body, names, pre)
            yield from _header_faults((part, "headers"), call.headers)


def _param_faults(name: str, param: StringParam | IntegerParam) -> Iterator[str]:
    if not _PLACEHOLDER.fullmatch(f"${name}") or name == "pre":
        yield "a parameter's name is letters, digits and _, and not 'pre'"
    if isinstance(param, IntegerParam):
        if param.min > param.max:
            yield f"min {param.min} is above max {param.max}"
        return
    if bool(param.enum) == bool(param.pattern):
        yield "a string has either an enum or a pattern: free text reaches no other system"
    elif param.pattern:
        try:
            re.compile(param.pattern)
        except re.error as error:
            yield f"the pattern is not a regular expression: {error}"


def _place_faults(where: Path, path: str, query: Mapping[str, str], names: set[str]) -> Iterator[Fault]:
    parts = path.split("/")
    if not _PATH.fullmatch(path) or ".." in parts or "." in parts:
        yield (*where, "path"), f"{path!r} is no plain path such as /flags/$flag; a query goes to 'query'"
    for part in parts:
        yield from (((*where, "path"), message) for message in _unknown(part, names, set()))
    for key, value in query.items():
        yield from (((*where, "query", key), message) for message in _unknown(value, names, set()))


def _text_faults(where: Path, value: Any, names: set[str], pre: set[str]) -> Iterator[Fault]:
    match value:
        case str():
            yield from ((where, message) for message in _unknown(value, names, pre))
        case dict():
            for inner in value.values():
                yield from _text_faults(where, inner, names, pre)
        case list():
            for inner in value:
                yield from _text_faults(where, inner, names, pre)


def _unknown(text: str, names: set[str], pre: set[str]) -> Iterator[str]:
    if text.startswith("$$"):
        return
    if text.startswith(_PRE):
        if text.removeprefix(_PRE) not in pre:
            yield f"{text!r} was not read; $pre.KEY names a watched key, and stands in the undo's body alone"
        return
    whole = _PLACEHOLDER.fullmatch(text)
    if whole and whole[1] not in names:
        yield f"{text!r} is no parameter; write $$ for a literal dollar"
    elif not whole and any(found in names for found in _PLACEHOLDER.findall(text)):
        yield f"a parameter in {text!r} has to stand alone: substitution is of whole values"


def _header_faults(where: Path, headers: Mapping[str, str]) -> Iterator[Fault]:
    for name, value in headers.items():
        if not _HEADER_NAME.fullmatch(name) or name.lower() in _RESERVED_HEADERS:
            yield (*where, name), f"{name!r} is not a header that can be declared here"
        if not value.isascii() or not value.isprintable():
            yield (*where, name), f"the value of {name!r} has to be one line of printable ASCII"


def params_model(declared: Declaration) -> type[ActionParams]:
    """The typed schema of the declared parameters."""
    fields: dict[str, Any] = {}
    for name, param in declared.params.items():
        default = ... if param.default is None else param.default
        if isinstance(param, IntegerParam):
            fields[name] = (int, Field(default=default, ge=param.min, le=param.max, validate_default=True))
        elif param.enum:
            fields[name] = (Literal[param.enum], Field(default=default, validate_default=True))
        else:
            # pydantic matches with an engine that is linear in the text: no pattern can hang us.
            whole = rf"^(?:{param.pattern})$"
            fields[name] = (str, Field(default=default, pattern=whole, max_length=200, validate_default=True))
    model: type[ActionParams] = create_model(f"{declared.name}_params", __base__=ActionParams, **fields)
    return model


def filled(value: Any, params: Mapping[str, Any], pre: Mapping[str, Any]) -> Any:
    """``value`` with ``$param`` and ``$pre.KEY`` in place of whole strings, keeping their types."""
    match value:
        case str() if value.startswith("$$"):
            return value[1:]
        case str() if value.startswith(_PRE):
            return pre[value.removeprefix(_PRE)]
        case str() if whole := _PLACEHOLDER.fullmatch(value):
            return params[whole[1]]
        case dict():
            return {key: filled(inner, params, pre) for key, inner in value.items()}
        case list():
            return [filled(inner, params, pre) for inner in value]
        case _:
            return value


def path_of(path: str, params: Mapping[str, Any]) -> str:
    """The path with parameters as single, percent-encoded segments. Raises ``ValueError`` for one that is no name."""
    parts = []
    for part in path.split("/"):
        value = str(filled(part, params, {}))
        if value != part and value in ("", ".", ".."):
            raise ValueError(f"{value!r} cannot be part of a path")
        parts.append(quote(value, safe="") if value != part else part)
    return "/".join(parts)
