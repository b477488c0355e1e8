"""Known questions of a retrieval index, with the documents that must be found: a JSON Lines file that a person writes.

A line is ``{"id": "refund-eu", "question": "...", "expects": ["kb-17"]}``; any one of ``expects`` will do. Everything
wrong with a file is reported at once, with file and line, and nothing of it is used.
"""

import json
from pathlib import Path
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MAX_BYTES: Final = 2_000_000
MAX_QUESTIONS: Final = 500

_Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/-]{0,119}$")]


class KnownQuestion(BaseModel):
    """One question and where its answer stands."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: _Id
    question: str = Field(min_length=1, max_length=2_000)
    expects: tuple[_Id, ...] = Field(min_length=1, max_length=20)


class KnownQuestionsError(ValueError):
    """The file cannot be used. Each problem is ``file:line: what is wrong``."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems[:20]))


def load(path: Path) -> tuple[KnownQuestion, ...]:
    """Read the file. Raises :class:`KnownQuestionsError`, or :class:`OSError`."""
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise KnownQuestionsError([f"{path}:1: {len(data)} bytes; the most is {MAX_BYTES}"])
    problems: list[str] = []
    found: dict[str, KnownQuestion] = {}
    try:
        lines = data.decode("utf-8").split("\n")
    except UnicodeDecodeError as error:
        raise KnownQuestionsError([f"{path}:1: not UTF-8: {error}"]) from error
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            one = KnownQuestion.model_validate(json.loads(line))
        except ValidationError as error:
            problems += [
                f"{path}:{number}: {'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()
            ]
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: not JSON: {error}")
        else:
            if one.id in found:
                problems.append(f"{path}:{number}: id: {one.id!r} stands twice")
            found.setdefault(one.id, one)
    if not problems and not 0 < len(found) <= MAX_QUESTIONS:
        problems.append(f"{path}:1: {len(found)} questions; 1 to {MAX_QUESTIONS} are allowed")
    if problems:
        raise KnownQuestionsError(problems)
    return tuple(found.values())
