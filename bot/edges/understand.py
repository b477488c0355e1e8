"""Deliveries to what they say: one vendor's parser for each source, and quarantine for what nobody can read."""

import json
from collections.abc import Callable

from pydantic import ValidationError

from bot.domain import codec
from bot.domain.page import Page
from bot.edges import pagerduty_in
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
        page = pagerduty_in.parse(received.body, received.received_at, redact=redact)
        if isinstance(page, pagerduty_in.Quarantined):
            content = fit(received.body.decode("utf-8", "replace"), SHOWN_CHARS, redact, lines=True)
            shown = Page.unreadable(received.key, received.source, received.received_at, page.reason, content)
            return Placed(received=received, page=shown, quarantine=page.reason)
        return Placed(received=received, page=page)

    return one


def _change(received: Received) -> Placed:
    """A change as ``POST /changes`` stored it; it was checked before it was accepted."""
    try:
        return Placed(received=received, change=codec.load(Change, json.loads(received.body)))
    except (ValidationError, json.JSONDecodeError) as error:
        return Placed(received=received, quarantine=f"not a change: {error}")
