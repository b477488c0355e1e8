"""``pagerunner escalate``."""

import click

from bot.cli.local import Api, settings


@click.command(name="escalate")
@click.argument("incident")
def command(incident: str) -> None:
    """Escalate INCIDENT, here and in the pager."""
    click.echo(Api(settings()).post(f"/incidents/{incident}/escalate", {})["text"])
