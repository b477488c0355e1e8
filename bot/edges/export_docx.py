"""The postmortem as a Word file: headings, tables, links between places, and pictures with their text beside them.

Bodies are written as XML at once, because a document of thousands of cells takes python-docx minutes cell by cell.
Whatever is foreign is escaped into text runs; there is no field, no macro and no link to the outside.
"""

import io
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

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
    Span,
    Statement,
    Table,
    Tasks,
)
from bot.domain.untrusted import clean
from bot.edges.paper import for_paper
from bot.edges.pictures import drawn, pngs
from bot.edges.svg import text

if TYPE_CHECKING:
    from docx.document import Document as Word

EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
ZIP_TIME = (1980, 1, 1, 0, 0, 0)
W = 'xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"'
WIDE = 9_900
"""Width of the text in twentieths of a point: A4 with narrow margins."""
PICTURE_CM = 17.4
SOFT, CHANGE, LINE = "566372", "1558B0", "DDE3EA"
WIDTHS: Mapping[str, tuple[int, ...]] = {
    "Entry5": (6, 17, 10, 19, 48), "Impact2": (14, 86), "Plan2": (18, 82), "Measure3": (32, 34, 34),
    "Moment4": (34, 34, 16, 16), "Probe5": (19, 19, 30, 20, 12), "Probe3": (20, 40, 40), "Time3": (23, 24, 53),
    "Runbook5": (27, 9, 9, 35, 20), "Other cause4": (28, 13, 13, 46), "Weight4": (11, 26, 21, 42),
}  # fmt: skip
"""First head and number of columns -> their widths in hundredths."""


def export(document: Document, at: datetime | None = None) -> bytes:
    """The document as DOCX; ``at``: the last thing that is known to have happened, as its date of creation."""
    import docx  # noqa: PLC0415 - only this form needs it
    from docx.oxml import parse_xml  # noqa: PLC0415

    paper = for_paper(document)
    word = docx.Document()
    _set_up(word, paper, at or EPOCH)
    blocks = [block for section in paper.sections for block in section.blocks if isinstance(block, Picture)]
    drawings = [drawn(block) for block in blocks]
    pictures = iter(list(zip(pngs(drawings), drawings, strict=True)))
    body = _Body(paper.anchors)
    place = word.element.body
    end = place.sectPr

    def put(xml: Iterable[str]) -> None:
        for one in xml:
            end.addprevious(parse_xml(one))

    put(body.head(paper))
    for section in paper.sections:
        put([body.paragraph(Statement(spans=(Span(text=section.title),)), style="Heading2", key=f"s{section.key}")])
        for block in section.blocks:
            if isinstance(block, Picture):
                made, drawing = next(pictures)
                _picture(word, made, f"{drawing.title}. {drawing.description}")
            else:
                put(body.block(block))
    return _packed(word)


def _set_up(word: "Word", document: Document, at: datetime) -> None:
    """A4, fonts, and properties that depend on the incident alone."""
    from docx.shared import Cm, Pt, RGBColor  # noqa: PLC0415

    section = word.sections[0]
    section.page_width, section.page_height = Cm(21.0), Cm(29.7)
    section.left_margin = section.right_margin = Cm(1.75)
    section.top_margin = section.bottom_margin = Cm(1.9)
    styles: Any = word.styles
    styles["Normal"].font.name, styles["Normal"].font.size = "Calibri", Pt(10)
    styles["Normal"].paragraph_format.space_after = Pt(4)
    for name, size, before in (("Title", 20, 0), ("Heading 2", 14, 16), ("Heading 3", 11, 10)):
        style = styles[name]
        style.font.name, style.font.size, style.font.bold = "Calibri", Pt(size), True
        style.font.color.rgb = RGBColor(0x17, 0x20, 0x2B)
        style.paragraph_format.space_before, style.paragraph_format.space_after = Pt(before), Pt(4)
    properties = word.core_properties
    plain = at.astimezone(UTC).replace(tzinfo=None, microsecond=0)
    properties.author = properties.last_modified_by = "Pagerunner"
    properties.title, properties.comments, properties.revision = text(document.title), "", 1
    properties.created = properties.modified = plain


def _picture(word: "Word", png: bytes, description: str) -> None:
    from docx.shared import Cm  # noqa: PLC0415

    word.add_picture(io.BytesIO(png), width=Cm(PICTURE_CM))
    shape = word.inline_shapes[len(word.inline_shapes) - 1]
    shape._inline.docPr.set("descr", text(description))  # noqa: SLF001 - python-docx has no other way to describe it


def _packed(word: "Word") -> bytes:
    """The file with its parts at one fixed time: python-docx writes the time of the day into it."""
    raw, packed = io.BytesIO(), io.BytesIO()
    word.save(raw)
    with zipfile.ZipFile(raw) as old, zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as new:
        for part in old.infolist():
            about = zipfile.ZipInfo(part.filename, ZIP_TIME)
            about.compress_type, about.create_system, about.external_attr = zipfile.ZIP_DEFLATED, 3, 0o600 << 16
            new.writestr(about, old.read(part.filename))
    return packed.getvalue()


class _Body:
    """Writes blocks as paragraphs and tables; ``anchors``: reference -> the name of its place."""

    def __init__(self, anchors: Mapping[str, str]) -> None:
        self._anchors = anchors
        self._marks = 0

    def head(self, document: Document) -> Iterator[str]:
        title = Statement(spans=(Span(text=document.title),))
        yield self.paragraph(title, style="Title", key=self._anchors[document.incident_id])
        yield from (self.paragraph(one) for one in document.head)

    def block(self, block: Block) -> Iterator[str]:
        match block:
            case Points(items=items):
                yield from (self.paragraph(one, style="ListBullet") for one in items)
            case Tasks(items=items):
                for one in items:
                    yield self.paragraph(one, before="☐ ", after="  Owner: ____________  Due: ____________")
            case Table():
                if block.title:
                    bold = Span(text=block.title, manner=Manner.STRONG)
                    yield self.paragraph(Statement(spans=(bold,), refs=block.refs), keep=True)
                yield self._table(block)
                yield f"<w:p {W}><w:pPr><w:spacing w:after='80'/></w:pPr></w:p>"
            case Heading(title=title, key=key):
                yield self.paragraph(title, style="Heading3", key=self._anchors.get(key, ""))
            case Excerpt(source=source, text=received):
                yield self.paragraph(source, keep=True)
                yield self._excerpt(received)
            case Blank(hint=hint):
                said = Statement(spans=(Span(text=hint),), gap=True)
                yield self._boxed(self._runs(said))
                yield f"<w:p {W}/>"
            case _:
                pass

    def paragraph(self, one: Statement, *, style: str = "", key: str = "", keep: bool = False, before: str = "",
                  after: str = "") -> str:  # fmt: skip
        """A paragraph with a bookmark where something leads to it."""
        about = f'<w:pStyle w:val="{style}"/>' if style else ""
        about += "<w:keepNext/>" if keep else ""
        inside = f"{_run(before) if before else ''}{self._runs(one)}{_run(after, soft=True) if after else ''}"
        return f"<w:p {W}><w:pPr>{about}</w:pPr>{self._marked(key, inside)}</w:p>"

    def _marked(self, key: str, inside: str) -> str:
        if not key:
            return inside
        self._marks += 1
        name = f'<w:bookmarkStart w:id="{self._marks}" w:name="{key}"/>'
        return f'{name}{inside}<w:bookmarkEnd w:id="{self._marks}"/>'

    def _runs(self, one: Statement, *, small: bool = False) -> str:
        runs = [_span(span, soft=one.gap, small=small) for span in one.spans]
        for ref in one.refs:
            shown = f'<w:r><w:rPr><w:color w:val="{CHANGE}"/><w:sz w:val="14"/></w:rPr>{_text(" " + ref)}</w:r>'
            place = self._anchors.get(ref)
            runs.append(f'<w:hyperlink w:anchor="{place}">{shown}</w:hyperlink>' if place else shown)
        return "".join(runs)

    def _table(self, table: Table) -> str:
        count = len(table.heads)
        shares = WIDTHS.get(f"{table.heads[0]}{count}") or (100 // count,) * count
        widths = [WIDE * share // 100 for share in shares]
        grid = "".join(f'<w:gridCol w:w="{width}"/>' for width in widths)
        line = f'w:val="single" w:sz="4" w:space="0" w:color="{LINE}"'
        about = (
            f'<w:tblPr><w:tblW w:w="{WIDE}" w:type="dxa"/><w:tblBorders><w:top {line}/><w:bottom {line}/>'
            f'<w:insideH {line}/></w:tblBorders><w:tblLayout w:type="fixed"/></w:tblPr>'
        )
        heads = [_run(word, soft=True, small=True, bold=True) for word in table.heads]
        head = "".join(_cell(word, width) for word, width in zip(heads, widths, strict=True))
        first = f"<w:tr><w:trPr><w:cantSplit/><w:tblHeader/></w:trPr>{head}</w:tr>"
        rows = "".join(self._row(row, widths) for row in table.rows)
        return f"<w:tbl {W}>{about}<w:tblGrid>{grid}</w:tblGrid>{first}{rows}</w:tbl>"

    def _row(self, row: Row, widths: Sequence[int]) -> str:
        cells = []
        for number, (cell, width) in enumerate(zip(row.cells, widths, strict=True)):
            inside = self._runs(cell, small=True)
            key = self._anchors.get(row.key, "") if number == 0 and row.key else ""
            cells.append(_cell(self._marked(key, inside), width))
        return f"<w:tr><w:trPr><w:cantSplit/></w:trPr>{''.join(cells)}</w:tr>"

    def _excerpt(self, received: str) -> str:
        lines = clean(received, lines=True)[0].split("\n")
        look = '<w:rPr><w:rFonts w:ascii="Consolas" w:hAnsi="Consolas"/><w:sz w:val="15"/></w:rPr>'
        runs = "".join(f"<w:r>{look}{'<w:br/>' if number else ''}{_text(line)}</w:r>"
                       for number, line in enumerate(lines))  # fmt: skip
        return (
            f'<w:p {W}><w:pPr><w:pBdr><w:left w:val="single" w:sz="16" w:space="6" w:color="{LINE}"/></w:pBdr>'
            f'<w:shd w:val="clear" w:color="auto" w:fill="F5F7FA"/></w:pPr>{runs}</w:p>'
        )

    def _boxed(self, inside: str) -> str:
        line = 'w:val="dashed" w:sz="6" w:space="0" w:color="AAB4C0"'
        edges = "".join(f"<w:{side} {line}/>" for side in ("top", "left", "bottom", "right"))
        about = f'<w:tblPr><w:tblW w:w="{WIDE}" w:type="dxa"/><w:tblBorders>{edges}</w:tblBorders></w:tblPr>'
        return (
            f'<w:tbl {W}>{about}<w:tblGrid><w:gridCol w:w="{WIDE}"/></w:tblGrid><w:tr><w:trPr>'
            f'<w:trHeight w:val="900"/></w:trPr>{_cell(inside, WIDE)}</w:tr></w:tbl>'
        )


def _cell(inside: str, width: int) -> str:
    about = f'<w:tcPr><w:tcW w:w="{width}" w:type="dxa"/></w:tcPr>'
    return f'<w:tc>{about}<w:p><w:pPr><w:spacing w:before="30" w:after="30"/></w:pPr>{inside}</w:p></w:tc>'


def _span(span: Span, *, soft: bool, small: bool) -> str:
    match span.manner:
        case Manner.CODE:
            size = 15 if small else 17
            look = f'<w:rFonts w:ascii="Consolas" w:hAnsi="Consolas"/><w:sz w:val="{size}"/>'
            return f"<w:r><w:rPr>{look}</w:rPr>{_text(span.text)}</w:r>"
        case Manner.QUOTED:
            return _run(f"“{span.text}”", soft=soft, small=small)
        case _:
            return _run(span.text, soft=soft, small=small, bold=span.manner is Manner.STRONG)


def _run(plain: str, *, soft: bool = False, small: bool = False, bold: bool = False) -> str:
    look = "<w:b/>" if bold else ""
    look += f'<w:color w:val="{SOFT}"/>' if soft else ""
    look += '<w:sz w:val="17"/>' if small else ""
    return f"<w:r>{f'<w:rPr>{look}</w:rPr>' if look else ''}{_text(plain)}</w:r>"


def _text(plain: str) -> str:
    return f'<w:t xml:space="preserve">{text(plain)}</w:t>'
