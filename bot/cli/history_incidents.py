"""``pagerunner history import``, ``list`` and ``forget``: incidents of the past that people can look back on."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.backtest import KEY, ids_of, known
from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show, with_json
from bot.cli.reading import Reader
from bot.cli.runbook_coverage import days

if TYPE_CHECKING:
    from bot.edges.database import Database
    from bot.edges.imported import Imported, Plan
    from bot.edges.text import Redact
    from config.settings import Settings

SHOWN = 20


@contextmanager
def writing(chosen: "Settings") -> "Iterator[Database]":
    """The database, while no server runs on it; ends with a message where it cannot be had."""
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.edges.jobs import AlreadyRunning, DataLock  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    chosen.data.mkdir(mode=0o700, parents=True, exist_ok=True)
    lock, database = DataLock(chosen.data), Database(chosen.data / "pagerunner.sqlite")
    try:
        lock.acquire()
        database.open()
        yield database
    except (AlreadyRunning, StorageDown, SchemaMismatch) as error:
        fail(str(error))
    finally:
        database.close()
        lock.release()


@click.command(name="import")
@click.argument("file", type=click.Path(path_type=Path), required=False)
@CONFIG
@click.option("--pagerduty", is_flag=True, help="Ask PagerDuty instead of reading a FILE. It is only read.")
@click.option("--since", default="180d", show_default=True, callback=days, help="With --pagerduty: how far back.")
@click.option("--service", "services", multiple=True, help="With --pagerduty: only this service of the catalogue, or "
              "this PagerDuty service id; may be given again.")  # fmt: skip
@click.option("--dry-run", is_flag=True, help="Say what would be imported, and store nothing.")
def import_(file: Path | None, config: Path | None, pagerduty: bool, since: int, services: tuple[str, ...],
            dry_run: bool) -> None:  # fmt: skip
    """Import past incidents, from FILE (JSON lines) or from PagerDuty. Stop the server first.

    A line: {"id", "title", "at", "service"} and, if known, "body", "cause" (a runbook), "confirmed_by", "helped",
    "link". What a person confirmed informs the search for runbooks; all of them are shown beside pages that read alike.
    None of them allows any action. Importing twice changes nothing.
    """
    if pagerduty == (file is not None):
        fail("Give either a FILE or --pagerduty.", WRONG)
    where = Installed(config)
    from bot.edges.clock import SystemClock  # noqa: PLC0415 - help must not wait for it
    from bot.edges.imported import plan, store  # noqa: PLC0415

    now = SystemClock().now()
    redact = _redactor(where, keep=not dry_run)
    if file is not None:
        found, origin = _from_file(file, redact, now), file.name
    else:
        found, origin = _from_pagerduty(where, redact, now - timedelta(days=since), now, services), "PagerDuty"
    if dry_run:
        database = Reader.database(where.settings)
        made = _nothing_known(found) if database is None else database.run_now(lambda c: plan(c, found))
        if database is not None:
            database.close()
        _told(made, where, head="Would import")
        return
    with writing(where.settings) as opened:
        batch, made = opened.run_now(lambda c: store(c, found, origin[:64], now))
    _told(made, where, head=f"{batch}: imported" if made.new else "Imported")
    if made.new or made.changed:
        click.echo("The server uses them from its next start. `pagerunner history forget` takes them back.")


@click.command(name="list")
@click.argument("batch", required=False)
@CONFIG
@with_json
def list_(batch: str | None, config: Path | None, as_json: bool) -> None:
    """List what was imported, or the incidents of one import."""
    from bot.domain import codec  # noqa: PLC0415
    from bot.edges.imported import batches, incidents  # noqa: PLC0415

    database = Reader.database(Installed(config).settings)
    if database is None:
        fail("Nothing was imported here: there is no database yet.")
    try:
        all_ = database.run_now(batches)
        rows = database.run_now(lambda c: incidents(c, batch)) if batch else []
    finally:
        database.close()
    if batch and not rows:
        fail(f"There is no import {batch!r}; `pagerunner history list` lists them.")
    if as_json:
        show([codec.dump(one) for one in (rows if batch else all_)])
    elif batch:
        click.echo("\n".join(_line(one) for one in rows))
    elif not all_:
        click.echo("Nothing was imported.")
    for one in () if as_json or batch else all_:
        click.echo(f"{one.id}  {one.imported_at:%Y-%m-%d %H:%M} UTC  from {_plain(one.origin)}  {one.incidents} "
                   f"incidents, {one.confirmed} confirmed, {one.oldest:%Y-%m-%d} to {one.newest:%Y-%m-%d}")  # fmt: skip


@click.command()
@click.argument("name")
@CONFIG
def forget(name: str, config: Path | None) -> None:
    """Take back the import NAME, or the one incident of that id. Stop the server first."""
    from bot.edges import imported  # noqa: PLC0415

    with writing(Installed(config).settings) as database:
        gone = database.run_now(lambda c: imported.forget(c, name))
    if not gone:
        fail(f"There is no import and no imported incident {name!r}; `pagerunner history list` lists them.")
    click.echo(f"{gone} imported incidents forgotten; the server forgets them at its next start")


def _from_file(file: Path, redact: "Redact", now: datetime) -> "list[Imported]":
    from bot.edges.imported_file import UnreadableImport, read  # noqa: PLC0415

    try:
        return read(file, redact, now)
    except UnreadableImport as error:
        fail(f"{error}. Nothing was imported.", WRONG)


def _from_pagerduty(where: Installed, redact: "Redact", since: datetime, now: datetime,
                    services: tuple[str, ...]) -> "list[Imported]":  # fmt: skip
    """Everything is read before anything is stored; incidents that are still open are not past yet."""
    from bot.edges.history_records import UnreadableHistory  # noqa: PLC0415
    from bot.edges.imported_file import MOST, of_record  # noqa: PLC0415
    from bot.edges.pagerduty_history import PagerDutyHistory  # noqa: PLC0415
    from bot.ports import RetryLater, Undeliverable  # noqa: PLC0415
    from config.catalogue import Catalogue  # noqa: PLC0415

    catalogue = where.catalogue or Catalogue(teams=(), services=(), fallback_channel="")
    key = where.settings.pagerduty_api_key.get_secret_value()
    if not key:
        fail(f"Set {KEY}: a read-only key is enough.", WRONG)
    known(services, catalogue)
    names = {ref: one.name for one in catalogue.services for ref in one.pagerduty_services}
    found: list[Imported] = []
    try:
        pager = PagerDutyHistory(key, where.settings.pagerduty_api, wait=time.sleep,
                                 tell=lambda why: click.echo(why, err=True))  # fmt: skip
        for incident in pager.incidents(since, now, ids_of(services, catalogue)):
            if incident.get("status") != "resolved":
                continue
            service = incident.get("service")
            name = names.get(str(service.get("id")), "") if isinstance(service, dict) else ""
            found.append(of_record(pager.record(incident), name, redact))
            if len(found) >= MOST:
                click.echo(f"stopped at {MOST:,} incidents: the later ones are left out", err=True)
                break
    except (RetryLater, Undeliverable, UnreadableHistory, ValueError) as error:
        fail(f"{error}. Nothing was imported.")
    return found


def _redactor(where: Installed, *, keep: bool) -> "Redact":
    """With the installation's own key, so that a secret has the same tag in the next import."""
    from bot.cli.triage import credentials, redactor  # noqa: PLC0415
    from bot.edges.redact import Redactor  # noqa: PLC0415
    from bot.triage.checkpoint import signing_key  # noqa: PLC0415

    path = where.settings.data / "redaction.key"
    if not keep and not path.exists():
        return redactor(where)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    values = {f"configured-{number}": value for number, value in enumerate(where.settings.secrets())}
    return Redactor({**values, **credentials(where.catalogue)}, signing_key(path))


def _nothing_known(found: "list[Imported]") -> "Plan":
    from bot.edges.imported import Plan  # noqa: PLC0415

    return Plan(new=tuple(found), changed=(), same=0, ours=())


def _told(made: "Plan", where: Installed, *, head: str) -> None:
    from bot.edges.imported import strangers  # noqa: PLC0415

    confirmed = sum(one.confirmed for one in made.new)
    click.echo(f"{head} {len(made.new)} incidents ({confirmed} with a confirmed cause), {len(made.changed)} changed, "
               f"{made.same} known already")  # fmt: skip
    for one in made.new[:SHOWN]:
        click.echo(f"  {_line(one)}")
    if len(made.new) > SHOWN:
        click.echo(f"  and {len(made.new) - SHOWN} more")
    if made.ours:
        click.echo(f"{len(made.ours)} left out: Pagerunner has these incidents itself")
    told = (*made.new, *made.changed)
    missing = strangers(told, {book.id for book in where.shelf().all()}) if any(one.confirmed for one in told) else []
    if missing:
        click.echo(f"No runbook here is called {', '.join(missing)}: these causes rank nothing until there is one")


def _line(one: "Imported") -> str:
    said = f"cause {one.cause}, confirmed by {_plain(one.confirmed_by)}" if one.confirmed else "cause not confirmed"
    return f"{one.id}  {one.at:%Y-%m-%d}  {_plain(one.service)}  {_plain(one.title)}  ({said})"


def _plain(text: str) -> str:
    from bot.domain.untrusted import line  # noqa: PLC0415

    return line(text, 100)
