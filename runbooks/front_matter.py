"""The front matter of a runbook: its typed schema, and errors that point at the line that is wrong."""

import difflib
import re
from collections.abc import Iterable
from datetime import date, timedelta
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, StringConstraints, ValidationError
from pydantic_core import ErrorDetails

from config.catalogue import Name, ServiceKind
from config.strict_yaml import Document, Path, Value, YamlError, load
from runbooks.model import Problem

MAX_FRONT_MATTER = 16_384
MAX_DEPTH = 8
YAML_ADVICE = "write one 'key: value' a line, and put text that holds ': ' or '#' in quotes"
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


def seconds(text: str) -> int:
    """``90s``, ``5m``, ``2h`` or ``90d`` in seconds. Raises :class:`ValueError`."""
    found = re.fullmatch(r"([1-9][0-9]{0,5})([smhd])", text.strip())
    if not found:
        raise ValueError(f"{text!r} is not a duration; write a number and its unit, such as 90s, 5m, 2h or 90d")
    return int(found[1]) * _SECONDS[found[2]]


def nearest(name: str, names: Iterable[str]) -> str:
    """``did you mean 'x'?`` for the nearest of ``names``, or what there is to choose from."""
    known = sorted(names)
    close = difflib.get_close_matches(name, known, n=1, cutoff=0.5)
    if close:
        return f"did you mean {close[0]!r}?"
    shown = ", ".join(known[:12]) + (", …" if len(known) > 12 else "")
    return f"one of: {shown}" if known else ""


def _day(value: object) -> object:
    # Pydantic alone would read "20" as a number of seconds since 1970.
    if isinstance(value, str) and not re.fullmatch(r"\d{4}-\d{2}-\d{2}", value):
        raise ValueError("write the date as 2026-11-20")
    return value


def _days(value: object) -> object:
    if not isinstance(value, str):
        raise ValueError("write a duration such as 90d")  # noqa: TRY004 - pydantic turns ValueError into a finding
    days = timedelta(seconds=seconds(value)).days
    if days < 1:
        raise ValueError("the shortest is 1d")
    return days


def _not_blank(value: str) -> str:
    if not value.strip():
        raise ValueError("must not be empty")
    return value.strip()


Id = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(-[a-z0-9]+)*$", max_length=63)]
Line = Annotated[str, StringConstraints(max_length=300), AfterValidator(_not_blank)]
Scope = Annotated[str, StringConstraints(pattern=r"^(\*|(tag:)?[a-z0-9][a-z0-9._-]{0,62})$")]
_TEAM, _IN_SLACK = r"[a-z0-9][a-z0-9._-]{0,62}", r"@[USW][A-Z0-9]{2,20}|#[CG][A-Z0-9]{2,20}"
_E_MAIL = r"[A-Za-z0-9][A-Za-z0-9._+-]{0,63}@[A-Za-z0-9][A-Za-z0-9.-]{1,188}[A-Za-z0-9]"
_OWNER = f"^(?:{_TEAM}|{_IN_SLACK}|{_E_MAIL})$"
Owner = Annotated[str, StringConstraints(pattern=_OWNER, max_length=255)]
"""A team of the catalogue or, in Slack: ``@U0ABC`` a person, ``@S0ABC`` a user group, ``#C0ABC`` a channel; an e-mail
address of a person."""
EvidenceWord = Literal["usual", "weakly_for", "neutral", "against", "rules_out"]
EVIDENCE_WORDS = ("usual", "weakly_for", "neutral", "against", "rules_out")


def is_person(owner: str) -> bool:
    """Whether an owner is somebody in Slack, and no team of the catalogue."""
    return "@" in owner or owner.startswith("#")


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class NotPageEntry(_Part):
    text: Line
    belongs_to: Id


class FrontMatter(_Part):
    """What may stand between the two ``---`` lines."""

    title: Line
    owner: Owner
    id: Id | None = None
    severity: Annotated[str, StringConstraints(pattern=r"^sev[1-5]$")] = ""
    services: tuple[Scope, ...] = ("*",)
    kinds: tuple[ServiceKind, ...] = ()
    reviewed: Annotated[date, BeforeValidator(_day)] | None = None
    review_every: Annotated[int, BeforeValidator(_days)] | None = None
    drill: Id | None = None
    """The drill that exercises it, when it is not called as the runbook is."""
    pages: tuple[Line, ...] = ()
    not_pages: tuple[NotPageEntry, ...] = ()
    reports: tuple[Line, ...] = ()
    evidence: dict[Name, dict[Name, EvidenceWord]] = {}


class InvalidFrontMatterError(Exception):
    """What is wrong with the front matter, all of it."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(str(problem) for problem in problems))
        self.problems = problems


def read_front_matter(text: str, file: str, first_line: int) -> tuple[FrontMatter, Document]:
    """Parse and check. Raises :class:`InvalidFrontMatterError`."""
    try:
        document = load(text, first_line=first_line, max_bytes=MAX_FRONT_MATTER, max_depth=MAX_DEPTH)
    except YamlError as error:
        problem = Problem(
            file=file, line=error.line, column=error.column, rule="front-matter-yaml", message=error.message,
            suggestion=YAML_ADVICE,
        )  # fmt: skip
        raise InvalidFrontMatterError((problem,)) from error
    if not isinstance(document.value, dict):
        message = "the front matter must be keys and values, such as 'title: Model provider is failing'"
        raise InvalidFrontMatterError(
            (Problem(file=file, line=first_line, column=1, rule="front-matter", message=message,
                     suggestion="write one 'key: value' a line"),)
        )  # fmt: skip
    try:
        return FrontMatter.model_validate(_without_empty(document.value)), document
    except ValidationError as error:
        problems = (_problem(details, document, file) for details in error.errors(include_url=False))
        raise InvalidFrontMatterError(tuple(dict.fromkeys(problems))) from error


def _without_empty(value: dict[str, Value]) -> dict[str, Value]:
    """A key with nothing after it means the key is not set; a required one is then missing, and says so."""
    return {key: item for key, item in value.items() if item is not None}


def _problem(details: ErrorDetails, document: Document, file: str) -> Problem:
    path: Path = tuple(part for part in details["loc"] if part != "[key]")
    line, column = document.position(path)
    message, suggestion = _words(details["type"], path, details)
    return Problem(
        file=file,
        line=line,
        column=column,
        rule="front-matter",
        message=f"{_dotted(path)}: {message}",
        suggestion=suggestion,
    )


def _words(kind: str, path: Path, details: ErrorDetails) -> tuple[str, str]:
    found: Any = details["input"]
    if kind == "extra_forbidden":
        known = NotPageEntry.model_fields if len(path) > 1 else FrontMatter.model_fields
        return "unknown key", nearest(str(path[-1]), known)
    if kind == "missing":
        return "missing", f"add '{path[-1]}: …'"
    if kind == "literal_error":
        words = EVIDENCE_WORDS if path[0] == "evidence" else _kinds()
        what = "not an evidence word" if path[0] == "evidence" else "not a service kind"
        return f"{found!r} is {what}", nearest(str(found), words)
    if kind == "tuple_type":
        return "expected a list", "write [a, b], or one '- item' a line"
    if kind in ("dict_type", "model_type", "model_attributes_type"):
        return "expected keys and values", "such as {text: …, belongs_to: …}" if path[
            0
        ] == "not_pages" else "such as {ok: usual}"
    if kind == "string_type":
        return "expected text", "put it in quotes"
    if kind == "string_pattern_mismatch":
        return f"{found!r} does not fit", f"expected {_expected(path)}"
    if kind == "string_too_long":
        return f"{len(str(found))} characters", f"shorten it to {details.get('ctx', {}).get('max_length', 300)}"
    return str(details["msg"]).removeprefix("Value error, "), _ADVICE.get(str(path[0]) if path else "", _WRITE_IT)


_WRITE_IT = "write what is meant, or remove the line"
_ADVICE = {"reviewed": "such as 'reviewed: 2026-11-20'", "review_every": "such as 'review_every: 90d'"}


def _expected(path: Path) -> str:
    if path[0] == "severity":
        return "sev1 to sev5"
    if path[0] == "services":
        return "a service name, a tag such as tag:safety, or *"
    if path[0] == "owner":
        return 'a team of the catalogue or, of Slack, "@U0ABC", "@S0ABC", "#C0ABC" or an e-mail address'
    return "small letters, digits and hyphens"


def _kinds() -> tuple[str, ...]:
    return tuple(ServiceKind.__args__)  # type: ignore[attr-defined]


def _dotted(path: Path) -> str:
    return ".".join(str(part) for part in path) or "front matter"
