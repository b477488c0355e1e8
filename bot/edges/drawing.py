"""Geometry of the postmortem's pictures: places on a plane, made of typed shapes that a template writes as SVG.

Long stretches of time in which nothing begins are shortened, and every shortened one is marked with its true length: an
incident has seconds of probing and hours of waiting, and both must be readable.
"""

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from bot.domain import wording

WIDTH = 960.0
LEFT, RIGHT = 92.0, 24.0
CHARACTER = 0.56
"""Mean width of a character of the sans-serif fonts in use, as a share of the font's size."""
WIDEST = 0.22
"""Share of the whole width that one stretch may take."""
TICK_APART = 96.0
SPLIT_S = 0.5
"""Moments closer than this are one: an incident is not read in milliseconds."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Box:
    """A rectangle."""

    x: float
    y: float
    width: float
    height: float
    look: str
    tip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stroke:
    """A path in SVG's own notation, made of numbers alone."""

    path: str
    look: str
    tip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dot:
    """A circle."""

    x: float
    y: float
    radius: float
    look: str
    tip: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Words:
    """A line of text; ``anchor`` is where ``x`` is: start, middle or end."""

    x: float
    y: float
    text: str
    look: str
    anchor: str = "start"


Shape = Box | Stroke | Dot | Words


@dataclass(frozen=True, kw_only=True, slots=True)
class Drawing:
    """A picture with what it says in words."""

    height: float
    title: str
    description: str
    shapes: tuple[Shape, ...]
    width: float = WIDTH


class TimeScale:
    """Moments to places from left to right. Never goes backwards; equal lengths are equal times, except in breaks."""

    def __init__(self, moments: Iterable[datetime], left: float = LEFT, right: float = WIDTH - RIGHT) -> None:
        self._at = sorted(set(moments))
        gaps = [(b - a).total_seconds() for a, b in zip(self._at, self._at[1:], strict=False)]
        self._longest = _longest(gaps)
        shown = [min(gap, self._longest) for gap in gaps]
        whole = sum(shown)
        self._left, self._per_second = left, (right - left) / whole if whole else 0.0
        self._middle = (left + right) / 2
        self.x = [left if whole else self._middle]
        for gap in shown:
            self.x.append(self.x[-1] + gap * self._per_second)

    def __call__(self, moment: datetime) -> float:
        """The place of a moment, which lies between the first and the last that were given."""
        if not self._per_second:
            return self._middle
        number = max(0, min(len(self._at) - 2, _index(self._at, moment)))
        start, end = self._at[number], self._at[number + 1]
        part = (moment - start).total_seconds() / (end - start).total_seconds()
        return round(self.x[number] + max(0.0, min(1.0, part)) * (self.x[number + 1] - self.x[number]), 2)

    def breaks(self) -> Iterator[tuple[float, float, timedelta]]:
        """Shortened stretches: from where to where, and how long they really are."""
        for number, (start, end) in enumerate(zip(self._at, self._at[1:], strict=False)):
            if (end - start).total_seconds() > self._longest * 1.001:
                yield self.x[number], self.x[number + 1], end - start

    def ticks(self) -> Iterator[tuple[float, datetime]]:
        """Moments to write below, far enough from each other, never in a break."""
        if not self._at:
            return
        chosen = [(self(self._at[0]), self._at[0])]
        last = (self(self._at[-1]), self._at[-1])
        for moment in self._at[1:-1]:
            place = self(moment)
            apart = place - chosen[-1][0] >= TICK_APART and last[0] - place >= TICK_APART
            if apart and f"{moment:%T}" != f"{chosen[-1][1]:%T}":
                chosen.append((place, moment))
        if last[0] - chosen[-1][0] >= TICK_APART * 0.7:
            chosen.append(last)
        yield from chosen


def axis(scale: TimeScale, top: float, bottom: float) -> Iterator[Shape]:
    """The line of time with its marks, and the breaks over the whole height."""
    for start, end, length in scale.breaks():
        yield Box(x=_r(start), y=_r(top), width=_r(end - start), height=_r(bottom - top), look="break")
        middle = (start + end) / 2
        yield Words(x=_r(middle), y=_r(bottom + 12), text=f"⋯ {wording.duration(length.total_seconds())} ⋯",
                    look="small", anchor="middle")  # fmt: skip
    yield Stroke(path=f"M{LEFT} {_r(bottom)}H{WIDTH - RIGHT}", look="axis")
    places = list(scale.ticks())
    for number, (place, moment) in enumerate(places):
        yield Stroke(path=f"M{_r(place)} {_r(bottom)}v5", look="axis")
        anchor = (
            "start"
            if number == 0 and len(places) > 1
            else ("end" if number == len(places) - 1 and number else "middle")
        )
        yield Words(x=_r(place), y=_r(bottom + 26), text=f"{moment:%H:%M:%S}", look="tick", anchor=anchor)


def width(text: str, size: float) -> float:
    """About how wide a text is."""
    return len(text) * CHARACTER * size


def placed(items: Sequence[tuple[float, float]], levels: int) -> list[int]:
    """A level for each interval so that none overlaps another on its level; -1 where there is no room."""
    ends = [float("-inf")] * levels
    found = []
    for start, end in items:
        level = next((number for number, taken in enumerate(ends) if taken <= start), -1)
        if level >= 0:
            ends[level] = end
        found.append(level)
    return found


def cut(text: str, limit: int) -> str:
    """At most so many characters."""
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _longest(gaps: Sequence[float]) -> float:
    """How long a stretch may be drawn: so that none takes more than its share of what is drawn."""
    telling = [gap for gap in gaps if gap >= SPLIT_S] or [gap for gap in gaps if gap > 0]
    if len(telling) < 2:
        return max(telling, default=0.0)
    share = max(WIDEST, 1.5 / len(telling))
    longest = max(telling)
    for _ in range(60):
        longest = min(longest, share * sum(min(gap, longest) for gap in telling))
    # What would not become much shorter is drawn as it is.
    return longest if max(telling) > 3 * longest else max(telling)


def _index(moments: Sequence[datetime], moment: datetime) -> int:
    return bisect_right(moments, moment) - 1


def _r(value: float) -> float:
    return round(value, 2)
