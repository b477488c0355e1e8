"""``pagerunner audit``: whether the timeline is whole, and what was done to the installation, without a server."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from bot.cli.local import NO_SERVER, WHERE, WRONG, fail, settings, show, with_config, with_json

if TYPE_CHECKING:
    from sqlalchemy import Connection

    from bot.domain.timeline import Entry


T = TypeVar("T")


@click.group(name="audit")
def command() -> None:
    """Check the timeline."""


@command.command()
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
@click.option("--head", default="", help="The head that an earlier run printed: it must still be in the chain.")
@with_config
@with_json
def verify(database: Path | None, head: str, config: Path | None, as_json: bool) -> None:
    """Verify the hash chain over every entry. Exit code 1 names the first entry that does not hold.

    A chain whose end was cut off still holds: keep the printed head elsewhere, and give it with --head.
    """
    from bot.edges import chain  # noqa: PLC0415

    path = _path(database, config)
    entries = _entries(path)
    broken = chain.verify(entries)
    if not broken and head and head not in {entry.hash for entry in entries}:
        broken = f"no entry has the hash {head}: the end of the timeline was cut off, or it is another one"
    if as_json:
        show({"entries": len(entries), "ok": not broken, "broken": broken, "head": entries[-1].hash if entries else ""})
    elif not broken:
        click.echo(f"{len(entries)} entries, the chain holds; head {entries[-1].hash if entries else '-'}")
    if broken:
        fail(f"{path}: {broken}")


@command.command()
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
@with_config
@click.option("--json", "as_json", is_flag=True, help="Print the entries as JSON.")
def log(database: Path | None, config: Path | None, as_json: bool) -> None:
    """What was done to the whole installation, such as a freeze, oldest first."""
    from bot.domain import codec, wording  # noqa: PLC0415
    from bot.domain.sentences import sentence  # noqa: PLC0415
    from bot.domain.untrusted import line  # noqa: PLC0415
    from bot.edges.chain import INSTALLATION  # noqa: PLC0415

    entries = _entries(_path(database, config), INSTALLATION)
    if as_json:
        show([codec.dump(entry) for entry in entries])
        return
    for entry in entries:
        said = line(sentence(entry.fact).text, 400)
        click.echo(f"#{entry.seq}  {wording.moment(entry.at)}  {line(entry.fact.actor)}  {said}")
    if not entries:
        click.echo("Nothing was frozen or unfrozen yet.")


@command.command()
@click.option("--all", "everything", is_flag=True, help="Those that were reviewed, too.")
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
@with_config
@click.option("--json", "as_json", is_flag=True, help="Print them as JSON.")
def debts(everything: bool, database: Path | None, config: Path | None, as_json: bool) -> None:
    """Break-glass approvals that nobody has reviewed, oldest first."""
    from bot.domain import codec, deciding, wording  # noqa: PLC0415
    from bot.domain.untrusted import line  # noqa: PLC0415
    from bot.edges import debts as rows  # noqa: PLC0415

    found = _read(_path(database, config), lambda c: list(rows.listed(c, open_only=not everything)))
    if as_json:
        show([codec.dump(one) for one in found])
        return
    for one in found:
        about = f"{one.incident_id}  {line(one.service)}  {wording.moment(one.at)}  {one.proposal_id}"
        click.echo(f"{about}: {deciding.debt_line(one, one.at)}")
    if not found:
        click.echo("No break-glass approval waits for a review." if not everything else "Nobody has broken the glass.")


def _path(database: Path | None, config: Path | None) -> Path:
    """The database file, or an end that says where there is none."""
    path = database or settings(config).data / "pagerunner.sqlite"
    if not path.exists():
        fail(f"{path}: there is no database here. {WHERE}", WRONG if database else NO_SERVER)
    return path


def _entries(path: Path, incident_id: str | None = None) -> "list[Entry]":
    from bot.edges import chain  # noqa: PLC0415

    return _read(path, lambda c: list(chain.entries(c, incident_id)))


def _read(path: Path, work: "Callable[[Connection], list[T]]") -> "list[T]":
    """What is asked of the database without a server, or an end that says why it cannot be read."""
    from sqlalchemy.exc import SQLAlchemyError  # noqa: PLC0415

    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    opened = Database(path, read_only=True)
    try:
        opened.open()
        return asyncio.run(opened.run(work))
    except SchemaMismatch as error:
        fail(str(error))
    except (StorageDown, SQLAlchemyError, ValueError) as error:
        fail(f"{path}: {_reason(error)}; this is no database of Pagerunner, or its timeline cannot be read. {WHERE}")
    finally:
        opened.close()


def _reason(error: BaseException) -> str:
    """What SQLite said, without the statement."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error).partition("\n")[0]
