"""Files that people write item by item (golden sets, labels of a judge): read whole or refused whole.

JSON Lines (one object a line) or YAML (a list of items, or a mapping with ``items``). Everything that is wrong is
reported at once, each problem as ``file:line: field: what is wrong``.
"""

import json
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from config import strict_yaml

MAX_BYTES: Final = 4_000_000
MAX_ITEMS: Final = 2_000
SHOWN: Final = 20
"""Problems that an error's text lists; ``problems`` has them all."""


class ItemFileError(ValueError):
    """A file cannot be used. Each problem is ``file:line: field: what is wrong``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        more = len(self.problems) - SHOWN
        super().__init__("\n".join([*self.problems[:SHOWN], *([f"and {more} more problems"] if more > 0 else [])]))


class Strict(BaseModel):
    """Base of what stands in such a file: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Item(Protocol):
    """What every item has."""

    @property
    def id(self) -> str: ...


T = TypeVar("T", bound=Item)
Place = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One item as it was written, and in which line each part of it stands."""

    raw: object
    line: Callable[[Place], int]


def read_text(path: Path) -> str:
    """The file's text. Raises :class:`ItemFileError`."""
    try:
        size = path.stat().st_size
        if size > MAX_BYTES:
            raise ItemFileError([f"{path}:1: larger than {MAX_BYTES:,} bytes; split it"])
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ItemFileError([f"{path}:1: cannot be read: {error}"]) from error


def items_of(text: str, path: str, make: Callable[[Any], T]) -> tuple[T, ...]:
    """Every item of a file whose name is ``path``; ``make`` checks one. Raises :class:`ItemFileError`."""
    problems: list[str] = []
    items: list[T] = []
    first_seen: dict[str, int] = {}
    for row in _rows(text, path, problems):
        try:
            item = make(row.raw)
        except ValidationError as error:
            problems += [f"{path}:{row.line(place)}: {what}" for place, what in said(error)]
            continue
        line = row.line(("id",))
        if item.id in first_seen:
            problems.append(f"{path}:{line}: id: {item.id!r} stands already in line {first_seen[item.id]}")
        first_seen.setdefault(item.id, line)
        items.append(item)
    if not items and not problems:
        problems.append(f"{path}:1: no items; write one JSON object a line, or a YAML list")
    if len(items) > MAX_ITEMS:
        problems.append(f"{path}:1: {len(items)} items; the most is {MAX_ITEMS:,}, so split the file")
    if problems:
        raise ItemFileError(problems)
    return tuple(items)


def said(error: ValidationError) -> list[tuple[Place, str]]:
    """Where and what, for each thing that is wrong."""
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    inner = any(len(problem["loc"]) > 1 for problem in problems)
    return [
        (problem["loc"], f"{_field(problem['loc'])}: {_words(problem['type'], problem['msg'])}")
        for problem in problems
        # A list of which every element is wrong is reported as too short as well.
        if not (inner and problem["type"] == "too_short")
    ]


def _field(place: Place) -> str:
    return ".".join(str(part) for part in place) or "item"


def _words(kind: str, message: str) -> str:
    return {"extra_forbidden": "no such field; correct its spelling, or remove it", "missing": "is missing"}.get(
        kind, message.removeprefix("Value error, ")
    )


# --- The two forms -----------------------------------------------------------------------------------------------


def _rows(text: str, path: str, problems: list[str]) -> Iterator[Row]:
    return _yaml(text, path) if path.endswith((".yaml", ".yml")) else _json_lines(text, path, problems)


def _json_lines(text: str, path: str, problems: list[str]) -> Iterator[Row]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            raw = json.loads(line, object_pairs_hook=_once, parse_constant=_no_constant)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: not JSON: {error}")
            continue
        yield Row(raw=raw, line=lambda _, at=number: at)  # type: ignore[misc] # bound as a default


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"key {twice!r} stands here twice")
    return found


def _no_constant(word: str) -> Any:
    raise ValueError(f"{word} is no number that JSON knows")


def _yaml(text: str, path: str) -> Iterator[Row]:
    try:
        document = strict_yaml.load(text, max_bytes=MAX_BYTES)
    except strict_yaml.YamlError as error:
        raise ItemFileError([f"{path}:{error.line}: {error.message}"]) from error
    value = document.value
    at: strict_yaml.Path = ()
    if isinstance(value, dict) and set(value) == {"items"}:
        value, at = value["items"], ("items",)
    if value is None:
        return
    if not isinstance(value, list):
        raise ItemFileError([f"{path}:1: expected a list of items, or a mapping with 'items'"])
    for number, item in enumerate(value):
        start = (*at, number)
        yield Row(raw=item, line=lambda place, start=start: document.position((*start, *place))[0])  # type: ignore[misc]
