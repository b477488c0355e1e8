"""A document as typed facts: statements that say how we know them, in tables and lists. A sink decides how it looks.

Every run of text carries its manner, so that a sink can show what is quoted as a quotation and nothing else.
"""

import enum
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace

from bot.domain.lanes import Lanes
from bot.domain.signals import Signal
from bot.domain.untrusted import line

QUOTE = 240
"""Longest quotation that is shown whole; the JSON export has all of it."""
_BEYOND = 4_000
_NAME = re.compile(r"[^\W\d_]+(?:[ '’-][^\W\d_]+|\. [^\W\d_]+){0,5}\.?")


class Manner(enum.StrEnum):
    """How a run of text is meant."""

    OURS = "ours"
    """Our own words, and numbers that we formatted."""
    QUOTED = "quoted"
    """What somebody or something else said: shown as a quotation, never interpreted."""
    CODE = "code"
    """A name, an id or a value, exactly."""
    STRONG = "strong"
    """Our own words, stressed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """A run of text in one manner; a single line without invisible characters."""

    text: str
    manner: Manner = Manner.OURS


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """A sentence or a table cell, and how we know it."""

    spans: tuple[Span, ...]
    refs: tuple[str, ...] = ()
    """Ids of findings, changes, proposals or the incident, or ``#entry`` of the timeline."""
    gap: bool = False
    """It says that something is not known or is left to people, so there is nothing to cite."""

    @property
    def text(self) -> str:
        """The words alone, with quotations in quotation marks."""
        return "".join(f"“{span.text}”" if span.manner is Manner.QUOTED else span.text for span in self.spans)


@dataclass(frozen=True, kw_only=True, slots=True)
class Points:
    """Statements one below the other."""

    items: tuple[Statement, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Tasks:
    """Things to do, with a box to tick and a place for an owner."""

    items: tuple[Statement, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A row of a table; ``key`` is the reference that leads here."""

    cells: tuple[Statement, ...]
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """Rows under the same heads."""

    heads: tuple[str, ...]
    rows: tuple[Row, ...]
    title: str = ""
    refs: tuple[str, ...] = ()
    """How we know all of it; shown with the title."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """Begins a part of a section; ``key`` is the reference that leads here."""

    title: Statement
    key: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Excerpt:
    """Something that was received, as it was: lines, untrusted."""

    source: Statement
    text: str
    folded: bool = False
    """Shown when asked for, where a sink can."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Blank:
    """An empty space that people fill in."""

    hint: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Picture:
    """Something drawn, for sinks that can; the tables beside it say the same in words."""

    key: str
    drawn: Lanes | Signal


Block = Points | Tasks | Table | Heading | Excerpt | Blank | Picture


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """A part of the document."""

    key: str
    title: str
    blocks: tuple[Block, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """Everything that a postmortem says."""

    incident_id: str
    title: str
    head: tuple[Statement, ...]
    sections: tuple[Section, ...]
    anchors: Mapping[str, str]
    """Reference -> the place that explains it. The name is made here and never from the reference's text."""


Part = str | Span


def say(*parts: Part, refs: Iterable[str] = (), gap: bool = False) -> Statement:
    """A statement: plain strings are our own words."""
    spans = tuple(part if isinstance(part, Span) else Span(text=part) for part in parts if part != "")
    return Statement(spans=spans, refs=tuple(dict.fromkeys(ref for ref in refs if ref)), gap=gap)


def quoted(text: str, limit: int = QUOTE) -> Span:
    """Somebody else's words, without the full stop at their end: the sentence around them has its own."""
    return Span(text=_short(text, limit).removesuffix("."), manner=Manner.QUOTED)


def code(text: str, limit: int = 160) -> Span:
    """A name, an id or a value."""
    return Span(text=_short(text, limit), manner=Manner.CODE)


def _short(text: str, limit: int) -> str:
    """One line, cut in the middle; of a very long text only the beginning is looked at."""
    if len(text) > _BEYOND:
        return f"{line(text[:limit], limit)} … ({len(text):,} characters)"
    return line(text, limit).strip() or "(empty)"


def strong(text: str) -> Span:
    """Our own words, stressed."""
    return Span(text=text, manner=Manner.STRONG)


def name(text: str) -> Span:
    """A person's or thing's name: as it is if it looks like one, otherwise a quotation."""
    if len(text) <= 60 and _NAME.fullmatch(text) and line(text) == text:
        return Span(text=text)
    return quoted(text, 80)


def citing(section: Section, known: Collection[str]) -> Section:
    """The section without references to anything that does not exist: what cannot be looked up is not printed."""
    return replace(section, blocks=tuple(_citing(block, known) for block in section.blocks))


def _citing(block: Block, known: Collection[str]) -> Block:
    def kept(one: Statement) -> Statement:
        return replace(one, refs=tuple(ref for ref in one.refs if ref in known))

    match block:
        case Points() | Tasks():
            return replace(block, items=tuple(kept(one) for one in block.items))
        case Table():
            rows = tuple(replace(row, cells=tuple(kept(cell) for cell in row.cells)) for row in block.rows)
            return replace(block, rows=rows, refs=tuple(ref for ref in block.refs if ref in known))
        case Heading():
            return replace(block, title=kept(block.title))
        case Excerpt():
            return replace(block, source=kept(block.source))
        case _:
            return block
