"""What commands without a server need: the settings, the catalogue and the runbooks as they would be in use here."""

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import click

from bot.cli.local import WRONG, fail
from config.catalogue import Catalogue
from config.settings import ConfigError, load, load_catalogue

if TYPE_CHECKING:
    from knowledge.retrieval import HybridLibrarian
    from runbooks.model import ActionRegistry, Problem
    from runbooks.parse import Parsed
    from runbooks.shelf import Folder, Shelf

CONFIG = click.option(
    "--config", type=click.Path(path_type=Path), help="Configuration file; default: PAGERUNNER_CONFIG."
)


@dataclass(kw_only=True, slots=True)
class Read:
    """The runbook files below one path, and those that cannot even be read."""

    files: "list[Parsed]" = field(default_factory=list)
    refused: "list[Problem]" = field(default_factory=list)


class Installed:
    """Settings and catalogue, if there is one; ends with every problem when they are wrong.

    ``needs_catalogue``: without one, end. Otherwise ``notice`` says what was not checked for want of it.
    """

    def __init__(self, config: Path | None, *, needs_catalogue: bool = False) -> None:
        self.notice = ""
        self.catalogue: Catalogue | None = None
        try:
            self.settings = load(os.environ, config)
            path = self.settings.catalogue
            if needs_catalogue or "catalogue" in self.settings.model_fields_set or path.exists():
                self.catalogue = load_catalogue(path)
            else:
                self.notice = f"Not checked against services: there is no catalogue at {path}."
        except ConfigError as error:
            fail(str(error), WRONG)

    def folders(self) -> "list[Folder]":
        """The company's runbook libraries and the teams' own, without the built-in one."""
        from bot.cli.libraries import folders  # noqa: PLC0415

        return folders(self.settings, self.catalogue)

    def registry(self) -> "ActionRegistry":
        """The actions there are, the declared ones included."""
        from bot.wiring import actions  # noqa: PLC0415 - help must not wait for it
        from runbooks.actions.http_action_file import InvalidDeclarationError, load_http_actions  # noqa: PLC0415

        path = self.settings.http_actions
        targets = [target.name for target in self.catalogue.targets] if self.catalogue else None
        try:
            return actions(load_http_actions(path.read_text("utf-8"), str(path), targets=targets) if path else ())
        except InvalidDeclarationError as error:
            fail(str(error), WRONG)
        except (OSError, UnicodeDecodeError) as error:
            fail(f"{path}: cannot be read: {error}; correct the setting 'http_actions'", WRONG)

    def shelf(self) -> "Shelf":
        """The runbooks in use: what is broken is left out, as a server would."""
        from bot.edges.clock import SystemClock  # noqa: PLC0415
        from bot.wiring import open_shelf  # noqa: PLC0415

        return open_shelf(self.folders(), self.registry(), self.catalogue, SystemClock().now().date())

    @contextmanager
    def librarian(self, shelf: "Shelf", *, words_only: bool) -> "Iterator[HybridLibrarian]":
        """Search over a throw-away index: the server's own belongs to the server."""
        from bot.wiring import open_librarian  # noqa: PLC0415

        os.environ.setdefault("HF_HUB_OFFLINE", "1")
        with tempfile.TemporaryDirectory(prefix="pagerunner-") as folder:
            index = None if words_only else Path(folder) / "index"
            librarian = open_librarian(shelf, index, self.settings.embedder)
            librarian.warm()
            try:
                yield librarian
            finally:
                librarian.close()

    def read(self, paths: Sequence[Path]) -> list[Read]:
        """The runbook files at each of these paths; without any, of every library in use."""
        from bot.wiring import LIBRARY  # noqa: PLC0415

        if paths:
            return [_read(path) for path in paths]
        found = [_read(LIBRARY)]
        for folder in self.folders():
            if folder.git and not folder.path.exists():
                click.echo(f"{folder.name}: left out, it was not loaded yet; `pagerunner runbooks sync` does", err=True)
            else:
                found.append(_read(folder.path))
        return found

    def lint(self, groups: Sequence[Read], *, whole: bool) -> "list[Problem]":
        """Everything wrong with these files, seen together with all runbooks in use (``whole``: they are these)."""
        from bot.edges.clock import SystemClock  # noqa: PLC0415
        from bot.wiring import specs  # noqa: PLC0415
        from runbooks.lint import duplicates, lint  # noqa: PLC0415

        seen = [*groups, *([] if whole else self.read(()))]
        ids = {file.runbook.id for group in seen for file in group.files if file.runbook is not None}
        probes, actions = specs(), {name: action.spec for name, action in self.registry().items()}
        today = SystemClock().now().date()
        problems: list[Problem] = []
        for group in groups:
            problems += group.refused
            for file in group.files:
                problems += lint(file, probes=probes, actions=actions, catalogue=self.catalogue, runbook_ids=ids,
                                 today=today)  # fmt: skip
            # A later folder may take the place of what an earlier one has; within one, nobody can tell which is meant.
            problems += duplicates([file.runbook for file in group.files if file.runbook is not None])
        return problems


def _read(path: Path) -> Read:
    from runbooks.parse import parse  # noqa: PLC0415
    from runbooks.source import Entry, RefusedError, find, read  # noqa: PLC0415

    found = Read()
    try:
        entries = [Entry(name=path.name, path=path)] if path.is_file() else list(find(path))
    except OSError as error:
        fail(f"{path}: cannot be read: {error.strerror or error}", WRONG)
    for entry in entries:
        try:
            _, data = read(entry, path.parent if path.is_file() else path)
        except RefusedError as refused:
            found.refused.append(refused.problem)
        else:
            found.files.append(parse(data or b"", str(entry.path)))
    return found
