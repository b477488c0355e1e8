"""The postmortem as one HTML file: no script, nothing loaded from anywhere, safe to open from disk and to mail.

Structure and looks are in ``postmortem.html.j2``, which escapes everything that it is given.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.domain.document import Blank, Document, Excerpt, Heading, Picture, Points, Table, Tasks
from bot.domain.lanes import Lanes
from bot.edges import drawing_lanes, drawing_signal
from bot.edges.drawing import Box, Dot, Drawing, Stroke, Words

if TYPE_CHECKING:
    from jinja2 import Template

KINDS: Mapping[type, str] = {
    Points: "points", Tasks: "tasks", Table: "table", Heading: "heading", Excerpt: "excerpt", Blank: "blank",
    Picture: "picture", Box: "box", Stroke: "stroke", Dot: "dot", Words: "words",
}  # fmt: skip


def export(document: Document) -> str:
    """The document as HTML."""
    return _template().render(document=document, anchors=document.anchors)


def drawn(picture: Picture) -> Drawing:
    """The picture's geometry."""
    return drawing_lanes.draw(picture.drawn) if isinstance(picture.drawn, Lanes) else drawing_signal.draw(picture.drawn)


def kind(value: Any) -> str:
    """The name under which the template knows this kind of block or shape."""
    return KINDS[type(value)]


def _plain(text: str) -> str:
    """Without characters that HTML forbids even when escaped."""
    return "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in text)


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - needed for this form only

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters |= {"kind": kind, "drawn": drawn, "plain": _plain}
    return environment.get_template("postmortem.html.j2")
