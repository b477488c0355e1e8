"""Whether a text is JSON of a given shape. Never fetches a schema, and takes no pattern that could run for ever."""

import json
from collections.abc import Mapping
from typing import Any, Final

MAX_TEXT: Final = 200_000


class ShapeError(ValueError):
    """The schema is no schema, or asks for something that is refused."""


class JsonShape:
    """A compiled JSON Schema (draft 2020-12). Raises :class:`ShapeError`."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        # Half a tenth of a second to import, and only golden sets and one probe need it.
        from jsonschema import Draft202012Validator, SchemaError  # type: ignore[import-untyped] # noqa: PLC0415
        from referencing import Registry  # noqa: PLC0415

        _refuse(schema, "$")
        try:
            Draft202012Validator.check_schema(schema)
        except SchemaError as error:
            raise ShapeError(f"not a JSON Schema: {error.message[:200]}") from error
        self._validator = Draft202012Validator(dict(schema), registry=Registry())

    def problem(self, text: str) -> str:
        """Why ``text`` does not fit, as ``kind:where``, such as ``required:$.total``; empty if it does."""
        if len(text) > MAX_TEXT:
            return "too_long:$"
        try:
            document = json.loads(text)
        except (ValueError, RecursionError):
            return "fenced:$" if "```" in text else "not_json:$"
        error = next(iter(sorted(self._validator.iter_errors(document), key=lambda e: e.json_path)), None)
        if error is None:
            return ""
        where = error.json_path
        if error.validator == "required" and isinstance(error.instance, dict):
            missing = [name for name in error.validator_value if name not in error.instance]
            where = f"{where}.{missing[0]}" if missing else where
        return f"{error.validator}:{where}"[:200]


def _refuse(schema: object, where: str) -> None:
    if isinstance(schema, list):
        for number, item in enumerate(schema):
            _refuse(item, f"{where}[{number}]")
    if not isinstance(schema, dict):
        return
    reference = schema.get("$ref")
    if isinstance(reference, str) and not reference.startswith("#"):
        raise ShapeError(f"{where}: $ref may only point into the same schema")
    for keyword in ("pattern", "patternProperties"):
        # A property may be called "pattern"; as a keyword its value is text or an object of schemas.
        if keyword in schema and not where.endswith(".properties"):
            raise ShapeError(f"{where}: {keyword} is not supported; use a regex check beside the schema")
    for key, value in schema.items():
        if key not in ("const", "enum", "examples", "default"):
            _refuse(value, f"{where}.{key}")
