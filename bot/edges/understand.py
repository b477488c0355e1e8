"""Deliveries to what they say: one vendor's parser for each source, and quarantine for what nobody can read."""

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from pydantic import ValidationError

from bot.domain import codec
from bot.domain.page import Page
from bot.edges import pagerduty_in
from bot.edges.pagerduty_in import MAX_BODY_CHARS, MAX_TITLE_CHARS
from bot.edges.text import fit
from bot.ports import Placed, Received, Understand
from diagnostics.model import Change

SHOWN_CHARS = 1_000
"""So much of a delivery that cannot be read is shown; all of it is kept."""


def understand(redact: Callable[[str], str]) -> Understand:
    """See :data:`bot.ports.Understand`."""

    def one(received: Received) -> Placed:
        if received.source == "changes":
            return _change(received)
        if received.source == "slack":
            return _declared(received, redact)
        page = pagerduty_in.parse(received.body, received.received_at, redact=redact)
        if isinstance(page, pagerduty_in.Quarantined):
            content = fit(received.body.decode("utf-8", "replace"), SHOWN_CHARS, redact, lines=True)
            shown = Page.unreadable(received.key, received.source, received.received_at, page.reason, content)
            return Placed(received=received, page=shown, quarantine=page.reason)
        return Placed(received=received, page=page)

    return one


def _declared(received: Received, redact: Callable[[str], str]) -> Placed:
    """What a person declared; its form was checked before it was accepted."""
    page = _declaration(received)
    if page is None:
        why = "not a declaration"
        shown = Page.unreadable(received.key, received.source, received.received_at, why)
        return Placed(received=received, page=shown, quarantine=why)
    title, body = fit(page.title, MAX_TITLE_CHARS, redact), fit(page.body, MAX_BODY_CHARS, redact, lines=True)
    return Placed(received=received, page=replace(page, title=title, body=body))


def _change(received: Received) -> Placed:
    """A change as ``POST /changes`` stored it; it was checked before it was accepted."""
    try:
        return Placed(received=received, change=codec.load(Change, json.loads(received.body)))
    except (ValidationError, json.JSONDecodeError) as error:
        return Placed(received=received, quarantine=f"not a change: {error}")


def _declaration(received: Received) -> Page | None:
    """The page that a declaration is; None for a body that the form did not lead to."""
    try:
        told: Any = json.loads(received.body)
    except ValueError:
        return None
    if not isinstance(told, Mapping) or not all(isinstance(told.get(k), str) for k in ("service", "title", "by")):
        return None
    return Page(
        event_id=received.key, kind="triggered", occurred_at=received.received_at, received_at=received.received_at,
        source="slack", incident_ref="", title=told["title"], body=str(told.get("seen") or ""),
        service_name=told["service"], agent=str(told.get("by_id") or told["by"]).removeprefix("slack:"),
    )  # fmt: skip
