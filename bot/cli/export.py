"""``pagerunner export``: an incident's postmortem or timeline, from a running server or from the database."""

import os
import re
import sys
import tempfile
from pathlib import Path
from typing import Literal, cast

import click

from bot.cli.local import WRONG, fail, settings, with_config
from bot.cli.reading import Reader

Form = Literal["md", "html", "json", "csv"]


@click.command(name="export")
@click.argument("incident")
@click.option(
    "--format", "form", type=click.Choice(["md", "html", "json", "csv"]), default="md", show_default=True,
    help="Markdown and HTML: the postmortem. JSON: everything, lossless. CSV: the timeline.",
)  # fmt: skip
@click.option("--output", type=click.Path(path_type=Path), help="A file, or a folder; default: standard output.")
@with_config
def command(incident: str, form: str, output: Path | None, config: Path | None) -> None:
    """Write the postmortem of INCIDENT (inc-..., or the pager's reference)."""
    from bot.edges.export import Export  # noqa: PLC0415 - help must not wait for it

    view = Reader(settings(config)).view(incident)
    content = Export().export(view, cast("Form", form))
    if output is None or str(output) == "-":
        sys.stdout.buffer.write(content)
        return
    path = output / file_name(view.incident.id, form) if output.is_dir() else output
    _write(path, content)
    click.echo(f"{path}: {len(content):,} bytes", err=True)


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
