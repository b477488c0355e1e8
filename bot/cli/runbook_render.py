"""``pagerunner runbooks render``: a runbook before the night that needs it, as text or as one HTML file."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail

if TYPE_CHECKING:
    from bot.cli.runbook_shown import Shown, ShownStep
    from runbooks.model import Runbook

WIDTH = 100


@click.command(name="render")
@click.argument("path", type=click.Path(path_type=Path))
@CONFIG
@click.option("--service", default="", help="Fill parameters and approvals in for this service of the catalogue.")
@click.option("--html", is_flag=True, help="Print one HTML file instead: no script, nothing loaded from anywhere.")
def command(path: Path, config: Path | None, service: str, html: bool) -> None:
    """Show the runbook PATH (a file, or an id in use) as a card quotes it: what it asks, what each step would do."""
    from bot.cli.runbook_shown import show_runbook  # noqa: PLC0415 - help must not wait for it
    from bot.domain.untrusted import clean  # noqa: PLC0415

    where = Installed(config, needs_catalogue=bool(service))
    known = where.catalogue.service(service) if where.catalogue and service else None
    if service and known is None:
        names = ", ".join(one.name for one in where.catalogue.services) if where.catalogue else ""
        fail(f"There is no service {service!r} in the catalogue; there are {names}.", WRONG)
    shown = show_runbook(_runbook(where, path), where.registry(), where.catalogue, known)
    click.echo(_html(shown) if html else clean("\n".join(_text(shown)), lines=True)[0])


def _runbook(where: Installed, path: Path) -> "Runbook":
    """The runbook, or an end with what lint says."""
    if path.is_dir():
        fail(f"{path}: a folder; name one file of it", WRONG)
    in_use = None if path.exists() else where.shelf().get(str(path))
    if in_use is not None:
        return in_use
    groups = where.read([path])
    errors = [problem for problem in where.lint(groups, whole=False) if problem.severity == "error"]
    runbook = next((file.runbook for group in groups for file in group.files), None)
    if errors or runbook is None:
        fail("\n".join(map(str, errors)) or f"{path}: no runbook", 1)
    return runbook


def _text(shown: "Shown") -> Iterator[str]:
    yield f"{shown.title}  [{shown.id}]"
    yield "  ".join(f"{name}: {value}" for name, value in shown.facts)
    if shown.summary:
        yield ""
        yield from _quoted(shown.summary.prose, f"{shown.id}#{shown.summary.anchor}")
    if shown.probes:
        yield "\nIt asks:"
        yield from (f"  {probe}" for probe in shown.probes)
    if shown.evidence:
        yield "\nWhat the probes say about it:"
        yield from (f"  {probe:24} {words}" for probe, words in shown.evidence)
    yield (
        "\nSteps, each proposed only if the probes point here, and done only after approval:"
        if shown.steps
        else ("\nIt has no step that could be proposed.")
    )
    for step in shown.steps:
        yield from _step(step)


def _step(step: "ShownStep") -> Iterator[str]:
    yield f"\n  {step.number}. {step.title}"
    yield f"     {step.what}"
    yield from (f"       {name} = {value}" for name, value in step.params.items())
    yield from (f"     {name}: {value}" for name, value in step.facts)
    if step.not_proposed:
        yield f"     not proposed: {step.not_proposed}"
    yield from (f"     {line}" for line in _quoted(step.prose, step.reference))


def _quoted(prose: str, reference: str) -> Iterator[str]:
    """Prose as a quotation, with what it is cited as."""
    import textwrap  # noqa: PLC0415

    for paragraph in prose.strip().split("\n\n"):
        listed = paragraph.lstrip().startswith(("-", "*", "|", "1"))
        lines = paragraph.splitlines() if listed else [" ".join(paragraph.split())]
        for line in lines:
            yield from textwrap.wrap(line, WIDTH, initial_indent="> ", subsequent_indent="> ") or [">"]
    yield f"  ({reference})"


def _html(shown: "Shown") -> str:
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # noqa: PLC0415 - needed for this form only
    from markdown_it import MarkdownIt  # noqa: PLC0415
    from markupsafe import Markup  # noqa: PLC0415

    markdown = MarkdownIt("commonmark", {"html": False})
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    # The renderer escapes all text, lets no HTML through, and makes no link that runs a script.
    environment.filters["prose"] = lambda text: Markup(markdown.render(text))  # noqa: S704
    return environment.get_template("runbook.html.j2").render(shown=shown)
