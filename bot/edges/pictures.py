"""An incident's pictures: their geometry, as SVG for what reads it, as PNG for Word and for chat."""

import json
from collections.abc import Sequence

from bot.domain.document import Picture
from bot.domain.lanes import Lanes, lanes
from bot.domain.signals import signals
from bot.domain.view import IncidentView
from bot.edges import drawing_lanes, drawing_signal, typesetting
from bot.edges.drawing import Drawing
from bot.edges.svg import svg
from bot.ports import Undeliverable

PPI = 110.0
"""Of a picture 960 points wide that is shown on 17 cm: about 220 dots an inch on paper."""
_PAGES = """
#set page(width: auto, height: auto, margin: 0pt, fill: white)
#for one in json(bytes(sys.inputs.data)) { image(bytes(one), format: "svg", width: 960pt); pagebreak(weak: true) }
"""
_SHEET = """
#set page(width: auto, height: auto, margin: 14pt, fill: white)
#set text(size: 14pt, fill: rgb("#17202b"), weight: "bold")
#for one in json(bytes(sys.inputs.data)) {
  block(below: 4pt, above: 18pt, text(one.title))
  image(bytes(one.svg), format: "svg", width: 960pt)
}
"""
SIGNALS = 2
"""Numbers on a sheet at most: what users notice first."""


def sheet(view: IncidentView) -> bytes:
    """One PNG of an incident: its deciding numbers over time, above what happened when.

    Raises :class:`Undeliverable` when it cannot be drawn: trying again would not help.
    """
    drawings = [drawing_signal.draw(one) for one in signals(view)[:SIGNALS]]
    drawings.append(drawing_lanes.draw(lanes(view)))
    try:
        made = [{"title": one.title, "svg": svg(one)} for one in drawings]
        return typesetting.pngs(_SHEET, json.dumps(made), ppi=PPI)[0]
    except typesetting.TypesettingError as error:
        raise Undeliverable(f"the picture could not be drawn: {error}") from error


def drawn(picture: Picture) -> Drawing:
    """The picture's geometry."""
    return drawing_lanes.draw(picture.drawn) if isinstance(picture.drawn, Lanes) else drawing_signal.draw(picture.drawn)


def pngs(drawings: Sequence[Drawing]) -> list[bytes]:
    """Each drawing as a PNG, in one go."""
    if not drawings:
        return []
    made = [svg(drawing) for drawing in drawings]
    return typesetting.pngs(_PAGES, json.dumps(made), ppi=PPI)
