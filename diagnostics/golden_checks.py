"""The checks of a golden item: what a good answer meets.

Five kinds are decided here, by the answer's text alone. Two need help: ``similar`` an embedding model, ``rubric`` a
judge (``diagnostics/marking.py``); without it an item is not judged, which is neither a pass nor a failure.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import Field, PrivateAttr, model_validator

from diagnostics.item_file import Strict
from diagnostics.json_shape import JsonShape, ShapeError
from diagnostics.linear_regex import LinearRegex, PatternError

MAX_ANSWER: Final = 50_000
HELPED: Final = ("similar", "rubric")
"""Kinds that the answer's text alone does not decide."""
ALIKE: Final = 0.75
"""Cosine similarity from which two texts are taken to say the same, unless a check says otherwise."""
_NUMBER = re.compile(r"[-+]?\d{1,15}(?:,\d{3}){0,5}(?:\.\d{1,15})?(?:[eE][-+]?\d{1,3})?")
_NUMERIC_KEYWORDS: Final = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
                            "maxLength", "minItems", "maxItems", "minProperties", "maxProperties")  # fmt: skip
_BOOLEAN_KEYWORDS: Final = ("additionalProperties", "uniqueItems", "unevaluatedProperties")


class Numeric(Strict):
    """A number, and how far from it an answer may be."""

    value: float = Field(allow_inf_nan=False)
    tolerance: float = Field(default=1e-9, ge=0, allow_inf_nan=False)


class Similar(Strict):
    """A text, and how near to it an answer must be in meaning: cosine similarity of their embeddings."""

    to: str = Field(min_length=1, max_length=4_000)
    at_least: float = Field(default=ALIKE, gt=0, le=1)


class Check(Strict):
    """One condition on an answer: exactly one of the kinds."""

    exact: str | None = Field(default=None, max_length=20_000)
    contains: str | None = Field(default=None, min_length=1, max_length=20_000)
    regex: str | None = None
    json_schema: dict[str, Any] | None = None
    numeric: Numeric | None = None
    similar: Similar | None = None
    rubric: str | None = Field(default=None, min_length=1, max_length=2_000)

    _regex: LinearRegex | None = PrivateAttr(default=None)
    _shape: JsonShape | None = PrivateAttr(default=None)

    @property
    def kind(self) -> str:
        return next(iter(self.model_fields_set))

    @model_validator(mode="before")
    @classmethod
    def _shorthand(cls, value: Any) -> Any:
        """``numeric: 42``, ``similar: text`` and a JSON schema as text are short for the long forms."""
        if not isinstance(value, dict):
            return value
        if isinstance(value.get("numeric"), (int, float, str)) and not isinstance(value["numeric"], bool):
            return {**value, "numeric": {"value": value["numeric"]}}
        if isinstance(value.get("similar"), str):
            return {**value, "similar": {"to": value["similar"]}}
        if isinstance(value.get("json_schema"), str):
            try:
                return {**value, "json_schema": json.loads(value["json_schema"])}
            except (ValueError, RecursionError) as error:
                raise ValueError(f"json_schema: not JSON: {error}") from error
        return value

    @model_validator(mode="after")
    def _compiled(self) -> "Check":
        if len(self.model_fields_set) != 1 or getattr(self, self.kind) is None:
            kinds = ", ".join(type(self).model_fields)
            raise ValueError(f"a check is exactly one of {kinds}")
        try:
            if self.regex is not None:
                self._regex = LinearRegex(self.regex)
            if self.json_schema is not None:
                self._shape = JsonShape(self.json_schema)
        except (PatternError, ShapeError) as error:
            raise ValueError(f"{self.kind}: {error}") from error
        return self

    def holds(self, answer: str) -> bool:
        """Whether the first 50,000 characters of ``answer`` meet it. False for the kinds that need help."""
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


def typed(item: object) -> object:
    """An item as YAML wrote it, where scalars are text: numbers and booleans inside JSON schemas get their types."""
    checks = item.get("checks") if isinstance(item, dict) else None
    if not isinstance(item, dict) or not isinstance(checks, list):
        return item
    whole = [
        {**check, "json_schema": _typed(check["json_schema"])}
        if isinstance(check, dict) and isinstance(check.get("json_schema"), dict)
        else check
        for check in checks
    ]
    return {**item, "checks": whole}


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


def _numbers(answer: str) -> Iterator[float]:
    for found in _NUMBER.finditer(answer):
        yield float(found[0].replace(",", ""))
