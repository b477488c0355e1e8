"""A measure over groups as shapes: for each group its median as a bar, and its ninetieth percentile as a mark."""

from bot.domain import wording
from bot.domain.reporting import LABELS, MEANINGS, Report
from bot.domain.untrusted import line
from bot.edges.drawing import WIDTH, Box, Drawing, Shape, Stroke, Words, cut

LEFT, RIGHT, TOP, ROW = 220.0, 240.0, 40.0, 26.0
MOST = 24
"""Groups in one picture; the table has all of them."""


def draw(report: Report, key: str) -> Drawing | None:
    """The picture of one measure; None when nothing of it was measured."""
    rows = [group for group in report.groups if group.times[key].n][:MOST]
    if not rows:
        return None
    longest = max(max(group.times[key].median or 0.0, group.times[key].p90 or 0.0) for group in rows) or 1.0
    scale = (WIDTH - LEFT - RIGHT) / longest
    title = f"{LABELS[key]}, {MEANINGS[key]}"
    shapes: list[Shape] = [Words(x=0, y=18, text=title, look="lane")]
    bottom = TOP + ROW * len(rows)
    shapes.append(Stroke(path=f"M{LEFT} {TOP - 8}V{bottom}", look="axis"))
    for number, group in enumerate(rows):
        y, one = TOP + ROW * number, group.times[key]
        middle = one.median or 0.0
        shapes.append(Words(x=LEFT - 10, y=y + 12, text=cut(line(group.name, 60), 34), look="label", anchor="end"))
        wide = max(2.0, round(middle * scale, 2))
        tip = f"median {wording.duration(middle)} of {one.n}"
        shapes.append(Box(x=LEFT, y=y, width=wide, height=15.0, look="fill change", tip=tip))
        end = LEFT + wide
        said = f"{wording.duration(middle)}, n = {one.n}"
        if one.p90 is not None:
            x = round(LEFT + one.p90 * scale, 2)
            shapes.append(Stroke(path=f"M{x} {y - 2}v19M{end} {y + 7.5}H{x}", look="whisker human",
                                 tip=f"90 % within {wording.duration(one.p90)}"))  # fmt: skip
            end, said = max(end, x), f"{said}, p90 {wording.duration(one.p90)}"
        shapes.append(Words(x=round(end + 8, 2), y=y + 12, text=said, look="tick"))
    described = "; ".join(f"{line(g.name, 60)}: median {wording.duration(g.times[key].median or 0)} of {g.times[key].n}"
                          for g in rows)  # fmt: skip
    return Drawing(height=bottom + 8, title=title, description=f"{described}.", shapes=tuple(shapes))
