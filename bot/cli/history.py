"""``pagerunner history``: baselines and changes from a file, as another system recorded them."""

import asyncio
import json
from pathlib import Path

import click

from bot.cli.local import fail, settings


@click.command(name="history")
@click.argument("file", type=click.Path(path_type=Path))
def command(file: Path) -> None:
    """Import recorded baselines and changes from FILE (JSON with "baselines" and "changes"), before the first start."""
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.edges.history import SqlHistory  # noqa: PLC0415
    from bot.edges.history_file import HistoryError, load  # noqa: PLC0415
    from bot.edges.jobs import AlreadyRunning, DataLock  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    chosen = settings()
    try:
        data = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError) as error:
        fail(f"{file}: {error}", 2)
    chosen.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock, database = DataLock(chosen.data), Database(chosen.data / "pagerunner.sqlite")
    try:
        lock.acquire()
        database.open()
        samples, documents, changes = asyncio.run(load(SqlHistory(database), data))
    except HistoryError as error:
        fail(f"{file}: {error}", 2)
    except (AlreadyRunning, StorageDown, SchemaMismatch) as error:
        fail(str(error))
    finally:
        database.close()
        lock.release()
    click.echo(f"{samples} samples, {documents} documents and {changes} changes imported")
