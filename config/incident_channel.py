"""A channel of its own for each incident: the policy of a team or of a service."""

import re
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

PLACES = frozenset({"date", "time", "service", "team", "id"})
"""What a template may name: the day and minute (UTC) at which the incident opened, and names of the catalogue."""
_NAME = re.compile(r"(?:[a-z0-9_-]|\{[a-z]+\}){1,120}", re.ASCII)
_PLACE = re.compile(r"\{([^{}]*)\}")


class Bookmark(BaseModel):
    """A link at the top of the channel."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    title: str = Field(min_length=1, max_length=80)
    url: str = Field(pattern=r"^https://[^\s]+$", max_length=2_000)


class IncidentChannel(BaseModel):
    """How an incident's channel is made, and what becomes of it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    """False for a service whose incidents stay in threads although its team has channels."""
    name: str = "inc-{date}-{service}"
    """Lower case letters, digits, ``-``, ``_`` and the places above; numbered where the name is taken."""
    topic: str = Field(default="{service} · team {team} · {id}", max_length=250)
    private: bool = False
    invite_on_call: bool = True
    """Invite whoever is on call now by the team's escalation policy in PagerDuty, found in Slack by e-mail address."""
    invite: tuple[Annotated[str, StringConstraints(pattern=r"^[UWS][A-Z0-9]{2,20}$")], ...] = ()
    """Slack ids of people and user groups who are always invited."""
    bookmarks: tuple[Bookmark, ...] = Field(default=(), max_length=10)
    """Beside PagerDuty's incident and the service's dashboards."""
    archive: bool = True
    """Once the incident is closed and its postmortem stands in the channel."""
    archive_after_h: float = Field(default=24, ge=0, le=720)
    """Hours after the closing: Slack does not let an app open an archived channel again, and verdicts come late."""
    most_per_hour: int = Field(default=10, ge=1, le=100)
    """Of a team. What comes on top of it is a thread in the team's channel: a storm must not flood the sidebar."""

    @field_validator("name")
    @classmethod
    def _allowed(cls, value: str) -> str:
        if _NAME.fullmatch(value) is None:
            raise ValueError("use lower case letters, digits, - and _, with " + _known())
        return _places(value)

    @field_validator("topic")
    @classmethod
    def _plain(cls, value: str) -> str:
        if any(ord(character) < 32 for character in value):
            raise ValueError("one line of text, with " + _known())
        return _places(value)


def _places(value: str) -> str:
    unknown = sorted(set(_PLACE.findall(value)) - PLACES)
    if unknown or "{" in _PLACE.sub("", value) or "}" in _PLACE.sub("", value):
        raise ValueError(f"{', '.join(f'{{{name}}}' for name in unknown) or 'a single brace'} means nothing here; "
                         f"there are {_known()}")  # fmt: skip
    return value


def _known() -> str:
    return ", ".join(f"{{{name}}}" for name in ("date", "time", "service", "team", "id"))
