"""What text in a document looks like an order to a model. A pattern is a reason to look, never a verdict: manuals and
mails are full of imperatives. Pure.
"""

import re
from typing import Final

_OVERRIDES: Final = (
    r"\b(ignore|disregard|forget|override)\b.{0,30}\b(all|any|previous|prior|above|earlier|your)\b.{0,30}"
    r"\b(instruction|prompt|rule|guideline|direction|polic)"
)
_ROLE: Final = r"(^|\n)[ \t]{0,10}(system|assistant|developer)[ ]?:|<\|?(im_start|system|assistant)\|?>|\[/?INST\]"
_ADDRESSED: Final = (
    r"\b(note|important|attention|instructions?)\b.{0,20}\b(for|to)\b.{0,12}\b(assistant|chatbot|ai|model|llm|bot)\b"
)
_HIDES: Final = (
    r"\b(do not|don't|never)\b[^.\n]{0,20}\b(mention|reveal|tell|disclose)\b[^.\n]{0,40}\b(this|note|user|instruct)"
)
_SAYS: Final = r"\b(tell|inform|instruct|ask)\b.{0,12}\b(user|customer|reader)s?\b.{0,40}\b(that|to)\b"
_SENDS: Final = (
    r"!\[[^\]]{0,200}\]\(https?://[^)]{0,200}[?&=]|"
    r"\b(send|post|forward|append|write)\b.{0,60}\b(conversation|history|password|api key|card number|token)s?\b"
)
_INVISIBLE: Final = "[\u200b\u200c\u2060\ufeff]{2,}|[\U000e0020-\U000e007f]{3,}"
_SIGNS: Final[tuple[tuple[str, str], ...]] = (
    ("overrides instructions", _OVERRIDES),
    ("poses as another role", _ROLE),
    ("addresses the assistant", _ADDRESSED),
    ("hides itself", _HIDES),
    ("tells what to say to the user", _SAYS),
    ("sends data away", _SENDS),
    ("invisible text", _INVISIBLE),
)
_PATTERNS: Final = tuple((name, re.compile(pattern, re.IGNORECASE)) for name, pattern in _SIGNS)
_CONTACT: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,4}|https?://[^\s)\"'<>\]]{4,200}")
MOST_TEXT: Final = 20_000
ENOUGH: Final = 2
"""So many different signs make a text worth a replay."""


def signs(text: str) -> tuple[str, ...]:
    """Names of what is suspicious in a text, in the order of the table."""
    shortened = text[:MOST_TEXT]
    return tuple(name for name, pattern in _PATTERNS if pattern.search(shortened))


def suspicious(text: str) -> bool:
    """Whether it is worth a replay."""
    return len(signs(text)) >= ENOUGH


def contacts(text: str) -> frozenset[str]:
    """Mail addresses and links in a text: what an order would have a reader go to."""
    return frozenset(found.rstrip(".,;").casefold() for found in _CONTACT.findall(text[:MOST_TEXT]))
