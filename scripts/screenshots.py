"""Makes the pictures in docs/ from the demo itself: run with ``make screenshots``."""

import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from playwright.sync_api import Page, sync_playwright

DOCS = Path(__file__).resolve().parent.parent / "docs"
PATIENCE_S = 90
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-component-update"]


def main() -> None:
    """Start the demo in a terminal of its own, walk through it in a browser, and stop it."""
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "demo.txt"
        terminal, inside = os.openpty()
        with log.open("wb") as output:
            command = [sys.executable, "-m", "bot", "demo", "--out", folder]
            demo = subprocess.Popen(command, stdin=inside, stdout=output, stderr=output, start_new_session=True)
            try:
                take(wait_for_url(log))
            finally:
                demo.send_signal(signal.SIGTERM)
                demo.wait(30)
                os.close(terminal)
                os.close(inside)


def wait_for_url(log: Path) -> str:
    """The workspace's address, once the demo has printed it."""
    for _ in range(PATIENCE_S * 10):
        found = re.search(r"Open (http://127\.0\.0\.1:\d+)", log.read_text("utf-8", "replace"))
        if found:
            return found[1]
        time.sleep(0.1)
    raise SystemExit(f"the demo did not start:\n{log.read_text('utf-8', 'replace')}")


def take(url: str) -> None:
    """The channel with the open proposal, wide and as a phone; then the card after the approval."""
    path = next(p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name)))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=FLAGS)
        page = browser.new_page(viewport={"width": 1180, "height": 1010})
        page.goto(f"{url}/?user=U0ANA#C0ASSIST")
        page.get_by_role("button", name="Approve").wait_for(timeout=PATIENCE_S * 1000)
        page.wait_for_timeout(1000)
        shoot(page, "channel.png")
        phone = browser.new_page(viewport={"width": 390, "height": 1250})
        phone.goto(f"{url}/?user=U0ANA#C0ASSIST")
        phone.get_by_role("button", name="Approve").wait_for()
        phone.wait_for_timeout(500)
        shoot(phone, "phone.png")
        page.get_by_role("button", name="Approve").click()
        page.get_by_role("alertdialog").get_by_role("button", name="Approve").click()
        page.get_by_text("· mitigated since").first.wait_for(timeout=PATIENCE_S * 1000)
        page.wait_for_timeout(1000)
        shoot(page, "verified.png")
        browser.close()


def shoot(page: Page, name: str) -> None:
    page.screenshot(path=str(DOCS / name))
    print(f"docs/{name}")


if __name__ == "__main__":
    main()
