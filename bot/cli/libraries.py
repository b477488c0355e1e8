"""The runbook libraries that the settings and the catalogue name, from the most general to the most special."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from config.catalogue import Catalogue
from config.library import GitSource, LibrarySource, library_name
from config.settings import Settings

if TYPE_CHECKING:
    from bot.edges.git_library import GitLibrary
    from runbooks.shelf import Folder


def sources(chosen: Settings, declared: Catalogue | None) -> list[LibrarySource]:
    """The company's, then the teams' own; without the built-in one, which comes before all. Names are made unique."""
    found: list[LibrarySource] = []
    taken = {"built-in"}
    for at in chosen.runbooks:
        found.append(LibrarySource(name=_free(library_name(at), taken), at=at))
    for team in declared.teams if declared else ():
        if not team.runbooks:
            continue
        beside = chosen.catalogue.parent
        own = team.runbooks.beside(beside) if isinstance(team.runbooks, GitSource) else beside / team.runbooks
        name = own.name if isinstance(own, GitSource) and own.name else team.name
        found.append(LibrarySource(name=_free(name, taken), team=team.name, at=own))
    return found


def folders(chosen: Settings, declared: Catalogue | None) -> "list[Folder]":
    """Where they are read: of a repository, the tree that was last loaded."""
    from runbooks.shelf import Folder  # noqa: PLC0415 - help must not wait for it

    found = []
    for source in sources(chosen, declared):
        if isinstance(source.at, Path):
            found.append(Folder(path=source.at, team=source.team, name=source.name))
        else:
            path = repository(source, chosen).current
            found.append(Folder(path=path, team=source.team, name=source.name, git=source.at))
    return found


def repositories(chosen: Settings, declared: Catalogue | None) -> "list[GitLibrary]":
    """Those of them that are in Git."""
    every = sources(chosen, declared)
    return [repository(source, chosen) for source in every if isinstance(source.at, GitSource)]


def repository(source: LibrarySource, chosen: Settings) -> "GitLibrary":
    """The place of a library in Git below the data folder."""
    from bot.edges.git_library import GitLibrary  # noqa: PLC0415

    assert isinstance(source.at, GitSource)
    return GitLibrary(source.at, source.name, chosen.data, token=os.environ.get(source.at.token_env, ""))


def tokens(chosen: Settings, declared: Catalogue | None) -> Mapping[str, str]:
    """The tokens that they name, by variable, as far as they are set."""
    named = (one.at.token_env for one in sources(chosen, declared) if isinstance(one.at, GitSource))
    return {name: os.environ[name] for name in named if os.environ.get(name)}


def _free(name: str, taken: set[str]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    taken.add(free)
    return free
