"""The first text of a runbook: a skeleton, or front matter on top of a page that exists. No fact is made up.

Advice stands in comments of the front matter, never in the prose: prose is searched and quoted.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import yaml

from runbooks.model import ProbeStep, RunbookError
from runbooks.parse import Parsed, parse

BOM = b"\xef\xbb\xbf"
MAX_SUGGESTED = 8
MAX_PHRASE = 160
SECTIONS = ("Is it this?", "What users notice", "Stop the bleeding", "If that did not help", "Afterwards")
_MACHINE_WORDS = re.compile(
    r"(?<![\w.])[45]\d\d(?![\w%.])|\b[a-z0-9]+(?:_[a-z0-9]+)+\b|\b[A-Z][A-Za-z]+(?:Error|Exception|Timeout)\b"
)


class NotAPageError(RunbookError):
    """The existing page cannot be given front matter as it is: why, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What the author said. Only ``title`` and ``owner`` are needed."""

    title: str
    owner: str
    severity: str = ""
    services: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    pages: tuple[str, ...] = ()
    not_pages: tuple[tuple[str, str], ...] = ()
    """Phrase and the runbook that it belongs to."""
    evidence: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    probes: tuple[ProbeStep, ...] = ()
    reviewed: str = ""


def skeleton(facts: Facts) -> str:
    """A whole new runbook: front matter, the headings that people look for at night, and the probe blocks."""
    body = [f"# {facts.title}", ""]
    for section in SECTIONS:
        body += [f"## {section}", ""]
        if section == SECTIONS[0]:
            body += [line for step in facts.probes for line in _probe(step)]
    return front_matter(facts) + "\n".join(body)


def on_top(page: bytes, facts: Facts) -> bytes:
    """``page`` with front matter before it; what follows the front matter is the page, byte for byte (a byte order mark
    stays the file's first character). Raises :class:`NotAPageError`."""
    mark, rest = (BOM, page[len(BOM) :]) if page.startswith(BOM) else (b"", page)
    if _has_front_matter(rest):
        raise NotAPageError(
            "it has front matter already: put 'title' and 'owner' there, and let `pagerunner runbooks lint` check it"
        )
    text = front_matter(facts, suggested=() if facts.pages else phrases_in(rest.decode("utf-8", "replace")))
    if b"\r\n" in rest.split(b"\n", maxsplit=1)[0] + b"\n":
        text = text.replace("\n", "\r\n")
    return mark + text.encode() + rest


def title_of(page: bytes, file: str) -> str:
    """The first heading of a page; empty if it has none. Raises :class:`NotAPageError` if it is not text."""
    parsed: Parsed = parse(b"\n" + page.removeprefix(BOM), file)  # a first line '---' is a rule here, no front matter
    if parsed.runbook is None:
        raise NotAPageError("; ".join(str(problem) for problem in parsed.problems))
    headings = [section for section in parsed.runbook.sections if section.anchor != "top"]
    return headings[0].title if headings else ""


def phrases_in(text: str) -> tuple[str, ...]:
    """Lines of a page that hold what machines say, such as status codes and error names: what pages might read like.
    Suggestions only: whether pages read so, its author knows."""
    found: dict[str, None] = {}
    for line in text.splitlines():
        plain = re.sub(r"^[\s>#*+|-]+|[*`|]+", "", re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", line))
        plain = " ".join("".join(c if c.isprintable() else " " for c in plain).split())
        if (
            _MACHINE_WORDS.search(plain)
            and len(plain) <= MAX_PHRASE
            and not plain.startswith(("http:", "https:", "$", "!"))
        ):
            found.setdefault(plain)
    return tuple(found)[:MAX_SUGGESTED]


def front_matter(facts: Facts, *, suggested: Sequence[str] = ()) -> str:
    """The front matter, its two ``---`` lines included: what was said as keys, what could follow as comments."""
    lines = ["---", f"title: {scalar(facts.title)}", f"owner: {_owner(facts.owner)}"]
    lines += [f"severity: {facts.severity}"] if facts.severity else []
    lines += [f"services: [{', '.join(map(scalar, facts.services))}]"] if facts.services else []
    lines += [f"kinds: [{', '.join(facts.kinds)}]"] if facts.kinds else []
    lines += [f"reviewed: {facts.reviewed}", "review_every: 90d"] if facts.reviewed else []
    lines += ["# All that follows is optional, and each part earns something: `pagerunner runbooks lint --hints FILE`."]
    lines += _pages(facts, suggested)
    if facts.not_pages:
        lines += ["not_pages:"]
        for text, owner in facts.not_pages:
            lines += [f"  - text: {scalar(text)}", f"    belongs_to: {owner}"]
    else:
        lines += ["# not_pages:                  # pages that look alike and belong elsewhere",
                  '#   - text: "…"', "#     belongs_to: another-runbook"]  # fmt: skip
    if facts.evidence:
        lines += ["evidence:"]
        for probe, outcomes in facts.evidence.items():
            lines += [f"  {probe}: {{{', '.join(f'{word}: {weight}' for word, weight in outcomes.items())}}}"]
    else:
        lines += ["# evidence:                   # what a probe shows if this is the cause: earns diagnosis",
                  "#   provider_canary: {server_error: usual, ok: rules_out}"]  # fmt: skip
    lines += ["# A fenced ```action block under a step earns automation; `pagerunner probes` lists all words."]
    return "\n".join([*lines, "---", ""])


def _owner(owner: str) -> str:
    """A team as it is; what YAML would read as something else, in quotes."""
    return owner if re.fullmatch(r"[a-z0-9][a-z0-9._-]*", owner) else scalar(owner)


def scalar(text: str) -> str:
    """One line of text as YAML, in double quotes."""
    quoted: str = yaml.dump(text, default_style='"', allow_unicode=True, width=2**31)
    return quoted.removesuffix("\n")


def _pages(facts: Facts, suggested: Sequence[str]) -> list[str]:
    if facts.pages:
        return ["pages:", *(f"  - {scalar(text)}" for text in facts.pages)]
    head = "# pages:                      # how pages for this really read: earns retrieval tests"
    if not suggested:
        return [head, '#   - "…"']
    return [head, "# These lines stand in the text; keep those that pages really say:",
            *(f"#   - {scalar(text)}" for text in suggested)]  # fmt: skip


def _probe(step: ProbeStep) -> list[str]:
    params = [f"  {name}: {value if isinstance(value, str) else scalar(str(value))}" for name, value in
              step.params.items() if isinstance(value, (str, int, float))]  # fmt: skip
    return ["```probe", f"{step.probe}:", *params, "```", ""]


def _has_front_matter(page: bytes) -> bool:
    """A first line ``---``, another one below, and keys between: a line alone is only a rule."""
    lines = page.decode("utf-8", "replace").splitlines()
    if not lines or lines[0].rstrip() != "---":
        return False
    end = next((n for n, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    between = lines[1:end] if end else []
    return any(re.match(r"[A-Za-z_][\w -]*:(\s|$)", line) for line in between)
