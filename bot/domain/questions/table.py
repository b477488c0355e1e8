"""All kinds of question, and which of them a question is: the most particular that fits, else the longest fit."""

import difflib
import re
from collections.abc import Iterator
from functools import cache, partial

from bot.domain.card import newest_findings
from bot.domain.next_step import next_step
from bot.domain.questions import cause, change, course, impact, pager, people, plan, provider, runbook
from bot.domain.questions.kind import SPECIFIC, Case, Kind
from bot.domain.questions.words import would_tell
from bot.domain.statement import Statement, plain
from bot.domain.view import IncidentView

NAMED = SPECIFIC + 2
"""A question that names a probe or a cause of this incident is about that one, unless it asks for an act or a whole."""


def help_(_: Case) -> Iterator[Statement]:
    """What can be asked."""
    asks = "; ".join(kind.asks for kind in KINDS if kind.name not in _UNLISTED)
    yield Statement(text=f"Ask me, for example: {asks}.")
    yield Statement(text="Name a probe or a cause to hear about it. Tell me with `hint: …`, `did: …` or `note: …`.")


def not_known(case: Case) -> Iterator[Statement]:
    """The honest answer, and what would give a better one."""
    yield Statement(text="I don't know.", known=False)
    would = list(would_tell(case))
    yield from would or [Statement(text=plain(next_step(case.view), 300), known=False)]
    yield Statement(text="Ask me `help` to see what I can answer.", known=False)


HELP = Kind(name="help", asks="help", rank=SPECIFIC, reply=help_,
            pattern=r"^\W*help\W*$|\bwhat can (i|we) ask\b|\bwhat (can|do) you (answer|know|do)\b|"
                    r"\bwhat questions\b|\bhow (do|can) (i|we) (use|ask|talk to) you\b")  # fmt: skip
KINDS: tuple[Kind, ...] = (*course.KINDS, *cause.KINDS, *impact.KINDS, *provider.KINDS, *change.KINDS, *people.KINDS,
                           *pager.KINDS, *plan.KINDS, *runbook.KINDS, HELP)  # fmt: skip
"""Every kind; of two that fit equally well, the first."""
OTHER = Kind(name="other", asks="", pattern="", rank=0, reply=not_known)
_UNLISTED = frozenset({"help", "no_votes"})


def kind_of(text: str, view: IncidentView) -> Kind:
    """The kind that a normalised question is; :data:`OTHER` if none."""
    named = _named(text, view)
    best = _best(text)
    if named is not None and (best is None or best.rank <= NAMED):
        return named
    return best or OTHER


def corrected(text: str) -> str:
    """The question with words that are nearly a word of ours in place of it."""
    return " ".join(_nearest(word) for word in text.split(" "))


def _best(text: str) -> Kind | None:
    found: tuple[int, int] | None = None
    best = None
    for kind in KINDS:
        match = _compiled(kind.pattern).search(text)
        if match is not None:
            score = (kind.rank, len(match.group()))
            if found is None or score > found:
                found, best = score, kind
    return best


def _named(text: str, view: IncidentView) -> Kind | None:
    for hypothesis in view.diagnosis.ranked if view.diagnosis else ():
        if hypothesis.mode != "other" and (_mentions(text, hypothesis.mode) or hypothesis.title.lower() in text):
            return Kind(name="cause", asks="", pattern="", rank=NAMED,
                        reply=partial(cause.about_cause, mode=hypothesis.mode))  # fmt: skip
    for probe in dict.fromkeys([*(finding.probe for finding in newest_findings(view)), *view.running]):
        if _mentions(text, probe):
            return Kind(name="probe", asks="", pattern="", rank=NAMED, reply=partial(cause.about_probe, probe=probe))
    return None


def _mentions(text: str, name: str) -> bool:
    plain_name = re.sub(r"[-_]", " ", name.lower())
    return re.search(rf"\b({re.escape(name.lower())}|{re.escape(plain_name)})\b", text) is not None


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)


@cache
def _vocabulary() -> tuple[str, ...]:
    words = {word for kind in KINDS for word in re.findall(r"[a-z]{5,}", f"{kind.asks} {kind.pattern}".lower())}
    return tuple(sorted(words))


def _nearest(word: str) -> str:
    bare = word.strip("?!.,:;")
    if len(bare) < 5 or not bare.isalpha() or bare in _vocabulary():
        return word
    close = difflib.get_close_matches(bare, _vocabulary(), n=1, cutoff=0.8)
    return close[0] if close else word
