"""Guardrail canaries: texts that must pass and harmless test strings that must be blocked, as JSON Lines.

A line is ``{"id": "pass-01", "text": "...", "expect": "pass"}`` or ``"expect": "block"``. What must be blocked is a
text that your guardrail knows as a test, never real harm. Everything wrong with a file is told at once, with file
and line.
"""

import json
from pathlib import Path
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError

MAX_BYTES: Final = 1_000_000
LEAST: Final = {"pass": 10, "block": 3}


class GuardrailCanary(BaseModel):
    """One text, and what must become of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,79}$")]
    text: str = Field(min_length=1, max_length=2_000)
    expect: Literal["pass", "block"]


class CanariesError(ValueError):
    """The file cannot be used. Each problem is ``file:line: what is wrong``."""

    def __init__(self, problems: list[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(problems[:20]))


def load(path: Path) -> tuple[GuardrailCanary, ...]:
    """Read the file. Raises :class:`CanariesError`, or :class:`OSError`."""
    data = path.read_bytes()
    if len(data) > MAX_BYTES:
        raise CanariesError([f"{path}:1: {len(data)} bytes; the most is {MAX_BYTES}"])
    problems: list[str] = []
    found: dict[str, GuardrailCanary] = {}
    for number, line in enumerate(data.decode("utf-8", "replace").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            one = GuardrailCanary.model_validate(json.loads(line))
        except ValidationError as error:
            said = [f"{'.'.join(map(str, e['loc'])) or 'line'}: {e['msg']}" for e in error.errors()]
            problems += [f"{path}:{number}: {what}" for what in said]
        except (ValueError, RecursionError) as error:
            problems.append(f"{path}:{number}: not JSON: {error}")
        else:
            if one.id in found:
                problems.append(f"{path}:{number}: id: {one.id!r} stands twice")
            found.setdefault(one.id, one)
    if not problems:
        for expect, least in LEAST.items():
            have = sum(one.expect == expect for one in found.values())
            if have < least:
                problems.append(f"{path}:1: {have} texts that must {expect}; at least {least} are needed")
    if problems:
        raise CanariesError(problems)
    return tuple(found.values())
