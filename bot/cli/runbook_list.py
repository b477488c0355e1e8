"""``pagerunner runbooks list`` and ``sync``: which libraries there are, at which revision, how old, and what takes the
place of what."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from bot.cli.installed import CONFIG, Installed
from bot.cli.local import WRONG, fail, show

if TYPE_CHECKING:
    from datetime import datetime

    from bot.edges.git_library import GitLibrary
    from bot.edges.library_sync import Standing
    from runbooks.shelf import Shelf


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """A library as it is listed."""

    name: str
    team: str
    """Whose own it is; empty: for everybody."""
    source: str
    """Folder, or address of the repository."""
    revision: str
    """As configured; empty for a folder."""
    path: str
    commit: str
    loaded_at: str
    reached_at: str
    runbooks: tuple[str, ...]
    """Ids in use from it."""
    trouble: str
    left_out: tuple[str, ...]


@click.command(name="list")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(config: Path | None, as_json: bool) -> None:
    """List the runbook libraries, from the most general to the most special, and which runbooks take the place of
    others. Reads this disk only; `runbooks sync` looks at the repositories.

    Exit code 1 when a library cannot be used or a runbook is broken.
    """
    from bot.edges.clock import SystemClock  # noqa: PLC0415 - help must not wait for it

    where = Installed(config)
    shelf, now = where.shelf(), SystemClock().now()
    listed = list(_listed(where, shelf, now))
    broken = [str(one) for one in shelf.problems if one.severity == "error"]
    if as_json:
        places = [{"runbook": below.book.id, "of": below.library, "taken_by": above.library, "team": above.folder.team}
                  for below, above in shelf.shadowed()]  # fmt: skip
        show({"libraries": [asdict(one) for one in listed], "shadowed": places, "problems": broken})
    else:
        click.echo("\n".join(_lines(listed, shelf, now)))
        for line in broken:
            click.echo(line, err=True)
    if broken or any(one.trouble for one in listed):
        raise SystemExit(1)


@click.command(name="sync")
@click.argument("names", nargs=-1, metavar="[LIBRARY]...")
@CONFIG
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sync(names: tuple[str, ...], config: Path | None, as_json: bool) -> None:
    """Look at the Git repositories of runbook libraries now, and take what is new into use.

    A running server does so by itself, every runbooks_every_s seconds, and picks up what this command loads. What
    cannot be reached or has no runbooks changes nothing. Exit code 1 when one of them has a problem.
    """
    from bot.cli.libraries import repositories  # noqa: PLC0415 - help must not wait for it
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.edges.library_sync import standing  # noqa: PLC0415

    where = Installed(config)
    there = {one.name: one for one in repositories(where.settings, where.catalogue)}
    strange = [name for name in names if name not in there]
    if strange:
        fail(f"{strange[0]}: no such library in a Git repository; there are: {', '.join(there) or 'none'}", WRONG)
    results = []
    for one in (there[name] for name in names) if names else there.values():
        before = one.state().commit
        one.update(SystemClock().now())
        results.append((before, standing(one, SystemClock().now())))
    if as_json:
        show([{**_plain(one), "was": before} for before, one in results])
    else:
        click.echo("\n".join(line for before, one in results for line in _synced(before, one)) or
                   "No library is in a Git repository.")  # fmt: skip
    if any(one.trouble for _, one in results):
        raise SystemExit(1)


def _plain(one: "Standing") -> dict[str, Any]:
    return {"library": one.name, "source": one.address, "revision": one.revision, "path": one.path,
            "trouble": one.trouble, **asdict(one.state)}  # fmt: skip


def _synced(before: str, one: "Standing") -> Iterator[str]:
    from bot.domain.untrusted import line  # noqa: PLC0415

    short = one.state.commit[:12]
    if one.trouble:
        yield f"{one.name}: {line(one.trouble, 800)}"
    elif before == one.state.commit:
        yield f"{one.name}: {short}, nothing new on {one.revision}"
    else:
        yield f"{one.name}: now at {short} of {one.revision}" + (f", was at {before[:12]}" if before else "")
    for left in one.state.left_out:
        yield f"{one.name}: left out: {line(left, 300)}"


def _listed(where: Installed, shelf: "Shelf", now: "datetime") -> Iterator[Listed]:
    from bot.cli.libraries import repositories  # noqa: PLC0415
    from bot.edges.library_sync import standing  # noqa: PLC0415

    git: dict[str, GitLibrary] = {one.name: one for one in repositories(where.settings, where.catalogue)}
    for folder in shelf.folders:
        books = tuple(one.book.id for one in shelf.placed if one.folder == folder)
        if folder.git is None:
            trouble = "" if folder.path.is_dir() else "there is no such folder"
            yield Listed(name=folder.name, team=folder.team, source=str(folder.path), revision="", path="", commit="",
                         loaded_at="", reached_at="", runbooks=books, trouble=trouble, left_out=())  # fmt: skip
            continue
        stands = standing(git[folder.name], now)
        yield Listed(
            name=folder.name, team=folder.team, source=stands.address, revision=stands.revision, path=stands.path,
            commit=stands.state.commit, loaded_at=stands.state.loaded_at, reached_at=stands.state.reached_at,
            runbooks=books, trouble=stands.trouble, left_out=stands.state.left_out,
        )  # fmt: skip


def _lines(listed: Sequence[Listed], shelf: "Shelf", now: "datetime") -> Iterator[str]:
    from bot.domain.untrusted import line  # noqa: PLC0415

    for one in listed:
        whose = f", team {one.team}" if one.team else ""
        yield f"{one.name}{whose}: {len(one.runbooks)} runbooks in use"
        yield f"  {line(one.source, 200)}{f' in {one.path}' if one.path else ''}"
        if one.commit:
            yield f"  at {one.commit[:12]} of {one.revision}{_age(one, now)}"
        if one.trouble:
            yield f"  PROBLEM: {line(one.trouble, 800)}"
        for left in one.left_out:
            yield f"  left out: {line(left, 300)}"
        if one.runbooks:
            yield f"  {', '.join(one.runbooks)}"
    for below, above in shelf.shadowed():
        whom = f", for services of {above.folder.team}" if above.folder.team else ""
        yield f"{below.book.id}: {above.library} takes the place of {below.library}{whom}"


def _age(one: Listed, now: "datetime") -> str:
    from bot.edges.git_library import LibraryState  # noqa: PLC0415
    from bot.edges.library_sync import age, age_s  # noqa: PLC0415

    since = age_s(LibraryState(reached_at=one.reached_at), now)
    return f", looked up {age(since)} ago" if since is not None else ""
