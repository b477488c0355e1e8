"""``pagerunner runbooks coverage``: what the library lacks, by what really happened and by the files."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import fail, show

if TYPE_CHECKING:
    from bot.cli.runbook_gaps import Coverage, Gap
    from bot.edges.usage import Used
    from runbooks.model import Problem

SHOWN = 20


def days(context: click.Context, parameter: click.Parameter, value: str | None) -> int | None:
    """``30d`` as a number of days; None for nothing."""
    from runbooks.front_matter import seconds  # noqa: PLC0415 - help must not wait for it

    if value is None:
        return None

    try:
        found = seconds(value) // 86_400
    except ValueError as error:
        raise click.BadParameter(str(error), context, parameter) from error
    if not 1 <= found <= 3650:
        raise click.BadParameter(f"{value} is outside 1d to 3650d", context, parameter)
    return found


@click.command(name="coverage")
@CONFIG
@click.option("--since", default="30d", show_default=True, callback=days, help="How far back, such as 30d.")
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, since: int, database: Path | None, as_json: bool) -> None:
    """Show which pages found no good runbook, which runbooks were never used, and what rots in the files.

    Incidents come from the local database; it is only read. Relative links are followed, web links are not opened.
    """
    from bot.cli.runbook_gaps import coverage  # noqa: PLC0415

    where = Installed(config)
    used = _used(where, since, database)
    groups = where.read(())
    report = coverage(since, used, where.shelf().all(), where.lint(groups, whole=True))
    if as_json:
        show(report.plain())
    else:
        click.echo("\n".join(_lines(report)))
        if where.notice:
            click.echo(where.notice, err=True)


def _used(where: Installed, days: int, database: Path | None) -> "Sequence[Used] | None":
    """The incidents; None when there is no database yet."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.edges.usage import incidents_since  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    path = database or where.settings.data / "pagerunner.sqlite"
    if database is None and not path.exists():
        return None
    opened = Database(path, read_only=True)
    since = SystemClock().now() - timedelta(days=days)
    try:
        opened.open()
        return opened.run_now(lambda connection: incidents_since(connection, since))
    except (StorageDown, SchemaMismatch) as error:
        fail(f"{error}; name another file with --database")
    finally:
        opened.close()


def _lines(report: "Coverage") -> Iterator[str]:
    if report.incidents is None:
        yield "Incidents: none to look at, there is no database yet (`pagerunner serve` makes it)."
    elif not report.incidents:
        yield f"Incidents: none in the last {report.days} days, so nothing can be said about pages and use."
    else:
        yield from _incidents(report)
    yield ""
    yield from _problems("Overdue reviews", report.overdue, "no review is overdue")
    yield from _problems("Steps and evidence that do not resolve", report.unresolved, "everything named exists")
    yield from _problems("Files that are not used", report.broken, "every file can be used")
    yield from _problems("Dead links", report.links, "every relative link leads somewhere")
    names = ", ".join(report.no_drill)
    yield f"Without a drill: {names}" if names else "Without a drill: none, each is exercised by one."


def _incidents(report: "Coverage") -> Iterator[str]:
    yield f"Incidents: {report.incidents} in the last {report.days} days, {report.runbooks} runbooks"
    for kind, title, none in (
        ("none", "Pages with no good runbook", "every page found one"),
        ("misled", "Pages that found the wrong one first", "none"),
        ("unconfirmed", "Found, but no probe confirmed it", "none"),
    ):
        yield from _gaps(title, [gap for gap in report.gaps if gap.kind == kind], none)
    used = ", ".join(f"{name} {count}" for name, count in sorted(report.use.items(), key=lambda item: -item[1]))
    helped = ", ".join(f"{name} {count}" for name, count in sorted(report.helped.items(), key=lambda item: -item[1]))
    yield f"Used: {used or 'none'}"
    yield f"Helped (verified better): {helped or 'none'}"
    yield f"Never used: {', '.join(report.never) or 'none, all were'}"


def _gaps(title: str, gaps: "Sequence[Gap]", none: str) -> Iterator[str]:
    from bot.domain.untrusted import line  # noqa: PLC0415

    yield f"{title}: {len(gaps) or none}"
    for gap in gaps[-SHOWN:]:
        yield f"  {gap.incident} {gap.at[:10]} {line(gap.service, 30)}: “{line(gap.title, 90)}”"
        yield f"    {gap.told}; {gap.advice}"
    if len(gaps) > SHOWN:
        yield f"  and {len(gaps) - SHOWN} earlier ones: --json has them all"


def _problems(title: str, problems: "Sequence[Problem]", none: str) -> Iterator[str]:
    yield f"{title}: {len(problems) or none}"
    for problem in problems:
        yield f"  {problem}"
