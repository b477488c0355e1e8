"""The postmortem as Markdown, for a repository or a wiki: GitHub's dialect, and nothing in it that is not ours to say.

Quotations are shown plain only if they are letters, numbers and harmless punctuation; anything else becomes a code
span, in which no renderer reads links, images, HTML, mentions or formatting. Long received text is fenced.
"""

import re
from collections.abc import Iterator, Sequence

from bot.domain.document import (
    Blank,
    Block,
    Document,
    Excerpt,
    Heading,
    Manner,
    Picture,
    Points,
    Row,
    Section,
    Span,
    Statement,
    Table,
    Tasks,
)

_PLAIN = re.compile(
    r"(?:[^\W_]|(?<=[^\W_])[_/-](?=[^\W_])|(?<= )[<>=–×·/-](?= )|[ ,;()'’%+?…≥≤→]|[.:!](?=[\s\d)’,;]|$))+"
)
"""Text that every Markdown renderer shows as it is: no dot or colon before a letter, so that nothing becomes a link,
and no quotation marks that could end the quotation around it."""
_SPECIAL = re.compile(r"([\\`*\[\]<>|~$])")
_LONE = re.compile(r"(?<![^\W_])_|_(?![^\W_])")


def export(document: Document) -> str:
    """The document as text, ending in a newline."""
    out = [f"# {_ours(document.title)}", ""]
    out += [f"{'> ' if number == 0 else '- '}{_statement(one)}" + ("\n" if number == 0 else "")
              for number, one in enumerate(document.head)]  # fmt: skip
    for section in document.sections:
        out += ["", f"## {_ours(section.title)}"]
        for block in section.blocks:
            text = list(_block(block))
            out += ["", *text] if text else []
    return "\n".join(out) + "\n"


def section(_document: Document, one: Section) -> str:
    """What stands below a section's heading, for a template that has headings of its own."""
    out: list[str] = []
    for block in one.blocks:
        text = list(_block(block))
        out += ["", *text] if text else []
    return "\n".join(out[1:])


def lines(block: Block) -> list[str]:
    """One block by itself."""
    return list(_block(block))


def _block(block: Block) -> Iterator[str]:
    match block:
        case Points(items=items):
            yield from (f"- {_statement(one)}" for one in items)
        case Tasks(items=items):
            yield from (f"- [ ] {_statement(one) or '…'} · owner: ____ · due: ____" for one in items)
        case Table():
            yield from _table(block)
        case Heading(title=title):
            yield f"### {_statement(title)}"
        case Excerpt(source=source, text=text):
            yield f"From {_statement(source)}:"
            yield ""
            yield from _fence(text)
        case Blank(hint=hint):
            yield f"_{_ours(hint)}_"
        case Picture():
            pass


def _table(table: Table) -> Iterator[str]:
    if table.title:
        yield f"**{_ours(table.title)}**{_refs(table.refs, cell=False)}"
        yield ""
    yield f"| {' | '.join(_ours(head) for head in table.heads)} |"
    yield f"|{' --- |' * len(table.heads)}"
    yield from (_row(row) for row in table.rows)


def _row(row: Row) -> str:
    return f"| {' | '.join(_statement(cell, cell=True) for cell in row.cells)} |"


def _statement(one: Statement, *, cell: bool = False) -> str:
    text = "".join(_span(span, cell=cell) for span in one.spans)
    return f"{text}{_refs(one.refs, cell=cell)}".strip()


def _refs(refs: Sequence[str], *, cell: bool) -> str:
    return f" ({', '.join(_code(ref, cell=cell) for ref in refs)})" if refs else ""


def _span(span: Span, *, cell: bool) -> str:
    match span.manner:
        case Manner.CODE:
            return _code(span.text, cell=cell)
        case Manner.STRONG:
            # The space must stay outside, or the stars are not read.
            bare = span.text.rstrip()
            return f"**{_ours(bare)}**{span.text[len(bare) :]}"
        case Manner.QUOTED:
            return f"“{span.text}”" if _PLAIN.fullmatch(span.text) else _code(span.text, cell=cell)
        case _:
            return _ours(span.text)


def _ours(text: str) -> str:
    """Our own words, escaped all the same: a name in them may hold a star."""
    return _LONE.sub(r"\\_", _SPECIAL.sub(r"\\\1", text.replace("&", "&amp;")))


def _code(text: str, *, cell: bool = False) -> str:
    """A code span with a fence longer than any run of backticks inside; in a table its bars are escaped."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * (longest + 1)
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    inside = text.replace("|", "\\|") if cell else text
    return f"{fence}{pad}{inside}{pad}{fence}"


def _fence(text: str) -> Iterator[str]:
    """A fenced block that nothing inside can close."""
    longest = max((len(run) for run in re.findall(r"`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    yield f"{fence}text"
    yield from text.split("\n")
    yield fence
