"""Who may decide for a team, by name: looked up behind the scenes, so that no card waits for Slack or PagerDuty."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.untrusted import line
from bot.domain.view import Awaited
from bot.edges.slack_client import Refused, Workspace, read
from bot.edges.slack_people import address_of
from bot.ports import OnCall, RetryLater, Rota, Undeliverable
from config.catalogue import Catalogue, Team
from config.clock import Clock

FRESH = timedelta(seconds=60)
"""So old may the names on a card be: who is on call changes."""
STALE = timedelta(minutes=5)
"""Older names are not shown: they may be those of yesterday's shift."""
KEPT = timedelta(hours=1)
"""For so long the name of a person or group is taken as it is."""
NAMED = 10
"""People that are looked up for one team; more are not shown anyway."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Known:
    at: datetime
    people: tuple[Awaited, ...]


class Roster:
    """Names for the cards; it decides nothing."""

    def __init__(self, client: AsyncWebClient, workspace: Workspace, catalogue: Catalogue, clock: Clock,
                 rota: Rota) -> None:  # fmt: skip
        self._client = client
        self._workspace = workspace
        self._catalogue = catalogue
        self._clock = clock
        self._rota = rota
        self._teams: dict[str, _Known] = {}
        self._names: dict[str, tuple[datetime, Awaited]] = {}

    def names(self, team: str) -> tuple[Awaited, ...]:
        """As far as they are known now; empty before they were looked up, and when that was too long ago."""
        known = self._teams.get(team)
        return known.people if known is not None and known.at > self._clock.now() - STALE else ()

    async def refresh(self, teams: Iterable[str]) -> Sequence[str]:
        """Look up what is older than a minute; returns the teams of which something is different now."""
        changed = []
        for name in teams:
            team, known, now = self._catalogue.team(name), self._teams.get(name), self._clock.now()
            if team is None or (known is not None and known.at > now - FRESH):
                continue
            people = await self._look_up(team)
            self._teams[name] = _Known(at=now, people=people)
            if people != (known.people if known else ()):
                changed.append(name)
        return changed

    async def _look_up(self, team: Team) -> tuple[Awaited, ...]:
        """Listed people first, then groups by their handle, then who is on call; each person once. What Slack does not
        tell now keeps the others."""
        found: list[Awaited] = []
        for user in team.approvers.slack_users[:NAMED]:
            found += await self._named(user)
        if team.approvers.slack_groups:
            found += await self._groups(team.approvers.slack_groups)
        if team.approvers.on_call:
            found += await self._on_call(team)
        by_key = {one.principal or one.name: one for one in reversed(found)}
        return tuple(one for one in found if by_key[one.principal or one.name] is one)

    async def _named(self, user: str) -> list[Awaited]:
        """A person as people call them; nobody, where Slack does not know them."""
        known = self._known(user)
        if known is not None:
            return [known]
        try:
            told = (await read(self._client, "users.info", user=user)).get("user") or {}
            us = await self._workspace.us()
        except (RetryLater, Undeliverable):
            return []
        if told.get("deleted") or told.get("is_bot") or told.get("id") != user:
            return []
        profile = told.get("profile") or {}
        name = str(told.get("real_name") or profile.get("display_name") or told.get("name") or user)
        return [self._keep(user, Awaited(name=line(name, 60), principal=f"slack:{us.team_id}/{user}"))]

    async def _groups(self, groups: Sequence[str]) -> list[Awaited]:
        known = [one for group in groups if (one := self._known(group)) is not None]
        if len(known) == len(groups):
            return known
        try:
            told = (await read(self._client, "usergroups.list")).get("usergroups") or []
        except (RetryLater, Undeliverable):
            return known
        handles = {str(one.get("id")): str(one.get("handle") or one.get("name")) for one in told}
        return [self._keep(one, Awaited(name=f"@{line(handles[one], 40)}")) for one in groups if handles.get(one)]

    async def _on_call(self, team: Team) -> list[Awaited]:
        try:
            people = await self._rota.on_call(team.pagerduty_escalation_policy)
        except (RetryLater, Undeliverable):
            return [Awaited(name="whoever is on call (PagerDuty does not say who)")]
        return [await self._by_address(one) for one in people[:NAMED]]

    async def _by_address(self, one: OnCall) -> Awaited:
        """The person on call, with who that is in Slack, so that they are not named twice."""
        known = self._known(one.email)
        if known is not None:
            return known
        principal = ""
        try:
            told = (await read(self._client, "users.lookupByEmail", email=one.email)).get("user") or {}
            us = await self._workspace.us()
            if address_of(told) in ("", one.email) and told.get("id"):
                principal = f"slack:{us.team_id}/{told['id']}"
        except Refused:  # Nobody in Slack has this address: they cannot decide there, and doctor says so.
            pass
        except (RetryLater, Undeliverable):
            return Awaited(name=line(one.name, 60), on_call=True)
        return self._keep(one.email, Awaited(name=line(one.name, 60), principal=principal, on_call=True))

    def _known(self, key: str) -> Awaited | None:
        until, one = self._names.get(key, (None, None))
        return one if until is not None and until > self._clock.now() else None

    def _keep(self, key: str, one: Awaited) -> Awaited:
        self._names[key] = (self._clock.now() + KEPT, one)
        return one
