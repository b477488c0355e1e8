"""``pagerunner report``: times to detect, acknowledge and mitigate over many incidents, read from the database."""

import re
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from bot.cli.local import WRONG, catalogue, fail, settings
from bot.cli.reading import Reader
from bot.domain.reporting import By, Case, report

if TYPE_CHECKING:
    from datetime import tzinfo

_SPAN = re.compile(r"(\d{1,5})([hdw])")
_HOURS = {"h": 1, "d": 24, "w": 168}


@click.command(name="report")
@click.option("--since", default="90d", show_default=True, help="How far back: 24h, 90d, 12w, or a date (2026-09-01).")
@click.option("--by", type=click.Choice(get_args(By)), default="mode", show_default=True, help="What to group by.")
@click.option("--format", "form", type=click.Choice(["text", "html", "csv", "json"]), default="text", show_default=True)
@click.option("--tz", default="UTC", show_default=True, help="Time zone of months and dates, such as Europe/Berlin.")
@click.option("--output", type=click.Path(path_type=Path, dir_okay=False), help="A file; default: standard output.")
def command(since: str, by: str, form: str, tz: str, output: Path | None) -> None:
    """MTTD, MTTA and MTTM: medians and p90 with how many incidents each rests on. Changes nothing."""
    from bot.edges import report_forms  # noqa: PLC0415 - help must not wait for it
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.zones import UnknownZone, zone  # noqa: PLC0415

    try:
        there = zone(tz)
    except UnknownZone as error:
        fail(str(error), WRONG)
    now = SystemClock().now()
    start = _start(since, now, there)
    cases = [_in_zone(each, there) for each in _cases(start)]
    made = report(cases, cast("By", by), _local(start, there), _local(now, there))
    written = {"text": report_forms.text, "html": report_forms.html, "csv": report_forms.as_csv,
               "json": report_forms.as_json}[form](made)  # fmt: skip
    if output is None:
        click.echo(written, nl=False)
        return
    try:
        output.write_text(written, "utf-8", newline="")
    except OSError as error:
        fail(f"{output}: {error.strerror}; choose another file with --output.", WRONG)
    click.echo(f"{output}: {len(written.encode()):,} bytes", err=True)


def _cases(since: datetime) -> list[Case]:
    """Of a data folder without a database there are none: nothing has happened yet."""
    from bot.edges.report_rows import read_cases  # noqa: PLC0415

    chosen = settings()
    declared = catalogue(chosen)
    database = Reader.database(chosen)
    if database is None:
        return []
    try:
        return database.run_now(lambda connection: read_cases(connection, since, declared))
    finally:
        database.close()


def _start(text: str, now: datetime, there: "tzinfo") -> datetime:
    span = _SPAN.fullmatch(text)
    if span is not None:
        return now - timedelta(hours=int(span[1]) * _HOURS[span[2]])
    try:
        return datetime.fromisoformat(text).replace(tzinfo=there).astimezone(UTC)
    except (ValueError, OverflowError):
        fail(f"--since {text!r} is neither a span such as 24h, 90d or 12w nor a date such as 2026-09-01.", WRONG)


def _in_zone(each: Case, there: "tzinfo") -> Case:
    return replace(each, opened_at=_local(each.opened_at, there))


def _local(at: datetime, there: "tzinfo") -> datetime:
    from bot.domain.zoned import local  # noqa: PLC0415

    return local(at, there)
