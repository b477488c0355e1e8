"""What goes over the wire: JSON objects, and the answers Slack gives when it refuses."""

import json
import re
from collections.abc import Sequence
from typing import Any

Json = dict[str, Any]


class SlackError(Exception):
    """A refusal in Slack's words: ``error`` code, further keys, and ``response_metadata.messages``."""

    def __init__(self, error: str, messages: Sequence[str] = (), **extra: Any) -> None:
        super().__init__(error)
        self.error = error
        self.messages = tuple(messages)
        self.extra = extra

    def body(self) -> Json:
        """The JSON object of the answer."""
        body: Json = {"ok": False, "error": self.error, **self.extra}
        if self.messages:
            body["errors"] = [message.removeprefix("[ERROR] ") for message in self.messages]
            body["response_metadata"] = {"messages": list(self.messages)}
        return body


def text_of(args: Json, name: str, default: str = "") -> str:
    """An argument as text, whether it came in JSON or in a form."""
    value = args.get(name)
    return default if value is None else str(value)


def required(args: Json, name: str) -> str:
    """An argument that Slack insists on."""
    value = text_of(args, name)
    if not value:
        raise SlackError("invalid_arguments", [f"[ERROR] missing required field: {name}"])
    return value


def flag(args: Json, name: str, *, default: bool = False) -> bool:
    """An argument as yes or no: forms carry ``1`` and ``true`` as text."""
    value = args.get(name)
    if value is None or value == "":
        return default
    return value if isinstance(value, bool) else str(value).lower() in {"1", "true", "yes"}


def number(args: Json, name: str, default: int, highest: int) -> int:
    """An argument as a whole number between 1 and ``highest``."""
    value = text_of(args, name)
    return min(int(value), highest) if value.isdecimal() and int(value) else default


def structured(args: Json, name: str, error: str = "invalid_arguments") -> Any:
    """An argument that is a list or an object; a form carries it as JSON text. ``None`` when absent."""
    value = args.get(name)
    if not isinstance(value, str):
        return value
    if not value:
        return None
    try:
        return json.loads(value)
    except ValueError as failure:
        raise SlackError(error) from failure


def escape(text: str) -> str:
    """What Slack does to the text of a person before an app sees it."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def unescape(text: str) -> str:
    """The reverse of :func:`escape`."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def plain(text: str) -> str:
    """mrkdwn without its angle-bracket entities, for notifications and terminals."""
    shown = re.sub(r"<[^>|]*\|([^>]*)>", r"\1", text)
    return unescape(re.sub(r"<([^>]*)>", r"\1", shown))
