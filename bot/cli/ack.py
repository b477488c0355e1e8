"""``pagerunner ack``."""

import click

from bot.cli.local import Api, settings


@click.command(name="ack")
@click.argument("incident")
def command(incident: str) -> None:
    """Acknowledge INCIDENT, here and in the pager."""
    click.echo(Api(settings()).post(f"/incidents/{incident}/acknowledge", {})["text"])
