"""JSON from outside: bounded, and nothing in it that two readers would read differently."""

import json
import math
import re
from typing import Any

MAX_DEPTH = 32
MAX_KEYS = 20_000

# A string that does not end is taken to the end of the text, so that the scan never starts over.
_TOKEN = re.compile(rb'"(?:[^"\\]++|\\.?)*+(?:"|\Z)|[\[\]{}]', re.DOTALL)


class JsonError(ValueError):
    """Why this is not JSON that we take."""


def loads(raw: bytes, *, max_depth: int = MAX_DEPTH) -> Any:
    """Parse UTF-8 JSON. Raises :class:`JsonError` for invalid text, depth, doubled keys, NaN, endless numbers, and
    halves of surrogate pairs."""
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise JsonError(f"not UTF-8 at byte {error.start}") from error
    _bounded(raw, max_depth)
    counter = _Counter()
    try:
        value = json.loads(
            text, object_pairs_hook=counter.object, parse_constant=_no_constant, parse_float=_float, parse_int=_int
        )
    except json.JSONDecodeError as error:
        raise JsonError(f"not JSON: {error.msg} at character {error.pos}") from error
    except RecursionError:
        raise JsonError(f"nested deeper than {max_depth} levels") from None
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        raise JsonError("holds half of a surrogate pair") from None
    return value


def _bounded(raw: bytes, max_depth: int) -> None:
    """Refuse depth before parsing: a deep document would exhaust the stack."""
    depth = 0
    for match in _TOKEN.finditer(raw):
        if match[0] in (b"[", b"{"):
            depth += 1
        elif match[0] in (b"]", b"}"):
            depth -= 1
        if depth > max_depth:
            raise JsonError(f"nested deeper than {max_depth} levels")


class _Counter:
    def __init__(self) -> None:
        self._keys = 0

    def object(self, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        self._keys += len(pairs)
        if self._keys > MAX_KEYS:
            raise JsonError(f"more than {MAX_KEYS} keys")
        result = dict(pairs)
        if len(result) != len(pairs):
            raise JsonError("a key stands twice in one object")
        return result


def _no_constant(word: str) -> Any:
    raise JsonError(f"{word} is not JSON")


def _float(text: str) -> float:
    number = float(text)
    if not math.isfinite(number):
        raise JsonError("a number is too large")
    return number


def _int(text: str) -> int:
    if len(text) > 40:
        raise JsonError("a number is too long")
    return int(text)
