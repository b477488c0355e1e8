"""The policy of a catalogue: who may approve which risk, and who may do it alone in an emergency."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Risk = Literal["R0", "R1", "R2", "R3"]
"""R0 informs. R1 is reversible and quality-neutral. R2 is reversible, but changes behaviour, cost or quality.
R3 is hard to reverse, spends money, or touches safety or security."""


class Declared(BaseModel):
    """Base of every declared thing: frozen, and a misspelt key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Approvers(Declared):
    """People who may approve: each source counts by itself. Empty means nobody."""

    slack_users: tuple[str, ...] = ()
    """Slack user ids."""
    slack_groups: tuple[str, ...] = ()
    """Slack user-group ids."""
    on_call: bool = False
    """Whoever is on call now, at any level of the team's PagerDuty escalation policy; told by e-mail address."""
    local: bool = False
    """Whether a local person may (console, CLI), who is nobody in Slack until they link themselves."""


class Rule(Declared):
    """For these services and this risk: ``count`` different approvers of ``team`` (empty: the service's own team)."""

    services: tuple[str, ...]
    """Service names, ``tag:NAME``, or ``*``."""
    risk: Risk
    count: int = Field(ge=1, le=5)
    team: Name | None = None


class BreakGlass(Declared):
    """In an emergency, each of these people may approve alone, with a reason, what a rule lets others approve. It
    leaves a debt: somebody else reviews it afterwards. Without people it is nobody."""

    services: tuple[str, ...]
    """Service names, ``tag:NAME``, or ``*``."""
    up_to: Risk
    """The highest risk that may be approved so."""
    people: Approvers = Approvers()

    @model_validator(mode="after")
    def _somebody_known(self) -> "BreakGlass":
        if self.people.local:
            raise ValueError("people.local: a local person is nobody in particular; name slack_users or slack_groups")
        return self


class Policy(Declared):
    """Who may approve what. No rule that matches means nobody may."""

    version: str = "1"
    rules: tuple[Rule, ...] = ()
    break_glass: tuple[BreakGlass, ...] = ()
    proposal_ttl_s: int = Field(default=900, ge=30, le=86_400)
