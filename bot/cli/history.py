"""``pagerunner history``: what another system recorded: past incidents, baselines and changes."""

import asyncio
import json
from pathlib import Path

import click

from bot.cli import history_incidents
from bot.cli.local import WRONG, fail, settings


@click.group(name="history")
def command() -> None:
    """Past incidents, baselines and changes from elsewhere."""


@command.command()
@click.argument("file", type=click.Path(path_type=Path))
def baselines(file: Path) -> None:
    """Import recorded baselines and changes from FILE (JSON with "baselines" and "changes"), before the first start."""
    from bot.edges.history import SqlHistory  # noqa: PLC0415
    from bot.edges.history_file import HistoryError, load  # noqa: PLC0415

    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}", WRONG)
    with history_incidents.writing(settings()) as database:
        try:
            samples, documents, changes = asyncio.run(load(SqlHistory(database), data))
        except HistoryError as error:
            fail(f"{file}: {error}", WRONG)
    click.echo(f"{samples} samples, {documents} documents and {changes} changes imported")


command.add_command(history_incidents.import_)
command.add_command(history_incidents.list_)
command.add_command(history_incidents.forget)
