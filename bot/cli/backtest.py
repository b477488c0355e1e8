"""``pagerunner backtest``: what the pages of your own PagerDuty history would have found. Changes nothing."""

import asyncio
import sys
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show
from bot.cli.reading import Reader
from bot.cli.runbook_coverage import days

if TYPE_CHECKING:
    from bot.cli.backtest_run import Row, Tester
    from bot.edges.history_records import Past
    from bot.edges.text import Redact
    from config.catalogue import Catalogue

KEY = "PAGERUNNER_PAGERDUTY_API_KEY"
NO_KEY = (
    f"Set {KEY}, to ask PagerDuty itself: a read-only key is enough (in PagerDuty: Integrations > API Access Keys > "
    "Create New API Key, Read-only). Or give a file with --from."
)
EVERY = 25
"""Pages between two lines of progress where there is no terminal."""


@click.command(name="backtest")
@CONFIG
@click.option("--since", default="30d", show_default=True, callback=days, help="How far back, such as 30d.")
@click.option("--service", "services", multiple=True, help="Only this service of the catalogue, or this PagerDuty "
              "service id; may be given again.")  # fmt: skip
@click.option("--from", "file", type=click.Path(path_type=Path), help="A JSON or JSON-lines file of PagerDuty "
              "incidents, webhook events or plain pages, instead of asking PagerDuty.")  # fmt: skip
@click.option("--cache", type=click.Path(path_type=Path, dir_okay=False), help="Keep here what was read, so that the "
              "next run, or one that was interrupted, need not ask again. It holds what your pages said.")  # fmt: skip
@click.option("--limit", default=5_000, show_default=True, type=click.IntRange(1, 100_000), help="At most so many.")
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--all", "every", is_flag=True, help="Show every page, and not the newest alone.")
@click.option("--format", "form", type=click.Choice(["text", "json", "csv"]), default="text", show_default=True)
def command(config: Path | None, since: int, services: tuple[str, ...], file: Path | None, cache: Path | None,
            limit: int, words_only: bool, every: bool, form: str) -> None:  # fmt: skip
    """Show which runbook each page of the past would have shown, and which pages would have had none.

    PagerDuty is only read. Nothing is posted, probed or stored but the --cache. It needs no Slack and no server, and
    works without a catalogue; with one, each page also says whose it is, and which probes could not have run.
    """
    where = Installed(config)
    from bot.cli import backtest_run, backtest_shown  # noqa: PLC0415 - help must not wait for it
    from bot.edges.history_records import UnreadableHistory  # noqa: PLC0415
    from bot.ports import RetryLater, Undeliverable  # noqa: PLC0415

    tester = _tester(where, words_only=words_only)
    known(services, tester.catalogue)
    try:
        rows = _rows(where, tester, file=file, cache=cache, days_=since, services=services, limit=limit)
    except UnreadableHistory as error:
        fail(str(error), WRONG)
    except (RetryLater, Undeliverable, ValueError) as error:
        more = " What was read is kept: run the same command again." if cache else ""
        fail(f"{error}.{more}")
    report = tester.report(rows)
    if form == "json":
        show(backtest_run.plain(report))
    elif form == "csv":
        sys.stdout.buffer.write(backtest_shown.as_csv(report).encode("utf-8", "replace"))
    elif not rows:
        click.echo("No page was found there, so nothing can be said. A longer --since may have some.")
    else:
        click.echo("\n".join(backtest_shown.text(report, every=every)))
    if where.catalogue is None:
        click.echo(f"There is no catalogue at {where.settings.catalogue}, so nothing is said of teams and probes: "
                   "`pagerunner init` writes one to start from.", err=True)  # fmt: skip


def _rows(where: Installed, tester: "Tester", *, file: Path | None, cache: Path | None, days_: int,
          services: tuple[str, ...], limit: int) -> "list[Row]":  # fmt: skip
    from bot.cli.triage import redactor  # noqa: PLC0415
    from bot.edges.history_records import read  # noqa: PLC0415

    redact = redactor(where)
    history = read(file, redact) if file else _asked(where, tester, cache, days_, services, redact)
    rows: list[Row] = []
    for one in history:
        service = tester.service(one)
        if services and not {one.page.service_ref, service.name if service else ""} & set(services):
            continue
        rows.append(tester.row(one))
        _progress(len(rows))
        if len(rows) >= limit:
            click.echo(f"stopped at {limit:,} pages; --limit sets another", err=True)
            break
    _progress(len(rows), done=True)
    return sorted(rows, key=lambda row: row.at.timestamp() if row.at else 0.0)


def _asked(where: Installed, tester: "Tester", cache: Path | None, days_: int, services: tuple[str, ...],
           redact: "Redact") -> "Iterator[Past]":  # fmt: skip
    """The history as PagerDuty has it, by way of the cache."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.history_records import Cache, past  # noqa: PLC0415
    from bot.edges.pagerduty_history import PagerDutyHistory  # noqa: PLC0415

    chosen, key = where.settings, where.settings.pagerduty_api_key.get_secret_value()
    if not key:
        fail(NO_KEY, WRONG)
    pager = PagerDutyHistory(key, chosen.pagerduty_api, wait=time.sleep, tell=lambda why: click.echo(why, err=True))
    kept = Cache(cache) if cache else None
    now = SystemClock().now()
    for incident in pager.incidents(now - timedelta(days=days_), now, ids_of(services, tester.catalogue)):
        record = kept.get(incident) if kept else None
        if record is None:
            record = pager.record(incident)
            if kept:
                kept.put(record)
        found = past(record, redact)
        if found is not None:
            yield found


def ids_of(services: tuple[str, ...], catalogue: "Catalogue") -> list[str]:
    """PagerDuty's ids of what was asked for; none: of all."""
    ids: list[str] = []
    for name in services:
        own = catalogue.service(name)
        ids += own.pagerduty_services if own else [name]
    return list(dict.fromkeys(ids))


def known(services: tuple[str, ...], catalogue: "Catalogue") -> None:
    """Ends with a message if one of these is no service."""
    for name in services:
        own = catalogue.service(name)
        if own is None and not (name.isascii() and name.isalnum() and name.isupper()):
            names = ", ".join(one.name for one in catalogue.services) or "none: there is no catalogue here"
            fail(f"{name!r} is neither a service of the catalogue ({names}) nor an id of PagerDuty, such as P7Q2XYZ.",
                 WRONG)  # fmt: skip
        if own is not None and not own.pagerduty_services:
            fail(f"{name} names no PagerDuty service: add its id to pagerduty_services in the catalogue.", WRONG)


def _tester(where: Installed, *, words_only: bool) -> "Tester":
    from bot.cli.backtest_run import Tester  # noqa: PLC0415
    from bot.cli.runbook_library import embedder, searcher  # noqa: PLC0415
    from bot.wiring import specs  # noqa: PLC0415
    from config.catalogue import Catalogue  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415

    catalogue = where.catalogue or Catalogue(teams=(), services=(), fallback_channel="")
    library = where.shelf()
    librarian = searcher(documents(library.all()), embedder(where, words_only=words_only))
    return Tester(catalogue=catalogue, library=library, librarian=librarian, specs=specs(),
                  golden_root=where.settings.catalogue.parent, recorded=_recorded(where, catalogue))  # fmt: skip


def _recorded(where: Installed, catalogue: "Catalogue") -> dict[str, frozenset[str]] | None:
    """What baselines a server here has recorded; None where none ever ran."""
    from bot.edges.history import SqlHistory  # noqa: PLC0415

    database = Reader.database(where.settings)
    if database is None:
        return None
    history = SqlHistory(database)
    try:
        return {one.name: frozenset(asyncio.run(history.recorded(one.name))) for one in catalogue.services}
    finally:
        database.close()


def _progress(count: int, *, done: bool = False) -> None:
    """How far it is, on standard error."""
    if sys.stderr.isatty():
        click.echo(f"\r{count:,} pages" + ("\n" if done else ""), err=True, nl=False)
    elif done or count % EVERY == 0:
        click.echo(f"{count:,} pages", err=True)
