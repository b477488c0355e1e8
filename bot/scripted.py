"""The people of a drill: how they decide about what is proposed to them, as the drill prescribes."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from bot.domain.proposal import Principal

PEOPLE = tuple(Principal(id=f"slack:DRILL/U{n}", name=f"drill {n}", via="terminal") for n in range(1, 6))
SEES_AFTER_S = 20.0
"""How long they take to read a proposal."""
Vote = tuple[Principal, Literal["approve", "reject"]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Approver:
    """Prompt, slow, rejects first, never, or two who disagree."""

    kind: str = "prompt"
    seconds: float = SEES_AFTER_S
    """Until they decide about a proposal."""

    @classmethod
    def told(cls, given: Mapping[str, Any]) -> "Approver":
        """As the referee tells it."""
        return cls(kind=given["kind"], seconds=float(given.get("seconds", SEES_AFTER_S)))

    @property
    def asks_again(self) -> bool:
        """Whether somebody who rejects asks for another look."""
        return self.kind == "rejects_first"

    def votes(self, number: int, needed: int) -> tuple[Vote, ...]:
        """What they decide about the proposal of this number (from 0), which needs so many approvals."""
        yes: tuple[Vote, ...] = tuple((who, "approve") for who in PEOPLE[:needed])
        if self.kind == "never":
            return ()
        if self.kind == "rejects_first" and number == 0:
            return ((PEOPLE[0], "reject"),)
        if self.kind == "disagree":
            # Who would settle it alone comes second: a rejection that is in stands.
            return (*yes[:-1], (PEOPLE[needed], "reject"), yes[-1])
        return yes
