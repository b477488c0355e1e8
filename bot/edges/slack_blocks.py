"""A card as Slack's Block Kit: dictionaries, never text that is parsed again. Untrusted text stays inside plain_text
and rich_text elements, where no mention, link or formatting is read."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

from bot.domain.ballot import Ballot, Button
from bot.domain.card import Card
from bot.domain.card_lines import Line, Section
from bot.domain.untrusted import elide, escape, line

Block = dict[str, Any]

MAX_BLOCKS = 50
MAX_TEXT = 3_000
MAX_SMALL = 10
"""Elements of a context block."""
MAX_REFS = 1
"""References printed with a line of the card; the thread has all of them."""

PREFIX = "pagerunner_"
_VOTES: tuple[Button, ...] = ("approve", "reject", "edit", "another", "done", "glass")
"""Buttons that vote on a proposal; all others are about the incident."""
_FIRST_ROW: tuple[Button, ...] = (
    "approve", "reject", "another", "done", "right_cause", "wrong_cause", "again", "reviewed",
)  # fmt: skip
"""What fits beside each other on a phone."""
_LABELS: Mapping[Button, str] = {
    "approve": "Approve", "reject": "Reject", "edit": "Edit", "another": "Other plan", "done": "Done",
    "did": "Did it", "why": "Why?", "acknowledge": "Ack", "escalate": "Escalate",
    "update": "Draft update",
    "glass": "Break glass", "again": "Ask again", "reviewed": "Reviewed",
    "right_cause": "Right cause", "wrong_cause": "Wrong cause", "noise": "Noise",
}  # fmt: skip
_SPOKEN: Mapping[Button, str] = {
    "another": "Propose another option", "acknowledge": "Acknowledge", "did": "I did something by hand",
    "why": "Why do you think so?", "glass": "Approve this alone, in an emergency and with a reason",
    "again": "Look at it once more and ask again", "reviewed": "I have reviewed the break-glass approval",
    "right_cause": "The named cause was right", "wrong_cause": "The named cause was wrong",
    "noise": "This page was noise",
}  # fmt: skip
"""What a screen reader says of a button whose label is short."""
_VALUE = re.compile(r"([A-Za-z0-9_:-]{1,80})\.([0-9a-f]{64})\.([0-9a-f]{8})")
_INCIDENT = re.compile(r"[A-Za-z0-9_-]{1,80}")


@dataclass(frozen=True, kw_only=True, slots=True)
class Pressed:
    """What a button of a card says: which proposal, exactly as shown. No parameter is in it."""

    proposal_id: str
    plan_hash: str


def card_blocks(card: Card) -> list[Block]:
    """The one message of an incident: at most 50 blocks, facts first, buttons last."""
    blocks: list[Block] = [{"type": "header", "text": _plain(card.headline, 150)}]
    blocks.append({"type": "context", "elements": [_plain(" · ".join(map(_flat, card.context)), 1_000)]})
    if card.banners:
        blocks.append(_rich([_lines(card.banners)]))
    blocks += [_section(section) for section in card.sections]
    votes = [_button(name, card) for name in card.buttons if name in _FIRST_ROW]
    others = [_button(name, card) for name in card.buttons if name not in _FIRST_ROW]
    blocks += [
        {"type": "actions", "block_id": block_id, "elements": elements}
        for block_id, elements in (("pagerunner_vote", votes), ("pagerunner_more", others))
        if elements
    ]
    return blocks[:MAX_BLOCKS]


def plan_blocks(card: Card) -> list[Block]:
    """Only the plan, for whoever votes by command."""
    return [_section(section) for section in card.sections if section.key in ("plan", "terms", "state", "next")]


def fallback_text(card: Card) -> str:
    """The message's text: what notifications and clients without blocks show. Cut before it is escaped."""
    return escape(elide(card.fallback, MAX_TEXT // 5))


def mrkdwn_blocks(text: str) -> list[Block]:
    """Text that our own code wrote and escaped, as blocks: paragraphs stay whole, each under the limit."""
    blocks: list[Block] = []
    part = ""
    for each in text.split("\n"):
        if part and len(part) + len(each) + 1 > MAX_TEXT:
            blocks.append(_mrkdwn(part))
            part = each
        else:
            part = f"{part}\n{each}" if part else each
    if part:
        blocks.append(_mrkdwn(part))
    return blocks[:MAX_BLOCKS]


def said_blocks(data: Mapping[str, Any], incident_id: str) -> list[Block]:
    """How a letter of the outbox is shown where its text alone does not do: with a button below it, or as an update for
    stakeholders, whose text stands exactly as it was written. Empty for all others."""
    if data.get("offer") == "update":
        button = {"type": "button", "action_id": action_id("update"), "text": _plain(_LABELS["update"], 75),
                  "value": incident_id, "accessibility_label": "Draft an update for stakeholders"}  # fmt: skip
        return [*mrkdwn_blocks(str(data["text"])),
                {"type": "actions", "block_id": "pagerunner_offer", "elements": [button]}]  # fmt: skip
    if "plain" in data:
        head = f"Update: {line(str(data['title']), 100)}"
        by = f"Sent by {line(str(data['by']), 60)} through Pagerunner · {incident_id}"
        return [
            _rich([{"type": "rich_text_section", "elements": [_text(head, bold=True)]}]),
            _rich([{"type": "rich_text_section", "elements": [_text(str(data["plain"]))]}]),
            {"type": "context", "elements": [_plain(by, 200)]},
        ]
    return []


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Escaped text, shortened without going through an entity. What can be cut before it is escaped, should be."""
    return text if len(text) <= limit else re.sub(r"&[a-z]{0,3}$", "", text[:limit])


def action_id(button: Button) -> str:
    """The ``action_id`` of a button."""
    return PREFIX + button


def ballot_value(ballot: Ballot) -> str:
    """What a button carries: the proposal, the whole hash of its plan, and a number that tells postings apart."""
    return sealed(ballot.proposal_id, ballot.plan_hash)


def sealed(subject: str, plan_hash: str) -> str:
    """The value of a button that agrees to exactly what was shown; :func:`pressed` reads it."""
    nonce = sha256(f"{subject}:{plan_hash}".encode()).hexdigest()[:8]
    return f"{subject}.{plan_hash}.{nonce}"


def pressed(value: str) -> Pressed | None:
    """Read a button's value; None for anything that no card of ours carries."""
    match = _VALUE.fullmatch(value)
    if match is None or not value.endswith(sha256(f"{match[1]}:{match[2]}".encode()).hexdigest()[:8]):
        return None
    return Pressed(proposal_id=match[1], plan_hash=match[2])


def pressed_incident(value: str) -> str | None:
    """Read the value of a button that is about the incident; None for anything else."""
    return value if _INCIDENT.fullmatch(value) else None


def _button(name: Button, card: Card) -> Block:
    value = ballot_value(card.ballot) if name in _VOTES and card.ballot else card.incident_id
    button: Block = {"type": "button", "action_id": action_id(name), "text": _plain(_LABELS[name], 75), "value": value}
    if name in _SPOKEN:
        button["accessibility_label"] = _SPOKEN[name]
    if name == "approve" and card.ballot:
        button["style"] = "primary"
        button["confirm"] = _confirm(card.ballot)
    elif name == "reject":
        button["style"] = "danger"
    return button


def _confirm(ballot: Ballot) -> Block:
    return {
        "title": _plain(ballot.confirm_title, 100),
        "text": _plain(ballot.confirm_text, 300),
        "confirm": _plain(ballot.confirm_go, 30),
        "deny": _plain("Not yet", 30),
        "style": "primary",
    }


def _section(section: Section) -> Block:
    if section.small:
        return {"type": "context", "elements": [_plain(text, MAX_TEXT) for text in _small(section.lines)]}
    elements: list[Block] = [_text(section.title, bold=True)] if section.title else []
    blocks: list[Block] = []
    for each in section.lines:
        if elements and ("\n" not in each.text or each.label):
            elements.append(_text("\n"))
        if "\n" in each.text:  # Commands to copy: kept as they are, in a block of their own.
            if each.label:
                elements.append(_text(each.label, bold=True))
            if elements:
                blocks.append({"type": "rich_text_section", "elements": elements})
            blocks.append(_preformatted(each.text))
            elements = []
        else:
            elements += _line(each)
    if elements:
        blocks.append({"type": "rich_text_section", "elements": elements})
    return _rich(blocks)


def _lines(lines: Sequence[Line]) -> Block:
    elements: list[Block] = []
    for number, each in enumerate(lines):
        if number:
            elements.append(_text("\n"))
        elements += _line(each)
    return {"type": "rich_text_section", "elements": elements}


def _line(each: Line) -> list[Block]:
    elements: list[Block] = []
    if each.mark:
        elements.append(_text(f"{each.mark} "))
    if each.label:
        elements += [_text(each.label, bold=True), _text(" ")]
    elements.append(_text(each.text or "–"))
    for ref in each.refs[:MAX_REFS]:
        elements += [_text(" "), _text(_ref(ref), code=True)]
    if len(each.refs) > MAX_REFS:
        elements.append(_text(f" +{len(each.refs) - MAX_REFS}"))
    return elements


def _small(lines: Sequence[Line]) -> list[str]:
    """Small print: one paragraph, or one for each fact where Slack's limit would cut it."""
    each = [_flat(one) for one in lines]
    joined = "  ·  ".join(each)
    return [joined] if len(joined) <= MAX_TEXT else each[:MAX_SMALL]


def _flat(each: Line) -> str:
    refs = " ".join(_ref(ref) for ref in each.refs[:MAX_REFS])
    label = f"{each.label}:" if each.label else ""
    return " ".join(part for part in (each.mark, label, each.text, refs) if part)


def _ref(ref: str) -> str:
    """A reference as the card prints it: of a runbook's section its number, which the thread spells out."""
    document, mark, section = ref.partition("#")
    return line(f"{document}#{section.split('-')[0]}" if document and mark and section[:1].isdigit() else ref)


def _rich(elements: list[Block]) -> Block:
    return {"type": "rich_text", "elements": elements}


def _preformatted(text: str) -> Block:
    return {"type": "rich_text_preformatted", "elements": [_text(text)]}


def _text(text: str, *, bold: bool = False, code: bool = False) -> Block:
    element: Block = {"type": "text", "text": elide(text, MAX_TEXT)}
    style = {name: True for name, on in (("bold", bold), ("code", code)) if on}
    if style:
        element["style"] = style
    return element


def _plain(text: str, limit: int) -> Block:
    return {"type": "plain_text", "text": elide(text, limit) or "–", "emoji": False}


def _mrkdwn(text: str) -> Block:
    return {"type": "section", "text": {"type": "mrkdwn", "text": cut(text), "verbatim": True}}
