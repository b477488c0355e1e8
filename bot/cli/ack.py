"""``pagerunner ack``."""

from pathlib import Path

import click

from bot.cli.local import Api, say, settings, with_config, with_json


@click.command(name="ack")
@click.argument("incident")
@with_config
@with_json
def command(incident: str, config: Path | None, as_json: bool) -> None:
    """Acknowledge INCIDENT, here and in the pager."""
    say(Api(settings(config)).post(f"/incidents/{incident}/acknowledge", {}), as_json=as_json)
