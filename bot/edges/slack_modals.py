"""The modals: changing a plan's parameters, telling what one did, choosing an export. Views and reading them back."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bot.domain import plan_card
from bot.domain.incident import Incident
from bot.domain.proposal import Plan, Proposal
from bot.domain.untrusted import clean, elide, line

EDIT = "pagerunner_edit_form"
DID = "pagerunner_did_form"
EXPORT = "pagerunner_export_form"
FORMS: Mapping[str, str] = {
    "md": "Markdown: the postmortem",
    "html": "HTML: one page with pictures",
    "json": "JSON: everything, lossless",
    "csv": "CSV: the timeline",
}
MAX_FIELDS = 20
MAX_VALUE = 3_000
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
    return _modal(EDIT, "Edit the proposal", "Propose this", blocks, metadata)


def did_view(incident_id: str, place: Mapping[str, str]) -> View:
    """What somebody did by themselves, for the timeline."""
    element = {"type": "plain_text_input", "action_id": _ACTION, "multiline": True, "max_length": 1_000}
    block = {"type": "input", "block_id": "text", "label": _plain("What did you do?", 100), "element": element}
    return _modal(DID, "I did something", "Put on timeline", [block], {"incident": incident_id, **place})


def export_view(incidents: Sequence[Incident], place: Mapping[str, str]) -> View:
    """Which incident, in which form."""
    choices = [_option(f"{each.id} {line(each.title, 40)}", each.id) for each in incidents[:100]]
    forms = [_option(text, form) for form, text in FORMS.items()]
    blocks = [
        {"type": "input", "block_id": "incident", "label": _plain("Incident", 100),
         "element": {"type": "static_select", "action_id": _ACTION, "options": choices}},
        {"type": "input", "block_id": "form", "label": _plain("Form", 100),
         "element": {"type": "static_select", "action_id": _ACTION, "options": forms, "initial_option": forms[0]}},
    ]  # fmt: skip
    return _modal(EXPORT, "Export an incident", "Export", blocks, dict(place))


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


def _modal(callback: str, title: str, submit: str, blocks: Sequence[View], told: Mapping[str, str]) -> View:
    return {
        "type": "modal", "callback_id": callback, "title": _plain(title, 24), "submit": _plain(submit, 24),
        "close": _plain("Cancel", 24), "private_metadata": json.dumps(dict(told)), "blocks": list(blocks),
    }  # fmt: skip
