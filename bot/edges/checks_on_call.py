"""Whether whoever is on call can approve: PagerDuty says who they are, and Slack knows them by the same address."""

from slack_sdk.web.async_client import AsyncWebClient

from bot.edges.checks import Check, listed, ok, problem
from bot.edges.checks_pagerduty import PagerAccess
from bot.edges.checks_slack import SlackAccess
from bot.edges.pagerduty_out import PagerDuty
from bot.edges.slack_client import Refused, new_client, read
from bot.edges.slack_people import address_of
from bot.ports import OnCall, RetryLater, Rota, Undeliverable
from config.catalogue import Catalogue, Team

NEEDS_SLACK = "set 'slack' to socket, or name approvers otherwise: who is on call is recognised in Slack alone"
NEEDS_KEY = "set PAGERUNNER_PAGERDUTY_API_KEY, or name approvers otherwise"


async def on_call(pager: PagerAccess, slack: SlackAccess | None, catalogue: Catalogue) -> list[Check]:
    """One check for each team whose approvers are on call; none where there is no such team."""
    teams = [team for team in catalogue.teams if _asks(team, catalogue)]
    if not teams:
        return []
    if slack is None:
        return [problem(_name(team), "Slack is switched off", NEEDS_SLACK) for team in teams]
    if not pager.api_key:
        return [problem(_name(team), "no PagerDuty API key is set, so nobody counts", NEEDS_KEY) for team in teams]
    rota = PagerDuty(pager.api_key, base_url=pager.api)
    client = new_client(slack.bot_token, slack.api)
    return [await _team(team, rota, client) for team in teams]


def _asks(team: Team, catalogue: Catalogue) -> bool:
    """Whether anything depends on who is on call for the team."""
    emergency = any(rule.people.on_call for rule in catalogue.policy.break_glass)
    return team.approvers.on_call or (emergency and bool(team.pagerduty_escalation_policy))


def _name(team: Team) -> str:
    return f"on call for {team.name}"


async def _team(team: Team, rota: Rota, client: AsyncWebClient) -> Check:
    name, policy = _name(team), team.pagerduty_escalation_policy
    try:
        people = await rota.on_call(policy)
    except (RetryLater, Undeliverable) as error:
        return problem(name, str(error), f"check that the API key may read escalation policy {policy} and users")
    if not people:
        fix = f"put somebody on its schedule, or correct the team's escalation policy ({policy}) in the catalogue"
        return problem(name, f"nobody with an e-mail address is on call now on {policy}", fix)
    told = [await _known(one, client) for one in people]
    unknown = [one.name for one, why in zip(people, told, strict=True) if why]
    if unknown:
        why = "; ".join(dict.fromkeys(why for why in told if why))
        fix = "give them the same e-mail address in Slack and PagerDuty, and the app the scope users:read.email"
        return problem(name, f"{listed(unknown)} cannot be recognised in Slack: {why}", fix)
    return ok(name, f"{listed([one.name for one in people])}, known in Slack by their address")


async def _known(one: OnCall, client: AsyncWebClient) -> str:
    """Why Slack does not know this person by their address; empty if it does."""
    try:
        told = (await read(client, "users.lookupByEmail", email=one.email)).get("user") or {}
    except Refused as refused:
        return "nobody there has this address" if refused.code == "users_not_found" else str(refused)
    except RetryLater as later:
        return later.reason
    return "" if address_of(told) == one.email else "Slack does not tell their address, or it is not confirmed"
