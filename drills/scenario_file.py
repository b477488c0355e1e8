"""Scenario files: YAML with a list of drills, all of them right or none taken. The format: ``docs/drills.md``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from config import strict_yaml
from drills import compose
from drills.definition import read
from drills.reading import Path as Place
from drills.reading import Refused, named

MOST = 500
"""Drills in one file."""


class FileRefused(Exception):
    """Every problem of a file, one a line: ``FILE:LINE:COLUMN: field: what is wrong``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """A drill as it stands in the file, checked; the referee takes it as it is."""

    id: str
    definition: Mapping[str, object]


def load(path: Path) -> list[Entry]:
    """Read and check a file. Raises :class:`FileRefused`."""
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise FileRefused(f"{path}: cannot be read: {error}") from error
    return parse(text, str(path))


def parse(text: str, name: str) -> list[Entry]:
    """The same of a text; ``name`` stands in the messages."""
    try:
        document = strict_yaml.load(text)
    except strict_yaml.YamlError as error:
        raise FileRefused(f"{name}:{error}") from None
    problems: list[tuple[Place, str, str]] = []
    top = document.value
    drills = top.get("drills") if isinstance(top, dict) else None
    if not isinstance(top, dict) or set(top) != {"drills"} or not isinstance(drills, list):
        raise FileRefused(f"{name}:1:1: must have one key, `drills`, with a list of drills")
    if not 0 < len(drills) <= MOST:
        raise FileRefused(f"{name}:1:1: drills: must be 1 to {MOST}")
    entries: list[Entry] = []
    for number, value in enumerate(drills):
        try:
            made = read(value)
            compose.check(made)
        except Refused as error:
            problems += [(("drills", number, *place), named(place), message) for place, message in error.problems]
            continue
        assert isinstance(value, dict)
        if any(entry.id == made.id for entry in entries):
            problems.append((("drills", number, "id"), "id", f"{made.id!r} stands here twice"))
        entries.append(Entry(id=made.id, definition=value))
    if problems:
        lines = []
        for place, field, message in problems:
            line, column = document.position(place)
            lines.append(f"{name}:{line}:{column}: {field}: {message}")
        raise FileRefused("\n".join(lines))
    return entries
