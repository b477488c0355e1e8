"""``pagerunner runbooks diff REV``: what a change of the library does to the pages that find it."""

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.git_folders import GitError
from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show
from bot.cli.runbook_revisions import libraries

if TYPE_CHECKING:
    from knowledge.model import Query
    from runbooks.model import Library

MAX_CASES = 20_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Case:
    """A page to search for, and where it comes from."""

    source: str
    query: "Query"
    right: str = ""
    """The runbook it belongs to, as far as the libraries say."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Moved:
    """A page that another runbook comes first for now."""

    source: str
    text: str
    before: str
    now: str
    verdict: str
    """``better``, ``worse`` or ``other``, by the runbook that the page is said to belong to."""


@click.command(name="diff")
@click.argument("revision", metavar="REV")
@click.argument("folders", nargs=-1, type=click.Path(path_type=Path, exists=True, file_okay=False))
@CONFIG
@click.option(
    "--cases", type=click.Path(path_type=Path), help="Past pages, JSON lines: title, and body and service if known."
)
@click.option(
    "--exit-code", is_flag=True, help="End with 1 when a page finds a wrong runbook that found the right one."
)
@click.option("--words-only", is_flag=True, help="Search by words alone: at once, without the embedding model.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    revision: str, folders: tuple[Path, ...], config: Path | None, cases: Path | None, exit_code: bool,
    words_only: bool, as_json: bool,
) -> None:  # fmt: skip
    """Show which pages now find another runbook first than at the Git revision REV.

    REV may also be LIBRARY=REV, for one library that is configured as a Git repository. FOLDERS are the runbook folders
    to compare; without them, the configured ones and the teams' own. The pages are the phrases of all runbooks, of then
    and of now, and those of --cases. The libraries are searched as they are, each with its own phrases in place. What
    is not in a repository is the same on both sides.
    """
    where = Installed(config)
    with tempfile.TemporaryDirectory(prefix="pagerunner-") as folder:
        try:
            before, now = libraries(where, folders, revision, Path(folder))
        except GitError as error:
            fail(str(error), WRONG)
        pages = [*_phrases(before, now), *(_cases(cases, where) if cases else ())]
        moved = list(_moved(where, before, now, pages, words_only=words_only))
    books = {"added": _ids(now) - _ids(before), "removed": _ids(before) - _ids(now), "changed": _changed(before, now)}
    if as_json:
        names = {key: sorted(ids) for key, ids in books.items()}
        show({"revision": revision, **names, "pages": len(pages), "moved": [asdict(one) for one in moved]})
    else:
        _print(revision, books, moved, len(pages))
    if exit_code and any(one.verdict == "worse" for one in moved):
        raise SystemExit(1)


def _phrases(before: "Library", now: "Library") -> Iterator[Case]:
    """Every phrase of both libraries once, with what the present one says it belongs to."""
    from knowledge.model import Query  # noqa: PLC0415

    seen: set[str] = set()
    for library in (now, before):
        kinds = {book.id: book.kinds for book in library.all()}
        for book in library.all():
            own = [(text, book.id, "pages") for text in book.pages]
            own += [(text, book.id, "reports") for text in book.reports]
            others = [(entry.text, entry.belongs_to, "not_pages") for entry in book.not_pages]
            for text, right, key in (*own, *others):
                if text.casefold() in seen:
                    continue
                seen.add(text.casefold())
                kind = next(iter(kinds.get(right, ())), "")
                yield Case(source=f"{key} of {book.id}", query=Query(title=text, service_kind=kind), right=right)


def _cases(path: Path, where: Installed) -> Iterator[Case]:
    """The pages of a file; ends with the line that is wrong."""
    from knowledge.model import Query  # noqa: PLC0415

    try:
        if path.stat().st_size > MAX_CASES:
            fail(f"{path}: larger than {MAX_CASES:,} bytes; compare the newest pages", WRONG)
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{path}: cannot be read: {error}", WRONG)
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            title, body, name = (row.get(key, "") for key in ("title", "body", "service"))
            if not (isinstance(title, str) and isinstance(body, str) and isinstance(name, str) and title.strip()):
                raise TypeError("title must be a text, and body and service too if they are there")
        except (ValueError, TypeError, AttributeError) as error:
            fail(f'{path}:{number}: expected {{"title": "…", "body": "…", "service": "…"}} ({error})', WRONG)
        known = where.catalogue.service(name) if where.catalogue and name else None
        query = Query(title=title, body=body)
        if known:
            query = replace(query, service=known.name, service_kind=known.kind, service_tags=known.tags)
        yield Case(source=f"{path.name}:{number}", query=query)


def _moved(
    where: Installed, before: "Library", now: "Library", pages: Sequence[Case], *, words_only: bool
) -> Iterator[Moved]:
    from bot.cli.runbook_library import embedder, searcher  # noqa: PLC0415
    from knowledge.ingest import documents  # noqa: PLC0415

    then, present = (documents(library.all()) for library in (before, now))
    if then == present:
        return
    embed = embedder(where, words_only=words_only)
    searches = [searcher(found, embed) for found in (then, present)]
    for case in pages:
        firsts = [next((m.document for m in s.search(case.query, limit=1).matches), "") for s in searches]
        if firsts[0] != firsts[1]:
            verdicts = {firsts[1]: "better", firsts[0]: "worse"}
            yield Moved(source=case.source, text=case.query.text, before=firsts[0], now=firsts[1],
                        verdict=verdicts.get(case.right, "other") if case.right else "other")  # fmt: skip


def _ids(library: "Library") -> set[str]:
    return {book.id for book in library.all()}


def _changed(before: "Library", now: "Library") -> set[str]:
    then, texts = _texts(before), _texts(now)
    return {name for name in texts if name in then and texts[name] != then[name]}


def _texts(library: "Library") -> Mapping[str, set[str]]:
    """The texts of each id: several libraries may have one."""
    found: dict[str, set[str]] = {}
    for book in library.all():
        found.setdefault(book.id, set()).add(book.revision)
    return found


def _print(revision: str, books: Mapping[str, set[str]], moved: Sequence[Moved], pages: int) -> None:
    for key, ids in books.items():
        if ids:
            click.echo(f"{key}: {', '.join(sorted(ids))}")
    if not any(books.values()):
        click.echo(f"No runbook differs from {revision}.")
    for verdict, title in (("worse", "Found the right one, and no longer"), ("better", "Find the right one now"),
                           ("other", "Find another one")):  # fmt: skip
        those = [one for one in moved if one.verdict == verdict]
        if those:
            click.echo(f"\n{title}:")
        for one in those:
            text = " ".join(one.text.split())
            click.echo(f"  “{text[:117] + '…' if len(text) > 118 else text}”  ({one.source})")
            click.echo(f"    {one.before or 'nothing'} -> {one.now or 'nothing'}")
    click.echo(f"{len(moved)} of {pages} pages find another runbook first than at {revision}", err=True)
