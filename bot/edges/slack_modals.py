"""The modals: declaring, changing a plan's parameters, telling what one did, choosing an export. Views, and
reading them back."""

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.domain import plan_card
from bot.domain.incident import Incident
from bot.domain.presentation import Redaction
from bot.domain.proposal import Plan, Proposal
from bot.domain.untrusted import clean, elide, line
from bot.edges.zones import UnknownZone, zone
from bot.ports import UpdateDraft
from config.catalogue import Service

EDIT = "pagerunner_edit_form"
DID = "pagerunner_did_form"
EXPORT = "pagerunner_export_form"
DECLARE = "pagerunner_declare_form"
UPDATE = "pagerunner_update_form"
FORMS: Mapping[str, str] = {
    "md": "Markdown: the postmortem",
    "html": "HTML: one page with pictures",
    "json": "JSON: everything, lossless",
    "csv": "CSV: the timeline",
    "pdf": "PDF: the postmortem with pictures",
    "docx": "Word: the postmortem with pictures",
}
READERS: Mapping[Redaction, str] = {
    "internal": "The team: everything", "company": "The company: without what was received, and tenants",
    "public": "Everybody: without names and free text",
}  # fmt: skip
MAX_TITLE = 150
MAX_SEEN = 3_000
MAX_OPTIONS = 100
MAX_FIELDS = 20
MAX_VALUE = 3_000
MAX_REFS = 20
_ACTION = "value"
View = dict[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """What somebody filled in: values by field, and what is wrong with them by block."""

    values: Mapping[str, str] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)


def edit_view(proposal: Proposal, place: Mapping[str, str]) -> View:
    """The parameters of a proposal, to be changed into another proposal."""
    plan = proposal.plan
    about = f"{plan_card.title(plan)} on {line(plan.target)}. Sending this makes a new proposal; nothing is done yet."
    fields = [_field(name, value) for name, value in list(plan.params.items())[:MAX_FIELDS]]
    blocks = [{"type": "section", "text": _plain(about, 300)}, *fields]
    metadata = {"proposal": proposal.id, "hash": proposal.plan_hash, **place}
    return modal(EDIT, "Edit the proposal", "Propose this", blocks, metadata)


def did_view(incident_id: str, place: Mapping[str, str]) -> View:
    """What somebody did by themselves, for the timeline."""
    element = {"type": "plain_text_input", "action_id": _ACTION, "multiline": True, "max_length": 1_000}
    block = {"type": "input", "block_id": "text", "label": _plain("What did you do?", 100), "element": element}
    return modal(DID, "I did something", "Put on timeline", [block], {"incident": incident_id, **place})


def declare_view(services: Sequence[Service], place: Mapping[str, str]) -> View:
    """An incident that a person declares: of which service, called what, and what is seen."""
    options = [
        _option(f"{one.name}: {one.title}" if one.title else one.name, one.name) for one in services[:MAX_OPTIONS]
    ]
    title = {"type": "plain_text_input", "action_id": _ACTION, "max_length": MAX_TITLE,
             "placeholder": _plain("Support bot: users get errors", 150)}  # fmt: skip
    seen = {"type": "plain_text_input", "action_id": _ACTION, "multiline": True, "max_length": MAX_SEEN}
    blocks = [
        _select("service", "Service", options),
        _input("title", "Title, as a page would have it", title),
        {**_input("seen", "What do you see? Error texts and numbers help most.", seen), "optional": True},
    ]
    return modal(DECLARE, "Declare an incident", "Declare", blocks, dict(place))


def read_declare(view: Mapping[str, Any], services: Collection[str]) -> Form:
    """What was declared, checked; errors stay at their field."""
    given = {name: text.strip() for name, text in read(view).items()}
    errors: dict[str, str] = {}
    if given.get("service", "") not in services:
        errors["service"] = "This service is no longer in the catalogue. Choose another one."
    title = given.get("title", "")
    if sum(letter.isalnum() for letter in title) < 3:
        errors["title"] = "Say in a few words what is wrong, such as: Support bot: users get errors."
    for name, limit, lines in (("title", MAX_TITLE, False), ("seen", MAX_SEEN, True)):
        text = given.get(name, "")
        if len(text) > limit:
            errors[name] = f"{len(text):,} characters; at most {limit:,} fit."
        elif clean(text, lines=lines)[1]:
            errors[name] = "This contains characters that cannot be seen. Type it instead of pasting it."
    return Form(values=given, errors=errors)


def update_view(drafted: UpdateDraft, incident_id: str, place: Mapping[str, str]) -> View:
    """An update for stakeholders: a draft to edit, where it goes, and what it was made from."""
    element = {"type": "plain_text_input", "action_id": _ACTION, "multiline": True, "max_length": MAX_VALUE,
               "initial_value": drafted.text[:MAX_VALUE]}  # fmt: skip
    goes = f"It goes, exactly as it stands here, to {' and to '.join(drafted.to)}. {drafted.lacks}".strip()
    refs = ", ".join(drafted.references[:MAX_REFS]) or "nothing that was measured so far"
    checks = f"Drafted from {refs}. Check it: nothing is sent before you press Send."
    blocks = [
        {"type": "section", "text": _plain(goes, 600)},
        _input("text", "What stakeholders read", element),
        {"type": "context", "elements": [_plain(checks, 600)]},
    ]
    told = {"incident": incident_id, "after": drafted.after, "refs": " ".join(drafted.references[:MAX_REFS]), **place}
    return modal(UPDATE, "Stakeholder update", "Send", blocks, told)


def export_view(incidents: Sequence[Incident], place: Mapping[str, str], chosen: str = "") -> View:
    """Which incident, in which form, for whom, and in which time zone."""
    choices = [_option(f"{each.id} {line(each.title, 40)}", each.id) for each in incidents[:MAX_OPTIONS]]
    forms = [_option(text, form) for form, text in FORMS.items()]
    readers = [_option(text, level) for level, text in READERS.items()]
    own = next((choice for choice in choices if choice["value"] == chosen), None)
    zone = {"type": "plain_text_input", "action_id": _ACTION, "initial_value": "UTC", "max_length": 60}
    blocks = [
        _select("incident", "Incident", choices, own),
        _select("form", "Form", forms, forms[0]),
        _select("redaction", "Who will read it", readers, readers[0]),
        _input("zone", "Time zone, such as Europe/Berlin", zone),
    ]
    return modal(EXPORT, "Export an incident", "Export", blocks, dict(place))


def read_export(view: Mapping[str, Any]) -> Form:
    """What was chosen, checked for shape; whether the incident exists is for the caller to say."""
    given = {"form": "md", "redaction": "internal", "zone": "UTC", **{k: v.strip() for k, v in read(view).items()}}
    errors: dict[str, str] = {}
    if given["form"] not in FORMS:
        errors["form"] = "There is no such form. Choose one of the list."
    if given["redaction"] not in READERS:
        errors["redaction"] = "There is no such level. Choose one of the list."
    try:
        zone(given["zone"])
    except UnknownZone as error:
        errors["zone"] = elide(f"{error}.", 300)
    return Form(values=given, errors=errors)


def metadata(view: Mapping[str, Any]) -> dict[str, str]:
    """What we put into a modal when it was opened."""
    told = json.loads(view.get("private_metadata") or "{}")
    return {str(name): str(value) for name, value in told.items()}


def read(view: Mapping[str, Any]) -> dict[str, str]:
    """The filled-in values, by block."""
    values: dict[str, str] = {}
    for block_id, elements in ((view.get("state") or {}).get("values") or {}).items():
        element = elements.get(_ACTION) or {}
        chosen = (element.get("selected_option") or {}).get("value")
        values[str(block_id)] = str(chosen if chosen is not None else element.get("value") or "")
    return values


def read_edit(view: Mapping[str, Any], plan: Plan) -> Form:
    """The changed parameters, checked for shape; what they may be is the action's own schema to say."""
    given = read(view)
    values: dict[str, str] = {}
    errors: dict[str, str] = {}
    for name, before in plan.params.items():
        block = _block(name)
        text = given.get(block, _text(before)).strip()
        problem = _problem(text, before)
        if problem:
            errors[block] = problem
        values[name] = text
    return Form(values=values, errors=errors)


def errors_of(told: str, plan: Plan) -> dict[str, str]:
    """Where in the form to show what is wrong: at the parameter that the message names, or at the first."""
    names = list(plan.params) or ["text"]
    named = next((name for name in names if name in told), names[0])
    return {_block(named): elide(told, 1_000)}


def _input(block: str, label: str, element: View) -> View:
    return {"type": "input", "block_id": block, "label": _plain(label, 200), "element": element}


def _select(block: str, label: str, options: Sequence[View], initial: View | None = None) -> View:
    element: View = {"type": "static_select", "action_id": _ACTION, "options": list(options)}
    return _input(block, label, element if initial is None else {**element, "initial_option": initial})


def _field(name: str, value: Any) -> View:
    text = _text(value)
    if isinstance(value, bool):
        options = [_option("yes", "true"), _option("no", "false")]
        element: View = {"type": "static_select", "action_id": _ACTION, "options": options,
                         "initial_option": options[0 if value else 1]}  # fmt: skip
    else:
        element = {"type": "plain_text_input", "action_id": _ACTION, "multiline": len(text) > 80 or "\n" in text}
        if 0 < len(text) <= MAX_VALUE:
            element["initial_value"] = text
    return {"type": "input", "block_id": _block(name), "label": _plain(name, 200), "element": element,
            "optional": value in ("", None)}  # fmt: skip


def _problem(text: str, before: Any) -> str:
    if len(text) > MAX_VALUE:
        return f"At most {MAX_VALUE} characters."
    if clean(text, lines=True)[1]:
        return "This contains characters that cannot be seen. Type it instead of pasting it."
    if not text and before not in ("", None):
        return "This cannot be empty."
    if isinstance(before, bool):
        return "" if text in ("true", "false") else "Choose yes or no."
    if isinstance(before, int | float):
        return _number_problem(text, whole=isinstance(before, int))
    return ""


def _number_problem(text: str, *, whole: bool) -> str:
    try:
        number = float(text)
    except ValueError:
        return "This must be a number."
    if whole and not number.is_integer():
        return "This must be a whole number."
    return "" if abs(number) < 1e15 else "This number is too large."


def _text(value: Any) -> str:
    if isinstance(value, str):
        return value
    return "" if value is None else json.dumps(value, ensure_ascii=False, sort_keys=True)


def _block(name: str) -> str:
    return f"p_{name}"[:255]


def _option(text: str, value: str) -> View:
    return {"text": _plain(text, 75), "value": value[:150]}


def _plain(text: str, limit: int) -> View:
    return {"type": "plain_text", "text": elide(text, limit), "emoji": False}


def paragraph(text: str) -> View:
    """A text that nothing in it is read from."""
    return {"type": "section", "text": _plain(text, MAX_VALUE)}


def text_input(block: str, label: str, most: int) -> View:
    """Several lines that somebody writes."""
    return _input(block, label, {"type": "plain_text_input", "action_id": _ACTION, "multiline": True,
                                 "max_length": most})  # fmt: skip


def modal(callback: str, title: str, submit: str, blocks: Sequence[View], told: Mapping[str, str]) -> View:
    """A form; ``told`` comes back with it."""
    return {
        "type": "modal", "callback_id": callback, "title": _plain(title, 24), "submit": _plain(submit, 24),
        "close": _plain("Cancel", 24), "private_metadata": json.dumps(dict(told)), "blocks": list(blocks),
    }  # fmt: skip
