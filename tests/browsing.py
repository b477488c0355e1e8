"""People at the loopback workspace in a real Chromium: what tests press, type and read there."""

import contextlib
import itertools
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Protocol

from playwright.sync_api import Browser, Locator, Page, sync_playwright

from tests.running import Slack

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
PATIENCE_MS = 90_000
WIDE = {"width": 1180, "height": 1500}


class PageFor(Protocol):
    """Opens the workspace as somebody."""

    def __call__(self, user: str, channel: str = "C0ASSIST", slack: Slack | None = None, **changes: Any) -> Page: ...


@contextlib.contextmanager
def running_browser() -> Iterator[Browser]:
    path = next(p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name)))
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


@contextlib.contextmanager
def pages(browser: Browser, at: Slack, pictures: Path) -> Iterator[PageFor]:
    """Its scripts must not fail; a picture of the end is kept for who looks."""
    opened: list[Page] = []
    problems: list[str] = []

    def open_(user: str, channel: str = "C0ASSIST", slack: Slack | None = None, **changes: Any) -> Page:
        page = browser.new_page(**{"viewport": WIDE, **changes})
        page.set_default_timeout(PATIENCE_MS)
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda said: problems.append(said.text) if said.type == "error" else None)
        page.goto(f"{(slack or at).url}/?user={user}#{channel}")
        opened.append(page)
        return page

    yield open_
    for number, page in zip(itertools.count(), opened, strict=False):
        page.screenshot(path=str(pictures / f"end-{number}.png"))
        page.close()
    assert problems == []


def button(where: Page | Locator, text: str) -> Locator:
    """By what is written on it: a screen reader may be told more."""
    return where.locator("button").filter(has_text=re.compile(rf"^\s*{re.escape(text)}\s*$"))


def card_of(page: Page) -> Locator:
    """The newest card in the channel."""
    return page.get_by_role("article").filter(has=button(page, "Why?")).last


def press(page: Page, text: str, *, confirm: bool = False) -> None:
    """Press a button of the card, and the same in the dialog that asks again."""
    button(card_of(page), text).click()
    if confirm:
        button(page.get_by_role("alertdialog"), text).click()


def type_(page: Page, text: str, channel: str = "assist-incidents") -> None:
    field = page.get_by_label(f"Message #{channel}")
    field.fill(text)
    field.press("Enter")


def only_for_me(page: Page) -> Locator:
    """The newest message that nobody else sees."""
    return page.get_by_role("article").filter(has_text="Only visible to you").last


def thread_of(page: Page) -> Locator:
    """The newest card's thread, opened."""
    card_of(page).get_by_role("button", name=re.compile(r"\d+ repl")).click()
    return page.get_by_role("complementary", name="Thread")


def reply(thread: Locator, text: str) -> None:
    thread.get_by_label("Reply…").fill(text)
    thread.get_by_label("Reply…").press("Enter")
