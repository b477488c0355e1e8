"""Untrusted text made fit to be shown: nothing invisible, nothing that reorders, nothing that runs on.

The card, the answers in chat and the exports use this; each sink adds its own escaping afterwards.
"""

import re
import unicodedata
from dataclasses import dataclass

REPLACEMENT = "\ufffd"
NEWLINE = "\u23ce"
"""Stands for a line break where one line is shown, so that it stays visible."""

FACT = 120
"""Longest fact of a plan that is shown whole."""

_HIDDEN = frozenset({"Cc", "Cf", "Co", "Cs", "Cn", "Zl", "Zp"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
_HOST = re.compile(r"(?:[\w-]+\.)+[\w-]{2,}")
_WORD = re.compile(r"[^\W\d_]{2,}")
_SCRIPTS = frozenset({"LATIN", "CYRILLIC", "GREEK", "ARMENIAN", "CHEROKEE", "FULLWIDTH", "MATHEMATICAL"})


@dataclass(frozen=True, kw_only=True, slots=True)
class Shown:
    """A text as people see it. ``problem`` says in plain words why it is not exactly the original; empty if it is."""

    text: str
    problem: str = ""

    @property
    def whole(self) -> bool:
        """Whether what is shown is all there is."""
        return not self.problem


def clean(text: str, *, lines: bool = False) -> tuple[str, int]:
    """Replace every invisible, reordering or private character by U+FFFD; say how many there were.

    Line breaks and tabs become :data:`NEWLINE` and a space, unless ``lines`` keeps them.
    """
    out: list[str] = []
    replaced = 0
    for character in text.replace("\r\n", "\n").replace("\r", "\n"):
        if character == "\n":
            out.append("\n" if lines else NEWLINE)
        elif character == "\t":
            out.append("\t" if lines else " ")
        elif unicodedata.category(character) in _HIDDEN or character in _BLANK_LETTERS:
            out.append(REPLACEMENT)
            replaced += 1
        else:
            out.append(character)
    return "".join(out), replaced


def elide(text: str, limit: int = FACT) -> str:
    """Cut out the middle when longer than ``limit``, and say how long it is."""
    if len(text) <= limit:
        return text
    note = f" ({len(text):,} characters)"
    room = max(limit - len(note) - 1, 2)
    tail = room // 3
    return f"{text[: room - tail]}…{text[len(text) - tail :]}{note}"


def fact(text: str, limit: int = FACT) -> Shown:
    """One line of at most ``limit`` characters, and whether it shows the original without a difference."""
    cleaned, replaced = clean(text)
    hosts, renamed = _ascii_hosts(cleaned)
    problem = ""
    if replaced:
        problem = f"{replaced} invisible characters"
    elif renamed:
        problem = "a host name that is not plain ASCII"
    elif mixed_alphabets(cleaned):
        problem = "a word that mixes alphabets"
    elif len(hosts) > limit:
        problem = f"longer than {limit} characters"
    return Shown(text=elide(hosts, limit), problem=problem)


def line(text: str, limit: int = FACT) -> str:
    """The text of :func:`fact`, for where a difference does not matter: shown whole if it is a little longer than
    ``limit``, and else cut after a word."""
    whole = fact(text, 2 * len(text) + FACT).text
    if len(whole) <= limit + limit // 5:
        return whole
    head = whole[: limit - 1]
    at_word = head.rpartition(" ")[0]
    return f"{at_word if len(at_word) > limit // 2 else head}…"


def mixed_alphabets(text: str) -> bool:
    """Whether a word has letters of two alphabets that look alike, such as a Cyrillic a among Latin ones."""
    for word in _WORD.findall(text):
        if not word.isascii():
            scripts = {unicodedata.name(letter, "?").split(" ", 1)[0] for letter in word}
            if len(scripts & _SCRIPTS) > 1:
                return True
    return False


def escape(text: str) -> str:
    """Slack's three entities. Cut before, never after: an entity must stay whole."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def quote(text: str, limit: int = FACT) -> str:
    """Untrusted text inside Slack mrkdwn: a code span, in which no formatting, link or mention is read."""
    shown = line(text, limit).replace("`", "\u02cb").strip()
    return f"`{escape(shown)}`" if shown else "`(empty)`"


def _ascii_hosts(text: str) -> tuple[str, bool]:
    """Host names as the resolver sees them, so that a look-alike shows itself."""
    renamed = False

    def ascii_form(match: re.Match[str]) -> str:
        nonlocal renamed
        host = match.group()
        if host.isascii():
            return host
        renamed = True
        try:
            return host.encode("idna").decode("ascii")
        except UnicodeError:
            return "".join(c if c.isascii() else REPLACEMENT for c in host)

    return _HOST.sub(ascii_form, text), renamed
