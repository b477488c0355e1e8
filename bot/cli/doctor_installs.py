"""What ``doctor`` says of several workspaces: where the app is installed, and each as if it were the only one."""

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from config.catalogue import Catalogue
from config.settings import Settings

if TYPE_CHECKING:
    from bot.edges.checks import Check
    from bot.edges.checks_clock import Reading
    from bot.edges.checks_pagerduty import PagerAccess
    from bot.edges.checks_slack import SlackAccess
    from bot.edges.installations import Installed

NAME = "Slack workspace"


async def workspaces(
    settings: Settings, catalogue: Catalogue | None, access: "SlackAccess", pager: "PagerAccess"
) -> "tuple[list[Check], list[Reading]]":  # fmt: skip
    """Every workspace that is served. Reads the database, and changes nothing."""
    from bot.cli.slack_installs import needed_scopes, places  # noqa: PLC0415 - imports Bolt
    from bot.edges.checks import not_checked, ok, problem  # noqa: PLC0415
    from bot.edges.checks_on_call import on_call  # noqa: PLC0415
    from bot.edges.checks_slack import slack  # noqa: PLC0415

    if catalogue is None:
        return [not_checked(NAME, "the catalogue must load first")], []
    where, installed = places(settings, catalogue), await _installed(settings)
    if isinstance(installed, str):
        return [not_checked(NAME, installed, "start the server once, then open its /slack/install")], []
    known = {one.team_id: one for one in installed}
    checks: list[Check] = []
    readings: list[Reading] = []
    for team in sorted(where.all):
        teams = ", ".join(name or "pages nobody else owns" for name in where.teams_of(team)) or "no team"
        one, name = known.get(team), f"{NAME} {team}"
        fix = f"open {settings.public_url}/slack/install?team={team} in a browser that is signed in there"
        if one is None:
            checks.append(problem(name, f"the app is not installed there, so nothing reaches {teams}", fix))
        elif not one.token:
            lost = "its token was sealed with another key than slack_token_keys, or slack-tokens.key in the data folder"
            checks.append(problem(name, lost, f"put the old key back, or {fix}"))
        else:
            checks.append(ok(name, f"{one.name}, installed by {one.installed_by} on {one.at:%Y-%m-%d}, for {teams}"))
            own = replace(access, bot_token=one.token, team=team, scopes=needed_scopes(catalogue))
            seen = where.seen_by(team)
            found, told = await slack(own, seen, fallback=team == where.default, alone=False)
            found += await on_call(pager, own, seen)
            checks += [replace(check, name=f"{check.name} ({team})") for check in found]
            readings += told
    strays = sorted(set(known) - where.all)
    if strays:
        fix = "name it as slack_team of a team, or remove the app in that workspace"
        checks.append(problem(NAME, f"the app is installed in {', '.join(strays)}, which nobody names", fix))
    return checks, readings


async def _installed(settings: Settings) -> "Sequence[Installed] | str":
    """What the database says, or why it cannot be read."""
    from bot.cli.slack_installs import store  # noqa: PLC0415
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    if not settings.slack_token_keys and not (settings.data / "slack-tokens.key").exists():
        return "no workspace has installed the app yet"
    database = Database(settings.data / "pagerunner.sqlite", read_only=True)
    try:
        database.open()
    except (StorageDown, SchemaMismatch) as error:
        return str(error)
    try:
        return await store(settings, database).all()
    finally:
        database.close()
