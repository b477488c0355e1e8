"""Who leads an on-call rotation and writes runbooks: from a wiki page to a runbook in use, and word of how it fared."""

from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import PATIENCE_MS, PageFor, card_of
from tests.journeys.conftest import DESK, Shoot, command
from tests.running import Pagerunner, resolved
from tests.running_place import Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
SEED = 16
WIKI = """# The model vendor is down

Call the vendor's hotline, tell support, and do not restart anything.
"""


def test_from_a_wiki_page_to_a_runbook_in_use(
    place: Place, page_for: PageFor, browser: Browser, shoot: Shoot, tmp_path: Path
) -> None:
    books, born = tmp_path / "books", place.world.begin("S01", SEED)
    books.mkdir()
    wiki, shown = tmp_path / "wiki.md", tmp_path / "card.html"
    wiki.write_text(WIKI, "utf-8")
    runner = Pagerunner(place.setting(born, environment={"PAGERUNNER_RUNBOOKS": str(books)}))
    ana = page_for("U0ANA", **DESK)

    command(runner, "runbooks", "new", "--from", str(wiki), "--owner", "assist", "--failure", "provider-outage",
            "--like", "provider-outage", "--page", "Chat assistant: LLM error rate above 50%",
            "--out", str(books))  # fmt: skip
    made = books / "provider-outage.md"
    assert made.read_text("utf-8").endswith(WIKI)
    command(runner, "runbooks", "lint", str(made))
    found = command(runner, "runbooks", "search", "--words-only", "LLM error rate of 60% over 5 minutes")
    assert found.index("provider-outage") == found.index("provider-")
    rendered = command(runner, "runbooks", "render", "--html", "--service", "chat-assistant", "provider-outage")
    shown.write_text(rendered, "utf-8")
    page = browser.new_page(**DESK)
    page.goto(shown.as_uri())
    expect(page.get_by_text("Call the vendor's hotline").first).to_be_visible()
    shoot(page, "runbook")
    page.close()

    with runner.kept_alive():
        runner.wait_ready()
        runner.send(born["page"])
        expect(card_of(ana)).to_contain_text("The model vendor is down", timeout=PATIENCE_MS)
        (used,) = runner.until(lambda: runner.facts("runbook_used"), "a runbook")
        assert (used["library"], used["file"]) == ("books", "provider-outage.md")
        runner.send(resolved(born))
        runner.until(lambda: runner.facts("incident_closed"), "the postmortem")
        expect(card_of(ana)).to_contain_text("closed")
        shoot(ana, "author")
