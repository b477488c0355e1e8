"""A statement: one escaped sentence of an answer with its references. Answers are made of nothing else."""

from dataclasses import dataclass

from bot.domain.untrusted import escape, line
from bot.domain.view import IncidentView, ProposalView


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """An answer as Slack mrkdwn, what it rests on, and whether it answers the question at all."""

    text: str
    references: tuple[str, ...]
    known: bool
    picture: bool = False
    """Whether a picture of the incident is to go with it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """One sentence of an answer: mrkdwn that is already escaped, and how we know."""

    text: str
    refs: tuple[str, ...] = ()
    known: bool = True


def code(ref: str) -> str:
    """A reference as it is printed."""
    return f"`{escape(line(ref, 100))}`"


def current(view: IncidentView) -> ProposalView | None:
    """The proposal that a question about "it" means."""
    if view.open_proposal is not None:
        return view.open_proposal
    return next((pv for pv in reversed(view.proposals) if pv.apply is not None), None)


def refs_of(view: IncidentView, *kinds: str) -> tuple[str, ...]:
    """The newest timeline entry of these kinds, as a reference."""
    entries = view.entries(*kinds)
    return (f"#{entries[-1].seq}",) if entries else ()


def plain(text: str, limit: int = 120) -> str:
    """Our own words and names from the catalogue, escaped for Slack mrkdwn."""
    return escape(line(text, limit))
