"""Whether incidents can get channels of their own, where the catalogue wants it. Makes none."""

from collections.abc import Collection, Iterator

from slack_sdk.web.async_client import AsyncWebClient

from bot.edges.checks import Check, listed, not_checked, ok, problem
from bot.edges.slack_client import Refused, read
from bot.ports import RetryLater
from config.catalogue import Catalogue, Team
from config.incident_channel import IncidentChannel

NAME = "Slack incident channels"


def wanted(catalogue: Catalogue) -> list[tuple[str, IncidentChannel, Team | None]]:
    """The policies in force, whose they are, and the team whose people they concern."""
    found: list[tuple[str, IncidentChannel, Team | None]] = [
        (f"team {team.name}", team.incident_channel, team)
        for team in catalogue.teams
        if team.incident_channel is not None and team.incident_channel.enabled
    ]
    found += [
        (f"service {service.name}", service.incident_channel, catalogue.team(service.team))
        for service in catalogue.services
        if service.incident_channel is not None and service.incident_channel.enabled
    ]
    return found


def scopes(policy: IncidentChannel) -> Iterator[str]:
    """The permissions that a policy needs beside those of the manifest."""
    yield "groups:write" if policy.private else "channels:manage"
    yield "bookmarks:write"


async def channels(
    client: AsyncWebClient, catalogue: Catalogue, granted: Collection[str] | None, *, pager: bool
) -> list[Check]:
    """One check for each policy. ``granted``: the app's scopes, None when Slack does not tell them; ``pager``: whether
    PagerDuty can be asked who is on call."""
    return [
        await _policy(client, f"{NAME} of {whose}", policy, team, granted, pager=pager)
        for whose, policy, team in wanted(catalogue)
    ]


async def _policy(
    client: AsyncWebClient, name: str, policy: IncidentChannel, team: Team | None, granted: Collection[str] | None, *,
    pager: bool,
) -> Check:  # fmt: skip
    if granted is None:
        return not_checked(name, "Slack's answer does not tell the app's scopes")
    missing = sorted(set(scopes(policy)) - set(granted))
    if missing:
        fix = ("take the '#' off these scopes in slack-manifest.yaml, paste it into the app's page App Manifest, save, "
               "and install the app again; until then incidents are threads in the team's channel")  # fmt: skip
        return problem(name, f"missing: {', '.join(missing)}", fix)
    if policy.invite_on_call and not pager:
        fix = "set PAGERUNNER_PAGERDUTY_API_KEY, or invite_on_call: false in the catalogue"
        return problem(name, "nobody on call can be invited: no PagerDuty API key is set", fix)
    if policy.invite_on_call and team is not None and not team.pagerduty_escalation_policy:
        fix = f"name pagerduty_escalation_policy of team {team.name} in the catalogue, or set invite_on_call: false"
        return problem(name, "nobody on call can be invited: the team names no escalation policy", fix)
    unknown = [one for one in policy.invite if await _unknown(client, one)]
    if unknown:
        return problem(name, f"Slack does not know {listed(unknown)}", "correct 'invite' in the catalogue")
    kind = "private" if policy.private else "public"
    after = f"archived {policy.archive_after_h:g} h after the closing" if policy.archive else "never archived"
    return ok(name, f"{policy.name}, {kind}, {after}")


async def _unknown(client: AsyncWebClient, one: str) -> bool:
    """Whether Slack says that there is no such person or group; what it cannot say now is not held against it."""
    try:
        if one.startswith("S"):
            return not (await read(client, "usergroups.users.list", usergroup=one)).get("users")
        return bool(((await read(client, "users.info", user=one)).get("user") or {}).get("deleted"))
    except RetryLater:
        return False
    except Refused as refused:
        return refused.code in ("user_not_found", "no_such_subteam")
