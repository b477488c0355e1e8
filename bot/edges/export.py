"""An incident as a document: for people as Markdown, HTML, PDF and Word; for programs as JSON and CSV."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, assert_never

from bot.domain.document import Document
from bot.domain.postmortem import build
from bot.domain.presentation import AS_RECORDED, Form, Presentation
from bot.domain.redaction import redacted
from bot.domain.timeline import Provenance
from bot.domain.view import IncidentView
from bot.domain.zoned import zoned
from bot.edges import export_csv, export_html, export_json, export_markdown
from bot.edges.redact import Redactor
from bot.edges.template_context import context
from bot.edges.templates import TemplateForm, TemplateProblem, Templates
from bot.ports import Made

_PATTERNS_ALONE = Redactor({}, b"pagerunner-export")


class Export:
    """See :class:`bot.ports.Exporter`. The same view and presentation give the same bytes.

    ``redact`` takes secrets out of what people wrote, at every level; without it, what looks like a secret.
    """

    def __init__(self, redact: Callable[[str], str] = _PATTERNS_ALONE, templates: Templates | None = None) -> None:
        self._redact = redact
        self._templates = templates or Templates(None)

    def export(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> bytes:
        """The content alone: see :meth:`make`."""
        return self.make(view, form, presentation).content

    def make(self, view: IncidentView, form: Form, presentation: Presentation = AS_RECORDED) -> Made:
        """The postmortem (``md``, ``html``, ``pdf``, ``docx``), everything that is known (``json``), or the timeline
        (``csv``). A template that cannot be used is said in the notes and in the document, which is then the built-in.
        """
        told, altered = _without_secrets(view, self._redact)
        told = redacted(told, presentation.redaction)
        if form == "json":
            return Made(content=export_json.export(told, presentation, altered))
        if form == "csv":
            return Made(content=export_csv.export(told, presentation))
        shown = zoned(told, presentation.zone)
        if presentation.template:
            try:
                return Made(content=_utf8(self._from_template(shown, form, presentation)))
            except TemplateProblem as problem:
                note = f"{problem}. The built-in form was used instead."
                presentation = replace(presentation, notes=(*presentation.notes, note), template="")
        content = _document(build(shown, presentation), form, told.timeline[-1].at if told.timeline else None)
        return Made(content=content, notes=presentation.notes)

    def clean(self, view: IncidentView) -> IncidentView:
        """The view without secrets, for whoever makes the document elsewhere."""
        return _without_secrets(view, self._redact)[0]

    def _from_template(self, view: IncidentView, form: Form, presentation: Presentation) -> str:
        if form not in ("md", "html"):
            raise TemplateProblem(presentation.template, f"templates are for md and html, not for {form}")
        kind: TemplateForm = "md" if form == "md" else "html"
        document = build(view, presentation)
        return self._templates.render(presentation.template, kind, context(view, document, kind, presentation))


def _document(document: Document, form: Form, at: datetime | None) -> bytes:
    match form:
        case "md":
            return _utf8(export_markdown.export(document))
        case "html":
            return _utf8(export_html.export(document))
        case "pdf":
            from bot.edges import export_pdf  # noqa: PLC0415 - needed for this form only

            return export_pdf.export(document, at)
        case "docx":
            from bot.edges import export_docx  # noqa: PLC0415

            return export_docx.export(document, at)
        case "json" | "csv":
            raise ValueError(f"{form} is not made from the document")
        case _:
            assert_never(form)


def _without_secrets(view: IncidentView, redact: Callable[[str], str]) -> tuple[IncidentView, tuple[int, ...]]:
    """The view without secrets in what people wrote, and the entries that this altered. The rest has none: it went
    through the redactor on its way in."""
    entries, altered = [], []
    for entry in view.timeline:
        if entry.fact.provenance is Provenance.HUMAN:
            data = _clean(entry.fact.data, redact)
            if data != entry.fact.data:
                altered.append(entry.seq)
                entries.append(replace(entry, fact=replace(entry.fact, data=data)))
                continue
        entries.append(entry)
    return (replace(view, timeline=tuple(entries)) if altered else view), tuple(altered)


def _clean(value: Any, redact: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return redact(value)
    if isinstance(value, dict):
        return {key: inner if key == "plan_hash" else _clean(inner, redact) for key, inner in value.items()}
    return [_clean(inner, redact) for inner in value] if isinstance(value, list | tuple) else value


def _utf8(text: str) -> bytes:
    return text.encode("utf-8", "replace")
