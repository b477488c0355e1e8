"""Telling those who keep runbooks how they fared: what is owed to whom, until it is told."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.view import MessageRef

Permalink = Callable[[MessageRef], Awaitable[str]]
"""The web address of a message; empty if it has none or it cannot be asked for now."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Owed:
    """Somebody is to hear of an incident that their runbooks were used in."""

    incident: str
    episode: float
    """When it was resolved: one that is opened again is told again."""
    owner: str
    """As the runbooks say."""
    place: str
    """A channel, or a person's Slack id or e-mail address; empty: the card's thread."""
    due_at: datetime


class AuthorBook(Protocol):
    """Each method is one transaction."""

    async def owe(self, owed: Sequence[Owed]) -> None:
        """Note what is to be told; what is noted already becomes due earlier if this is earlier, and nothing more."""
        ...

    async def owed(self) -> Sequence[Owed]:
        """What was not told yet, oldest first, due or not."""
        ...

    async def told(self, incident_id: str, episode: float, owner: str) -> bool:
        """Whether this was told."""
        ...

    async def last_told(self, place: str) -> datetime | None:
        """When somebody was last told there."""
        ...

    async def tell(self, owed: Sequence[Owed], text: str, now: datetime) -> None:
        """Tell it, and note that it was told. A person or channel that cannot be reached: in the newest card's thread
        instead."""
        ...

    async def add(self, incident_id: str, place: str, key: str, text: str, now: datetime) -> None:
        """Say something more there, once for each ``key``."""
        ...

    async def notice(self, channel: str, key: str, text: str, now: datetime) -> None:
        """Tell a channel something that is about no incident, once for each ``key``."""
        ...
