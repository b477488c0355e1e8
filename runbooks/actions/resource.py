"""What an action looks at and sets: a resource with a state, the document it was read as, and how both are told."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from config.http import Http, Reply
from runbooks.model import ActionError

State = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """What a target answered: its fields, and the version that a conditional write names (empty: it has none)."""

    label: str
    fields: Mapping[str, Any]
    version: str = ""

    def integer(self, key: str) -> int:
        value = self.fields.get(key)
        if isinstance(value, bool) or not isinstance(value, int):
            raise self._unexpected(key, "a whole number")
        return value

    def boolean(self, key: str) -> bool:
        value = self.fields.get(key)
        if not isinstance(value, bool):
            raise self._unexpected(key, "true or false")
        return value

    def text(self, key: str) -> str:
        value = self.fields.get(key)
        if not isinstance(value, str):
            raise self._unexpected(key, "text")
        return value

    def mapping(self, key: str) -> Mapping[str, Any]:
        value = self.fields.get(key)
        if not isinstance(value, dict):
            raise self._unexpected(key, "an object")
        return value

    def items(self, key: str) -> Sequence[Mapping[str, Any]]:
        """The objects of a list; anything else in the list is an error."""
        value = self.fields.get(key)
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self._unexpected(key, "a list of objects")
        return value

    def _unexpected(self, key: str, expected: str) -> ActionError:
        found = f"is {str(self.fields[key])[:80]!r}" if key in self.fields else "is missing"
        return ActionError(f"{self.label}: {key} {found}, expected {expected}; check the target's version and address")


class Resource(Protocol):
    """Something with a state that can be read and set under the version read."""

    @property
    def label(self) -> str:
        """What a person calls it, such as ``llm-gateway/routes/chat``."""
        ...

    @property
    def settles(self) -> str:
        """What a successful write does not yet prove, such as traffic that follows later; mostly empty."""
        ...

    async def read(self, http: Http) -> Document:
        """The whole document. Raises :class:`ActionError` if it cannot be read or is not one."""
        ...

    def state(self, document: Document) -> State:
        """The watched keys alone."""
        ...

    async def write(self, http: Http, document: Document, wanted: State) -> Reply:
        """Set the watched keys to ``wanted`` if the target is still as in ``document``. Raises :class:`HttpError`."""
        ...


def describe(state: State) -> str:
    """A state in one short line."""
    return ", ".join(f"{key}={plain(value)}" for key, value in state.items()) or "empty"


def plain(value: Any) -> str:
    """A JSON value as a person reads it; long text is cut."""
    match value:
        case None:
            return "none"
        case bool():
            return "true" if value else "false"
        case dict():
            return "{" + ", ".join(f"{key}: {plain(inner)}" for key, inner in value.items()) + "}"
        case str() if len(value) > 60:
            return f"“{value[:57]}…”"
        case _:
            return str(value)


def excerpt(reply: Reply, limit: int = 200) -> str:
    """The beginning of a reply's body on one line, for an error message."""
    text = " ".join(reply.text.split())
    return f"{text[:limit]}…" if len(text) > limit else text
