"""The postmortem as PDF: pages to print and to hand on, with links, an outline and tags for screen readers.

Looks are in ``postmortem.typ``. Everything foreign goes there as JSON and is shown as text, never read as markup.
"""

import json
import re
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from bot.domain.document import (
    Blank,
    Block,
    Document,
    Excerpt,
    Heading,
    Manner,
    Picture,
    Points,
    Statement,
    Table,
    Tasks,
)
from bot.domain.untrusted import clean
from bot.edges import typesetting
from bot.edges.paper import for_paper
from bot.edges.pictures import drawn
from bot.edges.svg import svg

_LONG = 18
_WORDS = re.compile(r"\S{19,}")
_SEPARATORS = re.compile(r"[/_.:=,&?#-](?=\S)|\w{24}(?=\w)")
_MANNERS = {Manner.OURS: "o", Manner.QUOTED: "q", Manner.CODE: "c", Manner.STRONG: "s"}
TAGGED = 600
"""Rows of all tables up to which the file has tags for screen readers: they make a long one several times as large."""
EPOCH = datetime(2000, 1, 1, tzinfo=UTC)


def export(document: Document, at: datetime | None = None) -> bytes:
    """The document as PDF; ``at``: the last thing that is known to have happened, as its date of creation."""
    paper = for_paper(document)
    data = json.dumps(_document(paper), ensure_ascii=False, separators=(",", ":"))
    data = data.encode("utf-8", "replace").decode()
    rows = sum(len(block.rows) for section in paper.sections for block in section.blocks if isinstance(block, Table))
    return typesetting.pdf(_source(), data, at=at or EPOCH, tagged=rows <= TAGGED)


def _document(document: Document) -> dict[str, Any]:
    known = document.anchors
    return {
        "title": document.title, "head": _statements(document.head, known), "top": known[document.incident_id],
        "sections": [
            {"key": f"section-{section.key}", "title": section.title,
             "blocks": [_block(block, known) for block in section.blocks]}
            for section in document.sections
        ],
    }  # fmt: skip


def _block(block: Block, known: Any) -> dict[str, Any]:
    match block:
        case Points(items=items):
            return {"kind": "points", "items": _statements(items, known)}
        case Tasks(items=items):
            return {"kind": "tasks", "items": _statements(items, known)}
        case Table():
            rows = [{"key": known.get(row.key, ""), "cells": _statements(row.cells, known)} for row in block.rows]
            return {"kind": "table", "title": block.title, "refs": _refs(block.refs, known), "heads": block.heads,
                    "rows": rows}  # fmt: skip
        case Heading(title=title, key=key):
            return {"kind": "heading", "title": _statement(title, known), "key": known.get(key, "")}
        case Excerpt(source=source, text=text):
            return {
                "kind": "excerpt",
                "source": _statement(source, known),
                "text": _breakable(clean(text, lines=True)[0]),
            }
        case Blank(hint=hint):
            return {"kind": "blank", "hint": hint}
        case Picture():
            picture = drawn(block)
            return {"kind": "picture", "svg": svg(picture), "alt": f"{picture.title}. {picture.description}"}


def _statements(items: Sequence[Statement], known: Any) -> list[Any]:
    return [_statement(one, known) for one in items]


def _statement(one: Statement, known: Any) -> list[Any]:
    """Runs of text, references, and whether it says that something is not known."""
    spans = [[_MANNERS[span.manner], _breakable(span.text)] for span in one.spans]
    return [spans, _refs(one.refs, known), one.gap]


def _refs(refs: Iterable[str], known: Any) -> list[list[str]]:
    return [[ref, known.get(ref, "")] for ref in refs]


def _breakable(text: str) -> str:
    """With places where a long word without spaces can end its line."""
    if len(text) <= _LONG or not _WORDS.search(text):
        return text
    return _WORDS.sub(lambda word: _SEPARATORS.sub("\\g<0>\u200b", word[0]), text)


@cache
def _source() -> str:
    return (Path(__file__).parent / "postmortem.typ").read_text("utf-8")
