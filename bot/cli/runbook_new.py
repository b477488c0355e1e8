"""``pagerunner runbooks new``: the questions, and the file that the answers make."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail

if TYPE_CHECKING:
    from runbooks.model import Runbook
    from runbooks.skeleton import Facts

KINDS = ("chat", "rag", "agent", "code", "moderation-text", "moderation-voice", "generation-image",
         "generation-material")  # fmt: skip


@dataclass(kw_only=True, slots=True)
class Told:
    """What the options say; the questions fill what is missing."""

    title: str
    owner: str
    failure: str
    like: str
    severity: str
    services: tuple[str, ...]
    kinds: tuple[str, ...]
    pages: tuple[str, ...]
    not_pages: tuple[tuple[str, str], ...]
    page: Path | None
    out: Path | None


@click.command(name="new")
@CONFIG
@click.option("--title", default="", help="What fails, in one line. With --from: its first heading.")
@click.option("--owner", default="", help="The team in the catalogue that keeps it.")
@click.option(
    "--failure", default="", metavar="ID", help="Which failure: gives the file name, such as llm-gateway-down."
)
@click.option("--like", default="", metavar="ID", help="A runbook in use whose evidence and probes are the start.")
@click.option("--severity", default="", type=click.Choice(["", "sev1", "sev2", "sev3", "sev4", "sev5"]))
@click.option("--service", "services", multiple=True, help="Name or tag (tag:safety) of a service; may be repeated.")
@click.option("--kind", "kinds", multiple=True, type=click.Choice(KINDS), help="Kind of service; may be repeated.")
@click.option("--page", "pages", multiple=True, help="How a page for this reads; may be repeated.")
@click.option(
    "--not-page", "not_pages", nargs=2, multiple=True, metavar="TEXT ID",
    help="A page that looks alike, and the runbook it belongs to; may be repeated.",
)  # fmt: skip
@click.option(
    "--from", "page", type=click.Path(path_type=Path), help="An existing Markdown page; its text stays as it is."
)
@click.option(
    "--out", type=click.Path(path_type=Path), help="File or folder to write; default: the runbook folder, or here."
)
def command(config: Path | None, page: Path | None, **told: object) -> None:
    """Write a new runbook that lints clean, or with --from put front matter on top of a page that exists.

    At a terminal, what no option says is asked for; Enter leaves an answer out. Without a terminal, title and owner
    must be given. Never overwrites a file. Phrases that stand in the page are suggested as comments, never taken as
    fact.
    """
    where = Installed(config)
    answers = Told(page=page, **told)  # type: ignore[arg-type]
    data = _read(page)
    if data is not None and not answers.title:
        answers.title = _title(page, data)
    (_ask if sys.stdin.isatty() else _need)(answers, where)
    text = _text(answers, where, data)
    path = _path(answers, where)
    _lints(where, path, text)
    try:
        with path.open("xb") as file:
            file.write(text)
    except FileExistsError:
        fail(f"{path}: is there already and stays as it is; choose another name with --out", 1)
    except OSError as error:
        fail(f"{path}: cannot be written: {error.strerror or error}; choose another place with --out", WRONG)
    click.echo(f"Wrote {path}")
    click.echo(f"What it could earn next: pagerunner runbooks lint --hints {path}", err=True)


def _need(told: Told, where: Installed) -> None:
    """Without a terminal, nobody can be asked."""
    del where
    missing = [f"--{name}" for name in ("title", "owner") if not getattr(told, name)]
    if missing:
        fail(f"Nobody can be asked without a terminal: give {' and '.join(missing)}.", WRONG)


def _ask(told: Told, where: Installed) -> None:
    """What no option says. Only title and owner must be answered."""
    teams = ", ".join(team.name for team in where.catalogue.teams) if where.catalogue else ""
    told.title = told.title or _answer("What fails, in one line", needed=True)
    told.owner = told.owner or _answer(f"Which team keeps it{f' ({teams})' if teams else ''}", needed=True)
    if told.page is None:
        told.failure = told.failure or _answer("Which failure is it: an id for the file, such as llm-gateway-down")
        known = {book.id for book in where.shelf().all()}
        if told.failure in known and not told.like:
            question = f"{told.failure} is in the library: begin with its evidence and probes"
            told.like = told.failure if click.confirm(question, default=True, err=True) else ""
    told.severity = told.severity or _answer("Severity, sev1 to sev5 (Enter: none)")
    told.services = told.services or _several("Service or tag it is for (Enter: all)")
    told.pages = told.pages or _several("How does a page for it read? One at a time (Enter: no more)")


def _answer(question: str, *, needed: bool = False) -> str:
    while True:
        answer = str(click.prompt(question, default="", show_default=False, err=True)).strip()
        if answer or not needed:
            return answer
        click.echo("This one is needed.", err=True)


def _several(question: str) -> tuple[str, ...]:
    answers: list[str] = []
    while answer := _answer(question):
        answers.append(answer)
    return tuple(answers)


def _read(page: Path | None) -> bytes | None:
    from runbooks.source import Entry, RefusedError, read  # noqa: PLC0415 - help must not wait for it

    if page is None:
        return None
    try:
        return read(Entry(name=page.name, path=page), page.resolve().parent)[1]
    except RefusedError as refused:
        fail(str(refused.problem), WRONG)


def _title(page: Path | None, data: bytes) -> str:
    from runbooks.skeleton import NotAPageError, title_of  # noqa: PLC0415

    try:
        return title_of(data, str(page))
    except NotAPageError as error:
        fail(str(error), WRONG)


def _facts(told: Told, where: Installed) -> "Facts":
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from runbooks.front_matter import is_person  # noqa: PLC0415
    from runbooks.skeleton import Facts  # noqa: PLC0415

    if where.catalogue and where.catalogue.team(told.owner) is None and not is_person(told.owner):
        teams = ", ".join(team.name for team in where.catalogue.teams)
        fail(f"--owner {told.owner!r}: there is no such team in the catalogue; there are {teams}.", WRONG)
    for name, texts in (
        ("--title", (told.title,)),
        ("--page", told.pages),
        ("--not-page", [t for t, _ in told.not_pages]),
    ):
        _one_line(name, texts)
    reviewed = "" if told.page else SystemClock().now().date().isoformat()
    facts = Facts(title=told.title.strip(), owner=told.owner, severity=told.severity, services=told.services,
                  kinds=told.kinds, pages=told.pages, not_pages=told.not_pages, reviewed=reviewed)  # fmt: skip
    return _like(facts, told.like, where) if told.like else facts


def _like(facts: "Facts", like: str, where: Installed) -> "Facts":
    from runbooks.front_matter import nearest  # noqa: PLC0415

    shelf = where.shelf()
    book: Runbook | None = shelf.get(like)
    if book is None:
        fail(f"--like {like!r}: there is no such runbook; {nearest(like, [one.id for one in shelf.all()])}", WRONG)
    return replace(facts, evidence=book.evidence, probes=book.probes, kinds=facts.kinds or book.kinds)


def _one_line(option: str, texts: Sequence[str]) -> None:
    for text in texts:
        if not text.strip() or not text.isprintable() or len(text) > 300:
            fail(f"{option} {text!r:.80}: write one printable line of at most 300 characters.", WRONG)


def _text(told: Told, where: Installed, data: bytes | None) -> bytes:
    from runbooks.skeleton import NotAPageError, on_top, skeleton  # noqa: PLC0415

    if not told.title:
        fail(f"{told.page}: no heading gives a title; give one with --title.", WRONG)
    facts = _facts(told, where)
    if data is None:
        return skeleton(facts).encode()
    try:
        return on_top(data, facts)
    except NotAPageError as error:
        fail(f"{told.page}: {error}", 1)


def _path(told: Told, where: Installed) -> Path:
    """Where it is written: the name is the id."""
    from runbooks.parse import id_of  # noqa: PLC0415

    if told.failure and id_of(f"{told.failure}.md") != told.failure:
        advice = id_of(f"{told.failure}.md")
        fail(f"--failure {told.failure!r}: an id is small letters, digits and hyphens, such as {advice!r}.", WRONG)
    named = told.failure or id_of(told.page.name if told.page else f"{told.title}.md")
    folders = [folder.path for folder in where.folders() if not folder.git]  # What is in Git is written there.
    out = told.out or (folders[0] if folders and folders[0].is_dir() else Path())
    if out.suffix.lower() == ".md":
        return out
    return out / f"{named}.md"


def _lints(where: Installed, path: Path, text: bytes) -> None:
    """Nothing is written that would not be used."""
    from bot.cli.installed import Read  # noqa: PLC0415
    from runbooks.parse import parse  # noqa: PLC0415

    problems = where.lint([Read(files=[parse(text, str(path))])], whole=False)
    errors = [problem for problem in problems if problem.severity == "error"]
    if errors:
        fail("\n".join(map(str, errors)) + "\nNothing was written: with these errors it would not be used.", 1)
    for problem in problems:
        if problem.severity == "warning":
            click.echo(str(problem), err=True)
