"""Answers to people's questions about an incident: recognised by words, answered from what was found, with references.

No language model: a question that is not recognised is answered with what is not known, and what would tell.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial

from bot.domain import answers, plan_answers
from bot.domain.card import known_references
from bot.domain.statement import Answer, Statement, code
from bot.domain.untrusted import clean
from bot.domain.view import IncidentView

MAX_QUESTION = 500
MAX_ANSWER = 2_800
MAX_STATEMENTS = 12

_Reply = Callable[[IncidentView], Iterator[Statement]]

# The first pattern that occurs in the question decides, so what is more particular stands first.
_INTENTS: tuple[tuple[str, str, _Reply], ...] = (
    ("no_votes", r"^\W*(approved?|lgtm|go ahead|do it|ship it|yes|reject(ed)?)\W*(please|now|it|this|that)?\W*$",
     plan_answers.no_votes),
    ("approved_by", r"\bwho\b.*\b(approved|rejected|voted|decided)\b|\b(was|is) (it|this|that) (approved|rejected)\b",
     plan_answers.decided),
    ("approvers", r"\bwho\b.*\b(approve|approvers?|sign|allow(ed)?|may|vote)", plan_answers.approvers),
    ("lease", r"\bleases?\b|\b(when|how long)\b.*\b(set back|goes? back|put back|reverts?|expires?)\b",
     plan_answers.lease),
    ("worked", r"\b(did|does|has|is|are) (it|this|that|we|the \w+)\b.*\b(work(s|ed|ing)?|help(s|ed)?|fix(ed)?|over)\b",
     plan_answers.worked),
    ("undo", r"\b(undo|undone|revert(ed)?|roll(ed)? ?back|back out|reversible|put back)\b", plan_answers.undo),
    ("safe", r"\b(safe|risk|risks|risky|danger(ous)?|blast|side effects?|harm)\b", plan_answers.safety),
    ("approve_does", r"\bwhat\b.*\b(approv\w*|propos\w*|plan|button|mitigation)\b|\bwhat would (you|it) do\b",
     plan_answers.what_it_does),
    ("last_time", r"\b(last time|(happened|seen (this|it)) before|previous(ly)? incident|before\?|again\?|similar)",
     answers.last_time),
    ("cost", r"\b(cost|costs|spen[dt]|tokens?|budget|money|expensive|price)\b", answers.cost),
    ("owner", r"\bwho\b.*\b(owns?|owner|responsible|on.?call|team|runs)\b|\bowner\b", answers.owner),
    ("runbook", r"\brun ?books?\b|\bwhich (doc|document|procedure|guide)\b", answers.runbook),
    ("ruled_out", r"\b(rul(e|ed|es|ing) out|excluded?|not the cause|(isn'?t|is not) it|instead)\b", answers.ruled_out),
    ("unknown", r"\b(unknown|don'?t (we|you) know|do not know|not known|unclear|missing|open questions?|uncertain)\b",
     answers.unknown),
    ("how_sure", r"\b(how (sure|certain|confident|likely)|confidence|probab\w*|are you (sure|certain))\b",
     answers.how_sure),
    ("changed", r"\b(chang(e|ed|es)|deploy(s|ed|ment|ments)?|releas(e|ed)|rolled out|merged)\b", answers.changed),
    ("checked", r"\b(check(ed|s)?|prob(e|es|ed)|looked|look(ing)? at|tested|evidence|tried|findings?)\b",
     answers.checked),
    ("impact", r"\b(impact|affected|users?|customers?|how bad|sever(e|ity)|how many)\b", answers.impact),
    ("since", r"\b(since when|when did|how long|what time|start(ed)?|began|begin)\b", answers.since),
    ("next", r"\b(what (should|do|can) (i|we)( do)?|what now|next|what'?s left)\b", answers.what_next),
    ("status", r"\b(status|state|where are we|update|summary|tl;?dr|going on|happening|how is it)\b", answers.status),
    ("why", r"\b(why|cause|causes|caused|reason|what happened|what'?s wrong|what is wrong|root|explain)\b",
     answers.why),
)  # fmt: skip

_ASKING = re.compile(r"(why|what|what's|how|who|which|when|since when|is (it|this)|status|explain)\b")

_TO_SOMEBODY = re.compile(r"(\w+[,:]? )?(can|could|would|will) (you|someone|somebody|anyone|anybody)\b")


@dataclass(frozen=True, kw_only=True, slots=True)
class Topic:
    """What a question was taken to be about; ``other`` when it was not recognised."""

    name: str
    reply: _Reply


def answer(question: str, view: IncidentView) -> Answer:
    """Answer from the findings and the timeline, in Slack mrkdwn; the same question and view give the same answer."""
    text = _normal(question)
    statements = list(topic(text, view).reply(view))[:MAX_STATEMENTS]
    if statements:
        return _compose(statements, view, known=all(each.known for each in statements))
    return _compose(list(answers.not_known(view)), view, known=False)


def is_question(text: str, view: IncidentView) -> bool:
    """Whether a message in an incident's thread asks us something that we know how to answer: people also talk to each
    other there, and are not interrupted."""
    said = _normal(text)
    if _TO_SOMEBODY.match(said):
        return False
    about = topic(said, view).name
    return about == "no_votes" or (about != "other" and ("?" in said or _ASKING.match(said) is not None))


def topic(question: str, view: IncidentView) -> Topic:
    """Which of the known topics a question is about: a named probe or cause before anything else."""
    text = _normal(question)
    for name, pattern, reply in _INTENTS[:1]:
        if re.search(pattern, text):
            return Topic(name=name, reply=reply)
    named = _named(text, view)
    if named is not None:
        return named
    for name, pattern, reply in _INTENTS[1:]:
        if re.search(pattern, text):
            return Topic(name=name, reply=reply)
    return Topic(name="other", reply=answers.not_known)


def _named(text: str, view: IncidentView) -> Topic | None:
    """A question that names one of this incident's probes or causes is about that one."""
    for hypothesis in view.diagnosis.ranked if view.diagnosis else ():
        if _mentions(text, hypothesis.mode) or hypothesis.title.lower() in text:
            return Topic(name="cause", reply=partial(answers.about_cause, mode=hypothesis.mode))
    for probe in dict.fromkeys([*(finding.probe for finding in view.findings), *view.running]):
        if _mentions(text, probe):
            return Topic(name="probe", reply=partial(answers.about_probe, probe=probe))
    return None


def _mentions(text: str, name: str) -> bool:
    plain = re.sub(r"[-_]", " ", name.lower())
    return re.search(rf"\b({re.escape(name.lower())}|{re.escape(plain)})\b", text) is not None


def _normal(question: str) -> str:
    cleaned, _ = clean(question[:MAX_QUESTION])
    without_mentions = re.sub(r"<@[A-Z0-9]+(\|[^>]*)?>", " ", cleaned)
    return " ".join(without_mentions.lower().replace("\u2019", "'").split())


def _compose(statements: list[Statement], view: IncidentView, *, known: bool) -> Answer:
    """One line for each statement with its references; what cannot be cited from this incident is not printed."""
    citable = known_references(view)
    lines: list[str] = []
    cited: list[str] = []
    for each in statements:
        refs = [ref for ref in each.refs if ref in citable]
        text = " ".join([each.text, *(code(ref) for ref in refs[:4] if ref not in each.text)])
        if sum(map(len, lines)) + len(text) > MAX_ANSWER:
            lines.append("There is more on the card and in the export.")
            break
        lines.append(text)
        cited += refs
    return Answer(text="\n".join(lines), references=tuple(dict.fromkeys(cited)), known=known)
