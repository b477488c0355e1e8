"""Reading what people wrote: each value with its place, every problem collected, nothing returned if there is one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Span:
    """A number, or a range that a number is drawn from."""

    low: float
    high: float


class Refused(ValueError):
    """Everything that is wrong, each with its place."""

    def __init__(self, problems: Sequence[tuple[Path, str]]) -> None:
        super().__init__("; ".join(f"{named(path)}: {message}" for path, message in problems))
        self.problems = tuple(problems)


def named(path: Path) -> str:
    """A place in words: ``injectors[0].share``."""
    words = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
    return words or "the drill"


@dataclass(slots=True)
class Reading:
    """Collects problems. After one, a method returns something harmless, and :meth:`done` raises."""

    problems: list[tuple[Path, str]] = field(default_factory=list)

    def problem(self, path: Path, message: str) -> None:
        self.problems.append((path, message))

    def done(self) -> None:
        """Raises :class:`Refused` if anything was wrong."""
        if self.problems:
            raise Refused(self.problems)

    def mapping(self, value: object, path: Path, known: frozenset[str] | None) -> Mapping[str, object]:
        """Keys and values; None as ``known``: any key."""
        if not isinstance(value, dict):
            self.problem(path, "must be keys with values")
            return {}
        for key in value:
            if known is not None and key not in known:
                self.problem((*path, key), f"no such field; there are {', '.join(sorted(known))}")
        return value

    def items(self, value: object, path: Path) -> Sequence[object]:
        if isinstance(value, list):
            return value
        self.problem(path, "must be a list")
        return []

    def text(self, value: object, path: Path, longest: int = 300) -> str:
        if not isinstance(value, str) or not value.strip() or len(value) > longest:
            self.problem(path, f"must be text of 1 to {longest} characters")
            return ""
        return value

    def word(self, value: object, path: Path, options: Sequence[str]) -> str:
        """One of these words."""
        if not isinstance(value, str) or value not in options:
            given = "is missing" if value is None else f"{value!r} is not known"
            self.problem(path, f"{given}; one of {', '.join(options)}")
            return ""
        return value

    def words(self, value: object, path: Path, options: Sequence[str]) -> tuple[str, ...]:
        """At least one of them."""
        found = tuple(self.word(one, (*path, n), options) for n, one in enumerate(self.items(value, path)))
        if isinstance(value, list) and not found:
            self.problem(path, "must not be empty")
        return found

    def flag(self, value: object, path: Path) -> bool:
        if value in ("true", True):
            return True
        if value not in ("false", False):
            self.problem(path, "must be true or false")
        return False

    def number(self, value: object, path: Path, low: float, high: float) -> float:
        """A number within both bounds."""
        try:
            found = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else None
        except ValueError:
            found = None
        if found is None or not low <= found <= high:
            self.problem(path, f"{value!r} must be a number from {low:g} to {high:g}")
            return low
        return found

    def span(self, value: object, path: Path, low: float, high: float) -> Span:
        """A number, or a list of two: the ends of a range."""
        if not isinstance(value, list):
            one = self.number(value, path, low, high)
            return Span(one, one)
        if len(value) != 2:
            self.problem(path, "must be a number, or [lowest, highest]")
            return Span(low, low)
        ends = [self.number(part, (*path, n), low, high) for n, part in enumerate(value)]
        if ends[0] > ends[1]:
            self.problem(path, f"{ends[0]:g} is more than {ends[1]:g}; write the lower one first")
        return Span(*ends)
