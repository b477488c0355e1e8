"""A drawing as one SVG file that needs no style sheet around it: for PDF and Word, which read attributes and no CSS.

The looks are those of ``postmortem.html.j2``; a test holds both to the same words.
"""

from collections.abc import Iterator, Mapping
from xml.sax.saxutils import escape

from bot.edges.drawing import Box, Dot, Drawing, Shape, Stroke, Words

INK, SOFT, LINE, BAD, GOOD = "#17202b", "#566372", "#dde3ea", "#b42318", "#157347"
UNSURE, HUMAN, CHANGE = "#8a6116", "#6b3fa0", "#1558b0"
TONES: Mapping[str, str] = {
    "neutral": SOFT, "bad": BAD, "good": GOOD, "unsure": UNSURE, "human": HUMAN, "change": CHANGE,
}  # fmt: skip
SHAPES: Mapping[str, str] = {
    "rule": f'fill="none" stroke="{LINE}"', "axis": 'fill="none" stroke="#8b97a5"',
    "guide": f'fill="none" stroke="{CHANGE}" stroke-dasharray="3 3" stroke-opacity="0.65"', "break": 'fill="#eef1f5"',
    "usual": f'fill="none" stroke="{GOOD}" stroke-dasharray="7 4"',
    "line": 'fill="none" stroke="#9aa5b1" stroke-width="1.5"',
}  # fmt: skip
TEXTS: Mapping[str, tuple[float, str]] = {
    "lane": (12, 'font-weight="700"'), "tick": (11, f'fill="{SOFT}"'), "small": (10, f'fill="{SOFT}"'),
    "value": (11, 'font-weight="700"'),
}  # fmt: skip


def svg(drawing: Drawing, fonts: str = "Libertinus Serif", larger: float = 1.12) -> str:
    """The drawing as a file of its own. Text is ``larger`` than on a screen: serifs are narrower, paper is smaller."""
    size = f'viewBox="0 0 {drawing.width} {drawing.height}" width="{drawing.width}" height="{drawing.height}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="{fonts}">'
    said = f"<title>{text(drawing.title)}</title><desc>{text(drawing.description)}</desc>"
    return "".join([head, said, *_shapes(drawing.shapes, larger), "</svg>"])


def text(plain: str) -> str:
    """Text for XML: escaped, and without the characters that XML does not have."""
    kept = "".join(c if c >= " " or c in "\n\t" else "\ufffd" for c in plain if c not in "\ufffe\uffff")
    return escape(kept.encode("utf-8", "replace").decode())


def _shapes(shapes: tuple[Shape, ...], larger: float) -> Iterator[str]:
    for one in shapes:
        match one:
            case Words():
                yield from _words(one, larger)
            case Box():
                yield (f'<rect x="{one.x}" y="{one.y}" width="{one.width}" height="{one.height}" rx="2" '
                       f"{_looks(one.look)}/>")  # fmt: skip
            case Dot():
                yield f'<circle cx="{one.x}" cy="{one.y}" r="{one.radius}" {_looks(one.look)}/>'
            case Stroke():
                yield f'<path d="{one.path}" {_looks(one.look)}/>'


def _words(one: Words, larger: float) -> Iterator[str]:
    first, _, tone = one.look.partition(" ")
    size, weight = TEXTS.get(first, (11, ""))
    looks = f'font-size="{round(size * larger, 2)}" {weight}'.rstrip()
    colour = "" if "fill=" in looks else f' fill="{TONES.get(tone, INK)}"'
    place = f'x="{one.x}" y="{one.y}" text-anchor="{one.anchor}"'
    said = text(one.text)
    if first in ("label", "value"):  # Beneath it in white, so that no line runs through it.
        yield f'<text {place} {looks} fill="#fff" stroke="#fff" stroke-width="3" stroke-linejoin="round">{said}</text>'
    yield f"<text {place} {looks}{colour}>{said}</text>"


def _looks(look: str) -> str:
    first, _, tone = look.partition(" ")
    colour = TONES.get(tone, INK)
    if first == "whisker":
        return f'fill="none" stroke="{colour}" stroke-width="1.5"'
    if first == "fill":
        return f'fill="#fff" stroke="{colour}" stroke-width="1.6"' if tone == "unsure" else f'fill="{colour}"'
    return SHAPES.get(first, f'fill="{INK}"')
