"""Links of a runbook to files and headings beside it: the ones that lead nowhere. Web addresses are not opened."""

import os
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from markdown_it import MarkdownIt
from markdown_it.token import Token

from runbooks.front_matter import nearest
from runbooks.model import Problem
from runbooks.parse import parse
from runbooks.source import RefusedError, decode


def rotten(path: Path) -> Iterator[Problem]:
    """One problem for each relative link whose file, or whose heading, is not there. A file that cannot be read has
    none: lint says so."""
    try:
        text = decode(path.read_bytes(), str(path))
    except (OSError, RefusedError):
        return
    first = _after_front_matter(text)
    for line, target in _links("\n".join(text.split("\n")[first:])):
        found = _wrong(path, target)
        if found:
            message, advice = found
            yield Problem(
                file=str(path), line=first + line, column=1, rule="dead-link", message=message, severity="warning",
                suggestion=advice,
            )  # fmt: skip


def _after_front_matter(text: str) -> int:
    """Number of the lines before the body."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return 0
    return next((n + 1 for n, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), 0)


def _links(body: str) -> Iterator[tuple[int, str]]:
    """Line (from 1) and target of every link and picture."""
    for token in MarkdownIt("commonmark").parse(body):
        if token.type == "inline" and token.map:
            for child in _deep(token):
                target = child.attrGet("href") or child.attrGet("src")
                if target:
                    yield token.map[0] + 1, str(target)


def _deep(token: Token) -> Iterator[Token]:
    for child in token.children or ():
        yield child
        yield from _deep(child)


def _wrong(path: Path, target: str) -> tuple[str, str] | None:
    """What is wrong with a link, and what to write; None if nothing is, or if it leads to the web."""
    parts = urlsplit(target)
    if parts.scheme or parts.netloc or parts.path.startswith("/"):
        return None
    name, anchor = unquote(parts.path), unquote(parts.fragment)
    file = path.parent / name if name else path
    if not file.exists():
        return f"the link {target!r} leads to a file that is not there", _nearest_file(path.parent, name)
    if not anchor or not file.is_file() or file.suffix.lower() != ".md":
        return None
    known = _anchors(file)
    if known and anchor not in known:
        return f"{name or 'this file'} has no heading #{anchor}", nearest(anchor, known)
    return None


def _anchors(file: Path) -> set[str]:
    """The anchors of a Markdown file, or none if it cannot be read."""
    try:
        parsed = parse(file.read_bytes(), str(file))
    except OSError:
        return set()
    return {section.anchor for section in parsed.runbook.sections} if parsed.runbook else set()


def _nearest_file(folder: Path, name: str) -> str:
    place = (folder / name).parent
    try:
        names = [os.path.relpath(entry, folder) for entry in place.iterdir() if not entry.name.startswith(".")]
    except OSError:
        names = []
    return nearest(name, names) or "correct the link, or remove it"
