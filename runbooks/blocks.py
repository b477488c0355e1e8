"""The fenced ``probe`` and ``action`` blocks of a runbook: strict YAML, with positions."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from config.catalogue import Risk
from config.strict_yaml import Document, Path, Value, YamlError, load
from runbooks.front_matter import YAML_ADVICE, nearest, seconds
from runbooks.model import ActionStep, ProbeStep, Problem, VerifyStep

MAX_BLOCK = 16_384
MAX_DEPTH = 8
MAX_WITHIN_S = 86_400
MAX_LEASE_S = 7 * 86_400
_ABOUT_THE_STEP = ("verify", "unverified", "lease", "risk")
SHORTEST_REASON = 20
_RISKS = ("R0", "R1", "R2", "R3")
_VERIFY = re.compile(r"([a-z0-9_.:-]+) is ([a-z0-9_]+) within ([0-9]+[smhd])")

Places = dict[tuple[str | int, ...], tuple[int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Block:
    """A block as the document holds it: its YAML, where that begins, and the section it stands in."""

    text: str
    line: int
    indent: int
    file: str
    section: str
    title: str
    prose: str


class _Reader:
    """One block being read; collects what is wrong with it."""

    def __init__(self, block: Block) -> None:
        self.block = block
        self.problems: list[Problem] = []
        self.places: Places = {}
        self.document = Document(None)
        self.value: dict[str, Value] = {}
        try:
            self.document = load(block.text, first_line=block.line, max_bytes=MAX_BLOCK, max_depth=MAX_DEPTH)
        except YamlError as error:
            self._add(error.line, error.column, "block-yaml", error.message, YAML_ADVICE)
            return
        if isinstance(self.document.value, str):  # a name alone, without parameters
            self.value = {self.document.value: None}
        elif isinstance(self.document.value, dict) and self.document.value:
            self.value = self.document.value
        else:
            self.problem((), "empty-block", "nothing stands in this block", "name what to run, such as 'egress:'")

    def problem(self, path: Path, rule: str, message: str, suggestion: str) -> None:
        self._add(*self.document.position(path), rule, message, suggestion)

    def step(self, name: str) -> tuple[int, Mapping[str, Value]]:
        """Line and parameters of what ``name`` calls; notes where they stand."""
        line, _ = self.document.position((name,))
        for path, (at, column) in self.document.positions.items():
            if path[:1] == (name,):
                self.places["block", line, *path[1:]] = (at, column + self.block.indent)
        self.places.setdefault(("block", line), (line, 1 + self.block.indent))
        for key in _ABOUT_THE_STEP:
            if key in self.value and key != name:
                at, column = self.document.position((key,))
                self.places["block", line, f"@{key}"] = (at, column + self.block.indent)
        params = self.value[name]
        if params is None:
            return line, {}
        if not isinstance(params, dict):
            self.problem(
                (name,), "parameters", f"the parameters of {name!r} must be keys and values", "write 'key: value'"
            )
            return line, {}
        return line, params

    def _add(self, line: int, column: int, rule: str, message: str, suggestion: str) -> None:
        self.problems.append(
            Problem(
                file=self.block.file,
                line=line,
                column=column + self.block.indent,
                rule=rule,
                message=message,
                suggestion=suggestion,
            )
        )


def read_probes(block: Block) -> tuple[list[ProbeStep], list[Problem], Places]:
    """The probes that a block names, in order."""
    reader = _Reader(block)
    steps = []
    for name in reader.value:
        line, params = reader.step(name)
        steps.append(ProbeStep(probe=name, params=params, section=block.section, line=line))
    return steps, reader.problems, reader.places


def read_action(block: Block) -> tuple[ActionStep | None, list[Problem], Places]:
    """The one action that a block names."""
    reader = _Reader(block)
    names = [key for key in reader.value if key not in _ABOUT_THE_STEP]
    if len(names) != 1:
        if reader.value:
            reader.problem(
                (names[1],) if names else (),
                "one-action",
                f"a block names exactly one action; here are {len(names)}",
                "give each action its own block" if names else "name the action above 'verify'",
            )
        return None, reader.problems, reader.places
    line, params = reader.step(names[0])
    step = ActionStep(
        action=names[0],
        params=params,
        section=block.section,
        title=block.title,
        prose=block.prose,
        verify=_verify(reader),
        lease_s=_lease(reader),
        min_risk=_risk(reader),
        line=line,
        unverified=_unverified(reader),
    )
    return step, reader.problems, reader.places


def _text(reader: _Reader, key: str) -> str | None:
    if key not in reader.value:
        return None
    value = reader.value[key]
    if isinstance(value, str):
        return value.strip()
    reader.problem((key,), key, f"{key!r} needs a value", _EXPECTED[key])
    return None


_EXPECTED = {
    "verify": "such as 'verify: gateway_canary is ok within 5m'",
    "unverified": "in a sentence, why no probe can show that it helped",
    "lease": "such as 'lease: 60m'",
    "risk": "R0, R1, R2 or R3",
}


def _verify(reader: _Reader) -> VerifyStep | None:
    text = _text(reader, "verify")
    if text is None:
        return None
    found = _VERIFY.fullmatch(re.sub(r"\s+", " ", text))
    if not found:
        reader.problem(("verify",), "verify", f"cannot read {text!r}", _EXPECTED["verify"])
        return None
    within = _bounded(reader, "verify", found[3], MAX_WITHIN_S)
    return VerifyStep(probe=found[1], outcome=found[2], within_s=within) if within else None


def _unverified(reader: _Reader) -> str:
    """The reason in place of a check: people look then, and the step says so."""
    text = _text(reader, "unverified")
    if text is None:
        return ""
    if "verify" in reader.value:
        reader.problem(
            ("unverified",), "unverified", "a step has either 'verify' or 'unverified'", "remove one of them"
        )
    elif len(text) < SHORTEST_REASON:
        reader.problem(("unverified",), "unverified", f"{text!r} is no reason", _EXPECTED["unverified"])
    return text


def _lease(reader: _Reader) -> int | None:
    text = _text(reader, "lease")
    return None if text is None else _bounded(reader, "lease", text, MAX_LEASE_S)


def _bounded(reader: _Reader, key: str, text: str, most: int) -> int | None:
    try:
        value = seconds(text)
    except ValueError as error:
        reader.problem((key,), key, str(error), _EXPECTED[key])
        return None
    if value > most:
        reader.problem((key,), key, f"{text} is too long", f"at most {most // 3600}h")
        return None
    return value


def _risk(reader: _Reader) -> Risk | None:
    text = _text(reader, "risk")
    if text is None or text in _RISKS:
        return cast("Risk | None", text)
    reader.problem(("risk",), "risk", f"{text!r} is no risk class", nearest(text, _RISKS))
    return None
