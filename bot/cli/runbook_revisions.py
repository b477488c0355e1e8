"""The runbook library as it was at a Git revision, beside the one of now: for ``runbooks diff`` and for ``replay``."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.git_folders import GitError, Place, commit, place, write_out
from bot.cli.installed import Installed
from bot.cli.libraries import repositories

if TYPE_CHECKING:
    from runbooks.shelf import Folder, Shelf


def libraries(where: Installed, folders: Sequence[Path], revision: str, out: Path) -> "tuple[Shelf, Shelf]":
    """The library at the revision, written out below ``out``, and as it is. Without ``folders``, of those in use.
    ``LIBRARY=REV`` is about that library alone. Raises :class:`GitError`."""
    from bot.wiring import BUILT_IN_LIBRARY  # noqa: PLC0415 - help must not wait for it
    from runbooks.shelf import Folder  # noqa: PLC0415

    asked = [Folder(path=path) for path in folders] or where.folders()
    now = list({one.path: one for one in (BUILT_IN_LIBRARY, *asked)}.values())
    name, _, named = revision.partition("=")
    if named and any(one.git and one.name == name for one in now):
        return library_at(where, {name: named}, out), shelf_of(where, now)
    looked = asked or [BUILT_IN_LIBRARY]
    in_git = {one.path: found for one in looked if not one.git and one.path.is_dir() and (found := place(one.path))}
    outside = [one for one in looked if one.path not in in_git]
    repository = [one for one in outside if one.git]
    if not in_git and len(repository) == 1:
        return library_at(where, {repository[0].name: revision}, out), shelf_of(where, now)
    if not in_git or (folders and outside):
        if repository:
            raise GitError(f"write which library is meant: {repository[0].name}={revision}")
        names = ", ".join(str(one.path) for one in outside)
        raise GitError(f"{names}: not in a Git repository, so there is no revision {revision!r} to compare with")
    for one in outside:
        why = f"write {one.name}=REV to compare it" if one.git else "not in a Git repository"
        click.echo(f"{one.name if one.git else one.path}: {why}; taken as the same on both sides", err=True)
    return shelf_of(where, _then(now, in_git, revision, out)), shelf_of(where, now)


def library_at(where: Installed, revisions: Mapping[str, str], out: Path) -> "Shelf":
    """The libraries in use, but those in Git that are named here at other revisions, such as the commits that an
    incident has recorded; written out below ``out``. Raises :class:`GitError`."""
    from bot.wiring import BUILT_IN_LIBRARY  # noqa: PLC0415

    known = {one.name: one for one in repositories(where.settings, where.catalogue)}
    strange = [name for name in revisions if name not in known]
    if strange:
        there = ", ".join(known) or "none"
        raise GitError(f"{strange[0]}: no such library in a Git repository; there are: {there}")
    found = []
    for number, one in enumerate([BUILT_IN_LIBRARY, *where.folders()]):
        revision = revisions.get(one.name, "") if one.git else ""
        at = known[one.name].write_at(revision, out / str(number)) if revision else one.path
        found.append(replace(one, path=at))
    return shelf_of(where, found)


def shelf_of(where: Installed, folders: "Sequence[Path | Folder]") -> "Shelf":
    """The runbooks of these folders; what is broken is left out, and said."""
    from bot.edges.clock import SystemClock  # noqa: PLC0415
    from bot.wiring import specs  # noqa: PLC0415
    from runbooks.lint import lint  # noqa: PLC0415
    from runbooks.shelf import Shelf  # noqa: PLC0415

    actions = {name: action.spec for name, action in where.registry().items()}
    check = partial(lint, probes=specs(), actions=actions, catalogue=where.catalogue, today=SystemClock().now().date())
    shelf = Shelf(folders, check=check)
    change = shelf.refresh()
    for problem in change.problems:
        if problem.severity == "error":
            click.echo(f"left out: {problem}", err=True)
    return shelf


def _then(now: "Sequence[Folder]", in_git: dict[Path, Place], revision: str, out: Path) -> "list[Folder]":
    """The folders as their working trees had them at the revision; others as they are."""
    from bot.wiring import LIBRARY  # noqa: PLC0415

    commits = {found.top: commit(found, revision) for found in in_git.values()}
    built_in = place(LIBRARY) if LIBRARY not in in_git else None
    if built_in and built_in.top in commits:
        in_git[LIBRARY] = built_in
    then = []
    for number, one in enumerate(now):
        stands = in_git.get(one.path)
        then.append(one if stands is None else replace(one, path=out / str(number)))
        if stands is not None:
            write_out(stands, commits[stands.top], then[-1].path)
    return then
