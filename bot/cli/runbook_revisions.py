"""The runbook library as it was at a Git revision, beside the one of now: for ``runbooks diff`` and for ``replay``."""

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.git_folders import GitError, commit, place, write_out
from bot.cli.installed import Installed

if TYPE_CHECKING:
    from runbooks.shelf import Folder, Shelf


def libraries(where: Installed, folders: Sequence[Path], revision: str, out: Path) -> "tuple[Shelf, Shelf]":
    """The library at the revision, written out below ``out``, and as it is. Without ``folders``, of those in use.
    Raises :class:`GitError`."""
    from bot.wiring import LIBRARY  # noqa: PLC0415 - help must not wait for it
    from runbooks.shelf import Folder  # noqa: PLC0415

    asked = [Folder(path=path) for path in folders] or where.folders()
    looked = asked or [Folder(path=LIBRARY)]
    in_git = {one.path: found for one in looked if one.path.is_dir() and (found := place(one.path))}
    outside = [one.path for one in looked if one.path not in in_git]
    if not in_git or (folders and outside):
        names = ", ".join(map(str, outside))
        raise GitError(f"{names}: not in a Git repository, so there is no revision {revision!r} to compare with")
    for path in outside:
        click.echo(f"{path}: not in a Git repository; taken as the same on both sides", err=True)
    commits = {found.top: commit(found, revision) for found in in_git.values()}
    built_in = place(LIBRARY) if LIBRARY not in in_git else None
    if built_in and built_in.top in commits:
        in_git[LIBRARY] = built_in
    now = list({one.path: one for one in (Folder(path=LIBRARY), *asked)}.values())
    then = []
    for number, one in enumerate(now):
        stands = in_git.get(one.path)
        then.append(one if stands is None else replace(one, path=out / str(number)))
        if stands is not None:
            write_out(stands, commits[stands.top], then[-1].path)
    return shelf_of(where, then), shelf_of(where, now)


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
