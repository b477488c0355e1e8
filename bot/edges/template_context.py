"""What a template is given: plain JSON of one incident, and the built-in sections ready-made in the form asked for."""

from typing import Any

from bot.domain import measures as timing
from bot.domain import wording
from bot.domain.document import Document, Points, Statement, Table, Tasks
from bot.domain.edits import edits_of, shown
from bot.domain.measures import utc
from bot.domain.presentation import Presentation
from bot.domain.view import IncidentView
from bot.edges import export_html, export_markdown
from bot.edges.templates import TemplateForm


def context(view: IncidentView, document: Document, form: TemplateForm, presentation: Presentation) -> dict[str, Any]:
    """Every name that a template can use; ``docs/postmortem-templates.md`` describes each."""
    edited = shown(view, edits_of(view.timeline))
    return {
        "title": document.title, "incident": _incident(edited), "zone": presentation.zone_name,
        "redaction": presentation.redaction, "notes": list(presentation.notes),
        "measures": [
            {"key": m.key, "label": m.label, "seconds": m.seconds, "missing": m.missing,
             "took": "" if m.seconds is None else wording.duration(m.seconds)}
            for m in timing.measures(edited)
        ],
        "moments": [{"label": m.label, "said": m.said, "at": utc(m.at), "ref": m.ref} for m in timing.moments(edited)],
        "summary": _points(document, "summary"), "follow_ups": _tasks(document), "timeline": _timeline(document),
        "cause": _cause(edited),
        "sections": {each.key: _section(document, each.key, form) for each in document.sections},
        "order": [section.key for section in document.sections],
        "style": {"$ready": export_html.style()} if form == "html" else "",
    }  # fmt: skip


def _incident(view: IncidentView) -> dict[str, Any]:
    incident = view.incident
    moments = {name: getattr(incident, f"{name}_at") for name in ("opened", "acknowledged", "mitigated", "resolved")}
    return {
        "id": incident.id, "title": incident.title, "status": incident.status.value, "service": incident.service,
        "team": incident.team, "pages": incident.pages, "attempts": incident.attempts, "pager_ref": incident.pager_ref,
        "began": utc(timing.began(view).at), **{name: utc(at) if at else "" for name, at in moments.items()},
    }  # fmt: skip


def _cause(view: IncidentView) -> dict[str, Any]:
    diagnosis = view.diagnosis
    if diagnosis is None or not diagnosis.ranked:
        return {"known": False, "title": "", "mode": "", "probability": ""}
    leader = diagnosis.leader
    return {"known": diagnosis.conclusion == "cause", "title": leader.title, "mode": leader.mode,
            "probability": wording.percent(leader.probability)}  # fmt: skip


def _section(document: Document, key: str, form: TemplateForm) -> dict[str, Any]:
    section = next(each for each in document.sections if each.key == key)
    write = export_html.section if form == "html" else export_markdown.section
    return {"key": key, "title": section.title, "content": {"$ready": write(document, section)}}


def _points(document: Document, key: str) -> list[dict[str, Any]]:
    section = next(each for each in document.sections if each.key == key)
    return [_said(one) for block in section.blocks if isinstance(block, Points) for one in block.items]


def _tasks(document: Document) -> list[dict[str, Any]]:
    blocks = [block for section in document.sections for block in section.blocks]
    return [_said(one) for block in blocks if isinstance(block, Tasks) for one in block.items if one.spans]


def _timeline(document: Document) -> list[dict[str, str]]:
    section = next(each for each in document.sections if each.key == "timeline")
    rows = [row for block in section.blocks if isinstance(block, Table) for row in block.rows]
    names = ("entry", "at", "known", "who", "what")
    return [dict(zip(names, (cell.text for cell in row.cells), strict=True)) for row in rows]


def _said(one: Statement) -> dict[str, Any]:
    return {"text": one.text, "refs": list(one.refs), "known": not one.gap}
