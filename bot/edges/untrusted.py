"""Text from outside, made fit to be stored and shown: what cannot be seen is made visible, what is long is cut."""

import unicodedata
from collections.abc import Callable

REPLACEMENT = "�"
CUT = " … [cut]"

Redact = Callable[[str], str]
"""Takes secrets out of a text."""

_INVISIBLE = frozenset({0x00AD, 0x034F, 0x061C, 0x115F, 0x1160, 0x17B4, 0x17B5, 0x2800, 0x3164, 0xFFA0, 0xFEFF})


def clean(text: str, *, lines: bool = False) -> str:
    """Control, zero-width, bidirectional, tag and unassigned characters become U+FFFD, one for each run; with
    ``lines``, newlines and tabs stay, otherwise they become spaces."""
    out: list[str] = []
    for character in text.replace("\r\n", "\n"):
        if character in "\n\t":
            out.append(character if lines else " ")
        elif not _hidden(character):
            out.append(character)
        elif not out or out[-1] != REPLACEMENT:
            out.append(REPLACEMENT)
    return "".join(out)


def cut(text: str, limit: int) -> str:
    """At most ``limit`` characters, with a mark where something is missing."""
    return text if len(text) <= limit else text[: max(0, limit - len(CUT))] + CUT


def _hidden(character: str) -> bool:
    code = ord(character)
    if code < 0x7F:
        return code < 0x20
    if code in _INVISIBLE or 0xFE00 <= code <= 0xFE0E or 0xE0000 <= code <= 0xE0FFF:
        return True
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")
