"""The examiner: asks every question about every recorded incident, and judges what is answered.

An answer is right if it holds the expected facts and references, or says that it does not know where nothing is known.
Whoever answers is behind a port: rules today, a model tomorrow, judged alike.
"""

import html
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from bot.domain import conversation
from bot.domain.view import IncidentView
from bot.exam import recorded
from bot.exam.invented import Known
from bot.wiring import specs
from config import strict_yaml

QUESTIONS = Path(__file__).parent / "questions.yaml"
INCIDENTS = ("s01", "s15", "s20", "n33", "m41")
_ABSTAINS = re.compile(r"\bdon.t know\b|\bdo not know\b|\bnot known\b|\bnot recorded\b|\bcannot tell\b", re.IGNORECASE)
_CONTROLS = re.compile(r"[`*]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Told:
    """An answer: its text, and the references that it gives beside those in the text."""

    text: str
    references: tuple[str, ...] = ()


class Answerer(Protocol):
    """Whoever is examined."""

    def answer(self, question: str, view: IncidentView) -> Told:
        """Answer a question about an incident from what is known of it."""
        ...


class Rules:
    """The built-in answers."""

    def answer(self, question: str, view: IncidentView) -> Told:
        told = conversation.answer(question, view, earlier=())
        return Told(text=told.text, references=told.references)


@dataclass(frozen=True, kw_only=True, slots=True)
class Expected:
    """What a right answer holds."""

    facts: tuple[str, ...] = ()
    never: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    abstain: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """A kind of question with its wordings, and what is expected for each incident."""

    kind: str
    ask: tuple[str, ...]
    expected: Mapping[str, Expected]


@dataclass(frozen=True, kw_only=True, slots=True)
class Mark:
    """One answer, judged."""

    incident: str
    kind: str
    question: str
    text: str
    faults: tuple[str, ...]
    invented: tuple[str, ...]
    abstained: bool
    should_abstain: bool

    @property
    def right(self) -> bool:
        return not self.faults and not self.invented


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """All marks, and the figures that follow from them."""

    marks: tuple[Mark, ...] = field(default=())

    @property
    def wrong(self) -> tuple[Mark, ...]:
        return tuple(mark for mark in self.marks if not mark.right)

    def figures(self, marks: Sequence[Mark] | None = None) -> dict[str, Any]:
        """Answers, share of right ones, and how many things were made up."""
        judged = self.marks if marks is None else marks
        return {
            "answers": len(judged),
            "kinds": len({mark.kind for mark in judged}),
            "right": round(sum(mark.right for mark in judged) / len(judged), 4) if judged else 0.0,
            "invented": sum(len(mark.invented) for mark in judged),
            "abstained": sum(mark.abstained for mark in judged),
            "abstained_wrongly": sum(mark.abstained and not mark.should_abstain and not mark.right for mark in judged),
            "known_unknowns_missed": sum(mark.should_abstain and not mark.abstained for mark in judged),
        }

    def table(self) -> dict[str, Any]:
        """The figures for each incident and overall, with every wrong answer."""
        each = {name: self.figures([m for m in self.marks if m.incident == name]) for name in INCIDENTS}
        wrong = [{"incident": m.incident, "kind": m.kind, "question": m.question, "faults": list(m.faults),
                  "invented": list(m.invented), "text": m.text} for m in self.wrong]  # fmt: skip
        return {"incidents": each, "overall": self.figures(), "wrong": wrong}


def questions(path: Path = QUESTIONS) -> tuple[Question, ...]:
    """The set of questions. Raises :class:`ValueError` where it is not of its form."""
    rows = strict_yaml.load(path.read_text("utf-8")).value
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise ValueError(f"{path} is not a list of questions")
    return tuple(_question(row) for row in rows if isinstance(row, dict))


def examine(answerer: Answerer, asked: Sequence[Question] | None = None) -> Result:
    """Ask everything about every recorded incident."""
    marks: list[Mark] = []
    for name in INCIDENTS:
        view = recorded.read(name)
        known = Known(view=view, names=frozenset(specs()))
        for question in questions() if asked is None else asked:
            expected = question.expected[name]
            for wording in question.ask:
                told = answerer.answer(wording, view)
                marks.append(judge(told, expected, known, incident=name, kind=question.kind, question=wording))
    return Result(marks=tuple(marks))


def judge(told: Told, expected: Expected, known: Known, *, incident: str, kind: str, question: str) -> Mark:
    """Judge one answer."""
    plain = _CONTROLS.sub("", html.unescape(told.text))
    abstained = _ABSTAINS.search(plain) is not None
    faults = [f"does not say: {fact}" for fact in expected.facts if not re.search(fact, plain, re.IGNORECASE)]
    faults += [f"says: {fact}" for fact in expected.never if re.search(fact, plain, re.IGNORECASE)]
    faults += [f"does not cite: {wanted}" for wanted in expected.refs if not _cites(told, wanted, known.view)]
    if expected.abstain and not abstained:
        faults.append("answers although nothing is known")
    invented = known.invented(told.text, told.references)
    return Mark(incident=incident, kind=kind, question=question, text=told.text, faults=tuple(faults),
                invented=invented, abstained=abstained, should_abstain=expected.abstain)  # fmt: skip


def _cites(told: Told, wanted: str, view: IncidentView) -> bool:
    """Whether one of the references that are meant is given."""
    meant = {ref for one in wanted.split("|") for ref in _meant(one, view)}
    return any(ref in meant for ref in told.references) or any(f"`{ref}`" in told.text for ref in meant)


def _meant(wanted: str, view: IncidentView) -> Iterator[str]:
    form, _, name = wanted.partition(":")
    match form:
        case "probe":
            yield from (finding.id for finding in view.findings if name in ("", finding.probe))
        case "fact":
            yield from (f"#{entry.seq}" for entry in view.timeline if name in ("", entry.fact.kind))
        case "change":
            yield from (change.id for change in view.changes if name in change.summary)
        case "runbook":
            known = [match.best_chunk for match in (view.retrieval.matches if view.retrieval else ())]
            known += [pv.proposal.plan.runbook for pv in view.proposals]
            yield name
            yield from (ref for ref in known if ref.startswith(name))
        case _:
            raise ValueError(f"a reference is probe:, fact:, change: or runbook:, not {wanted!r}")


def _question(row: Mapping[str, Any]) -> Question:
    for_all = row.get("all")
    expected = {name: row.get(name, for_all) for name in INCIDENTS}
    missing = [name for name, what in expected.items() if what is None]
    if missing or not row.get("ask"):
        raise ValueError(f"{row.get('kind')}: nothing is asked, or expected of {', '.join(missing)}")
    made = {name: Expected(facts=tuple(what.get("facts", ())), never=tuple(what.get("never", ())),
                           refs=tuple(what.get("refs", ())), abstain=bool(what.get("abstain", False)))
            for name, what in expected.items() if what is not None}  # fmt: skip
    return Question(kind=str(row["kind"]), ask=tuple(row["ask"]), expected=made)
