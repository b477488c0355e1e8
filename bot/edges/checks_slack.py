"""Whether Slack lets us do what we need: tokens, scopes, the connection, channels and approvers. Posts nothing."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from slack_sdk.web.async_client import AsyncWebClient
from slack_sdk.web.async_slack_response import AsyncSlackResponse

from bot.domain.proposal import Principal
from bot.edges.checks import Check, listed, not_checked, ok, problem
from bot.edges.checks_channels import channels, scopes, wanted
from bot.edges.checks_clock import Reading, reading
from bot.edges.clock import SystemClock
from bot.edges.slack_client import Refused, Workspace, ask, new_client, read
from bot.edges.slack_people import SlackPeople
from bot.ports import RetryLater
from config.catalogue import Catalogue, Team

INVITE = "in that channel, type: /invite @Pagerunner"
LATER = "look at the network between here and Slack, and try again"


@dataclass(frozen=True, kw_only=True, slots=True)
class SlackAccess:
    """What the settings say about Slack."""

    mode: str
    """``socket`` or ``http``."""
    api: str
    bot_token: str
    app_token: str
    team: str = ""
    """Workspace id that it must be; empty: any."""
    scopes: tuple[str, ...] = ()
    """Those of the manifest."""
    pager: bool = False
    """Whether PagerDuty can be asked who is on call."""


async def slack(
    access: SlackAccess, catalogue: Catalogue | None, *, fallback: bool = True, alone: bool = True
) -> tuple[list[Check], list[Reading]]:  # fmt: skip
    """Everything about one workspace. What depends on a token that is refused is not checked. ``fallback``: whether the
    fallback channel is there; ``alone``: whether there is no other workspace, in which somebody named may be."""
    client = new_client(access.bot_token, access.api)
    kept: list[AsyncSlackResponse] = []
    try:
        told = await ask(_kept(client, kept))
    except RetryLater as later:
        return [problem("Slack bot token", later.reason, LATER), *_rest("Slack does not answer")], []
    except Refused as refused:
        fix = "set PAGERUNNER_SLACK_BOT_TOKEN to the Bot User OAuth Token (xoxb-...), on the page OAuth & Permissions"
        return [problem("Slack bot token", str(refused), fix), *_rest("the bot token is refused")], []
    headers = {str(name).lower(): str(value) for name, value in kept[0].headers.items()}
    clock = reading("Slack", headers, datetime.now(UTC))
    used = {scope for _, policy, _ in wanted(catalogue) for scope in scopes(policy)} if catalogue else set()
    checks = [_identity(told, access), _scopes(headers, access.scopes, used), await _connection(access)]
    if catalogue is None:
        checks += [not_checked("Slack channels", "the catalogue must load first")]
    else:
        team = str(told.get("team_id") or "")
        checks += _elsewhere(catalogue, team)
        places = _channels(catalogue, fallback=fallback)
        checks += [await _channel(client, channel, whose) for channel, whose in places]
        people = SlackPeople(client, Workspace(client), catalogue, SystemClock())
        checks += [await _approvers(client, people, one, team) for one in catalogue.teams]
        checks += await _break_glass(client, people, catalogue, team, alone=alone)
        checks += await channels(client, catalogue, _granted(headers), pager=access.pager)
    return checks, [clock] if clock else []


async def _kept(client: AsyncWebClient, kept: list[AsyncSlackResponse]) -> AsyncSlackResponse:
    """``auth.test``, with its headers kept: they tell the scopes and the time."""
    kept.append(await client.auth_test())
    return kept[0]


def _rest(why: str) -> list[Check]:
    return [
        not_checked(name, why) for name in ("Slack scopes", "Slack connection", "Slack channels", "Slack approvers")
    ]


def _identity(told: dict[str, Any], access: SlackAccess) -> Check:
    name = "Slack bot token"
    team, user = str(told.get("team_id") or ""), str(told.get("user_id") or "")
    if access.team and team != access.team:
        fix = "install the app in the right workspace and set its token, or correct 'slack_team'"
        return problem(name, f"it is of workspace {told.get('team')} ({team}), not {access.team}", fix)
    if not told.get("bot_id"):
        return problem(name, f"it is a person's token ({user})", "set the Bot User OAuth Token (xoxb-...) instead")
    return ok(name, f"{told.get('user')} ({user}) in workspace {told.get('team')} ({team})")


def _scopes(headers: dict[str, str], manifest: Sequence[str], used: Collection[str]) -> Check:
    """``used``: what the catalogue needs besides; that has a check of its own."""
    name = "Slack scopes"
    has = _granted(headers)
    if has is None:
        return not_checked(name, "Slack's answer does not tell them")
    missing = sorted(set(manifest) - has)
    if missing:
        fix = "paste slack-manifest.yaml into the app's page App Manifest, save, and install the app again"
        return problem(name, f"missing: {', '.join(missing)}", fix)
    more = sorted(has - set(manifest) - set(used))
    return ok(name, f"all {len(manifest)} of the manifest" + (f"; not needed: {', '.join(more)}" if more else ""))


def _granted(headers: dict[str, str]) -> set[str] | None:
    told = headers.get("x-oauth-scopes")
    return None if told is None else {scope.strip() for scope in told.split(",") if scope.strip()}


async def _connection(access: SlackAccess) -> Check:
    name = "Slack connection"
    if access.mode != "socket":
        return not_checked(name, "in HTTP mode only a delivery can show it: Slack's requests come to /slack/events",
                           "type /oncall help in Slack once the server runs")  # fmt: skip
    client = new_client("", access.api)
    try:
        await ask(client.apps_connections_open(app_token=access.app_token))
    except RetryLater as later:
        return problem(name, later.reason, LATER)
    except Refused as refused:
        fix = "turn Socket Mode on, and set PAGERUNNER_SLACK_APP_TOKEN to an xapp-... token with connections:write"
        return problem(name, f"Socket Mode: {refused}", fix)
    return ok(name, "Socket Mode accepts the app-level token")


def _elsewhere(catalogue: Catalogue, team: str) -> list[Check]:
    """Teams of another workspace than the one of this token."""
    fix = "install the app there through OAuth (docs/slack-and-pagerduty.md, Several workspaces), or correct slack_team"
    return [
        problem(f"Slack workspace of {one.name}", f"it is {one.slack_team}, and the token is of {team}", fix)
        for one in catalogue.teams
        if one.slack_team not in ("", team)
    ]


def _channels(catalogue: Catalogue, *, fallback: bool) -> list[tuple[str, str]]:
    """Every channel once, and whose it is."""
    whose: dict[str, list[str]] = {}
    for team in catalogue.teams:
        whose.setdefault(team.slack_channel, []).append(f"team {team.name}")
        if team.updates is not None and team.updates.channel:
            whose.setdefault(team.updates.channel, []).append(f"updates of team {team.name}")
    if fallback:
        whose.setdefault(catalogue.fallback_channel, []).append("pages nobody else owns")
    return [(channel, " and ".join(names)) for channel, names in whose.items()]


async def _channel(client: AsyncWebClient, channel: str, whose: str) -> Check:
    name = f"Slack channel {channel}"
    try:
        told = (await read(client, "conversations.info", channel=channel)).get("channel") or {}
    except RetryLater as later:
        return problem(name, later.reason, LATER)
    except Refused as refused:
        if refused.code == "channel_not_found":
            fix = f"correct the channel of {whose} in the catalogue (an id, C...); if it is private, {INVITE}"
            return problem(name, f"{whose}: there is no such channel that the bot can see", fix)
        return problem(name, f"{whose}: {refused}", "see what Slack says above")
    shown = f"#{told.get('name')}, {whose}"
    if told.get("is_archived"):
        return problem(name, f"{shown}: it is archived", "name another channel in the catalogue")
    if told.get("is_ext_shared") or told.get("is_pending_ext_shared"):
        fix = "name a channel of your own in the catalogue: Pagerunner posts no incident where others can read it"
        return problem(name, f"{shown}: it is shared with another organisation", fix)
    if not told.get("is_member"):
        return problem(name, f"{shown}: the bot is not a member", INVITE)
    return ok(name, shown)


async def _break_glass(
    client: AsyncWebClient, people: SlackPeople, catalogue: Catalogue, workspace: str, *, alone: bool
) -> list[Check]:
    """Whether those whom a rule names for emergencies could really act, while there is none. Not ``alone``: whom Slack
    does not know may be somebody of another workspace."""
    wrong: list[str] = []
    well: list[str] = []
    for rule in catalogue.policy.break_glass if catalogue.teams else ():
        for user in rule.people.slack_users:
            who = Principal(id=f"slack:{workspace}/{user}", name=user, via="slack")
            may, why = await people.may_break_glass(who, catalogue.teams[0].name, [rule.people])
            if not may and not alone and not await _known(client, user):
                continue
            (well if may else wrong).append(user if may else f"{user} would be told: {why}")
        well += [f"group {group}" for group in rule.people.slack_groups]
        well += ["whoever is on call"] if rule.people.on_call else []
        if not (rule.people.slack_users or rule.people.slack_groups or rule.people.on_call):
            wrong.append(f"the rule for {listed(rule.services)} names nobody")
    if wrong:
        return [problem("break-glass", "; ".join(wrong)[:600], "correct policy.break_glass in the catalogue")]
    return [ok("break-glass", f"{listed(list(dict.fromkeys(well)))} may approve alone")] if well else []


async def _known(client: AsyncWebClient, user: str) -> bool:
    """Whether Slack says that there is such a person in this workspace."""
    try:
        return bool((await read(client, "users.info", user=user)).get("user"))
    except Refused as refused:
        return refused.code not in ("user_not_found", "user_not_visible")
    except RetryLater:
        return True


async def _approvers(client: AsyncWebClient, people: SlackPeople, team: Team, workspace: str) -> Check:
    """Whether those who are named can really approve, as they would be judged by a click."""
    name = f"Slack approvers of {team.name}"
    wrong: list[str] = []
    well: list[str] = []
    for user in team.approvers.slack_users:
        who = Principal(id=f"slack:{workspace}/{user}", name=user, via="slack")
        may, why = await people.may_approve(who, team.name)
        (well if may else wrong).append(user if may else f"{user} would be told: {why}")
    for group in team.approvers.slack_groups:
        try:
            members = (await read(client, "usergroups.users.list", usergroup=group)).get("users") or []
        except (RetryLater, Refused) as error:
            wrong.append(f"group {group}: {error}")
        else:
            (well if members else wrong).append(f"group {group} ({len(members)})" if members else f"{group} is empty")
    if wrong:
        return problem(name, "; ".join(wrong)[:600], "correct the team's approvers in the catalogue")
    if not well and not team.approvers.local and not team.approvers.on_call:
        fix = "name slack_users, slack_groups or on_call there"
        return problem(name, "the catalogue names nobody who may approve", fix)
    others = ["whoever is on call"] * team.approvers.on_call + ["a person at this machine"] * team.approvers.local
    return ok(name, listed(well) if well else f"nobody by name; {' and '.join(others)} may")
