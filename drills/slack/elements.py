"""Limits of Block Kit's elements and text objects, checked as strictly as Slack does."""

from collections.abc import Callable, Iterable
from typing import Any

from drills.slack.wire import Json

SELECTS = ("static_select", "users_select", "channels_select", "conversations_select", "external_select")
MULTI_SELECTS = tuple(f"multi_{name}" for name in SELECTS)
PICKERS = ("datepicker", "timepicker", "datetimepicker")
CHOICES = ("checkboxes", "radio_buttons")
TEXT_INPUTS = ("plain_text_input", "email_text_input", "url_text_input", "number_input", "rich_text_input")

IN_SECTION = ("button", "image", "overflow", "workflow_button", "datepicker", "timepicker", *CHOICES, *SELECTS,
              *MULTI_SELECTS)  # fmt: skip
IN_ACTIONS = ("button", "overflow", "workflow_button", "rich_text_input", *PICKERS, *CHOICES, *SELECTS, *MULTI_SELECTS)
IN_INPUT = (*TEXT_INPUTS, *PICKERS, *CHOICES, *SELECTS, *MULTI_SELECTS, "file_input")


class Problems:
    """Collects what is wrong, each with the JSON pointer to where it stands."""

    def __init__(self) -> None:
        self.messages: list[str] = []

    def add(self, what: str, pointer: str) -> None:
        """Record one problem in Slack's form."""
        self.messages.append(f"[ERROR] {what} [json-pointer:{pointer}]")

    def text(self, value: Any, pointer: str, limit: int, *, shortest: int = 1) -> bool:
        """A JSON string within its limits."""
        if not isinstance(value, str):
            self.add("missing required field: text" if value is None else "must be a string", pointer)
            return False
        if len(value) > limit:
            self.add(f"must be less than {limit + 1} characters", pointer)
        elif len(value) < shortest:
            self.add(f"must be more than {shortest - 1} characters", pointer)
        else:
            return True
        return False

    def count(self, items: Any, pointer: str, limit: int, *, least: int = 1) -> list[Any]:
        """A list within its limits; an empty one when it is none."""
        if not isinstance(items, list):
            self.add("must be an array", pointer)
            return []
        if len(items) > limit:
            self.add(f"no more than {limit} items allowed", pointer)
        elif len(items) < least:
            self.add(f"no fewer than {least} items allowed", pointer)
        return items

    def keys(self, item: Json, allowed: Iterable[str], pointer: str) -> None:
        """Slack refuses keys it does not know."""
        for key in item:
            if key not in allowed:
                self.add(f"invalid additional property: {key}", pointer)


def text_object(problems: Problems, value: Any, pointer: str, limit: int = 3000, *, plain_only: bool = False) -> None:
    """A text object: ``plain_text`` or ``mrkdwn``."""
    if not isinstance(value, dict):
        problems.add("must be an object" if value is not None else "missing required field: text", pointer)
        return
    kind = value.get("type")
    if kind not in ("plain_text", "mrkdwn"):
        problems.add("must be a valid enum value", f"{pointer}/type")
    elif plain_only and kind != "plain_text":
        problems.add("must provide an object with a plain_text type", f"{pointer}/type")
    problems.keys(value, ("type", "text", "emoji", "verbatim"), pointer)
    if kind == "plain_text" and "verbatim" in value:
        problems.add("invalid additional property: verbatim", pointer)
    if kind == "mrkdwn" and "emoji" in value:
        problems.add("invalid additional property: emoji", pointer)
    problems.text(value.get("text"), f"{pointer}/text", limit)


def confirm(problems: Problems, value: Any, pointer: str) -> None:
    """A confirmation dialog."""
    if not isinstance(value, dict):
        problems.add("must be an object", pointer)
        return
    problems.keys(value, ("title", "text", "confirm", "deny", "style"), pointer)
    text_object(problems, value.get("title"), f"{pointer}/title", 100, plain_only=True)
    text_object(problems, value.get("text"), f"{pointer}/text", 300)
    text_object(problems, value.get("confirm"), f"{pointer}/confirm", 30, plain_only=True)
    text_object(problems, value.get("deny"), f"{pointer}/deny", 30, plain_only=True)
    _style(problems, value, pointer)


def element(problems: Problems, value: Any, pointer: str, allowed: tuple[str, ...]) -> None:
    """One element where the kinds ``allowed`` may stand."""
    if not isinstance(value, dict):
        problems.add("must be an object", pointer)
        return
    kind = value.get("type")
    if kind not in allowed:
        problems.add(f"unsupported type: {kind}", f"{pointer}/type")
        return
    if "action_id" in value:
        problems.text(value["action_id"], f"{pointer}/action_id", 255)
    if "confirm" in value:
        confirm(problems, value["confirm"], f"{pointer}/confirm")
    if "placeholder" in value:
        text_object(problems, value["placeholder"], f"{pointer}/placeholder", 150, plain_only=True)
    _CHECKS[_family(str(kind))](problems, value, pointer)


def _family(kind: str) -> str:
    if kind in ("static_select", "multi_static_select"):
        return "static"
    return kind if kind in _CHECKS else "other"


def _style(problems: Problems, value: Json, pointer: str) -> None:
    if value.get("style") not in (None, "primary", "danger"):
        problems.add("must be a valid enum value", f"{pointer}/style")


def _button(problems: Problems, value: Json, pointer: str) -> None:
    problems.keys(
        value, ("type", "text", "action_id", "url", "value", "style", "confirm", "accessibility_label"), pointer
    )
    text_object(problems, value.get("text"), f"{pointer}/text", 75, plain_only=True)
    _style(problems, value, pointer)
    if "value" in value:
        problems.text(value["value"], f"{pointer}/value", 2000)
    if "url" in value and problems.text(value["url"], f"{pointer}/url", 3000):
        _web_address(problems, value["url"], f"{pointer}/url")
    if "accessibility_label" in value:
        problems.text(value["accessibility_label"], f"{pointer}/accessibility_label", 75)


def _web_address(problems: Problems, value: str, pointer: str) -> None:
    if not value.startswith(("http://", "https://", "mailto:", "slack://")):
        problems.add("must be a valid url", pointer)


def _image(problems: Problems, value: Json, pointer: str) -> None:
    problems.text(value.get("alt_text"), f"{pointer}/alt_text", 2000)
    if "slack_file" not in value and problems.text(value.get("image_url"), f"{pointer}/image_url", 3000):
        _web_address(problems, value["image_url"], f"{pointer}/image_url")


def options(problems: Problems, items: Any, pointer: str, limit: int, *, mrkdwn: bool = False) -> None:
    """The options of a select, an overflow menu, checkboxes or radio buttons."""
    for index, option in enumerate(problems.count(items, pointer, limit)):
        at = f"{pointer}/{index}"
        if not isinstance(option, dict):
            problems.add("must be an object", at)
            continue
        problems.keys(option, ("text", "value", "description", "url"), at)
        text_object(problems, option.get("text"), f"{at}/text", 75, plain_only=not mrkdwn)
        problems.text(option.get("value"), f"{at}/value", 150)
        if "description" in option:
            text_object(problems, option["description"], f"{at}/description", 75, plain_only=not mrkdwn)


def _static(problems: Problems, value: Json, pointer: str) -> None:
    if "option_groups" in value:
        for index, group in enumerate(problems.count(value["option_groups"], f"{pointer}/option_groups", 100)):
            at = f"{pointer}/option_groups/{index}"
            if isinstance(group, dict):
                text_object(problems, group.get("label"), f"{at}/label", 75, plain_only=True)
                options(problems, group.get("options"), f"{at}/options", 100)
            else:
                problems.add("must be an object", at)
        return
    options(problems, value.get("options"), f"{pointer}/options", 100)
    known = [option for option in value.get("options") or [] if isinstance(option, dict)]
    if "initial_option" in value and value["initial_option"] not in known:
        problems.add("initial_option must be one of the options", f"{pointer}/initial_option")


def _choices(problems: Problems, value: Json, pointer: str) -> None:
    options(problems, value.get("options"), f"{pointer}/options", 10, mrkdwn=True)


def _overflow(problems: Problems, value: Json, pointer: str) -> None:
    options(problems, value.get("options"), f"{pointer}/options", 5)


def _text_input(problems: Problems, value: Json, pointer: str) -> None:
    for name in ("min_length", "max_length"):
        if name in value and not (isinstance(value[name], int) and 0 <= value[name] <= 3000):
            problems.add("must be between 0 and 3000", f"{pointer}/{name}")
    if "initial_value" in value:
        problems.text(value["initial_value"], f"{pointer}/initial_value", int(value.get("max_length") or 3000))


def _number(problems: Problems, value: Json, pointer: str) -> None:
    if not isinstance(value.get("is_decimal_allowed"), bool):
        problems.add("missing required field: is_decimal_allowed", pointer)
    for name in ("min_value", "max_value", "initial_value"):
        if name in value and not isinstance(value[name], str):
            problems.add("must be a string", f"{pointer}/{name}")


def _anything(problems: Problems, value: Json, pointer: str) -> None:
    """Kinds whose further keys Slack resolves itself."""


_CHECKS: dict[str, Callable[[Problems, Json, str], None]] = {
    "button": _button,
    "image": _image,
    "static": _static,
    "overflow": _overflow,
    "checkboxes": _choices,
    "radio_buttons": _choices,
    "plain_text_input": _text_input,
    "number_input": _number,
    "other": _anything,
}
