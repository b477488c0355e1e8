"""``pagerunner runbooks lint``: every mistake with its place and what to write, for people, programs and GitHub."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed, Read
from bot.cli.local import show

if TYPE_CHECKING:
    from runbooks.model import Problem

_GITHUB = {"error": "error", "warning": "warning", "hint": "notice"}


@click.command(name="lint")
@click.argument("paths", nargs=-1, type=click.Path(path_type=Path))
@CONFIG
@click.option("--hints", is_flag=True, help="Also tell what a runbook could earn next.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "github"]), default="text", show_default=True,
    help="github: annotations that a pull request shows at the line.",
)  # fmt: skip
@click.option("--json", "as_json", is_flag=True, help="The same as --format json.")
def command(paths: tuple[Path, ...], config: Path | None, hints: bool, form: str, as_json: bool) -> None:
    """Check the runbooks in PATHS (files or folders) against the probes, actions and services that there really are.

    Without PATHS: the built-in library, the configured folders and the teams' own. Prints file:line:column and what to
    write instead. Exit code 1 when a runbook has an error and would not be used.
    """
    where = Installed(config)
    groups = where.read(paths)
    problems = [*where.lint(groups, whole=not paths), *_links(groups)]
    files = sum(len(group.files) + len(group.refused) for group in groups)
    shown = [problem for problem in problems if hints or problem.severity != "hint"]
    errors = sum(problem.severity == "error" for problem in problems)
    if as_json or form == "json":
        counts = {"files": files, "errors": errors, "warnings": sum(p.severity == "warning" for p in problems)}
        show({**counts, "catalogue": where.catalogue is not None, "problems": [asdict(problem) for problem in shown]})
    else:
        _print(shown, form)
        if where.notice:
            click.echo(where.notice, err=True)
        click.echo(f"{files} runbooks: {errors} errors, {len(shown) - errors} other remarks", err=True)
        if not hints and len(shown) < len(problems):
            click.echo(f"{len(problems) - len(shown)} hints about what they could earn next: --hints", err=True)
    if errors:
        raise SystemExit(1)


def _links(groups: "Sequence[Read]") -> "Iterator[Problem]":
    """Relative links that lead nowhere."""
    from runbooks.links import rotten  # noqa: PLC0415 - help must not wait for it

    for group in groups:
        for file in group.files:
            yield from rotten(Path(file.file))


def _print(problems: "Sequence[Problem]", form: str) -> None:
    for problem in problems:
        click.echo(annotation(problem) if form == "github" else str(problem))


def annotation(problem: "Problem") -> str:
    """A workflow command that GitHub shows at the line. Nothing in a file can end it or begin another."""
    place = f"file={_property(_below_here(problem.file))},line={problem.line},col={problem.column}"
    advice = f" ({problem.suggestion})" if problem.suggestion else ""
    title = _property(f"runbooks lint: {problem.rule}")
    return f"::{_GITHUB[problem.severity]} {place},title={title}::{_data(problem.message + advice)}"


def _below_here(file: str) -> str:
    """Relative to the checkout, which is where a workflow's step runs: GitHub knows files by that name alone."""
    try:
        return Path(file).resolve().relative_to(Path.cwd().resolve()).as_posix()
    except ValueError:
        return file


def _data(text: str) -> str:
    return text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
