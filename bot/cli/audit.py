"""``pagerunner audit verify``: whether the timeline is whole and unaltered, without a server."""

import asyncio
from pathlib import Path

import click

from bot.cli.local import fail, settings, show


@click.group(name="audit")
def command() -> None:
    """Check the timeline."""


@command.command()
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def verify(database: Path | None, as_json: bool) -> None:
    """Verify the hash chain over every entry. Exit code 1 names the first entry that does not hold."""
    from bot.edges import chain  # noqa: PLC0415
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    path = database or settings().data / "pagerunner.sqlite"
    opened = Database(path, read_only=True)
    try:
        opened.open()
        entries = asyncio.run(opened.run(lambda c: list(chain.entries(c))))
    except (StorageDown, SchemaMismatch) as error:
        fail(str(error))
    finally:
        opened.close()
    broken = chain.verify(entries)
    if as_json:
        show({"entries": len(entries), "ok": not broken, "broken": broken, "head": entries[-1].hash if entries else ""})
    elif not broken:
        click.echo(f"{len(entries)} entries, the chain holds; head {entries[-1].hash if entries else '-'}")
    if broken:
        fail(f"{path}: {broken}")
