"""``pagerunner reject``."""

from pathlib import Path

import click

from bot.cli.approve import vote
from bot.cli.local import Api, settings, with_config, with_json


@click.command(name="reject")
@click.argument("reference")
@click.option("--reason", default="", help="Why; goes on the timeline.")
@click.option("--yes", is_flag=True, help="Do not ask again.")
@with_config
@with_json
def command(reference: str, reason: str, yes: bool, config: Path | None, as_json: bool) -> None:
    """Reject the proposal REFERENCE (pr-...), or the open one of an incident (inc-...)."""
    vote(Api(settings(config)), reference, "reject", reason, yes=yes, as_json=as_json)
