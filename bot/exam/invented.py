"""What an answer says that its incident does not: references, numbers, times and names that are in no fact.

Everything in a view counts as a fact, numbers in each form in which people write them, and what follows by counting
and adding. Words of plain English are not judged; what has the shape of a name is, except at the beginning of a
sentence, where every word has it.
"""

import html
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any

from bot.domain import codec, wording
from bot.domain.card import known_references
from bot.domain.incident import MAX_ATTEMPTS
from bot.domain.stakeholder import next_due
from bot.domain.view import IncidentView

WORDING = frozenset({
    "utc", "pagerduty", "slack", "pagerunner", "post", "i", "oncall", "api", "changes", "hint", "did", "note",
    "tldr", "approve", "reject", "escalate", "unfreeze", "probe", "list", "export", "runbook", "help", "hand-over",
    "on-call",
})  # fmt: skip
"""Names of ourselves and of our commands, which no incident has to mention."""

_REFERENCE = re.compile(r"\b(?:ev|chg|inc|pr)-[0-9a-f]{4,}\b|(?<![\w&])#\d+\b|\b[a-z][a-z0-9-]+[#!][a-z0-9-]+\b")
_TIME = re.compile(r"\b\d{4}-\d{2}-\d{2}\b|\b\d{1,2}:\d{2}(?::\d{2})?\b")
_NUMBER = re.compile(r"\d+(?:,\d{3})+(?:\.\d+)?|\d+(?:\.\d+)?(?:e-?\d+)?")
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*[A-Za-z0-9]|[A-Za-z]")
_ISO = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}")


@dataclass(frozen=True, kw_only=True)
class Known:
    """What may be said about one incident, and about the earlier ones that were looked up."""

    view: IncidentView
    earlier: tuple[IncidentView, ...] = ()
    names: frozenset[str] = frozenset()
    """What exists apart from the incident, such as probes that were not run."""

    def invented(self, text: str, references: tuple[str, ...] = ()) -> tuple[str, ...]:
        """Everything in an answer that is not in the facts; empty if nothing was made up."""
        plain = html.unescape(text)
        found = [ref for ref in (*references, *_REFERENCE.findall(plain)) if ref not in self.references]
        plain = _REFERENCE.sub(" ", plain)
        found += [time for time in _TIME.findall(plain) if time not in self.times and time not in self._text]
        plain = _TIME.sub(" ", plain)
        found += [name for name in _names(plain) if not self._is_known(name)]
        found += [number for number in _numbers(plain) if number not in self.numbers]
        return tuple(dict.fromkeys(found))

    @cached_property
    def references(self) -> frozenset[str]:
        views = (self.view, *self.earlier)
        own = {view.incident.id for view in views} | {pv.proposal.id for view in views for pv in view.proposals}
        return frozenset(own).union(*(known_references(view) for view in views))

    @cached_property
    def _values(self) -> tuple[Any, ...]:
        return tuple(value for view in (self.view, *self.earlier) for value in _leaves(codec.dump(view)))

    @cached_property
    def _text(self) -> str:
        return "\n".join(value for value in self._values if isinstance(value, str))

    @cached_property
    def times(self) -> frozenset[str]:
        """Moments of the facts, of the ends of what has a duration, and of the next update for stakeholders."""
        moments = [datetime.fromisoformat(v) for v in self._values if isinstance(v, str) and _ISO.match(v)]
        ahead = next_due(self.view)
        moments += [ahead] if ahead is not None else []
        moments += [f.started_at + timedelta(seconds=f.elapsed_s) for f in self.view.findings]
        return frozenset(at.strftime(form) for at in moments for form in ("%Y-%m-%d", "%H:%M", "%H:%M:%S"))

    @cached_property
    def numbers(self) -> frozenset[str]:
        """Numbers of the facts in all their forms, and what follows from them by counting and adding."""
        known = set(_numbers(self._text))
        floats = [float(v) for v in self._values if isinstance(v, int | float) and not isinstance(v, bool)]
        for value in (*floats, *self._derived()):
            known.update(n for form in _forms(value) for n in _numbers(form))
        return frozenset(known)

    def _derived(self) -> Iterator[float]:
        view = self.view
        yield MAX_ATTEMPTS
        yield from (1 - h.probability for h in (view.diagnosis.ranked if view.diagnosis else ()))
        tokens = sum(f.reading.tokens for f in view.findings)
        yield from (tokens, sum(f.reading.usd for f in view.findings))
        for counted in (view.findings, view.timeline, view.changes, view.proposals, view.running):
            yield len(counted)
        yield max(0, len(view.changes) - 3)
        for pv in view.proposals:
            yield sum(vote.decision == "approve" for vote in pv.votes)
            yield from (pv.proposal.plan.lease_s or 0, pv.proposal.plan.verify_within_s)

    @cached_property
    def _names(self) -> frozenset[str]:
        words = {word.lower() for word in _WORD.findall(self._text)}
        return frozenset(words | {part for word in words for part in re.split(r"[-_.]", word)})

    def _is_known(self, name: str) -> bool:
        low = name.lower()
        return low in self._names or low in self.names or low in WORDING or low in self._text.lower()


def _names(text: str) -> Iterator[str]:
    """Words with the shape of a name: in a code span, with an inner sign or digit, or in capitals amid a sentence."""
    for number, part in enumerate(text.split("`")):
        begins = True
        for match in _WORD.finditer(part):
            word, before = match.group(), part[: match.start()].rstrip(' "“(*•✓✗?!…–')
            begins = not before or before[-1] in ".:?!\n;"
            shaped = any(sign in word for sign in "_-.") or (any(map(str.isdigit, word)) and not word[0].isdigit())
            if re.fullmatch(r"[\d.,]+(?:e-\d+)?", word):
                continue
            if shaped or (number % 2 and len(part.split()) == 1) or (word[0].isupper() and not begins):
                yield word


def _numbers(text: str) -> Iterator[str]:
    """Numbers in one form: no separators between thousands, no zeros at the end of a fraction."""
    for number in _NUMBER.findall(text):
        plain = number.replace(",", "")
        yield plain.rstrip("0").rstrip(".") if "." in plain and "e" not in plain else plain


def _forms(value: float) -> Iterator[str]:
    yield from (wording.number(value), wording.percent(value), wording.duration(abs(value)), wording.usd(value))
    yield from (wording.seconds(abs(value)), f"{value:.3f}", f"{value:.2f}", f"{value:.1f}", f"{value:.0f}")
    yield from (f"{value * 100:.1f}", f"{value * 100:.0f}", f"{round(value, 3):g}")


def _leaves(data: Any) -> Iterator[Any]:
    if isinstance(data, Mapping):
        for key, value in data.items():
            yield str(key)
            yield from _leaves(value)
    elif isinstance(data, list | tuple):
        for value in data:
            yield from _leaves(value)
    elif data is not None:
        yield data
