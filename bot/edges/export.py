"""An incident as a document: Markdown and HTML for people, JSON and CSV for programs."""

import html
import json
from typing import Literal

from bot.domain import codec, wording
from bot.domain.card import verdict
from bot.domain.untrusted import line
from bot.domain.view import IncidentView
from bot.edges import export_csv


class Export:
    """See :class:`bot.ports.Exporter`."""

    def export(self, view: IncidentView, form: Literal["md", "html", "json", "csv"]) -> bytes:
        """The postmortem (``md``, ``html``), all that is known (``json``) or the timeline (``csv``)."""
        match form:
            case "json":
                return json.dumps(codec.dump(view), indent=2, sort_keys=True, ensure_ascii=False).encode()
            case "csv":
                return export_csv.export(view)
            case "md":
                return _thin(view).encode()
            case "html":
                return (
                    "<!doctype html><meta charset=utf-8><meta http-equiv=Content-Security-Policy "
                    "content=\"default-src 'none'; style-src 'unsafe-inline'; img-src data:\">"
                    f"<pre>{html.escape(_thin(view))}</pre>"
                ).encode()


def _thin(view: IncidentView) -> str:
    lines = [f"# {view.incident.id}", "", f"    {line(view.incident.title, 300)}", ""]
    if view.diagnosis is not None:
        lines += [f"    {verdict(view.diagnosis)}", ""]
    lines += [f"    {wording.moment(e.at)} {e.fact.kind} #{e.seq}" for e in view.timeline]
    return "\n".join(lines) + "\n"
