"""``pagerunner freeze``."""

import click

from bot.cli.local import Api, settings


@click.command(name="freeze")
@click.argument("service", default="*")
@click.option("--reason", default="", help="Why; shown on every card.")
def command(service: str, reason: str) -> None:
    """Stop all execution for SERVICE (default: for everything)."""
    click.echo(Api(settings()).post("/freeze", {"service": service, "reason": reason})["text"])
