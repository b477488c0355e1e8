"""How a document is to be shown: in which time zone, how much it may tell, and in whose form. Never what happened."""

from dataclasses import dataclass
from datetime import UTC, tzinfo
from typing import Literal

Form = Literal["md", "html", "json", "csv", "pdf", "docx"]
Redaction = Literal["internal", "company", "public"]

READERS: dict[Redaction, str] = {
    "internal": "for the team: everything that is recorded",
    "company": "for the company: without what was received from outside, and without tenants' names",
    "public": "for everybody: without names of people, services, providers, teams and hosts, and without free text",
}
"""Redaction level -> for whom, and what is left out. Secrets are left out at every level."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Presentation:
    """What the reader asked for."""

    zone: tzinfo = UTC
    zone_name: str = "UTC"
    redaction: Redaction = "internal"
    template: str = ""
    """Name of a company's own template; empty: the built-in one."""
    notes: tuple[str, ...] = ()
    """What the reader must know of how this document came about, such as a template that could not be used."""


AS_RECORDED = Presentation()
