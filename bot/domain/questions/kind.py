"""A kind of question: what it is called, how it is asked, and what is answered from an incident's view."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from bot.domain.statement import Statement
from bot.domain.view import IncidentView


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """What a question is about: an incident, and earlier ones of the same service where they were looked up."""

    view: IncidentView
    earlier: Sequence[IncidentView] | None = None
    """Newest first; None: nobody looked, which is not the same as that there are none."""


Reply = Callable[[Case], Iterator[Statement]]

SPECIFIC, USUAL, GENERAL = 3, 2, 1
"""How particular a kind is: of two that fit a question, the more particular one is meant."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """One row of the table of questions."""

    name: str
    asks: str
    """How a person might ask; shown by help."""
    pattern: str
    """Regular expression that occurs in the question: lower case, one space between words, straight apostrophes."""
    reply: Reply
    rank: int = USUAL
    picture: bool = False
    """Whether a picture of the incident goes with the answer."""
    limit: int = 4
    """Statements of an answer at most."""
