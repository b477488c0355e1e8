"""A runbook becomes a document: one chunk for a section, one for a page phrase, all within what the embedder reads."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Literal

from knowledge.model import Chunk, Document
from runbooks.model import Runbook, Section

MAX_CHUNK = 1_100
"""Characters of a chunk: about the 256 tokens that the packaged model reads."""
MAX_CHUNKS_A_DOCUMENT = 200


def document(runbook: Runbook) -> Document:
    """The document of a runbook. Its title counts as a page phrase: it says what the failure is. So do its reports,
    which are told apart from pages only where phrases are tested."""
    phrases = dict.fromkeys((runbook.title, *runbook.pages, *runbook.reports))
    chunks = [_chunk(f"{runbook.id}!page-{number}", runbook.id, "", phrase) for number, phrase in enumerate(phrases)]
    for section in runbook.sections:
        chunks += _section_chunks(runbook, section)
    return Document(
        id=runbook.id,
        title=runbook.title,
        chunks=tuple(chunks[:MAX_CHUNKS_A_DOCUMENT]),
        not_pages={entry.text: entry.belongs_to for entry in runbook.not_pages},
        services=runbook.services,
        kinds=runbook.kinds,
        executable=runbook.executable,
    )


def documents(runbooks: Iterable[Runbook]) -> tuple[Document, ...]:
    """The documents of all runbooks, in order. Runbooks with one id, for different services, are one document."""
    found: dict[str, Document] = {}
    for runbook in runbooks:
        one = document(runbook)
        found[one.id] = _joined(found[one.id], one, runbook.owner) if one.id in found else one
    return tuple(found.values())


def _joined(first: Document, more: Document, owner: str) -> Document:
    """What another runbook of the same id says besides, under the name of its owner; the scope of both."""
    known, names = {chunk.sha256 for chunk in first.chunks}, {chunk.id for chunk in first.chunks}
    added = [
        replace(chunk, id=_free(f"{chunk.id}~{owner}", names)) for chunk in more.chunks if chunk.sha256 not in known
    ]
    return replace(
        first,
        chunks=(*first.chunks, *added),
        not_pages={**more.not_pages, **first.not_pages},
        services=tuple(dict.fromkeys((*first.services, *more.services))),
        kinds=tuple(dict.fromkeys((*first.kinds, *more.kinds))) if first.kinds and more.kinds else (),
        executable=first.executable or more.executable,
    )


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "~"
    taken.add(name)
    return name


def text_digest(text: str) -> str:
    """What identifies the vector of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def folded(text: str) -> str:
    """Two texts that a reader would call the same phrase have this in common."""
    return " ".join(text.casefold().split())


def pieces(text: str, limit: int = MAX_CHUNK) -> Iterator[str]:
    """Cut a text at paragraphs, then at sentences, into parts of at most ``limit`` characters."""
    part = ""
    for unit in _units(text, limit):
        if part and len(part) + len(unit) + 1 > limit:
            yield part
            part = ""
        part = f"{part}\n{unit}" if part else unit
    if part:
        yield part


def _section_chunks(runbook: Runbook, section: Section) -> Iterator[Chunk]:
    heading = runbook.title if section.title == runbook.title else f"{runbook.title}: {section.title}"
    prose = _plain(section.prose)
    if not prose:
        return
    for number, piece in enumerate(pieces(prose, MAX_CHUNK - len(heading))):
        name = f"{runbook.id}#{section.anchor}" + (f"~{number}" if number else "")
        yield _chunk(name, runbook.id, section.anchor, f"{heading}\n{piece}")


def _chunk(name: str, document_id: str, anchor: str, text: str) -> Chunk:
    kind: Literal["section", "page"] = "section" if anchor else "page"
    return Chunk(id=name, document=document_id, section=anchor, kind=kind, text=text, sha256=text_digest(text))


def _units(text: str, limit: int) -> Iterator[str]:
    for paragraph in re.split(r"\n\s*\n", text):
        joined = " ".join(paragraph.split())
        if len(joined) <= limit:
            if joined:
                yield joined
            continue
        for sentence in re.split(r"(?<=[.!?;])\s+", joined):
            for start in range(0, len(sentence), limit):
                yield sentence[start : start + limit]


def _plain(markdown: str) -> str:
    """Without the marks that say nothing to a reader of meaning."""
    text = re.sub(r"^```.*$", "", markdown, flags=re.MULTILINE)
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    text = re.sub(r"^\s{0,3}(?:[-*+]|\d+[.)]|>|\|)\s+", "", text, flags=re.MULTILINE)
    return re.sub(r"[*`|]+", "", text).strip()
