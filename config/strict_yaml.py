"""YAML without surprises: strings only, no aliases, no tags, no duplicate keys, bounded size and depth, and positions.

Used for everything a person writes for Pagerunner: catalogue, settings and runbook front matter. Scalars stay strings
(``on``, ``017`` and ``12:30`` mean what they look like); the typed schema that reads the result converts them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import yaml

Path = tuple[str | int, ...]
Value = str | list["Value"] | dict[str, "Value"] | None


class YamlError(Exception):
    """What is wrong, and where: 1-based line and column in the file the text came from."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(f"{line}:{column}: {message}")
        self.message = message
        self.line = line
        self.column = column


@dataclass(frozen=True, slots=True)
class Document:
    """Parsed text and where each key or item of it stands."""

    value: Value
    positions: Mapping[Path, tuple[int, int]] = field(default_factory=dict)

    def position(self, path: Path) -> tuple[int, int]:
        """Line and column of ``path``, or of its nearest parent that stands in the file."""
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, (1, 1))


def load(text: str, *, first_line: int = 1, max_bytes: int = 262_144, max_depth: int = 12) -> Document:
    """Parse one YAML document. ``first_line`` is where ``text`` begins in its file. Raises :class:`YamlError`."""
    if len(text.encode("utf-8", "replace")) > max_bytes:
        raise YamlError(f"more than {max_bytes} bytes of YAML; split it or shorten it", first_line, 1)
    _bounded(text, first_line, max_depth)
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + first_line, mark.column + 1) if mark else (first_line, 1)
        raise YamlError(error.problem or "not valid YAML", *where) from error
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {error}", first_line, 1) from error
    positions: dict[Path, tuple[int, int]] = {}
    value = None if node is None else _convert(node, (), positions, first_line)
    return Document(value, positions)


def _bounded(text: str, first_line: int, max_depth: int) -> None:
    """Refuse anchors and depth while still a stream of events: composing a deep document would exhaust the stack."""
    depth = 0
    try:
        for event in yaml.parse(text, Loader=yaml.SafeLoader):
            mark = event.start_mark
            where = (mark.line + first_line, mark.column + 1) if mark else (first_line, 1)
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise YamlError("anchors and aliases are not allowed; write the value out", *where)
            if isinstance(event, (yaml.MappingStartEvent, yaml.SequenceStartEvent)):
                depth += 1
                if depth > max_depth:
                    raise YamlError(f"nested deeper than {max_depth} levels", *where)
            elif isinstance(event, (yaml.MappingEndEvent, yaml.SequenceEndEvent)):
                depth -= 1
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = (mark.line + first_line, mark.column + 1) if mark else (first_line, 1)
        raise YamlError(error.problem or "not valid YAML", *where) from error
    except yaml.YAMLError as error:
        raise YamlError(f"not valid YAML: {error}", first_line, 1) from error
    except RecursionError:
        raise YamlError(f"nested deeper than {max_depth} levels", first_line, 1) from None


def _convert(node: yaml.Node, path: Path, positions: dict[Path, tuple[int, int]], first_line: int) -> Value:
    where = (node.start_mark.line + first_line, node.start_mark.column + 1)
    positions.setdefault(path, where)
    if node.tag.startswith("!") or not node.tag.startswith("tag:yaml.org,2002:"):
        raise YamlError(f"tag {node.tag} is not allowed", *where)
    if isinstance(node, yaml.ScalarNode):
        if node.tag.rsplit(":", 1)[-1] not in ("str", "int", "float", "bool", "null", "timestamp", "value"):
            raise YamlError(f"tag {node.tag} is not allowed", *where)
        return None if node.style is None and node.value in ("", "~", "null") else str(node.value)
    if isinstance(node, yaml.SequenceNode) and node.tag == "tag:yaml.org,2002:seq":
        return [_convert(item, (*path, i), positions, first_line) for i, item in enumerate(node.value)]
    if not isinstance(node, yaml.MappingNode) or node.tag != "tag:yaml.org,2002:map":
        raise YamlError(f"tag {node.tag} is not allowed", *where)
    result: dict[str, Value] = {}
    for key_node, value_node in node.value:
        at = (key_node.start_mark.line + first_line, key_node.start_mark.column + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            raise YamlError("a key must be plain text", *at)
        key = str(key_node.value)
        if key in result:
            raise YamlError(f"key {key!r} stands here twice", *at)
        positions[(*path, key)] = at
        result[key] = _convert(value_node, (*path, key), positions, first_line)
    return result
