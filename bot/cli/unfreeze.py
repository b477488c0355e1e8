"""``pagerunner unfreeze``."""

import click

from bot.cli.local import Api, settings


@click.command(name="unfreeze")
@click.argument("service", default="*")
@click.option("--reason", default="", help="Why; shown on every card.")
def command(service: str, reason: str) -> None:
    """Allow all execution for SERVICE (default: for everything)."""
    click.echo(Api(settings()).post("/unfreeze", {"service": service, "reason": reason})["text"])
