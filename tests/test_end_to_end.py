"""The whole product as people meet it: a page, a card in the channel, a click in a real browser, and the postmortem."""

import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from tests.running import Json, Pagerunner, Setting, Slack, World, resolved

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("running"), pytest.mark.timeout(300)]

FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
         "--disable-component-update", "--disable-sync"]  # fmt: skip
SEED = 2
PATIENCE_MS = 90_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    path = next(p for name in ("chromium", "chromium-browser", "google-chrome") if (p := shutil.which(name)))
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=path, args=FLAGS)
        yield opened
        opened.close()


class Scene:
    """A world with an outage, a workspace, a running Pagerunner, and people with browsers."""

    def __init__(self, folder: Path, browser: Browser) -> None:
        self.world, self.slack = World(folder), Slack(folder)
        self.born = self.world.begin("S01", SEED)
        self.product = Pagerunner(Setting(home=folder, world=self.world, slack=self.slack, born=self.born))
        self.product.start()
        self._browser = browser

    def page_for(self, user: str, channel: str = "C0ASSIST") -> Page:
        page = self._browser.new_page(viewport={"width": 1180, "height": 1000})
        page.goto(f"{self.slack.url}/?user={user}#{channel}")
        return page

    def send(self, event: Json | None = None) -> None:
        self.product.send(event or self.born["page"])

    def stop(self) -> None:
        self.product.stop()
        self.slack.stop()
        self.world.stop()


@pytest.fixture
def scene(tmp_path: Path, browser: Browser) -> Iterator[Scene]:
    made = Scene(tmp_path, browser)
    yield made
    made.stop()


def test_from_the_page_to_the_postmortem_with_clicks(scene: Scene) -> None:
    ana, chi = scene.page_for("U0ANA"), scene.page_for("U0CHI", "C0ASSIST")
    scene.send()

    approve = ana.get_by_role("button", name="Approve")
    approve.wait_for(timeout=PATIENCE_MS)
    for shown in ("Proposed: Shift traffic", "Undo", "Check gateway_canary is ok", "0 of 1 approvals by team assist"):
        expect(ana.get_by_text(re.compile(re.escape(shown))).first).to_be_visible()
    assert scene.world.writes() == []

    card = scene.slack.cards()[-1]
    scene.slack.click(card, "Approve", user="U0CHI")
    scene.product.until(lambda: scene.product.facts("vote_denied"), "Chi is of another team")
    assert scene.world.writes() == []

    ana.get_by_placeholder("Message #assist-incidents").fill("/oncall list")
    ana.get_by_placeholder("Message #assist-incidents").press("Enter")
    expect(ana.get_by_text("Only visible to you").last).to_be_visible()

    approve.click()
    ana.get_by_role("alertdialog").get_by_role("button", name="Approve").click()
    expect(ana.get_by_text("· mitigated ·").first).to_be_visible(timeout=PATIENCE_MS)
    expect(ana.get_by_role("button", name="Approve")).to_have_count(0)
    assert len(scene.world.writes()) == 1
    chi.close()

    scene.send(resolved(scene.born))
    scene.product.until(lambda: scene.product.facts("incident_closed"), "the postmortem is written")
    (postmortem,) = scene.product.exports.glob("*.md")
    text = postmortem.read_text("utf-8")
    for told in ("Shift traffic", "provider-outage", "it helped"):
        assert told in text


def test_reject_why_and_questions_in_the_thread(scene: Scene) -> None:
    ana = scene.page_for("U0ANA")
    scene.send()
    ana.get_by_role("button", name="Reject").wait_for(timeout=PATIENCE_MS)
    card = scene.slack.cards()[-1]

    scene.slack.click(card, "Why?")
    scene.slack.act("message", "U0ANA", channel="C0ASSIST", thread_ts=card["ts"], text="<@U0PAGERUN> what changed?")
    scene.product.until(
        lambda: "what changed" in str(scene.product.facts("question_asked")), "the question is on the timeline"
    )
    ana.get_by_text(re.compile(r"\d+ repl")).first.click()
    expect(ana.get_by_text(re.compile("change", re.IGNORECASE)).last).to_be_visible()

    ana.get_by_role("button", name="Reject").first.click()
    dialog = ana.get_by_role("alertdialog")
    if dialog.count():
        dialog.get_by_role("button").last.click()
    scene.product.until(lambda: scene.product.facts("proposal_rejected"), "it is rejected")
    assert scene.world.writes() == []


def test_an_observed_service_has_no_approve_button(tmp_path: Path, browser: Browser) -> None:
    world, slack = World(tmp_path), Slack(tmp_path)
    born = world.begin("S01", SEED)
    observe = {"    team: assist\n    mode: act\n    tags": "    team: assist\n    mode: observe\n    tags"}
    product = Pagerunner(Setting(home=tmp_path, world=world, slack=slack, born=born, catalogue=observe))
    product.start()
    try:
        product.send(born["page"])
        product.until(lambda: product.facts("proposal_withheld"), "a proposal that nobody can approve")
        card = product.until(
            lambda: next((c for c in slack.cards() if "observe" in str(c["blocks"])), None), "the card says so"
        )
        assert card is not None
        assert "Approve" not in slack.buttons(card)
        assert world.writes() == []
    finally:
        product.stop()
        slack.stop()
        world.stop()
