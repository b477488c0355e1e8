"""Who writes the postmortem: what happened is set right, exported for its readers, and followed up."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browsing import PageFor, only_for_me, type_
from tests.journeys.conftest import DESK, Shoot, command
from tests.running import Pagerunner, resolved
from tests.running_place import Place

pytestmark = [pytest.mark.browser, pytest.mark.timeout(400)]
SEED = 16


@pytest.fixture
def running(place: Place) -> Iterator[Pagerunner]:
    since, born = place.slack.newest(), place.world.begin("S01", SEED)
    runner = Pagerunner(place.setting(born))
    runner.start()
    runner.send(born["page"])
    place.slack.click(place.wait_for_button(runner, since), "Approve")
    runner.until(lambda: runner.facts("verification_made"), "a verification")
    runner.send(resolved(born))
    runner.until(lambda: runner.facts("incident_closed"), "the postmortem")
    yield runner
    runner.stop()


def test_from_the_closed_incident_to_the_page_that_is_read(
    running: Pagerunner, page_for: PageFor, browser: Browser, shoot: Shoot, tmp_path: Path
) -> None:
    (incident,) = running.incidents()
    ana = page_for("U0ANA", **DESK)
    approved = next(entry["seq"] for entry in running.timeline() if entry["kind"] == "proposal_approved")

    command(running, "timeline", "add", incident["id"], "the vendor called back: a bad deploy on their side")
    command(running, "timeline", "mark", incident["id"], str(approved), "decision")
    command(running, "timeline", "annotate", incident["id"], str(approved), "taken while the vendor was on the phone")
    type_(ana, f"/oncall followup {incident['id']} alert on the share of 503 at the gateway")
    running.until(lambda: running.facts("followup_added"), "a follow-up", 20)

    type_(ana, "/oncall export")
    form = ana.get_by_role("dialog", name="Export an incident")
    form.get_by_label("Incident").select_option(index=1)
    form.get_by_label("Who will read it").select_option(index=2)
    form.get_by_label("Time zone").fill("Berlin")
    form.get_by_role("button", name="Export", exact=True).click()
    expect(form).to_contain_text("Europe/Berlin")
    shoot(ana, "export")
    form.get_by_label("Time zone").fill("Europe/Berlin")
    form.get_by_role("button", name="Export", exact=True).click()
    expect(form).to_be_hidden()
    expect(only_for_me(ana)).to_contain_text(f"{incident['id']}.md follows in the thread")

    html = tmp_path / "postmortem.html"
    html.write_text(command(running, "export", incident["id"], "--format", "html", "--tz", "Europe/Berlin"), "utf-8")
    page = browser.new_page(**DESK)
    page.goto(html.as_uri())
    for said in ("decision", "taken while the vendor was on the phone", "alert on the share of 503 at the gateway"):
        expect(page.get_by_role("main")).to_contain_text(said)
    shoot(page, "postmortem")
    public = command(running, "export", incident["id"], "--redaction", "public")
    assert "Ana" not in public
    report = tmp_path / "report.html"
    report.write_text(command(running, "report", "--format", "html"), "utf-8")
    page.goto(report.as_uri())
    expect(page.get_by_role("main")).to_contain_text("Incident times")
    shoot(page, "report")
    page.close()
