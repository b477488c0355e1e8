"""``pagerunner resolve``."""

import click

from bot.cli.local import Api, settings


@click.command(name="resolve")
@click.argument("incident")
def command(incident: str) -> None:
    """Resolve INCIDENT, here and in the pager."""
    click.echo(Api(settings()).post(f"/incidents/{incident}/resolve", {})["text"])
