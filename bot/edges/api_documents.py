"""``/api/v1``: documents of an incident, and edits of its timeline."""

import asyncio
import re
from datetime import datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Path, Query, Response
from pydantic import Field

from bot.domain.presentation import Form, Presentation, Redaction
from bot.domain.proposal import Principal
from bot.domain.view import IncidentView
from bot.edges.api_auth import who_is
from bot.edges.api_models import Body, ToldOut
from bot.edges.web_deps import ApiError, WebDeps
from bot.edges.zones import UnknownZone, zone
from bot.ports import TimelineEdit, Told

Id = Annotated[str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$")]
MEDIA: dict[Form, str] = {
    "md": "text/markdown; charset=utf-8", "html": "text/html; charset=utf-8", "json": "application/json",
    "csv": "text/csv; charset=utf-8", "pdf": "application/pdf",
    "docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
}  # fmt: skip


class EntryEditIn(Body):
    """What to do with an entry: nothing that is recorded is rewritten."""

    edit: Literal["hide", "annotate", "place", "mark"]
    undo: bool = False
    text: str = Field(default="", max_length=3_000)
    at: datetime | None = None
    began: bool = False


KINDS: dict[str, Literal["entry_hidden", "entry_annotated", "entry_placed", "key_moment"]] = {
    "hide": "entry_hidden", "annotate": "entry_annotated", "place": "entry_placed", "mark": "key_moment",
}  # fmt: skip


async def found(deps: WebDeps, incident_id: str) -> IncidentView:
    """The incident's view, or an answer that there is none."""
    view = await deps.records.view(incident_id)
    if view is None:
        raise ApiError(404, "no such incident", "id", "list incidents with GET /api/v1/incidents?active=false")
    return view


def told(answer: Told, where: str) -> ToldOut:
    """What happened, or an answer that is no."""
    if not answer.ok:
        raise ApiError(409, answer.text, where, "Read the current state and decide again.")
    return ToldOut(ok=True, text=answer.text)


def add(router: APIRouter, deps: WebDeps) -> None:
    """Exports, and edits of timelines."""

    @router.get("/incidents/{incident_id}/export", response_class=Response)
    async def export(
        incident_id: Id, format: Form = "md", redaction: Redaction = "internal",  # noqa: A002
        tz: Annotated[str, Query(max_length=64)] = "UTC",
        template: Annotated[str, Query(pattern=r"^[A-Za-z0-9_-]{0,64}$")] = "",
    ) -> Response:  # fmt: skip
        """The postmortem or timeline as a document. ``x-pagerunner-note`` says what became of a broken template."""
        view = await found(deps, incident_id)
        try:
            shown = Presentation(zone=zone(tz), zone_name=tz, redaction=redaction, template=template)
        except UnknownZone as error:
            raise ApiError(422, str(error), "tz", "give a name of the IANA database, such as Europe/Berlin") from None
        # Off the event loop: a PDF takes a second, and webhooks are accepted meanwhile.
        made = await asyncio.to_thread(deps.exporter.make, view, format, shown)
        notes = {"x-pagerunner-note": _header(" ".join(made.notes))} if made.notes else {}
        return Response(
            made.content, media_type=MEDIA[format],
            headers={
                "content-disposition": f'attachment; filename="{_file_name(view)}.{format}"',
                "content-security-policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:; sandbox",
                **notes,
            },
        )  # fmt: skip

    who_acts = Depends(who_is(deps))

    @router.post("/incidents/{incident_id}/timeline/{entry}", response_model=ToldOut)
    async def edit(
        incident_id: Id, entry: Annotated[int, Path(ge=1)], body: EntryEditIn, who: Principal = who_acts
    ) -> Any:
        """Hide, annotate, place or mark an entry: a new fact about it."""
        if deps.scribe is None:
            raise ApiError(503, "this server does not edit timelines", "timeline", "ask the server that records it")
        wanted = TimelineEdit(kind=KINDS[body.edit], undo=body.undo, text=body.text, at=body.at, began=body.began)
        return told(await deps.scribe.edit(incident_id, entry, wanted, who), "entry")


def _file_name(view: IncidentView) -> str:
    return re.sub(r"[^A-Za-z0-9_-]", "-", view.incident.id)[:64]


def _header(text: str) -> str:
    """One line that a header can hold."""
    return re.sub(r"[^ -~]", "?", text)[:500]
