"""A document for paper: with the evidence that decides, and of the rest only as much as somebody leafs through."""

from collections.abc import Iterator
from dataclasses import replace

from bot.domain import wording
from bot.domain.document import Block, Document, Excerpt, Heading, Points, Section, Table, say

ROWS = 150
FINDINGS = 100
"""Findings that are printed with what they received; those that decide come first."""


def for_paper(document: Document) -> Document:
    """The document with at most :data:`FINDINGS` findings in its evidence; nothing leads to one that is left out."""
    sections, dropped = [], set[str]()
    for section in document.sections:
        if section.key != "evidence":
            sections.append(_shortened(section))
            continue
        kept, out = _kept(section)
        sections.append(kept)
        dropped |= out
    anchors = {ref: place for ref, place in document.anchors.items() if ref not in dropped}
    return replace(document, sections=tuple(sections), anchors=anchors)


def _shortened(section: Section) -> Section:
    """Tables that nothing leads into with at most :data:`ROWS` rows: what they list stands in the timeline as well."""
    blocks: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Table) and len(block.rows) > ROWS and not any(row.key for row in block.rows):
            rest = wording.plural(len(block.rows) - ROWS, "further row")
            blocks.append(replace(block, rows=block.rows[:ROWS]))
            blocks.append(Points(items=(say(f"{rest} in the HTML export, and in the timeline below.", gap=True),)))
        else:
            blocks.append(block)
    return replace(section, blocks=tuple(blocks))


def _kept(section: Section) -> tuple[Section, set[str]]:
    parts = list(_parts(section))
    if len(parts) <= FINDINGS:
        return section, set()
    order = sorted(range(len(parts)), key=lambda number: (not _decides(parts[number]), number))
    chosen = sorted(order[:FINDINGS])
    blocks = [block for number in chosen for block in parts[number]]
    out = {block.key for number in order[FINDINGS:] for block in parts[number] if isinstance(block, Heading)}
    rest = wording.plural(len(out), "further finding")
    blocks.append(Points(items=(say(f"{rest} in the HTML and JSON exports.", gap=True),)))
    return replace(section, blocks=tuple(blocks)), out


def _parts(section: Section) -> Iterator[list[Block]]:
    """A finding's heading with what follows it."""
    part: list[Block] = []
    for block in section.blocks:
        if isinstance(block, Heading) and part:
            yield part
            part = []
        part.append(block)
    if part:
        yield part


def _decides(part: list[Block]) -> bool:
    return any(isinstance(block, Excerpt) and not block.folded for block in part)
