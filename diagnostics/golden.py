"""Golden sets: questions with checks of their answers, read from a file that a person writes.

JSON Lines (one item a line) or YAML (a list of items, or a mapping with ``items``). An item has ``id``, ``input``,
``checks``, and optionally ``tags`` and ``weight``. A check is one of

* ``exact: text`` - the answer is this text, blanks at both ends aside;
* ``contains: text`` - it stands somewhere in the answer, upper and lower case aside;
* ``regex: pattern`` - it matches somewhere; patterns that would need backtracking are refused;
* ``json_schema: {...}`` - the answer is JSON of this shape;
* ``numeric: 42`` or ``numeric: {value: 42, tolerance: 0.5}`` - some number in the answer is that close.

All checks of an item must hold. Everything wrong with a file is reported at once, with file and line.
"""

import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, StringConstraints, ValidationError, model_validator

from config import strict_yaml
from diagnostics.json_shape import JsonShape, ShapeError
from diagnostics.linear_regex import LinearRegex, PatternError

MAX_BYTES: Final = 4_000_000
MAX_ITEMS: Final = 2_000
MAX_ANSWER: Final = 50_000
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?(?:[eE][-+]?\d{1,3})?")
_NUMERIC_KEYWORDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
                            "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")  # fmt: skip
_BOOLEAN_KEYWORDS: Final = ("additionalProperties", "uniqueItems", "unevaluatedProperties")

ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]


class GoldenError(ValueError):
    """A golden set cannot be used. Each problem is ``file:line: what is wrong``."""

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems[:20]))


class _Strict(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Numeric(_Strict):
    """A number, and how far from it an answer may be."""

    value: float = Field(allow_inf_nan=False)
    tolerance: float = Field(default=1e-9, ge=0, allow_inf_nan=False)


class Check(_Strict):
    """One condition on an answer: exactly one of the kinds."""

    exact: str | None = Field(default=None, max_length=20_000)
    contains: str | None = Field(default=None, min_length=1, max_length=20_000)
    regex: str | None = None
    json_schema: dict[str, Any] | None = None
    numeric: Numeric | None = None

    _regex: LinearRegex | None = PrivateAttr(default=None)
    _shape: JsonShape | None = PrivateAttr(default=None)

    @property
    def kind(self) -> str:
        return next(iter(self.model_fields_set))

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        if isinstance(value, dict) and isinstance(value.get("numeric"), (int, float, str)):
            return {**value, "numeric": {"value": value["numeric"]}}
        if isinstance(value, dict) and isinstance(value.get("json_schema"), str):
            return {**value, "json_schema": json.loads(value["json_schema"])}
        return value

    @model_validator(mode="after")
    def _compiled(self) -> "Check":
        if len(self.model_fields_set) != 1 or getattr(self, self.kind) is None:
            raise ValueError("a check is exactly one of exact, contains, regex, json_schema, numeric")
        if self.regex is not None:
            self._regex = LinearRegex(self.regex)
        if self.json_schema is not None:
            self._shape = JsonShape(self.json_schema)
        return self

    def holds(self, answer: str) -> bool:
        """Whether the first 50,000 characters of ``answer`` meet it."""
        answer = answer[:MAX_ANSWER]
        if self.exact is not None:
            return answer.strip() == self.exact.strip()
        if self.contains is not None:
            return self.contains.casefold() in answer.casefold()
        if self._regex is not None:
            return self._regex.search(answer)
        if self._shape is not None:
            return not self._shape.problem(answer)
        wanted = self.numeric
        return wanted is not None and any(
            math.isclose(number, wanted.value, rel_tol=0.0, abs_tol=wanted.tolerance) for number in _numbers(answer)
        )


class GoldenItem(_Strict):
    """A question, and what a good answer meets."""

    id: ItemId
    input: str = Field(min_length=1, max_length=32_000)
    checks: tuple[Check, ...] = Field(min_length=1, max_length=20)
    tags: tuple[str, ...] = ()
    weight: float = Field(default=1.0, gt=0, le=1000)

    def failed_checks(self, answer: str) -> tuple[str, ...]:
        """The kinds of the checks that do not hold; empty: a pass."""
        return tuple(check.kind for check in self.checks if not check.holds(answer))


class GoldenSet(_Strict):
    """The items of one file, in its order."""

    path: str
    items: tuple[GoldenItem, ...]


def load(path: Path) -> GoldenSet:
    """Read and check a file. Raises :class:`GoldenError`."""
    try:
        size = path.stat().st_size
        text = path.read_text(encoding="utf-8") if size <= MAX_BYTES else ""
    except (OSError, UnicodeDecodeError) as error:
        raise GoldenError([f"{path}: cannot be read: {error}"]) from error
    if size > MAX_BYTES:
        raise GoldenError([f"{path}: larger than {MAX_BYTES:,} bytes; split it"])
    return parse(text, str(path))


def parse(text: str, path: str) -> GoldenSet:
    """Check the text of a file whose name is ``path``. Raises :class:`GoldenError`."""
    is_yaml = path.endswith((".yaml", ".yml"))
    problems: list[str] = []
    items: list[GoldenItem] = []
    first_seen: dict[str, int] = {}
    for line, raw in _yaml_items(text, path) if is_yaml else _json_lines(text, path, problems):
        try:
            item = GoldenItem.model_validate(raw)
        except (ValidationError, PatternError, ShapeError) as error:
            problems += [f"{path}:{line}: {what}" for what in _said(error)]
            continue
        if item.id in first_seen:
            problems.append(f"{path}:{line}: id {item.id!r} stands already in line {first_seen[item.id]}")
        first_seen.setdefault(item.id, line)
        items.append(item)
    if not items and not problems:
        problems.append(f"{path}:1: no items; write one JSON object a line, or a YAML list")
    if len(items) > MAX_ITEMS:
        problems.append(f"{path}:1: {len(items)} items; the most is {MAX_ITEMS}")
    if problems:
        raise GoldenError(problems)
    return GoldenSet(path=path, items=tuple(items))


def _json_lines(text: str, path: str, problems: list[str]) -> Iterator[tuple[int, object]]:
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            yield number, json.loads(line)
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: not JSON: {error}")


def _yaml_items(text: str, path: str) -> Iterator[tuple[int, object]]:
    try:
        document = strict_yaml.load(text, max_bytes=MAX_BYTES)
    except strict_yaml.YamlError as error:
        raise GoldenError([f"{path}:{error.line}: {error.message}"]) from error
    value = document.value
    at: strict_yaml.Path = ()
    if isinstance(value, dict) and set(value) == {"items"}:
        value, at = value["items"], ("items",)
    if not isinstance(value, list):
        raise GoldenError([f"{path}:1: expected a list of items, or a mapping with 'items'"])
    for number, item in enumerate(value):
        yield document.position((*at, number))[0], _schemas_typed(item)


def _schemas_typed(item: object) -> object:
    """YAML scalars are text here; give the numbers and booleans inside JSON schemas their types back."""
    checks = item.get("checks") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(checks, list):
        return item
    typed = [
        {**check, "json_schema": _typed(check["json_schema"])}
        if isinstance(check, dict) and isinstance(check.get("json_schema"), dict)
        else check
        for check in checks
    ]
    return {**item, "checks": typed}


def _typed(value: Any) -> Any:
    if isinstance(value, list):
        return [_typed(item) for item in value]
    if not isinstance(value, Mapping):
        return value
    return {key: _keyword(key, item) for key, item in value.items()}


def _keyword(key: str, value: Any) -> Any:
    if key in _BOOLEAN_KEYWORDS and value in ("true", "false"):
        return value == "true"
    if key in _NUMERIC_KEYWORDS and isinstance(value, str):
        try:
            return json.loads(value)
        except ValueError:
            return value
    return _typed(value)


def _said(error: ValidationError | ValueError) -> list[str]:
    """One short line for each thing that is wrong."""
    if not isinstance(error, ValidationError):
        return [str(error)]
    problems = error.errors(include_url=False, include_input=False, include_context=False)
    inner = any(len(problem["loc"]) > 1 for problem in problems)
    return [
        f"{'.'.join(str(part) for part in problem['loc']) or 'item'}: {problem['msg'].removeprefix('Value error, ')}"
        for problem in problems
        # A list of which every element is wrong is reported as too short as well.
        if not (inner and problem["type"] == "too_short")
    ]


def _numbers(answer: str) -> Iterator[float]:
    for found in _NUMBER.finditer(answer):
        yield float(found[0].replace(",", ""))
