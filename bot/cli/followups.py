"""``pagerunner followups``: what is to follow an incident, and the GitHub issues that it becomes."""

from typing import Any

import click

from bot.cli.local import Api, fail, settings, show, with_json
from bot.domain.untrusted import clean, line


@click.group(name="followups")
def command() -> None:
    """Note what is to follow an incident, and make GitHub issues of it, shown before they are made."""


@command.command(name="add")
@click.argument("incident")
@click.argument("text")
@click.option("--owner", default="", help="Who does it: a person's name.")
def add(incident: str, text: str, owner: str) -> None:
    """Note TEXT as something to be done after INCIDENT."""
    click.echo(Api(settings()).post(f"/incidents/{incident}/followups", {"text": text, "owner": owner})["text"])


@command.command(name="list")
@click.argument("incident")
@with_json
def listed(incident: str, as_json: bool) -> None:
    """List the follow-ups of INCIDENT with their issues."""
    found = Api(settings()).get(f"/incidents/{incident}/followups")
    if as_json:
        show(found)
        return
    for one in found:
        state = one["issue"] or ("an issue is asked for" if one["asked"] else "no issue yet")
        owner = line(one["owner"], 80) if one["owner"] else "no owner"
        click.echo(f"#{one['entry']}  {line(one['text'], 200)}  ({owner}; {line(state, 120)})")
        if one["url"]:
            click.echo(f"      {line(one['url'], 300)}")
    if not found:
        click.echo(f"No follow-ups: `pagerunner followups add {incident} TEXT --owner NAME` notes one.")


@command.command(name="push")
@click.argument("incident")
@click.option("--yes", is_flag=True, help="Do not ask: what is shown is created.")
def push(incident: str, yes: bool) -> None:
    """Show the issues that would be made of the follow-ups of INCIDENT, and create them when you agree."""
    api = Api(settings())
    plan: dict[str, Any] = api.get(f"/incidents/{incident}/followups/plan")
    if plan["refused"]:
        fail(plan["refused"])
    for one in plan["issues"]:
        click.echo(f"--- issue in {line(plan['repository'], 150)}, of follow-up #{one['entry']}")
        click.echo(clean(one["title"])[0])
        click.echo("")
        click.echo(clean(one["body"], lines=True)[0])
    click.echo("---")
    count = len(plan["issues"])
    more = f" ({plan['left']} more follow-ups after these)" if plan["left"] else ""
    what = f"{count} {'issue' if count == 1 else 'issues'} in {line(plan['repository'], 150)}"
    click.echo(f"Redacted for: {plan['redaction']}{more}", err=True)
    if not yes and not click.confirm(f"Create {what}?"):
        fail("Nothing was created.")
    click.echo(api.post(f"/incidents/{incident}/followups/push", {"plan_hash": plan["plan_hash"]})["text"])
