"""Answers to people's questions about an incident: recognised by words, answered from what was found, with references.

No language model: a question that is not recognised is answered with what is not known, and what would tell. The kinds
of question are in :mod:`bot.domain.questions.table`.
"""

import re
from collections.abc import Sequence

from bot.domain.card import known_references
from bot.domain.questions.kind import Case, Kind
from bot.domain.questions.table import OTHER, corrected, kind_of, not_known
from bot.domain.statement import Answer, Statement, code
from bot.domain.untrusted import clean
from bot.domain.view import IncidentView

MAX_QUESTION = 500
MAX_ANSWER = 2_800
MAX_REFS = 6
"""References printed after one sentence."""

_ASKING = re.compile(
    r"(why|what|what's|how|who|whom|whose|which|when|where|until when|since when|any|is (it|this|the|there|execution)|"
    r"are|did|does|do we|can (we|i)|could|has|have|was|were|status|explain|show|give me|help|tl;?dr|timeline|"
    r"hand.?over)\b"
)
_TO_SOMEBODY = re.compile(
    r"(\w+[,:]? )?(can|could|would|will) (you|someone|somebody|anyone|anybody)\b|"
    r"(did|didn't|have|haven't|do|were) you\b"
)
_CALLS_SOMEBODY = re.compile(
    r"(?!(ok|okay|so|hey|hi|hello|well|and|but|hm+|also|right|wait|please|sorry|thanks|no|yes|pagerunner|question)\b)"
    r"[a-z]+[,:] "
)
"""Begins with somebody's name; said to us only if we are mentioned."""


def answer(question: str, view: IncidentView, earlier: Sequence[IncidentView] | None = None) -> Answer:
    """Answer from the findings and the timeline, in Slack mrkdwn; the same question and view give the same answer.

    ``earlier`` are incidents of the same service, where somebody looked for them.
    """
    kind = topic(question, view)
    case = Case(view=view, earlier=earlier)
    statements = list(kind.reply(case))[: kind.limit]
    if not statements:
        kind, statements = OTHER, list(not_known(case))
    citable = known_references(view) | {view.incident.id} | {old.incident.id for old in earlier or ()}
    known = kind is not OTHER and statements[0].known
    return _compose(statements, citable, kind, known=known)


def is_question(text: str, view: IncidentView) -> bool:
    """Whether a message in an incident's thread asks us something that we know how to answer: people also talk to each
    other there, and are not interrupted."""
    said = _normal(text)
    about = kind_of(said, view)
    if about.name == "no_votes":
        return True
    if _TO_SOMEBODY.match(said) or _CALLS_SOMEBODY.match(said):
        return False
    return about is not OTHER and ("?" in said or _ASKING.match(said) is not None)


def topic(question: str, view: IncidentView) -> Kind:
    """Which kind of question it is; misspelt words are looked at again only if nothing was recognised."""
    text = _normal(question)
    kind = kind_of(text, view)
    return kind_of(corrected(text), view) if kind is OTHER else kind


def wants_earlier(question: str, view: IncidentView) -> bool:
    """Whether the answer needs the earlier incidents of the service."""
    return topic(question, view).name == "last_time"


def _normal(question: str) -> str:
    cleaned, _ = clean(question[:MAX_QUESTION])
    without_mentions = re.sub(r"<@[A-Z0-9]+(\|[^>]*)?>", " ", cleaned)
    return " ".join(without_mentions.lower().replace("\u2019", "'").split())


def _compose(statements: Sequence[Statement], citable: frozenset[str], kind: Kind, *, known: bool) -> Answer:
    """One line for each statement with its references; what cannot be cited from this incident is not printed."""
    lines: list[str] = []
    cited: list[str] = []
    for each in statements:
        refs = [ref for ref in each.refs if ref in citable]
        text = " ".join([each.text, *(code(ref) for ref in refs[:MAX_REFS] if ref not in each.text)])
        if sum(map(len, lines)) + len(text) > MAX_ANSWER:
            lines.append("There is more on the card and in the export.")
            break
        lines.append(text)
        cited += refs
    return Answer(text="\n".join(lines), references=tuple(dict.fromkeys(cited)), known=known, picture=kind.picture)
