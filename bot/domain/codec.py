"""Domain values to plain JSON and back, for columns and for the API."""

from datetime import UTC, datetime
from typing import Any, TypeVar

from pydantic import TypeAdapter

T = TypeVar("T")


_adapters: dict[type[Any], TypeAdapter[Any]] = {}


def _adapter(kind: type[Any]) -> TypeAdapter[Any]:
    if kind not in _adapters:
        _adapters[kind] = TypeAdapter(kind)
    return _adapters[kind]


def dump(value: Any) -> Any:
    """Plain JSON of a frozen dataclass."""
    return _adapter(type(value)).dump_python(value, mode="json")


def load(kind: type[T], data: Any) -> T:
    """The value that :func:`dump` wrote. Raises ``pydantic.ValidationError`` if the row is not of that shape."""
    loaded: T = _adapter(kind).validate_python(data)
    return loaded


def stamp(moment: datetime) -> float:
    """Seconds since the epoch."""
    return moment.timestamp()


def moment(seconds: float | None) -> datetime | None:
    """The aware UTC moment, or None."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)


def at(seconds: float) -> datetime:
    """The aware UTC moment."""
    return datetime.fromtimestamp(seconds, UTC)
