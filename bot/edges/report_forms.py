"""The report as text, HTML, CSV and JSON."""

import csv
import io
import json
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from bot.domain import wording
from bot.domain.reporting import KEYS, LABELS, P90_NEEDS, Group, Report, Times
from bot.domain.untrusted import line
from bot.edges import drawing_report
from bot.edges.export_csv import cell
from bot.edges.export_html import style
from bot.edges.svg import svg

if TYPE_CHECKING:
    from jinja2 import Template

EMPTY = "No incident was opened in this time. There is nothing to report; `pagerunner incidents --all` lists all."
HOW = (
    f"Medians of what was measured, with how many those were (n); p90 from {P90_NEEDS} values on. An incident in which "
    "a time is not known does not count for it."
)


def text(report: Report) -> str:
    """For a terminal."""
    head = _span(report)
    if not report.whole.incidents:
        return f"{head}\n\n{EMPTY}\n"
    rows = [("", "INCIDENTS", *LABELS.values()), *(_row(group) for group in (*report.groups, report.whole))]
    wide = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(part.ljust(width) for part, width in zip(row, wide, strict=True)).rstrip() for row in rows]
    return "\n".join([head, "", *lines, "", HOW, ""])


def html(report: Report) -> str:
    """One file without scripts, with a picture for each measure."""
    pictures = [drawing_report.draw(report, key) for key in KEYS]
    drawn = [svg(one, "system-ui, sans-serif", 1.0) for one in pictures if one is not None]
    rows = [_row(group) for group in (*report.groups, report.whole)]
    return _template().render(head=_span(report), rows=rows, drawn=drawn, empty=EMPTY if not report.whole.incidents
                              else "", how=HOW, style=style(), labels=list(LABELS.values()))  # fmt: skip


def as_csv(report: Report) -> str:
    """A row for each group, seconds as numbers; empty where nothing was measured."""
    out = io.StringIO()
    writer = csv.writer(out, quoting=csv.QUOTE_ALL, lineterminator="\r\n")
    heads = [f"{LABELS[key].lower()}_{part}" for key in KEYS for part in ("n", "median_s", "p90_s")]
    writer.writerow([report.by, "incidents", *heads])
    for group in (*report.groups, report.whole):
        numbers = [str(part) if part is not None else "" for key in KEYS
                   for part in (group.times[key].n, group.times[key].median, group.times[key].p90)]  # fmt: skip
        writer.writerow([cell(group.name), str(group.incidents), *numbers])
    return out.getvalue()


def as_json(report: Report) -> str:
    """Everything, for a program."""
    whole = {
        "format": "pagerunner-report/1", "since": report.since.isoformat(), "until": report.until.isoformat(),
        "by": report.by, "all": _data(report.whole), "groups": [_data(group) for group in report.groups], "how": HOW,
    }  # fmt: skip
    return json.dumps(whole, indent=2, ensure_ascii=False) + "\n"


def _data(group: Group) -> dict[str, object]:
    found = {LABELS[key].lower(): {"n": one.n, "median_s": one.median, "p90_s": one.p90}
             for key, one in group.times.items()}  # fmt: skip
    return {"name": group.name, "incidents": group.incidents, **found}


def _span(report: Report) -> str:
    incidents = wording.plural(report.whole.incidents, "incident")
    return f"{incidents} opened {report.since:%Y-%m-%d} to {report.until:%Y-%m-%d} ({report.until:%Z}), by {report.by}"


def _row(group: Group) -> Sequence[str]:
    return (line(group.name, 60), str(group.incidents), *(_times(group.times[key]) for key in KEYS))


def _times(one: Times) -> str:
    if one.median is None:
        return "not measured"
    p90 = f", p90 {wording.duration(one.p90)}" if one.p90 is not None else ""
    return f"{wording.duration(one.median)} (n = {one.n}{p90})"


@cache
def _template() -> "Template":
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - needed for this form only
    from markupsafe import Markup  # noqa: PLC0415

    environment = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True,
                              lstrip_blocks=True, undefined=StrictUndefined)  # fmt: skip
    environment.filters["ready"] = Markup  # Our own style sheet and pictures, whose texts are escaped already.
    return environment.get_template("report.html.j2")
