"""What is searched for: everything that pages and people have said of an incident, as one query."""

from collections.abc import Sequence

from bot.domain.page import Page
from config.catalogue import Service
from knowledge.model import Query

BODY_LIMIT = 8_000
SAID = ("triggered", "reopened", "note")
"""Kinds of pages that say something about what is wrong."""


def query(title: str, service: Service | None, pages: Sequence[Page], also: Sequence[str] = ()) -> Query:
    """The query of an incident with this title; ``also``: what the pager and people told besides."""
    texts = [*(page.body for page in pages if page.kind in SAID), *also]
    body = "\n".join(text for text in dict.fromkeys(texts) if text)[:BODY_LIMIT]
    if service is None:
        return Query(title=title, body=body)
    return Query(title=title, body=body, service=service.name, service_kind=service.kind, service_tags=service.tags)
