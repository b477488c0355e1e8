"""``pagerunner runbooks schema``: the format for editors, from the same models that lint uses."""

from pathlib import Path

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import show


@click.command(name="schema")
@CONFIG
def command(config: Path | None) -> None:
    """Print the JSON Schema of the front matter and of probe and action blocks.

    The actions that your configuration declares are in it; without any it is runbooks/schema.json.
    """
    from bot.wiring import specs  # noqa: PLC0415 - help must not wait for it
    from runbooks.json_schema import schema  # noqa: PLC0415

    actions = {name: action.spec for name, action in Installed(config).registry().items()}
    show(schema(specs(), actions))
