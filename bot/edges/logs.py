"""Logging: one JSON object a line, escaped, without secrets and without the bodies that libraries like to quote."""

import json
import logging
import re
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, TextIO

from bot.edges.text import Redact, cut

MAX_MESSAGE_CHARS = 8_192

_BOLT_BODY = re.compile(r"\bbody: .*", re.DOTALL)
_STANDARD = frozenset(logging.LogRecord("", 0, "", 0, "", None, None).__dict__) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Formats a record as one line of ASCII JSON: no text in it can begin a line or move a terminal's cursor."""

    def __init__(self, redact: Redact) -> None:
        super().__init__()
        self._redact = redact

    def format(self, record: logging.LogRecord) -> str:
        """The line, without its end."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._text(_without_body(record)),
        }
        for name, value in record.__dict__.items():
            if name not in _STANDARD and not name.startswith("_"):
                line[name] = value if isinstance(value, (int, float, bool, type(None))) else self._text(str(value))
        if record.exc_info:
            line["exception"] = self._text(self.formatException(record.exc_info))
        return json.dumps(line, ensure_ascii=True, allow_nan=True)

    def _text(self, text: str) -> str:
        return cut(self._redact(text), MAX_MESSAGE_CHARS)


def set_up(redact: Redact, *, level: str = "INFO", stream: TextIO | None = None,
           levels: Mapping[str, str] | None = None) -> None:  # fmt: skip
    """Send all logging to ``stream`` (standard error) as JSON lines; replaces what was set up before."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines(redact))
    root = logging.getLogger()
    for old in list(root.handlers):
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    for name, own in {
        "apscheduler": "WARNING",
        "httpcore": "WARNING",
        "pdpyras": "WARNING",
        "urllib3": "WARNING",
        **(levels or {}),
    }.items():
        logging.getLogger(name).setLevel(own)


def _without_body(record: logging.LogRecord) -> str:
    """Bolt quotes the whole body of a request that it does not believe."""
    message = record.getMessage()
    return _BOLT_BODY.sub("body: [left out]", message) if record.name.startswith("slack_bolt") else message
