"""The golden sets: sixty questions for each of three applications, with answers that a program can check.

Made by formula, so the simulated model knows the right answers without being told them. ``python -m drills.golden``
writes the files of the example catalogue again.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

from drills.draws import uniform
from drills.quality import DIFFICULTY_MEAN, DIFFICULTY_SPREAD

SETS = ("chat", "support", "agent")
_SEED = 20_261_122


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """One question. ``right`` passes all checks, ``wrong`` fails at least one."""

    id: str
    input: str
    checks: tuple[Mapping[str, Any], ...]
    right: str
    wrong: str
    tags: tuple[str, ...] = ()
    difficulty: float = field(default=DIFFICULTY_MEAN)

    def line(self) -> str:
        """As it stands in the file: without the answers."""
        document = {"id": self.id, "input": self.input, "checks": list(self.checks), "tags": list(self.tags)}
        return json.dumps(document, ensure_ascii=False)


@lru_cache(maxsize=8)
def items(name: str) -> tuple[Item, ...]:
    """All items of a set. Raises :class:`KeyError` for a set that does not exist."""
    make = {"chat": _chat, "support": _support, "agent": _agent}[name]
    return tuple(make(number) for number in range(1, 61))


@lru_cache(maxsize=1)
def by_input() -> Mapping[str, Item]:
    """Every item by its question, as the simulated model recognises it."""
    return {item.input: item for name in SETS for item in items(name)}


def _difficulty(item_id: str) -> float:
    """Normal, from twelve uniforms: the same on every machine."""
    spread = sum(uniform(_SEED, "difficulty", item_id, part) for part in range(12)) - 6.0
    return round(DIFFICULTY_MEAN + DIFFICULTY_SPREAD * spread, 4)


_CAPITALS = (
    ("France", "Paris", "Lyon"), ("Japan", "Tokyo", "Osaka"), ("Kenya", "Nairobi", "Mombasa"),
    ("Canada", "Ottawa", "Toronto"), ("Australia", "Canberra", "Sydney"), ("Brazil", "Brasília", "Rio de Janeiro"),
    ("Turkey", "Ankara", "Istanbul"), ("Vietnam", "Hanoi", "Da Nang"), ("Morocco", "Rabat", "Casablanca"),
    ("Chile", "Santiago", "Valparaíso"), ("Norway", "Oslo", "Bergen"), ("Poland", "Warsaw", "Kraków"),
    ("Egypt", "Cairo", "Alexandria"), ("Nepal", "Kathmandu", "Pokhara"), ("Peru", "Lima", "Cusco"),
    ("Finland", "Helsinki", "Tampere"), ("Ghana", "Accra", "Kumasi"), ("Portugal", "Lisbon", "Porto"),
    ("Austria", "Vienna", "Graz"), ("Uruguay", "Montevideo", "Salto"),
)  # fmt: skip
_WORDS = (
    "harbour", "lantern", "meadow", "copper", "winter", "saddle", "pepper", "marble", "timber", "velvet",
    "orchid", "canyon", "puzzle", "silver", "garden", "violin", "thunder", "compass", "feather", "village",
)  # fmt: skip


def _chat(number: int) -> Item:
    item_id = f"chat-{number:03d}"
    place, kind = divmod(number - 1, 3)
    common: dict[str, Any] = {"id": item_id, "difficulty": _difficulty(item_id)}
    if kind == 0:
        country, capital, other = _CAPITALS[place]
        return Item(
            **common, input=f"What is the capital of {country}? Answer in one short sentence.",
            checks=({"contains": capital},), right=f"The capital of {country} is {capital}.",
            wrong=f"The capital of {country} is {other}.", tags=("facts",),
        )  # fmt: skip
    if kind == 1:
        left, right = 17 + 3 * place, 12 + 5 * ((place * 7) % 11)
        return Item(
            **common, input=f"What is {left} plus {right}? Give the number only.",
            checks=({"regex": rf"(?<!\d){left + right}(?!\d)"},), right=str(left + right),
            wrong=str(left + right + 10), tags=("arithmetic",),
        )  # fmt: skip
    word = _WORDS[place]
    return Item(
        **common, input=f"Write the word {word!r} in capital letters and nothing else.",
        checks=({"exact": word.upper()},), right=word.upper(), wrong=word.capitalize(), tags=("format",),
    )  # fmt: skip


_PLANS = (("Starter", 9, 2, 14), ("Team", 29, 10, 30), ("Business", 79, 50, 30), ("Scale", 199, 250, 60),
          ("Enterprise", 499, 1000, 90), ("Student", 4, 1, 7))  # fmt: skip
_ERRORS = (("E-1042", "the upload is larger than 50 MB"), ("E-2107", "the session has expired"),
           ("E-3311", "the file is locked by another user"), ("E-4480", "the licence has no free seats"),
           ("E-5023", "the export is still running"), ("E-6154", "the domain is not verified"))  # fmt: skip
_TOPICS = (
    ("How many seats does the {0} plan include?", "The {0} plan includes {2} seats.", "{2}"),
    ("What does the {0} plan cost a month?", "The {0} plan costs ${1} a month.", "${1}"),
    ("How many days do customers on the {0} plan have to ask for a refund?",
     "On the {0} plan a refund can be asked for within {3} days.", "{3} days"),
)  # fmt: skip
_FRESH = (
    "Which release is current on the {0} plan since this week?",
    "The {0} plan runs release {1}.4.{2}.",
    "{1}.4.{2}",
)


def _support(number: int) -> Item:
    item_id = f"support-{number:03d}"
    common: dict[str, Any] = {"id": item_id, "difficulty": _difficulty(item_id)}
    if number > 52:
        plan = _PLANS[(number - 53) % len(_PLANS)]
        place = (number - 53) // len(_PLANS)
        question, answer, needle = _FRESH
        values = (f"{plan[0]} {'EU' if place else 'US'}", plan[1] % 7 + 2, plan[2] % 9 + place)
        return Item(
            **common, input=question.format(*values), checks=({"contains": needle.format(*values)},),
            right=answer.format(*values), wrong=f"The {values[0]} plan runs release {values[1]}.3.9.",
            tags=("retrieval", "fresh"),
        )  # fmt: skip
    place, kind = divmod(number - 1, 4)
    if kind == 3:
        code, meaning = _ERRORS[place % len(_ERRORS)]
        where = ("the web app", "the desktop app", "the API")[place // len(_ERRORS) % 3]
        return Item(
            **common, input=f"A customer sees {code} in {where}. What does it mean?",
            checks=({"contains": meaning.split(" ", 2)[-1]},), right=f"{code} in {where} means that {meaning}.",
            wrong=f"{code} is an internal error; restarting {where} usually helps.", tags=("retrieval",),
        )  # fmt: skip
    plan = _PLANS[place % len(_PLANS)]
    question, answer, needle = _TOPICS[kind]
    where = ("", " in Europe", " for non-profits")[place // len(_PLANS) % 3]
    known = (plan[0], plan[1] + 3 * (place // len(_PLANS)), plan[2] + place // len(_PLANS), plan[3])
    return Item(
        **common, input=question.format(*known).replace("?", f"{where}?"),
        checks=({"regex": rf"(?<![\d$]){_escaped(needle.format(*known))}(?!\d)"},), right=answer.format(*known),
        wrong="That depends on the contract; please ask your account manager.", tags=("retrieval",),
    )  # fmt: skip


def _escaped(text: str) -> str:
    return text.replace("$", r"\$").replace(".", r"\.")


_ACTIONS = (("cancel", "cancelled"), ("ship", "shipped"), ("refund", "refunded"), ("hold", "put on hold"),
            ("re-route", "re-routed"))  # fmt: skip


def _agent(number: int) -> Item:
    item_id = f"agent-{number:03d}"
    verb, done = _ACTIONS[number % len(_ACTIONS)]
    order = 70_000 + number * 137
    return Item(
        id=item_id, difficulty=_difficulty(item_id),
        input=f"Please {verb} order {order} and confirm with the order number.",
        checks=({"contains": str(order)}, {"contains": done}), right=f"Order {order} has been {done}.",
        wrong=f"I could not find order {order + 1}.", tags=("tools", verb),
    )  # fmt: skip


def write(folder: Path) -> None:
    """Write all sets as JSON lines."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in SETS:
        lines = [item.line() for item in items(name)]
        (folder / f"{name}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    from drills.corpus import INDEX, canaries  # noqa: PLC0415 - the documents are made from these sets

    known = [json.dumps(canary, ensure_ascii=False) for canary in canaries()]
    (folder / f"{INDEX}.jsonl").write_text("\n".join(known) + "\n", encoding="utf-8")


if __name__ == "__main__":
    write(Path(__file__).resolve().parent.parent / "config" / "example" / "golden")
