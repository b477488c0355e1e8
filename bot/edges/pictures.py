"""A document's pictures: their geometry, as SVG for what reads it, as PNG for Word."""

import json
from collections.abc import Sequence

from bot.domain.document import Picture
from bot.domain.lanes import Lanes
from bot.edges import drawing_lanes, drawing_signal, typesetting
from bot.edges.drawing import Drawing
from bot.edges.svg import svg

PPI = 110.0
"""Of a picture 960 points wide that is shown on 17 cm: about 220 dots an inch on paper."""
_PAGES = """
#set page(width: auto, height: auto, margin: 0pt, fill: white)
#for one in json(bytes(sys.inputs.data)) { image(bytes(one), format: "svg", width: 960pt); pagebreak(weak: true) }
"""


def drawn(picture: Picture) -> Drawing:
    """The picture's geometry."""
    return drawing_lanes.draw(picture.drawn) if isinstance(picture.drawn, Lanes) else drawing_signal.draw(picture.drawn)


def pngs(drawings: Sequence[Drawing]) -> list[bytes]:
    """Each drawing as a PNG, in one go."""
    if not drawings:
        return []
    made = [svg(drawing) for drawing in drawings]
    return typesetting.pngs(_PAGES, json.dumps(made), ppi=PPI)
