"""Journeys of the people Pagerunner is for, walked through in a real browser. With ``JOURNEY_PICTURES`` set to a folder
(``make screenshots``), each leaves the pictures there that the documentation shows."""

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.browsing import PATIENCE_MS, PageFor, pages, running_browser
from tests.running import ROOT, Pagerunner
from tests.running_place import Place, running_place

PHONE = {"viewport": {"width": 390, "height": 844}}
DESK = {"viewport": {"width": 1180, "height": 1010}}

expect.set_options(timeout=PATIENCE_MS)

Shoot = Callable[[Page | Locator, str], None]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with running_browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with running_place(tmp_path_factory.mktemp("journey")) as made:
        yield made


@pytest.fixture
def page_for(place: Place, browser: Browser, tmp_path: Path) -> Iterator[PageFor]:
    with pages(browser, place.slack, tmp_path) as open_:
        yield open_


@pytest.fixture
def shoot(tmp_path: Path) -> Shoot:
    """Takes the picture NAME.png: for the documentation, or to look at after a failure."""
    folder = Path(os.environ.get("JOURNEY_PICTURES") or tmp_path)

    def take(what: Page | Locator, name: str) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        page = what if isinstance(what, Page) else what.page
        page.wait_for_timeout(300)  # What slides in has arrived.
        what.screenshot(path=str(folder / f"{name}.png"))

    return take


def command(runner: Pagerunner, *words: str, answers: str = "") -> str:
    """What ``pagerunner WORDS`` prints on that server's machine; it must succeed."""
    done = subprocess.run([sys.executable, "-m", "bot", *words], cwd=ROOT, env=runner.environment, input=answers,
                          capture_output=True, text=True, check=False, timeout=120)  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout
