"""The PromQL subset that the world answers: its grammar and its parser.

::

    expr      := aggregate | call | selector
    aggregate := ("sum"|"max"|"min"|"avg"|"count") ["by" labels] "(" expr ")" ["by" labels]
    call      := ("rate"|"increase") "(" selector "[" duration "]" ")" | "histogram_quantile" "(" number "," expr ")"
    selector  := name ["{" matcher ("," matcher)* "}"] | "{" matchers "}"

No arithmetic, no ``offset``, no subqueries. ``promql_eval.py`` evaluates.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass

AGGREGATES = ("sum", "max", "min", "avg", "count")


class PromqlError(ValueError):
    """The query is not in the subset; the message says where."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Matcher:
    """``label op "value"``; regular expressions match the whole value."""

    label: str
    op: str
    value: str

    def matches(self, labels: Mapping[str, str]) -> bool:
        have = labels.get(self.label, "")
        if self.op in ("=", "!="):
            return (have == self.value) == (self.op == "=")
        return (re.fullmatch(self.value, have) is not None) == (self.op == "=~")


@dataclass(frozen=True, kw_only=True, slots=True)
class Selector:
    """A metric's series; ``window_s`` is set inside ``rate`` and ``increase``."""

    name: str
    matchers: tuple[Matcher, ...]
    window_s: float = 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Rate:
    """``rate`` or ``increase``."""

    function: str
    selector: Selector


@dataclass(frozen=True, kw_only=True, slots=True)
class Quantile:
    """``histogram_quantile``."""

    q: float
    of: "Expr"


@dataclass(frozen=True, kw_only=True, slots=True)
class Aggregate:
    """``sum by (a, b) (...)``."""

    function: str
    by: tuple[str, ...]
    of: "Expr"


Expr = Selector | Rate | Quantile | Aggregate

# --- parsing ---------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(
    r"""\s*(?:(?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
    |(?P<duration>\d+(?:ms|[smhdwy])(?:\d+(?:ms|[smhdwy]))*)
    |(?P<number>[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?)
    |(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)
    |(?P<op>=~|!~|!=|[={}()\[\],]))""",
    re.VERBOSE,
)
_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0, "y": 31_536_000.0}


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    at: int


def _tokens(query: str) -> list[_Token]:
    found, place = [], 0
    while place < len(query):
        if not query[place:].strip():
            break
        match = _TOKEN.match(query, place)
        if match is None:
            where = place + len(query[place:]) - len(query[place:].lstrip())
            raise PromqlError(f"1:{where + 1}: parse error: unexpected character {query[where]!r}")
        kind = match.lastgroup or ""
        found.append(_Token(kind, match.group(kind), match.start(kind)))
        place = match.end()
    return [*found, _Token("end", "end of input", len(query))]


def parse(query: str) -> Expr:
    """Parse a query. Raises :class:`PromqlError`."""
    if len(query) > 4000:
        raise PromqlError("query is longer than 4000 characters")
    parser = _Parser(_tokens(query))
    expr = parser.expr(0)
    parser.expect("end")
    return expr


class _Parser:
    def __init__(self, tokens: list[_Token]) -> None:
        self._tokens = tokens
        self._next = 0

    @property
    def _head(self) -> _Token:
        return self._tokens[self._next]

    def _take(self) -> _Token:
        token = self._head
        self._next += 1
        return token

    def _is(self, *texts: str) -> bool:
        return self._head.kind in ("op", "name") and self._head.text in texts

    def expect(self, kind: str, text: str = "") -> _Token:
        token = self._head
        if token.kind != kind or (text and token.text != text):
            wanted = repr(text) if text else kind
            raise PromqlError(f"1:{token.at + 1}: parse error: unexpected {token.text!r}, expected {wanted}")
        return self._take()

    def expr(self, depth: int) -> Expr:
        if depth > 20:
            raise PromqlError("parse error: nested too deeply")
        if self._is("{"):
            return self._selector("")
        name = self.expect("name")
        if name.text in AGGREGATES and self._is("(", "by", "without"):
            return self._aggregate(name.text, depth)
        if self._is("("):
            return self._call(name, depth)
        return self._selector(name.text)

    def _aggregate(self, function: str, depth: int) -> Aggregate:
        by = self._grouping()
        self.expect("op", "(")
        inner = self.expr(depth + 1)
        self.expect("op", ")")
        if by is None:
            by = self._grouping()
        return Aggregate(function=function, by=by or (), of=inner)

    def _grouping(self) -> tuple[str, ...] | None:
        if self._is("without"):
            raise PromqlError(f"1:{self._head.at + 1}: 'without' is not supported here, use 'by'")
        if not self._is("by"):
            return None
        self._take()
        self.expect("op", "(")
        labels: list[str] = []
        while not self._is(")"):
            labels.append(self.expect("name").text)
            if not self._is(")"):
                self.expect("op", ",")
        self._take()
        return tuple(labels)

    def _call(self, name: _Token, depth: int) -> Expr:
        if name.text not in ("rate", "increase", "histogram_quantile"):
            raise PromqlError(f"1:{name.at + 1}: unknown function with name {name.text!r}")
        self._take()
        if name.text == "histogram_quantile":
            q = float(self.expect("number").text)
            self.expect("op", ",")
            inner = self.expr(depth + 1)
            self.expect("op", ")")
            return Quantile(q=q, of=inner)
        metric = "" if self._is("{") else self.expect("name").text
        selector = self._selector(metric)
        if not selector.window_s:
            raise PromqlError(f"1:{name.at + 1}: {name.text} expects a range vector such as m[5m]")
        self.expect("op", ")")
        return Rate(function=name.text, selector=selector)

    def _selector(self, name: str) -> Selector:
        matchers: list[Matcher] = []
        if self._is("{"):
            self._take()
            while not self._is("}"):
                matchers.append(self._matcher())
                if not self._is("}"):
                    self.expect("op", ",")
            self._take()
        if not name and not any(m.label == "__name__" and m.op == "=" for m in matchers):
            raise PromqlError("a selector needs a metric name")
        window = 0.0
        if self._is("["):
            self._take()
            window = _seconds(self.expect("duration").text)
            self.expect("op", "]")
        if self._head.kind == "name" and self._head.text in ("offset", "and", "or", "unless"):
            raise PromqlError(f"1:{self._head.at + 1}: {self._head.text!r} is not supported here")
        return Selector(name=name, matchers=tuple(matchers), window_s=window)

    def _matcher(self) -> Matcher:
        label = self.expect("name").text
        op = self.expect("op")
        if op.text not in ("=", "!=", "=~", "!~"):
            raise PromqlError(f"1:{op.at + 1}: parse error: unexpected {op.text!r}, expected a label matching operator")
        value = _unquoted(self.expect("string").text)
        if op.text in ("=~", "!~"):
            try:
                re.compile(value)
            except re.error as error:
                raise PromqlError(f"1:{op.at + 1}: error parsing regexp: {error}") from error
        return Matcher(label=label, op=op.text, value=value)


def _unquoted(text: str) -> str:
    escapes = {"n": "\n", "t": "\t"}
    return re.sub(r"\\(.)", lambda m: escapes.get(m.group(1), m.group(1)), text[1:-1])


def _seconds(text: str) -> float:
    return sum(int(n) * _UNITS[unit] for n, unit in re.findall(r"(\d+)(ms|[smhdwy])", text))
