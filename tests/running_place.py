"""A world and a workspace that several tests share, and servers in them: fresh, or going on from an open proposal."""

import contextlib
import itertools
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.running import Json, Pagerunner, Setting, Slack, World

SERVE = ("-m", "bot", "serve")


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A stopped server with an open proposal on its card, for others to go on from."""

    setting: Setting
    since: str
    """The time of the newest message before its card."""
    before: Mapping[str, Json]
    """Admin documents as they were."""


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where the tests of a module run."""

    folder: Path
    world: World
    slack: Slack
    entry: tuple[str, ...] = SERVE
    names: "itertools.count[int]" = field(default_factory=itertools.count)

    def setting(self, born: Json, **changes: Any) -> Setting:
        """How a server of its own is set up."""
        home = self.folder / f"server-{next(self.names)}"
        return replace(Setting(home=home, world=self.world, slack=self.slack, born=born, entry=self.entry), **changes)

    def open(self, scenario: str, seed: int, *documents: str, **changes: Any) -> Opened:
        """Go from the page to the proposal, once for many tests. ``documents`` are put back for each of them."""
        since, born = self.slack.newest(), self.world.begin(scenario, seed)
        setting = self.setting(born, **changes)
        runner = Pagerunner(setting)
        runner.start()
        runner.send(born["page"])
        self.wait_for_button(runner, since)
        runner.stop()
        before = {path: self.world.document(path) for path in documents}
        return Opened(setting=setting, since=since, before=before)

    def go_on(self, opened: Opened, **changes: Any) -> Pagerunner:
        """Another server, on a copy of that folder and with the targets as they were; not started."""
        for path, keys in opened.before.items():
            self.world.put_back(path, keys)
        home = self.folder / f"server-{next(self.names)}"
        shutil.copytree(opened.setting.home, home, symlinks=True)
        (home / "pagerunner.log").unlink()
        return Pagerunner(replace(opened.setting, home=home, **changes))

    def show_again(self, runner: Pagerunner) -> None:
        """Bring the card up to date: an earlier test has left it as that one ended."""
        (incident,) = runner.until(runner.incidents, "an incident")
        runner.post(f"/incidents/{incident['id']}/note", {"text": "looking at it"})

    def wait_for_button(self, runner: Pagerunner, since: str, button: str = "Approve") -> Json:
        """Until the newest card shows the button; returns the card."""

        def look() -> Json | None:
            cards = self.slack.cards(since=since)
            return cards[-1] if cards and button in self.slack.buttons(cards[-1]) else None

        return runner.until(look, f"a card with a button {button}")


@contextlib.contextmanager
def running_place(folder: Path, entry: tuple[str, ...] = SERVE) -> Iterator[Place]:
    """Start the world and the workspace, and stop them."""
    world = World(folder)
    try:
        slack = Slack(folder)
        try:
            yield Place(folder=folder, world=world, slack=slack, entry=entry)
        finally:
            slack.stop()
    finally:
        world.stop()
