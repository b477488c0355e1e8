"""``pagerunner freeze``."""

from pathlib import Path

import click

from bot.cli.local import Api, say, settings, with_config, with_json


@click.command(name="freeze")
@click.argument("service", default="*")
@click.option("--reason", default="", help="Why; shown on every card.")
@with_config
@with_json
def command(service: str, reason: str, config: Path | None, as_json: bool) -> None:
    """Stop all execution for SERVICE (default: for everything)."""
    told = Api(settings(config), as_linked=False).post("/freeze", {"service": service, "reason": reason})
    say(told, as_json=as_json)
