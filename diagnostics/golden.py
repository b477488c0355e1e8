"""Golden sets: questions with checks of their answers, read from a file that a person writes.

JSON Lines (one item a line) or YAML (a list of items, or a mapping with ``items``). An item has ``id``, ``input``,
``checks``, and optionally ``tags`` and ``weight``. A check is one of

* ``exact: text`` - the answer is this text, blanks at both ends aside;
* ``contains: text`` - it stands somewhere in the answer, upper and lower case aside;
* ``regex: pattern`` - it matches somewhere; patterns that would need backtracking are refused;
* ``json_schema: {...}`` - the answer is JSON of this shape;
* ``numeric: 42`` or ``numeric: {value: 42, tolerance: 0.5}`` - some number in the answer is that close;
* ``similar: text`` or ``similar: {to: text, at_least: 0.8}`` - it means much the same, by local embeddings;
* ``rubric: text`` - a calibrated judge model finds that the answer meets this.

All checks of an item must hold. Everything wrong with a file is reported at once, with file, line and field.
"""

import hashlib
from pathlib import Path
from typing import Annotated, Final

from pydantic import Field, StringConstraints

from diagnostics.golden_checks import HELPED, Check, typed
from diagnostics.item_file import ItemFileError, Strict, items_of, read_text

ItemId = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
Tag = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9 ._/-]{0,39}$")]
MAX_TAGS: Final = 20

GoldenError = ItemFileError
"""A golden set cannot be used."""


class GoldenItem(Strict):
    """A question, and what a good answer meets."""

    id: ItemId
    input: str = Field(min_length=1, max_length=32_000)
    checks: tuple[Check, ...] = Field(min_length=1, max_length=20)
    tags: tuple[Tag, ...] = Field(default=(), max_length=MAX_TAGS)
    weight: float = Field(default=1.0, gt=0, le=1000)

    def failed_checks(self, answer: str) -> tuple[str, ...]:
        """The kinds of the checks that do not hold, of those that the text alone decides."""
        return tuple(check.kind for check in self.checks if check.kind not in HELPED and not check.holds(answer))

    @property
    def needs(self) -> frozenset[str]:
        """The kinds of its checks that the text alone does not decide."""
        return frozenset(check.kind for check in self.checks if check.kind in HELPED)


class GoldenSet(Strict):
    """The items of one file, in its order."""

    path: str
    items: tuple[GoldenItem, ...]

    @property
    def needs(self) -> frozenset[str]:
        """What its items need to be judged: ``similar``, ``rubric``."""
        return frozenset().union(*(item.needs for item in self.items))

    @property
    def digest(self) -> str:
        """Equal for sets that ask and check the same."""
        lines = sorted(item.model_dump_json(exclude_unset=True) for item in self.items)
        return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]


def load(path: Path) -> GoldenSet:
    """Read and check a file. Raises :class:`GoldenError`."""
    return parse(read_text(path), str(path))


def parse(text: str, path: str) -> GoldenSet:
    """Check the text of a file whose name is ``path``. Raises :class:`GoldenError`."""
    is_yaml = path.endswith((".yaml", ".yml"))

    def make(raw: object) -> GoldenItem:
        return GoldenItem.model_validate(typed(raw) if is_yaml else raw)

    return GoldenSet(path=path, items=items_of(text, path, make))
