"""An incident as a document: Markdown and HTML for people, JSON and CSV for programs."""

from typing import Literal

from bot.domain.postmortem import build
from bot.domain.view import IncidentView
from bot.edges import export_csv, export_html, export_json, export_markdown


class Export:
    """See :class:`bot.ports.Exporter`. The same view gives the same bytes."""

    def export(self, view: IncidentView, form: Literal["md", "html", "json", "csv"]) -> bytes:
        """The postmortem (``md``, ``html``), everything that is known (``json``), or the timeline (``csv``)."""
        match form:
            case "md":
                return _utf8(export_markdown.export(build(view)))
            case "html":
                return _utf8(export_html.export(build(view)))
            case "json":
                return export_json.export(view)
            case "csv":
                return export_csv.export(view)


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
