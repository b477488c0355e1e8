"""Names in a view: which tenants it mentions, and the roles under which people, services and teams can be shown."""

import re
from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import Any, TypeVar

from pydantic import BaseModel

from bot.domain.view import IncidentView
from config.catalogue import Service, Team

LEFT_OUT = "[left out]"
TENANTS = "tenant_shares"
T = TypeVar("T")


def tenants_in(view: IncidentView) -> list[str]:
    """Every tenant that a finding, a plan or a fact names, in alphabetical order."""
    found: set[str] = set()
    for finding in view.findings:
        _collect(finding.reading.details, found)
        _collect(finding.params, found)
    for pv in view.proposals:
        for part in (pv.proposal.plan.params, pv.proposal.plan.pre_state, pv.proposal.plan.post_state):
            _collect(part, found)
    for entry in view.timeline:
        _collect(entry.fact.data, found)
    return sorted(found - {"top", ""})


def _collect(value: Any, found: set[str]) -> None:
    """Names under a key that says tenant or customer, and the keys of a table of tenants."""
    if isinstance(value, list | tuple):
        for each in value:
            _collect(each, found)
    if not isinstance(value, Mapping):
        return
    for key, inner in value.items():
        word = str(key).lower()
        if "tenant" in word or "customer" in word:
            if isinstance(inner, str):
                found.add(inner)
            elif isinstance(inner, list | tuple):
                found |= {each for each in inner if isinstance(each, str)}
            elif isinstance(inner, Mapping) and TENANTS in word:
                found |= {str(name) for name in inner}
        _collect(inner, found)


def without(view: T, names: Mapping[str, str]) -> T:
    """The same value with these names replaced in every text, wherever it stands; the longest first."""
    if not names:
        return view
    longest = sorted(names, key=len, reverse=True)
    lowered = {name.lower(): to for name, to in names.items()}
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{'|'.join(map(re.escape, longest))})(?![A-Za-z0-9])", re.IGNORECASE)
    made: T = _without(view, pattern, lowered)
    return made


def _without(value: Any, pattern: re.Pattern[str], names: Mapping[str, str]) -> Any:
    if isinstance(value, str):
        if not pattern.search(value):
            return value
        return pattern.sub(lambda match: names[match[0].lower()], str(value))
    if is_dataclass(value) and not isinstance(value, type):
        changed = {}
        for field in fields(value):
            old = getattr(value, field.name)
            new = _without(old, pattern, names)
            if new is not old:
                changed[field.name] = new
        return replace(value, **changed) if changed else value
    if isinstance(value, BaseModel):  # The catalogue names no tenants.
        return value
    if isinstance(value, Mapping):
        return {_without(key, pattern, names): _without(inner, pattern, names) for key, inner in value.items()}
    if isinstance(value, tuple):
        made = tuple(_without(each, pattern, names) for each in value)
        return made if any(new is not old for new, old in zip(made, value, strict=True)) else value
    return [_without(each, pattern, names) for each in value] if isinstance(value, list) else value


class Names:
    """Roles instead of names: the same person is the same role throughout."""

    def __init__(self, view: IncidentView) -> None:
        self._view = view
        self._voters = {vote.principal for pv in view.proposals for vote in pv.votes}
        self._people: dict[str, str] = {}
        self._services = {view.incident.service: self._kind()}

    def actor(self, principal: str) -> str:
        """Who acted, as an id that says only the role."""
        if principal == "pagerunner":
            return principal
        if principal.startswith("pagerduty:"):
            return "pager"
        return self.person(principal).lower().replace(" ", "-")

    def person(self, principal: str) -> str:
        """The person as a role with a number, such as ``Approver 1``."""
        if principal.startswith("pagerduty:"):
            return "The pager"
        if principal == "pagerunner":
            return "Pagerunner"
        if principal not in self._people:
            role = "Approver" if principal in self._voters else "Responder"
            number = 1 + sum(known.startswith(role) for known in self._people.values())
            self._people[principal] = f"{role} {number}"
        return self._people[principal]

    def service(self, name: str) -> str:
        """A service by its kind."""
        return self._services.setdefault(name, f"service-{len(self._services)}") if name != "*" else name

    def shown_service(self) -> Service | None:
        """The incident's service with nothing but its kind, environment and mode."""
        own = self._view.service
        if own is None:
            return None
        return Service(name=self._kind(), kind=own.kind, environment=_environment(own), team="team", mode=own.mode,
                       provider="provider", model="")  # fmt: skip

    def shown_team(self) -> Team | None:
        """That there is a team."""
        return None if self._view.team is None else Team(name="team", slack_channel="")

    def _kind(self) -> str:
        return f"{self._view.service.kind}-service" if self._view.service is not None else "service"


def _environment(own: Service) -> str:
    return own.environment if own.environment in ("production", "staging", "development", "test") else "production"
