"""Text from outside on its way in: secrets out, nothing invisible, not too long."""

from collections.abc import Callable

from bot.domain.untrusted import clean

Redact = Callable[[str], str]
"""Takes secrets out of a text."""

CUT = " … [cut]"


def fit(text: str, limit: int, redact: Redact, *, lines: bool = False) -> str:
    """The text without secrets and without hidden characters, at most ``limit`` characters long.

    Secrets go first: a cut, or a replaced character in the middle, would make half of one unrecognisable.
    """
    return cut(clean(redact(text[: 8 * limit]), lines=lines)[0], limit)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, with a mark where something is missing."""
    return text if len(text) <= limit else text[: max(0, limit - len(CUT))] + CUT
