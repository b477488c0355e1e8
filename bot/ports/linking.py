"""A command line that acts as a person in Slack: linked by a code that works once."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from bot.domain.proposal import Principal
from bot.ports.asking import Told


@dataclass(frozen=True, kw_only=True, slots=True)
class Link:
    """One command line, and whom it acts as."""

    id: str
    label: str
    """Whose command line it is, as its maker called it: ``ana on laptop``. Untrusted."""
    made_at: datetime
    principal: str = ""
    """Empty: nobody has typed the code yet."""
    name: str = ""
    active: bool = False
    """Whether its maker has confirmed the person who typed the code."""
    used_at: datetime | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CodeMade:
    """A code to be typed in Slack, once, and until when."""

    link: str
    code: str
    expires_at: datetime


class Links(Protocol):
    """The code says which command line is meant, the person who types it says who they are, and the secret stays with
    the command line that made both: neither the code nor the API token is enough to act as somebody."""

    async def make(self, secret_hash: str, label: str, by: str) -> CodeMade | Told:
        """A code for the holder of the secret with this SHA-256; or why there is none now."""
        ...

    async def of_secret(self, link_id: str, secret: str) -> Link | None:
        """The link that this secret belongs to; None if there is none, or none any more."""
        ...

    async def acts_as(self, link_id: str, secret: str) -> Link | None:
        """The same, if it is confirmed; it is noted as used."""
        ...

    async def asked(self, code: str, who: Principal) -> Link | Told:
        """Which command line this code would link; or why none. Wrong codes are counted."""
        ...

    async def claim(self, code: str, who: Principal) -> Told:
        """This person types the code: works once."""
        ...

    async def confirm(self, link_id: str, secret: str) -> Told:
        """The maker of the code says that the person who typed it is the right one."""
        ...

    async def end(self, link_id: str, by: Principal, *, only_of: str = "") -> Told:
        """It acts as nobody from now on. ``only_of``: if it is this person's."""
        ...

    async def links(self, principal: str = "") -> Sequence[Link]:
        """Those that are not ended or expired, newest first; of one person, or all."""
        ...
