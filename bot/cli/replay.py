"""``pagerunner replay``: recorded incidents once more, with today's code and runbooks. Asks and changes nothing."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.git_folders import GitError
from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show
from bot.cli.reading import MOST, Reader
from bot.cli.runbook_coverage import days

if TYPE_CHECKING:
    from bot.cli.replay_shown import Compared
    from bot.domain.view import IncidentView
    from bot.triage.replay import Today
    from runbooks.model import Library

MAX_FILE = 200_000_000


@click.command(name="replay")
@click.argument("incident", required=False)
@CONFIG
@click.option("--since", callback=days, help="All incidents of so long, such as 30d, as a table with totals.")
@click.option("--from", "files", multiple=True, type=click.Path(path_type=Path), help="An incident exported with "
              "`pagerunner export --format json`, of any team; may be given again.")  # fmt: skip
@click.option("--runbooks", default="", metavar="REV|FOLDER", help="With the library at this Git revision, or with the "
              "runbooks of this folder in place of your own.")  # fmt: skip
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--format", "form", type=click.Choice(["text", "json"]), default="text", show_default=True)
def command(incident: str | None, config: Path | None, since: int | None, files: tuple[Path, ...], runbooks: str,
            words_only: bool, form: str) -> None:  # fmt: skip
    """Would we do better today? Search and diagnose INCIDENT again, on its recorded pages and readings.

    What is on record answers in place of the world: nothing is probed, posted or changed. What a probe showed is taken
    as it was read then; a probe that would be asked now and was not read then is named, and nothing is said of it.
    """
    if sum((incident is not None, since is not None, bool(files))) != 1:
        fail("Name one incident, or --since 30d, or --from FILE. `pagerunner incidents --all` lists incidents.", WRONG)
    from bot.cli import replay_shown  # noqa: PLC0415 - help must not wait for it

    where = Installed(config)
    views = [Reader(where.settings).view(incident)] if incident is not None else \
        [_exported(path) for path in files] if files else _since(where, since or 0)  # fmt: skip
    with _today(where, runbooks, words_only=words_only) as today:
        compared = [replay_shown.compare(view, today) for view in views]
    if form == "json":
        single = incident is not None or len(files) == 1
        show(compared[0].plain() if single else replay_shown.plain(compared))
    elif incident is not None or len(files) == 1:
        click.echo("\n".join(replay_shown.text(compared[0])))
    else:
        click.echo("\n".join(_table(compared, since)))


def _table(compared: "list[Compared]", since: int | None) -> Iterator[str]:
    from bot.cli import replay_shown  # noqa: PLC0415

    if not compared:
        yield f"No incident was investigated in the last {since} days, so there is nothing to replay."
        return
    yield from replay_shown.table(compared)


def _since(where: Installed, within: int) -> "list[IncidentView]":
    """Incidents that were investigated, oldest first."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415

    reader, start = Reader(where.settings), SystemClock().now() - timedelta(days=within)
    listed = reader.incidents(active_only=False)
    if len(listed) == MOST:
        click.echo(f"Only the newest {MOST} incidents are looked at.", err=True)
    ids = [str(one["id"]) for one in reversed(listed) if datetime.fromisoformat(str(one["opened_at"])) >= start]
    return [view for view in map(reader.view, ids) if view.entries("investigation_ended")]


def _exported(path: Path) -> "IncidentView":
    """The incident in this file, or an end that says why there is none."""
    from pydantic import ValidationError  # noqa: PLC0415

    from bot.domain import codec  # noqa: PLC0415
    from bot.domain.view import IncidentView  # noqa: PLC0415
    from bot.edges.export_json import FORMAT  # noqa: PLC0415

    how = "write one with `pagerunner export INCIDENT --format json --output FILE`"
    try:
        if path.stat().st_size > MAX_FILE:
            fail(f"{path}: larger than {MAX_FILE:,} bytes", WRONG)
        whole: Any = json.loads(path.read_text("utf-8"))
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror or error}", WRONG)
    except (ValueError, RecursionError) as error:
        fail(f"{path}: not JSON ({error}); {how}", WRONG)
    if not isinstance(whole, dict) or whole.get("format") != FORMAT:
        fail(f"{path}: not an incident of the format {FORMAT}; {how}", WRONG)
    if (whole.get("presentation") or {}).get("redaction") == "public":
        fail(f"{path}: redacted for the public, so that pages and readings are left out; {how}, without --redaction or "
             "with --redaction company", WRONG)  # fmt: skip
    try:
        return codec.load(IncidentView, whole["view"])
    except (ValidationError, KeyError, TypeError, ValueError) as error:
        said = str(error).splitlines()[0]
        fail(f"{path}: an incident that this version cannot read ({said[:200]}); {how}", WRONG)


@contextmanager
def _today(where: Installed, runbooks: str, *, words_only: bool) -> "Iterator[Today]":
    """Search, runbooks and rules as they are now, or with another library."""
    from bot.cli.runbook_library import embedder, searcher  # noqa: PLC0415
    from bot.triage.replay import Today  # noqa: PLC0415
    from bot.wiring import specs  # noqa: PLC0415
    from config.catalogue import Catalogue  # noqa: PLC0415
    from diagnostics.differential import diagnose  # noqa: PLC0415
    from diagnostics.order import next_calls  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415
    from runbooks.resolve import resolve  # noqa: PLC0415

    with tempfile.TemporaryDirectory(prefix="pagerunner-") as folder:
        library = _library(where, runbooks, Path(folder))
        librarian = searcher(documents(library.all()), embedder(where, words_only=words_only))
        nothing = Catalogue(teams=(), services=(), fallback_channel="")
        yield Today(catalogue=where.catalogue or nothing, library=library, librarian=librarian, specs=specs(),
                    diagnose=diagnose, next_calls=next_calls, resolve=resolve)  # fmt: skip


def _library(where: Installed, runbooks: str, out: Path) -> "Library":
    """The runbooks in use, or those of a folder or a revision. A folder of that name goes before a revision."""
    from bot.cli.runbook_revisions import libraries, shelf_of  # noqa: PLC0415
    from bot.wiring import LIBRARY  # noqa: PLC0415

    if not runbooks:
        return where.shelf()
    if Path(runbooks).is_dir():
        return shelf_of(where, [LIBRARY, Path(runbooks)])
    try:
        return libraries(where, (), runbooks, out)[0]
    except GitError as error:
        fail(f"{error}\n{runbooks!r} is no folder either.", WRONG)
