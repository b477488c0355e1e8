"""The postmortem as one HTML file: no script, nothing loaded from anywhere, safe to open from disk and to mail.

Structure and looks are in ``postmortem.html.j2``, which escapes everything that it is given.
"""

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bot.domain.document import Blank, Document, Excerpt, Heading, Picture, Points, Section, Table, Tasks
from bot.edges.drawing import Box, Dot, Stroke, Words
from bot.edges.pictures import drawn

if TYPE_CHECKING:
    from jinja2 import Template

KINDS: Mapping[type, str] = {
    Points: "points", Tasks: "tasks", Table: "table", Heading: "heading", Excerpt: "excerpt", Blank: "blank",
    Picture: "picture", Box: "box", Stroke: "stroke", Dot: "dot", Words: "words",
}  # fmt: skip


def export(document: Document) -> str:
    """The document as HTML."""
    return _template().render(document=document, anchors=document.anchors)


def section(document: Document, one: Section) -> str:
    """What stands below a section's heading, for a template that has headings of its own."""
    made: Any = _template().make_module({"document": document, "anchors": document.anchors})
    number = document.sections.index(one) + 1
    return "\n".join(str(made.block(each, f"s{number}-{n}")).strip() for n, each in enumerate(one.blocks, start=1))


def style() -> str:
    """The built-in looks, for a template that wants to keep them."""
    text = (Path(__file__).parent / "postmortem.html.j2").read_text("utf-8")
    return text.split("<style>", 1)[1].split("</style>", 1)[0]


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
