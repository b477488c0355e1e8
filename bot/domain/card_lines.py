"""What a card is made of: facts that belong together, as plain text."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One fact. All of it is plain text, some of it untrusted: a surface shows it, and never interprets it."""

    text: str
    label: str = ""
    mark: str = ""
    refs: tuple[str, ...] = ()
    """Evidence ids, ``runbook#section`` or ``#entry`` of the timeline: how we know."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """Facts that belong together."""

    key: str
    title: str
    """Empty where the lines' own labels say enough."""
    lines: tuple[Line, ...]
    small: bool = False
    """Shown in small print: read before a decision, not at a glance."""
