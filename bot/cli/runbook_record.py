"""``pagerunner runbooks record``: a real incident becomes a test of the runbook that was right."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail

if TYPE_CHECKING:
    from bot.domain.view import IncidentView


@click.command(name="record")
@click.argument("incident")
@click.argument("runbook", type=click.Path(path_type=Path))
@CONFIG
@click.option("--database", type=click.Path(path_type=Path), help="Another database file.")
def command(incident: str, runbook: Path, config: Path | None, database: Path | None) -> None:
    """Append what the probes showed in INCIDENT (inc-..., or the pager's reference) to the recordings of RUNBOOK.

    `pagerunner runbooks test` then tries whether it leads to this runbook. Only probe names and their outcomes are
    kept, and the incident's id: nothing that anybody wrote.
    """
    from runbooks.recorded import Recording, beside  # noqa: PLC0415 - help must not wait for it

    if runbook.suffix.lower() != ".md" or not runbook.is_file():
        fail(f"{runbook}: no runbook; name its Markdown file", WRONG)
    view = _view(Installed(config, needs_catalogue=True), incident, database)
    shows = {f.probe: f.outcome for f in view.findings
             if f.round == 0 and f.verdict.value in ("normal", "abnormal", "inconclusive")}  # fmt: skip
    if not shows:
        fail(f"{incident}: no probe had reported anything before the first mitigation; there is nothing to record.")
    path = beside(runbook)
    known = path.read_text("utf-8") if path.exists() else ""
    if f'"name": "{view.incident.id}"' in known:
        fail(f"{path}: {view.incident.id} is recorded already; edit the line if it is wrong.")
    with path.open("a", encoding="utf-8") as file:
        file.write("\n" if known and not known.endswith("\n") else "")
        file.write(Recording(name=view.incident.id, service=view.incident.service, shows=shows).as_line())
    click.echo(f"Wrote {len(shows)} probe outputs of {view.incident.id} to {path}")


def _view(where: Installed, incident: str, database: Path | None) -> "IncidentView":
    from bot.edges.database import Database, SchemaMismatch  # noqa: PLC0415
    from bot.edges.records import SqlRecords  # noqa: PLC0415
    from bot.ports import StorageDown  # noqa: PLC0415

    assert where.catalogue is not None
    opened = Database(database or where.settings.data / "pagerunner.sqlite", read_only=True)
    try:
        opened.open()
        view = asyncio.run(SqlRecords(opened, where.catalogue).view(incident))
    except (StorageDown, SchemaMismatch) as error:
        fail(f"{error}; name another file with --database")
    finally:
        opened.close()
    if view is None:
        fail(f"There is no incident {incident!r}; `pagerunner incidents --all` lists them.")
    return view
