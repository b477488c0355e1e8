"""The incident at a glance as shapes: six lanes over one line of time."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from bot.domain.lanes import Lane, Lanes, Mark
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

TOP = 8.0
FONT = 11.0
LEVELS = 4
LEVEL = 17.0
PROBE_ROWS = 18
PROBE = 13.0
PADDING = 7.0


@dataclass(frozen=True, kw_only=True, slots=True)
class _Laid:
    """A mark with its place."""

    mark: Mark
    x: float
    end: float
    level: int
    label: str
    before: bool = False
    """The label stands to the left of the mark, because there is no room to the right."""


def draw(lanes: Lanes) -> Drawing:
    """All lanes, also the empty ones: that nothing happened is to be seen as well."""
    moments = [moment for lane in lanes.lanes for mark in lane.marks for moment in (mark.at, mark.until) if moment]
    scale = TimeScale(moments)
    shapes: list[Shape] = []
    y = TOP
    edges = []
    for lane in lanes.lanes:
        laid = _probes(lane, scale) if lane.name == "probes" else _labelled(lane, scale)
        pitch = PROBE if lane.name == "probes" else LEVEL
        height = pitch * (1 + max((each.level for each in laid), default=0)) + 2 * PADDING
        shapes.append(Words(x=LEFT - 14, y=round(y + PADDING + 11, 2), text=lane.name, look="lane", anchor="end"))
        for each in laid:
            shapes += _shapes(each, y + PADDING, pitch)
        if lane.hidden:
            shapes.append(Words(x=WIDTH - RIGHT, y=round(y + height - 3, 2), text=f"and {lane.hidden} more",
                                look="small", anchor="end"))  # fmt: skip
        y = round(y + height, 2)
        edges.append(y)
    under: list[Shape] = [Stroke(path=f"M{LEFT} {edge}H{WIDTH - RIGHT}", look="rule") for edge in edges[:-1]]
    changes = [mark for lane in lanes.lanes for mark in lane.marks if mark.tone == "change"]
    under += [Stroke(path=f"M{scale(mark.at)} {TOP}V{y}", look="guide") for mark in changes]
    frame = sorted(axis(scale, TOP, y), key=lambda shape: not isinstance(shape, Box))  # Bands lie under everything.
    shapes += _legend(y + 46)
    return Drawing(height=y + 56, title="The incident at a glance", description=_described(lanes),
                   shapes=(*frame, *under, *shapes))  # fmt: skip


def _labelled(lane: Lane, scale: TimeScale) -> list[_Laid]:
    """Marks with their labels beside them, on as many levels as needed; a label without room stays in the tip."""
    laid = []
    spans = []
    for mark in lane.marks:
        x, end = scale(mark.at), scale(mark.until) if mark.until else scale(mark.at)
        label = cut(mark.label, 60)
        wide = 12 + width(label, FONT)
        before = end + wide > WIDTH - RIGHT + 8
        laid.append((mark, x, end, label, before))
        spans.append((x - wide, end + 8) if before else (x - 6, end + wide + 6))
    order = sorted(range(len(laid)), key=lambda number: spans[number][0])
    levels = dict(zip(order, placed([spans[number] for number in order], LEVELS), strict=True))
    return [
        _Laid(mark=mark, x=x, end=end, level=max(0, levels[number]), label=label if levels[number] >= 0 else "",
              before=before)
        for number, (mark, x, end, label, before) in enumerate(laid)
    ]  # fmt: skip


def _probes(lane: Lane, scale: TimeScale) -> list[_Laid]:
    """Probes as bars on rows of their own; those that are not normal with their names."""
    order = sorted(lane.marks, key=lambda mark: (mark.at, mark.tone != "bad", mark.tone == "good", mark.label))
    ends = [float("-inf")] * PROBE_ROWS
    found = []
    for mark in order:
        x, end = scale(mark.at), scale(mark.until or mark.at)
        label = cut(mark.label, 44) if mark.tone == "bad" else ""
        wide = 10 + width(label, FONT) if label else 7.0
        label = label if end + wide <= WIDTH - RIGHT else ""
        wide = wide if label else 7.0
        row = next((number for number, taken in enumerate(ends) if taken <= x), -1)
        if row < 0:
            row, label = min(range(PROBE_ROWS), key=lambda number: ends[number]), ""
        ends[row] = max(ends[row], end + wide)
        found.append(_Laid(mark=mark, x=x, end=end, level=row, label=label))
    return found


def _shapes(each: _Laid, top: float, pitch: float) -> Iterator[Shape]:
    y = round(top + each.level * pitch + pitch / 2, 2)
    mark = each.mark
    when = f"{mark.at:%H:%M:%S}" + (f" to {mark.until:%H:%M:%S}" if mark.until and mark.until != mark.at else "")
    tip = f"{mark.label}, {when} {mark.at:%Z} ({mark.ref})"
    if mark.until is not None:
        half = 2.5 if mark.tone == "good" else 4.5  # Not by colour alone.
        wide = max(6.0, each.end - each.x)
        x = each.x if each.end - each.x >= 6 else each.x - 3
        yield Box(x=round(x, 2), y=round(y - half, 2), width=round(wide, 2), height=2 * half, look=f"fill {mark.tone}",
                  tip=tip)  # fmt: skip
    elif mark.tone == "change":
        yield Stroke(path=f"M{each.x} {y - 6}l6 6l-6 6l-6 -6z", look="fill change", tip=tip)
    else:
        yield Dot(x=each.x, y=y, radius=4.5, look=f"fill {mark.tone}", tip=tip)
    if each.label:
        x, anchor = (each.x - 9, "end") if each.before else (max(each.end, each.x + 3) + 7, "start")
        yield Words(x=round(x, 2), y=round(y + 4, 2), text=each.label, look=f"label {mark.tone}", anchor=anchor)


def _legend(y: float) -> Iterator[Shape]:
    """What the shapes mean."""
    x = LEFT
    for look, words in (("bad", "not normal"), ("good", "normal"), ("unsure", "no answer"), ("human", "a person"),
                        ("change", "a change")):  # fmt: skip
        if look == "human":
            yield Dot(x=x + 4, y=y - 4, radius=4.5, look="fill human")
        elif look == "change":
            yield Stroke(path=f"M{x + 4} {y - 10}l6 6l-6 6l-6 -6z", look="fill change")
        else:
            half = 2.5 if look == "good" else 4.5
            yield Box(x=x, y=y - 4 - half, width=9.0, height=2 * half, look=f"fill {look}")
        yield Words(x=x + 15, y=y, text=words, look="small")
        x = round(x + 34 + width(words, 10), 2)


def _described(lanes: Lanes) -> str:
    """The picture in words."""
    parts = []
    for lane in lanes.lanes:
        if not lane.marks:
            parts.append(f"{lane.name}: nothing")
        elif lane.name == "probes":
            tones = Counter(mark.tone for mark in lane.marks)
            parts.append(
                f"probes: {tones['bad']} not normal, {tones['good']} normal, {tones['unsure']} without an answer"
            )
        else:
            shown = ", ".join(f"{mark.label} at {mark.at:%H:%M:%S}" for mark in lane.marks[:8])
            more = f" and {len(lane.marks) - 8 + lane.hidden} more" if len(lane.marks) > 8 else ""
            parts.append(f"{lane.name}: {shown}{more}")
    zones = dict.fromkeys(f"{mark.at:%Z}" for lane in lanes.lanes for mark in lane.marks)
    return "; ".join(parts) + f". All times are {' and '.join(zones)}."
