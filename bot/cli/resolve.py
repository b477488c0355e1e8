"""``pagerunner resolve``."""

from pathlib import Path

import click

from bot.cli.local import Api, say, settings, with_config, with_json


@click.command(name="resolve")
@click.argument("incident")
@with_config
@with_json
def command(incident: str, config: Path | None, as_json: bool) -> None:
    """Resolve INCIDENT, here and in the pager."""
    say(Api(settings(config)).post(f"/incidents/{incident}/resolve", {}), as_json=as_json)
