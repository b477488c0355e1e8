"""Who may approve, by catalogue and by what Slack says of the person now. When unsure, the answer is no."""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient

from bot.domain.proposal import Principal
from bot.domain.untrusted import line
from bot.edges.rota import NoRota
from bot.edges.slack_client import Workspace, read
from bot.ports import OnCall, RetryLater, Rota, Undeliverable
from config.catalogue import Approvers, Catalogue, Team
from config.clock import Clock

GROUP_TTL = timedelta(seconds=60)
ADDRESS_TTL = timedelta(minutes=10)
"""So long somebody's address is taken to be what it was, to say no; never to say yes."""
MOST_ADDRESSES = 1_000
ELSEWHERE = "approve at the console or with `pagerunner approve` instead"
_SLACK_ID = re.compile(r"slack:([TE][A-Z0-9]{1,20})/([UW][A-Z0-9]{1,20})")


class SlackPeople:
    """See :class:`bot.ports.People`."""

    def __init__(self, client: AsyncWebClient, workspace: Workspace, catalogue: Catalogue, clock: Clock,
                 rota: Rota | None = None) -> None:  # fmt: skip
        self._client = client
        self._workspace = workspace
        self._catalogue = catalogue
        self._clock = clock
        self._rota = rota or NoRota()
        self._groups: dict[str, tuple[datetime, frozenset[str]]] = {}
        self._addresses: dict[str, tuple[datetime, str]] = {}

    async def may_approve(self, who: Principal, team: str) -> tuple[bool, str]:
        """Whether this person is an approver of the team now, and why not in plain words otherwise."""
        owners = self._catalogue.team(team) if team else None
        if owners is None:
            return False, "the policy names no team that may approve this"
        if who.id.startswith("local:"):
            return _local(who, owners.approvers, team)
        return await self._judge(who, (owners.approvers,), owners, f"you are not an approver of team {team}")

    async def may_break_glass(self, who: Principal, team: str, named: Sequence[Approvers]) -> tuple[bool, str]:
        """See :class:`bot.ports.People`."""
        owners = self._catalogue.team(team) if team else None
        if owners is None or not named:
            return False, "the policy lets nobody break the glass for this"
        if who.id.startswith("local:"):
            return False, "a vote from here does not show who it is; do it in Slack, or link this command line first"
        return await self._judge(who, named, owners, "the policy does not name you for break-glass here")

    async def _judge(self, who: Principal, named: Sequence[Approvers], owners: Team, no: str) -> tuple[bool, str]:
        match = _SLACK_ID.fullmatch(who.id)
        if match is None or (who.via != "slack" and not who.link):
            return False, "this is nobody that the catalogue could name"
        try:
            return await self._slack(match[1], match[2], named, owners, no)
        except (RetryLater, Undeliverable) as error:
            return False, f"Slack cannot say who you are now ({error}); {ELSEWHERE}"

    async def _slack(
        self, team_id: str, user: str, named: Sequence[Approvers], owners: Team, no: str
    ) -> tuple[bool, str]:
        """Each source counts by itself: one that cannot be asked matters only to whom no other one has."""
        us = await self._workspace.us()
        if not us.team_id or team_id != us.team_id:
            return False, "you belong to another workspace"
        trouble: RetryLater | Undeliverable | None = None
        listed = any(user in one.slack_users for one in named)
        try:
            listed = listed or await self._in_a_group(user, [g for one in named for g in one.slack_groups])
        except (RetryLater, Undeliverable) as error:
            trouble = error
        people: Sequence[OnCall] = ()
        if not listed:
            why = no
            if any(one.on_call for one in named):
                people, why = await self._on_call(owners, no)
            if not people or self._surely_not(user, people):
                if trouble is not None:
                    raise trouble
                return False, why
        told = (await read(self._client, "users.info", user=user)).get("user")
        unfit = _unfit(told, user, us.team_id)
        if unfit or listed:
            return not unfit, unfit
        on_call, why = self._compared(user, told or {}, people, no)
        if not on_call and trouble is not None:
            raise trouble
        return on_call, why

    async def _on_call(self, owners: Team, no: str) -> tuple[Sequence[OnCall], str]:
        """Who is on call now, and what to tell who is not."""
        try:
            people = await self._rota.on_call(owners.pagerduty_escalation_policy)
        except (RetryLater, Undeliverable) as error:
            return (), f"PagerDuty cannot say who is on call now ({error}); a listed approver can decide"
        return people, _not_among(people, no)

    def _surely_not(self, user: str, people: Sequence[OnCall]) -> bool:
        """Whether a person's address, as it was told lately, is of nobody on call: the Home tab asks this again and
        again, and Slack is asked about somebody who may be in any case."""
        until, email = self._addresses.get(user, (None, ""))
        return until is not None and until > self._clock.now() and all(one.email != email for one in people)

    def _compared(
        self, user: str, told: Mapping[str, Any], people: Sequence[OnCall], no: str
    ) -> tuple[bool, str]:  # fmt: skip
        """Whether PagerDuty has somebody with this person's own e-mail address on call now."""
        email = address_of(told)
        if not email:
            return False, f"{no}: Slack tells no confirmed e-mail address of you, so who is on call cannot be compared"
        if len(self._addresses) >= MOST_ADDRESSES:
            self._addresses.clear()
        self._addresses[user] = (self._clock.now() + ADDRESS_TTL, email)
        return (True, "") if any(one.email == email for one in people) else (False, _not_among(people, no))

    async def _in_a_group(self, user: str, groups: Sequence[str]) -> bool:
        """Membership of any of the groups; a group that cannot be read raises only if no other one has the user."""
        trouble: Exception | None = None
        for group in groups:
            try:
                if user in await self._members(group):
                    return True
            except (RetryLater, Undeliverable) as error:
                trouble = error
        if trouble is not None:
            raise trouble
        return False

    async def _members(self, group: str) -> frozenset[str]:
        now = self._clock.now()
        known = self._groups.get(group)
        if known is not None and known[0] > now:
            return known[1]
        told = await read(self._client, "usergroups.users.list", usergroup=group)
        members = frozenset(str(user) for user in told.get("users") or ())
        self._groups[group] = (now + GROUP_TTL, members)
        return members


def _not_among(people: Sequence[OnCall], no: str) -> str:
    names = " and ".join(line(one.name, 40) for one in people[:3]) or "nobody"
    return f"{no}: on call now is {names}"


def _local(who: Principal, approvers: Approvers, team: str) -> tuple[bool, str]:
    if who.via == "slack":
        return False, "a local person acts at the console or the command line only"
    return (True, "") if approvers.local else (False, f"team {team} does not let local people approve")


def address_of(told: Mapping[str, Any]) -> str:
    """The e-mail address that Slack has confirmed of a user, to be compared; empty if there is none."""
    email = str((told.get("profile") or {}).get("email") or "").strip().casefold()
    return email if "@" in email and told.get("is_email_confirmed", True) else ""


def _unfit(told: Mapping[str, Any] | None, user: str, team_id: str) -> str:
    """Why Slack's own words about somebody rule them out; empty if they do not."""
    if not isinstance(told, Mapping) or told.get("id") != user:
        return f"Slack does not know you; {ELSEWHERE}"
    flags = (
        ("deleted", "your account is deactivated"),
        ("is_bot", "a bot cannot approve"),
        ("is_workflow_bot", "a bot cannot approve"),
        ("is_stranger", "you belong to another organisation"),
        ("is_restricted", "a guest cannot approve"),
        ("is_ultra_restricted", "a guest cannot approve"),
    )
    for flag, why in flags:
        if told.get(flag):
            return why
    if told.get("team_id") != team_id:
        return "you belong to another workspace"
    return ""
