"""A Markdown file becomes a runbook: sections that can be cited, probe and action blocks that can be run.

Parsing never raises for what an author wrote: everything wrong is a :class:`Problem` with file, line and column.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePath

from markdown_it import MarkdownIt
from markdown_it.token import Token

from config.strict_yaml import Document
from runbooks.blocks import Block, read_action, read_probes
from runbooks.front_matter import FrontMatter, InvalidFrontMatterError, nearest, read_front_matter
from runbooks.model import ActionStep, NotPage, ProbeStep, Problem, Runbook, Section
from runbooks.source import RefusedError, decode, revision

MAX_SECTIONS = 500
MAX_BLOCKS = 200
MAX_HEADING = 300
TOP = "top"
"""Anchor of what stands above the first heading; browsers scroll to the top of a page for it."""

Place = tuple[int, int]
Key = tuple[str | int, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Parsed:
    """What became of a file: a runbook unless a problem is an error, and where everything in it stands.

    ``places`` maps a path of the front matter, such as ``("evidence", "egress", "ok")``, or ``("block", line, ...)``
    for a parameter of the step in that line, to line and column.
    """

    file: str
    runbook: Runbook | None
    problems: tuple[Problem, ...] = ()
    places: Mapping[Key, Place] = field(default_factory=dict)

    def place(self, key: Key) -> Place:
        """Where ``key`` stands, or its nearest parent."""
        while key and key not in self.places:
            key = key[:-1]
        return self.places.get(key, (1, 1))

    @property
    def ok(self) -> bool:
        return self.runbook is not None


def parse(data: bytes, file: str) -> Parsed:
    """Parse the bytes of the runbook ``file``; its name gives the id."""
    try:
        text = decode(data, file)
    except RefusedError as refused:
        return Parsed(file=file, runbook=None, problems=(refused.problem,))
    lines = text.split("\n")
    name = id_of(file)
    if lines[0].rstrip() != "---":
        outline = _Outline(lines, 0, file, executable=False)
        title = outline.sections[0].title if outline.sections else name
        title = next((s.title for s in outline.sections if s.anchor != TOP), title)
        plain = Runbook(
            id=name,
            title=title,
            owner="",
            path=file,
            revision=revision(data),
            executable=False,
            sections=tuple(outline.sections),
        )
        return _parsed(file, plain, outline.problems, {})
    end = next((i for i, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        message = "the front matter that begins here never ends"
        problem = Problem(
            file=file, line=1, column=1, rule="front-matter", message=message, suggestion="close it with a line '---'"
        )
        return Parsed(file=file, runbook=None, problems=(problem,))
    try:
        front, document = read_front_matter("\n".join(lines[1:end]), file, 2)
    except InvalidFrontMatterError as invalid:
        # The blocks are looked at as well, so that the author sees everything at once.
        outline = _Outline(lines, end + 1, file, executable=True)
        return Parsed(file=file, runbook=None, problems=(*invalid.problems, *outline.problems))
    outline = _Outline(lines, end + 1, file, executable=True)
    problems = [*_identity(front, name, document, file), *outline.problems]
    runbook = _runbook(front, outline, file, revision(data))
    return _parsed(file, runbook, problems, {**document.positions, **outline.places})


def id_of(file: str) -> str:
    """The id that a file name gives: its stem in kebab case."""
    stem = PurePath(file).stem.lower()
    return re.sub(r"[^a-z0-9]+", "-", stem).strip("-")[:63].strip("-") or "untitled"


def slug(heading: str) -> str:
    """The anchor that GitHub gives a heading."""
    kept = re.sub(r"[^\w\- ]", "", heading.strip().lower())
    return kept.replace(" ", "-")


def without_number(title: str) -> str:
    """``1. Clamp retries`` -> ``Clamp retries``."""
    return re.sub(r"^\s*(?:\d+(?:\.\d+)*[.)]|step \d+[:.])\s+", "", title, flags=re.IGNORECASE).strip() or title


def _parsed(file: str, runbook: Runbook, problems: list[Problem], places: Mapping[Key, Place]) -> Parsed:
    broken = any(problem.severity == "error" for problem in problems)
    ordered = tuple(sorted(problems, key=lambda p: (p.line, p.column)))
    return Parsed(file=file, runbook=None if broken else runbook, problems=ordered, places=places)


def _identity(front: FrontMatter, name: str, document: Document, file: str) -> Iterator[Problem]:
    if front.id is not None and front.id != name:
        line, column = document.position(("id",))
        message = f"id {front.id!r} differs from the file name, which gives {name!r}"
        yield Problem(
            file=file, line=line, column=column, rule="id-mismatch", message=message, suggestion="rename one of them"
        )


def _runbook(front: FrontMatter, outline: "_Outline", file: str, sha256: str) -> Runbook:
    return Runbook(
        id=front.id or id_of(file),
        title=front.title,
        owner=front.owner,
        path=file,
        revision=sha256,
        executable=True,
        sections=tuple(outline.sections),
        severity=front.severity,
        services=front.services,
        kinds=front.kinds,
        reviewed=front.reviewed,
        review_every_days=front.review_every,
        drill=front.drill or "",
        pages=front.pages,
        reports=front.reports,
        not_pages=tuple(NotPage(text=entry.text, belongs_to=entry.belongs_to) for entry in front.not_pages),
        evidence=front.evidence,
        probes=tuple(outline.probes),
        actions=tuple(outline.actions),
    )


class _Outline:
    """The body of a file: walks its top-level headings and fenced blocks once, in order."""

    def __init__(self, lines: list[str], start: int, file: str, *, executable: bool) -> None:
        self.sections: list[Section] = []
        self.probes: list[ProbeStep] = []
        self.actions: list[ActionStep] = []
        self.problems: list[Problem] = []
        self.places: dict[Key, Place] = {}
        self._file = file
        self._lines = lines
        self._start = start
        self._executable = executable
        self._anchors: dict[str, int] = {}
        tokens = MarkdownIt("commonmark").disable("inline").parse("\n".join(lines[start:]))
        headings = [
            (t, tokens[i + 1].content) for i, t in enumerate(tokens) if t.type == "heading_open" and t.level == 0
        ]
        blocks = [token for token in tokens if token.type == "fence" and self._is_block(token)]
        if len(headings) > MAX_SECTIONS or len(blocks) > MAX_BLOCKS:
            self._problem(
                (start + 1, 1),
                "too-many-parts",
                f"more than {MAX_SECTIONS} headings or {MAX_BLOCKS} blocks",
                "split the file",
            )
            return
        self._walk(headings, blocks)

    def _walk(self, headings: list[tuple[Token, str]], blocks: list[Token]) -> None:
        starts = [self._span(token) for token, _ in headings]
        hidden = {n for token in blocks for n in range(*self._span(token))}
        bounds = [*(start for start, _ in starts), len(self._lines)]
        preamble = self._prose(self._start, bounds[0], hidden)
        if preamble or any(self._span(token)[0] < bounds[0] for token in blocks):
            self._anchors[TOP] = 1
            self.sections.append(Section(anchor=TOP, title="Overview", level=1, prose=preamble, line=self._start + 1))
        for number, ((token, text), (first, after)) in enumerate(zip(headings, starts, strict=True)):
            title = self._heading_text(text, first)
            prose = self._prose(after, bounds[number + 1], hidden)
            self.sections.append(
                Section(
                    anchor=self._anchor(title),
                    title=without_number(title),
                    level=int(token.tag[1:]),
                    prose=prose,
                    line=first + 1,
                )
            )
        for token in blocks:
            self._block(token)

    def _heading_text(self, source: str, line: int) -> str:
        if len(source) > MAX_HEADING:
            self._problem(
                (line + 1, 1), "heading-too-long", f"a heading of more than {MAX_HEADING} characters", "shorten it"
            )
            source = source[:MAX_HEADING]
        children = MarkdownIt("commonmark").parseInline(source)[0].children or []
        text = "".join(child.content for child in children if child.type in ("text", "code_inline"))
        return text.strip() or "untitled"

    def _anchor(self, title: str) -> str:
        base = slug(title) or "section"
        anchor, seen = base, self._anchors.get(base, 0)
        while anchor in self._anchors:
            anchor = f"{base}-{seen}" if seen else base
            seen += 1
        self._anchors[base] = max(seen, 1)
        self._anchors.setdefault(anchor, 1)
        return anchor

    def _prose(self, start: int, end: int, hidden: set[int]) -> str:
        return "\n".join(self._lines[n] for n in range(start, end) if n not in hidden).strip()

    def _span(self, token: Token) -> tuple[int, int]:
        first, after = token.map or (0, 0)
        return first + self._start, after + self._start

    def _is_block(self, token: Token) -> bool:
        word = token.info.strip().split(" ", 1)[0]
        if not self._executable:
            return False
        if word in ("probe", "action"):
            return True
        near = nearest(word.lower(), ("probe", "action")) if word else ""
        if near.startswith("did you mean"):
            line = self._span(token)[0] + 1
            problem = self._problem((line, 4), "misspelt-block", f"a block of {word!r} is text and does nothing", near)
            self.problems[-1] = replace(problem, severity="warning")
        return False

    def _block(self, token: Token) -> None:
        first, after = self._span(token)
        opening = self._lines[first]
        indent = len(opening) - len(opening.lstrip(" "))
        if token.level > 0 or indent > 3:
            self._problem(
                (first + 1, indent + 1),
                "nested-block",
                "a block inside a list or quotation",
                "move it to the left margin",
            )
            return
        if self._lines[after - 1].strip().rstrip(token.markup[0]) or after - first < 2:
            self._problem(
                (first + 1, indent + 1), "unclosed-block", "this block never ends", f"close it with {token.markup}"
            )
            return
        section = next((s for s in reversed(self.sections) if s.line <= first + 1), None)
        block = Block(
            text=token.content,
            line=first + 2,
            indent=indent,
            file=self._file,
            section=section.anchor if section else TOP,
            title=section.title if section else "",
            prose=section.prose if section else "",
        )
        if token.info.strip().split(" ", 1)[0] == "probe":
            steps, problems, places = read_probes(block)
            self.probes += steps
        else:
            action, problems, places = read_action(block)
            self.actions += [action] if action else []
        self.problems += problems
        self.places.update(places)

    def _problem(self, place: Place, rule: str, message: str, suggestion: str) -> Problem:
        line, column = place
        problem = Problem(file=self._file, line=line, column=column, rule=rule, message=message, suggestion=suggestion)
        self.problems.append(problem)
        return problem
