"""A number before and after as shapes: readings with their intervals, what is normal, and what was changed when."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.signals import Point, Signal, shown
from bot.edges.drawing import (
    LEFT,
    RIGHT,
    WIDTH,
    Box,
    Dot,
    Drawing,
    Shape,
    Stroke,
    TimeScale,
    Words,
    axis,
    cut,
    placed,
    width,
)
from diagnostics.model import Verdict

TOP, HEIGHT = 62.0, 150.0
BOTTOM = TOP + HEIGHT
FONT = 11.0
TONES = {Verdict.NORMAL: "good", Verdict.ABNORMAL: "bad"}
LABELLED = 60.0
"""Values closer to each other than this are not written; they are in the tip, and in the timeline."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Up:
    """Values to places from the bottom to the top."""

    low: float
    high: float

    def __call__(self, value: float) -> float:
        return round(BOTTOM - (value - self.low) / (self.high - self.low) * HEIGHT, 2)


def draw(signal: Signal) -> Drawing:
    """The picture of one signal."""
    scale = TimeScale([point.at for point in signal.points] + [mark.at for mark in signal.changes],
                      LEFT + 12, WIDTH - RIGHT - 34)  # fmt: skip
    up = _range(signal)
    shapes: list[Shape] = sorted(axis(scale, TOP, BOTTOM), key=lambda shape: not isinstance(shape, Box))
    shapes += [*_grid(signal, up), *_changes(signal, scale), *_usual(signal, up)]
    places = [(scale(point.at), up(point.value)) for point in signal.points]
    path = "".join(f"{'L' if number else 'M'}{x} {y}" for number, (x, y) in enumerate(places))
    shapes.append(Stroke(path=path, look="line"))
    written = float("-inf")
    for number, (point, (x, y)) in enumerate(zip(signal.points, places, strict=True)):
        shapes += _point(signal, point, x, y, up)
        last = number == len(places) - 1
        if x - written >= LABELLED and (last or places[-1][0] - x >= LABELLED):
            shapes.append(Words(x=x + 7, y=y - 7, text=shown(signal, point.value), look=f"value {_tone(point)}"))
            written = x
    return Drawing(height=BOTTOM + 36, title=f"{signal.probe}: {signal.label}", description=_described(signal),
                   shapes=tuple(shapes))  # fmt: skip


def _range(signal: Signal) -> _Up:
    """From zero, or from below the lowest value, to somewhat above the highest."""
    values = [point.value for point in signal.points] + [signal.baseline or 0.0]
    values += [end for point in signal.points if point.interval for end in point.interval]
    low, high = min(0.0, *values), max(0.0, *values)
    if signal.kind == "share" and high <= 1:
        high = min(1.0, high * 1.12 or 1.0)
    else:
        high *= 1.12
    return _Up(low=low * 1.12, high=high if high > low else low + 1.0)


def _grid(signal: Signal, up: _Up) -> Iterator[Shape]:
    """Three or four lines at round values."""
    step = 10 ** math.floor(math.log10((up.high - up.low) or 1.0))
    while (up.high - up.low) / step < 3:
        step /= 2
    first = math.ceil(up.low / step)
    count = math.floor(up.high / step) - first
    every = max(1, math.ceil(count / 4))
    for number in range(first, first + count + 1, every):
        y = up(number * step)
        yield Stroke(path=f"M{LEFT} {y}H{WIDTH - RIGHT}", look="rule")
        yield Words(x=LEFT - 10, y=y + 4, text=shown(signal, number * step), look="tick", anchor="end")


def _changes(signal: Signal, scale: TimeScale) -> Iterator[Shape]:
    """When something was changed: a line over the whole height, with its name above."""
    places = [scale(mark.at) for mark in signal.changes]
    labels = [cut(mark.label, 40) for mark in signal.changes]
    sides = [x + width(label, FONT) + 12 > WIDTH for x, label in zip(places, labels, strict=True)]
    spans = [(x - width(label, FONT) - 8, x) if left else (x, x + width(label, FONT) + 8)
             for x, label, left in zip(places, labels, sides, strict=True)]  # fmt: skip
    order = sorted(range(len(spans)), key=lambda number: spans[number][0])
    levels = dict(zip(order, placed([spans[number] for number in order], 3), strict=True))
    for number, mark in enumerate(signal.changes):
        x, level = places[number], levels[number]
        tip = f"{mark.label}, {mark.at:%H:%M:%S %Z} ({mark.ref})"
        y = 26 + 14 * max(0, level)
        yield Stroke(path=f"M{x} {y - 8}V{BOTTOM}", look="guide", tip=tip)
        if level >= 0:
            left = sides[number]
            yield Words(x=x - 4 if left else x + 4, y=y, text=labels[number], look="label change",
                        anchor="end" if left else "start")  # fmt: skip


def _usual(signal: Signal, up: _Up) -> Iterator[Shape]:
    if signal.baseline is not None:
        y = up(signal.baseline)
        yield Stroke(path=f"M{LEFT} {y}H{WIDTH - RIGHT}", look="usual")
        yield Stroke(path=f"M{LEFT} 8h22", look="usual")
        yield Words(x=LEFT + 28, y=12, text=f"normally {shown(signal, signal.baseline)}", look="tick")


def _point(signal: Signal, point: Point, x: float, y: float, up: _Up) -> Iterator[Shape]:
    tone = _tone(point)
    if point.interval is not None:
        low, high = (up(end) for end in point.interval)
        yield Stroke(path=f"M{x} {low}V{high}M{x - 4} {low}h8M{x - 4} {high}h8", look=f"whisker {tone}")
    n = f", n = {point.n:,}" if point.n else ""
    tip = f"{shown(signal, point.value)}{n}, {point.at:%H:%M:%S %Z} ({point.ref})"
    if tone == "bad":
        yield Box(x=x - 4.5, y=y - 4.5, width=9.0, height=9.0, look="fill bad", tip=tip)
    else:
        yield Dot(x=x, y=y, radius=4.8, look=f"fill {tone}", tip=tip)


def _tone(point: Point) -> str:
    return TONES.get(point.verdict, "unsure")


def _described(signal: Signal) -> str:
    """The picture in words."""
    first, last = signal.points[0], signal.points[-1]
    said = f"{shown(signal, first.value)} at {first.at:%H:%M:%S}"
    if last is not first:
        said += f", {shown(signal, last.value)} at {last.at:%H:%M:%S}, {len(signal.points)} readings in all"
    if signal.baseline is not None:
        said += f"; normally {shown(signal, signal.baseline)}"
    for mark in signal.changes[:6]:
        said += f"; {mark.label} at {mark.at:%H:%M:%S}"
    return f"{said}. All times are {first.at:%Z}."
