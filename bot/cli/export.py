"""``pagerunner export``: an incident's postmortem or timeline, from a running server or from the database."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

import click

from bot.cli.local import WRONG, fail, settings, with_config
from bot.cli.reading import Reader
from bot.domain.presentation import Form, Presentation, Redaction

if TYPE_CHECKING:
    from bot.edges.redact import Redactor
    from config.settings import Settings

BINARY = ("pdf", "docx")


@click.command(name="export")
@click.argument("incident", required=False)
@click.option(
    "--format", "form", type=click.Choice(get_args(Form)), default="md", show_default=True,
    help="md, html, pdf, docx: the postmortem. json: everything, lossless. csv: the timeline.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="A file, or a folder; default: standard output.")
@click.option(
    "--redaction", type=click.Choice(get_args(Redaction)), default="internal", show_default=True,
    help="company: without received text and tenants' names. public: also without names of people, services, hosts.",
)  # fmt: skip
@click.option("--tz", default="UTC", show_default=True, help="Time zone of what is shown, such as Europe/Berlin.")
@click.option("--template", default="", help="One of your own templates, for md and html.")
@click.option("--list-templates", is_flag=True, help="List your own templates, and what is wrong with each.")
@with_config
def command(incident: str | None, form: str, output: Path | None, redaction: str, tz: str, template: str,
            list_templates: bool, config: Path | None) -> None:  # fmt: skip
    """Write the postmortem of INCIDENT (inc-..., or the pager's reference)."""
    chosen = settings(config)
    if list_templates:
        _list(chosen)
        return
    if incident is None:
        fail("Which incident? `pagerunner incidents --all` lists them.", WRONG)
    if template and form not in ("md", "html"):
        fail(f"--template is for --format md and html, not for {form}.", WRONG)
    if output is None and form in BINARY and sys.stdout.isatty():
        fail(f"A {form} file is not for a terminal; give --output FILE, or a folder.", WRONG)
    from bot.edges.export import Export  # noqa: PLC0415 - help must not wait for it
    from bot.edges.templates import Templates  # noqa: PLC0415
    from bot.edges.typesetting import TypesettingError  # noqa: PLC0415
    from bot.edges.zones import UnknownZone, zone  # noqa: PLC0415

    try:
        shown = Presentation(zone=zone(tz), zone_name=tz, redaction=cast("Redaction", redaction), template=template)
    except UnknownZone as error:
        fail(str(error), WRONG)
    view = Reader(chosen).view(incident)
    exporter = Export(_redactor(chosen), Templates(chosen.templates))
    try:
        made = exporter.make(view, cast("Form", form), shown)
    except TypesettingError as error:
        fail(f"{error}. The same document is there with --format html.")
    for note in made.notes:
        click.echo(note, err=True)
    if output is None or str(output) == "-":
        sys.stdout.buffer.write(made.content)
        return
    path = output / file_name(view.incident.id, form) if output.is_dir() else output
    _write(path, made.content)
    click.echo(f"{path}: {len(made.content):,} bytes", err=True)


def _list(chosen: "Settings") -> None:
    """The templates that can be asked for; without a folder, how to have one."""
    from bot.edges.templates import TemplateProblem, Templates  # noqa: PLC0415

    try:
        known = Templates(chosen.templates).known()
    except TemplateProblem as problem:
        fail(str(problem), WRONG)
    click.echo("built-in  md, html, pdf, docx")
    for one in known:
        click.echo(f"{one.name}  {one.form}{f'  BROKEN: {one.problem}' if one.problem else ''}")
    if not known:
        where = f"{chosen.templates} holds none" if chosen.templates else "The setting `templates` names no folder"
        click.echo(f"No template of your own: {where}. docs/postmortem-templates.md says how to write one.")


def _redactor(chosen: "Settings") -> "Redactor":
    """Takes the configured secrets out of what people wrote, and whatever looks like one."""
    from bot.edges.redact import Redactor  # noqa: PLC0415
    from config.settings import ConfigError, load_catalogue  # noqa: PLC0415

    named = {f"configured-{number}": value for number, value in enumerate(chosen.secrets())}
    try:
        targets = load_catalogue(chosen.catalogue).targets
    except ConfigError:  # An export from a server needs no catalogue here.
        targets = ()
    named |= {f"target-{t.name}": os.environ[t.auth_env] for t in targets if os.environ.get(t.auth_env)}
    try:
        key = (chosen.data / "redaction.key").read_bytes()
    except OSError:
        key = b"pagerunner-export"
    return Redactor(named, key)


def file_name(incident_id: str, form: str) -> str:
    """The name in a folder, of characters that are safe everywhere."""
    return f"{re.sub(r'[^A-Za-z0-9_-]', '-', incident_id)[:64]}.{form}"


def _write(path: Path, content: bytes) -> None:
    """All of it or nothing: beside the target first, then renamed, never through a link."""
    try:
        descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=".export.")
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        Path(temporary).replace(path)
    except OSError as error:
        fail(f"{path}: {error.strerror}; choose another file or folder with --output.", WRONG)
