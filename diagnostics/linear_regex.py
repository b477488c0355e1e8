"""Regular expressions that take time linear in the text, whatever the text: for patterns a file brings along.

Python's own parser reads the pattern; the match is a simulation of all possibilities at once, so nothing backtracks.
What cannot be matched that way (back-references, atomic groups, look-around beyond one character) is refused when the
file is loaded.
"""

import importlib
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

MAX_PATTERN: Final = 500
MAX_STATES: Final = 3000
MAX_REPEAT: Final = 1000
MAX_TEXT: Final = 20_000
_CACHE: Final = 20_000
_FLAGS: Final = re.IGNORECASE | re.MULTILINE | re.DOTALL | re.VERBOSE | re.UNICODE

_ONE_CHARACTER: Final = ("LITERAL", "NOT_LITERAL", "ANY", "IN")

Predicate = Callable[[str], bool]


class _Here(NamedTuple):
    """A place between two characters; each is empty at its edge of the text."""

    before: str
    after: str
    last: bool
    """Whether ``after`` is the last character of the text."""


Place = Callable[[_Here], bool]


class PatternError(ValueError):
    """The pattern is malformed, too large, or needs backtracking."""


@dataclass(slots=True)
class _State:
    """One state: a character to consume, a condition on the place, or free ways on."""

    test: Predicate | None = None
    at: Place | None = None
    to: tuple[int, ...] = ()


class LinearRegex:
    """A compiled pattern. Raises :class:`PatternError`."""

    def __init__(self, pattern: str) -> None:
        if len(pattern) > MAX_PATTERN:
            raise PatternError(f"pattern longer than {MAX_PATTERN} characters")
        try:
            re.compile(pattern)
            # The parser has no public name; the pattern has just been found valid by the public one.
            tree = importlib.import_module("re._parser").parse(pattern)
        except (re.error, OverflowError, RecursionError) as error:
            raise PatternError(f"not a regular expression: {error}") from error
        if tree.state.flags & ~_FLAGS:
            raise PatternError("only the flags i, m, s and x are supported")
        self.pattern = pattern
        self._states: list[_State] = []
        self._accept = self._add(_State())
        self._start = self._sequence(tree, tree.state.flags, self._accept)
        self._closures: dict[Any, tuple[frozenset[int], bool]] = {}
        self._moves: dict[tuple[frozenset[int], str], frozenset[int]] = {}

    def search(self, text: str) -> bool:
        """Whether the pattern matches anywhere in the first 20,000 characters."""
        text = text[:MAX_TEXT]
        states: frozenset[int] = frozenset()
        before = ""
        for place in range(len(text) + 1):
            after = text[place : place + 1]
            reached, found = self._closure(states, _Here(before, after, place == len(text) - 1))
            if found:
                return True
            states = self._move(reached, after)
            before = after
        return False

    # --- Matching --------------------------------------------------------------------------------------------

    def _closure(self, states: frozenset[int], here: _Here) -> tuple[frozenset[int], bool]:
        """All states that can be in without consuming anything; a match may begin anywhere."""
        key = (states, here)
        if key not in self._closures:
            if len(self._closures) > _CACHE:
                self._closures.clear()
            todo, reached = [*states, self._start], set[int]()
            while todo:
                number = todo.pop()
                if number in reached:
                    continue
                reached.add(number)
                state = self._states[number]
                if state.test is None and (state.at is None or state.at(here)):
                    todo.extend(state.to)
            consuming = frozenset(n for n in reached if self._states[n].test is not None)
            self._closures[key] = (consuming, self._accept in reached)
        return self._closures[key]

    def _move(self, states: frozenset[int], char: str) -> frozenset[int]:
        if not char:
            return frozenset()
        key = (states, char)
        if key not in self._moves:
            if len(self._moves) > _CACHE:
                self._moves.clear()
            hits = [self._states[n] for n in states if (test := self._states[n].test) is not None and test(char)]
            self._moves[key] = frozenset(n for state in hits for n in state.to)
        return self._moves[key]

    # --- Building: each method returns the state to enter, given the state to go on to ------------------------

    def _add(self, state: _State) -> int:
        if len(self._states) >= MAX_STATES:
            raise PatternError("pattern too large: shorten its counted repetitions")
        self._states.append(state)
        return len(self._states) - 1

    def _sequence(self, items: Iterable[Any], flags: int, then: int) -> int:
        for item in reversed(list(items)):
            then = self._item(item, flags, then)
        return then

    def _item(self, item: Any, flags: int, then: int) -> int:
        name, value = str(item[0]), item[1]
        match name:
            case _ if name in _ONE_CHARACTER:
                return self._add(_State(test=_predicate(name, value, flags), to=(then,)))
            case "AT":
                return self._add(_State(at=_place(str(value), flags), to=(then,)))
            case "BRANCH":
                return self._add(_State(to=tuple(self._sequence(branch, flags, then) for branch in value[1])))
            case "SUBPATTERN":
                _, added, removed, inner = value
                if (added | removed) & ~_FLAGS:
                    raise PatternError("only the flags i, m, s and x are supported")
                return self._sequence(inner, (flags | added) & ~removed, then)
            case "MAX_REPEAT" | "MIN_REPEAT":
                return self._repeat(value, flags, then)
            case "ASSERT" | "ASSERT_NOT":
                return self._add(_State(at=_glance(value, flags, wanted=name == "ASSERT"), to=(then,)))
        raise _unsupported(name)

    def _repeat(self, value: Any, flags: int, then: int) -> int:
        least, most, inner = int(value[0]), int(value[1]), value[2]
        if max(least, 0 if str(value[1]) == "MAXREPEAT" else most) > MAX_REPEAT:
            raise PatternError(f"a counted repetition may not exceed {MAX_REPEAT}")
        if str(value[1]) == "MAXREPEAT":
            loop = self._add(_State())
            self._states[loop].to = (self._sequence(inner, flags, loop), then)
            then = loop
        else:
            exit_ = then
            for _ in range(most - least):
                then = self._add(_State(to=(self._sequence(inner, flags, then), exit_)))
        for _ in range(least):
            then = self._sequence(inner, flags, then)
        return then


def _unsupported(name: str) -> PatternError:
    what = {
        "GROUPREF": "a back-reference",
        "GROUPREF_EXISTS": "a conditional group",
        "ATOMIC_GROUP": "an atomic group",
        "POSSESSIVE_REPEAT": "a possessive quantifier",
    }.get(name, name.lower())
    return PatternError(f"{what} is not supported, because it cannot be matched in linear time")


def _predicate(name: str, value: Any, flags: int) -> Predicate:
    if name == "ANY":
        return (lambda _: True) if flags & re.DOTALL else (lambda char: char != "\n")
    parts = value if name == "IN" else [(name.removeprefix("NOT_"), value)]
    negate = name == "NOT_LITERAL" or str(parts[0][0]) == "NEGATE"
    tests = [_part(str(kind), argument) for kind, argument in parts if str(kind) != "NEGATE"]

    def matches(char: str) -> bool:
        variants = {char, char.lower(), char.upper()} if flags & re.IGNORECASE else {char}
        return any(test(variant) for test in tests for variant in variants) != negate

    return matches


def _part(kind: str, argument: Any) -> Predicate:
    match kind:
        case "LITERAL":
            return lambda char: char == chr(argument)
        case "RANGE":
            low, high = argument
            return lambda char: len(char) == 1 and low <= ord(char) <= high
        case "CATEGORY":
            negated, base = "_NOT_" in str(argument), str(argument).rsplit("_", 1)[-1]
            test = {"DIGIT": str.isdecimal, "SPACE": str.isspace, "WORD": _is_word}[base]
            return lambda char: test(char) != negated
    raise _unsupported(kind)


def _is_word(char: str) -> bool:
    return char.isalnum() or char == "_"


def _glance(value: Any, flags: int, *, wanted: bool) -> Place:
    """Look-around of one character is only a condition on the place."""
    direction, inner = value
    parts = list(inner)
    if len(parts) != 1 or str(parts[0][0]) not in _ONE_CHARACTER:
        raise PatternError("look-around of more than one character is not supported, as it needs backtracking")
    test = _predicate(str(parts[0][0]), parts[0][1], flags)

    def holds(here: _Here) -> bool:
        char = here.before if direction < 0 else here.after
        return (bool(char) and test(char)) == wanted

    return holds


def _place(name: str, flags: int) -> Place:
    multiline = bool(flags & re.MULTILINE)
    match name:
        case "AT_BEGINNING" if multiline:
            return lambda here: here.before in ("", "\n")
        case "AT_BEGINNING" | "AT_BEGINNING_STRING":
            return lambda here: not here.before
        case "AT_END" if multiline:
            return lambda here: here.after in ("", "\n")
        case "AT_END":
            return lambda here: not here.after or (here.last and here.after == "\n")
        case "AT_END_STRING":
            return lambda here: not here.after
        case "AT_BOUNDARY":
            return lambda here: _is_word(here.before) != _is_word(here.after)
        case "AT_NON_BOUNDARY":
            return lambda here: _is_word(here.before) == _is_word(here.after)
    raise _unsupported(name)
