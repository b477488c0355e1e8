"""What people said of an incident that is over: whether the cause was right. The newest word of each person counts."""

from collections.abc import Mapping
from typing import Literal, get_args

from bot.domain.timeline import Entry
from bot.domain.untrusted import line
from bot.domain.view import IncidentView

Verdict = Literal["right_cause", "wrong_cause", "noise"]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)
WORDS: Mapping[str, str] = {"right_cause": "right cause", "wrong_cause": "wrong cause", "noise": "noise"}


def verdicts(view: IncidentView) -> tuple[Entry, ...]:
    """The newest verdict of each person, in the order in which people first gave one."""
    newest = {entry.fact.actor: entry for entry in view.entries("verdict_given") if _known(entry)}
    return tuple(newest.values())


def given(view: IncidentView) -> list[str]:
    """Who said what: ``right cause (Ana Ruiz)``, in the order of :data:`VERDICTS`."""
    said = verdicts(view)
    of = {word: [_name(e) for e in said if e.fact.data["verdict"] == word] for word in VERDICTS}
    return [f"{WORDS[word]} ({', '.join(names)})" for word, names in of.items() if names]


def _known(entry: Entry) -> bool:
    return entry.fact.data.get("verdict") in VERDICTS


def _name(entry: Entry) -> str:
    return line(str(entry.fact.data.get("by") or entry.fact.actor), 40)
